"""How many sessions there are, minute by minute: straight lines between points, from normal load to the peak and back."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, Literal

Traffic = Literal["bursty", "ramp", "flash", "cron", "office-day"]
HOURS: Final[dict[Traffic, float]] = {"bursty": 1.0, "ramp": 1.0, "flash": 0.5, "cron": 1.0, "office-day": 10.0}
"""How long each is simulated where nothing is said."""
_CALM_S, _HIGH_S, _PERIOD_S = 600.0, 1200.0, 3600.0
"""``bursty``: ten minutes of normal load, the climb, twenty minutes at the peak, and back, every hour."""
_FLASH_AT_S = 60.0
"""``flash``: nobody, and a minute later everybody."""
_AFTER_S = 120.0
"""What is looked at of a burst at least."""
CRON_EVERY_S: Final = 600.0
CRON_WITHIN_S: Final = 60.0
"""``cron``: conversations that start within a minute, every ten."""
_DAY: Final = ((0.0, 0.15), (1.0, 0.6), (2.0, 1.0), (4.0, 0.75), (6.0, 0.95), (8.0, 0.7), (10.0, 0.15))
"""``office-day``: hours after 08:00, and the part of the peak: a high before noon, a dip at lunch, a lower high after it (the
shape of ServeGen's working days; an assumption)."""


@dataclass(frozen=True, slots=True)
class Point:
    """So many sessions at a time; between two points in proportion."""

    at_s: float
    sessions: float


def profile(traffic: Traffic, *, normal: float, peak: float, ramp_s: float, hours: float) -> tuple[Point, ...]:
    """Sessions over time, at least to the end of the hours."""
    end_s = hours * 3600
    if traffic == "flash":
        return (Point(0, 0), Point(_FLASH_AT_S, 0), Point(_FLASH_AT_S, peak), Point(max(end_s, _FLASH_AT_S), peak))
    if traffic == "ramp":
        return (Point(0, normal), Point(end_s, peak))
    if traffic == "cron":
        return (Point(0, normal), Point(end_s, normal))
    if traffic == "office-day":
        return tuple(Point(day * 36_000 + hour * 3600, part * peak) for day, hour, part in _days(hours))
    points = []
    for number in range(max(1, math.ceil(end_s / _PERIOD_S))):
        start, top = number * _PERIOD_S, number * _PERIOD_S + _CALM_S + ramp_s
        points += [Point(start, normal), Point(start + _CALM_S, normal), Point(top, peak), Point(top + _HIGH_S, peak)]
        points += [Point(top + _HIGH_S + ramp_s, normal)]
    return tuple(point for point in points if point.at_s <= end_s) or (Point(0, normal),)


def least_hours(traffic: Traffic, ramp_s: float) -> float:
    """The shortest time that has the burst in it, and some minutes after: less of it would prove nothing."""
    seconds: dict[Traffic, float] = {
        "bursty": _CALM_S + ramp_s + _AFTER_S,
        "ramp": _AFTER_S,
        "flash": _FLASH_AT_S + _AFTER_S,
        "cron": CRON_EVERY_S,
        "office-day": 3600.0 * next(hour for hour, part in _DAY if part >= 1.0) + _AFTER_S,
    }
    return seconds[traffic] / 3600


def _days(hours: float) -> Iterator[tuple[int, float, float]]:
    for day in range(max(1, math.ceil(hours / 10))):
        yield from ((day, hour, part) for hour, part in _DAY)


def crossings(points: tuple[Point, ...]) -> Iterator[tuple[float, int, bool]]:
    """(time, slot, whether it opens) in the order of time. Slot i is open while there are more than i sessions."""
    here = math.ceil(points[0].sessions - 1e-9)
    for before, after in pairwise(points):
        there = math.ceil(after.sessions - 1e-9)
        climb = after.sessions - before.sessions
        for slot in range(here, there):
            share = min(1.0, max(0.0, (slot - before.sessions) / climb))
            yield before.at_s + share * (after.at_s - before.at_s), slot, True
        for slot in range(here - 1, there - 1, -1):
            share = min(1.0, max(0.0, (slot - before.sessions) / climb))
            yield before.at_s + share * (after.at_s - before.at_s), slot, False
        here = there
