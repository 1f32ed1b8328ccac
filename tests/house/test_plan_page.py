"""docs/plan.md names every field, warning and constraint of the plan."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from agentgpu_iac import plan
from agentgpu_iac.spec.document import Document, camel

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
    found = re.search(rf"^### {name}\n(.*?)(?=^##)", PAGE, re.MULTILINE | re.DOTALL)
    return found[1] if found else ""


@pytest.mark.parametrize("part", PARTS, ids=lambda one: one.__name__)
def test_every_field_has_its_row(part: type[Document]) -> None:
    rows = set(re.findall(r"^\| `(\w+)` \|", section(part.__name__), re.MULTILINE))
    assert rows == {camel(name) for name in part.model_fields}


def test_every_warning_has_its_row() -> None:
    codes = set(re.findall(r'\bwarning\(\s*"([a-z0-9-]+)"', PLANNING))
    assert len(codes) > 30
    assert codes <= set(re.findall(r"^\| `([a-z0-9-]+)` \|", PAGE.partition("## Warning codes")[2], re.MULTILINE))


def test_every_constraint_has_its_row() -> None:
    constraints = set(re.findall(r'constraint="([a-z0-9-]+)"', PLANNING))
    assert constraints <= set(re.findall(r"`([a-z0-9-]+)`", PAGE.partition("## Rejection constraints")[2]))
