"""In which hours agents run, and what they have to do by then."""

from __future__ import annotations

from collections.abc import Iterator

from agentgpu_iac.plan import AgentPlan, OpenHoursPlan, Plan, Workload
from agentgpu_iac.units import counted


def hours_lines(plan: Plan) -> tuple[str, ...]:
    """A sentence for each deployment that follows a schedule, then for each agent that has work; nothing without any."""
    return (*_hours(plan), *map(_work, (agent for agent in plan.agents if agent.work is not None)))


def _hours(plan: Plan) -> Iterator[str]:
    for workload in plan.workloads:
        if workload.open_hours is not None:
            yield _sentence(workload, workload.open_hours)


def _sentence(workload: Workload, hours: OpenHoursPlan) -> str:
    outside = hours.replicas_outside
    stays = "none outside" if not outside else f"{outside} outside"
    paid = (
        "its nodes are there around the clock"
        if hours.node_hours_per_month is None
        else f"its nodes are there {hours.node_hours_per_month:g} of 720 h a month"
    )
    return (
        f"{workload.title}: {workload.replicas.max} warm {hours.open_hours_per_week:g} h a week, asked for "
        f"{hours.lead_s // 60} min before each window, {stays}; {paid}."
    )


def _work(agent: AgentPlan) -> str:
    work = agent.work
    if work is None:
        return ""
    return (
        f"{agent.name}: {counted(work.requests_per_window, 'request', ',.0f')} in {work.seconds / 3600:g} h are "
        f"{work.requests_per_s:.3g} a "
        f"second, with {work.sessions:,} open at once."
    )
