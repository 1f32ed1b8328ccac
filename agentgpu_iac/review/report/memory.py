"""Memory of each card: what is planned to lie on it, what the engine keeps beyond, and the line that the need stays below."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from agentgpu_iac.plan import Plan, Workload
from agentgpu_iac.plan.cards import Card, cards
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
    scale,
    shortened,
)
from agentgpu_iac.review.report.tables import Cell, Grid, Sums, grid

MOST_ROWS = 30
"""Cards that are drawn: those with the least room. The table has all."""

_PARTS = (
    ("weights", "weights"),
    ("draft", "weights of the draft"),
    ("kv", "KV cache of the planned sessions"),
    ("activation", "activation peak"),
    ("non-torch", "CUDA context and buffers"),
    ("graphs", "CUDA graphs"),
    ("overhead", "overhead"),
)


def memory_figure(plan: Plan, sums: Sums) -> Figure:
    """A bar for each kind of card; cards that several deployments share are one bar."""
    found = sorted(cards(plan.workloads, plan.node_pools), key=lambda card: -card.used_ratio)
    drawn = found[:MOST_ROWS]
    left_out = len(found) - len(drawn)
    fullest = found[0]
    lines = sorted({ratio for card in found if (ratio := card.line_ratio) is not None})
    below = f" The need stays below {', '.join(f'{ratio:.0%}' for ratio in lines)} of what CUDA sees." if lines else ""
    ways = f"Cards are filled in {len(found)} ways, the fullest first" if found[1:] else "All cards are filled alike"
    return Figure(
        name="memory",
        title="Memory of one card",
        summary=f"{ways}: {_title(fullest)} needs {fullest.used_ratio:.0%} of "
        f"{fullest.engines[0].memory.capacity_gib:,.1f} GiB.{below}"
        + (f" The {left_out} with most room are in the table alone." if left_out else ""),
        keys=(
            *(Key(style=part, text=title) for part, title in _PARTS if any(_has(card, part) for card in drawn)),
            Key(style="spare", text="more KV cache that the engine takes"),
            *((Key(style="limit", text="the line that the need stays below"),) if lines else ()),
        ),
        table=_table(plan, sums),
        spec=_spec(drawn),
    )


def _title(card: Card) -> str:
    counted = Counter(workload.name for workload in card.engines)
    return " + ".join(name if times == 1 else f"{times} x {name}" for name, times in counted.items())


def _beside(workload: Workload, card: Card) -> list[str]:
    """What else lies on the card: other engines of the workload too."""
    names_there = [each.name for each in card.engines]
    names_there.remove(workload.name)
    return names_there


def _parts(workload: Workload) -> Iterator[tuple[str, str, float]]:
    """What lies there: the overhead by its parts where they make it up, else as the one figure that counts."""
    memory = workload.memory
    figures = {
        "weights": memory.weights_gib,
        "draft": memory.draft_weights_gib,
        "kv": memory.kv_gib,
        "activation": memory.activation_gib,
        "non-torch": memory.non_torch_gib,
        "graphs": memory.cuda_graph_gib,
        "overhead": memory.overhead_gib,
    }
    by_parts = abs(memory.activation_gib + memory.non_torch_gib + memory.cuda_graph_gib - memory.overhead_gib) < 0.01
    apart = {"overhead"} if by_parts else {"activation", "non-torch", "graphs"}
    for part, title in _PARTS:
        if figures[part] and part not in apart:
            yield part, title, figures[part]


def _has(card: Card, part: str) -> bool:
    return any(part == found for workload in card.engines for found, _, _ in _parts(workload))


def _spec(drawn: Sequence[Card]) -> dict[str, object]:
    x = scale(1.0, "part of the card's memory", form=".0%")
    segments: list[Row] = []
    shares: list[Row] = []
    limits: list[Row] = []
    for row, card in enumerate(drawn):
        capacity, end = card.engines[0].memory.capacity_gib, 0.0
        for workload in card.engines:
            for part, title, gib in _parts(workload):
                tip = f"{workload.name}: {title}, {gib:,.2f} GiB of {capacity:,.2f}"
                segments.append(_segment(row, end, end + gib, capacity, part, tip))
                end += gib
        taken = sum(workload.memory.engine_budget_gib for workload in card.engines)
        if taken > end:
            tip = f"{_title(card)}: {taken - end:,.2f} GiB more that the engine takes"
            segments.append(_segment(row, end, taken, capacity, "spare", tip))
        shares.append({"row": row, "end": max(end, taken) / capacity, "note": f"{card.used_ratio:.0%}"})
        if (line := card.line_ratio) is not None:
            limits.append({"row": row, "at": line, "tip": f"{_title(card)}: the need stays below {line:.0%}"})
    count = len(drawn)
    limit = {
        "data": {"values": limits},
        "mark": {"type": "tick", "orient": "vertical", "thickness": 3, "size": ROW, "color": paint("limit")},
        "encoding": {"y": rows_axis(count), "x": {"field": "at", **x}, "description": {"field": "tip"}},
    }
    labels = [shortened(_title(card), LETTERS) for card in drawn]
    layers = [names(labels), bars(segments, count, x), limit, notes(shares, count, x)]
    return chart(layers, height=count * ROW, right=52)


def _segment(row: int, start: float, end: float, capacity: float, part: str, tip: str) -> Row:
    return {"row": row, "start": start / capacity, "end": end / capacity, "fill": paint(part), "tip": tip}


def _table(plan: Plan, sums: Sums) -> Grid:
    columns = (
        "deployment and tier",
        "card",
        "weights GiB",
        "KV cache GiB",
        "overhead GiB",
        "need GiB",
        "CUDA sees GiB",
        "part of it",
        "need below",
        "engine takes GiB",
        "on the card with",
    )
    rows = (
        (
            workload.name,
            workload.accelerator,
            f"{workload.memory.weights_gib + workload.memory.draft_weights_gib:,.2f}",
            sums.cell(f"{workload.memory.kv_gib:,.2f}", workload.name, "kvGib"),
            sums.cell(f"{workload.memory.overhead_gib:,.2f}", workload.name, "overheadGib"),
            sums.cell(f"{workload.memory.total_gib:,.2f}", workload.name, "totalGib"),
            f"{workload.memory.capacity_gib:,.2f}",
            f"{workload.memory.utilization_ratio:.1%}",
            "" if (line := card.line_ratio) is None else f"{line:.0%}",
            f"{workload.memory.engine_budget_gib:,.2f}",
            ", ".join(_beside(workload, card)),
        )
        for card in cards(plan.workloads, plan.node_pools)
        for workload in {each.name: each for each in card.engines}.values()
    )
    cells: tuple[tuple[Cell | str, ...], ...] = tuple(rows)
    return grid("Memory of one card, in GiB", columns, cells, frozenset(range(2, 10)))
