"""Where the money goes: a month of each agent, and of each pool of nodes."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Final

from agentgpu_iac.plan import Plan
from agentgpu_iac.plan.buying import dated
from agentgpu_iac.review.blocks import Table
from agentgpu_iac.review.cost_view import agents_table
from agentgpu_iac.review.report.figure import (
    LETTERS,
    ROW,
    Figure,
    Key,
    bars,
    chart,
    names,
    notes,
    paint,
    scale,
    shortened,
)
from agentgpu_iac.review.report.tables import Grid, of_block
from agentgpu_iac.units import counted

MOST_BARS: Final = 30
"""Bars of one figure: the dearest. The table has all."""


def agents_figure(plan: Plan) -> Figure:
    """What each agent causes of the nodes' cost."""
    costs = [(each.agent, each.usd_per_month) for each in plan.cost.by_agent]
    return _figure("agents-cost", "Cost by agent", "agent", costs, of_block("Cost by agent", agents_table(plan)))


def pools_figure(plan: Plan) -> Figure:
    """What the nodes of each pool cost, by how they are bought."""
    items = plan.cost.line_items
    costs = [(f"{item.node_pool}, {item.capacity_type}", item.usd_per_month) for item in items]
    table = Table(
        columns=(
            "pool",
            "tier",
            "bought",
            "instance type",
            "nodes",
            "USD/h a node",
            "h a month",
            "USD a month",
            "price of",
        ),
        rows=tuple(
            (
                item.node_pool,
                item.tier,
                item.capacity_type,
                item.instance_type,
                f"{item.nodes:,}",
                f"{item.usd_per_hour:,.4f}",
                f"{float(item.hours_per_month):,g}",
                f"{item.usd_per_month:,.2f}",
                ("" if item.price_known else "unknown, counted as of ") + dated(item.price_date, item.capacity_type),
            )
            for item in items
        ),
        right=frozenset({4, 5, 6, 7}),
    )
    return _figure("pools-cost", "Cost by node pool", "line", costs, of_block("Cost by node pool", table))


def _figure(name: str, title: str, what: str, costs: Sequence[tuple[str, Decimal]], table: Grid) -> Figure:
    dearest = sorted(costs, key=lambda cost: -cost[1])
    drawn = dearest[:MOST_BARS]
    more = f" The {len(dearest) - len(drawn)} cheapest are in the table alone." if len(dearest) > len(drawn) else ""
    if not dearest:
        return Figure(name=name, title=title, summary="The plan names no cost.", keys=(), table=table, spec=None)
    label, usd = dearest[0]
    return Figure(
        name=name,
        title=title,
        summary=f"{counted(len(costs), what)}; the dearest is {label} with USD {usd:,.2f} a month.{more}",
        keys=(Key(style="money", text="USD a month"),),
        table=table,
        spec=_spec(drawn),
    )


def _spec(costs: Sequence[tuple[str, Decimal]]) -> dict[str, object]:
    x = scale(float(costs[0][1]) * 1.02, "USD a month", form=",.0f")
    rows = [
        {
            "row": row,
            "start": 0,
            "end": float(usd),
            "fill": paint("money"),
            "tip": f"{label}: USD {usd:,.2f} a month",
            "note": f"{usd:,.0f}",
        }
        for row, (label, usd) in enumerate(costs)
    ]
    labels = [shortened(label, LETTERS) for label, _ in costs]
    count = len(rows)
    return chart([names(labels), bars(rows, count, x), notes(rows, count, x)], height=count * ROW)
