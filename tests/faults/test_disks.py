"""Disks that are full or read-only, and many who write at once; the former by the command itself, on file systems made for it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from agentgpu_iac.plan.writing import plan_text
from agentgpu_iac.rendering.inventory import INVENTORY, STAGING, read_inventory, sha256, sha256_of
from agentgpu_iac.rendering.render import render
from agentgpu_iac.rendering.write import write
from tests.plans import make_plan

RUN = "from agentgpu_iac.cli.main import run; run()"
ROOT = Path(__file__).parents[2]


def may_mount() -> bool:
    words = ("unshare", "--mount", "mount", "-t", "tmpfs", "none", "/mnt")
    return os.getuid() == 0 and subprocess.run(words, check=False, capture_output=True).returncode == 0


mounts = pytest.mark.skipif(not may_mount(), reason="no right to mount a file system")


def shell(script: str, *words: Path) -> tuple[int, str]:
    """Run a script that may mount; what it ends with and what it says. ``agentgpu`` is the command."""
    prelude = f'agentgpu() {{ "{sys.executable}" -c "{RUN}" "$@"; }}\n'
    done = subprocess.run(
        ["unshare", "--mount", "bash", "-c", prelude + script, "bash", *map(str, words)],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    return done.returncode, done.stdout + done.stderr


@pytest.fixture
def plan(tmp_path: Path) -> Path:
    path = tmp_path / "plan.json"
    path.write_text(plan_text(make_plan()), encoding="utf-8")
    return path


@mounts
def test_a_full_disk_is_no_fault_of_the_one_who_asks_and_leaves_nothing_half(tmp_path: Path, plan: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    code, said = shell(
        'mount -t tmpfs -o size=48k none "$2"; agentgpu render "$1" -o "$2/out"; code=$?; find "$2" -type f; exit $code',
        plan,
        disk,
    )
    assert code == 3, said
    assert "No space left on device" in said
    assert STAGING not in said.partition("No space left")[2].partition("\n")[2]


@mounts
def test_nothing_to_change_in_a_read_only_tree_is_success_and_a_change_is_not(tmp_path: Path, plan: Path) -> None:
    out = tmp_path / "out"
    script = """
        agentgpu render "$1" -o "$2" && mount --bind "$2" "$2" && mount -o remount,ro,bind "$2" || exit 9
        agentgpu render "$1" -o "$2" || exit 8
        agentgpu render "$1" --check "$2" || exit 7
        sed -i 's/"8000"/"8001"/; s/20261105/20261106/' "$1"
        agentgpu render "$1" -o "$2"
    """
    code, said = shell(script, plan, out)
    assert code == 3, said
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
