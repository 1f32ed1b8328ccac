"""The tests' own calculator: it must not believe more than a printed sum says."""

from __future__ import annotations

import pytest

from tests.review.arithmetic import first_number, worked_out


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1 + 2 x 3", 7),
        ("(1,000 B x 2 + 24 B) / 2^10", 1.9765625),
        ("max(3.9 x 151,936 x 50 x 4, 8,192 x 2) / 2^30", 0.11037),
        ("max(1,000, 2,000)", 2000),
        ("0.5 x 0 x 16.110", 0),
    ],
)
def test_a_sum(text: str, value: float) -> None:
    assert worked_out(text) == pytest.approx(value, rel=1e-4)


@pytest.mark.parametrize(
    "text", ["", "TP 1", "abs(1)", "max(1, key=2)", "1 if 2 else 3", "'a'", "-x", "__import__('os')"]
)
def test_no_sum(text: str) -> None:
    with pytest.raises(ValueError, match="no sum"):
        worked_out(text)


def test_the_first_number() -> None:
    assert first_number("USD 2,421.45 a month") == 2421.45
    assert first_number("436.7 ms ±135%, budget 500") == 436.7
    with pytest.raises(ValueError, match="no number"):
        first_number("none")
