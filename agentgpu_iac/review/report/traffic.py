"""A simulation as figures: what users waited beside budget and promise, and each deployment over time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from agentgpu_iac.review.blocks import Heading, Listing, Table
from agentgpu_iac.review.report.figure import (
    LETTERS,
    Figure,
    Key,
    Row,
    bars,
    chart,
    names,
    notes,
    paint,
    scale,
    shortened,
)
from agentgpu_iac.review.report.parts import MOST_FIGURES, Part
from agentgpu_iac.review.report.tables import Grid, grid, of_block
from agentgpu_iac.review.simulation_view import simulation_view
from agentgpu_iac.simulation.outcome import AgentOutcome, DeploymentOutcome, SimulationAnswer
from agentgpu_iac.units import counted

_HEIGHT = 160


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A line of a figure over time."""

    text: str
    part: str
    """Its colour's meaning."""
    values: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """A deployment over time."""

    deployment: str
    minutes: tuple[float, ...]
    load: tuple[Line, ...]
    fleet: tuple[Line, ...]
    told: str
    """A sentence more about it; empty: none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Waited:
    """An agent's TTFT at p50, p95 and p99 in ms, beside its budget."""

    agent: str
    at: tuple[float, float, float]
    budget_ms: float | None


def load_lines(sessions: Sequence[float], running: Sequence[float], waiting: Sequence[float]) -> tuple[Line, ...]:
    """What is asked of a deployment over time."""
    return (
        Line(text="sessions that are held", part="total", values=tuple(sessions)),
        Line(text="requests that run", part="kv", values=tuple(running)),
        Line(text="requests that wait", part="limit", values=tuple(waiting)),
    )


def fleet_lines(warm: Sequence[float], burst: Sequence[float], starting: Sequence[float]) -> tuple[Line, ...]:
    """What a deployment has over time."""
    return (
        Line(text="warm replicas", part="kv", values=tuple(warm)),
        Line(text="burst replicas", part="burst", values=tuple(burst)),
        Line(text="on their way", part="phase", values=tuple(starting)),
    )


def simulation_parts(found: SimulationAnswer) -> tuple[Part, ...]:
    """The parts of its page."""
    tables, sentences = _told(found)
    figures = courses_figures([_course(each) for each in found.deployments[:MOST_FIGURES]])
    waited = [_waited(each) for each in found.agents]
    return (
        Part(id="waits", title="What users waited", figures=(waits_figure(waited),)),
        Part(id="time", title="Over time", figures=figures),
        Part(id="figures", title="Figures", sentences=sentences, grids=tables),
    )


def _told(found: SimulationAnswer) -> tuple[tuple[Grid, ...], tuple[str, ...]]:
    """The tables of the text, each under its heading, and what was not simulated."""
    title = ""
    tables: list[Grid] = []
    sentences: tuple[str, ...] = ()
    for block in simulation_view(found):
        match block:
            case Heading():
                title = block.text
            case Table():
                tables.append(of_block(title, block))
            case Listing():
                sentences = block.items
            case _:
                pass
    return tuple(tables), sentences


def _waited(agent: AgentOutcome) -> Waited:
    figures = agent.turns[0].ttft_ms
    at = (figures.p50 or 0.0, figures.p95 or 0.0, figures.p99 or 0.0)
    return Waited(agent=agent.agent, at=at, budget_ms=agent.budget_ttft_ms)


def _course(found: DeploymentOutcome) -> Course:
    moments = found.moments
    return Course(
        deployment=found.deployment,
        minutes=tuple(each.at_s / 60 for each in moments),
        load=load_lines(
            [each.sessions for each in moments], [each.running for each in moments], [each.waiting for each in moments]
        ),
        fleet=fleet_lines(
            [each.warm_replicas for each in moments],
            [each.burst_replicas for each in moments],
            [each.starting_replicas for each in moments],
        ),
        told=f"{counted(found.burst_starts, 'burst replica')} {'was' if found.burst_starts == 1 else 'were'} "
        f"started, and USD {found.usd:,.2f} of "
        f"{found.static_peak_usd:,.2f} paid, had all of the peak always run.",
    )


def waits_figure(agents: Sequence[Waited]) -> Figure:
    """TTFT at p50, p95 and p99 of each agent, and its budget."""
    rows: list[Row] = []
    labels, cells = [], []
    for agent in agents:
        budget = agent.budget_ms
        for name, value in zip(("p50", "p95", "p99"), agent.at, strict=True):
            is_over = budget is not None and value > budget
            tip = f"{agent.agent}: TTFT {name} {value:,.0f} ms" + (
                "" if budget is None else f", budget {budget:,.0f} ms"
            )
            rows.append(
                {
                    "row": len(rows), "start": 0.0, "end": value, "fill": paint("limit" if is_over else "kv"),
                    "tip": tip, "note": f"{value:,.0f}",
                }
            )  # fmt: skip
            labels.append(f"{shortened(agent.agent, LETTERS - 4)} {name}")
            cells.append((f"{agent.agent} {name}", f"{value:,.1f}", "-" if budget is None else f"{budget:,.0f}"))
    x = scale(max((row["end"] for row in rows), default=1.0) * 1.05, "TTFT in ms")
    drawn = [names(labels), bars(rows, len(rows), x), notes(rows, len(rows), x)]
    return Figure(
        name="waits",
        title="Time to first token",
        summary="TTFT of each agent, waits before further tries included; a bar beyond its budget is marked.",
        keys=(Key(style="kv", text="within the budget, or without one"), Key(style="limit", text="beyond it")),
        table=grid("Time to first token, in ms", ("agent", "simulated", "budget"), cells, frozenset({1, 2})),
        spec=chart(drawn, height=len(rows) * 22),
    )


def courses_figures(courses: Sequence[Course]) -> tuple[Figure, ...]:
    """Two figures for each deployment: what was asked of it over time, and what it had."""
    return tuple(
        figure
        for at, each in enumerate(courses)
        for figure in (
            _over_time(each, f"load-{at}", "sessions and requests", each.load, "linear"),
            _over_time(each, f"fleet-{at}", "replicas", each.fleet, "step-before"),
        )
    )


def _over_time(course: Course, name: str, unit: str, lines: Sequence[Line], interpolate: str) -> Figure:
    """Lines of a deployment over the minutes."""
    most = max((value for line in lines for value in line.values), default=1.0)
    last = max(course.minutes, default=1.0)
    columns = ("minute", *(line.text for line in lines))
    table = [
        (f"{minute:,.1f}", *(f"{line.values[at]:,.4g}" for line in lines)) for at, minute in enumerate(course.minutes)
    ]
    most_told = f"At most {most:,.0f} {unit.split(maxsplit=1)[0]} over {counted(last, 'minute', ',.0f')}"
    return Figure(
        name=name,
        title=f"{course.deployment}: {unit}",
        summary=f"{most_told}; {course.told}" if course.told else f"{most_told}.",
        keys=tuple(Key(style=line.part, text=line.text) for line in lines),
        table=grid(f"{course.deployment} over time: {unit}", columns, table, frozenset(range(len(columns)))),
        spec=chart(
            [_layer(course.minutes, line, interpolate, last, most, unit) for line in lines],
            height=_HEIGHT,
            left=56,
            right=16,
        ),
    )


def _layer(
    minutes: Sequence[float], line: Line, interpolate: str, last: float, most: float, unit: str
) -> dict[str, Any]:
    values = [{"minute": minute, "value": value} for minute, value in zip(minutes, line.values, strict=True)]
    return {
        "data": {"values": values},
        "mark": {"type": "line", "stroke": paint(line.part), "strokeWidth": 2, "interpolate": interpolate},
        "encoding": {
            "x": {"field": "minute", **scale(last, "minutes")},
            "y": {"field": "value", **scale(most * 1.05, unit)},
            "description": {"value": line.text},
        },
    }
