"""Every field case has its right value; what is not answered rightly yet says so, and fails once it is."""

from __future__ import annotations

import pytest

from tests.field.cases import CASES, Case


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(
            case,
            id=case.id,
            marks=()
            if case.waits_for is None
            else pytest.mark.xfail(reason=case.waits_for, strict=True, raises=AssertionError),
        )
        for case in CASES
    ],
)
def test_the_right_value(case: Case) -> None:
    assert case.holds(), f"{case.reported}: {case.right}"


def test_there_are_44_of_them() -> None:
    assert len({case.id for case in CASES}) == 44
