"""A process that is killed at one of its file operations, whichever it is: Python tells of each before it is done."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable

KILLED = 137
_CHANGES = frozenset(
    {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link", "os.symlink", "os.chmod", "os.truncate"}
)
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC


def killed_at(number: int, work: Callable[[], object]) -> int:
    """How a child of this process ends that does the work and is killed before its file operation of that number.

    0: it has fewer. 1: it failed by itself.
    """
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    left = number

    def watching(event: str, arguments: tuple[object, ...]) -> None:
        nonlocal left
        flags = arguments[2] if event == "open" else 0
        if event in _CHANGES or (event == "open" and isinstance(flags, int) and flags & _WRITES):
            if left == 0:
                os._exit(KILLED)
            left -= 1

    sys.addaudithook(watching)
    try:
        work()
    except BaseException:
        os._exit(1)
    os._exit(0)
