"""The plan on one screen: what runs where, how full and how fast, what it costs, what to look at first, and where to go on."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from typing import Final

from agentgpu_iac.plan import LineItem, NodePool, Plan
from agentgpu_iac.plan.buying import OWN_MACHINES, place_words, ways_words
from agentgpu_iac.plan.cards import cards_of
from agentgpu_iac.plan.meanings import Rank
from agentgpu_iac.plan.pooling import first_answer_words
from agentgpu_iac.review.blocks import MARKS, Block, Commands, Heading, Listing, Paragraph, Table, Tone, tone_of
from agentgpu_iac.review.hours_view import hours_lines
from agentgpu_iac.review.plan_view import bar, replicas
from agentgpu_iac.review.proof_view import proof_blocks
from agentgpu_iac.review.warning_groups import grouped
from agentgpu_iac.units import HOURS_PER_MONTH, counted

_SHOWN_AGENTS = 6
"""Agents whose part of the cost is named; of more, as many that cause most of it."""
_SHOWN_REASONS = 3
_SHOWN_TO_KNOW = 2
"""Warnings that are only good to know, as many are named; of those that matter more, all."""
STANDARD_INPUT = "-"
_TONES: Final[dict[Rank, Tone]] = {"serving": "first", "safety-and-cost": "", "to-know": "quiet"}
"""How the ranks of warnings look: without the colours and marks of figures that are held against a budget."""


def plan_page(plan: Plan, spec_path: str) -> tuple[Block, ...]:
    """The plan for a reader in a hurry; everything else is in ``plan --all``, in ``explain`` and in the JSON."""
    return tuple(_blocks(plan, spec_path))


def money_page(plan: Plan) -> tuple[Block, ...]:
    """What is going to be made and paid, for a reader who is about to have it made."""
    return (*_headline(plan), *_machines(plan))


def _headline(plan: Plan) -> Iterator[Block]:
    yield Heading(text=f"{plan.stack}: {plan.pattern}, {plan.architecture}, for {plan.target}")
    yield Listing(items=plan.facts or (plan.headline,))
    yield from _budget(plan)


def _blocks(plan: Plan, spec_path: str) -> Iterator[Block]:
    yield from _headline(plan)
    yield Heading(text="Agents")
    yield from _agents(plan)
    yield from _machines(plan)
    yield from _beside(plan)
    yield from proof_blocks(plan)
    yield from _by_hand(plan)
    yield from _warnings(plan)
    if spec_path != STANDARD_INPUT:
        yield Heading(text="Next")
        quoted, first = shlex.quote(spec_path), plan.served_agents[0].name
        yield Commands(
            lines=(
                f"agentgpu explain {quoted} {first}",
                *((f"agentgpu explain {quoted} warnings",) if plan.warnings else ()),
                f"agentgpu plan {quoted} --all",
                f"agentgpu render {quoted} -o build/{plan.stack}",
            )
        )


def _budget(plan: Plan) -> Iterator[Block]:
    """How much of the budget is used, where there is one."""
    budget = plan.policy.budget_usd_per_month
    if budget:
        cost = plan.cost.baseline_usd_per_month
        tone = tone_of(float(cost / budget))
        text = f"Of the budget of USD {budget:,.2f} a month {cost / budget:.0%} is used."
        yield Listing(items=(_marked(text, tone),), tones=(tone,))


def _marked(text: str, tone: Tone) -> str:
    return f"{text} {MARKS[tone]}" if tone in MARKS else text


def _agents(plan: Plan) -> Iterator[Block]:
    pooled = [workload.pooling is not None for workload in plan.workloads]
    at = " ".join(dict.fromkeys(f"p{workload.latency.percentile:g}" for workload in plan.workloads))
    has_tiers = any(workload.tier == "burst" for workload in plan.workloads)
    columns = (
        *("agent", "tier", "model", "weights", "on", "TP x PP", "seqs", "VRAM", "GiB"),
        *(f"{first_answer_words(pooled)} {at}", "±", f"TPOT {at}", "±", "replicas"),
    )
    on = cards_of(plan.workloads, plan.node_pools)
    rows: list[tuple[str, ...]] = []
    tones: list[tuple[int, int, Tone]] = []
    for number, workload in enumerate(plan.workloads):
        memory, latency = workload.memory, workload.latency
        first, first_tone = _against(latency.first_answer_at_percentile_ms, latency.first_answer_budget_ms)
        step, step_tone = _against(latency.tpot_at_percentile_ms, latency.budget_tpot_ms)
        step = "whole" if workload.pooling is not None else step
        card = on[workload.name]
        memory_tone = tone_of(card.fullness_ratio)
        rows.append(
            (
                workload.agent,
                workload.tier,
                workload.model.rpartition("/")[2],
                workload.precision,
                plan.pool(workload.node_pool).instance_types[0],
                f"{workload.tensor_parallel_size} x {workload.pipeline_parallel_size}",
                f"{workload.max_num_seqs:,}",
                _marked(bar(card.used_ratio), memory_tone),
                f"{memory.total_gib:.0f}/{memory.capacity_gib:.0f}",
                first,
                _band(latency.ttft_error_ratio or latency.e2e_error_ratio),
                step,
                _band(latency.tpot_error_ratio if workload.pooling is None else None),
                replicas(workload),
            )
        )
        tones += [(number, 7, memory_tone), (number, 8, memory_tone), (number, 9, first_tone), (number, 11, step_tone)]
    unused = ([] if has_tiers else [1]) + ([11, 12] if all(pooled) else [])
    yield _without(
        Table(
            columns=columns,
            rows=tuple(rows),
            right=frozenset({6, 8, 9, 11}),
            whole=frozenset({1, 3, 5, 6, 7, 8, 9, 10, 11, 12, 13}),
            cuttable=frozenset({0, 2, 4}),
            drop=(12, 10, 5, 3, 6, 8, 4, 1, 7),
            tones=tuple(each for each in tones if each[2]),
        ),
        frozenset(unused),
    )
    if any(tone for *_, tone in tones):
        yield Paragraph(text="! over 90 % of a budget or of the memory to use, !! over it; times in ms.", tone="quiet")
    yield Listing(items=(*_shared(plan), *reasons(plan), *hours_lines(plan)), one_line=True)


def _without(table: Table, unused: frozenset[int]) -> Table:
    """A table without some of its columns."""
    kept = [at for at in range(len(table.columns)) if at not in unused]
    places = {at: place for place, at in enumerate(kept)}

    def moved(positions: frozenset[int]) -> frozenset[int]:
        return frozenset(places[at] for at in positions if at in places)

    return Table(
        columns=tuple(table.columns[at] for at in kept),
        rows=tuple(tuple(row[at] for at in kept) for row in table.rows),
        right=moved(table.right),
        whole=moved(table.whole),
        cuttable=moved(table.cuttable),
        drop=tuple(places[at] for at in table.drop if at in places),
        tones=tuple((row, places[column], tone) for row, column, tone in table.tones if column in places),
    )


def _against(value: float | None, budget: float | None) -> tuple[str, Tone]:
    """A figure beside its budget, and what that means."""
    if value is None:
        return "not known", ""
    if not budget:
        return f"{value:,.0f}", ""
    tone = tone_of(value / budget)
    return _marked(f"{value:,.0f}/{budget:,.0f}", tone), tone


def _band(error: float | None) -> str:
    return "" if error is None else f"±{error:.0%}"


def _shared(plan: Plan) -> Iterator[str]:
    """Whom a deployment serves that is not named after one agent alone."""
    for workload in plan.workloads:
        if workload.tier == "baseline" and not workload.is_rest and workload.served != (workload.agent,):
            yield f"{workload.agent} serves {', '.join(workload.served)}."


def reasons(plan: Plan, most: int = _SHOWN_REASONS) -> Iterator[str]:
    """Why each is where it is: a sentence for all that have the same reason."""
    whose: dict[str, list[str]] = {}
    for workload in plan.workloads:
        if workload.tier == "baseline":
            whose.setdefault(workload.chosen_because, []).append(workload.agent)
    for reason, agents in list(whose.items())[:most]:
        yield f"{', '.join(agents)}: {reason}."
    rest = [agent for agents in list(whose.values())[most:] for agent in agents]
    if rest:
        yield f"{', '.join(rest)}: agentgpu explain says why."


def _machines(plan: Plan) -> Iterator[Block]:
    """What is bought: a row for each way that the nodes of a pool are."""
    cost = plan.cost
    rows = [_machine(plan, item) for item in cost.line_items]
    paid = {item.node_pool for item in cost.line_items}
    for pool in plan.node_pools:
        if pool.name not in paid:
            nodes = str(pool.max) if pool.min == pool.max else f"{pool.min}-{pool.max}"
            card = f"{pool.accelerators_per_node} x {pool.accelerator}"
            ways = ways_words(pool, " > ")
            rows.append((nodes, pool.instance_types[0], card, ways, place_words(pool), _usd(pool), "", ""))
    places = {row[4] for row in rows}
    table = Table(
        columns=("nodes", "machine", "card", "bought", "where", "USD/h", "h a month", "USD a month"),
        rows=tuple(rows),
        right=frozenset({0, 5, 6, 7}),
        whole=frozenset({0, 3, 5, 6, 7}),
        cuttable=frozenset({1, 2, 4}),
        drop=(6, 4),
    )
    hours = {row[6] for row in rows}
    yield Heading(text=_machines_title(places))
    yield _without(table, frozenset(({4} if len(places) == 1 else set()) | ({6} if hours == {"720"} else set())))


def _machines_title(places: set[str]) -> str:
    if len(places) != 1:
        return "Machines"
    (place,) = places
    return f"Machines: {place}" if place.startswith(OWN_MACHINES) else f"Machines at {place}"


def _usd(pool: NodePool) -> str:
    return f"{pool.usd_per_hour:,.4f}" if pool.price_known else "unknown"


def _machine(plan: Plan, item: LineItem) -> tuple[str, ...]:
    pool = plan.pool(item.node_pool)
    return (
        str(item.nodes),
        item.instance_type,
        f"{pool.accelerators_per_node} x {pool.accelerator}",
        item.capacity_type if item.tier == "baseline" else f"{item.capacity_type}, burst",
        place_words(pool),
        f"{item.usd_per_hour:,.4f}" if item.price_known else "unknown",
        f"{float(item.hours_per_month or HOURS_PER_MONTH):g}",
        f"{item.usd_per_month:,.2f}",
    )


def _beside(plan: Plan) -> Iterator[Block]:
    """A sentence for each further thing about money and about what the account must allow."""
    yield Listing(items=tuple(_money(plan)))


def _money(plan: Plan) -> Iterator[str]:
    cost = plan.cost
    for each in cost.commitments:
        used = sum(cover.usd_per_month for cover in each.covers)
        yield (
            f"{each.kind} for {', '.join(each.machines)}, {'signed' if each.signed else 'to sign'}: "
            f"USD {each.usd_per_month:,.2f} a month, in place of {used:,.2f}."
        )
    if cost.expected_usd_per_month != cost.baseline_usd_per_month:
        yield f"With the expected burst hours: USD {cost.expected_usd_per_month:,.2f} a month."
    if cost.dearest_baseline_usd_per_month not in (None, cost.baseline_usd_per_month):
        yield f"At the dearest machines that may stand in: USD {cost.dearest_baseline_usd_per_month:,.2f} a month."
    dearest = sorted(cost.by_agent, key=lambda each: -each.usd_per_month)
    if len(dearest) > 1 and dearest[0].usd_per_month:
        parts = [f"{each.agent} {each.usd_per_month:,.2f}" for each in dearest[:_SHOWN_AGENTS]]
        more = len(dearest) - len(parts)
        yield f"By agent, USD a month: {', '.join(parts)}{f' and {more} more' if more else ''}."
    cheaper = [call for call in cost.calls if call.times_as_dear is not None and call.times_as_dear > 1]
    if cheaper:
        most = max(cheaper, key=lambda call: call.times_as_dear or 0)
        yield f"{most.agent} called by the token ({most.seller}): 1/{most.times_as_dear:,.1f} of its cost."
    if cost.beside_usd_per_month is not None:
        known = sum(item.usd_per_month is not None for item in cost.beside)
        rest = len(cost.beside) - known
        unknown = f", and {counted(rest, 'item')} not known" if rest else ""
        yield f"Not counted: USD {cost.beside_usd_per_month:,.2f} a month beside the nodes{unknown}."
    dearer = [other for other in cost.alternatives if other.agent is not None and other.delta_usd_per_month >= 0]
    if dearer and cost.expected_usd_per_month:
        nearest = min(dearer, key=lambda other: other.delta_usd_per_month)
        yield (
            f"Next choice: {nearest.agent} on {nearest.description}, USD {nearest.delta_usd_per_month:+,.2f} a month."
        )
    if plan.vcpu_quotas:
        parts = [
            f"{need.vcpus:,} of {need.code or need.name} in {need.region}" for need in plan.vcpu_quotas if need.vcpus
        ]
        yield f"vCPU quotas: {', '.join(parts)}."


def _by_hand(plan: Plan) -> Iterator[Block]:
    if plan.overrides:
        fields = tuple(dict.fromkeys(f"{each.agent} {each.field}" for each in plan.overrides))
        yield Paragraph(text=f"Set by hand: {', '.join(fields)}.")


def _warnings(plan: Plan) -> Iterator[Block]:
    groups = grouped(plan)
    if not groups:
        return
    matter = [group for group in groups if group.rank != "to-know"]
    known = [group for group in groups if group.rank == "to-know"]
    named = [*matter, *known[:_SHOWN_TO_KNOW]]
    more = [group.code for group in known[_SHOWN_TO_KNOW:]]
    yield Heading(text=f"Warnings ({len(plan.warnings)}, the worst first)")
    lines = tuple(f"{group.rank}: {group.line}" for group in named)
    tones = tuple(_TONES[group.rank] for group in named)
    if more:
        lines += (f"and {', '.join(more)}",)
        tones += ("quiet",)
    yield Listing(items=lines, tones=tones, one_line=True)
