"""Price against latency of everything that was looked at for a deployment: chosen, next best, turned away."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Final, Literal

from agentgpu_iac.plan import Alternative, Plan, Rejection, Workload
from agentgpu_iac.review.report.figure import TEXT, Figure, Key, Row, chart, paint, rule, scale, shortened
from agentgpu_iac.review.report.tables import Cell, Grid, grid
from agentgpu_iac.review.report.waterfalls import first_answer

Fate = Literal["chosen", "runner-up", "rejected"]

_HEIGHT: Final = 210
_MARKS: Final[dict[Fate, tuple[str, str]]] = {
    "chosen": ("circle", "chosen"),
    "runner-up": ("diamond", "runner-up"),
    "rejected": ("cross", "rejected"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Point:
    """A candidate, as far as its price is known."""

    fate: Fate
    what: str
    accelerator: str
    usd: Decimal
    ms: float | None
    """None: it was turned away before its speed was asked, or none is predicted."""


def scatter(plan: Plan, workload: Workload, name: str) -> Figure:
    """The candidates of one deployment."""
    points = tuple(_points(plan, workload))
    placed = [point for point in points if point.ms is not None]
    what, budget = first_answer(workload), workload.latency.first_answer_budget_ms
    percentile = f"p{workload.latency.percentile:g}"
    counts = {fate: sum(point.fate == fate for point in points) for fate in _MARKS}
    without = len(points) - len(placed)
    table = _table(plan, workload, points)
    unpriced = len(table.rows) - len(points)
    return Figure(
        name=name,
        title=f"{workload.agent}: price against {what} {percentile}",
        summary=f"{workload.agent}: {counts['chosen']} chosen, {counts['runner-up']} that would serve too, "
        f"{counts['rejected']} turned away that have a price."
        + (f" {without} of them without a predicted latency stand at the right edge." if without else "")
        + (f" {unpriced} more were turned away and have no price here: the table has them." if unpriced else "")
        + (f" The budget is {budget:,.0f} ms." if budget is not None else ""),
        keys=(
            *(
                Key(style=style, text=f"{style} ({counts[fate]})")
                for fate, (_, style) in _MARKS.items()
                if counts[fate]
            ),
            *((Key(style="limit", text="budget"),) if budget is not None else ()),
        ),
        table=table,
        spec=_spec(points, budget, f"{what} {percentile}, ms") if points else None,
    )


def _points(plan: Plan, workload: Workload) -> Iterator[_Point]:
    costs = [each.usd_per_month for each in plan.cost.by_agent if each.agent in workload.served]
    latency = workload.latency
    if costs:
        yield _Point(
            fate="chosen",
            what=f"{workload.accelerators_per_replica} x {workload.accelerator}",
            accelerator=workload.accelerator,
            usd=sum(costs, Decimal(0)),
            ms=latency.first_answer_at_percentile_ms,
        )
    for alternative in _alternatives(plan, workload):
        yield _Point(
            fate="runner-up",
            what=alternative.description,
            accelerator=alternative.accelerator or "",
            usd=alternative.usd_per_month,
            ms=_ms(alternative),
        )
    for rejection in _rejections(plan, workload):
        if rejection.usd_per_month is not None:
            yield _Point(
                fate="rejected",
                what=f"{_shape(rejection)}: {rejection.constraint}",
                accelerator=rejection.accelerator,
                usd=rejection.usd_per_month,
                ms=rejection.need if rejection.constraint == _limit_of(workload) else None,
            )


def _limit_of(workload: Workload) -> str:
    """The constraint whose need is the latency that is drawn."""
    return "ttft" if workload.latency.e2e_at_percentile_ms is None else "e2e"


def _alternatives(plan: Plan, workload: Workload) -> tuple[Alternative, ...]:
    return tuple(each for each in plan.cost.alternatives if each.agent == workload.agent)


def _rejections(plan: Plan, workload: Workload) -> tuple[Rejection, ...]:
    return tuple(each for each in plan.rejections if each.agent == workload.agent)


def _ms(alternative: Alternative) -> float | None:
    whole = alternative.e2e_at_percentile_ms
    return alternative.ttft_at_percentile_ms if whole is None else whole


def _shape(rejection: Rejection) -> str:
    sizes = (
        ("TP", rejection.tensor_parallel_size),
        ("PP", rejection.pipeline_parallel_size),
        ("groups", rejection.attention_data_parallel_size),
    )
    words = ", ".join(f"{name} {size}" for name, size in sizes if size is not None and size > 1)
    on = "" if rejection.instance_type is None else f" on {rejection.instance_type}"
    return f"{rejection.accelerator}{on}" + (f", {words}" if words else "")


def _spec(points: Sequence[_Point], budget: float | None, title: str) -> dict[str, object]:
    furthest = max([*(point.ms for point in points if point.ms is not None), budget or 0.0, 1.0])
    edge = furthest * 1.12
    x = scale(edge * 1.04, title)
    y = scale(float(max(point.usd for point in points)) * 1.08, "USD a month")
    y["axis"] = {**y["axis"], "titleX": -62}
    dots: dict[Fate, list[Row]] = {fate: [] for fate in _MARKS}
    labels: list[Row] = []
    for point in points:
        at, usd = edge if point.ms is None else point.ms, float(point.usd)
        reached = "no latency predicted" if point.ms is None else f"{point.ms:,.0f} ms"
        tip = f"{point.fate}: {point.what}, USD {point.usd:,.2f} a month, {reached}"
        dots[point.fate].append({"x": at, "y": usd, "tip": tip})
        if point.ms is not None and not any(_is_near(point, other, x, y) for other in labels):
            text = shortened(point.accelerator, 30)
            is_left = at > furthest * 0.55
            labels.append({"x": at, "y": usd, "text": text, "align": "right" if is_left else "left"})
    layers: list[dict[str, object]] = []
    if budget is not None:
        layers.append(rule(budget, x, "limit", f"budget: {budget:,.0f} ms"))
    for fate in reversed(_MARKS):
        shape, style = _MARKS[fate]
        layers.append(
            {
                "data": {"values": dots[fate]},
                "mark": {
                    "type": "point",
                    "shape": shape,
                    "size": 130 if fate == "chosen" else 90,
                    "filled": fate != "runner-up",
                    "color": paint(style),
                    "strokeWidth": 2,
                    "opacity": 1,
                },
                "encoding": {
                    "x": {"field": "x", **x},
                    "y": {"field": "y", **y},
                    "description": {"field": "tip"},
                },
            }
        )
    layers += [
        {
            "data": {"values": [label for label in labels if label["align"] == align]},
            "mark": {
                "type": "text",
                "align": align,
                "dx": 9 if align == "left" else -9,
                "baseline": "middle",
                "fontSize": TEXT - 1,
                "aria": False,
            },
            "encoding": {
                "x": {"field": "x", **x},
                "y": {"field": "y", **y},
                "text": {"field": "text"},
            },
        }
        for align in ("left", "right")
    ]
    return chart(layers, height=_HEIGHT, left=78, right=14)


def _is_near(point: _Point, label: Row, x: dict[str, object], y: dict[str, object]) -> bool:
    """Whether two labels would stand on each other."""
    across, upwards = (axis["scale"]["domain"][1] for axis in (x, y))  # type: ignore[index]
    high: float = abs(float(point.usd) - label["y"]) / upwards
    wide: float = abs((point.ms or 0.0) - label["x"]) / across
    return high < 0.07 and wide < 0.6


def _table(plan: Plan, workload: Workload, points: Sequence[_Point]) -> Grid:
    rows: list[tuple[Cell | str, ...]] = []
    chosen = [point for point in points if point.fate == "chosen"]
    for point in chosen:
        rows.append((point.what, "chosen", _usd(point.usd), _of(point.ms), workload.chosen_because))
    for each in _alternatives(plan, workload):
        rows.append((each.description, "runner-up", _usd(each.usd_per_month), _of(_ms(each)), each.note))
    for refused in _rejections(plan, workload):
        ms = refused.need if refused.constraint == _limit_of(workload) else None
        rows.append(
            (_shape(refused), f"rejected: {refused.constraint}", _usd(refused.usd_per_month), _of(ms), refused.message)
        )
    columns = ("candidate", "fate", "USD a month", "ms", "why")
    return grid(f"{workload.agent}: candidates", columns, rows, frozenset({2, 3}))


def _usd(value: Decimal | None) -> str:
    return "" if value is None else f"{value:,.2f}"


def _of(value: float | None) -> str:
    return "" if value is None else f"{value:,.1f}"
