"""What raises and lowers baselines by the clock."""

from __future__ import annotations

from collections.abc import Mapping

from agentgpu_iac.plan import OpenHoursPlan, ReplicaRange, Schedule, Workload
from agentgpu_iac.planning.opening import POLLING_S, Opening, lead_minutes
from agentgpu_iac.planning.pools import Placed
from agentgpu_iac.spec.model import StackSpec
from agentgpu_iac.targets import target_of
from agentgpu_iac.units import rounded


def by_the_clock(
    workloads: tuple[Workload, ...], placed: Mapping[str, Placed], spec: StackSpec
) -> tuple[Workload, ...]:
    """The same workloads; baselines with the hours in which they run, where something of the plan follows these.

    ``placed`` are by the names of the deployments. Engines that share an accelerator stay: nothing that scales sees them.
    """
    if not target_of(spec).can.scales_on_metrics:
        return workloads
    return tuple(_following(workload, placed[workload.agent]) for workload in workloads)


def _following(workload: Workload, member: Placed) -> Workload:
    opening = member.candidate.demand.opening
    if opening is None or workload.tier == "burst" or workload.share_group is not None:
        return workload
    hours = _open_hours(workload, member, opening)
    if hours is None:
        return workload
    replicas = ReplicaRange(min=hours.replicas_outside, max=workload.replicas.max)
    return workload.model_copy(update={"open_hours": hours, "replicas": replicas})


def _open_hours(workload: Workload, member: Placed, opening: Opening) -> OpenHoursPlan | None:
    """None where as many replicas stay outside as there are inside, or where a start fills all that a window leaves closed."""
    there, replicas = member.option.open, workload.replicas.max
    outside = min(opening.replicas_outside, replicas)
    if outside == replicas:
        return None
    lead = lead_minutes(workload.cold_start_s.upper.total) if there is None else there.lead_minutes
    running = opening.running(lead)
    if any(hours.is_always for hours in running):
        return None
    return OpenHoursPlan(
        open_hours_per_week=rounded(opening.open_minutes / 60, 2),
        node_hours_per_month=None if there is None else rounded(float(there.hours), 2),
        lead_s=lead * 60,
        replicas_outside=outside,
        windows=tuple(
            Schedule(start=start, end=end, timezone=hours.timezone, replicas=replicas)
            for hours in running
            for start, end in hours.crons()
        ),
        polling_interval_s=POLLING_S,
    )
