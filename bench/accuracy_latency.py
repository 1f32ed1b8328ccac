"""How far the latency model is off the measured runs, each stepped through its client's protocol: in sample and left out.

    python bench/accuracy_latency.py            all tables (five minutes on two cores)
    python bench/accuracy_latency.py --constants  refit on all rows and print the table for ``calibration.py``

An error is |predicted / measured - 1|. "Left out" predicts every row with constants that never saw its card, its model's
family, or its source (``fitting`` says how). It is still a little kind: terms and priors were chosen with all rows in view.
Rows whose TTFT holds a setting of the engine that they do not say count for TPOT alone, and are told apart. Rows that are
hardly what their columns claim are marked and stay in every figure. Rows that are no replica of one engine, as their sources
say, are in none (``recipes.SERVICES``).
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

os.environ.setdefault("OMP_NUM_THREADS", "1")  # small matrices: threads only get in each other's way

import itertools

import fitting
import numpy as np
from fitting import Lines, Problem, Vector
from recipes import SERVICES
from serving_rows import Case, judged_cases

from agentgpu_iac.catalog.store import load_catalog
from agentgpu_iac.sizing.calibration import generation_of

LAUNCH_BOUND_MS_PER_LAYER = 0.3
"""CUDA graphs run a layer's kernels in 0.03 to 0.12 ms; above this a run did without them."""
SLOW_PROMPT_FACTOR = 3.0
"""A TTFT beyond this many times all prompts one after the other, with seats free, holds something else (a warm-up)."""


FOLDS: Mapping[str, Callable[[Case], str]] = {
    "card": lambda case: case.accelerator.id,
    "family": lambda case: case.model.family,
    "source": lambda case: case.client,
}
"""What is left out together: every row with the same answer."""
PROCESSES = 2


@dataclass(frozen=True, slots=True)
class Outcome:
    """Predictions for one case, TPOT and TTFT in ms: as shipped, and with constants that never saw its card and so on."""

    case: Case
    shipped: tuple[float, float]
    left_out: Mapping[str, tuple[float, float]]
    bands: tuple[float, float]
    implausible: str

    def errors(self, metric: int) -> tuple[float, ...]:
        """Of TPOT (0) or TTFT (1): in sample, then without each kind of fold."""
        measured = (self.case.tpot_ms, self.case.ttft_ms)[metric]
        found = (self.shipped, *(self.left_out[kind] for kind in FOLDS))
        return tuple(abs(pair[metric] / measured - 1) for pair in found)

    def worst(self, metric: int) -> float:
        """The largest of the errors left out."""
        return max(self.errors(metric)[1:])


def implausible(case: Case) -> str:
    """Why a row is hardly what its columns say; empty if it may be.

    The bounds take the model's own step and prompt times, so a row may also be marked because the model is wrong about
    it, and the named cause is the likely one, not a finding. Never use this to choose rows for a figure.
    """
    engine = fitting.speed(case, fitting.CONSTANTS)
    request, running = case.request, min(case.concurrency, case.seats)
    step = engine.decode_ms(running, request.context_tokens)
    touched = 1 - (1 - engine.experts_per_token / engine.experts) ** 1 if engine.experts else 0.0
    least = engine.bandwidth_share * (engine.dense_weights_ms + touched * engine.expert_weights_ms)
    prompt = engine.prompt_arithmetic_ms(request.prompt_tokens, request.prompt_tokens)
    shared = (running - 1) * prompt / request.output_tokens
    layers = case.model.layers.full + case.model.layers.sliding + case.model.layers.recurrent
    if case.tpot_ms < least:
        return f"TPOT {case.tpot_ms:.1f} ms is below {least:.1f} ms, one reading of the weights at the rated bandwidth"
    if case.tpot_ms - (step - engine.launches_ms) - shared > LAUNCH_BOUND_MS_PER_LAYER * layers:
        return f"TPOT {case.tpot_ms:.1f} ms leaves over {LAUNCH_BOUND_MS_PER_LAYER} ms a layer unexplained: likely no CUDA graphs"
    most = SLOW_PROMPT_FACTOR * (engine.first_token_ms + case.concurrency * (prompt + engine.host_ms_per_request))
    if not case.saturated and case.ttft_ms > max(most, 1000.0) and case.ttft_ms > 4 * step:
        return f"TTFT {case.ttft_ms:,.0f} ms exceeds all {case.concurrency:.0f} prompts in turn ({most:,.0f} ms): a warm-up?"
    return ""


_SHARED: list[tuple[Problem, Lines]] = []
"""What the processes of the pool are forked with."""


def _predicted(task: tuple[str, str]) -> tuple[tuple[str, str], Vector]:
    """The rows of a fold, with constants that never saw them; all rows as shipped for the empty task."""
    problem, lines = _SHARED[0]
    kind, name = task
    if not kind:
        return task, problem.predict(fitting.flatten(fitting.CONSTANTS), np.ones(len(problem.cases), dtype=bool))
    out = np.array([FOLDS[kind](case) == name for case in problem.cases])
    return task, problem.predict(fitting.solved(problem, lines, ~out), out)


def outcomes(cases: Sequence[Case]) -> list[Outcome]:
    """Predict every case as shipped, and left out in each way."""
    problem = Problem(cases)
    _SHARED[:] = [(problem, fitting.fit(problem))]
    tasks = [("", ""), *sorted({(kind, key(case)) for kind, key in FOLDS.items() for case in cases})]
    with multiprocessing.get_context("fork").Pool(PROCESSES) as pool:
        found = dict(pool.imap_unordered(_predicted, tasks))
    results = []
    for i, case in enumerate(cases):

        def pair(task: tuple[str, str], row: int = i) -> tuple[float, float]:
            tpot, ttft = np.exp(found[task][row])
            return float(tpot), float(ttft)

        engine = fitting.speed(case, fitting.CONSTANTS)
        results.append(
            Outcome(
                case=case,
                shipped=pair(("", "")),
                left_out={kind: pair((kind, key(case))) for kind, key in FOLDS.items()},
                bands=(engine.tpot_error_ratio, engine.ttft_error_ratio),
                implausible=implausible(case),
            )
        )
    return results


def print_table(title: str, results: Sequence[Outcome], key: Callable[[Outcome], str]) -> None:
    """One row a key: n, median and 80th percentile of the errors in sample and without card, family and source, and how often
    the bands hold the worst of those left out."""
    print(f"\n{title}")
    columns = ("in sample", *(f"no {kind}" for kind in FOLDS))
    for metric, name in enumerate(("TPOT", "TTFT")):
        print(f"{name:46} {'n':>5}  " + "".join(f"{column:16}" for column in columns) + "in band")
        names = sorted({key(one) for one in results})
        for row in names:
            _print_row(row, [one for one in results if key(one) == row], metric)
        if len(names) > 1:
            _print_row("all", results, metric)


def _print_row(name: str, rows: Sequence[Outcome], metric: int) -> None:
    counted = [one for one in rows if not (metric and one.case.ttft_holds)]
    if not counted:
        print(f"{name:46} {0:5}  none without an unknown setting in its TTFT")
        return
    errors = np.array([one.errors(metric) for one in counted])
    cells = "".join(f"{np.median(column):6.1%} {np.quantile(column, 0.8):7.1%}  " for column in errors.T)
    held = np.mean([one.worst(metric) <= one.bands[metric] for one in counted])
    print(f"{name:46} {len(counted):5}  {cells}{held:6.1%}")


def print_groups(results: Sequence[Outcome]) -> None:
    """Medians of the groups' medians, as shipped: one group, one vote."""
    print("\nMedians of each model, accelerator and engine, as shipped")
    for metric, name in enumerate(("TPOT", "TTFT")):
        groups: dict[tuple[str, str, str], list[float]] = {}
        for one in results:
            if not (metric and one.case.ttft_holds):
                groups.setdefault(one.case.group, []).append(one.errors(metric)[0])
        medians = [float(np.median(each)) for each in groups.values()]
        over = sum(median > 0.3 for median in medians)
        print(
            f"{name}: median {np.median(medians):.1%}, 80th percentile {np.quantile(medians, 0.8):.1%}, "
            f"{over} of {len(medians)} groups over 30 %"
        )


def print_bands(results: Sequence[Outcome]) -> None:
    """The stated bands: medians and coverage of the worst of the predictions left out."""
    for metric, name in enumerate(("tpotErrorRatio", "ttftErrorRatio")):
        counted = [one for one in results if not (metric and one.case.ttft_holds)]
        held = np.mean([one.worst(metric) <= one.bands[metric] for one in counted])
        print(
            f"\nBands: {name} median {np.median([one.bands[metric] for one in counted]):.2f}, covers {held:.1%} left out"
        )


def print_left_out_80(results: Sequence[Outcome]) -> None:
    """What bands would cover 80 %, by generation of the engine; TPOT of models with experts apart."""
    print("\n80th percentiles of the larger error without card and without family, by engine generation")
    for name in sorted({generation_of(one.case.engine, one.case.version) for one in results}):
        rows = [one for one in results if generation_of(one.case.engine, one.case.version) == name]
        kinds = {
            "TPOT dense": [max(one.errors(0)[1:3]) for one in rows if not one.case.model.experts],
            "TPOT experts": [max(one.errors(0)[1:3]) for one in rows if one.case.model.experts],
            "TTFT": [max(one.errors(1)[1:3]) for one in rows if not one.case.ttft_holds],
        }
        cells = (f"{kind} {np.quantile(each, 0.8):.2f}" if each else f"{kind} -" for kind, each in kinds.items())
        print(f"{name:46} {len(rows):5}  " + "  ".join(cells))


def print_marked(results: Iterable[Outcome]) -> None:
    """Rows that physics marks, with the reason: they are in every figure above."""
    marked = [one for one in results if one.implausible]
    print(f"\n{len(marked)} rows marked implausible (kept in every figure)")
    for one in marked:
        case = one.case
        where = f"line {case.line}: {case.model.id} {case.accelerator.id} {case.engine} {case.version or '-'}"
        print(f"  {where} {case.precision} x{case.spread.accelerators} C={case.concurrency:g}: {one.implausible}")


def print_services() -> None:
    """Rows that are no replica of one engine, with what their source says: in no figure."""
    print("\nRows that are no replica of one engine, as their sources say, and are not judged")
    for (backend, version, system), reason in SERVICES.items():
        print(f"  {backend} {version or '(no version)'} {system}: {reason}")


def print_speed(cases: Sequence[Case]) -> None:
    """Time of building a replica, of the closed form that planning asks, and of stepping through a protocol."""
    some = cases[::20]
    marks = [time.perf_counter()]
    engines = [fitting.speed(case, fitting.CONSTANTS) for case in some]
    marks.append(time.perf_counter())
    for case, engine in zip(some, engines, strict=True):
        fitting.latency.predict(engine, case.request, case.concurrency, case.seats)
    marks.append(time.perf_counter())
    for case, engine in zip(some, engines, strict=True):
        fitting.run(case, engine)
    marks.append(time.perf_counter())
    build, closed, stepped = (1000 * (after - before) / len(some) for before, after in itertools.pairwise(marks))
    print(
        f"\n{build:.2f} ms to build a replica, {closed:.2f} ms the closed form, {stepped:.1f} ms to step through a protocol"
    )


def print_constants(cases: Sequence[Case]) -> None:
    """Refit on a sample of all rows; how far each constant moves, at most, without the rows of one card or family."""
    problem = Problem(cases)
    lines = fitting.fit(problem)
    moved = np.zeros(len(fitting.NAMES))
    for kind in ("card", "family"):
        keys = np.array([FOLDS[kind](case) for case in cases])
        for name in sorted(set(keys)):
            moved = np.maximum(moved, np.abs(fitting.solved(problem, lines, keys != name) - lines.logs))
    for name, value, ratio in zip(fitting.NAMES, np.exp(lines.logs), np.expm1(moved), strict=True):
        print(f"{name:46} {value:8.3g}  {ratio:5.2f}")


TABLES: tuple[tuple[str, Callable[[Outcome], str]], ...] = (
    ("By source", lambda one: one.case.client),
    ("By family", lambda one: one.case.model.family),
    ("By accelerator", lambda one: one.case.accelerator.id),
    ("By engine generation", lambda one: generation_of(one.case.engine, one.case.version)),
    ("By model, accelerator and engine", lambda one: " ".join(one.case.group)),
    ("By saturation", lambda one: "waits for a seat" if one.case.saturated else "all run at once"),
)


def print_all(results: Sequence[Outcome], cases: Sequence[Case]) -> None:
    """Every table."""
    for title, key in TABLES:
        print_table(title, results, key)
    print_groups(results)
    print_bands(results)
    print_left_out_80(results)
    print_marked(results)
    print_services()
    print_speed(cases)


def main() -> None:
    """Print what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--constants", action="store_true", help="refit on all rows and print the constants")
    arguments = parser.parse_args()
    cases = list(judged_cases(load_catalog()))
    if arguments.constants:
        print_constants(cases)
        return
    print_all(outcomes(cases), cases)


if __name__ == "__main__":
    main()
