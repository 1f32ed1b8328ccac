"""What lies on one card: the engines of a workload, or of all workloads that share it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from agentgpu_iac.plan.node_pool import NodePool
from agentgpu_iac.plan.workload import Workload


def cards(workloads: Iterable[Workload], node_pools: Iterable[NodePool]) -> tuple[tuple[Workload, ...], ...]:
    """For each kind of card what lies on it when it is full: each workload as often as it has engines there."""
    slots = {pool.name: pool.slots_per_accelerator for pool in node_pools}
    found: dict[tuple[bool, str], list[Workload]] = {}
    for workload in workloads:
        shared = workload.share_group is not None
        found.setdefault((shared, workload.share_group or workload.name), []).append(workload)
    return tuple(
        tuple(workload for workload in together for _ in range(max(1, slots[workload.node_pool] // len(together))))
        for together in found.values()
    )


def used_ratio(card: Sequence[Workload]) -> float:
    """The part of the card's memory that they need, all together."""
    return sum(workload.memory.utilization_ratio for workload in card)
