"""What holds of every simulation, whatever is planned and sent."""

from __future__ import annotations

import json
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentgpu_iac.plan import ReplicaWeight
from agentgpu_iac.simulation.deployment import Deployment
from agentgpu_iac.simulation.outcome import SimulationAnswer
from agentgpu_iac.simulation.sessions import Session
from agentgpu_iac.simulation.simulate import Simulation, simulate
from tests.simulation import fleets

REQUESTS = st.lists(
    st.tuples(st.floats(0, 30), st.integers(1, 1500), st.integers(1, 200)), min_size=2, max_size=40
).map(lambda found: fleets.trace(*sorted(found)))


def sent(plan, trace, **asked) -> SimulationAnswer:
    return simulate(plan, Simulation(trace=trace, requests_per_s=trace.requests_per_s, **asked))


@given(trace=REQUESTS, replicas=st.integers(1, 4), limit=st.integers(1, 12) | st.none(), seed=st.integers(0, 9))
@settings(max_examples=25, deadline=None)
def test_every_request_ends_exactly_once(trace, replicas, limit, seed):
    plan = fleets.with_limit(fleets.with_replicas(fleets.small_plan(), replicas), limit)
    (agent,) = sent(plan, trace, seed=seed).agents
    assert agent.requests == agent.answered + agent.refused + agent.lost
    assert agent.requests == len(trace.requests)
    assert limit is not None or agent.refused == 0


@given(trace=REQUESTS, tokens=st.integers(1800, 6000))
@settings(max_examples=25, deadline=None)
def test_the_cache_is_never_beyond_its_capacity(trace, tokens):
    found = sent(fleets.with_cache(fleets.small_plan(), tokens), trace)
    assert found.deployments[0].peak_kv_ratio <= 1.0
    assert found.agents[0].answered == len(trace.requests)


@given(trace=REQUESTS)
@settings(max_examples=10, deadline=None)
def test_more_replicas_are_never_worse(trace):
    """Without limits, of requests that share nothing: the fleet's mean beyond what chance of the hash deals out."""
    means = [
        sent(fleets.with_limit(fleets.with_replicas(fleets.small_plan(), count), None), trace)
        .agents[0]
        .turns[0]
        .e2e_ms.mean
        for count in (1, 8)
    ]
    assert means[1] <= means[0] * 1.01


def test_a_router_without_sessions_takes_one_replica_after_another():
    """Found by reading: the turn was only counted where every replica refused, so the first one got all."""
    plan = fleets.with_replicas(fleets.small_plan(), 3)
    routing = plan.workloads[0].routing.model_copy(update={"policy": "round-robin"})
    there = Deployment(plan, fleets.changed(plan, routing=routing).workloads, 1, shared={})
    for _ in range(3):
        there.enter(there.add("baseline", 0.0, 0.0))
    session = Session("a", (), 7)
    assert [next(there.tries(session)).number for _ in range(6)] == [0, 1, 2, 0, 1, 2]


def test_the_same_seed_gives_the_same_bytes_and_another_does_not():
    asked = {seed: Simulation(hours=0.05, seed=seed) for seed in (1, 2)}
    texts = [json.dumps(simulate(fleets.small_plan(), asked[seed]).model_dump(mode="json")) for seed in (1, 1, 2)]
    assert texts[0] == texts[1] != texts[2]


def test_a_saved_plan_is_simulated_alike(tmp_path):
    from agentgpu_iac.plan.reading import load_plan
    from agentgpu_iac.plan.writing import plan_text

    path = tmp_path / "plan.json"
    path.write_text(plan_text(fleets.small_plan()))
    assert simulate(load_plan(path), Simulation(hours=0.05)) == simulate(fleets.small_plan(), Simulation(hours=0.05))


def test_as_many_generate_as_the_closed_queue_of_the_plan_says():
    """Little: answered a second x time of an answer, beside ``sizing.generating``'s product form."""
    plan, hours = fleets.small_plan(), 0.5
    found = simulate(plan, Simulation(traffic="ramp", hours=hours)).agents[0]
    generating = fleets.first(plan).generating
    assert generating is not None
    assert generating.peak.held_sessions == 12
    times = found.turns[0].e2e_ms.mean - fleets.first(plan).latency.network_ms
    computed = found.answered / (hours * 3600) * times / 1000
    assert computed == pytest.approx(generating.peak.generating_mean, rel=0.1)


def test_sessions_are_dealt_by_the_weights_of_the_plan_as_nginx_deals_them():
    plan = fleets.burst_plan()
    assert plan.router is not None
    weights = tuple(
        ReplicaWeight(workload=each.name, weight=weight) for each, weight in zip(plan.workloads, (10, 30), strict=True)
    )
    weighted = plan.model_copy(update={"router": plan.router.model_copy(update={"weights": weights})})
    shares, sessions = [], [Session("a", (), chance.getrandbits(32)) for chance in [Random(1)] for _ in range(4000)]
    for each in (plan, weighted):
        there = Deployment(each, each.workloads, 1, shared={})
        for tier in ("baseline", "burst"):
            there.enter(there.add(tier, 0.0, 0.0))
        homes = [there.own(session) for session in sessions]
        shares.append(sum(home is not None and home.engine.workload.tier == "burst" for home in homes) / len(homes))
    assert shares == [pytest.approx(1 / 2, abs=0.08), pytest.approx(3 / 4, abs=0.06)]
