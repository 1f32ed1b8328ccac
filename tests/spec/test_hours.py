"""Hours of the week, and what KEDA makes of the cron fields that open and close them, on clocks that jump."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentgpu_iac.spec import hours
from agentgpu_iac.spec.hours import DAY, WEEK, OpenHours, clock, jumps, length, most_minutes, open_hours, weekdays

EVERY = range(7)


def opened(opens: str, closes: str, days: str = "mon-sun", timezone: str = "Europe/Berlin") -> OpenHours:
    return open_hours(timezone, [(weekdays(days) or (), clock(opens) or 0, clock(closes) or 0)])


def hits(cron: str, minutes: list[datetime]) -> list[bool]:
    """Which minutes a cron of ours hits: robfig/cron compares the fields of the local time, minute by minute."""
    minute, hour, _, _, days = cron.split()
    on = set(EVERY) if days == "*" else {int(day) for day in days.split(",")}
    return [
        (at.minute, at.hour) == (int(minute), int(hour)) and (at.weekday() + 1) % 7 in on
        for at in minutes  # a time that the clock leaves out is not among them, one that it has twice is there twice
    ]


def active(hours: OpenHours, first: datetime, days: int) -> list[bool]:
    """Minute by minute whether KEDA's cron triggers of these hours ask for replicas: where the next end is no later than the
    next start (pkg/scalers/cron_scaler.go).
    """
    zone = ZoneInfo(hours.timezone)
    minutes = [(first + timedelta(minutes=each)).astimezone(zone) for each in range((days + 8) * DAY)]
    found = [False] * len(minutes)
    for start, end in hours.crons():
        assert start != end, "KEDA refuses it"
        next_start = next_end = len(minutes)
        starts, ends = hits(start, minutes), hits(end, minutes)
        for each in reversed(range(len(minutes))):
            found[each] |= next_end <= next_start and next_end < len(minutes)
            next_start = each if starts[each] else next_start
            next_end = each if ends[each] else next_end
    return found[: days * DAY]


def wanted(hours: OpenHours, first: datetime, days: int) -> Iterator[bool]:
    zone = ZoneInfo(hours.timezone)
    for each in range(days * DAY):
        at = (first + timedelta(minutes=each)).astimezone(zone)
        yield bool(hours.minutes >> ((at.weekday() + 1) % 7 * DAY + at.hour * 60 + at.minute) & 1)


class TestAWindow:
    def test_a_night_ends_on_the_next_weekday(self):
        assert opened("22:00", "06:00", "mon-fri").crons() == (("0 22 * * 1,2,3,4,5", "0 6 * * 2,3,4,5,6"),)

    def test_days_that_follow_one_another_without_a_break_are_one_stretch(self):
        assert opened("00:00", "24:00", "mon-fri").crons() == (("0 0 * * 1", "0 0 * * 6"),)

    def test_a_night_of_saturday_goes_round_the_end_of_the_week(self):
        night = opened("22:00", "06:00", "sat")
        assert night.crons() == (("0 22 * * 6", "0 6 * * 0"),)
        assert night.count == 8 * 60

    def test_overlapping_windows_count_once(self):
        hours = open_hours("UTC", [(EVERY, 480, 720), (EVERY, 600, 1080)])
        assert hours.crons() == (("0 8 * * *", "0 18 * * *"),)
        assert hours.count == 7 * 600

    def test_a_start_before_may_close_a_gap(self):
        assert open_hours("UTC", [(EVERY, 480, 720), (EVERY, 725, 1080)]).widened(10, 0).crons() == (
            ("50 7 * * *", "0 18 * * *"),
        )

    def test_all_of_the_week_is_always(self):
        assert opened("00:00", "24:00").is_always
        assert opened("06:00", "05:59").widened(1, 0).is_always
        assert not opened("00:00", "23:59").is_always

    @pytest.mark.parametrize(
        ("text", "days"),
        [
            ("mon-fri", (1, 2, 3, 4, 5)),
            ("sat,sun", (0, 6)),
            ("fri-mon", (0, 1, 5, 6)),
            ("mon-funday", None),
            ("", None),
        ],
    )
    def test_weekdays(self, text, days):
        assert weekdays(text) == days

    @pytest.mark.parametrize(
        ("text", "minutes"), [("00:00", 0), ("23:59", 1439), ("24:00", 1440), ("24:01", None), ("7:00", None)]
    )
    def test_times_of_a_day(self, text, minutes):
        assert clock(text) == minutes

    @given(
        st.lists(st.tuples(st.integers(0, 6), st.integers(0, DAY - 1), st.integers(1, DAY)), min_size=1, max_size=5),
        st.integers(0, 600),
        st.integers(0, 600),
    )
    @settings(derandomize=True, deadline=None, max_examples=60)
    def test_stretches_are_the_same_minutes_and_a_wider_window_holds_a_smaller_one(self, windows, before, after):
        hours = open_hours("UTC", [((day,), opens, (opens + minutes) % DAY) for day, opens, minutes in windows])
        again = 0
        for each in hours.stretches:
            for minute in range(each.start, each.start + each.minutes):
                again |= 1 << minute % WEEK
        assert again == hours.minutes
        wider = hours.widened(before, after)
        assert wider.minutes & hours.minutes == hours.minutes
        assert length(0, 0) == 0


class TestSeveralZones:
    def test_the_union_is_the_most_of_the_year(self):
        berlin, new_york = opened("08:00", "18:00"), opened("08:00", "18:00", timezone="America/New_York")
        assert most_minutes((berlin, new_york)) == 7 * 16 * 60  # 6 h apart, and 5 h while only America has summer time
        assert most_minutes((berlin, berlin)) == 7 * 10 * 60

    def test_covers_are_asked_on_the_same_clock(self):
        here = opened("08:00", "18:00")
        assert hours.uncovered(here, opened("07:00", "17:00", timezone="UTC")) == 480  # in summer it is 06:00 UTC
        assert hours.uncovered(here, opened("06:00", "17:00", timezone="UTC")) is None


class TestJumps:
    def test_europe_and_america_leave_out_and_repeat_an_hour_on_sundays(self):
        assert {(each.start, each.minutes, each.leaves_out) for each in jumps("Europe/Berlin")} == {
            (120, 60, True),
            (120, 60, False),
        }
        assert {(each.start, each.minutes, each.leaves_out) for each in jumps("America/New_York")} == {
            (120, 60, True),
            (60, 60, False),
        }
        assert jumps("Asia/Tokyo") == ()

    def test_only_the_days_that_may_be_hit_are_moved(self):
        assert opened("02:30", "06:00").clear_of_jumps().crons() == (
            ("59 1 * * 0", "0 6 * * 0"),
            ("30 2 * * 1,2,3,4,5,6", "0 6 * * 1,2,3,4,5,6"),
        )
        assert opened("02:30", "06:00", "mon-sat").clear_of_jumps() == opened("02:30", "06:00", "mon-sat")

    @pytest.mark.parametrize(
        ("opens", "closes", "timezone", "first"),
        [
            ("02:30", "06:00", "Europe/Berlin", datetime(2027, 3, 26, tzinfo=UTC)),
            ("22:00", "02:30", "Europe/Berlin", datetime(2027, 3, 26, tzinfo=UTC)),
            ("02:30", "06:00", "Europe/Berlin", datetime(2027, 10, 29, tzinfo=UTC)),
            ("22:00", "02:30", "Europe/Berlin", datetime(2027, 10, 29, tzinfo=UTC)),
            ("01:15", "06:00", "America/New_York", datetime(2027, 11, 5, tzinfo=UTC)),
            ("00:00", "06:00", "Africa/Cairo", datetime(2027, 4, 27, tzinfo=UTC)),
            ("22:00", "06:00", "Europe/Berlin", datetime(2027, 3, 26, tzinfo=UTC)),
        ],
    )
    def test_keda_keeps_every_window_when_the_clock_jumps(self, opens, closes, timezone, first):
        """Every minute of the windows is kept, and no more than two hours of a day beside them."""
        hours = opened(opens, closes, timezone=timezone)
        kept, asked = active(hours.clear_of_jumps(), first, 5), list(wanted(hours, first, 5))
        assert [
            minute for minute, (is_on, is_asked) in enumerate(zip(kept, asked, strict=True)) if is_asked and not is_on
        ] == []
        assert sum(kept) - sum(asked) <= 5 * 120

    def test_without_that_keda_would_run_all_day_or_not_at_all(self):
        """A start that the clock leaves out keeps the trigger open from the end before on, an end that it leaves out closed."""
        first = datetime(2027, 3, 26, tzinfo=UTC)
        early, late = opened("02:30", "06:00"), opened("22:00", "02:30")
        assert sum(active(early, first, 5)) - sum(wanted(early, first, 5)) >= 20 * 60
        kept, asked = active(late, first, 5), list(wanted(late, first, 5))
        assert sum(is_asked and not is_on for is_on, is_asked in zip(kept, asked, strict=True)) > 2 * 60


def test_nothing_here_asks_what_time_it_is():
    names = {node.attr for node in ast.walk(ast.parse(inspect.getsource(hours))) if isinstance(node, ast.Attribute)}
    assert not names & {"now", "utcnow", "today", "time", "fromtimestamp"}
