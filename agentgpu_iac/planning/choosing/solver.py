"""The exact solver, HiGHS: the cheapest whole numbers under linear constraints.

The same input gives the same answer: one thread, fixed seed, optimal to the last digit that the costs hold. The solver
is native code, and from 1.16 it greets on standard output before an option could tell it not to. Standard output
belongs to the answer of the command, so nothing that the solver prints gets there.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from importlib import metadata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import highspy

_LIBRARY = "highspy"
_STDOUT = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One constraint: the weighted sum of some variables stays between two bounds."""

    least: float
    """``-math.inf``: no lower bound."""
    most: float
    """``math.inf``: no upper bound."""
    weights: tuple[tuple[int, float], ...]
    """(variable, weight); variables are numbered as the costs are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Solution:
    """The cheapest values."""

    values: tuple[float, ...]
    """One for each variable, whole to the solver's tolerance of 1e-6."""
    gap_ratio: float
    """How far the cost may lie above the best possible, as a share of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Relaxed:
    """The cheapest numbers that need not be whole."""

    cost: float
    reduced: tuple[float, ...]
    """What each variable that is 0 there adds to the cost at least where it is 1 or more."""


class Unsolvable(RuntimeError):
    """No values satisfy all rows."""


def cheapest(
    costs: Sequence[float], most: Sequence[float], rows: Sequence[Row], *, in_parts: Collection[int] = ()
) -> Solution:
    """Numbers between 0 and ``most`` that satisfy all rows at the least total cost; whole ones, but for those ``in_parts``.

    Raises:
        Unsolvable: there are none.
    """
    with _silent_stdout():
        return _solved(costs, most, rows, in_parts)


def relaxed(costs: Sequence[float], most: Sequence[float], rows: Sequence[Row]) -> Relaxed:
    """The same with numbers that need not be whole: what no whole ones undercut.

    Raises:
        Unsolvable: there are none.
    """
    with _silent_stdout():
        solver = _made(costs, most, rows)
        _run(solver)
        return Relaxed(
            cost=float(solver.getInfo().objective_function_value), reduced=tuple(solver.getSolution().col_dual)
        )


def solver_version() -> str:
    """The solver and its version, such as ``highspy 1.15.1``: another one may choose another of two equal placements."""
    return f"{_LIBRARY} {metadata.version(_LIBRARY)}"


def _solved(costs: Sequence[float], most: Sequence[float], rows: Sequence[Row], in_parts: Collection[int]) -> Solution:
    import highspy  # noqa: PLC0415 - heavy, and most stacks never get here
    import numpy as np  # noqa: PLC0415

    total = len(costs)
    solver = _made(costs, most, rows)
    kinds = np.full(total, highspy.HighsVarType.kInteger)
    for position in in_parts:
        kinds[position] = highspy.HighsVarType.kContinuous
    solver.changeColsIntegrality(total, np.arange(total, dtype=np.int32), kinds)
    _run(solver)
    return Solution(values=tuple(solver.getSolution().col_value), gap_ratio=float(solver.getInfo().mip_gap))


def _made(costs: Sequence[float], most: Sequence[float], rows: Sequence[Row]) -> highspy.Highs:
    """The program with numbers that need not be whole."""
    import highspy  # noqa: PLC0415
    import numpy as np  # noqa: PLC0415

    total = len(costs)
    solver = highspy.Highs()  # type: ignore[no-untyped-call]
    for name, value in (
        ("output_flag", False),
        ("threads", 1),
        ("random_seed", 0),
        ("mip_rel_gap", 0.0),
        ("mip_abs_gap", 1e-9),
    ):
        solver.setOptionValue(name, value)
    solver.addVars(total, np.zeros(total), np.array(most))
    indices = np.arange(total, dtype=np.int32)
    solver.changeColsCost(total, indices, np.array(costs))
    for row in rows:
        at = np.array([variable for variable, _ in row.weights], dtype=np.int32)
        solver.addRow(row.least, row.most, len(at), at, np.array([weight for _, weight in row.weights]))
    return solver


def _run(solver: highspy.Highs) -> None:
    import highspy  # noqa: PLC0415

    solver.run()
    status = solver.getModelStatus()
    if status != highspy.HighsModelStatus.kOptimal:
        raise Unsolvable(f"the placement solver stopped with {status}")


@contextmanager
def _silent_stdout() -> Iterator[None]:
    """Send what is printed to nowhere, whether Python or native code prints it, buffered or not.

    The descriptor belongs to the whole process: another thread that prints meanwhile is not heard either.
    """
    try:
        kept = os.dup(_STDOUT)
    except OSError:  # the caller closed standard output: there is nothing to keep clean
        yield
        return
    with open(os.devnull, "w", encoding="utf-8") as nowhere:  # noqa: PTH123 - a device, not a path of ours
        os.dup2(nowhere.fileno(), _STDOUT)
        try:
            with redirect_stdout(nowhere):
                yield
        finally:
            ctypes.CDLL(None).fflush(None)  # what native code still holds in its own buffer goes nowhere too
            os.dup2(kept, _STDOUT)
            os.close(kept)
