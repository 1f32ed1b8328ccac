"""A simulation as figures: what users waited beside budget and promise, and each deployment over time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
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
from agentgpu_iac.review.report.tables import Grid, grid, of_block
from agentgpu_iac.review.report.view import MOST_FIGURES, Part
from agentgpu_iac.review.simulation_view import simulation_view
from agentgpu_iac.simulation.outcome import AgentOutcome, DeploymentOutcome, Moment, SimulationAnswer

_HEIGHT = 160
_LOAD = (
    ("sessions", "sessions that are held", "total"),
    ("running", "requests that run", "kv"),
    ("waiting", "requests that wait", "limit"),
)
_FLEET = (
    ("warm_replicas", "warm replicas", "kv"),
    ("burst_replicas", "burst replicas", "burst"),
    ("starting_replicas", "on their way", "phase"),
)


def simulation_parts(found: SimulationAnswer) -> tuple[Part, ...]:
    """The parts of its page."""
    tables, sentences = _told(found)
    drawn = found.deployments[:MOST_FIGURES]
    figures = tuple(
        figure
        for at, each in enumerate(drawn)
        for figure in (_over_time(each, at, _LOAD), _over_time(each, at, _FLEET))
    )
    return (
        Part(id="waits", title="What users waited", figures=(_waits(found.agents),)),
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


def _waits(agents: Sequence[AgentOutcome]) -> Figure:
    """TTFT at p50, p95 and p99 of each agent, and its budget."""
    rows: list[Row] = []
    labels, cells = [], []
    for agent in agents:
        figures = agent.turns[0].ttft_ms
        for name, value in (("p50", figures.p50), ("p95", figures.p95), ("p99", figures.p99)):
            budget = agent.budget_ttft_ms
            is_over = budget is not None and (value or 0.0) > budget
            tip = f"{agent.agent}: TTFT {name} {value or 0:,.0f} ms" + (
                "" if budget is None else f", budget {budget:,.0f} ms"
            )
            rows.append(
                {
                    "row": len(rows), "start": 0.0, "end": value or 0.0, "fill": paint("limit" if is_over else "kv"),
                    "tip": tip, "note": f"{value or 0:,.0f}",
                }
            )  # fmt: skip
            labels.append(f"{shortened(agent.agent, LETTERS - 4)} {name}")
            cells.append((f"{agent.agent} {name}", f"{value or 0:,.1f}", "-" if budget is None else f"{budget:,.0f}"))
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


def _over_time(found: DeploymentOutcome, at: int, lines: Sequence[tuple[str, str, str]]) -> Figure:
    """Lines of a deployment over the minutes."""
    of_load = lines is _LOAD
    values = [_row(moment, field, part) for field, _, part in lines for moment in found.moments]
    most = max((row["value"] for row in values), default=1.0)
    last = max((row["minute"] for row in values), default=1.0)
    unit = "sessions and requests" if of_load else "replicas"
    columns = ("minute", *(text for _, text, _ in lines))
    table = [
        (f"{moment.at_s / 60:,.1f}", *(f"{getattr(moment, field):,.4g}" for field, _, _ in lines))
        for moment in found.moments
    ]
    return Figure(
        name=f"{'load' if of_load else 'fleet'}-{at}",
        title=f"{found.deployment}: {unit}",
        summary=f"At most {most:,.0f} {unit.split(maxsplit=1)[0]} over {last:,.0f} minutes; {found.burst_starts} burst replicas "
        f"were started, and USD {found.usd:,.2f} of {found.static_peak_usd:,.2f} paid, had all of the peak always run.",
        keys=tuple(Key(style=part, text=text) for _, text, part in lines),
        table=grid(f"{found.deployment} over time", columns, table, frozenset(range(len(columns)))),
        spec=chart(list(_layers(values, lines, last, most, unit)), height=_HEIGHT, left=56, right=16),
    )


def _layers(
    values: Sequence[Row], lines: Sequence[tuple[str, str, str]], last: float, most: float, unit: str
) -> Iterator[dict[str, Any]]:
    for field, text, part in lines:
        yield {
            "data": {"values": [row for row in values if row["field"] == field]},
            "mark": {
                "type": "line", "stroke": paint(part), "strokeWidth": 2,
                "interpolate": "step-before" if "replicas" in field else "linear",
            },
            "encoding": {
                "x": {"field": "minute", **scale(last, "minutes")},
                "y": {"field": "value", **scale(most * 1.05, unit)},
                "description": {"value": text},
            },
        }  # fmt: skip


def _row(moment: Moment, field: str, part: str) -> Row:
    return {"minute": moment.at_s / 60, "value": getattr(moment, field), "field": field, "fill": paint(part)}
