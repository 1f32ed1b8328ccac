"""A plan for an EKS cluster that is there: what it costs no more, and what it asks of the cluster."""

from __future__ import annotations

import pytest

from agentgpu_iac.errors import BadInput
from agentgpu_iac.plan import Plan
from agentgpu_iac.spec.loader import load_bytes
from tests.planning.scenes import plan

OF_THE_CLUSTER = ("control plane", "extended support", "NAT gateway with", "system nodes", "public address", "log")


@pytest.fixture(scope="module")
def over() -> Plan:
    return plan(cluster="existing")


@pytest.fixture(scope="module")
def anew() -> Plan:
    return plan(cluster="new")


def test_new_is_what_unset_means(anew: Plan) -> None:
    assert anew.model_copy(update={"provenance": None, "written": ()}) == plan().model_copy(
        update={"provenance": None, "written": ()}
    )


def test_nodes_for_the_agents_are_the_same(over: Plan, anew: Plan) -> None:
    assert over.node_pools == anew.node_pools
    assert over.cost.baseline_usd_per_month == anew.cost.baseline_usd_per_month


def test_what_comes_with_a_cluster_is_no_cost_of_a_plan_over_one(over: Plan, anew: Plan) -> None:
    assert over.system_nodes is None
    assert anew.system_nodes is not None
    gone = {item.what for item in anew.cost.beside} - {item.what for item in over.cost.beside}
    assert len(gone) == len(OF_THE_CLUSTER), gone
    assert {item.what for item in over.cost.beside} <= {item.what for item in anew.cost.beside}
    assert over.cost.beside_usd_per_month is not None
    assert anew.cost.beside_usd_per_month is not None
    assert over.cost.beside_usd_per_month < anew.cost.beside_usd_per_month


def test_it_says_what_needs_room_there(over: Plan, anew: Plan) -> None:
    asked, system = over.existing_cluster, anew.system_nodes
    assert asked is not None
    assert system is not None
    assert anew.existing_cluster is None
    assert {pod.name for pod in asked.pods} <= {pod.name for pod in system.pods}
    assert "coredns" not in {pod.name for pod in asked.pods}, "the cluster's own pods have their place"
    assert asked.cpu_milli == sum(pod.cpu_milli * pod.pods for pod in asked.pods) > 0
    assert asked.requests_of("karpenter") == system.requests_of("karpenter")


@pytest.mark.parametrize("target", ["kubernetes", "spheron", "compose", "skyserve"])
def test_other_targets_have_nothing_to_choose(target: str) -> None:
    text = f"""\
apiVersion: agentgpu.dev/v1alpha1
kind: AgentStack
metadata: {{name: desk}}
spec:
  target: {target}
  cluster: existing
  agents: [{{name: support, model: a/b, sessions: {{concurrent: 1}}}}]
"""
    with pytest.raises(BadInput) as refused:
        load_bytes(text.encode(), "desk.yaml")
    assert any(fault.path == "spec.cluster" and fault.line == 6 for fault in refused.value.faults)
