"""Engines that share a card."""

from __future__ import annotations

import pytest

from agentgpu_iac.simulation.simulate import Simulation, simulate
from tests.simulation import fleets


def twins():
    """One deployment twice, under two names; each replica is on the same card as its twin's."""
    plan = fleets.changed(fleets.sharing_server(fleets.small_plan(), token_ms=10.0), share_group="card")
    (workload,), (agent,) = plan.workloads, plan.agents
    other = workload.model_copy(update={"name": "twin", "agent": "twin", "served": ("twin",)})
    twin = agent.model_copy(update={"name": "twin", "deployment": "twin"})
    return plan.model_copy(update={"workloads": (workload, other), "agents": (agent, twin)})


def test_two_engines_that_are_busy_take_twice_as_long_as_one():
    """One request at a time each: with the twin at rest a token takes 10 ms, with both always busy 20."""
    plan = twins()
    alone = plan.model_copy(update={"workloads": plan.workloads[:1], "agents": plan.agents[:1]})
    quick = simulate(alone, Simulation(traffic="ramp", hours=0.2)).agents[0].turns[0].tpot_ms.mean
    answer = simulate(plan, Simulation(traffic="ramp", hours=0.2))
    both = [each.turns[0].tpot_ms.mean for each in answer.agents]
    assert all(each.requests == each.answered for each in answer.agents)
    assert both[0] == pytest.approx(both[1], rel=0.2)
    assert min(both) > 1.2 * quick
