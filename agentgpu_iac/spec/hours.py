"""Hours of the week in which something runs, on the clock of a time zone, and the cron fields that open and close them.

Open hours are a set of minutes of the week, from Sunday 00:00 on: the bits of a number, so that unions and covers are
exact. KEDA's cron trigger is active where its next end comes no later than its next start (read in KEDA of 2026-08:
pkg/scalers/cron_scaler.go), so each stretch of open hours is one start and one end, and one that crosses midnight ends on
the next weekday.

A clock that jumps is the trap: robfig/cron, which KEDA asks, never hits a time that the jump leaves out, and hits twice one
that comes twice. A start that is left out keeps the trigger open all day before; an end that is left out keeps it closed
all night; a start that comes twice closes it in between. So no start lies in such an hour (it comes a minute before), and
no end in one that is left out (it comes after).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

DAY: Final = 24 * 60
WEEK: Final = 7 * DAY
DAYS: Final = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_ALWAYS: Final = (1 << WEEK) - 1
_CLOCK = re.compile(r"(?P<hour>[01][0-9]|2[0-3]):(?P<minute>[0-5][0-9])|24:00")
_FIRST_YEAR, _YEARS = 2026, 10
"""Jumps of the clock are looked for in these years: their rules change seldom, and nothing here knows today's date."""
_SAMPLES: Final = (*((month, 15) for month in range(1, 13)), (3, 20), (10, 28))
"""Days on which the offsets of two zones are compared: each month's, and those on which America's summer time is ahead of
Europe's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """Minutes that are open without a break: when they begin, from Sunday 00:00 on, and how many they are."""

    start: int
    minutes: int

    @property
    def end(self) -> int:
        """The minute at which they end, in the week."""
        return (self.start + self.minutes) % WEEK


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenHours:
    """Minutes of the week that are open, on the clock of one zone."""

    timezone: str
    minutes: int
    """A bit for each minute of the week, from Sunday 00:00 on."""

    @property
    def count(self) -> int:
        """How many minutes of the week are open."""
        return self.minutes.bit_count()

    @property
    def closed(self) -> int:
        """The other minutes."""
        return ~self.minutes & _ALWAYS

    @property
    def is_always(self) -> bool:
        """Whether no minute is closed."""
        return self.minutes == _ALWAYS

    @property
    def stretches(self) -> tuple[Stretch, ...]:
        """What is open without a break, in the order of the week."""
        if self.is_always:
            return (Stretch(start=0, minutes=WEEK),)
        starts = self.minutes & ~_turned(self.minutes, 1)
        ends = sorted(_bits(_turned(self.minutes, 1) & ~self.minutes))
        found = []
        for start in _bits(starts):
            end = next((each for each in ends if each > start), (ends or [0])[0] + WEEK)
            found.append(Stretch(start=start, minutes=end - start))
        return tuple(found)

    def widened(self, before: int, after: int) -> OpenHours:
        """The same with so many minutes more before and after each stretch."""
        return OpenHours(
            timezone=self.timezone,
            minutes=_union((each.start - before, each.minutes + before + after) for each in self.stretches),
        )

    def clear_of_jumps(self) -> OpenHours:
        """The same, or a little more, so that no stretch begins or ends at a time that the clock leaves out or has twice."""
        if self.is_always:
            return self
        found = []
        for each in self.stretches:
            start, end = each.start, each.start + each.minutes
            for jump in jumps(self.timezone):
                if (into := (start - jump.start) % WEEK) < jump.minutes:
                    start -= into + 1
                if jump.leaves_out and (into := (end - jump.start) % WEEK) < jump.minutes:
                    end += jump.minutes - into
            found.append((start, end - start))
        return OpenHours(timezone=self.timezone, minutes=_union(found))

    def crons(self) -> tuple[tuple[str, str], ...]:
        """Start and end of its stretches as five cron fields each; days with the same times are in one pair."""
        times: dict[tuple[int, int], list[Stretch]] = {}
        for each in self.stretches:
            times.setdefault((each.start % DAY, each.minutes), []).append(each)
        return tuple(
            (_cron(at, [each.start for each in found]), _cron(at + minutes, [each.end for each in found]))
            for (at, minutes), found in times.items()
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Jump:
    """Times that the clock leaves out or has twice, once a year or more seldom: from a minute of the week on."""

    start: int
    minutes: int
    leaves_out: bool


def clock(text: str) -> int | None:
    """Minutes since midnight of a time such as 08:30; 24:00 is the end of the day. None where it is no time."""
    found = _CLOCK.fullmatch(text)
    if found is None:
        return None
    return DAY if found["hour"] is None else int(found["hour"]) * 60 + int(found["minute"])


def weekdays(text: str) -> tuple[int, ...] | None:
    """The weekdays of a list such as mon-fri or sat,sun, 0 for Sunday; a range may pass the end of the week."""
    found: set[int] = set()
    for span in text.split(","):
        first, dash, last = span.partition("-")
        if first not in DAYS or (dash and last not in DAYS):
            return None
        low = DAYS.index(first)
        high = DAYS.index(last) if dash else low
        found.update(each % 7 for each in range(low, high + 1 if high >= low else high + 8))
    return tuple(sorted(found))


def length(opens: int, closes: int) -> int:
    """Minutes from opening to closing; past midnight where it closes earlier than it opens, 0 where it never opens."""
    return closes - opens if closes >= opens else closes + DAY - opens


def open_hours(timezone: str, windows: Iterable[tuple[Sequence[int], int, int]]) -> OpenHours:
    """What windows open together: their weekdays, when they open on these, and when they close."""
    return OpenHours(
        timezone=timezone,
        minutes=_union((day * DAY + opens, length(opens, closes)) for days, opens, closes in windows for day in days),
    )


def together(several: Iterable[OpenHours]) -> tuple[OpenHours, ...]:
    """The same with those of one zone as one."""
    found: dict[str, int] = {}
    for each in several:
        found[each.timezone] = found.get(each.timezone, 0) | each.minutes
    return tuple(OpenHours(timezone=timezone, minutes=minutes) for timezone, minutes in found.items())


def most_minutes(several: Sequence[OpenHours]) -> int:
    """Minutes of a week in which any of them is open: the most of the year, where their clocks are not always as far apart."""
    if len({each.timezone for each in several}) < 2:
        return max((each.count for each in together(several)), default=0)
    most = 0
    for sample in _SAMPLES:
        union = 0
        for each in several:
            union |= _turned(each.minutes, -_offset(each.timezone, sample))
        most = max(most, union.bit_count())
    return most


def uncovered(inner: OpenHours, outer: OpenHours) -> int | None:
    """A minute of the week, on the clock of ``inner``, at which it is open and ``outer`` is not; None where there is none."""
    samples = _SAMPLES if inner.timezone != outer.timezone else _SAMPLES[:1]
    for sample in samples:
        apart = _offset(inner.timezone, sample) - _offset(outer.timezone, sample)
        left = inner.minutes & ~_turned(outer.minutes, apart)
        if left:
            return next(_bits(left))
    return None


def apart_minutes(timezone: str, other: str) -> int:
    """How far a zone's clock is ahead of another one's, in minutes, in the middle of January."""
    return _offset(timezone, _SAMPLES[0]) - _offset(other, _SAMPLES[0])


def in_words(minute: int) -> str:
    """A minute of the week as people say it."""
    return f"{DAYS[minute // DAY % 7]} {minute % DAY // 60:02}:{minute % 60:02}"


def is_zone(timezone: str) -> bool:
    """Whether it is a time zone of the IANA database that this machine has."""
    return timezone in _zones()


@lru_cache(maxsize=1)
def _zones() -> frozenset[str]:
    return frozenset(available_timezones() | {"UTC"})


def zones() -> frozenset[str]:
    """All time zones."""
    return _zones()


@lru_cache(maxsize=256)
def jumps(timezone: str) -> tuple[Jump, ...]:
    """The times that the zone's clock leaves out or has twice, by weekday and time of day."""
    zone = _zone(timezone)
    found: dict[Jump, None] = {}
    at = datetime(_FIRST_YEAR, 1, 1, tzinfo=UTC)
    last = datetime(_FIRST_YEAR + _YEARS, 1, 1, tzinfo=UTC)
    while at < last:
        following = at + timedelta(days=1)
        before, after = _offset_at(zone, at), _offset_at(zone, following)
        if before != after:
            moment = _moment(zone, at, before)
            local = moment + timedelta(minutes=min(before, after))
            start = (local.weekday() + 1) % 7 * DAY + local.hour * 60 + local.minute
            found[Jump(start=start, minutes=abs(after - before), leaves_out=after > before)] = None
        at = following
    return tuple(found)


def _moment(zone: ZoneInfo, at: datetime, before: int) -> datetime:
    """The minute, within a day from ``at`` on, at which the offset is no longer that of before."""
    low, high = 0, DAY
    while high - low > 1:
        middle = (low + high) // 2
        if _offset_at(zone, at + timedelta(minutes=middle)) == before:
            low = middle
        else:
            high = middle
    return at + timedelta(minutes=high)


@lru_cache(maxsize=1024)
def _offset(timezone: str, sample: tuple[int, int]) -> int:
    return _offset_at(_zone(timezone), datetime(_FIRST_YEAR, *sample, 12, tzinfo=UTC))


def _offset_at(zone: ZoneInfo, at: datetime) -> int:
    """How far its clock is ahead of UTC, in minutes."""
    return round((at.astimezone(zone).utcoffset() or timedelta()).total_seconds() / 60)


def _zone(timezone: str) -> ZoneInfo:
    try:
        return ZoneInfo(timezone)
    except (ZoneInfoNotFoundError, ValueError):
        raise ValueError(
            f"no time zone is named {timezone!r}; the rules of the spec let no such name through"
        ) from None


def _union(spans: Iterable[tuple[int, int]]) -> int:
    """Minutes of any of the spans, each from a minute on, which may lie before the week, for so many."""
    found = 0
    for start, minutes in spans:
        found |= _turned((1 << min(minutes, WEEK)) - 1, start)
    return found


def _turned(minutes: int, by: int) -> int:
    """The same minutes so many later, the end of the week followed by its beginning."""
    by %= WEEK
    return (minutes << by | minutes >> (WEEK - by)) & _ALWAYS


def _bits(minutes: int) -> Iterator[int]:
    while minutes:
        lowest = minutes & -minutes
        yield lowest.bit_length() - 1
        minutes ^= lowest


def _cron(at: int, on: Iterable[int]) -> str:
    days = sorted({minute // DAY for minute in on})
    return f"{at % DAY % 60} {at % DAY // 60} * * {'*' if len(days) == 7 else ','.join(str(day) for day in days)}"
