"""What the node pools of an agent cost."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from decimal import Decimal

from agentgpu_iac.plan import AgentCost, CommitmentCost, LineItem
from agentgpu_iac.sizing.ledger import Line
from agentgpu_iac.units import HOURS_PER_MONTH

SECTION = "Cost"


def cost_lines(items: Iterable[LineItem], agent: str, members: set[str], burst_hours: Decimal) -> Iterator[Line]:
    """The line items of one node pool, on which ``members`` are."""
    also = f", shared with {', '.join(sorted(members - {agent}))}" if len(members) > 1 else ""
    for item in items:
        hours, of = (Decimal(HOURS_PER_MONTH), "") if item.tier == "baseline" else (burst_hours, " of the burst tier")
        yield Line(
            name=f"{item.node_pool} ({item.capacity_type})",
            formula=f"nodes x USD/h x hours a month{of}{also}",
            inputs=f"{item.nodes} x {_shortest(item.usd_per_hour)} x {hours:g}",
            value=float(item.usd_per_month),
            result=f"USD {item.usd_per_month:,.2f} a month",
            unit="USD",
            source=f"{item.price_source}, {item.price_date or 'undated'}",
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
                name=f"{name} pays from",
                formula=f"committed USD/h x {each.hours_per_month:g} h / USD/h on demand",
                inputs=f"{pair.machine} in {pair.region}: {_shortest(pair.committed_usd_per_hour)} x "
                f"{each.hours_per_month:g} / {_shortest(pair.on_demand_usd_per_hour)}",
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
        spec = "traffic.conversationsPerDay x 30" if cost.asked == "conversations" else "requests.perS x 720 h"
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
