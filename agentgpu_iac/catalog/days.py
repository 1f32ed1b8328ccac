"""Days as the catalog writes them, YYYY-MM-DD or YYYY-MM, and how far one is from another. No clock: days are handed in."""

from __future__ import annotations

import re
from collections.abc import Iterable

_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


def newest(dates: Iterable[str]) -> str:
    """The newest date that names a day: a source that gives the month alone does not say how old it is. Empty: none does."""
    return max((date for date in dates if _DAY.fullmatch(date)), default="")


def days_between(first: str, second: str) -> int:
    """Days from one date to another; a month without its day counts from its first, so that an age is never too small."""
    return _number(second) - _number(first)


def _number(date: str) -> int:
    """The day's number in the Gregorian calendar, counted from a 1 March, so that leap days come last."""
    year, month, day = (int(part) for part in (date if _DAY.fullmatch(date) else f"{date}-01").split("-"))
    months = (month + 9) % 12
    years = year - months // 10
    return 365 * years + years // 4 - years // 100 + years // 400 + (months * 306 + 5) // 10 + day
