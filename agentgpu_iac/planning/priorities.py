"""Who stays when a node is full: the stack's priority classes.

Accelerator nodes are tainted and engines select their pool, so these classes decide among the pods of one pool only.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from agentgpu_iac.plan import PriorityClassPlan, PriorityLevel, Workload
from agentgpu_iac.planning.demand import Demand
from agentgpu_iac.spec.vocabulary import Tier

_CLASSES: Final = (
    PriorityClassPlan(
        level="user-facing",
        value=100_000,
        preempts=True,
        description="Warm replicas of agents that people wait for.",
    ),
    PriorityClassPlan(
        level="burst",
        value=50_000,
        preempts=True,
        description="Burst replicas of agents that people wait for.",
    ),
    PriorityClassPlan(
        level="background",
        value=1_000,
        preempts=False,
        description="Agents whose work can wait: they never push others out.",
    ),
)
"""Highest first. All are above 0, what pods without a class have, so that placeholders which keep spare nodes warm give
way; all are far below the two billion of Kubernetes' own classes, so that no engine pushes out what a node needs."""


def level(demand: Demand, tier: Tier) -> PriorityLevel:
    """The priority of an agent's replicas in a tier."""
    if not demand.user_facing:
        return "background"
    return "user-facing" if tier == "baseline" else "burst"


def highest(levels: Iterable[PriorityLevel]) -> PriorityLevel:
    """The highest of some priorities."""
    found = set(levels)
    return next(priority.level for priority in _CLASSES if priority.level in found)


def classes(workloads: Sequence[Workload]) -> tuple[PriorityClassPlan, ...]:
    """The classes that the workloads have, highest first."""
    used = {workload.pod.priority for workload in workloads}
    return tuple(priority for priority in _CLASSES if priority.level in used)
