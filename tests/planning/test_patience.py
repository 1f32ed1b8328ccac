"""How long is waited before something is given up: each bound where it is the one that holds."""

from __future__ import annotations

import math

import pytest

from agentgpu_iac.planning.choosing import tiers
from agentgpu_iac.planning.demand import demand
from tests.planning.scenes import DENSE, load, make_agent, make_catalog, offerings, only, plan, workload


def test_a_start_may_take_twice_what_is_predicted():
    """The probe kills a start that is slower, which begins anew: half of all starts are slower than predicted."""
    found = workload(plan(make_agent(model="test/big"), accelerators=only("large-80")))
    probes, predicted_s = found.probes, found.cold_start_s.warm_node_total
    patience_s = probes.startup_period_s * probes.startup_failure_threshold
    assert predicted_s > 60
    assert probes.startup_period_s == 10
    assert patience_s == 10 * math.ceil(2 * predicted_s / 10)


def test_off_eks_a_start_may_take_as_long_as_its_error_says():
    found = workload(plan(make_agent(model="test/big"), target="kubernetes", accelerators=only("large-80")))
    probes, predicted_s = found.probes, found.cold_start_s.warm_node_total
    assert found.cold_start_s.error_ratio == 2.5
    assert probes.startup_period_s * probes.startup_failure_threshold == 10 * math.ceil(3.5 * predicted_s / 10)


def test_a_short_start_has_two_minutes():
    found = workload(plan(make_agent(model="test/tiny", overrides={"coldStartS": 1.0})))
    assert found.probes.startup_period_s * found.probes.startup_failure_threshold >= 120


def test_a_rollout_is_given_up_after_a_new_node_and_a_whole_start():
    found = workload(plan(make_agent(model="test/big"), accelerators=only("large-80")))
    start_s = found.probes.startup_period_s * found.probes.startup_failure_threshold
    assert found.rollout.progress_deadline_s == max(600, math.ceil(found.cold_start_s.total) + start_s)


@pytest.mark.parametrize(
    ("tokens", "seconds"),
    [
        (700, 60),  # NGINX's own default: proxies on the way close silent connections no sooner
        (10_000, 500),
        (131_072, 3_600),
    ],
)
def test_an_engine_may_be_silent_for_its_longest_answer(tokens: int, seconds: int):
    """50 ms a token over the longest sequence that the engine takes; at least a minute, at most an hour."""
    agent = make_agent(
        conversation={"turns": 1, "systemPromptTokens": 100, "inputTokensPerTurn": 100, "outputTokensPerTurn": 100},
        overrides={"maxModelLen": tokens},
    )
    found = plan(agent, accelerators=only("large-80"), network={"router": "nginx"})
    assert found.router is not None
    (route,) = found.router.routes
    assert workload(found).max_model_len == tokens
    assert route.answer_timeout_s == seconds


@pytest.mark.parametrize(
    ("tokens", "tpot_ms", "seconds"),
    [
        (100, None, 30),  # no pace is known
        (1_000, 20.0, 50),  # 50 ms a token at least
        (1_000, 80.0, 80),
        (20, 20.0, 5),
        (11_900, 50.0, 595),
        (50_000, 50.0, 600),
    ],
)
def test_a_drain_lasts_an_answer_between_five_seconds_and_ten_minutes(tokens: int, tpot_ms: float | None, seconds: int):
    agent = load(make_agent(conversation={"turns": 1, "outputTokensPerTurn": tokens})).stack.spec.agents[0]
    found = tiers.drain(demand(agent, DENSE), tpot_ms, None)
    assert (found.pre_stop_s, found.shutdown_timeout_s, found.grace_period_s) == (15, seconds, 15 + seconds + 15)
    waits_before = tiers.drain(demand(agent, DENSE), tpot_ms, None, engine_waits=False)
    assert (waits_before.pre_stop_s, waits_before.shutdown_timeout_s) == (15 + seconds, 0)
    assert waits_before.grace_period_s == found.grace_period_s


@pytest.mark.parametrize(("sessions", "open_files"), [(4, 65_536), (20_000, 4 * 80_896)])
def test_a_machine_opens_four_files_for_each_connection_of_its_router(sessions: int, open_files: int):
    """Two sockets on each of a request's two sides; the kernel's usual 65,536 at least."""
    one_turn = {"turns": 1, "outputTokensPerTurn": 20, "inputTokensPerTurn": 20, "systemPromptTokens": 0}
    found = plan(
        make_agent(
            model="test/tiny", latencyClass="background", sessions={"concurrent": sessions}, conversation=one_turn
        ),
        target="compose",
        catalog=make_catalog(offerings("l1", "large-80", on_demand="3.00")),
        capacity={"shareAccelerators": "never"},
    )
    assert found.hosts[0].open_files == open_files


def test_a_cold_start_set_by_hand_stands_beside_the_computed_one():
    found = plan(make_agent(overrides={"coldStartS": 123.0}))
    (override,) = found.overrides
    assert (override.field, override.value) == ("coldStartS", 123.0)
    computed = workload(plan(make_agent())).cold_start_s
    assert override.computed == pytest.approx(computed.total, abs=0.2)
