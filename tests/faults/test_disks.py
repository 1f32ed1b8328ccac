"""Disks that are full or read-only, and many who write at once; the former by the command itself, on file systems made for it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest

from agentgpu_iac.plan.writing import plan_text
from agentgpu_iac.rendering.inventory import INVENTORY, read_inventory, sha256, sha256_of
from agentgpu_iac.rendering.render import render
from agentgpu_iac.rendering.write import write
from tests.plans import make_plan

_WORLD = """
    import subprocess, sys
    from pathlib import Path
    from tests.cli.running import agentgpu
    words = sys.argv[1:]
    def run(*command):
        subprocess.run(command, check=True)
"""
ROOT = Path(__file__).parents[2]


def may_mount() -> bool:
    words = ("unshare", "--mount", "mount", "-t", "tmpfs", "none", "/mnt")
    return os.getuid() == 0 and subprocess.run(words, check=False, capture_output=True).returncode == 0


MOUNTS = pytest.mark.skipif(not may_mount(), reason="no right to mount a file system")


def in_a_world_of_its_own(script: str, *words: Path) -> str:
    """What a Python script prints that may mount: it has ``agentgpu`` (the command), ``run`` (a program) and ``words``."""
    done = subprocess.run(
        ["unshare", "--mount", sys.executable, "-c", dedent(_WORLD) + dedent(script), *map(str, words)],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture
def plan(tmp_path: Path) -> Path:
    path = tmp_path / "plan.json"
    path.write_text(plan_text(make_plan()), encoding="utf-8")
    return path


@pytest.mark.optional
@MOUNTS
def test_a_full_disk_is_no_fault_of_the_one_who_asks_and_leaves_nothing_half(tmp_path: Path, plan: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    said = in_a_world_of_its_own(
        """
        plan, disk = words
        run("mount", "-t", "tmpfs", "-o", "size=48k", "none", disk)
        answer = agentgpu("render", plan, "-o", f"{disk}/out")
        print(answer.code, answer.err.strip())
        print([path for path in Path(disk).rglob("*") if path.is_file()])
        """,
        plan,
        disk,
    )
    assert said.startswith("3 ")
    assert "cannot be written: No space left on device" in said
    assert said.endswith("\n[]\n")


@pytest.mark.optional
@MOUNTS
def test_nothing_to_change_in_a_read_only_tree_is_success_and_a_change_is_not(tmp_path: Path, plan: Path) -> None:
    said = in_a_world_of_its_own(
        """
        plan, out = words
        agentgpu("render", plan, "-o", out)
        run("mount", "--bind", out, out)
        run("mount", "-o", "remount,ro,bind", out)
        print(agentgpu("render", plan, "-o", out).code, agentgpu("render", plan, "--check", out).code)
        Path(plan).write_text(Path(plan).read_text().replace("20261105", "20261106"))
        answer = agentgpu("render", plan, "-o", out)
        print(answer.code, answer.err.strip())
        """,
        plan,
        tmp_path / "out",
    )
    assert said.startswith("0 0\n3 ")
    assert "Read-only file system" in said


def test_many_who_render_into_one_folder_leave_one_tree(tmp_path: Path) -> None:
    plans = (make_plan(), make_plan(stack="other"))
    trees = tuple(render(plan) for plan in plans)
    out = tmp_path / "out"
    children = []
    for number in range(8):
        child = os.fork()
        if not child:
            try:
                for turn in range(3):
                    write(trees[(number + turn) % 2], out)
            except BaseException:
                os._exit(1)
            os._exit(0)
        children.append(child)
    assert [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children] == [0] * len(children)
    inventory = read_inventory(out)
    assert not inventory.pending
    assert any(inventory.files == {file.path: sha256(file.content) for file in tree} for tree in trees)
    assert {path: sha256_of(out / path) for path in inventory.files} == inventory.files
    assert {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()} == {
        *inventory.files,
        INVENTORY,
    }
