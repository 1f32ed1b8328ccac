"""A target is one file in ``targets/``, its files and its program; nobody else asks which target it is."""

from __future__ import annotations

import ast
import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest

from agentgpu_iac.provisioning.program import PROGRAMS
from agentgpu_iac.rendering.render import _TREES
from agentgpu_iac.spec.abilities import ABILITIES
from agentgpu_iac.spec.vocabulary import Target
from agentgpu_iac.targets import TARGETS

NAMES: tuple[Target, ...] = get_args(Target)
ROOMS = (Path("agentgpu_iac"), Path("stacks"))
HOME = Path("agentgpu_iac/targets")
WITHOUT_A_PROGRAM = ("compose", "skyserve")
"""Their files are carried out by hand; ``deploy`` refuses them and says so."""


def comparisons(source: str) -> Iterator[int]:
    """Lines that ask whether a target is a certain one."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Compare):
            sides = (node.left, *node.comparators)
            if any(map(_is_a_target_s_name, sides)) or (any(map(_is_target, sides)) and any(map(_names_one, sides))):
                yield node.lineno
        elif isinstance(node, ast.Match) and (_is_a_target_s_name(node.subject) or _is_target(node.subject)):
            yield node.lineno


def _is_a_target_s_name(node: ast.expr) -> bool:
    return isinstance(node, ast.Attribute) and node.attr == "target"


def _is_target(node: ast.expr) -> bool:
    return isinstance(node, ast.Name) and node.id == "target"


def _names_one(node: ast.expr) -> bool:
    return any(isinstance(part, ast.Constant) and part.value in NAMES for part in ast.walk(node))


@pytest.mark.parametrize(
    "line",
    [
        'if spec.target == "eks": pass',
        "if plan.target != wanted: pass",
        "here = spec.target not in MACHINES",
        'if target == "compose": pass',
        'if target in ("compose", "spheron"): pass',
        'match target:\n    case "eks": pass',
    ],
)
def test_a_comparison_is_seen(line: str) -> None:
    assert list(comparisons(line)) == [1]


def test_only_targets_compare_targets() -> None:
    found = [
        f"{path}:{line}"
        for room in ROOMS
        for path in sorted(room.rglob("*.py"))
        if HOME not in path.parents
        for line in comparisons(path.read_text(encoding="utf-8"))
    ]
    assert found == []


def test_every_target_has_abilities_a_port_a_file_and_a_tree() -> None:
    assert set(ABILITIES) == set(TARGETS) == set(_TREES) == set(NAMES)
    for name, port in TARGETS.items():
        assert port.name == name
        assert port.can is ABILITIES[name]
        assert (HOME / f"{name}.py").is_file()


def test_every_target_has_a_program_or_is_refused_one() -> None:
    assert set(PROGRAMS).isdisjoint(WITHOUT_A_PROGRAM)
    assert {*PROGRAMS, *WITHOUT_A_PROGRAM} == set(NAMES)


def test_what_a_target_cannot_do_has_its_reason_and_only_that() -> None:
    for port in TARGETS.values():
        assert bool(port.why_not_over_nodes) is not port.can.spans_nodes, port.name
        assert bool(port.why_not_shared) is not port.can.shares_accelerators, port.name
        assert bool(port.why_not_scaled) is not port.can.scales_on_metrics, port.name


def test_each_ability_tells_some_targets_from_others() -> None:
    for field in dataclasses.fields(ABILITIES["eks"]):
        if field.type == "bool":
            assert {getattr(row, field.name) for row in ABILITIES.values()} == {True, False}, field.name
