"""vLLM looks at its limit when a request comes, and again when it hands it to the engine: those of a moment pass the first."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentgpu_iac.review.blocks import plain_text
from agentgpu_iac.review.simulation_view import simulation_view
from agentgpu_iac.simulation.mishaps import Mishaps
from agentgpu_iac.simulation.outcome import AgentOutcome, SimulationAnswer
from agentgpu_iac.simulation.replica import Replica, engine_of
from agentgpu_iac.simulation.sessions import Ask, Session
from agentgpu_iac.simulation.simulate import Simulation, simulate
from tests.planning import scenes
from tests.simulation import fleets

LIMIT, SENT = 5, 20
TOGETHER = fleets.trace(*((1.0, 300, 40) for _ in range(SENT)))
APART = fleets.trace(*((1.0 + number / 20, 300, 400) for number in range(SENT)))
READ = Mishaps(clients_read_streams=True)


def answer(trace, plan=None, **asked) -> SimulationAnswer:
    plan = fleets.with_limit(fleets.small_plan() if plan is None else plan, LIMIT)
    return simulate(plan, Simulation(trace=trace, requests_per_s=trace.requests_per_s, **asked))


def outcome(trace, plan=None, **asked) -> AgentOutcome:
    (agent,) = answer(trace, plan, **asked).agents
    return agent


def test_what_comes_at_once_is_refused_in_streams_that_nobody_tries_again():
    found = outcome(TOGETHER)
    assert (found.answered, found.refused, found.refused_in_stream) == (LIMIT, SENT - LIMIT, SENT - LIMIT)
    assert (found.retried, found.lost) == (0, 0)


def test_what_comes_apart_is_refused_by_the_first_look_and_tried_again():
    found = outcome(APART)
    assert found.retried > 0
    assert found.refused_in_stream == 0
    assert found.requests == found.answered + found.refused


def test_a_client_that_reads_the_event_tries_again():
    found = outcome(TOGETHER, mishaps=READ)
    assert found.retried > 0
    assert found.refused < found.refused_in_stream, "the first tries, and some of the second"
    assert found.requests == found.answered + found.refused


def test_an_engine_that_looks_once_sends_all_of_them_to_the_router():
    found = outcome(TOGETHER, scenes.plan(scenes.make_agent(engine="sglang", sessions={"concurrent": 12})))
    assert found.retried > 0
    assert found.refused_in_stream == 0


def test_they_count_against_the_budget_and_are_said():
    answered = answer(TOGETHER)
    assert answered.agents[0].inside_ttft_ratio == pytest.approx(LIMIT / SENT)
    assert "15 were refused in a stream that had begun with 200" in plain_text(list(simulation_view(answered)))
    assert "in a stream" not in plain_text(list(simulation_view(answer(APART))))


def test_what_a_refused_request_found_is_there_for_the_next_one():
    plan = fleets.with_limit(fleets.small_plan(), 1)
    workload = fleets.first(plan)
    assert workload.step_times is not None
    shared = 100
    replica = Replica(0, engine_of(workload, workload.step_times.speed(), {"a": shared}), 0.0, 0.0)
    user, other = (Session("a", tuple(Ask("first", 200, 10, 210, 0.0) for _ in range(2)), key) for key in (1, 2))

    def taken(session: Session) -> bool:
        call = replica.take(session, 0.0, 0.0, 1)
        found.append(call.cached_tokens)
        passes = replica.passes(call)
        if passes:
            replica.keep(call)
            session.context_tokens = 210
        return passes

    found: list[int] = []
    assert taken(user)
    blocks = replica.take(other, 0.0, 0.0, 1)
    late = replica.take(user, 0.0, 0.0, 1)
    assert replica.passes(blocks)
    assert not replica.passes(late)
    assert late.cached_tokens == 210
    replica.keep(blocks)
    assert taken(user)
    assert found == [0, 210], "all of its history, and the prefix with it"
    assert replica.in_flight == 0
    assert replica.steps.cache_used_tokens == 0


@given(
    moments=st.lists(st.integers(0, 3), min_size=2, max_size=40).map(sorted),
    replicas=st.integers(1, 3),
    reads=st.booleans(),
)
@settings(max_examples=25, deadline=None)
def test_each_request_of_a_moment_ends_exactly_once(moments, replicas, reads):
    trace = fleets.trace(*((float(at), 200, 60) for at in moments))
    found = outcome(
        trace, fleets.with_replicas(fleets.small_plan(), replicas), mishaps=Mishaps(clients_read_streams=reads)
    )
    assert len(moments) == found.requests == found.answered + found.refused
    assert reads or found.refused_in_stream <= found.refused
