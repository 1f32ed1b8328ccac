"""What a schedule costs and saves, where that is not what its reader expects."""

from __future__ import annotations

from collections.abc import Iterator

from agentgpu_iac.plan import Warning
from agentgpu_iac.planning.advice.context import Context
from agentgpu_iac.planning.advice.wording import warning
from agentgpu_iac.planning.choosing.candidates import Candidate
from agentgpu_iac.targets import target_of
from agentgpu_iac.units import counted


def schedule_warnings(context: Context, candidate: Candidate) -> Iterator[Warning]:
    """About one deployment's schedule, or the schedules of some of its agents."""
    demand = candidate.demand
    stated = [member.name for member in demand.served if member.opening is not None]
    if not stated:
        return
    baseline = context.tiers[demand.name][0]
    pool, hours = context.pools[baseline.node_pool], baseline.open_hours
    if hours is None:
        yield warning("schedule-not-followed", f"{_why_not(context, candidate, stated)}", demand.name)
        return
    closed = 168 - hours.open_hours_per_week
    if hours.node_hours_per_month is None:
        yield warning(
            "schedule-saves-no-nodes",
            f"its replicas go outside the windows ({closed:g} h a week), and its nodes stay: {_why_stay(context, candidate)}",
            demand.name,
        )
    elif pool.autoscaler is None:
        yield warning(
            "schedule-needs-autoscaler",
            f"{counted(pool.max, 'node')} of {pool.name} are counted for {hours.node_hours_per_month:g} of 720 h a month: "
            "an autoscaler of yours must make them when replicas are pending, and take them away when they are empty",
            demand.name,
        )
    if demand.user_facing and not hours.replicas_outside:
        yield warning(
            "nobody-outside-schedule",
            f"outside its windows, {closed:g} h a week, nobody is answered: schedule.replicasOutside is 0",
            demand.name,
        )


def _why_stay(context: Context, candidate: Candidate) -> str:
    capacity = context.spec.capacity
    if context.pools[context.tiers[candidate.demand.name][0].node_pool].owned:
        return "they are yours (capacity.inventory), and cost the same around the clock"
    if capacity.reservation != "none":
        return "they are held (capacity.reservation), and paid around the clock"
    return "beside others who are there around the clock they cost least"


def _why_not(context: Context, candidate: Candidate, stated: list[str]) -> str:
    demand = candidate.demand
    baseline = context.tiers[demand.name][0]
    if demand.opening is None:
        always = [member.name for member in demand.served if member.opening is None]
        if always:
            return (
                f"the schedule of {', '.join(stated)} is not followed: {', '.join(always)} "
                f"{'is' if len(always) == 1 else 'are'} served by the same replicas around the clock, which costs least; "
                "isolation: dedicated keeps them apart"
            )
        return f"the windows of {', '.join(stated)} together leave no hour closed"
    if baseline.share_group is not None:
        return (
            "its engine shares an accelerator, where it costs least: such engines stay around the clock, since nothing that "
            "scales sees them"
        )
    outside, replicas = demand.opening.replicas_outside, baseline.replicas.max
    if outside >= replicas:
        free = ", or replicasOutside: 0 where nobody need be answered" if outside == 1 else ""
        return (
            f"{counted(outside, 'replica')} stay outside the windows, and {replicas} run inside: nothing is saved; "
            f"write a smaller schedule.replicasOutside{free}"
        )
    if not target_of(context.spec).can.scales_on_metrics:
        return "nothing starts and ends replicas by the clock here"
    return "what the windows leave closed is no longer than a start"
