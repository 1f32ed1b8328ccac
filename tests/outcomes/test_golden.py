"""What becomes of each stack, whole: spec, plan and tree, as they stand in ``golden/``.

``make golden`` writes them anew. The catalog is a frozen one, so only a change of what is decided or printed shows.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import get_args

import pytest

from agentgpu_iac.review.blocks import plain_text
from agentgpu_iac.review.plan_view import plan_view
from agentgpu_iac.spec.vocabulary import Target
from tests.outcomes.scenes import CASES, GOLDEN, HERE, STACKS, outcome, planned

UPDATE = os.environ.get("AGENTGPU_UPDATE_GOLDEN") == "1"
TABLE = HERE / "golden-table.txt"


@pytest.mark.parametrize(("stack", "target"), CASES)
def test_the_plan_and_tree_of_a_stack(stack: str, target: str) -> None:
    folder = GOLDEN / stack / target
    made = outcome(stack, target)
    if UPDATE:
        write(folder, made)
    kept = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    for path in sorted(made.keys() & kept):
        assert made[path] == kept[path].read_bytes().decode(), path
    assert sorted(made) == sorted(kept)


def test_the_table_of_a_stack() -> None:
    table = plain_text(plan_view(planned("five-agents", "eks"), "stacks/examples/five-agents.yaml"))
    if UPDATE:
        TABLE.write_text(table, encoding="utf-8")
    assert table == TABLE.read_text(encoding="utf-8")


def test_every_stack_and_target_has_goldens_and_none_is_left_over() -> None:
    assert {f"{folder.parent.name}/{folder.name}" for folder in GOLDEN.glob("*/*")} == {
        "/".join(case) for case in CASES
    }
    assert {stack for stack, _ in CASES} == set(STACKS)
    for target in get_args(Target):
        assert sum(case[1] == target for case in CASES) >= 2, target


def write(folder: Path, made: dict[str, str]) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    for path, content in made.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content.encode())
