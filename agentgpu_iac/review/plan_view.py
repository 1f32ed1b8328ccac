"""The whole plan for a reader: what, where, how many, why, how fast, how much a month. ``plan_page`` is its one screen."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from agentgpu_iac.plan import LineItem, NodePool, Plan, Warning, Workload
from agentgpu_iac.plan.buying import dated, place_words, ways_words
from agentgpu_iac.plan.cards import cards_of
from agentgpu_iac.plan.pooling import first_answer_words
from agentgpu_iac.review.blocks import Block, Commands, Heading, Listing, Paragraph, Table
from agentgpu_iac.review.cost_view import cost_blocks
from agentgpu_iac.review.hours_view import hours_lines
from agentgpu_iac.review.served_view import served_blocks
from agentgpu_iac.units import HOURS_PER_MONTH, counted, figure

_BAR_CELLS = 10
_SHOWN_ALTERNATIVES = 8


def plan_view(plan: Plan, spec_path: str) -> tuple[Block, ...]:
    """All of the plan but its sums, which are in ``explain``, and what machines read, which is in the JSON."""
    return tuple(_blocks(plan, spec_path))


def _blocks(plan: Plan, spec_path: str) -> Iterator[Block]:
    yield Paragraph(text=f"{plan.stack}: {plan.headline}")
    yield Paragraph(text=f"Pattern: {plan.pattern}. Architecture: {plan.architecture}. Target: {plan.target}.")
    yield Heading(text="Agents")
    yield _agents(plan)
    yield Listing(
        items=tuple(
            f"{workload.agent}: {workload.chosen_because}."
            for workload in plan.workloads
            if workload.tier == "baseline"
        )
        + hours_lines(plan)
    )
    yield from served_blocks(plan)
    yield Heading(text="Node pools")
    yield _pools(plan)
    yield from _stand_ins(plan)
    yield from money_blocks(plan)
    if plan.overrides:
        yield Heading(text="Set by hand")
        yield Listing(
            items=tuple(
                f"{override.agent}: {override.field} = {figure(override.value)} ({override.beside})"
                for override in plan.overrides
            )
        )
    if plan.warnings:
        yield Heading(text="Warnings")
        yield Listing(items=tuple(map(sentence, plan.warnings)))
    yield Heading(text="Next")
    first = plan.served_agents[0].name
    yield Commands(
        lines=(
            f"agentgpu explain {shlex.quote(spec_path)} {first}",
            f"agentgpu render {shlex.quote(spec_path)} -o build/{plan.stack}",
        )
    )


def money_blocks(plan: Plan) -> Iterator[Block]:
    """What the account must allow, and what it costs."""
    if plan.vcpu_quotas:
        yield Heading(text="vCPU quotas of the account")
        yield Paragraph(text=_needed(plan))
        yield _quotas(plan)
    yield Heading(text="Cost")
    yield _cost(plan)
    yield from cost_blocks(plan)


_NOT_CONSIDERED = (
    "Not considered are a burst on several kinds of machine, a baseline on several but for machines that are yours or committed "
    "beside one other kind, spill from a card that is full to another kind, and a share of spot spread over several types of "
    "machine: maxSharePerPool spreads it over zones."
)
"""What no candidate stands for, so that the gap says nothing of it (docs/scope.md)."""


def gap_sentence(plan: Plan) -> str:
    """How near to the cheapest placement this one is, and which placements that leaves out."""
    gap = plan.cost.optimality_gap_ratio
    return f"The placement is the cheapest over all candidates considered; optimality gap {gap:.2%}. {_NOT_CONSIDERED}"


def sentence(warning: Warning) -> str:
    """A warning with its code and, where it concerns one, its agent."""
    return f"[{warning.code}] {warning.agent + ': ' if warning.agent else ''}{warning.message}"


def bar(ratio: float) -> str:
    """A ratio as ten cells."""
    full = min(_BAR_CELLS, max(0, round(ratio * _BAR_CELLS)))
    return "#" * full + "." * (_BAR_CELLS - full)


def _agents(plan: Plan) -> Table:
    pooled = [workload.pooling is not None for workload in plan.workloads]
    on = cards_of(plan.workloads, plan.node_pools)
    at = " ".join(dict.fromkeys(f"p{workload.latency.percentile:g}" for workload in plan.workloads)) + " ms"
    columns = (
        "agent",
        "tier",
        "model",
        "accelerator",
        "TP x PP",
        "seqs",
        "VRAM need / have",
        "",
        f"{first_answer_words(pooled)} {at}",
        *(() if all(pooled) else (f"TPOT {at}",)),
        "replicas",
    )
    rows = tuple(
        (
            workload.agent,
            workload.tier,
            f"{workload.model} {workload.precision}",
            f"{workload.accelerators_per_replica} x {workload.accelerator}"
            + (f" on {counted(workload.nodes_per_replica, 'node')}" if workload.nodes_per_replica > 1 else "")
            + (f" (shared: {workload.share_group})" if workload.share_group else ""),
            f"{workload.tensor_parallel_size} x {workload.pipeline_parallel_size}"
            + (
                f", {counted(workload.attention_data_parallel_size, 'group')}"
                if workload.attention_data_parallel_size > 1
                else ""
            ),
            str(workload.max_num_seqs),
            f"{workload.memory.total_gib:.1f} / {workload.memory.capacity_gib:.1f} GiB",
            bar(on[workload.name].used_ratio),
            _against(
                workload.latency.first_answer_at_percentile_ms,
                workload.latency.first_answer_budget_ms,
                workload.latency.ttft_error_ratio or workload.latency.e2e_error_ratio,
            ),
            *(() if all(pooled) else (_tpot(workload),)),
            replicas(workload),
        )
        for workload in plan.workloads
    )
    return Table(columns=columns, rows=rows, right=frozenset({5, 6}), drop=(7, 4, 5))


def _tpot(workload: Workload) -> str:
    if workload.pooling is not None:
        return "answers whole"
    latency = workload.latency
    return _against(latency.tpot_at_percentile_ms, latency.budget_tpot_ms, latency.tpot_error_ratio)


def _against(value: float | None, budget: float | None, error: float | None) -> str:
    if value is None:
        return "not predicted"
    limit = "" if budget is None else f" of {budget:.0f}"
    band = "" if error is None else f" ±{error:.0%}"
    return f"{value:.0f}{limit}{band}"


def replicas(workload: Workload) -> str:
    """From how many to how many."""
    found = workload.replicas
    return str(found.max) if found.min == found.max else f"{found.min}-{found.max}"


def _pools(plan: Plan) -> Table:
    columns = ("pool", "tier", "bought", "instance type", "where", "nodes", "USD/h a node", "price of")
    rows = tuple(
        (
            pool.name,
            pool.tier,
            ways_words(pool, " > "),
            f"{pool.instance_types[0]} ({pool.accelerators_per_node} x {pool.accelerator})",
            place_words(pool),
            str(pool.max) if pool.min == pool.max else f"{pool.min}-{pool.max}",
            f"{pool.usd_per_hour:.4f}",
            _price_of(pool),
        )
        for pool in plan.node_pools
    )
    return Table(columns=columns, rows=rows, right=frozenset({5, 6}), drop=(7,))


def _stand_ins(plan: Plan) -> Iterator[Listing]:
    """What a node may be where the planned type is not to be had, and what it costs at most."""
    items = tuple(
        f"{pool.name}: or {', '.join(pool.instance_types[1:])}, at most USD {pool.dearest_usd_per_hour:.4f} an hour a node"
        for pool in plan.node_pools
        if pool.dearest_usd_per_hour is not None and len(pool.instance_types) > 1
    )
    if items:
        yield Listing(items=items)


def _needed(plan: Plan) -> str:
    parts = (
        f"{need.vcpus} vCPUs of {need.name} ({need.code or 'no code known'}, {need.region})"
        for need in plan.vcpu_quotas
    )
    return f"At the peak: {', '.join(parts)}. A new account may have none."


def _quotas(plan: Plan) -> Table:
    columns = ("quota", "code", "region", "vCPUs", "in a rollout", "at most")
    rows = tuple(
        (
            need.name,
            need.code or "",
            f"{need.provider} {need.region}",
            str(need.vcpus),
            str(need.rollout_vcpus),
            str(need.most_vcpus),
        )
        for need in plan.vcpu_quotas
    )
    return Table(columns=columns, rows=rows, right=frozenset({3, 4, 5}))


def _price_of(pool: NodePool) -> str:
    return ("" if pool.price_known else "unknown, counted as of ") + dated(pool.price_date, ways_words(pool, " > "))


def _hours(item: LineItem) -> str:
    """How long the nodes are there, where it is not all month."""
    return "" if item.hours_per_month == HOURS_PER_MONTH else f", {float(item.hours_per_month):g} h a month"


def _cost(plan: Plan) -> Table:
    cost = plan.cost
    rows = [
        (
            f"{item.nodes} x {item.instance_type}, {item.capacity_type}, {item.tier}{_hours(item)}"
            + ("" if item.price_known else " (price unknown)"),
            f"{item.usd_per_month:,.2f}",
        )
        for item in cost.line_items
    ]
    for each in cost.commitments:
        what = f"{', '.join(each.machines)}, {each.kind}, {'signed' if each.signed else 'to sign'}"
        amount = f"USD {each.committed:g} an hour" if each.kind == "savings-plan" else f"{each.committed:g}"
        hours = ", ".join(f"{pair.hours_per_month:,.0f} h a month" for pair in each.break_even)
        rows.append((f"{amount} x {what}, pays from {hours}", f"{each.usd_per_month:,.2f}"))
        rows += [
            (f"covered by it: {counted(cover.nodes, 'node', 'g')} of {cover.node_pool}", f"-{cover.usd_per_month:,.2f}")
            for cover in each.covers
        ]
    rows.append(("baseline, a month of 720 h", f"{cost.baseline_usd_per_month:,.2f}"))
    if cost.expected_usd_per_month != cost.baseline_usd_per_month:
        rows.append(("baseline and the expected burst hours, a month", f"{cost.expected_usd_per_month:,.2f}"))
    rows.append(("at the peak, an hour", f"{cost.peak_usd_per_hour:,.2f}"))
    if cost.dearest_baseline_usd_per_month not in (None, cost.baseline_usd_per_month):
        rows.append(
            ("baseline at the dearest instance types that may stand in", f"{cost.dearest_baseline_usd_per_month:,.2f}")
        )
    if cost.dearest_peak_usd_per_hour not in (None, cost.peak_usd_per_hour):
        rows.append(("at the peak at the dearest, an hour", f"{cost.dearest_peak_usd_per_hour:,.2f}"))
    rows += [
        (
            f"instead, {alternative.agent + ': ' if alternative.agent else ''}{alternative.description} ({alternative.note})",
            f"{alternative.delta_usd_per_month:+,.2f} a month",
        )
        for alternative in cost.alternatives[:_SHOWN_ALTERNATIVES]
    ]
    return Table(columns=("item", "USD"), rows=tuple(rows), right=frozenset({1}))
