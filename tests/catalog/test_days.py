"""Days: how far one is from another, without a clock."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentgpu_iac.catalog.days import days_between, newest


@given(st.dates(date(1, 3, 1)), st.dates(date(1, 3, 1)))
def test_days_are_those_of_the_calendar(first: date, second: date) -> None:
    assert days_between(first.isoformat(), second.isoformat()) == (second - first).days


@pytest.mark.parametrize(("month", "day", "days"), [("2026-07", "2026-07-31", 30), ("2026-02", "2026-03-01", 28)])
def test_a_month_counts_from_its_first_day(month: str, day: str, days: int) -> None:
    assert days_between(month, day) == days


def test_the_newest_names_a_day() -> None:
    assert newest(["2026-07", "2026-06-30", "", "2026-06-01"]) == "2026-06-30"
    assert newest(["2026-07", ""]) == ""
