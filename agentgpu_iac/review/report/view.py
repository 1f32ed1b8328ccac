"""What the report says, in its order; how it looks is the template's, and how its figures are drawn ``drawing``'s."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from agentgpu_iac.plan import AgentPlan, Assumption, Plan, Workload
from agentgpu_iac.plan.buying import place_words, ways_words
from agentgpu_iac.review.cost_view import cost_blocks
from agentgpu_iac.review.hours_view import hours_lines
from agentgpu_iac.review.plan_view import gap_sentence
from agentgpu_iac.review.report.candidates import scatter
from agentgpu_iac.review.report.figure import Figure
from agentgpu_iac.review.report.findings import WarningRank, warning_ranks
from agentgpu_iac.review.report.memory import memory_figure
from agentgpu_iac.review.report.money import agents_figure, pools_figure
from agentgpu_iac.review.report.parts import MOST_FIGURES, Part, of_blocks
from agentgpu_iac.review.report.proof import proof_parts
from agentgpu_iac.review.report.starts import timeline
from agentgpu_iac.review.report.sums import SumGroup, sum_groups
from agentgpu_iac.review.report.tables import Cell, Grid, Sums, grid
from agentgpu_iac.review.report.waterfalls import nearest_first, waterfall
from agentgpu_iac.review.served_view import served_blocks
from agentgpu_iac.units import counted, figure


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """One of the few numbers at the top."""

    label: str
    value: Cell


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """A plan as a reader goes through it."""

    stack: str
    headline: tuple[str, ...]
    facts: tuple[Fact, ...]
    parts: tuple[Part, ...]
    warnings: tuple[WarningRank, ...]
    warning_count: int
    assumptions: tuple[tuple[str, tuple[str, ...]], ...]
    """Whose they are, and each of them."""
    assumption_count: int
    sums: tuple[SumGroup, ...]
    sum_count: int
    provenance: tuple[str, ...]


def report(plan: Plan) -> Report:
    """The report of a plan: it arranges what stands there, and decides nothing."""
    sums = Sums.of(plan)
    ranks = tuple(warning_ranks(plan))
    waterfalls = tuple(waterfall(workload, f"ttft-{at}", sums) for at, workload in enumerate(nearest_first(plan)))
    scatters = tuple(scatter(plan, workload, f"candidates-{at}") for at, workload in enumerate(_dearest_first(plan)))
    return Report(
        stack=plan.stack,
        headline=plan.facts or (plan.headline,),
        facts=tuple(_facts(plan)),
        parts=(
            Part(
                id="glance",
                title="At a glance",
                figures=(memory_figure(plan, sums), waterfalls[0], scatters[0], agents_figure(plan)),
            ),
            _asked(plan),
            _planned(plan, sums),
            _latency(plan, sums, waterfalls),
            _candidates(plan, scatters),
            _cost(plan),
            _starts(plan, sums),
            *proof_parts(plan),
        ),
        warnings=ranks,
        warning_count=len(plan.warnings),
        assumptions=tuple(_assumptions(plan.assumptions)),
        assumption_count=len(plan.assumptions),
        sums=tuple(sum_groups(plan)),
        sum_count=len(plan.ledger),
        provenance=tuple(_provenance(plan)),
    )


def _facts(plan: Plan) -> Iterator[Fact]:
    cost = plan.cost
    yield Fact(label="warm, a month", value=Cell(text=f"USD {cost.baseline_usd_per_month:,.2f}"))
    if cost.expected_usd_per_month != cost.baseline_usd_per_month:
        value = Cell(text=f"USD {cost.expected_usd_per_month:,.2f}")
        yield Fact(label="with the expected burst hours", value=value)
    yield Fact(label="at the peak, an hour", value=Cell(text=f"USD {cost.peak_usd_per_hour:,.2f}"))
    nodes = sum(pool.max for pool in plan.node_pools)
    yield Fact(label="nodes at the peak", value=Cell(text=f"{nodes:,}"))
    tightest = nearest_first(plan)[0]
    planned, budget = tightest.latency.first_answer_at_percentile_ms, tightest.latency.first_answer_budget_ms
    if planned is not None and budget:
        value = Cell(text=f"{planned / budget:.0%} of {budget:,.0f} ms")
        yield Fact(label=f"tightest first answer: {tightest.name}", value=value)


def _asked(plan: Plan) -> Part:
    agents = plan.served_agents
    sentences = [f"Target: {plan.target}. Pattern: {plan.pattern}. Architecture: {plan.architecture}."]
    if plan.policy.budget_usd_per_month is not None:
        sentences.append(f"Budget: USD {plan.policy.budget_usd_per_month:,.2f} a month.")
    sentences += [
        f"Set by hand, {override.agent}: {override.field} = {figure(override.value)} ({override.beside})."
        for override in plan.overrides
    ]
    columns = (
        "agent",
        "role",
        "model",
        "class",
        "sessions",
        "context tokens",
        "TTFT ms",
        "TPOT ms",
        "answer ms",
        "burst in s",
    )
    models = {name: workload for workload in reversed(plan.workloads) for name in workload.served}
    rows = (
        (
            agent.name,
            agent.role or "",
            models[agent.name].model if agent.name in models else "",
            agent.latency_class,
            f"{agent.sessions_concurrent:,} to {agent.sessions_peak:,}",
            f"{agent.context_tokens:,}",
            *_budgets(agent),
            _ramp(agent, models.get(agent.name)),
        )
        for agent in agents
    )
    table = grid("Agents as asked for, with their budgets", columns, rows, frozenset({4, 5, 6, 7, 8, 9}))
    return Part(id="asked", title="What was asked", sentences=tuple(sentences), grids=(table,))


def _budgets(agent: AgentPlan) -> tuple[str, str, str]:
    ttft, tpot, e2e = (
        "" if value is None else f"{value:,.0f}"
        for value in (agent.budget_ttft_ms, agent.budget_tpot_ms, agent.budget_e2e_ms)
    )
    return ttft, tpot, e2e


def _ramp(agent: AgentPlan, workload: Workload | None) -> str:
    """Of its deployment, whose burst is its own where it has one."""
    if workload is None or workload.burst_ramp_s is None or agent.sessions_peak == agent.sessions_concurrent:
        return ""
    return f"{workload.burst_ramp_s:,.0f}"


def _planned(plan: Plan, sums: Sums) -> Part:
    because = (
        f"{workload.title}: {workload.chosen_because}." for workload in plan.workloads if workload.tier == "baseline"
    )
    drivers = (
        f"What the price of {driver.agent} stands at ({driver.constraint}): {driver.message}."
        for driver in plan.drivers
    )
    shared = of_blocks("Agents that share a deployment", served_blocks(plan))
    return Part(
        id="planned",
        title="What is planned, and why",
        sentences=(*because, *drivers, *hours_lines(plan), *shared.sentences),
        grids=(_workloads(plan, sums), *shared.grids, _pools(plan)),
    )


def _workloads(plan: Plan, sums: Sums) -> Grid:
    columns = (
        "deployment and tier",
        "model",
        "engine",
        "accelerators",
        "TP x PP",
        "seats",
        "memory need GiB",
        "TTFT ms",
        "TPOT ms",
        "replicas",
        "pool",
    )
    rows = (
        (
            workload.name,
            f"{workload.model}, {workload.precision}",
            f"{workload.engine.name} {workload.engine.version}",
            f"{workload.accelerators_per_replica} x {workload.accelerator}",
            f"{workload.tensor_parallel_size} x {workload.pipeline_parallel_size}",
            f"{workload.max_num_seqs:,}",
            sums.cell(f"{workload.memory.total_gib:,.2f}", workload.name, "totalGib"),
            _of_sum(sums, workload, workload.latency.ttft_at_percentile_ms, "ttftAtPercentileMs"),
            _of_sum(sums, workload, workload.latency.tpot_at_percentile_ms, "tpotAtPercentileMs"),
            sums.cell(_range(workload.replicas.min, workload.replicas.max), workload.name, "replicas"),
            workload.node_pool,
        )
        for workload in plan.workloads
    )
    return grid("Deployments", columns, rows, frozenset({5, 6, 7, 8, 9}))


def _of_sum(sums: Sums, workload: Workload, value: float | None, name: str) -> Cell:
    return Cell(text="") if value is None else sums.cell(f"{value:,.1f}", workload.name, name)


def _whole_answer(sums: Sums, workload: Workload) -> Cell:
    """On average, as its budget means it; at the percentile where an answer comes whole."""
    latency = workload.latency
    if latency.e2e_at_percentile_ms is not None:
        return _of_sum(sums, workload, latency.e2e_at_percentile_ms, "e2eAtPercentileMs")
    return _of_sum(sums, workload, latency.e2e_ms, "e2eMs")


def _range(least: int, most: int) -> str:
    return f"{most:,}" if least == most else f"{least:,} to {most:,}"


def _pools(plan: Plan) -> Grid:
    columns = (
        "pool",
        "tier",
        "bought",
        "instance type",
        "accelerators",
        "where",
        "nodes",
        "USD/h a node",
    )
    rows = (
        (
            pool.name,
            pool.tier,
            ways_words(pool, ", else "),
            pool.instance_types[0],
            f"{pool.accelerators_per_node} x {pool.accelerator}",
            place_words(pool),
            _range(pool.min, pool.max),
            f"{pool.usd_per_hour:,.4f}",
        )
        for pool in plan.node_pools
    )
    return grid("Node pools", columns, rows, frozenset({6, 7}))


def _latency(plan: Plan, sums: Sums, figures: Sequence[Figure]) -> Part:
    ordered = nearest_first(plan)
    rows = (
        (
            workload.name,
            f"p{workload.latency.percentile:g}",
            _of_sum(sums, workload, workload.latency.ttft_at_percentile_ms, "ttftAtPercentileMs"),
            _number(workload.latency.budget_ttft_ms),
            _percent(workload.latency.ttft_error_ratio),
            _percent(workload.latency.ttft_miss_ratio),
            _of_sum(sums, workload, workload.latency.tpot_at_percentile_ms, "tpotAtPercentileMs"),
            _number(workload.latency.budget_tpot_ms),
            _percent(workload.latency.tpot_error_ratio),
            _percent(workload.latency.tpot_miss_ratio),
            _whole_answer(sums, workload),
            _number(workload.latency.budget_e2e_ms),
        )
        for workload in ordered
    )
    columns = (
        "deployment and tier",
        "at",
        "TTFT ms",
        "budget",
        "may be off by",
        "likely over it",
        "TPOT ms",
        "budget",
        "may be off by",
        "likely over it",
        "answer ms (mean, or at that where it is all)",
        "budget",
    )
    table = grid("Latency against its budgets, the tightest first", columns, rows, frozenset(range(2, 12)))
    return Part(
        id="latency",
        title="Latency against its budgets",
        sentences=(f"At a glance shows {figures[0].title}.", *_not_drawn(len(ordered), "the tightest")),
        grids=(table,),
        figures=tuple(figures[1:MOST_FIGURES]),
    )


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:,.0f}"


def _percent(value: float | None) -> str:
    return "" if value is None else f"{value:.0%}"


def _not_drawn(count: int, which: str) -> tuple[str, ...]:
    if count <= MOST_FIGURES:
        return ()
    return (
        f"Of {counted(count, 'deployment')} and tiers {MOST_FIGURES} are drawn, {which}; the tables have all of them.",
    )


def _dearest_first(plan: Plan) -> list[Workload]:
    """The first tier of each deployment, the dearest deployment first."""
    firsts: dict[str, Workload] = {}
    for workload in plan.workloads:
        firsts.setdefault(workload.agent, workload)
    costs = {each.agent: each.usd_per_month for each in plan.cost.by_agent}
    return sorted(firsts.values(), key=lambda workload: -sum(costs.get(agent, 0) for agent in workload.served))


def _candidates(plan: Plan, figures: Sequence[Figure]) -> Part:
    ordered = _dearest_first(plan)
    others = tuple(
        f"{each.agent + ': ' if each.agent else ''}{each.description}, USD {each.usd_per_month:,.2f} a month ({each.note})"
        for each in plan.cost.alternatives
        if each.agent not in {workload.agent for workload in ordered}
    )
    return Part(
        id="candidates",
        title="What else was looked at",
        sentences=(
            gap_sentence(plan),
            f"At a glance shows {figures[0].title}.",
            *_not_drawn(len(ordered), "the dearest"),
            *others,
        ),
        grids=tuple(each.table for each in figures[MOST_FIGURES:]),
        figures=tuple(figures[1:MOST_FIGURES]),
    )


def _cost(plan: Plan) -> Part:
    cost = plan.cost
    rows: list[tuple[Cell | str, ...]] = [
        ("baseline, a month of 720 h", f"{cost.baseline_usd_per_month:,.2f}"),
        ("baseline and the expected burst hours, a month", f"{cost.expected_usd_per_month:,.2f}"),
        ("at the peak, an hour", f"{cost.peak_usd_per_hour:,.2f}"),
    ]
    if cost.beside_usd_per_month is not None:
        rows.append(("beside the nodes, as far as it is known, a month", f"{cost.beside_usd_per_month:,.2f}"))
    more = of_blocks("Cost", cost_blocks(plan))
    age = cost.price_age
    aged = (
        (f"The oldest price was read on {age.oldest_date}, {counted(age.days, 'day')} before {age.day}.",)
        if age and age.days
        else ()
    )
    return Part(
        id="cost",
        title="Cost",
        sentences=(*aged, *more.sentences),
        grids=(grid("Sums in USD", ("what", "USD"), rows, frozenset({1})), *more.grids),
        figures=(pools_figure(plan),),
    )


def _starts(plan: Plan, sums: Sums) -> Part:
    ordered = sorted(plan.workloads, key=lambda workload: -workload.cold_start_s.upper.total)
    figures = tuple(timeline(workload, f"start-{at}", sums) for at, workload in enumerate(ordered))
    return Part(
        id="starts",
        title="Cold starts against the burst",
        sentences=_not_drawn(len(ordered), "the slowest"),
        grids=tuple(each.table for each in figures[MOST_FIGURES:]),
        figures=figures[:MOST_FIGURES],
    )


def _assumptions(assumptions: Sequence[Assumption]) -> Iterator[tuple[str, tuple[str, ...]]]:
    owners = tuple(dict.fromkeys(assumed.agent for assumed in assumptions))
    for owner in owners:
        lines = tuple(
            f"{assumed.part + '.' if assumed.part else ''}{assumed.field}: {assumed.value}"
            for assumed in assumptions
            if assumed.agent == owner
        )
        yield ("the stack" if owner is None else owner, lines)


def _provenance(plan: Plan) -> Iterator[str]:
    made = plan.provenance
    yield f"agentgpu {made.tool_version}"
    yield f"catalog {made.catalog_version}"
    yield f"spec {made.spec_sha256}"
    if made.solver is not None:
        yield f"solver {made.solver}"
