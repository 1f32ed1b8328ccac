"""Processes that tests start: none outlives the tests, however these end.

Each leads a process group of its own, so that what it starts ends with it. A keeper, one for each process that runs
tests, is told of every group, and reads on until its standard input is closed, which also happens when the tests are
killed; it then ends the groups that are left. It stands in a session of its own, where no Ctrl-C comes.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import os
import signal
import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

PATIENCE_S = 300
"""How long to wait for what takes seconds: on a machine that is busy it may take many times as long."""

Process = subprocess.Popen[Any]


def start(command: Sequence[str | Path], **options: Any) -> Process:
    """Start a process that ends with the tests at the latest. Options are those of ``subprocess.Popen``."""
    keeper = _keeper()
    options = {"stdin": subprocess.DEVNULL, **options, "start_new_session": True}
    process: Process = subprocess.Popen([str(word) for word in command], **options)
    _tell(keeper, process.pid)
    return process


def end(process: Process, within_s: float = 0) -> None:
    """End a process, and all that it started. It has been told to go already where it may take a while."""
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(timeout=within_s)
    _kill_group(process.pid)
    process.wait()
    _tell(_keeper(), -process.pid)


@functools.cache
def _keeper() -> Process:
    keeper = subprocess.Popen([sys.executable, "-I", __file__], stdin=subprocess.PIPE, start_new_session=True)
    atexit.register(keeper.communicate)
    return keeper


def _tell(keeper: Process, number: int) -> None:
    """Tell of a group; of one that is gone by its number below zero."""
    assert keeper.stdin is not None
    os.write(keeper.stdin.fileno(), f"{number}\n".encode())


def _kill_group(group: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, signal.SIGKILL)


def _keep(lines: Iterable[str]) -> None:
    groups: set[int] = set()
    for number in map(int, lines):
        if number > 0:
            groups.add(number)
        else:
            groups.discard(-number)
    for group in groups:
        _kill_group(group)


if __name__ == "__main__":
    _keep(iter(sys.stdin.readline, ""))
