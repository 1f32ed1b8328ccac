"""What an engine does differently stands in its port: nothing compares the name of one where sizes are counted."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest

from agentgpu_iac.catalog.store import load_catalog
from agentgpu_iac.sizing.engines import SIZING_PORTS
from agentgpu_iac.spec.vocabulary import Engine

PACKAGE = Path(__file__).parents[2] / "agentgpu_iac"
FILES = (
    *(PACKAGE / "sizing").rglob("*.py"),
    *(PACKAGE / "calculators").rglob("*.py"),
    *(
        (PACKAGE / "planning" / name)
        for name in ("evaluation.py", "candidates.py", "service.py", "workloads.py", "references.py")
    ),
)
NAMES = frozenset(get_args(Engine))


def comparisons(path: Path) -> Iterator[int]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Compare):
            words = {one.value for one in ast.walk(node) if isinstance(one, ast.Constant)}
            if words & NAMES:
                yield node.lineno


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_engine_is_compared_by_name(path: Path) -> None:
    assert list(comparisons(path)) == []


def test_every_engine_has_a_port_and_facts() -> None:
    assert set(SIZING_PORTS) == NAMES
    assert {row.engine for row in load_catalog().engine_facts} == NAMES
