"""The agents that one deployment serves, each with what is its own: its sessions, its budgets, its part of the load."""

from __future__ import annotations

from collections.abc import Iterator

from agentgpu_iac.plan import AgentPlan, Plan
from agentgpu_iac.review.blocks import Block, Heading, Listing, Table


def served_blocks(plan: Plan, deployment: str | None = None) -> Iterator[Block]:
    """The agents of a deployment that serves several, or of all such deployments, and why they share it."""
    served = [
        agent
        for agent in plan.served_agents
        if deployment in (None, agent.deployment)
        and sum(each.deployment == agent.deployment for each in plan.agents) > 1
    ]
    if served:
        yield Heading(text="Agents that share a deployment")
        yield _table(served)
    reasons = [
        f"{', '.join(each.agents)} ({each.model}): {each.reason}"
        for each in plan.sharing
        if deployment is None or deployment in each.deployments
    ]
    if reasons:
        yield Listing(items=tuple(reasons))


def _table(agents: list[AgentPlan]) -> Table:
    columns = (
        "agent",
        "on",
        "asked for as",
        "sessions",
        "tokens of each",
        "TTFT ms",
        "TPOT ms",
        "part of the load",
    )
    rows = tuple(
        (
            agent.name,
            agent.deployment,
            agent.served_model_name,
            f"{agent.sessions_concurrent:,} to {agent.sessions_peak:,}",
            f"{agent.context_tokens:,}",
            _against(agent.ttft_at_percentile_ms, agent.budget_ttft_ms),
            _against(agent.tpot_at_percentile_ms, agent.budget_tpot_ms),
            f"{agent.load_ratio:.0%}",
        )
        for agent in agents
    )
    return Table(columns=columns, rows=rows, right=frozenset({3, 4, 7}))


def _against(value: float | None, budget: float | None) -> str:
    return ("not predicted" if value is None else f"{value:,.0f}") + ("" if budget is None else f" of {budget:,.0f}")
