"""``agentgpu diff`` takes stacks, plans, rendered folders, and any of them as Git has it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.cli.running import SMALL, agentgpu


def git(*words: str) -> str:
    identity = ("-c", "user.name=a", "-c", "user.email=a@example.org")
    return subprocess.run(["git", *identity, *words], check=True, capture_output=True, text=True).stdout


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A stack and its folder in one commit, and another stack in the next."""
    folder = tmp_path_factory.mktemp("repository")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        git("init", "-q", "-b", "main")
        Path("stacks").mkdir()
        Path("stacks/a.yaml").write_text(SMALL)
        assert agentgpu("render", "stacks/a.yaml", "-o", "out").code == 0
        git("add", "-A")
        git("commit", "-q", "-m", "first")
        Path("stacks/a.yaml").write_text(SMALL + "      role: '@acme # [x](y)'\n")
        git("commit", "-q", "-a", "-m", "second")
    return folder


@pytest.fixture(autouse=True)
def there(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(repository)


def test_a_revision_against_the_file() -> None:
    answer = agentgpu("diff", "HEAD~1:stacks/a.yaml", "stacks/a.yaml", "-f", "json")
    assert (answer.code, answer.err) == (0, "")
    assert [cause["what"] for cause in answer.data["causes"]] == ["spec.agents[support].role"]
    assert ("role", "none") in {(each["field"], each["before"]) for each in answer.data["changes"]}


def test_a_folder_against_a_revision_of_it_and_against_its_stack() -> None:
    assert agentgpu("diff", "out", "HEAD~1:out", "--exit-code").code == 0
    assert agentgpu("diff", "HEAD~1:stacks/a.yaml", "out", "--exit-code").code == 0


def test_a_file_that_was_edited_in_a_folder_is_a_difference() -> None:
    path = next(Path("out/base").glob("deployment*.yaml"))
    text = path.read_text()
    path.write_text(f"{text}# mine\n")
    try:
        answer = agentgpu("diff", "HEAD:out", "out", "--exit-code", "-f", "json")
        assert answer.code == 1
        assert answer.data["files"]["changed"] == [path.relative_to("out").as_posix()]
    finally:
        path.write_text(text)


@pytest.mark.parametrize(
    ("side", "message"),
    [
        ("nope:stacks/a.yaml", "is no file, and 'nope' is no revision of this Git repository"),
        ("HEAD:stacks/nope.yaml", "is not in 'HEAD'"),
        ("--output=x:stacks/a.yaml", "No such option"),
        ("HEAD:stacks", "is no folder that agentgpu rendered: it holds no plan.json"),
        ("stacks", "is no folder that agentgpu rendered: it holds no plan.json"),
    ],
)
def test_sides_that_are_none(side: str, message: str) -> None:
    answer = agentgpu("diff", side, "out")
    assert answer.code == 2
    assert message in answer.err


def test_outside_of_a_repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    answer = agentgpu("diff", "HEAD:a", "HEAD:b")
    assert (answer.code, answer.err) == (2, ".: is in no Git repository (run git init, or name a folder of a clone)\n")
