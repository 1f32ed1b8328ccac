"""Schedules of a plan at one moment, as KEDA reads them: a window is open where its next end comes before its next start."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo

from agentgpu_iac.plan import Schedule
from agentgpu_iac.spec.cron import cron_values

_MOST_MINUTES = 366 * 24 * 60


def scheduled_replicas(schedules: Iterable[Schedule], at_s: float) -> int:
    """The most replicas that a schedule wants at a moment, given in seconds since 1970."""
    now = datetime.fromtimestamp(at_s, UTC)
    return max((schedule.replicas for schedule in schedules if _is_open(schedule, now)), default=0)


def seconds_of(moment: datetime) -> float:
    """Seconds since 1970 of a moment in UTC, as Pulumi's history names it, with its zone or without."""
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def now_s() -> float:
    """Seconds since 1970."""
    return datetime.now(UTC).timestamp()


def _is_open(schedule: Schedule, now: datetime) -> bool:
    local = now.astimezone(ZoneInfo(schedule.timezone)).replace(second=0, microsecond=0, tzinfo=None)
    ends, starts = _fields(schedule.end), _fields(schedule.start)
    for minutes in range(1, _MOST_MINUTES):
        at = local + timedelta(minutes=minutes)
        if _matches(ends, at):
            return not _matches(starts, at)
        if _matches(starts, at):
            return False
    return False


@cache
def _fields(cron: str) -> tuple[frozenset[int] | None, ...]:
    return cron_values(cron)


def _matches(fields: tuple[frozenset[int] | None, ...], at: datetime) -> bool:
    """Whether a minute is one of those that the fields name. Of a day and a weekday that are both named, either will do."""
    minute, hour, day, month, weekday = fields
    if not all(
        values is None or value in values for values, value in ((minute, at.minute), (hour, at.hour), (month, at.month))
    ):
        return False
    on_day = day is None or at.day in day
    on_weekday = weekday is None or at.isoweekday() % 7 in weekday
    return (on_day or on_weekday) if day is not None and weekday is not None else (on_day and on_weekday)
