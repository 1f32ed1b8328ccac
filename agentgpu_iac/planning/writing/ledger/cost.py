"""What the node pools of an agent cost."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from decimal import Decimal

from agentgpu_iac.plan import LineItem
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


def _shortest(price: Decimal) -> str:
    return f"{price.normalize():f}"
