"""Simulations that end as soon as they cannot hold: what is told of them is never below what the whole one shows."""

from __future__ import annotations

from typing import get_args

import pytest

from agentgpu_iac.plan import Plan
from agentgpu_iac.planning.proving import Question, proven
from agentgpu_iac.planning.watching_simulations import Watch
from agentgpu_iac.simulation.measures import AgentMeasures
from agentgpu_iac.simulation.profiles import Traffic
from agentgpu_iac.simulation.simulate import Simulation, simulate
from agentgpu_iac.simulation.volume import expected_requests, most_requests
from tests.planning import scenes
from tests.planning.test_proving import FIXED, faked
from tests.simulation import fleets

HOURS = 0.4


def with_budget(plan: Plan, ttft_ms: float) -> Plan:
    agents = tuple(each.model_copy(update={"budget_ttft_ms": ttft_ms}) for each in plan.agents)
    return plan.model_copy(update={"agents": agents})


@pytest.mark.parametrize("traffic", [each for each in get_args(Traffic) if each != "office-day"])
def test_no_more_requests_come_than_the_bound_says(traffic):
    plan = fleets.small_plan()
    found = simulate(plan, Simulation(traffic=traffic, hours=HOURS)).agents[0].requests
    most = most_requests(plan, traffic, HOURS)[plan.agents[0].name]
    assert found <= most
    assert most < 1.5 * expected_requests(plan, traffic, HOURS) + 2 * plan.agents[0].sessions_peak


@pytest.mark.parametrize("ttft_ms", [20.0, 80.0])
def test_what_is_ended_would_not_have_held(ttft_ms):
    plan = with_budget(fleets.small_plan(), ttft_ms)
    watch = Watch(plan, "ramp", HOURS, {None: 0.0})
    left = simulate(plan, Simulation(traffic="ramp", hours=HOURS, enough=watch)).agents[0]
    whole = simulate(plan, Simulation(traffic="ramp", hours=HOURS)).agents[0]
    assert watch.at_most is not None
    assert left.requests < whole.requests / 2
    assert (whole.inside_ttft_ratio or 0.0) <= watch.at_most[0] < whole.percentile / 100


def test_what_holds_goes_to_its_end():
    plan = with_budget(fleets.small_plan(), 10_000.0)
    watch = Watch(plan, "ramp", HOURS, {None: 0.0})
    watched = simulate(plan, Simulation(traffic="ramp", hours=HOURS, enough=watch))
    assert watch.at_most is None
    assert watched == simulate(plan, Simulation(traffic="ramp", hours=HOURS))


def test_what_is_nearer_than_another_one_goes_on_though_it_cannot_hold():
    plan = with_budget(fleets.small_plan(), 20.0)
    counts = AgentMeasures(plan.agents[0])
    counts.requests = counts.answered = 100
    counts.inside_ttft, counts.inside_tpot = 90, 100
    most = most_requests(plan, "ramp", 0.0)[plan.agents[0].name]
    at_most = counts.inside_at_most(most)
    assert at_most < 0.95
    for margin, ends in ((0.0, True), (at_most - 0.95 + 0.01, True), (at_most - 0.95 - 0.01, False)):
        assert Watch(plan, "ramp", 0.0, {None: margin})({plan.agents[0].name: counts}) == ends
    assert not Watch(plan, "ramp", 0.0, {None: 0.0, 0.5: 0.0})({plan.agents[0].name: counts}), (
        "it may hold for half of them"
    )


def ending(share):
    """A faked simulation that asks after its first moment whether it may end, when all that will be outside was outside."""

    def run(plan, asked, progress):
        inside = share(plan.workloads[0].replicas.max, asked.seed)
        counts = {}
        for agent in plan.served_agents:
            counts[agent.name] = each = AgentMeasures(agent)
            each.requests = each.answered = round(
                (1 - inside) * most_requests(plan, asked.traffic, asked.hours)[agent.name]
            )
        run.ended.append(asked.enough is not None and asked.enough(counts))
        return faked(lambda **_: inside)(plan, asked, progress)

    run.ended = []
    return run


def test_plans_that_break_are_ended_and_the_proof_is_of_whole_simulations():
    question = Question(traffic="ramp", hours=10.0, seeds=(1, 2))
    run = ending(lambda warm, _: 0.99 if warm >= 7 else 0.80 + warm / 100)
    (proof,) = proven(FIXED, scenes.CATALOG, question, run=run).proof
    assert (proof.holds, proof.warm_replicas, proof.requests) == (True, 7, 20_000)
    assert sum(run.ended) == 3, "four, five and six of them"
    run = ending(lambda warm, _: 0.80 + min(warm, 8) / 100)
    (proof,) = proven(FIXED, scenes.CATALOG, question, run=run).proof
    assert (proof.holds, proof.low_ratio, proof.warm_replicas, proof.requests) == (False, 0.88, 9, 20_000)


def test_a_plan_that_the_first_seed_flatters_is_not_taken():
    """Fewer replicas hold with the first seed: on the way that tells, and at the end the others do."""
    run = ending(lambda warm, seed: 0.99 if warm >= (84 if seed == 1 else 91) else 0.9)
    loaded = scenes.load(scenes.make_agent(sessions={"concurrent": 400}, overrides={"maxNumSeqs": 4}))
    (proof,) = proven(loaded, scenes.CATALOG, Question(traffic="ramp", hours=10.0, seeds=(1, 2)), run=run).proof
    assert proof.holds
    assert 91 <= proof.warm_replicas <= 93
    assert proof.plans <= 12
