"""Each of the further reports has its right value."""

from __future__ import annotations

import pytest

from tests.field.cases import Case
from tests.field.more_cases import MORE


@pytest.mark.parametrize("case", [pytest.param(case, id=case.id) for case in MORE])
def test_the_right_value(case: Case) -> None:
    assert case.holds(), f"{case.reported}: {case.right}"
