"""Nodes shaped like a plan's node pools, for KWOK to play.

What a node offers is the catalog's: CPU and memory that pods can have, accelerators, or their slots where the device
plugin shares them. It carries the labels that node groups and Karpenter put on it, and the accelerators' taint.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable
from typing import Any

from agentgpu_iac.catalog.model import InstanceType
from agentgpu_iac.catalog.store import load_catalog
from agentgpu_iac.plan import NodePool, Plan, SystemNodesPlan
from agentgpu_iac.plan.nodes import ACCELERATOR_RESOURCE, STACK_LABEL, node_labels
from tests.e2e.cluster.control_plane import FAKE_NODE

Object = dict[str, Any]

FABRIC_RESOURCE = "vpc.amazonaws.com/efa"
"""What the fabric's device plugin offers."""

TAINT = {"key": ACCELERATOR_RESOURCE, "value": "present", "effect": "NoSchedule"}

_UNKNOWN_CPU = 64
_UNKNOWN_MEMORY_GIB = 512
"""Of a machine whose provider does not say; the planner then asks for little."""

_KEPT_CPU_MILLI = 200
_KEPT_MEMORY_MIB = 1024
"""What the system keeps for itself where the catalog does not say what pods can have."""


@functools.cache
def instance_type(provider: str, name: str) -> InstanceType:
    """A machine of the catalog."""
    machines = (offering.instance_type for offering in load_catalog().offerings)
    return next(each for each in machines if (each.provider, each.name) == (provider, name))


def pool_node(
    plan: Plan, pool: NodePool, number: int, *, zone: int | None = None, capacity_type: str | None = None
) -> Object:
    """One node of a pool, in a zone by its number and bought the preferred way unless told otherwise."""
    name = f"{pool.name}-{number}"
    labels = {
        **node_labels(pool),
        STACK_LABEL: plan.stack,
        "kubernetes.io/arch": "arm64" if pool.architecture == "arm64" else "amd64",
        "kubernetes.io/os": "linux",
        "kubernetes.io/hostname": name,
        "node.kubernetes.io/instance-type": pool.instance_types[0].replace(" ", "-"),
        "topology.kubernetes.io/region": pool.region,
        "topology.kubernetes.io/zone": f"{pool.region}{'abc'[(number if zone is None else zone) % 3]}",
        "karpenter.sh/capacity-type": capacity_type or pool.capacity_types[0],
    }
    return node(name, labels, room(pool), [TAINT])


def room(pool: NodePool) -> dict[str, str]:
    """What pods can have on a node of a pool: CPU, memory, accelerators or their slots, and interfaces of the fabric."""
    machine = instance_type(pool.provider, pool.instance_types[0])
    cpu = machine.allocatable_cpu_milli or (machine.vcpu or _UNKNOWN_CPU) * 1000 - _KEPT_CPU_MILLI
    memory_gib = machine.memory_gib or _UNKNOWN_MEMORY_GIB
    memory = machine.allocatable_memory_mib or int(memory_gib * 1024) - _KEPT_MEMORY_MIB
    return {
        "cpu": f"{cpu}m",
        "memory": f"{memory}Mi",
        ACCELERATOR_RESOURCE: str(pool.accelerators_per_node * pool.slots_per_accelerator),
        FABRIC_RESOURCE: str(machine.efa_interfaces),
    }


def node(name: str, labels: dict[str, str], offers: dict[str, str], taints: list[dict[str, str]]) -> Object:
    """A node that KWOK plays."""
    resources = {"pods": "110", "ephemeral-storage": "500Gi", **offers}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": labels, "annotations": {FAKE_NODE: "fake"}},
        "spec": {"taints": taints},
        "status": {"capacity": resources, "allocatable": resources},
    }


def strangers(plans: Iterable[Plan]) -> tuple[Object, ...]:
    """Nodes that no pool of ours has: those without accelerators, of the shape that each plan gives them less what the cluster's
    own pods ask for, and one with eight accelerators that is another team's.

    Where the cluster is yours, one large node is there.
    """
    large = {"cpu": "190", "memory": "2000Gi"}
    own = {"kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64"}
    plain: dict[str, dict[str, str]] = {}
    for plan in plans:
        if (system := plan.system_nodes) is None:
            plain["plain"] = large
        else:
            plain |= {f"plain-{plan.stack}-{each}": _beside_the_clusters_own(system) for each in range(system.count)}
    return (
        *(node(name, {**own, "kubernetes.io/hostname": name}, offers, []) for name, offers in plain.items()),
        node(
            "other-team", {**own, "kubernetes.io/hostname": "other-team"}, {**large, ACCELERATOR_RESOURCE: "8"}, [TAINT]
        ),
    )


def _beside_the_clusters_own(system: SystemNodesPlan) -> dict[str, str]:
    """What is left of a system node for the stack: the cluster's own pods run in no suite, so each node carries its part."""
    ours = ("router", "proxy")
    others = [pod for pod in system.pods if pod.name not in ours]
    parts = [pod.pods if pod.placed == "each-node" else -(-pod.pods // system.count) for pod in others]
    cpu = system.allocatable_cpu_milli - sum(pod.cpu_milli * part for pod, part in zip(others, parts, strict=True))
    memory = system.allocatable_memory_mib - sum(pod.memory_mib * part for pod, part in zip(others, parts, strict=True))
    return {"cpu": f"{cpu}m", "memory": f"{memory}Mi"}
