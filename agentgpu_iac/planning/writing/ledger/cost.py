"""What the node pools of an agent cost."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from decimal import Decimal

from agentgpu_iac.plan import AgentCost, LineItem
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
