"""What lies on one card, and how full that makes it: the engines of a workload, or of all workloads that share it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from agentgpu_iac.plan.node_pool import NodePool
from agentgpu_iac.plan.workload import Workload


@dataclass(frozen=True, slots=True)
class Card:
    """One accelerator when it is full. Whoever says how full a card is asks here."""

    engines: tuple[Workload, ...]
    """Each workload as often as it has engines there."""

    @property
    def used_ratio(self) -> float:
        """The part of what CUDA sees that they need, all together."""
        return sum(workload.memory.utilization_ratio for workload in self.engines)

    @property
    def line_ratio(self) -> float | None:
        """The part that the need may take: 1 - the largest ``reserveRatio``; None: the plan has none, as of before."""
        reserves = [each.memory.reserve_ratio for each in self.engines if each.memory.reserve_ratio is not None]
        return 1 - max(reserves) if reserves else None

    @property
    def fullness_ratio(self) -> float:
        """The need / the part that it may take: over 1 there is too much."""
        return self.used_ratio / (self.line_ratio or 1.0)


def cards(workloads: Iterable[Workload], node_pools: Iterable[NodePool]) -> tuple[Card, ...]:
    """Every kind of card."""
    slots = {pool.name: pool.slots_per_accelerator for pool in node_pools}
    found: dict[tuple[bool, str], list[Workload]] = {}
    for workload in workloads:
        shared = workload.share_group is not None
        found.setdefault((shared, workload.share_group or workload.name), []).append(workload)
    return tuple(
        Card(
            tuple(workload for workload in together for _ in range(max(1, slots[workload.node_pool] // len(together))))
        )
        for together in found.values()
    )


def cards_of(workloads: Iterable[Workload], node_pools: Iterable[NodePool]) -> Mapping[str, Card]:
    """The card of each workload, by the workload's name."""
    return {workload.name: card for card in cards(workloads, node_pools) for workload in card.engines}
