"""Searches: the number that halving finds, asked for more seldom."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentgpu_iac.sizing.searching import between, largest_within


@pytest.mark.parametrize(("limit", "found"), [(0, 0), (1, 1), (7, 7), (7.5, 7), (10, 10), (99, 10)])
def test_the_largest_number_within_a_limit(limit: float, found: int) -> None:
    assert largest_within(float, limit, 10) == found


def test_nothing_is_asked_of_no_number() -> None:
    assert largest_within(lambda _: math.nan, 1.0, 0) == 0


steps = st.lists(st.floats(0, 5) | st.just(0.0) | st.just(math.inf), min_size=1, max_size=60)


@given(steps, st.floats(0, 60))
def test_it_is_the_last_one_of_all_that_are_tried_in_turn(grows_by: list[float], limit: float) -> None:
    values = [sum(grows_by[: number + 1]) for number in range(len(grows_by))]
    found = largest_within(lambda number: values[number - 1], limit, len(values))
    assert found == sum(value <= limit for value in values)


@given(steps, st.floats(0, 60), st.integers(-5, 99))
def test_a_guess_changes_nothing(grows_by: list[float], limit: float, about: int) -> None:
    values = [sum(grows_by[: number + 1]) for number in range(len(grows_by))]
    found = largest_within(lambda number: values[number - 1], limit, len(values), about)
    assert found == sum(value <= limit for value in values)


def test_beyond_a_guess_that_is_too_large_nothing_is_asked() -> None:
    asked: list[int] = []

    def value(number: int) -> float:
        asked.append(number)
        return float(number)

    assert largest_within(value, 70.0, 10_000_000, about=75) == 70
    assert max(asked) == 75


@given(st.floats(0.1, 4.0), st.integers(100, 100_000), st.floats(0.01, 0.99))
def test_a_smooth_value_is_asked_for_seldom(power: float, most: int, part: float) -> None:
    asked: list[int] = []

    def value(number: int) -> float:
        asked.append(number)
        return float(number**power)

    limit = (part * most) ** power
    found = between(value, limit, (0, 0.0), (most, most**power))
    assert found**power <= limit < (found + 1) ** power
    assert len(asked) <= 2 * math.log2(most) + 2
