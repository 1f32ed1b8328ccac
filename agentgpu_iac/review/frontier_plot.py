"""A frontier as a picture: SVG, which browsers, slides and pull requests show, written without a library."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise
from xml.sax.saxutils import escape

from agentgpu_iac.plan.lever import Frontier, FrontierPoint

_WIDTH, _HEIGHT = 720, 400
_LEFT, _RIGHT, _TOP, _BOTTOM = 90, 20, 44, 60
_TICKS = 4


def frontier_svg(found: Frontier) -> str:
    """The monthly cost over the values; what cannot be planned is a cross on the axis, and what the spec has is filled."""
    return "\n".join(_lines(found)) + "\n"


def _lines(found: Frontier) -> Iterator[str]:
    whose = "" if found.agent is None else f" of {found.agent}"
    title = escape(f"{found.stack}: USD a month over {found.over}{whose}")
    yield (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" width="{_WIDTH}" height="{_HEIGHT}" '
        f'font-family="sans-serif" font-size="12" role="img"><title>{title}</title>'
    )
    yield f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="white"/>'
    yield f'<text x="{_LEFT}" y="24" font-size="15">{title}</text>'
    highest = _nice(max((float(point.usd_per_month) for point in found.points if point.usd_per_month), default=1.0))
    for tick in range(_TICKS + 1):
        usd = highest * tick / _TICKS
        y = _y(usd, highest)
        yield f'<line x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y:g}" y2="{y:g}" stroke="#ddd"/>'
        yield f'<text x="{_LEFT - 8}" y="{y + 4:g}" text-anchor="end">{usd:,.0f}</text>'
    places = _places(found.points)
    drawn = [
        (x, _y(float(point.usd_per_month), highest))
        for x, point in zip(places, found.points, strict=True)
        if point.usd_per_month is not None
    ]
    path = " ".join(f"{x:g},{y:g}" for x, y in drawn)
    yield f'<polyline points="{path}" fill="none" stroke="#1f77b4" stroke-width="2"/>'
    for x, point in zip(places, found.points, strict=True):
        yield from _mark(x, point, highest)
    unit = f" ({found.unit})" if found.unit else ""
    middle = (_LEFT + _WIDTH - _RIGHT) / 2
    yield f'<text x="{middle:g}" y="{_HEIGHT - 14}" text-anchor="middle">{escape(found.over + unit)}</text>'
    yield "</svg>"


def _mark(x: float, point: FrontierPoint, highest: float) -> Iterator[str]:
    foot = _HEIGHT - _BOTTOM
    yield f'<text x="{x:g}" y="{foot + 18}" text-anchor="middle">{point.value:,.10g}</text>'
    if point.usd_per_month is None:
        tip = escape(f"{point.value:,.10g}: no plan. {point.refusal}")
        cross = f"M{x - 5:g} {foot - 5} l10 10 m0 -10 l-10 10"
        yield f'<path d="{cross}" stroke="#d62728" stroke-width="2"><title>{tip}</title></path>'
        return
    tip = escape(f"{point.value:,.10g}: USD {point.usd_per_month:,.2f} a month on {point.nodes}")
    fill = "#1f77b4" if point.own else "white"
    y = _y(float(point.usd_per_month), highest)
    yield f'<circle cx="{x:g}" cy="{y:g}" r="5" fill="{fill}" stroke="#1f77b4" stroke-width="2"><title>{tip}</title></circle>'


def _places(points: Sequence[FrontierPoint]) -> list[float]:
    """Where the values stand: to scale, where their labels have room beside each other, else evenly."""
    inner, first = _WIDTH - _RIGHT - _LEFT - 40, _LEFT + 20
    least, most = points[0].value, points[-1].value
    if most > least:
        found = [first + inner * (point.value - least) / (most - least) for point in points]
        if all(right - left >= 36 for left, right in pairwise(found)):
            return found
    steps = max(1, len(points) - 1)
    return [first + inner * at / steps for at in range(len(points))]


def _y(usd: float, highest: float) -> float:
    return round(_HEIGHT - _BOTTOM - (_HEIGHT - _BOTTOM - _TOP) * usd / highest, 2)


def _nice(most: float) -> float:
    """A round figure that is no less, for four ticks."""
    if most <= 0:
        return 1.0
    size = 10.0 ** math.floor(math.log10(most))
    return next(size * each for each in (1, 2, 4, 6, 8, 10) if size * each >= most)
