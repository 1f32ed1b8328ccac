"""What a proof keeps of its simulations is short, and says what they said."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentgpu_iac.simulation.courses import MOST_MOMENTS, course, waits, worst
from agentgpu_iac.simulation.outcome import AgentOutcome, DeploymentOutcome, Moment, Percentiles, TurnOutcome


def moments(count: int) -> tuple[Moment, ...]:
    return tuple(
        Moment(
            at_s=15.0 * (at + 1), sessions=at, running=at / 2, waiting=at % 3, kv_ratio=0.1,
            warm_replicas=2, burst_replicas=at, starting_replicas=count - at,
        )
        for at in range(count)
    )  # fmt: skip


def agent(
    *, lost: int = 0, ttft: float | None = None, tpot: float | None = None, p99: float | None = 9.0
) -> AgentOutcome:
    figures = Percentiles(mean=1.0, p50=1.0, p90=2.0, p95=3.0, p99=p99)
    turn = TurnOutcome(turn="all", requests=1, ttft_ms=figures, tpot_ms=figures, e2e_ms=figures)
    return AgentOutcome.model_construct(lost=lost, inside_ttft_ratio=ttft, inside_tpot_ratio=tpot, turns=(turn,))


@given(st.integers(0, 480))
def test_a_course_is_short_and_ends_where_the_simulation_does(count: int) -> None:
    given_ = moments(count)
    found = course(DeploymentOutcome.model_construct(moments=given_), 7)
    lists = [values for name in type(found).model_fields if isinstance(values := getattr(found, name), tuple)]
    assert len(lists) == 7
    assert {len(each) for each in lists} == {len(found.minutes)}
    assert len(found.minutes) <= MOST_MOMENTS
    assert list(found.minutes) == sorted(found.minutes)
    assert found.seed == 7
    if count:
        last = given_[-1]
        assert (found.minutes[-1], found.burst_replicas[-1]) == (last.at_s / 60, last.burst_replicas)
    if count <= MOST_MOMENTS:
        assert found.sessions == tuple(each.sessions for each in given_)


def test_neighbours_are_put_together_by_their_mean() -> None:
    found = course(DeploymentOutcome.model_construct(moments=moments(2 * MOST_MOMENTS)), 1)
    assert found.sessions[:2] == (0.5, 2.5)
    assert found.burst_replicas[:2] == (1, 3)


def test_waits_are_the_seeds_mean() -> None:
    found = waits([agent(p99=8.0), agent(p99=10.0), agent(p99=None)])
    assert found is not None
    assert (found.p50_ms, found.p95_ms, found.p99_ms) == (1.0, 3.0, 9.0)
    assert waits([agent(p99=None)]) is None


@pytest.mark.parametrize(
    ("answers", "which"),
    [
        ([[agent(ttft=0.9)], [agent(ttft=0.8)], [agent(ttft=0.99)]], 1),
        ([[agent(ttft=0.9, tpot=0.5)], [agent(ttft=0.8)]], 0),
        ([[agent(ttft=0.5)], [agent(ttft=1.0), agent(lost=1)]], 1),
        ([[agent()], [agent()]], 0),
    ],
)
def test_the_simulation_that_went_worst_is_shown(answers: list[list[AgentOutcome]], which: int) -> None:
    assert worst(answers) == which
