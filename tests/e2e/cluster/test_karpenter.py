"""Karpenter makes the right nodes for pending pods of the rendered NodePools.

Karpenter's own provider for KWOK runs here, with the machines, sizes and prices of our catalog. It knows no EC2NodeClass,
so the one change to a rendered NodePool is its node class, which these tests swap for a KWOKNodeClass of the same name.
Pools that no autoscaler may change get their nodes from the tests.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from agentgpu_iac.catalog.model import InstanceType
from agentgpu_iac.catalog.store import load_catalog
from agentgpu_iac.plan import NodePool, Workload
from agentgpu_iac.plan.nodes import ACCELERATOR_RESOURCE, POOL_LABEL
from tests.e2e.cluster.control_plane import ControlPlane, Object
from tests.e2e.cluster.nodes import FABRIC_RESOURCE, pool_node
from tests.e2e.cluster.trees import STACK_NAMES, Tree, tree
from tests.e2e.cluster.workloads import (
    add_group_pods,
    at_rest,
    baseline,
    burst,
    condition,
    is_ready,
    pods_of,
    pods_per_replica,
    scale,
    unschedulable,
)
from tests.e2e.ports import free_ports
from tools.install import path as tool

REGION = "us-east-1"
ZONES = ("us-east-1a",)
"""One: a group whose pods reach Karpenter in two batches may get nodes in two zones, and then waits for ever."""
NAMES = tuple(name for name in STACK_NAMES if tree(name).of_kind("NodePool"))
STACKS = pytest.mark.parametrize("name", NAMES)

_KEPT_CPU_MILLI, _KEPT_MEMORY_MIB = 100, 10
"""What the provider itself takes off every machine."""


@pytest.fixture(scope="module")
def running(equipped_cluster: ControlPlane) -> ControlPlane:
    """All stacks that Karpenter makes nodes for, and then Karpenter.

    It sees all pods at once, and acts on those that the scheduler has found no node for. Of pods that come in several
    batches it may make a node more than its limit for a moment, since it counts its limits a little late; and of a group
    that does it may put the worker's node in another zone than the leader's, whose node has no zone yet.
    """
    cluster = equipped_cluster
    for made in map(tree, NAMES):
        for namespace in made.foreign_namespaces:
            cluster.add_namespace(namespace)
        for body in made.objects:
            if body["kind"] == "NodePool":
                cluster.put(kwok_class(body))
                cluster.put(swapped(body))
            elif body["kind"] != "HorizontalPodAutoscaler":  # it would take away the replica that is one too many
                cluster.put(at_rest(made, body))
        add_group_pods(cluster, made)
        for pool in made.plan.node_pools:
            if pool.fixed_size:
                for number in range(pool.min):
                    cluster.create("/api/v1/nodes", pool_node(made.plan, pool, number))
        for workload in baseline(made):
            cluster.until(
                f"the pods of {workload.name} have been looked at",
                lambda one=made, each=workload: all_looked_at(cluster, one, each, each.replicas.min),
            )
    machines = cluster.folder / "instance-types.json"
    machines.write_text(json.dumps(instance_types()), encoding="utf-8")
    metrics, health = free_ports(2)
    cluster.start(
        "karpenter",
        [tool("karpenter-kwok")],
        KUBECONFIG=str(cluster.kubeconfig),
        DISABLE_LEADER_ELECTION="true",
        METRICS_PORT=str(metrics),
        HEALTH_PROBE_PORT=str(health),
        INSTANCE_TYPES_FILE_PATH=str(machines),
        BATCH_IDLE_DURATION="1s",
        BATCH_MAX_DURATION="5s",
        SYSTEM_NAMESPACE="kube-system",
    )
    return cluster


@STACKS
def test_pending_pods_get_nodes_of_the_planned_pool_and_machine(running: ControlPlane, name: str) -> None:
    made = tree(name)
    for workload in baseline(made):
        check_nodes(running, made, workload, workload.replicas.min)


@STACKS
def test_karpenter_makes_no_more_nodes_than_planned(running: ControlPlane, name: str) -> None:
    made = tree(name)
    for pool in rendered_pools(made):
        wanted = sum(workload.replicas.min for workload in made.plan.workloads if workload.node_pool == pool.name)
        assert bool(wanted) <= len(nodes_of(running, pool)) <= pool.min


@pytest.mark.parametrize("name", [name for name in NAMES if burst(tree(name))])
def test_a_burst_gets_its_nodes_and_stops_at_the_planned_limit(running: ControlPlane, name: str) -> None:
    made = tree(name)
    for workload in burst(made):
        pool = made.plan.pool(workload.node_pool)
        with running.paused("karpenter"):  # until it can see all pods at once
            beyond = workload.replicas.max + workload.rollout.max_surge + 1
            scale(running, made, workload, beyond)
            running.until(
                "all pods have been looked at",
                lambda each=workload, count=beyond: all_looked_at(running, made, each, count),
            )
        check_nodes(running, made, workload, workload.replicas.max + workload.rollout.max_surge)
        running.until("one pod is left", lambda each=workload: len(unschedulable(running, made, each)) == 1)
        running.until(
            "Karpenter says that the limit is reached",
            lambda each=workload, full=pool: limit_refusals(running, made, each, full),
        )
        assert len(nodes_of(running, pool)) == pool.max + pool.surge_nodes


def all_looked_at(cluster: ControlPlane, made: Tree, workload: Workload, replicas: int) -> bool:
    """Whether there are the pods of so many replicas, and the scheduler has an answer for each."""
    pods = pods_of(cluster, made, workload)
    wanted = replicas * pods_per_replica(made, workload)
    return len(pods) == wanted and all(condition(pod, "PodScheduled") for pod in pods)


def limit_refusals(cluster: ControlPlane, made: Tree, workload: Workload, pool: NodePool) -> list[str]:
    """The pods of a workload for which Karpenter said that it may make no more nodes of a pool.

    It logs each such pod on each pass. Its events are no measure: one a pod in five minutes, cut off at 1,024 characters.
    """
    lines = (cluster.folder / "karpenter.log").read_text(encoding="utf-8").splitlines()
    told = [json.loads(line) for line in lines if "could not schedule pod" in line]
    limit = f"exceed limits for nodepool (NodePool={pool.name})"
    return [
        each["Pod"]["name"]
        for each in told
        if each["Pod"]["namespace"] == made.plan.stack
        and each["Pod"]["name"].startswith(f"{workload.name}-")
        and limit in each["error"]
    ]


def check_nodes(cluster: ControlPlane, made: Tree, workload: Workload, replicas: int) -> None:
    """Wait until so many replicas are ready, and look at the nodes that they got."""
    pool = made.plan.pool(workload.node_pool)
    wanted = replicas * pods_per_replica(made, workload)
    landed = cluster.until(
        f"{wanted} pods of {workload.name} are ready",
        lambda: len(found := [pod for pod in pods_of(cluster, made, workload) if is_ready(pod)]) >= wanted and found,
    )
    assert len(landed) == wanted
    offered = next(way for way in pool.capacity_types if way != "reserved")  # no capacity is held here
    nodes = {each["metadata"]["name"]: each["metadata"]["labels"] for each in nodes_of(cluster, pool)}
    for pod in landed:
        labels = nodes[pod["spec"]["nodeName"]]
        assert labels["node.kubernetes.io/instance-type"] in pool.instance_types
        assert labels["karpenter.sh/capacity-type"] == offered


def rendered_pools(made: Tree) -> tuple[NodePool, ...]:
    """The pools that a NodePool is rendered for."""
    return tuple(made.plan.pool(each["metadata"]["name"]) for each in made.of_kind("NodePool"))


def swapped(body: Object) -> Object:
    """A rendered NodePool with a KWOKNodeClass in place of its EC2NodeClass, and nothing else changed."""
    swap = json.loads(json.dumps(body))
    reference = swap["spec"]["template"]["spec"]["nodeClassRef"]
    assert (reference["group"], reference["kind"]) == ("karpenter.k8s.aws", "EC2NodeClass")
    reference.update(group="karpenter.kwok.sh", kind="KWOKNodeClass")
    result: Object = swap
    return result


def kwok_class(body: Object) -> Object:
    """The node class that takes the place of a NodePool's own."""
    name = body["spec"]["template"]["spec"]["nodeClassRef"]["name"]
    return {"apiVersion": "karpenter.kwok.sh/v1alpha1", "kind": "KWOKNodeClass", "metadata": {"name": name}, "spec": {}}


def instance_types() -> list[dict[str, Any]]:
    """Every GPU machine of the region in the catalog, as the provider reads it: those of the plans and all others."""
    offered = [each for each in load_catalog().offerings if (each.provider, each.region) == ("aws", REGION)]
    machines: dict[str, InstanceType] = {each.instance_type.name: each.instance_type for each in offered}
    prices = {(each.instance_type.name, each.capacity_type): float(each.usd_per_hour) for each in offered}
    return [
        {
            "name": name,
            "architecture": "arm64" if machine.architecture == "arm64" else "amd64",
            "operatingSystems": ["linux"],
            "resources": {
                "cpu": f"{machine.allocatable_cpu_milli + _KEPT_CPU_MILLI}m",
                "memory": f"{machine.allocatable_memory_mib + _KEPT_MEMORY_MIB}Mi",
                "ephemeral-storage": "500Gi",
                ACCELERATOR_RESOURCE: str(machine.schedulable_gpus),
                FABRIC_RESOURCE: str(machine.efa_interfaces),
            },
            "offerings": [
                {
                    "Price": price,
                    "Available": True,
                    "Requirements": [
                        is_in("karpenter.sh/capacity-type", way),
                        is_in("topology.kubernetes.io/zone", zone),
                    ],
                }
                for way in ("on-demand", "spot")
                if (price := prices.get((name, way)))
                for zone in ZONES
            ],
        }
        for name, machine in machines.items()
        if machine.allocatable_cpu_milli and machine.allocatable_memory_mib and machine.schedulable_gpus
    ]


def is_in(key: str, value: str) -> dict[str, Any]:
    """A requirement of an offering."""
    return {"key": key, "operator": "In", "values": [value]}


def nodes_of(cluster: ControlPlane, pool: NodePool) -> list[Object]:
    """The nodes of a pool."""
    return cluster.items(f"/api/v1/nodes?labelSelector={POOL_LABEL}={pool.name}")
