"""Git's exit codes: no is an answer, and a repository that cannot be looked into is none."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from agentgpu_iac.errors import OutsideFailure
from agentgpu_iac.operations.git import repository_at


def git(folder: Path, *words: str) -> str:
    done = subprocess.run(
        ("git", "-c", "user.name=a", "-c", "user.email=a@b", *words), cwd=folder, check=True, capture_output=True
    )
    return done.stdout.decode().strip()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    git(tmp_path, "init", "--quiet")
    (tmp_path / "a").write_text("a")
    git(tmp_path, "add", "a")
    git(tmp_path, "commit", "--quiet", "--message", "x")
    return tmp_path


@pytest.mark.parametrize("revision", ["none", "HEAD~9", "HEAD@{9}", "@{upstream}", "deadbeef" * 5])
def test_a_revision_that_is_not_there_is_none(folder: Path, revision: str) -> None:
    assert repository_at(folder).commit_of(revision) is None


def test_a_broken_object_is_a_failure_and_not_an_absent_revision(folder: Path) -> None:
    commit = git(folder, "rev-parse", "HEAD")
    broken = folder / ".git" / "objects" / commit[:2] / commit[2:]
    broken.chmod(0o644)
    broken.write_text("bad")
    with pytest.raises(OutsideFailure, match="corrupt"):
        repository_at(folder).commit_of("HEAD")
    with pytest.raises(OutsideFailure, match="corrupt"):
        repository_at(folder).object_of("HEAD:a")


def test_a_repository_that_git_will_not_open_says_why(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a container whose user is not the owner of the checkout; Git has this switch for its own tests."""
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    with pytest.raises(OutsideFailure, match="dubious ownership"):
        repository_at(folder)
