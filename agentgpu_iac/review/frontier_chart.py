"""A frontier as a picture in the terminal: the monthly cost over the values, in characters."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from agentgpu_iac.plan.lever import Frontier
from agentgpu_iac.review.blocks import Drawing

_ROWS, _COLUMNS = 10, 60
_OWN, _OTHER, _NONE, _BETWEEN = "●", "○", "X", "·"


def frontier_chart(found: Frontier) -> Drawing | None:
    """The picture, 80 columns wide at most; None where fewer than two values have a plan."""
    costs = [None if point.usd_per_month is None else float(point.usd_per_month) for point in found.points]
    known = [cost for cost in costs if cost is not None]
    if len(known) < 2:
        return None
    return Drawing(lines=tuple(_lines(found, costs, max(known))))


def _lines(found: Frontier, costs: list[float | None], most: float) -> Iterator[str]:
    grid = [[" "] * _COLUMNS for _ in range(_ROWS)]
    places = _places(len(costs))
    drawn = [(x, _row(cost, most)) for x, cost in zip(places, costs, strict=True) if cost is not None]
    for (left, above), (right, below) in pairwise(drawn):
        for x in range(left + 1, right):
            grid[round(above + (below - above) * (x - left) / (right - left))][x] = _BETWEEN
    for x, cost, point in zip(places, costs, found.points, strict=True):
        if cost is None:
            grid[_ROWS - 1][x] = _NONE
        else:
            grid[_row(cost, most)][x] = _OWN if point.own else _OTHER
    for number, row in enumerate(grid):
        usd = most * (1 - number / (_ROWS - 1))
        label = f"{usd:>14,.0f}" if number in (0, _ROWS // 2, _ROWS - 1) else " " * 14
        yield f"{label} │{''.join(row)}".rstrip()
    yield f"{'USD a month':>14} └{'─' * _COLUMNS}"
    yield from _labels(found, places)
    marks = f"{_OWN} as it is" if any(point.own for point in found.points) else ""
    none = f"{_NONE} no plan" if None in costs else ""
    if told := "   ".join(filter(None, (marks, none))):
        yield " " * 16 + told


def _places(count: int) -> list[int]:
    """Columns of the values, evenly."""
    return [round((_COLUMNS - 3) * at / max(1, count - 1)) + 1 for at in range(count)]


def _row(cost: float, most: float) -> int:
    return round((_ROWS - 1) * (1 - cost / most)) if most else _ROWS - 1


def _labels(found: Frontier, places: list[int]) -> Iterator[str]:
    """The values below their columns, those that have room, and the field's name behind them."""
    line, end = "", 0
    for x, point in zip(places, found.points, strict=True):
        text = f"{point.value:,.10g}"
        start = max(0, min(x - len(text) // 2, _COLUMNS - len(text)))
        if start >= end:
            line = line.ljust(start) + text
            end = start + len(text) + 1
    yield f"{' ' * 16}{line}"
    yield f"{' ' * 16}{found.over}{f' ({found.unit})' if found.unit else ''}"
