"""A frontier in the terminal."""

from __future__ import annotations

from decimal import Decimal

from agentgpu_iac.plan.lever import Frontier, FrontierPoint
from agentgpu_iac.review.blocks import markdown, plain_text
from agentgpu_iac.review.frontier_chart import frontier_chart
from agentgpu_iac.review.levers_view import frontier_view


def frontier(*costs: int | None, own: int = 0) -> Frontier:
    points = tuple(
        FrontierPoint(
            value=100.0 * (at + 1),
            own=at == own,
            planned=cost is not None,
            baseline_usd_per_month=None if cost is None else Decimal(cost),
            usd_per_month=None if cost is None else Decimal(cost),
            peak_usd_per_hour=None,
            nodes="",
            refusal="" if cost is not None else "too strict",
        )
        for at, cost in enumerate(costs)
    )
    return Frontier(stack="demo", over="ttftMs", agent="support", unit="ms", write="ttftMs: 100", points=points)


def test_the_chart_falls_where_the_cost_falls() -> None:
    chart = frontier_chart(frontier(None, 4000, 2000, 1000, own=2))
    assert chart is not None
    lines = chart.lines
    assert max(map(len, lines)) <= 80
    assert lines[0].startswith("         4,000 │") and "○" in lines[0]
    rows = {mark: [at for at, line in enumerate(lines[:10]) if mark in line] for mark in "○●X"}
    assert rows == {"○": [0, 7], "●": [4], "X": [9]}
    columns = [next(line.index(mark) for line in lines if mark in line) for mark in "X●"]
    assert columns == sorted(columns)
    assert lines[-2].split() == ["ttftMs", "(ms)"]
    assert lines[-1].split() == ["●", "as", "it", "is", "X", "no", "plan"]


def test_the_last_label_is_whole() -> None:
    """Once the picture ended at its width, and 2,000 read 2,00; a million read 1e+06."""
    wide = frontier(3000, 2000, 1000)
    points = (*wide.points[:-1], wide.points[-1].model_copy(update={"value": 1_234_567.0}))
    chart = frontier_chart(wide.model_copy(update={"points": points}))
    assert chart is not None
    assert chart.lines[-3].split() == ["100", "200", "1,234,567"]
    assert max(map(len, chart.lines)) <= 80


def test_one_value_is_no_chart() -> None:
    assert frontier_chart(frontier(None, 4000)) is None
    assert frontier_chart(frontier(0, 0)) is not None


def test_many_values_keep_their_labels_apart() -> None:
    chart = frontier_chart(frontier(*range(1000, 1040)))
    assert chart is not None
    assert max(map(len, chart.lines)) <= 80
    labels = chart.lines[-3].split()
    assert labels[0] == "100" and len(labels) == len(set(labels))


def test_the_chart_stands_before_the_table_in_text_and_in_markdown() -> None:
    blocks = frontier_view(frontier(3000, 2000))
    assert plain_text(blocks).index("●") < plain_text(blocks).index("as it is)")
    assert "```text\n" in markdown(blocks)
