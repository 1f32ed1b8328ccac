"""The report as one HTML page: it asks for nothing, runs nothing, and is the same for the same plan.

Every value goes through one place: what shows nothing by itself is spelled out, then all of it is escaped. Only the drawings
and the style sheet are put in as they are; both are ours. The page allows its one style sheet by its hash, and no more.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from agentgpu_iac.characters import visible
from agentgpu_iac.plan import Plan
from agentgpu_iac.rendering.templates import template_folder
from agentgpu_iac.review.report.drawing import draw
from agentgpu_iac.review.report.figure import Figure, Key
from agentgpu_iac.review.report.parts import Part
from agentgpu_iac.review.report.tables import Grid
from agentgpu_iac.review.report.traffic import simulation_parts
from agentgpu_iac.review.report.view import report
from agentgpu_iac.review.simulation_view import simulation_headline
from agentgpu_iac.simulation.outcome import SimulationAnswer

_PAGE: Final = "report.html.j2"
_SIMULATION: Final = "simulation.html.j2"
_STYLE: Final = "report.css"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Drawn:
    """A figure as the template has it."""

    name: str
    title: str
    summary: str
    keys: tuple[Key, ...]
    table: Grid
    is_drawn: bool
    svg: Markup


@dataclass(frozen=True, slots=True, kw_only=True)
class _DrawnPart:
    """A part with its figures drawn."""

    id: str
    title: str
    sentences: tuple[str, ...]
    grids: tuple[Grid, ...]
    figures: tuple[_Drawn, ...]


def report_page(plan: Plan) -> str:
    """The page.

    Raises:
        MissingExtra: the library that draws the figures is not installed.
    """
    said = report(plan)
    return _filled(_PAGE, report=said, parts=_drawn_parts(said.parts))


def simulation_page(found: SimulationAnswer) -> str:
    """A simulation as a page of its own.

    Raises:
        MissingExtra: the library that draws the figures is not installed.
    """
    said = simulation_parts(found)
    return _filled(_SIMULATION, stack=found.stack, headline=simulation_headline(found), parts=_drawn_parts(said))


def _filled(template: str, **values: object) -> str:
    style = (template_folder("report") / _STYLE).read_text(encoding="utf-8")
    return (
        _environment()
        .get_template(template)
        .render(
            **values,
            style=Markup(style),  # noqa: S704 - a file of ours
            style_hash=Markup(base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()),  # noqa: S704
        )
    )


def _drawn_parts(parts: Sequence[Part]) -> tuple[_DrawnPart, ...]:
    return tuple(
        _DrawnPart(
            id=part.id,
            title=part.title,
            sentences=part.sentences,
            grids=part.grids,
            figures=tuple(map(_drawn, part.figures)),
        )
        for part in parts
    )


def _drawn(figure: Figure) -> _Drawn:
    svg = "" if figure.spec is None else draw(figure.spec, figure.name, figure.title, figure.summary)
    return _Drawn(
        name=figure.name,
        title=figure.title,
        summary=figure.summary,
        keys=figure.keys,
        table=figure.table,
        is_drawn=bool(svg),
        svg=Markup(svg),  # noqa: S704 - written anew from a list of elements and attributes
    )


@cache
def _environment() -> Environment:
    made = Environment(
        loader=FileSystemLoader(Path(template_folder("report"))),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_finalized,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        auto_reload=False,
    )
    made.globals.clear()
    return made


def _finalized(value: Any) -> Any:
    return value if isinstance(value, Markup) else visible(str(value))
