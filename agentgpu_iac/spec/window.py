"""Hours of a week in which nodes may be renewed, and the hours in between, as Karpenter's disruption budgets want them.

A budget of Karpenter restricts while it is active: from each hit of its schedule on, for its duration (read in Karpenter
1.14.1: pkg/apis/v1/nodepool.go, IsActive; of several active budgets the least counts). It has no budget that permits. So
what a window leaves closed is written down: from the end of each opening to the start of the next. Its schedules are UTC.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

_DAY: Final = 24 * 60
_WEEK: Final = 7 * _DAY
_DAYS: Final = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_FIXED = re.compile(r"Etc/GMT(?P<sign>[+-])(?P<hours>1[0-4]|[1-9])")
"""Zones whose clock never changes, named as IANA does: Etc/GMT-1 is one hour *ahead* of UTC."""
_UTC: Final = frozenset({"UTC", "Etc/UTC", "GMT", "Etc/GMT"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Closed:
    """Hours that no window opens: they begin by a schedule, five cron fields in UTC."""

    schedule: str
    minutes: int


def offset_minutes(timezone: str) -> int | None:
    """How far the zone's clock is ahead of UTC; None where that changes over the year, or nobody here knows it."""
    if timezone in _UTC:
        return 0
    found = _FIXED.fullmatch(timezone)
    if found is None:
        return None
    return int(found["hours"]) * 60 * (1 if found["sign"] == "-" else -1)


def weekly_starts(start: str) -> tuple[int, ...] | None:
    """Minutes of the week, from Sunday on, at which five cron fields hit; None where that is not the same every week.

    One minute, one hour, any day and any month: with days of the month the gaps would differ from month to month.
    """
    fields = start.lower().split()
    if len(fields) != 5 or fields[2:4] != ["*", "*"] or not (fields[0].isdecimal() and fields[1].isdecimal()):
        return None
    minute, hour = int(fields[0]), int(fields[1])
    days = _weekdays(fields[4])
    if days is None or minute > 59 or hour > 23:
        return None
    return tuple(day * _DAY + hour * 60 + minute for day in days)


def closed_hours(starts: Sequence[int], minutes: int, ahead_minutes: int = 0) -> tuple[Closed, ...]:
    """What openings of so many minutes leave closed in a week; nothing where they leave no gap."""
    opened = sorted((start - ahead_minutes) % _WEEK for start in starts)
    gaps: dict[tuple[int, int], list[int]] = {}
    for position, start in enumerate(opened):
        following = opened[(position + 1) % len(opened)] + (_WEEK if position + 1 == len(opened) else 0)
        end = start + minutes
        if following > end:
            gaps.setdefault((end % _DAY, following - end), []).append(end % _WEEK // _DAY)
    return tuple(
        Closed(schedule=f"{at % 60} {at // 60} * * {_written(days)}", minutes=length)
        for (at, length), days in sorted(gaps.items())
    )


def _written(days: Sequence[int]) -> str:
    return "*" if len(set(days)) == len(_DAYS) else ",".join(str(day) for day in sorted(days))


def _weekdays(field: str) -> tuple[int, ...] | None:
    """The weekdays of a cron field, 0 for Sunday."""
    found: set[int] = set()
    for part in field.split(","):
        span, _, step = part.partition("/")
        first, dash, last = ("0", "-", "6") if span == "*" else span.partition("-")
        low, high = _weekday(first), _weekday(last if dash else first)
        if low is None or high is None or high < low or (step and not (step.isdecimal() and int(step))):
            return None
        found.update(range(low, high + 1, int(step or "1")))
    return tuple(sorted(found))


def _weekday(word: str) -> int | None:
    if word in _DAYS:
        return _DAYS.index(word)
    return int(word) if len(word) == 1 and word.isdecimal() and int(word) < len(_DAYS) else None
