"""What time it is where a schedule is followed: ``office-day`` runs from 08:00 to 18:00 on working days; others have no clock.

A baseline that follows a schedule (``workloads[].openHours``) has the replicas that its windows ask for, as KEDA's cron trigger
does it: a window is active from a start until the next end (pkg/scalers/cron_scaler.go). Its starts lie ``leadS`` before the
agents' own hours, in which sessions begin. Burst replicas at known hours (``scaling.schedules``) are asked for by the same
trigger.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from agentgpu_iac.plan import OpenHoursPlan, Schedule
from agentgpu_iac.simulation.profiles import Point
from agentgpu_iac.spec.cron import cron_values
from agentgpu_iac.spec.hours import DAY, WEEK, apart_minutes

DAY_S: Final = 36_000.0
"""What an office day has: ten hours, from ``_FROM`` on; the next working day follows at once."""
_FROM: Final = 8 * 60
_MS_PER_MINUTE: Final = 60_000.0
_DAYS: Final = 5
"""Monday to Friday, and Monday again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OfficeClock:
    """The minute of the week at each time of a simulation."""

    warm_ms: float
    """When it is 08:00 for the first time."""

    def minute(self, now_ms: float) -> float:
        """Minutes since Sunday 00:00; before the first morning those before it."""
        passed_s = (now_ms - self.warm_ms) / 1000
        day = max(0, int(passed_s // DAY_S))
        return (1 + day % _DAYS) * DAY + _FROM + (passed_s - day * DAY_S) / 60

    def mornings(self, end_ms: float) -> Iterator[float]:
        """When the clock jumps from an evening to the next morning."""
        at_ms = self.warm_ms + DAY_S * 1000
        while at_ms < end_ms:
            yield at_ms
            at_ms += DAY_S * 1000


class Windows:
    """The windows of a baseline, on the clock of the first one's zone."""

    __slots__ = ("_lead", "_windows", "outside")

    def __init__(self, hours: OpenHoursPlan) -> None:
        self.outside = hours.replicas_outside
        """Replicas that stay outside of them."""
        self._lead = hours.lead_s // 60
        first = hours.windows[0].timezone
        self._windows = tuple((*_window(each, first), each.replicas) for each in hours.windows)

    def wanted(self, minute: float) -> tuple[int, float]:
        """(replicas at a minute of the week, minutes for which they have been asked for; 0 outside of all windows)."""
        return max((self.outside, 0.0), _wanted(self._windows, minute))

    def spans(self, hours: float) -> tuple[tuple[float, float], ...]:
        """(from, until) in seconds of ``office-day`` in which its agents' own hours are: to a minute."""
        clock = OfficeClock(warm_ms=0.0)
        found: list[tuple[float, float]] = []
        for number in range(int(hours * 60)):
            at_s = number * 60.0
            if self._is_open(clock.minute(at_s * 1000)):
                if found and found[-1][1] == at_s:
                    found[-1] = (found[-1][0], at_s + 60)
                else:
                    found.append((at_s, at_s + 60))
        return tuple(found)

    def _is_open(self, minute: float) -> bool:
        for starts, ends, _ in self._windows:
            since = min((minute - each) % WEEK for each in starts)
            if self._lead <= since <= min((minute - each) % WEEK for each in ends):
                return True
        return False


class Peaks:
    """Burst replicas at known hours, on the clock of a zone. Those of days of the month have no place in an office day."""

    __slots__ = ("_windows",)

    def __init__(self, schedules: Sequence[Schedule], timezone: str | None) -> None:
        """``timezone`` is that of the clock; None: the first schedule's."""
        zone = timezone or (schedules[0].timezone if schedules else "UTC")
        self._windows = tuple((*_window(each, zone), each.replicas) for each in schedules if is_weekly(each))

    def wanted(self, minute: float) -> tuple[int, float]:
        """(burst replicas at a minute of the week, minutes for which they have been asked for)."""
        return _wanted(self._windows, minute)


def is_weekly(schedule: Schedule) -> bool:
    """Whether it is the same in each week: of any day of the month, and any month."""
    return all(cron_values(each)[2:4] == (None, None) for each in (schedule.start, schedule.end))


_Window = tuple[tuple[int, ...], tuple[int, ...], int]
"""(starts, ends, replicas); the times in minutes of the week."""


def _wanted(windows: Sequence[_Window], minute: float) -> tuple[int, float]:
    """The most that a window asks for at a minute of the week, and since how many minutes; nothing outside of all."""
    found = (0, 0.0)
    for starts, ends, replicas in windows:
        since = min((minute - each) % WEEK for each in starts)
        if since <= min((minute - each) % WEEK for each in ends):
            found = max(found, (replicas, since))
    return found


def within(points: Sequence[Point], spans: Sequence[tuple[float, float]]) -> tuple[Point, ...]:
    """The same sessions in these spans, and none outside of them."""
    found = [Point(points[0].at_s, 0.0)]
    for opens, closes in spans:
        found.append(Point(opens, 0.0))
        found.append(Point(opens, _at(points, opens)))
        found += [each for each in points if opens < each.at_s < closes]
        found.append(Point(closes, _at(points, closes)))
        found.append(Point(closes, 0.0))
    return tuple(found)


def _at(points: Sequence[Point], at_s: float) -> float:
    """Sessions at a time."""
    before = points[0]
    for after in points[1:]:
        if at_s < after.at_s:
            share = (at_s - before.at_s) / (after.at_s - before.at_s)
            return before.sessions + share * (after.sessions - before.sessions)
        before = after
    return before.sessions


def _window(schedule: Schedule, timezone: str) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """(starts, ends) of a window, in minutes of the week on the clock of a zone."""
    by = apart_minutes(timezone, schedule.timezone)
    return tuple(each + by for each in _minutes(schedule.start)), tuple(each + by for each in _minutes(schedule.end))


def _minutes(cron: str) -> tuple[int, ...]:
    """Minutes of the week of five cron fields; the days of the month and the months are not looked at."""
    minutes, hours, _, _, days = cron_values(cron)
    return tuple(
        day * DAY + hour * 60 + minute
        for day in sorted(days if days is not None else range(7))
        for hour in sorted(hours if hours is not None else range(24))
        for minute in sorted(minutes if minutes is not None else range(60))
    )
