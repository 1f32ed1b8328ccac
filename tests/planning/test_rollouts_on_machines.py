"""Virtual machines replace all their engines at once, and a second one helps only where callers are led to it."""

from __future__ import annotations

import functools

import pytest

from agentgpu_iac import plan as p
from tests.planning.scenes import make_agent, plan


@functools.cache
def on(target: str, replicas: int = 1) -> p.Plan:
    agent = make_agent(latencyClass="chat", overrides={"baselineReplicas": replicas})
    return plan(agent, target=target)


def told(found: p.Plan) -> list[str]:
    return [warning.message for warning in found.warnings if warning.code == "single-replica"]


def second(found: p.Plan) -> list[p.Alternative]:
    return [other for other in found.cost.alternatives if "second warm replica" in other.description]


def test_no_second_machine_is_offered_where_nothing_leads_callers_there() -> None:
    (message,) = told(on("compose"))
    assert second(on("compose")) == []
    assert "second" not in message
    (other,) = second(on("kubernetes"))
    assert other.note == "no outage at rollouts or when a node fails"


@pytest.mark.parametrize("replicas", [1, 2])
def test_engines_of_a_machine_go_together_however_many_there_are(replicas: int) -> None:
    baseline = on("compose", replicas).workloads[0]
    assert baseline.replicas.max == replicas
    assert baseline.rollout.max_surge == 0
    assert baseline.rollout.outage_s == baseline.cold_start_s.warm_node_total > 0
    (message,) = told(on("compose", replicas))
    assert message.startswith("one replica" if replicas == 1 else "2 replicas: a machine starts")
    assert ("an engine that exits" in message) is (replicas == 1)


def test_two_replicas_in_a_cluster_leave_no_gap() -> None:
    assert on("kubernetes", 2).workloads[0].rollout.outage_s == 0
    assert told(on("kubernetes", 2)) == []


def test_only_a_stack_with_a_burst_tier_is_called_one() -> None:
    assert on("compose").architecture == "single-node"
    still = plan(make_agent("a"), make_agent("b"), capacity={"shareAccelerators": "never"})
    assert {workload.tier for workload in still.workloads} == {"baseline"}
    assert still.architecture == "several-nodes"
    grown = plan(make_agent(traffic={"burstFactor": 40, "rampS": 7200}, sessions={"concurrent": 40}))
    assert {workload.tier for workload in grown.workloads} == {"baseline", "burst"}
    assert grown.architecture == "baseline-and-burst"
