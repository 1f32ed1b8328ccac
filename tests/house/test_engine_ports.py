"""What an engine does differently stands in its port: nothing compares the name of one."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import get_args

from agentgpu_iac.catalog.store import load_catalog
from agentgpu_iac.sizing.engines import SIZING_PORTS
from agentgpu_iac.spec.vocabulary import Engine
from tests.house.sources import in_modules

NAMES = frozenset(get_args(Engine))


def comparisons(tree: ast.AST) -> Iterator[int]:
    """Lines that compare something with an engine's name; a table by engine, and a row looked up by one, name none."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Compare | ast.MatchValue):
            words = {constant.value for constant in ast.walk(node) if isinstance(constant, ast.Constant)}
            if words & NAMES:
                yield node.lineno


def test_no_engine_is_compared_by_name() -> None:
    assert in_modules(comparisons) == {}


def test_every_comparison_with_a_name_is_seen() -> None:
    seen = (
        "engine == 'vllm'\nagent.engine != 'tgi'\nengine in ('x', 'sglang')\n'ollama' == row.engine\n"
        "match engine:\n    case 'vllm' | 'tgi': pass\n"
    )
    assert sorted(set(comparisons(ast.parse(seen)))) == [1, 2, 3, 4, 6]
    unseen = "row.engine == engine\nengine in PORTS\nEnginePort(name='vllm')\nstorage == 'nvme'\n"
    assert list(comparisons(ast.parse(unseen))) == []


def test_every_engine_has_a_port_and_facts() -> None:
    assert set(SIZING_PORTS) == NAMES
    assert {row.engine for row in load_catalog().engine_facts} == NAMES
