"""Progress on what takes over a second: on a terminal's standard error, and nowhere else."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from rich.live import Live
    from rich.spinner import Spinner

PATIENCE_S: Final = 1.0
"""How long nobody is told anything: what is done by then needs no progress."""


@contextmanager
def waiting(what: str) -> Iterator[Callable[[str], None]]:
    """Say on a terminal what is being done, from its second second on, and take it away at its end.

    What it gives says how far it is, behind those words.
    """
    if not sys.stderr.isatty() or os.environ.get("TERM", "dumb") in ("dumb", "unknown", ""):
        yield lambda _: None
        return
    shown: list[Live] = []
    spinners: list[Spinner] = []
    lock = threading.Lock()
    is_over = False

    def show() -> None:
        from rich.console import Console  # noqa: PLC0415 - only where somebody waits
        from rich.live import Live  # noqa: PLC0415
        from rich.spinner import Spinner  # noqa: PLC0415

        with lock:
            if not is_over:
                spinners.append(Spinner("dots", f"{what} ..."))
                live = Live(
                    spinners[0],
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

    def tell(how_far: str) -> None:
        with lock:
            for spinner in spinners:
                spinner.update(text=f"{what} {how_far}")

    try:
        yield tell
    finally:
        timer.cancel()
        with lock:
            is_over = True
            for live in shown:
                live.stop()
