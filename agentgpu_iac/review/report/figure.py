"""A figure of the report: a picture that was drawn, what it shows in words, and the same as a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from unicodedata import east_asian_width

from agentgpu_iac.characters import visible
from agentgpu_iac.review.report.tables import Grid

WIDTH: Final = 440
"""Width of every figure in its own units. Shown 330 wide on a phone and 600 on a desk, its letters can be read on both."""
LABELS: Final = 140
"""Part of it for the names of rows."""
LETTERS: Final = 15
"""Letters of a name that fit there, whatever the font; an ideograph takes the room of two."""
TEXT: Final = 12
ROW: Final = 26


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """What a colour or a shape means."""

    style: str
    """Class of its swatch, which the style sheet knows."""
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A figure before it is drawn."""

    name: str
    """Unique on the page."""
    title: str
    summary: str
    """What it shows, in sentences made from its numbers."""
    keys: tuple[Key, ...]
    table: Grid
    spec: Mapping[str, Any] | None
    """Vega-Lite; None: there is nothing to draw."""


Row = dict[str, Any]
"""One datum of a figure."""


def shortened(text: str, most: int) -> str:
    """A text as the label of a figure, in so many characters; its table has it in full."""
    shown, taken = visible(text), 0
    for at, letter in enumerate(shown):
        taken += 2 if east_asian_width(letter) in "WF" else 1
        if taken > most:
            return f"{shown[: max(1, at - 1)]}…"
    return shown


def paint(part: str) -> str:
    """A colour by its meaning: a property of the style sheet, which has one value for light pages and one for dark ones."""
    return f"var(--{part})"


def chart(
    layers: Sequence[Mapping[str, Any]], *, height: int, left: int = LABELS, right: int = 64, bottom: int = 44
) -> dict[str, Any]:
    """Layers on an area of fixed size, so that where things stand depends on no font."""
    return {
        "$schema": "https://vega.github.io/schema/vega-lite/v6.json",
        "autosize": {"type": "none"},
        "background": None,
        "width": WIDTH - left - right,
        "height": height,
        "padding": {"left": left, "right": right, "top": 10, "bottom": bottom},
        "layer": list(layers),
        "config": {
            "view": {"stroke": None},
            "font": "sans-serif",
            "axis": {
                "labelColor": paint("quiet"),
                "titleColor": paint("quiet"),
                "labelFontSize": TEXT,
                "titleFontSize": TEXT,
                "titleFontWeight": "normal",
                "gridColor": paint("line"),
                "tickColor": paint("line"),
                "domain": False,
                "labelFlush": False,
                "labelOverlap": False,
            },
            "text": {"fontSize": TEXT, "fill": paint("ink")},
        },
    }


def rows_axis(count: int) -> dict[str, Any]:
    """Rows from above to below, by the number under ``row``; their names are written by ``names``."""
    return {
        "field": "row",
        "type": "ordinal",
        "axis": None,
        "scale": {"domain": list(range(count)), "paddingInner": 0.3, "paddingOuter": 0.15},
    }


def names(labels: Sequence[str]) -> dict[str, Any]:
    """The names of rows, left of the area."""
    return {
        "data": {"values": [{"row": at, "label": label} for at, label in enumerate(labels)]},
        "mark": {"type": "text", "align": "right", "x": -8, "baseline": "middle", "aria": False},
        "encoding": {"y": rows_axis(len(labels)), "text": {"field": "label"}},
    }


def bars(values: Sequence[Row], count: int, x: Mapping[str, Any]) -> dict[str, Any]:
    """Bars from ``start`` to ``end`` in the row of each; ``fill`` is the colour, ``tip`` what a pointer is told."""
    return {
        "data": {"values": list(values)},
        "mark": {"type": "bar", "stroke": paint("page"), "strokeWidth": 1},
        "encoding": {
            "y": rows_axis(count),
            "x": {"field": "start", **x},
            "x2": {"field": "end"},
            "color": {"field": "fill", "type": "nominal", "scale": None},
            "description": {"field": "tip"},
        },
    }


def notes(values: Sequence[Row], count: int, x: Mapping[str, Any]) -> dict[str, Any]:
    """A few words right of ``end``."""
    return {
        "data": {"values": list(values)},
        "mark": {"type": "text", "align": "left", "dx": 5, "baseline": "middle", "aria": False},
        "encoding": {
            "y": rows_axis(count),
            "x": {"field": "end", **x},
            "text": {"field": "note"},
        },
    }


def rule(at: float, x: Mapping[str, Any], part: str, tip: str) -> dict[str, Any]:
    """A limit over the whole height."""
    return {
        "data": {"values": [{"at": at, "tip": tip}]},
        "mark": {"type": "rule", "stroke": paint(part), "strokeWidth": 2, "strokeDash": [5, 3]},
        "encoding": {"x": {"field": "at", **x}, "description": {"field": "tip"}},
    }


def scale(most: float, title: str, *, form: str = ",.0f") -> dict[str, Any]:
    """A scale from nought to something no less than ``most``, with five marks at most."""
    return {
        "type": "quantitative",
        "scale": {"domain": [0, most if most > 0 else 1], "nice": False},
        "axis": {"title": title, "tickCount": 5, "format": form},
    }
