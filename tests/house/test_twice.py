"""What fails beside others is run again, and decides then."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = Path(__file__).parents[2] / "tools/twice.py"
CASES = """\
from pathlib import Path

def test_of_the_first_run():
    seen = Path(__file__).with_name("seen")
    was_there = seen.exists()
    seen.touch()
    assert was_there

def test_that_passes(): pass
"""


def run(folder: Path, text: str) -> subprocess.CompletedProcess[str]:
    (folder / "pytest.ini").write_text("[pytest]\naddopts = -q\n")
    (folder / "test_it.py").write_text(text)
    command = [sys.executable, PROGRAM, "-n1", "--dist", "loadfile", "test_it.py"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, check=False)


def test_what_passes_alone_passes_and_is_named(tmp_path: Path) -> None:
    done = run(tmp_path, CASES)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 failed, 1 passed" in done.stdout
    assert "1 passed, 1 deselected" in done.stdout
    assert done.stdout.endswith("passed alone, not beside others:\n   test_it.py::test_of_the_first_run\n")


@pytest.mark.broad(every=3)
@pytest.mark.parametrize(
    ("text", "status"),
    [(CASES.replace("assert was_there", "assert False"), 1), ("import nothing_of_this_name\n", 2), ("", 5)],
    ids=["fails-alone-too", "not-collected", "no-tests"],
)
def test_what_fails_twice_or_does_not_run_fails(tmp_path: Path, text: str, status: int) -> None:
    done = run(tmp_path, text)
    assert done.returncode == status, done.stdout + done.stderr
    assert "passed alone" not in done.stdout
