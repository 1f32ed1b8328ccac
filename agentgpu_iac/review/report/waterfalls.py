"""The first token's way, step by step, against its budget: a figure for each deployment."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from agentgpu_iac.plan import Plan, Workload
from agentgpu_iac.review.report.figure import (
    LETTERS,
    ROW,
    Figure,
    Key,
    Row,
    bars,
    chart,
    names,
    notes,
    paint,
    rows_axis,
    rule,
    scale,
    shortened,
)
from agentgpu_iac.review.report.tables import Cell, Grid, Sums, grid


def waterfall(workload: Workload, name: str, sums: Sums) -> Figure:
    """How the time to the first token, or to the whole answer of a model that generates nothing, comes about."""
    latency = workload.latency
    planned, budget, error = latency.first_answer_at_percentile_ms, latency.first_answer_budget_ms, _error(workload)
    what = first_answer(workload)
    if planned is None:
        return Figure(
            name=name,
            title=f"{workload.name}: {what} is not predicted",
            summary=f"{workload.name}: no latency is predicted for {workload.accelerator}.",
            keys=(),
            table=_table(workload, sums, ()),
            spec=None,
        )
    steps = tuple(_steps(workload))
    of_budget = "" if budget is None else f", {planned / budget:.0%} of its budget of {budget:,.0f} ms"
    within = "" if error is None else f" The figure may be off by {error:.0%}: {_band(planned, error)}."
    return Figure(
        name=name,
        title=f"{workload.name}: {what} p{latency.percentile:g}",
        summary=f"{what} of {workload.name} is planned at {planned:,.1f} ms for {latency.percentile:g} of 100 "
        f"requests{of_budget}.{within}",
        keys=(
            Key(style="step", text="one step"),
            Key(style="total", text=f"{what} at p{latency.percentile:g}"),
            *((Key(style="band", text=f"band of ±{error:.0%}"),) if error is not None else ()),
            *((Key(style="limit", text="budget"),) if budget is not None else ()),
        ),
        table=_table(workload, sums, steps),
        spec=_spec(steps, planned, budget, error),
    )


def first_answer(workload: Workload) -> str:
    """What a caller sees first."""
    return "TTFT" if workload.latency.e2e_at_percentile_ms is None else "the whole answer"


def _error(workload: Workload) -> float | None:
    latency = workload.latency
    return latency.ttft_error_ratio if latency.e2e_at_percentile_ms is None else latency.e2e_error_ratio


def _band(planned: float, error: float) -> str:
    return f"{planned * (1 - error):,.0f} to {planned * (1 + error):,.0f} ms"


def _steps(workload: Workload) -> Iterator[tuple[str, str, float]]:
    """What it is made of: the name of the number, what it is, ms. The last is what the percentile adds to the mean."""
    latency = workload.latency
    parts = (
        ("networkMs", "network", latency.network_ms),
        ("reloadMs", "cache comes back", latency.reload_ms),
        ("queueMs", "queue and host", latency.queue_ms),
        ("prefillMs", "prompt is read", latency.prefill_ms),
        ("decodeMs", "first step", latency.decode_ms if latency.e2e_at_percentile_ms is None else None),
    )
    known = 0.0
    for name, title, value in parts:
        if value:
            known += value
            yield name, title, value
    planned = latency.first_answer_at_percentile_ms
    if planned is not None and abs(planned - known) >= 0.05:
        yield "", f"wait at p{latency.percentile:g}", planned - known


def _spec(
    steps: Sequence[tuple[str, str, float]], planned: float, budget: float | None, error: float | None
) -> dict[str, object]:
    most = max(planned * (1 + (error or 0.0)), budget or 0.0, planned) * 1.04
    x = scale(most, "ms", form=",.0f" if most >= 10 else ",.1f")
    rows: list[Row] = []
    at = 0.0
    for row, (_, title, value) in enumerate(steps):
        start, end = sorted((at, at + value))
        tip = f"{title}: {value:,.1f} ms"
        note = f"{value:+,.1f}" if row else f"{value:,.1f}"
        rows.append({"row": row, "start": start, "end": end, "fill": paint("step"), "tip": tip, "note": note})
        at += value
    last = len(steps)
    total = f"{planned:,.1f}"
    rows.append({"row": last, "start": 0, "end": planned, "fill": paint("total"), "tip": f"{total} ms", "note": ""})
    count = last + 1
    layers = [names([*(shortened(title, LETTERS) for _, title, _ in steps), "planned"]), bars(rows, count, x)]
    layers.append(notes(rows, count, x))
    if error is not None:
        layers.append(_error_bar(last, planned, error, count, x))
    beyond = {"row": last, "end": planned * (1 + (error or 0.0)), "note": total}
    layers.append(notes([beyond], count, x))
    if budget is not None:
        layers.append(rule(budget, x, "limit", f"budget: {budget:,.0f} ms"))
    return chart(layers, height=count * ROW)


def _error_bar(row: int, planned: float, error: float, count: int, x: dict[str, object]) -> dict[str, object]:
    """How far off the planned figure may be."""
    band = {"row": row, "start": planned * (1 - error), "end": planned * (1 + error), "tip": _band(planned, error)}
    return {
        "data": {"values": [band]},
        "mark": {"type": "bar", "height": 8, "fill": paint("band"), "stroke": paint("ink"), "strokeWidth": 1},
        "encoding": {
            "y": rows_axis(count),
            "x": {"field": "start", **x},
            "x2": {"field": "end"},
            "description": {"field": "tip"},
        },
    }


def _table(workload: Workload, sums: Sums, steps: Sequence[tuple[str, str, float]]) -> Grid:
    latency = workload.latency
    rows: list[tuple[Cell | str, ...]] = [
        (title, sums.cell(f"{value:,.1f}", workload.name, name)) for name, title, value in steps
    ]
    planned, budget, error = latency.first_answer_at_percentile_ms, latency.first_answer_budget_ms, _error(workload)
    if planned is not None:
        number = "ttftAtPercentileMs" if latency.e2e_at_percentile_ms is None else "e2eAtPercentileMs"
        rows.append((f"planned at p{latency.percentile:g}", sums.cell(f"{planned:,.1f}", workload.name, number)))
        if error is not None:
            rows.append(("as little as", f"{planned * (1 - error):,.1f}"))
            rows.append(("as much as", f"{planned * (1 + error):,.1f}"))
    if budget is not None:
        rows.append(("budget", f"{budget:,.1f}"))
    return grid(f"{workload.name}: {first_answer(workload)} in ms", ("step", "ms"), rows, frozenset({1}))


def nearest_first(plan: Plan) -> list[Workload]:
    """Workloads by how much of their budget they take; those without a budget are last."""

    def taken(workload: Workload) -> float:
        planned, budget = workload.latency.first_answer_at_percentile_ms, workload.latency.first_answer_budget_ms
        return -(planned / budget) if planned is not None and budget else 0.0

    return sorted(plan.workloads, key=taken)
