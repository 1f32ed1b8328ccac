"""Prefixes that an agent's sessions share: read once, held while they are used, and gone when they were unused for longest."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentgpu_iac.simulation.replica import Replica, engine_of
from agentgpu_iac.simulation.sessions import Ask, Session
from tests.simulation import fleets

SHARED = {"a": 1000, "b": 600}
OWN = 200


def replica(tokens: int, shared: dict[str, int] = SHARED) -> Replica:
    workload = fleets.first(fleets.with_cache(fleets.small_plan(), tokens))
    times = workload.step_times
    assert times is not None
    return Replica(0, engine_of(workload, times.speed(), shared), 0.0, 0.0)


def session(agent: str, key: int) -> Session:
    """Two requests: the prefix and a little, then a little more."""
    first = Ask("first", SHARED.get(agent, 0) + OWN, 10, SHARED.get(agent, 0) + OWN + 10, 0.0)
    return Session(agent, (first, Ask("later", OWN, 10, OWN + 10, 0.0)), key)


def answered(there: Replica, asks: Session, now_ms: float):
    """A request alone, to its end; its call."""
    call = there.take(asks, now_ms, now_ms, 1)
    there.steps.push(call)
    while not there.steps.idle:
        there.steps.advance()
    there.keep(call)
    asks.context_tokens += asks.ask.kept_tokens
    asks.place += 1
    return call


@pytest.mark.parametrize(("tokens", "is_kept"), [(3000, False), (50_000, True)])
def test_an_agent_that_rested_beside_a_busy_one_reads_its_prefix_again(tokens, is_kept):
    there = replica(tokens)
    assert answered(there, session("a", 1), 0.0).cached_tokens == 0
    assert answered(there, session("a", 2), 1e4).cached_tokens == SHARED["a"]
    for number in range(20):
        answered(there, session("b", 100 + number), 2e4 + number * 1e4)
    assert answered(there, session("b", 200), 9e5).cached_tokens == SHARED["b"], "who is busy keeps his own"
    assert answered(there, session("a", 3), 1e6).cached_tokens == (SHARED["a"] if is_kept else 0)


def test_what_was_built_on_a_prefix_goes_before_it():
    """LRU: of one agent alone, older sessions make room, and the prefix stays."""
    there, first = replica(2500), session("a", 1)
    answered(there, first, 0.0)
    for number in range(20):
        assert answered(there, session("a", 100 + number), 1e4 + number * 1e4).cached_tokens == (SHARED["a"])
    assert answered(there, first, 1e6).cached_tokens == SHARED["a"], "its own context is gone"


def test_a_prefix_in_use_takes_room_once_and_is_not_taken_away():
    there = replica(3000)
    calls = [there.take(session("a", key), 0.0, 0.0, 1) for key in (1, 2)]
    for each in calls:
        there.steps.push(each)
    there.steps.advance(calls[-1].arrives_ms + 1.0)
    assert [each.cached_tokens for each in calls] == [0, SHARED["a"]]
    expected = SHARED["a"] + 2 * (OWN + there.engine.scheduling.fixed_tokens)
    assert there.steps.cache_used_tokens == pytest.approx(expected, abs=25)


MOVES = st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 5), st.booleans()), min_size=1, max_size=60)


@given(moves=MOVES, tokens=st.integers(3000, 9000))
@settings(max_examples=60, deadline=None)
def test_tokens_are_conserved(moves, tokens):
    """Each token that is asked is read or found; what is held and what is kept are the capacity at most, and nothing leaks."""
    there = replica(tokens)
    sessions: dict[tuple[str, int], Session] = {}
    running: list = []
    now_ms = 0.0
    for agent, key, ends in moves:
        now_ms += 1e4
        asks = sessions.get((agent, key))
        if asks is None or asks.place >= len(asks.asks):
            asks = sessions[agent, key] = session(agent, key * 7 + ord(agent))
        if not any(each.session is asks for each in running):
            call = there.take(asks, now_ms, now_ms, 1)
            assert call.prompt_tokens + call.cached_tokens == asks.context_tokens + asks.ask.new_tokens
            there.steps.push(call)
            running.append(call)
        if ends:
            while not there.steps.idle:
                there.steps.advance()
            for each in running:
                there.keep(each)
                each.session.context_tokens += each.session.ask.kept_tokens
                each.session.place += 1
            running.clear()
            there._evict()
        assert there._cached_tokens == sum(there._cached.values())
        assert set(there._users) >= {each for each in there._cached if isinstance(each, str)}
    while not there.steps.idle:
        there.steps.advance()
    for each in running:
        there.keep(each)
    there._evict()
    assert there.steps.cache_used_tokens == pytest.approx(0.0, abs=1e-6)
    assert there._cached_tokens <= tokens + 1
    assert all(count == 0 for count in there._users.values())
    assert {each: there._cached[each] for each in there._users} == {each: SHARED[each] for each in there._users}
