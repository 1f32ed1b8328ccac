"""How far predicted starts of engines are from measured ones: in sample, and with each source left out.

Run with ``python -m bench.accuracy_starting``. Rows are in ``bench/data/starts.json``: container start to ready, or the
engine's own init where the whole was not told. Weights are taken off as measured, else as from the storage that the row
names, so that what is scored is what the engine does itself.
"""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agentgpu_iac.catalog.versions import before
from agentgpu_iac.sizing import loading, starting

DATA = Path(__file__).with_name("data")


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """One measured start, its weights taken off."""

    name: str
    origin: str
    """Who measured it: left out as a whole."""
    engine: starting.Starting
    whole: bool
    """From the container's start; else from the end of loading."""
    seconds: float
    weights_s: float
    imports_s: float | None
    compile_s: float | None
    warm_up_s: float | None
    """Init less compile, where a log tells init."""
    first_answer_s: float | None
    served: bool = True
    """By a process of its own; else in that of its caller."""


def starts() -> tuple[Start, ...]:
    """All rows."""
    return tuple(_read(row) for row in json.loads((DATA / "starts.json").read_text(encoding="utf-8")))


def restarts() -> tuple[Start, ...]:
    """Starts whose compiled code was kept and whose files lay in memory."""
    return tuple(_read(row) for row in json.loads((DATA / "restarts.json").read_text(encoding="utf-8")))


SERVER_S = 11.0
"""What an engine takes more that is served than one in the process of its caller: its own process, which imports again, and the
server. 9 + 8 s (0.19, A100) and 5 + 2 s (0.13, GB10) between the lines of two logs."""


def fit_restarts(rows: Sequence[Start]) -> dict[str, float]:
    """The constants of restarts: geometric means over sources, each counted once however many rows it has.

    One laboratory measured most of them, all on two hosts. First the init of dense models for each layer, then what is left.
    """
    found: dict[str, float] = {}
    for name, is_older in (("RESTART_INIT_S_PER_LAYER", True), ("NEWER_RESTART_INIT_S_PER_LAYER", False)):
        told = _by_origin(
            (row, row.warm_up_s / row.engine.layers)
            for row in rows
            if row.warm_up_s is not None
            and not (row.engine.has_experts or row.engine.has_recurrent_layers)
            and before(row.engine.version or "", "0.17") is is_older
        )
        if told:
            found[name] = told
    with shipped_but(found):
        left = _by_origin(
            (row, max(5.0, row.seconds - predicted_restart_s(row) + starting.RESTART_S)) for row in rows if row.whole
        )
    return {**found, "RESTART_S": left}


def _by_origin(told: Iterable[tuple[Start, float]]) -> float:
    by_origin: dict[str, list[float]] = {}
    for row, value in told:
        by_origin.setdefault(row.origin, []).append(value)
    return _typical([_typical(values) for values in by_origin.values()]) if by_origin else 0.0


def predicted_restart_s(row: Start) -> float:
    """What is predicted of the part that was measured."""
    if not row.whole:
        return starting.restart_init_s(row.engine)
    return starting.restart_s(row.engine) - (0.0 if row.served else SERVER_S)


def restarts_left_out(rows: Sequence[Start]) -> Iterator[tuple[Start, float]]:
    """Every restart with measured over predicted when its source is not among the rows that the constants are from."""
    for origin in sorted({row.origin for row in rows}):
        with shipped_but(fit_restarts([row for row in rows if row.origin != origin])):
            yield from ((row, row.seconds / predicted_restart_s(row)) for row in rows if row.origin == origin)


def _read(row: dict[str, Any]) -> Start:
    engine = starting.Starting(
        layers=row["layers"],
        has_experts=row["experts"],
        has_recurrent_layers=row["recurrent"],
        compiles_deep_gemm=row["deep_gemm"],
        ranks=row["ranks"],
        version=row["version"],
    )
    weights, whole, init = _weights_s(row), row.get("start_s"), row.get("init_s")
    return Start(
        name=f"{row['model']}, vLLM {row['version']}, {row['ranks']} ranks",
        origin=_origin(row["source"]),
        engine=engine,
        whole=whole is not None,
        seconds=init if whole is None else whole - weights,
        weights_s=weights,
        imports_s=None if whole is None or init is None else whole - weights - init,
        compile_s=row.get("compile_s"),
        warm_up_s=init,
        first_answer_s=row.get("first_answer_s"),
        served=row.get("served", True),
    )


def _weights_s(row: dict[str, Any]) -> float:
    if "weights_s" in row:
        return float(row["weights_s"])
    path: loading.LoadPath = row.get("storage", "page-cache")
    source = loading.Source(path=path, ranks=row["ranks"], pcie_generation=row["pcie_generation"])
    return float(row["weights_gib"]) / loading.source_gib_per_s(source)


def _origin(source: str) -> str:
    return (
        source.split(",", maxsplit=1)[0]
        if source.startswith("public")
        else source.split(" ", maxsplit=1)[0].rstrip(",")
    )


def predicted_s(start: Start) -> float:
    """What is predicted of the part that was measured."""
    engine = start.engine
    after = starting.compile_s(engine) + starting.warm_up_s(engine)
    return after + (starting.imports_s(engine) if start.whole else 0.0)


def late(start: Start) -> float:
    """Measured over predicted."""
    return start.seconds / predicted_s(start)


# --- Leaving a source out ----------------------------------------------------------------------------------------------

_COMPILE_SHAPE = (12.0, 0.4)
"""Seconds of no layer and of each: only their common factor is fitted."""


def _typical(values: Sequence[float]) -> float:
    return math.exp(statistics.mean(math.log(value) for value in values))


def fit(rows: Sequence[Start]) -> dict[str, float]:
    """Each constant as the geometric mean of what the rows say that tell it; the shipped one where none is left.

    First the compile times, then the imports of logs that tell init, then what is left of the rest.
    """
    found: dict[str, float] = {}
    compiled = [
        row.compile_s / (_COMPILE_SHAPE[0] + _COMPILE_SHAPE[1] * row.engine.layers)
        for row in rows
        if row.compile_s is not None
    ]
    if compiled:
        found["COMPILE_S"], found["COMPILE_S_PER_LAYER"] = (part * _typical(compiled) for part in _COMPILE_SHAPE)
    for name, is_older in (("IMPORTS_S", True), ("NEWER_IMPORTS_S", False)):
        told = [
            row.imports_s - starting.RANKS_S * math.log2(row.engine.ranks)
            for row in rows
            if row.imports_s is not None and before(row.engine.version or "", "0.20") is is_older
        ]
        if told:
            found[name] = _typical(told)
    with shipped_but(found):
        for name, kind in (
            ("WARM_UP_S", (False, False)),
            ("EXPERTS_WARM_UP_S", (True, False)),
            ("RECURRENT_WARM_UP_S", (None, True)),
        ):
            told = [_left(row) for row in rows if _kind(row.engine, kind)]
            if told:
                found[name] = _typical(told)
        found["DEEP_GEMM_WARM_UP_S"] = 0.0
    with shipped_but(found):
        deep = [row.seconds - predicted_s(row) for row in rows if row.engine.compiles_deep_gemm]
    if deep:
        found["DEEP_GEMM_WARM_UP_S"] = statistics.mean(deep)
    for name, has_experts in (("FIRST_ANSWER_S", False), ("EXPERTS_FIRST_ANSWER_S", True)):
        told = [
            row.first_answer_s
            for row in rows
            if row.first_answer_s is not None and row.engine.has_experts is has_experts
        ]
        if told:
            found[name] = _typical(told)
    return found


def _kind(engine: starting.Starting, kind: tuple[bool | None, bool]) -> bool:
    has_experts, is_recurrent = kind
    alike = has_experts is None or engine.has_experts is has_experts
    return alike and engine.has_recurrent_layers is is_recurrent and not engine.compiles_deep_gemm


def _left(row: Start) -> float:
    """What is left of a start for the warm-up; never below 5 s, which is rounding and not a warm-up."""
    compiled = starting.compile_s(row.engine) if row.compile_s is None else row.compile_s
    if row.warm_up_s is not None:
        return max(5.0, row.warm_up_s - compiled)
    # Where only the whole is known, the compile time of the model stands for the row's own: a slow host was slow in all.
    return max(5.0, row.seconds - starting.imports_s(row.engine) - compiled)


@contextmanager
def shipped_but(found: dict[str, float]) -> Iterator[None]:
    """The model of starts with some of its constants replaced."""
    shipped = {name: getattr(starting, name) for name in found}
    try:
        for name, value in found.items():
            setattr(starting, name, value)
        yield
    finally:
        for name, value in shipped.items():
            setattr(starting, name, value)


def left_out(rows: Sequence[Start]) -> Iterator[tuple[Start, float]]:
    """Every start with measured over predicted when its source is not among the rows that the constants are from."""
    for origin in sorted({row.origin for row in rows}):
        with shipped_but(fit([row for row in rows if row.origin != origin])):
            yield from ((row, late(row)) for row in rows if row.origin == origin)


def spread(ratios: Sequence[float]) -> float:
    """Root mean square of the logarithm: the standard deviation about the prediction."""
    return math.sqrt(statistics.mean(math.log(ratio) ** 2 for ratio in ratios))


def tables() -> Iterator[str]:
    """The report, line by line."""
    rows = starts()
    outside = list(left_out(rows))
    upper = 1 + starting.ENGINE_ERROR_RATIO
    for label, found in (
        ("in sample", [late(row) for row in rows]),
        ("leaving each source out", [ratio for _, ratio in outside]),
    ):
        median = statistics.median(abs(ratio - 1) for ratio in found)
        below = sum(ratio <= upper for ratio in found) / len(found)
        yield (
            f"{label:24} {len(found)} rows: median {median:.1%}, standard deviation of the logarithm {spread(found):.2f}, "
            f"{below:.0%} no slower than {upper:.2f} times the predicted"
        )
    again = list(restarts_left_out(restarts()))
    by_origin: dict[str, list[float]] = {row.origin: [] for row, _ in again}
    for row, ratio in again:
        by_origin[row.origin].append(abs(ratio - 1))
    yield (
        f"{'restarts, the same':24} {len(again)} rows: median {statistics.median(abs(ratio - 1) for _, ratio in again):.1%} "
        f"({statistics.median(map(statistics.median, by_origin.values())):.1%} where each of {len(by_origin)} sources counts "
        f"once), {sum(ratio <= upper for _, ratio in again) / len(again):.0%} no slower than {upper:.2f} times the predicted"
    )
    yield "rows (left out), weights taken off:"
    for row, ratio in outside:
        yield f"  {ratio:5.2f}x {row.seconds / ratio:6.0f} s of {row.seconds:6.0f} s: {row.name} [{row.origin}]"


def main() -> None:
    """Print the report."""
    print("\n".join(tables()))


if __name__ == "__main__":
    main()
