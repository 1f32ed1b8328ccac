"""The one clock of this room. A provider waits for machines, and keeps to the API's limits, by it alone."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Clock:
    """The current time, and sleeping; tests pass a clock that runs fast."""

    now_s: Callable[[], float]
    """Seconds since some moment."""
    sleep: Callable[[float], None]


CLOCK = Clock(now_s=time.monotonic, sleep=time.sleep)


def in_days(days: int) -> datetime:
    """The time a number of days from now, for documents that hold a date."""
    return datetime.now(UTC) + timedelta(days=days)
