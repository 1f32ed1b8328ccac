"""Every command that takes a file, given what is none: one message that names the file, and exit code 2."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.running import agentgpu
from tests.examples import CUSTOMER_SERVICE

SIZE = ("size", "--accelerator", "l4", "--max-model-len", 4096)


def sparse(folder: Path, name: str) -> Path:
    with (folder / name).open("wb") as file:
        file.truncate(100 * 2**20)
    return folder / name


def pipe(folder: Path, name: str) -> Path:
    os.mkfifo(folder / name)
    return folder / name


def loop(folder: Path, name: str) -> Path:
    (folder / name).symlink_to(folder / name)
    return folder / name


def pointer(folder: Path, name: str) -> Path:
    (folder / name).write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n", encoding="utf-8")
    return folder / name


COMMANDS: dict[str, Callable[[Path], tuple[object, ...]]] = {
    "config": lambda path: (*SIZE, "--model", path),
    "spec": lambda path: ("validate", path),
    "plan": lambda path: ("explain", path),
    "overlay": lambda path: ("plan", CUSTOMER_SERVICE, "--catalog", path),
    "calibrate": lambda path: ("calibrate", path, "--accelerator", "l4"),
    "questions": lambda path: ("size", "--from", path),
}


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("made", [pipe, loop])
def test_what_is_no_file_is_refused_at_once(tmp_path: Path, command: str, made: Callable[[Path, str], Path]) -> None:
    path = made(tmp_path, "given.json")
    answer = agentgpu(*COMMANDS[command](path))
    assert (answer.code, answer.out) == (2, "")
    assert answer.err.startswith(f"{path}: cannot be read: ")
    assert answer.err.count("\n") == 1


@pytest.mark.parametrize("command", [name for name in COMMANDS if name != "questions"])
def test_what_is_too_large_is_refused_before_it_is_read(tmp_path: Path, command: str) -> None:
    path = sparse(tmp_path, "given.json")
    answer = agentgpu(*COMMANDS[command](path))
    assert (answer.code, answer.out) == (2, "")
    assert answer.err.startswith(f"{path}: is larger than ")


@pytest.mark.parametrize("command", ["config", "spec", "plan", "overlay"])
def test_a_pointer_of_git_lfs_is_no_file(tmp_path: Path, command: str) -> None:
    path = pointer(tmp_path, "given.json")
    answer = agentgpu(*COMMANDS[command](path))
    assert (answer.code, answer.out) == (2, "")
    assert answer.err == f"{path}: is a pointer to a file in Git LFS, not the file (fetch it: git lfs pull)\n"


def test_a_line_that_is_too_long_is_an_error_of_its_own(tmp_path: Path) -> None:
    good = json.dumps({"model": "Qwen/Qwen3-8B", "accelerator": "l40s", "max-model-len": 4096})
    answer = agentgpu("size", "--from", "-", stdin=f"{'x' * 3_000_000}\n{good}\n")
    long, whole = map(json.loads, answer.out.splitlines())
    assert "line 1: is longer than" in long["error"]
    assert "weightsGib" in whole


@pytest.mark.parametrize(
    "figures",
    [{"completed": float("nan")}, {"total_input_tokens": float("inf")}, {"mean_ttft_ms": -1}, {"completed": 10**400}],
)
def test_a_result_without_figures_is_no_result(tmp_path: Path, figures: dict[str, float]) -> None:
    good = {"completed": 8, "total_input_tokens": 800, "total_output_tokens": 80, "mean_ttft_ms": 9, "mean_tpot_ms": 9}
    path = tmp_path / "result.json"
    path.write_text(json.dumps({**good, **figures}), encoding="utf-8")
    answer = agentgpu("calibrate", path, "--accelerator", "l4", "--model", "Qwen/Qwen3-8B")
    assert (answer.code, answer.out) == (2, "")
    assert f"{next(iter(figures))} missing, or no figure above 0" in answer.err
