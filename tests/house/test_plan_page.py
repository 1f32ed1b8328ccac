"""docs/plan.md and the plan's JSON Schema are what the models say, and every code has its meaning."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

import pytest

from agentgpu_iac import plan
from agentgpu_iac.plan.meanings import CONSTRAINTS, DRIVERS, RANKS, WARNINGS
from agentgpu_iac.plan.reference import plan_reference_text
from agentgpu_iac.plan.schema import plan_schema
from agentgpu_iac.spec.document import Document, camel
from agentgpu_iac.spec.schema import schema_text

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "plan.md").read_text(encoding="utf-8")
PARTS = sorted(
    (one for one in vars(plan).values() if isinstance(one, type) and issubclass(one, Document) and one is not Document),
    key=lambda one: one.__name__,
)
PLANNING = "\n".join(
    path.read_text(encoding="utf-8")
    for room in ("planning", "targets")
    for path in (ROOT / "agentgpu_iac" / room).rglob("*.py")
)


def section(name: str) -> str:
    """The text under a part's heading."""
    found = re.search(rf"^## {name}\n(.*?)(?=^##)", PAGE, re.MULTILINE | re.DOTALL)
    return found[1] if found else ""


def test_the_page_and_the_schema_are_current() -> None:
    """``make schema`` writes both."""
    assert plan_reference_text() == PAGE
    assert schema_text(plan_schema()) == (ROOT / "docs" / "schema" / "plan.v1alpha1.json").read_text(encoding="utf-8")


@pytest.mark.parametrize("part", PARTS, ids=lambda one: one.__name__)
def test_every_field_has_its_row_and_says_what_it_is(part: type[Document]) -> None:
    rows = dict(re.findall(r"^\| `(\w+)` \| .*? \| (.*) \|$", section(part.__name__), re.MULTILINE))
    assert set(rows) == {camel(name) for name in part.model_fields}
    assert all(rows.values())


def test_every_code_has_its_meaning_and_its_row() -> None:
    assert set(WARNINGS) == set(get_args(plan.WarningCode))
    assert set(RANKS) == set(WARNINGS), "a warning without a rank is told last, whatever it says"
    assert set(CONSTRAINTS) == set(get_args(plan.Constraint))
    rows = re.findall(r"^\| `([a-z0-9-]+)` \|", PAGE.partition("## Warning codes")[2], re.MULTILINE)
    assert set(DRIVERS) == set(get_args(plan.DriverConstraint))
    assert rows == [*WARNINGS, *CONSTRAINTS, *DRIVERS]
    meanings = (*WARNINGS.values(), *CONSTRAINTS.values(), *DRIVERS.values())
    assert all(meaning.says and meaning.remedy for meaning in meanings)


def test_every_code_is_used() -> None:
    """A code that nothing gives is a promise that nobody keeps."""
    given = set(re.findall(r'"([a-z0-9-]+)"', PLANNING))
    assert set(get_args(plan.WarningCode)) - given == set()
    assert set(get_args(plan.Constraint)) - given == set()
    assert set(get_args(plan.DriverConstraint)) - given == set()
