"""Where a fleet is a queue that theory knows, theory's figure lies in the confidence interval of the simulations."""

from __future__ import annotations

import math
from collections.abc import Callable
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentgpu_iac.simulation.mishaps import Mishaps
from agentgpu_iac.simulation.simulate import Simulation, simulate
from agentgpu_iac.sizing.pauses import user_points
from tests.simulation import fleets

SEEDS = range(1, 9)
STUDENT_T = 3.499
"""Of eight seeds, for 99 in 100."""
STEP_MS, MEAN_TOKENS = 10.0, 100


def interval(values: list[float]) -> tuple[float, float]:
    """99 % confidence interval of the mean."""
    mean = math.fsum(values) / len(values)
    error = math.sqrt(math.fsum((each - mean) ** 2 for each in values) / (len(values) - 1) / len(values))
    return mean - STUDENT_T * error, mean + STUDENT_T * error


def poisson(load: float, service_s: float, count: int, seed: int, length: Callable[[Random], int]):
    """A trace whose requests come by chance and ask for ``length`` tokens."""
    chance, at, requests = Random(f"{seed}/theory"), 0.0, []
    for _ in range(count):
        at -= math.log(1 - chance.random()) * service_s / load
        requests.append((at, 1, length(chance)))
    return fleets.trace(*requests)


def geometric(chance: Random) -> int:
    return min(1500, 1 + int(math.log(1 - chance.random()) / math.log(1 - 1 / MEAN_TOKENS)))


def two_kinds(chance: Random) -> int:
    """One in ten is 28 times as long as the others: a coefficient of variation of 2.3."""
    return 756 if chance.random() < 0.1 else 27


def erlang_c(servers: int, load: float) -> float:
    """Probability that a request waits in an M/M/c queue."""
    term = load**servers / math.factorial(servers) * servers / (servers - load)
    return term / (sum(load**n / math.factorial(n) for n in range(servers)) + term)


@pytest.mark.broad(every=2)
@pytest.mark.parametrize(("seats", "load"), [(1, 0.5), (4, 3.0)])
def test_seats_of_constant_steps_are_an_mmc_queue(seats, load):
    """Poisson arrivals, geometric lengths: the wait for a seat."""
    plan = fleets.with_limit(fleets.constant_server(fleets.small_plan(), step_ms=STEP_MS, seats=seats), None)
    service_s = MEAN_TOKENS * STEP_MS / 1000
    beside_ms = fleets.first(plan).latency.network_ms + 1.5 * STEP_MS
    waits = []
    for seed in SEEDS:
        trace = poisson(load, service_s, 1500, seed, geometric)
        found = simulate(plan, Simulation(trace=trace, requests_per_s=trace.requests_per_s)).agents[0]
        waits.append((found.turns[0].ttft_ms.mean or 0.0) - beside_ms)
    low, high = interval(waits)
    assert low <= 1000 * erlang_c(seats, load) * service_s / (seats - load) <= high


@pytest.mark.broad(every=2)
@pytest.mark.parametrize("length", [geometric, two_kinds])
def test_steps_in_proportion_to_their_requests_are_processor_sharing(length):
    """M/G/1-PS: the mean time of an answer is that of its work alone over the free part, whatever the lengths' distribution."""
    plan, load, count = fleets.sharing_server(fleets.small_plan(), token_ms=STEP_MS), 0.6, 1500
    network_ms = fleets.first(plan).latency.network_ms
    ratios = []
    for seed in SEEDS:
        trace = poisson(load, MEAN_TOKENS * STEP_MS / 1000, count, seed, length)
        found = simulate(plan, Simulation(trace=trace, requests_per_s=trace.requests_per_s)).agents[0]
        ratios.append(((found.turns[0].e2e_ms.mean or 0.0) - network_ms) / (MEAN_TOKENS * STEP_MS))
    low, high = interval(ratios)
    assert low <= 1 / (1 - load) <= high


def engset(sources: int, seats: int, each: float) -> float:
    """Share of the requests of so many sources that find no seat; ``each``: time of an answer over the pause between two."""
    terms = [math.comb(sources - 1, held) * each**held for held in range(seats + 1)]
    return terms[seats] / sum(terms)


@pytest.mark.broad(every=2)
@pytest.mark.parametrize("seats", [2, 4])
def test_users_who_are_turned_away_are_engset(seats):
    """Twelve users who pause, ask once and go back to pausing, answered or refused."""
    plan = fleets.constant_server(fleets.small_plan(), step_ms=40.0, seats=64)
    plan = fleets.with_limit(plan, seats)
    (agent,) = plan.served_agents
    assert agent.talk is not None
    talk = agent.talk.conversation.model_copy(update={"turns": 1, "output_tokens_per_turn": 100})
    asked = agent.model_copy(update={"talk": agent.talk.model_copy(update={"conversation": talk})})
    plan = plan.model_copy(update={"agents": (asked,)})
    pause_s = math.fsum(user_points(talk)) / len(user_points(talk))
    shares, busy = [], []
    for seed in SEEDS:
        found = simulate(
            plan, Simulation(traffic="ramp", hours=1.0, seed=seed, mishaps=Mishaps(client_tries=1))
        ).agents[0]
        shares.append(found.refused / found.requests)
        busy.append(((found.turns[0].e2e_ms.mean or 0.0) - fleets.first(plan).latency.network_ms) / 1000)
    low, high = interval(shares)
    assert low <= engset(12, seats, sum(busy) / len(busy) / pause_s) <= high


@given(lengths=st.lists(st.integers(1, 400), min_size=1, max_size=40), seats=st.integers(1, 50))
@settings(max_examples=15, deadline=None)
def test_work_is_conserved(lengths, seats):
    """Whoever goes first, a replica that shares its time has all done when all the work is done, and idles never before."""
    plan = fleets.sharing_server(fleets.small_plan(), token_ms=STEP_MS)
    plan = fleets.changed(plan, max_num_seqs=seats, max_num_seqs_per_group=seats)
    trace = fleets.trace(*((0.0, 1, each) for each in lengths))
    found = simulate(plan, Simulation(trace=trace, requests_per_s=trace.requests_per_s))
    whole = found.agents[0].turns[0].e2e_ms
    done_ms = (whole.p99 or 0.0) - fleets.first(plan).latency.network_ms
    decoded = sum(each - 1 for each in lengths) * STEP_MS
    assert found.agents[0].answered == len(lengths)
    assert done_ms == pytest.approx(decoded, rel=0.002, abs=1.0)
