"""A cold start phase by phase, on the same seconds as the burst that it would answer."""

from __future__ import annotations

from agentgpu_iac.plan import Workload
from agentgpu_iac.review.plan_view import replicas
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
    rule,
    scale,
    shortened,
)
from agentgpu_iac.review.report.tables import Cell, Grid, Sums, grid
from agentgpu_iac.units import counted

_PHASES = (
    ("node", "node comes"),
    ("driver", "GPU registers"),
    ("image", "image is pulled"),
    ("cacheFill", "cache is filled"),
    ("imports", "engine imports"),
    ("weights", "weights are read"),
    ("compile", "compile"),
    ("warmUp", "warm-up"),
    ("firstAnswer", "first answer"),
)


def timeline(workload: Workload, name: str, sums: Sums) -> Figure:
    """When a replica that starts with the burst answers, and how long the burst takes to be there."""
    start, upper = workload.cold_start_s, workload.cold_start_s.upper
    count = replicas(workload)
    ramp_s = workload.burst_ramp_s if workload.sessions_peak > workload.sessions_concurrent else None
    burst = (
        ""
        if ramp_s is None
        else f" The burst from {workload.sessions_concurrent:,} to {counted(workload.sessions_peak, 'session')} comes in "
        f"{ramp_s:,.0f} s."
    )
    return Figure(
        name=name,
        title=f"{workload.name}: cold start and burst",
        summary=f"A new node of {workload.name} gives its first answer after {start.total:,.0f} s, one start in twenty "
        f"after more than {upper.total:,.0f} s; on a warm node after {start.warm_node_total:,.0f} s.{burst} "
        f"{counted(count, 'replica')} of {counted(workload.max_num_seqs, 'seat')} each.",
        keys=(
            *((Key(style="burst", text="the burst comes"),) if ramp_s is not None else ()),
            Key(style="phase", text="a phase of the start, as it is likely"),
            Key(style="limit", text="one start in twenty is slower"),
        ),
        table=_table(workload, sums, ramp_s),
        spec=_spec(workload, ramp_s),
    )


def _phases(workload: Workload) -> tuple[tuple[str, str, float, float], ...]:
    """Name of the number, what happens, seconds as likely and at worst."""
    likely = workload.cold_start_s.model_dump(by_alias=True)
    worst = workload.cold_start_s.upper.model_dump(by_alias=True)
    return tuple((name, title, likely[name], worst[name]) for name, title in _PHASES)


def _spec(workload: Workload, ramp_s: float | None) -> dict[str, object]:
    start, upper = workload.cold_start_s, workload.cold_start_s.upper
    x = scale(max(upper.total, ramp_s or 0.0) * 1.03, "seconds from the first request of the burst")
    rows: list[Row] = []
    labels: list[str] = []
    if ramp_s is not None:
        tip = f"{workload.sessions_concurrent:,} to {counted(workload.sessions_peak, 'session')} in {ramp_s:,.0f} s"
        rows.append(_row(0, 0.0, ramp_s, "burst", tip, f"+{workload.sessions_peak - workload.sessions_concurrent:,}"))
        labels.append("burst comes")
    at = 0.0
    for _, title, seconds, worst in _phases(workload):
        if not seconds:
            continue
        tip = f"{title}: {seconds:,.1f} s, {worst:,.1f} s at worst"
        rows.append(_row(len(rows), at, at + seconds, "phase", tip, f"{seconds:,.0f} s"))
        labels.append(title)
        at += seconds
    rows.append(_row(len(rows), 0.0, start.total, "total", f"{start.total:,.1f} s as likely", f"{start.total:,.0f} s"))
    labels.append("whole start")
    count = len(rows)
    late = rule(upper.total, x, "limit", f"one start in twenty takes more than {upper.total:,.0f} s")
    drawn = [names([shortened(label, LETTERS) for label in labels]), bars(rows, count, x), late, notes(rows, count, x)]
    return chart(drawn, height=count * 22, right=40)


def _row(row: int, start: float, end: float, part: str, tip: str, note: str) -> Row:
    return {"row": row, "start": start, "end": end, "fill": paint(part), "tip": tip, "note": note}


def _table(workload: Workload, sums: Sums, ramp_s: float | None) -> Grid:
    start, upper = workload.cold_start_s, workload.cold_start_s.upper
    rows: list[tuple[Cell | str, ...]] = [
        (title, sums.cell(f"{seconds:,.1f}", workload.name, name), f"{worst:,.1f}")
        for name, title, seconds, worst in _phases(workload)
    ]
    rows.append(("whole start", sums.cell(f"{start.total:,.1f}", workload.name, "total"), f"{upper.total:,.1f}"))
    rows.append(("on a warm node", f"{start.warm_node_total:,.1f}", f"{upper.warm_node_total:,.1f}"))
    if ramp_s is not None:
        rows.append(("the burst comes", f"{ramp_s:,.1f}", ""))
    caption = f"{workload.name}: seconds of a cold start"
    return grid(caption, ("phase", "likely", "at worst"), rows, frozenset({1, 2}))
