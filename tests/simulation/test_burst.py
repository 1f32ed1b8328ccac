"""Burst replicas: when they come and go, what they cost, and what becomes of requests when a machine is taken back."""

from __future__ import annotations

from dataclasses import replace

import pytest

from agentgpu_iac.simulation.deployment import Deployment
from agentgpu_iac.simulation.mishaps import Mishaps
from agentgpu_iac.simulation.simulate import Simulation, simulate
from tests.simulation import fleets

ASKED = Simulation(traffic="ramp", hours=0.5, seed=3)


@pytest.fixture(scope="module")
def plan():
    """Every request long and seldom, so that few of them fill the fleet."""
    return fleets.burst_plan()


@pytest.fixture(scope="module")
def found(plan):
    return simulate(plan, ASKED)


def test_replicas_come_after_a_cold_start_and_not_beyond_the_plan(plan, found):
    (deployment,) = found.deployments
    burst = plan.workloads[1]
    arrivals = [each.at_s for each in deployment.moments if each.burst_replicas]
    asked = [each.at_s for each in deployment.moments if each.starting_replicas]
    assert asked
    assert arrivals
    assert 0 < deployment.most_burst_replicas <= burst.replicas.max
    assert 0.3 * burst.cold_start_s.total <= arrivals[0] - asked[0] <= 2 * burst.cold_start_s.upper.total


def test_what_comes_on_demand_costs_less_than_all_of_the_peak(found):
    (deployment,) = found.deployments
    assert 0 < deployment.usd < deployment.static_peak_usd
    assert deployment.gpu_hours > 0.5  # the baseline alone


def test_nothing_is_lost_without_reclaims(found):
    (agent,) = found.agents
    assert (agent.lost, agent.requests) == (0, agent.answered + agent.refused)


def test_a_machine_that_is_taken_back_costs_tries_and_every_request_still_ends_once(plan, found):
    burst = plan.workloads[1]
    pools = tuple(pool.model_copy(update={"capacity_types": ("spot",)}) for pool in plan.node_pools)
    no_notice = burst.model_copy(update={"drain": burst.drain.model_copy(update={"notice_s": 0})})
    taken = simulate(
        plan.model_copy(update={"node_pools": pools, "workloads": (plan.workloads[0], no_notice)}),
        replace(ASKED, mishaps=Mishaps(reclaims_per_hour=30)),
    )
    (agent,), (deployment,) = taken.agents, taken.deployments
    assert deployment.reclaimed > 0
    assert agent.retried > found.agents[0].retried
    assert agent.requests == agent.answered + agent.refused + agent.lost


def mishap(plan, **fields):
    (answer,) = (simulate(plan, Simulation(traffic="ramp", hours=0.5, mishaps=Mishaps(**fields))),)
    (agent,), (deployment,) = answer.agents, answer.deployments
    assert agent.requests == agent.answered + agent.refused + agent.lost
    return agent, deployment


def test_a_machine_that_fails_is_missed_until_kubernetes_has_given_it_up():
    """Two replicas: one goes with what it computes, its callers try again, and the other serves until a third is there."""
    agent, deployment = mishap(fleets.with_replicas(fleets.small_plan(), 2), failures_per_hour=4.0)
    assert deployment.failed
    assert agent.retried
    assert {each.warm_replicas for each in deployment.moments} >= {1, 2}


def test_a_rollout_replaces_every_replica_and_loses_nothing():
    plan = fleets.with_replicas(fleets.small_plan(), 2)
    for surge in (0, 1):
        rollout = plan.workloads[0].rollout.model_copy(update={"max_surge": surge, "max_unavailable": 1 - surge})
        agent, deployment = mishap(fleets.changed(plan, rollout=rollout), rollout_at_s=60.0)
        assert (deployment.rolled, agent.lost, agent.refused) == (2, 0, 0)
        assert min(each.warm_replicas for each in deployment.moments) == 1 + surge


def test_a_provider_that_has_no_machine_delays_a_burst():
    plan = fleets.burst_plan()
    known = mishap(plan)[1].burst_starts
    _, late = mishap(plan, refused_ratio=0.6)
    assert known
    assert late.refused_machines


def test_an_empty_node_is_paid_until_it_goes(plan):
    """Also where another replica is asked for after that; and nothing of it before the bill begins."""
    deployment = Deployment(plan, plan.workloads, 1, shared={})
    idle_ms = deployment.pools["burst"].idle_s * 1000
    assert idle_ms > 0
    deployment.end(deployment.add("burst", 0.0, 0.0), 1000.0, node_stays=True)
    assert deployment.paid_ms["burst"] == 1000.0
    deployment.start_bill(2000.0)
    assert deployment.has_idle_node("burst", 3000.0)
    deployment.start_s("burst", 1000.0 + idle_ms + 1)
    assert deployment.paid_ms["burst"] == pytest.approx(1000.0 + idle_ms - 2000.0)
    assert deployment.idle_nodes == []
