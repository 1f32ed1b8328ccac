"""Each number of a plan walked through: the formula, what went in, what came out, and where the constant is from.

Nothing is computed here: the sums stand in the plan's ledger, written from the terms that the decisions were made with.
"""

from __future__ import annotations

from collections.abc import Iterator

from agentgpu_iac.errors import BadInput, did_you_mean
from agentgpu_iac.plan import LedgerEntry, Plan, StartChoice, Workload
from agentgpu_iac.review.blocks import Block, Heading, Listing, Paragraph, Table
from agentgpu_iac.review.plan_view import gap_sentence
from agentgpu_iac.review.served_view import served_blocks

_MOST_NAMES = 10
"""Agents that are named to somebody who asks for one that is not there."""


def explain(plan: Plan, source: str, agent: str | None = None) -> tuple[LedgerEntry, ...]:
    """The sums behind every number of one agent, or of all. ``source`` is the file that the plan is from or of.

    Raises:
        BadInput: the plan has no agent of that name, or no ledger.
    """
    return tuple(entry for name in explained(plan, source, agent) for entry in _entries(plan, name))


def explain_view(plan: Plan, source: str, agent: str | None = None) -> tuple[Block, ...]:
    """The explanation as blocks: sums first, then the nearest alternatives and why the cheaper ones do not serve."""
    return tuple(block for name in explained(plan, source, agent) for block in _view(plan, name))


def explained(plan: Plan, source: str, agent: str | None) -> tuple[str, ...]:
    """The deployment of that name or of the agent of that name, or all of them.

    Raises:
        BadInput: the plan has no agent of that name, or no ledger.
    """
    if not plan.ledger:
        tool = plan.provenance.tool_version
        raise BadInput.one(source, f"the plan holds no sums: agentgpu {tool} made it", hint="plan the stack again")
    deployments = tuple(dict.fromkeys(workload.agent for workload in plan.workloads))
    if agent is None:
        return deployments
    if agent in deployments:
        return (agent,)
    agents = {each.name: each.deployment for each in plan.served_agents}
    if agent not in agents:
        known = tuple(dict.fromkeys((*agents, *deployments)))
        hint = did_you_mean(agent, known) or "agents: " + ", ".join(known[:_MOST_NAMES])
        raise BadInput.one(source, f"there is no agent {agent!r} in the stack", hint=hint)
    return (agents[agent],)


def _entries(plan: Plan, agent: str) -> tuple[LedgerEntry, ...]:
    names = {workload.name for workload in plan.workloads if workload.agent == agent}
    return tuple(entry for entry in plan.ledger if entry.workload in names)


def kinds(plan: Plan, name: str) -> str:
    """What a replica of a deployment's baseline takes: of one that is on two kinds of machine, of either."""
    always = (each for each in plan.workloads if each.agent == name and each.tier == "baseline")
    return " and ".join(dict.fromkeys(f"{each.accelerators_per_replica} x {each.accelerator}" for each in always))


def _view(plan: Plan, agent: str) -> Iterator[Block]:
    workload = next(workload for workload in plan.workloads if workload.agent == agent)
    entries = _entries(plan, agent)
    yield Heading(text=f"{agent}: {workload.model} on {kinds(plan, agent)}")
    yield from served_blocks(plan, agent)
    for section in dict.fromkeys(entry.section for entry in entries):
        yield Paragraph(text=f"{section}:")
        yield Table(
            columns=("number", "formula", "with", "result", "source"),
            rows=tuple(
                (entry.name, entry.formula, entry.inputs, entry.result, entry.source)
                for entry in entries
                if entry.section == section
            ),
        )
    yield from _storage(workload)
    yield from _starts(plan, agent)
    yield from _choices(plan, agent)
    for served in workload.served:
        if assumed := tuple(_assumptions(plan, served)):
            whose = "" if len(workload.served) == 1 else f" of {served}"
            yield Paragraph(text=f"Assumed, since the spec does not say{whose}:")
            yield Listing(items=assumed)


def _storage(workload: Workload) -> Iterator[Block]:
    """Where the weights could lie on this machine, the recommended place marked."""
    if not workload.model_cache.choices:
        return
    yield Paragraph(text=f"Where the {workload.model_cache.model_gib:g} GiB of weights could lie, fastest first:")
    rows = tuple(
        (
            f"{choice.path}, {choice.loader} loader" + (" (recommended)" if choice.recommended else ""),
            f"{choice.seconds:g}",
            "not sourced" if choice.usd_per_month is None else f"{choice.usd_per_month:,.2f}",
            choice.why,
        )
        for choice in workload.model_cache.choices
    )
    yield Table(columns=("from", "seconds", "USD/month and node", "why"), rows=rows, right=frozenset({1, 2}))


def _starts(plan: Plan, agent: str) -> Iterator[Block]:
    """What would shorten a start, cheapest first: what it buys, and how it is written or why it is not done."""
    choices = [choice for choice in plan.start_choices if choice.agent == agent]
    if not choices:
        return
    yield Paragraph(text="What would shorten a start, and so the replicas that must be warm before it is over:")
    rows = tuple(
        (
            choice.title,
            f"{choice.cold_start_s:,.0f}" + ("" if choice.measured else " at best"),
            str(choice.warm_replicas),
            f"{choice.usd_per_month:,.2f}",
            f"{choice.delta_usd_per_month:+,.2f}",
            _how(choice),
            choice.source,
        )
        for choice in sorted(choices, key=lambda choice: (_ORDER[choice.status], choice.usd_per_month, choice.choice))
    )
    columns = ("what", "start at worst, s", "warm", "USD/month", "difference", "how", "source")
    yield Table(columns=columns, rows=rows, right=frozenset({1, 2, 3, 4}))
    yield Listing(
        items=tuple(
            f"with a start of at most {target.cold_start_s:,g} s, {target.warm_replicas} warm would do: "
            f"USD {target.usd_per_month:,.2f} a month ({target.delta_usd_per_month:+,.2f})"
            for target in plan.start_targets
            if target.agent == agent
        )
    )


_ORDER = {"taken": 0, "offered": 1, "not-here": 2}


def _how(choice: StartChoice) -> str:
    if choice.status == "taken":
        return "counted in this plan"
    return f"{choice.setting}; {choice.why_not}" if choice.status == "offered" else f"no plan does it: {choice.why_not}"


def _choices(plan: Plan, agent: str) -> Iterator[Block]:
    alternatives = [alternative for alternative in plan.cost.alternatives if alternative.agent == agent]
    if alternatives:
        yield Paragraph(text="Runners-up, on nodes of their own:")
        rows = tuple(
            (
                alternative.description,
                f"{alternative.usd_per_month:,.2f}",
                f"{alternative.delta_usd_per_month:+,.2f}",
                alternative.note,
            )
            for alternative in alternatives
        )
        yield Table(columns=("what", "USD/month", "difference", "note"), rows=rows, right=frozenset({1, 2}))
    rejected = [rejection for rejection in plan.rejections if rejection.agent in (agent, "*")]
    if rejected:
        yield Paragraph(text="Rejected, whatever they cost:")
        yield Table(
            columns=("accelerator", "constraint", "need", "limit", "why"),
            rows=tuple(
                (
                    rejection.accelerator,
                    rejection.constraint,
                    _figure(rejection.need, rejection.unit),
                    _figure(rejection.limit, rejection.unit),
                    rejection.message,
                )
                for rejection in rejected
            ),
            right=frozenset({2, 3}),
        )
    drivers = [driver for driver in plan.drivers if agent in (driver.agent, *driver.agents)]
    if drivers:
        yield Paragraph(text="What its price stands at:")
        yield Table(
            columns=("limit", "need", "there is", "why"),
            rows=tuple(
                (
                    driver.constraint if driver.refused is None else f"{driver.constraint} ({driver.refused})",
                    _figure(driver.need, driver.unit),
                    _figure(driver.limit, driver.unit),
                    driver.message,
                )
                for driver in drivers
            ),
            right=frozenset({1, 2}),
        )
    yield Paragraph(text=gap_sentence(plan))


def _figure(value: float | None, unit: str) -> str:
    return "" if value is None else f"{value:,.4g} {unit}".rstrip()


def _assumptions(plan: Plan, agent: str) -> Iterator[str]:
    """The defaults of the agent, then those of the stack, a line for each part of the spec."""
    parts: dict[str, list[str]] = {}
    for owner in (agent, None):
        for assumed in plan.assumptions:
            if assumed.agent == owner:
                label = assumed.part or "agent" if owner is not None else f"stack {assumed.part}".rstrip()
                parts.setdefault(label, []).append(f"{assumed.field} {assumed.value}")
    for label, defaults in parts.items():
        yield f"{label}: {', '.join(defaults)}"
