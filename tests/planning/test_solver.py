"""The solver: what it finds, and that nothing it prints reaches standard output."""

from __future__ import annotations

import ctypes
import math
import os
import re
import subprocess
import sys
from types import SimpleNamespace
from typing import Any

import pytest

from agentgpu_iac.planning.choosing import solver
from agentgpu_iac.planning.choosing.solver import Row, Solution, cheapest, solver_version

COVER = Row(least=1.0, most=1.0, weights=((0, 1.0), (1, 1.0)))
"""One of the first two variables is taken."""


def test_the_cheaper_of_two_is_taken() -> None:
    assert cheapest([2.0, 1.0], [1.0, 1.0], [COVER]) == Solution(values=(0.0, 1.0), gap_ratio=0.0)


def test_what_is_taken_fills_whole_nodes() -> None:
    nodes = Row(least=-math.inf, most=0.0, weights=((0, 9.0), (1, 20.0), (2, -8.0)))
    found = cheapest([0.0, 0.0, 5.0], [1.0, 1.0, math.inf], [COVER, nodes])
    assert found.values == (1.0, 0.0, 2.0)


def test_a_model_without_a_solution_is_a_bug_of_the_caller() -> None:
    with pytest.raises(RuntimeError, match="the placement solver stopped with"):
        cheapest([1.0, 1.0], [0.0, 0.0], [COVER])


def test_the_version_names_the_library() -> None:
    assert re.fullmatch(r"highspy \d+\.\d+\.\d+\S*", solver_version())


# ---- standard output


def print_everywhere(*_: Any) -> Solution:
    """A solver that greets in every way there is."""
    print("from Python")  # noqa: T201
    os.write(1, b"past all buffers\n")
    ctypes.CDLL(None).puts(b"in the buffer of native code")
    return Solution(values=(), gap_ratio=0.0)


def test_what_a_solver_prints_reaches_nobody(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(solver, "_solved", print_everywhere)
    os.write(1, b"before\n")
    cheapest([], [], [])
    os.write(1, b"after\n")
    ctypes.CDLL(None).fflush(None)
    assert capfd.readouterr() == ("before\nafter\n", "")


def test_a_solver_that_fails_gives_standard_output_back(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: Any) -> Solution:
        raise RuntimeError("no")

    monkeypatch.setattr(solver, "_solved", fail)
    open_before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
    with pytest.raises(RuntimeError, match="no"):
        cheapest([], [], [])
    assert len(os.listdir("/proc/self/fd")) == open_before  # noqa: PTH208
    os.write(1, b"after\n")
    assert capfd.readouterr().out == "after\n"


def test_the_real_solver_prints_nothing_even_where_it_is_told_to(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    import highspy

    class Loud(highspy.Highs):
        def setOptionValue(self, name: str, value: Any) -> Any:  # noqa: N802 - the library's name
            return super().setOptionValue(name, True if name == "output_flag" else value)

    loud = SimpleNamespace(**{name: getattr(highspy, name) for name in dir(highspy)} | {"Highs": Loud})
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "highspy", loud)
        assert cheapest([2.0, 1.0], [1.0, 1.0], [COVER]).values == (0.0, 1.0)
    assert capfd.readouterr() == ("", "")
    heard = Loud()
    for name in ("threads", "output_flag"):
        heard.setOptionValue(name, 1)
    heard.run()
    ctypes.CDLL(None).fflush(None)
    assert capfd.readouterr().out, "this solver is not loud: the test above shows nothing"


def test_a_closed_standard_output_is_no_obstacle() -> None:
    code = (
        "import sys\n"
        "from agentgpu_iac.planning.choosing.solver import Row, cheapest\n"
        "print(cheapest([1.0], [1.0], [Row(least=1.0, most=1.0, weights=((0, 1.0),))]).values, file=sys.stderr)\n"
    )
    done = subprocess.run(
        ["sh", "-c", 'exec "$0" -c "$1" >&-', sys.executable, code], stderr=subprocess.PIPE, text=True, check=True
    )
    assert done.stderr == "(1.0,)\n"
