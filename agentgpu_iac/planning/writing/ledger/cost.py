"""What the node pools of an agent cost."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from decimal import Decimal

from agentgpu_iac.plan import AgentCost, CommitmentCost, LineItem, OpenHoursPlan, Workload
from agentgpu_iac.plan.buying import OWNED
from agentgpu_iac.planning.opening import HPA_S
from agentgpu_iac.sizing.ledger import Line
from agentgpu_iac.units import HOURS_PER_MONTH

SECTION = "Cost"


def cost_lines(
    items: Iterable[LineItem], agent: str, members: set[str], hours: OpenHoursPlan | None = None
) -> Iterator[Line]:
    """The line items of one node pool, on which ``members`` are."""
    also = f", shared with {', '.join(sorted(members - {agent}))}" if len(members) > 1 else ""
    for item in items:
        by_the_clock = hours is not None and item.hours_per_month != HOURS_PER_MONTH
        of = " of its windows" if by_the_clock else " of the burst tier" if item.tier == "burst" else ""
        yield Line(
            name=f"{item.node_pool} ({item.capacity_type})",
            formula=f"nodes x USD/h x hours a month{of}{also}",
            inputs=f"{item.nodes} x {_shortest(item.usd_per_hour)} x {_shortest(item.hours_per_month)}",
            value=float(item.usd_per_month),
            result=f"USD {item.usd_per_month:,.2f} a month",
            unit="USD",
            source=item.price_source
            if item.capacity_type == OWNED
            else f"{item.price_source}, {item.price_date or 'undated'}",
        )


def hours_lines(workload: Workload, idle_s: int) -> Iterator[Line]:
    """For how long nodes of a deployment that follows a schedule are there."""
    hours = workload.open_hours
    if hours is None:
        return
    start_s = workload.cold_start_s.upper.total
    yield Line(
        name="leadS",
        formula="cold start at worst + KEDA's polling + its HPA's, in whole minutes",
        inputs=f"{start_s:g} + {hours.polling_interval_s} + {HPA_S}",
        value=hours.lead_s,
        result=f"{hours.lead_s} s before each window",
        unit="s",
        source="keda 2.20: pkg/scalers/cron_scaler.go; an HPA looks every 15 s",
    )
    if hours.node_hours_per_month is None:
        return
    yield Line(
        name="nodeHoursPerMonth",
        formula="(open hours a week + for each stretch of them its start and its end) x 720 / 168",
        inputs=f"{hours.open_hours_per_week:g} h, {hours.lead_s // 60} min before, and after it KEDA's polling, a drain of "
        f"{workload.drain.grace_period_s} s and {idle_s} s empty, in whole minutes; what overlaps counts once",
        value=hours.node_hours_per_month,
        result=f"{hours.node_hours_per_month:,.2f} h of 720",
        unit="h",
        source="spec: schedule",
    )


def commitment_lines(commitments: Iterable[CommitmentCost], pool: str) -> Iterator[Line]:
    """What commitments cover of a pool's nodes, and from when on each pays."""
    for each in commitments:
        name, source = f"commitment {each.position + 1} ({each.kind})", f"spec: capacity.commitments[{each.position}]"
        covered = [cover for cover in each.covers if cover.node_pool == pool]
        for cover in covered:
            yield Line(
                name=f"{name} covers",
                formula="nodes that it covers, at what they would cost; they cost what is committed instead",
                inputs=f"{cover.nodes:.6g} of the pool's nodes, {each.hours_per_month:g} h a month",
                value=float(cover.usd_per_month),
                result=f"USD {cover.usd_per_month:,.2f} a month",
                unit="USD",
                source=source,
            )
        if not covered:
            continue
        yield Line(
            name=f"{name} costs",
            formula="committed x USD/h x hours a month, used or not; upfront sums are spread over the term",
            inputs=f"{each.committed:.6g} x {_shortest(each.usd_per_hour)} x {each.hours_per_month:g}, "
            f"{each.unused_ratio:.1%} of it unused",
            value=float(each.usd_per_month),
            result=f"USD {each.usd_per_month:,.2f} a month",
            unit="USD",
            source=source,
        )
        for pair in each.break_even:
            yield Line(
                name=f"{name} pays from, for {pair.machine} in {pair.region}",
                formula=f"committed USD/h x {each.hours_per_month:g} h / USD/h on demand",
                inputs=f"{_shortest(pair.committed_usd_per_hour)} x {each.hours_per_month:g} / "
                f"{_shortest(pair.on_demand_usd_per_hour)}",
                value=pair.hours_per_month,
                result=f"{pair.hours_per_month:,.1f} h a month",
                unit="h",
                source=source,
            )


def agent_lines(cost: AgentCost, ratio: float) -> Iterator[Line]:
    """What one agent causes of all of them, in a month and for a thousand of what it is asked.

    ``ratio`` is its part of its deployment's load.
    """
    part = f", x {ratio:.4g} of the KV cache that the sessions of the peak hold" if ratio < 1 else ""
    yield Line(
        name="usdPerMonth",
        formula=f"its part of each pool: by accelerators taken, or by engines where they share one{part}",
        inputs="pools above",
        value=float(cost.usd_per_month),
        result=f"USD {cost.usd_per_month:,.2f} a month",
        unit="USD",
        source="sum",
    )
    if cost.usd_per_1000 is not None and cost.asked_per_month:
        spec = (
            "traffic.conversationsPerDay or work, in 30 days"
            if cost.asked == "conversations"
            else "requests.perS x 720 h"
        )
        yield Line(
            name="usdPer1000",
            formula=f"USD a month / {cost.asked} a month x 1,000",
            inputs=f"{cost.usd_per_month:,.2f} / {cost.asked_per_month:,.0f} x 1,000",
            value=float(cost.usd_per_1000),
            result=f"USD {cost.usd_per_1000:,.4f} for 1,000 {cost.asked}",
            unit="USD",
            source=f"spec: {spec}",
        )


def _shortest(price: Decimal) -> str:
    return f"{price.normalize():f}"
