"""Hours that a maintenance window leaves closed, against a minute-by-minute reading of Karpenter's budgets."""

from __future__ import annotations

import itertools

import pytest

from agentgpu_iac.spec.window import closed_hours, offset_minutes, weekly_starts

DAY, WEEK = 1440, 7 * 1440
WINDOWS = (
    ("0 2 * * *", 120, 0),
    ("30 23 * * *", 90, 0),
    ("0 2 * * 1-5", 240, 0),
    ("0 2 * * 6", 1440, 0),
    ("0 22 * * sun", 480, 60),
    ("15 0 * * 0,3", 30, -600),
    ("0 0 * * 1-5", 1440, 0),
    ("45 1 * * */2", 1440, 840),
)


def hits(schedule: str) -> set[int]:
    """Minutes of the week at which five fields of the kind that we write hit."""
    minute, hour, day, month, weekdays = schedule.split()
    assert (day, month) == ("*", "*")
    days = range(7) if weekdays == "*" else map(int, weekdays.split(","))
    return {each * DAY + int(hour) * 60 + int(minute) for each in days}


@pytest.mark.parametrize(("start", "minutes", "ahead"), WINDOWS)
def test_what_is_closed_is_exactly_what_no_window_opens(start: str, minutes: int, ahead: int) -> None:
    starts = weekly_starts(start)
    assert starts
    opened = {(at - ahead + minute) % WEEK for at in starts for minute in range(minutes)}
    closed: set[int] = set()
    for hours in closed_hours(starts, minutes, ahead):
        assert 0 < hours.minutes <= WEEK
        closed |= {(at + minute) % WEEK for at in hits(hours.schedule) for minute in range(hours.minutes)}
    assert closed == set(range(WEEK)) - opened


def test_a_window_of_every_day_is_one_budget() -> None:
    starts = weekly_starts("0 2 * * *")
    assert starts
    (hours,) = closed_hours(starts, 240)
    assert (hours.schedule, hours.minutes) == ("0 6 * * *", 20 * 60)


def test_weekdays_leave_a_long_weekend() -> None:
    starts = weekly_starts("0 2 * * 1-5")
    assert starts
    found = {hours.schedule: hours.minutes for hours in closed_hours(starts, 240)}
    assert found == {"0 6 * * 1,2,3,4": 20 * 60, "0 6 * * 5": 68 * 60}


@pytest.mark.parametrize(
    "start", ["0 2 1 * *", "0 2 * 6 *", "* 2 * * *", "0 */4 * * *", "0 24 * * *", "0 2 * * 7", "2 *"]
)
def test_what_differs_from_week_to_week_is_no_window(start: str) -> None:
    assert weekly_starts(start) is None


def test_days_by_name_and_by_number_are_the_same() -> None:
    for number, name in enumerate(("sun", "mon", "tue", "wed", "thu", "fri", "sat")):
        assert weekly_starts(f"0 2 * * {name}") == weekly_starts(f"0 2 * * {number}") == (number * DAY + 120,)
    assert weekly_starts("0 2 * * mon-fri") == tuple(itertools.chain(day * DAY + 120 for day in range(1, 6)))


def test_the_sign_of_fixed_zones_is_the_other_way_round() -> None:
    assert (offset_minutes("Etc/GMT-1"), offset_minutes("Etc/GMT+5"), offset_minutes("UTC")) == (60, -300, 0)
    assert offset_minutes("Europe/Berlin") is None
