"""Levers and frontiers as people read them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal

from agentgpu_iac.plan.lever import Frontier, Lever, Levers
from agentgpu_iac.review.blocks import Block, Heading, Listing, Paragraph, Table
from agentgpu_iac.review.frontier_chart import frontier_chart
from agentgpu_iac.units import counted


def levers_view(found: Levers) -> tuple[Block, ...]:
    """What drives the price, what changes save or cost, and the ways out of a broken budget."""
    return tuple(_blocks(found))


def _blocks(found: Levers) -> Iterator[Block]:
    yield Paragraph(text=_as_it_is(found))
    if found.drivers:
        yield Heading(text="What drives the price")
        yield Table(
            columns=("deployment", "USD a month", "share", "stands at", "why"),
            rows=tuple(
                (
                    driver.agent,
                    f"{driver.usd_per_month:,.2f}",
                    f"{driver.share_ratio:.0%}",
                    driver.constraint if driver.refused is None else f"{driver.constraint} ({driver.refused})",
                    driver.message,
                )
                for driver in found.drivers
            ),
            right=frozenset({1, 2}),
        )
    if found.relaxed:
        yield Heading(text="What a looser limit would save")
        yield _table(found.relaxed)
    if not found.feasible:
        yield from ways_out_view(found)
    yield Heading(text="Changes")
    moving = [lever for lever in found.levers if lever.planned and lever.delta_usd_per_month != 0]
    if moving:
        yield _table(moving)
    idle = [lever for lever in found.levers if lever.planned and lever.delta_usd_per_month == 0]
    if idle:
        yield Paragraph(text="These change no cost:")
        yield Listing(items=tuple(f"{lever.change}: {lever.write}" for lever in idle))
    refused = [lever for lever in found.levers if not lever.planned]
    if refused:
        yield Paragraph(text="These cannot be planned:")
        yield Listing(items=tuple(f"{lever.change} ({lever.write}): {lever.refusal}" for lever in refused))
    cautions = tuple(f"{lever.write}: {lever.caution}" for lever in moving if lever.caution)
    if cautions:
        yield Paragraph(text="What they take beside money:")
        yield Listing(items=cautions)
    if found.not_asked:
        yield Paragraph(
            text=f"Not asked about the fields of {', '.join(found.not_asked)}, which cause less of the cost: --agent NAME asks."
        )


def ways_out_view(found: Levers) -> tuple[Block, ...]:
    """The changes with which a stack has a plan that has none."""
    if found.ways_out:
        return (Heading(text="Ways out"), _table(found.ways_out))
    none = f"None of {counted(len(found.levers), 'change')} makes a plan possible, nor those together that save most."
    return (Heading(text="Ways out"), Paragraph(text=none))


def _as_it_is(found: Levers) -> str:
    budget = "" if found.budget_usd_per_month is None else f"; the budget is USD {found.budget_usd_per_month:,.2f}"
    if found.usd_per_month is None or found.baseline_usd_per_month is None:
        return f"{found.stack} has no plan: {found.message}"
    said = (
        f"{found.stack}: USD {found.usd_per_month:,.2f} a month ({found.baseline_usd_per_month:,.2f} warm) on {found.nodes}"
        f"{budget}. {found.plans} plans were made for this."
    )
    return said if found.feasible else f"{said} As it is it has none: {found.message}"


def _table(levers: Sequence[Lever]) -> Table:
    return Table(
        columns=("change", "saves or costs", "USD a month", "write", "on"),
        rows=tuple(
            (
                lever.change,
                _difference(lever.delta_usd_per_month),
                "" if lever.usd_per_month is None else f"{lever.usd_per_month:,.2f}",
                lever.write,
                lever.nodes or lever.refusal,
            )
            for lever in levers
        ),
        right=frozenset({1, 2}),
    )


def _difference(delta: Decimal | None) -> str:
    if delta is None:
        return ""
    return "nothing" if delta == 0 else f"{'saves' if delta < 0 else 'costs'} {abs(delta):,.2f}"


def frontier_view(found: Frontier) -> tuple[Block, ...]:
    """A row for each value."""
    whose = "" if found.agent is None else f" of {found.agent}"
    unit = f" ({found.unit})" if found.unit else ""
    return (
        Paragraph(text=f"{found.stack}: cost over {found.over}{whose}. As it is: {found.write}."),
        *((chart,) if (chart := frontier_chart(found)) else ()),
        Table(
            columns=(f"{found.over}{unit}", "USD a month", "warm", "USD/h at the peak", "on"),
            rows=tuple(
                (
                    f"{point.value:,.10g}{' (as it is)' if point.own else ''}",
                    "no plan" if point.usd_per_month is None else f"{point.usd_per_month:,.2f}",
                    "" if point.baseline_usd_per_month is None else f"{point.baseline_usd_per_month:,.2f}",
                    "" if point.peak_usd_per_hour is None else f"{point.peak_usd_per_hour:,.2f}",
                    point.nodes or point.refusal,
                )
                for point in found.points
            ),
            right=frozenset({0, 1, 2, 3}),
            whole=frozenset({0, 1, 2, 3}),
            cuttable=frozenset({4}),
            drop=(2, 3),
        ),
    )
