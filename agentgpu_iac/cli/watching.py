"""What Pulumi does while it does it: a live table on a terminal, else a line for each kind that moved. On standard error."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from agentgpu_iac.cli.saying import tell
from agentgpu_iac.review.blocks import laid_out
from agentgpu_iac.review.carrying_out_view import kind_line, kinds_table

if TYPE_CHECKING:
    from agentgpu_iac.provisioning.engine.events import KindProgress, Tally, Verb

_EVERY_S: Final = 0.25
"""How often is looked."""
_REMINDER_S: Final = 60.0
"""How often a pipe hears of what takes long: a job that says nothing for minutes is ended by some that run it."""


@contextmanager
def watching(tally: Tally, planned: Mapping[str, Verb]) -> Iterator[None]:
    """Show how far it is until it is over."""
    from agentgpu_iac.provisioning.engine.events import by_kind  # noqa: PLC0415 - only beside Pulumi

    end = threading.Event()
    is_live = sys.stderr.isatty() and os.environ.get("TERM", "dumb") not in ("dumb", "unknown", "")
    show = _live if is_live else _lines
    thread = threading.Thread(target=show, args=(lambda: by_kind(planned, tally), end), daemon=True)
    thread.start()
    try:
        yield
    finally:
        end.set()
        thread.join()


def _live(kinds: Callable[[], tuple[KindProgress, ...]], end: threading.Event) -> None:
    from rich.console import Console  # noqa: PLC0415 - not needed in a pipe
    from rich.live import Live  # noqa: PLC0415

    console = Console(stderr=True, highlight=False, markup=False, emoji=False)

    def shown() -> str:
        moved = [each for each in kinds() if each.now or each.failed or 0 < each.done < each.planned]
        lines = laid_out((kinds_table(moved, time.time()),), console.width) if moved else ()
        return "\n".join("".join(span.text for span in line).rstrip() for line in lines)

    with Live(console=console, transient=True, auto_refresh=False) as live:
        while not end.wait(_EVERY_S):
            live.update(shown(), refresh=True)


def _lines(kinds: Callable[[], tuple[KindProgress, ...]], end: threading.Event) -> None:
    """A line once all of a kind are done, once the first of it has failed, and now and then for what takes long."""
    told: set[tuple[str, str]] = set()
    reminded = time.monotonic()
    is_last = False
    while not is_last:
        is_last = end.wait(_EVERY_S)
        for each in kinds():
            news = "failed" if each.failed else "done" if each.done == each.planned else ""
            if news and (each.kind + each.verb, news) not in told:
                told.add((each.kind + each.verb, news))
                tell(kind_line(each, time.time()))
        if time.monotonic() - reminded > _REMINDER_S:
            reminded = time.monotonic()
            for each in kinds():
                if each.now:
                    tell(kind_line(each, time.time()))
