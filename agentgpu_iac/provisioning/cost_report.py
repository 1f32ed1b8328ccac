"""What a deployment costs, told before it is made: a stack output, and a table in what preview and up say.

Pulumi's own diff of the output shows each figure that changed; the table says it in words. The figures before are the
stack's own last outputs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any

import pulumi

from agentgpu_iac.plan import LineItem, Plan
from agentgpu_iac.provisioning.deployed import last_outputs
from agentgpu_iac.units import money_text

OUTPUT = "cost"
"""Name of the stack output."""

_COLUMNS = ("node pool", "tier", "bought", "nodes", "USD/h each", "USD/month")
_NUMBERS = frozenset({3, 4, 5})

_SUMS = {
    "baselineUsdPerMonth": "baseline, USD/month",
    "peakUsdPerHour": "peak, USD/h",
    "expectedUsdPerMonth": "with the expected burst hours, USD/month",
}
_PARTS = {"nodes": "nodes", "usdPerHour": "USD/h each", "usdPerMonth": "USD/month", "instanceType": "instance type"}
_MONEY = frozenset({*_SUMS, "usdPerHour", "usdPerMonth"})

Figures = Mapping[str, Any]


def report_cost(plan: Plan, *, excludes: str) -> dict[str, Any]:
    """Say what the plan costs and what that changes, once, and return the figures for the stack output ``cost``.

    ``excludes`` names what the target costs beside its nodes.
    """
    now = cost_figures(plan, excludes)
    pulumi.log.info("\n".join((*cost_table(now), *_comparison(now))))
    return now


def cost_figures(plan: Plan, excludes: str) -> dict[str, Any]:
    """The stack output: sums, and a line for each node pool and way to buy it."""
    cost = plan.cost
    return {
        "baselineUsdPerMonth": money_text(cost.baseline_usd_per_month),
        "peakUsdPerHour": money_text(cost.peak_usd_per_hour),
        "expectedUsdPerMonth": money_text(cost.expected_usd_per_month),
        "priceDates": sorted({_date(item) for item in cost.line_items}),
        "lines": {f"{item.node_pool} {item.capacity_type}": _line(item) for item in cost.line_items},
        "excludes": excludes,
    }


def _line(item: LineItem) -> dict[str, Any]:
    return {
        "nodePool": item.node_pool,
        "tier": item.tier,
        "bought": item.capacity_type,
        "instanceType": item.instance_type,
        "nodes": item.nodes,
        "usdPerHour": money_text(item.usd_per_hour),
        "usdPerMonth": money_text(item.usd_per_month),
        "priceKnown": item.price_known,
        "priceDate": _date(item),
    }


def _date(item: LineItem) -> str:
    return item.price_date or "undated"


def cost_table(now: Figures) -> Iterator[str]:
    """The figures as lines of text; the first is the sum, since some places show no more than that."""
    yield (
        f"cost: USD {_money(now['baselineUsdPerMonth'])} a month for the baseline, "
        f"USD {_money(now['peakUsdPerHour'])} an hour at the peak"
    )
    lines = tuple(now["lines"].values())
    rows = (
        (
            *(line["nodePool"], line["tier"], line["bought"], str(line["nodes"])),
            *(_price(line, "usdPerHour"), _price(line, "usdPerMonth")),
        )
        for line in lines
    )
    total = ("baseline and expected burst", "", "", "", "", _money(now["expectedUsdPerMonth"]))
    yield from _aligned((_COLUMNS, *rows, total))
    if not all(line["priceKnown"] for line in lines):
        yield "  * nobody knows this price; the dearest known price of the accelerator is counted"
    yield f"  A burst tier counts for its expected hours. Prices of {', '.join(now['priceDates'])}."
    yield f"  Not counted: {now['excludes']}."


def _price(line: Figures, key: str) -> str:
    return f"{_money(line[key])}{'' if line['priceKnown'] else '*'}"


def _aligned(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (
            cell.rjust(width) if place in _NUMBERS else cell.ljust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        yield f"  {'  '.join(cells)}".rstrip()


def _comparison(now: Figures) -> tuple[str, ...]:
    """What changed since the last deployment. If it cannot be determined, for any reason, the deployment goes on."""
    try:
        return tuple(cost_changes(_last_figures(), now))
    except Exception as error:  # the SDK raises nothing narrower, and the figures may be of another version
        return (f"  The last deployment could not be read: {error}",)


def _last_figures() -> Figures:
    """The output ``cost`` of this stack's last deployment; empty where there is none, or none that told its cost."""
    found = last_outputs().get(OUTPUT)
    return found if isinstance(found, Mapping) else {}


def cost_changes(last: Figures, now: Figures) -> Iterator[str]:
    """What changed against the last deployment, as lines of text."""
    if not last:
        yield "  No earlier deployment of this Pulumi stack told its cost: nothing to compare with."
        return
    before, after = last.get("lines", {}), now["lines"]
    changes = [
        *(f"{words}: {change}" for key, words in _SUMS.items() if (change := _change(last, now, key))),
        *(f"{name}: new" for name in after if name not in before),
        *(f"{name}: gone" for name in before if name not in after),
        *(
            f"{name}: {words} {change}"
            for name in after
            for key, words in _PARTS.items()
            if name in before and (change := _change(before[name], after[name], key))
        ),
    ]
    if not changes:
        yield "  The same as at the last deployment."
        return
    yield "  Changed since the last deployment:"
    yield from (f"    {change}" for change in changes)


def _change(last: Figures, now: Figures, key: str) -> str:
    """One figure before and after; nothing where it is the same."""
    before, after = last.get(key), now[key]
    if before is None or before == after:
        return ""
    if key not in _MONEY:
        return f"{before:g} -> {after:g}" if key == "nodes" else f"{before} -> {after}"
    more = Decimal(after) - Decimal(before)
    return f"{_money(before)} -> {_money(after)} ({'+' if more > 0 else '-'}{_money(abs(more))})"


def _money(amount: str | Decimal) -> str:
    """With thousands separators and at least two decimals."""
    value = Decimal(amount)
    digits = -int(value.normalize().as_tuple().exponent)
    return f"{value:,.{max(2, digits)}f}"
