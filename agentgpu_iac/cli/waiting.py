"""Progress on what takes over a second: on a terminal's standard error, and nowhere else."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from rich.live import Live

PATIENCE_S: Final = 1.0
"""How long nobody is told anything: what is done by then needs no progress."""


@contextmanager
def waiting(what: str) -> Iterator[None]:
    """Say on a terminal what is being done, from its second second on, and take it away at its end."""
    if not sys.stderr.isatty() or os.environ.get("TERM", "dumb") in ("dumb", "unknown", ""):
        yield
        return
    shown: list[Live] = []
    lock = threading.Lock()
    is_over = False

    def show() -> None:
        from rich.console import Console  # noqa: PLC0415 - only where somebody waits
        from rich.live import Live  # noqa: PLC0415
        from rich.spinner import Spinner  # noqa: PLC0415

        with lock:
            if not is_over:
                live = Live(
                    Spinner("dots", f"{what} ..."),
                    console=Console(stderr=True, highlight=False, markup=False),
                    transient=True,
                    redirect_stdout=False,
                    redirect_stderr=False,
                )
                live.start()
                shown.append(live)

    timer = threading.Timer(PATIENCE_S, show)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        with lock:
            is_over = True
            for live in shown:
                live.stop()
