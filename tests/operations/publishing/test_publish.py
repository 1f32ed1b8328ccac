"""Folders into a branch: whole or not at all, the same however often and from wherever it goes on."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from agentgpu_iac.errors import BadInput, OutsideFailure, OwnershipConflict
from agentgpu_iac.operations.git import Repository, repository_at
from agentgpu_iac.operations.publishing.branch import TRAILER, base_of, signing_in
from agentgpu_iac.operations.publishing.forge import Request
from tests.operations.publishing.scenes import BRANCH, Clone, changes, clone, git, put, tree

A, B = "clusters/a/staging", "clusters/b/staging"


@pytest.fixture
def made(tmp_path: Path) -> Clone:
    return clone(tmp_path)


class Site:
    """A site that remembers what it was told."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, str, str, str]] = []

    def request(self, branch: str, base: str, title: str, body: str) -> Request:
        asked = (branch, base, title, body)
        outcome = "as it was" if asked in self.requests else "updated" if self.requests else "opened"
        self.requests = [asked]
        return Request(number=1, address="https://example.org/1", outcome=outcome)

    def comment(self, number: int, body: str) -> str:
        raise NotImplementedError


def test_folders_go_to_a_branch_with_their_inventories(made: Clone) -> None:
    outcome = put(made, {A: tree("plan.json", "base/x.yaml"), B: tree("plan.json")})
    assert outcome.folders == (A, B)
    assert made.tip() == outcome.commit
    files = made.files()
    assert set(files) == {
        "README.md",
        *(f"{A}/{name}" for name in ("plan.json", "base/x.yaml", ".agentgpu-inventory.json")),
        *(f"{B}/{name}" for name in ("plan.json", ".agentgpu-inventory.json")),
    }
    assert set(json.loads(files[f"{A}/.agentgpu-inventory.json"])["files"]) == {"plan.json", "base/x.yaml"}
    message = git(made.remote, "log", "-1", "--format=%B", BRANCH)
    assert message.splitlines()[0] == f"Publish {A} and 1 more"
    assert message.splitlines()[-1] == TRAILER
    assert git(made.folder, "status", "--porcelain") == ""
    assert git(made.folder, "rev-parse", "--abbrev-ref", "HEAD") == "main"


def test_publishing_twice_changes_nothing(made: Clone) -> None:
    first = put(made, {A: tree("plan.json")}, site=(site := Site()))
    again = put(made, {A: tree("plan.json")}, site=site)
    assert first.commit == again.commit
    assert (first.moved, again.moved) == (True, False)
    assert first.request and again.request
    assert (first.request.outcome, again.request.outcome) == ("opened", "as it was")


def test_what_the_base_holds_is_not_published_again(made: Clone) -> None:
    put(made, {A: tree("plan.json")})
    made.merge()
    outcome = put(made, {A: tree("plan.json")})
    assert (outcome.folders, outcome.commit) == ((), None)


def test_files_that_are_no_longer_rendered_go_and_others_stay(made: Clone) -> None:
    put(made, {A: tree("plan.json", "base/old.yaml", "base/deep/old.yaml"), B: tree("plan.json")})
    made.merge()
    made.commit(f"{A}/mine.txt", "mine\n")
    put(made, {A: tree("plan.json", text="a: 2\n")})
    files = made.files()
    assert {name for name in files if name.startswith("clusters")} == {
        f"{A}/plan.json",
        f"{A}/mine.txt",
        f"{A}/.agentgpu-inventory.json",
    }
    assert files[f"{A}/plan.json"].startswith("a: 2")


def test_a_folder_that_is_kept_stays(made: Clone) -> None:
    put(made, {A: tree("plan.json"), B: tree("plan.json")})
    made.merge()
    (change,) = changes(made, {A: tree("plan.json", text="a: 2\n")}, kept=(B,))
    assert change.folder == A


def test_foreign_and_edited_files_are_all_named_and_nothing_is_published(made: Clone) -> None:
    put(made, {A: tree("plan.json", "x.yaml")})
    made.merge()
    made.commit(f"{A}/x.yaml", "edited\n")
    made.commit(f"{B}/plan.json", "not ours\n")
    before = made.tip()
    with pytest.raises(OwnershipConflict) as conflict:
        put(made, {A: tree("plan.json", "x.yaml", text="a: 2\n"), B: tree("plan.json")})
    assert str(conflict.value).splitlines() == [
        f"{A}/x.yaml: was edited since we wrote it",
        f"{B}/plan.json: is not ours",
        "nothing was published: take them out of the folder, or undo the edit, on the base branch",
    ]
    assert conflict.value.exit_code == 2
    assert made.tip() == before


@pytest.mark.parametrize(
    ("path", "text"), [("base", "a file where a folder must be"), ("plan.json/x", "a folder where a file must be")]
)
def test_what_stands_in_the_way(made: Clone, path: str, text: str) -> None:
    made.commit(f"{A}/{path}", text)
    with pytest.raises(OwnershipConflict, match=r"is not a folder|is a folder"):
        put(made, {A: tree("plan.json", "base/x.yaml")})


STEPS = ("commit", "push", "branch", "request")


class Killed(BaseException):
    """The process ends here."""


@pytest.mark.broad(every=3)
@pytest.mark.parametrize("at", STEPS)
def test_killed_at_any_step_and_run_again_it_is_the_same(made: Clone, tmp_path: Path, at: str) -> None:
    wanted = {A: tree("plan.json", "x.yaml"), B: tree("plan.json")}
    site = Site()

    def dies(step: str) -> None:
        if step == at:
            raise Killed

    with pytest.raises(Killed):
        put(made, wanted, site=site, step=dies)
    outcome = put(made, wanted, site=site)
    (tmp_path / "whole").mkdir()
    whole = clone(tmp_path / "whole")
    put(whole, wanted, site=Site())
    assert made.files() == whole.files()
    assert made.tip() == outcome.commit == git(made.folder, "rev-parse", BRANCH)
    assert len(site.requests) == 1
    assert git(made.folder, "for-each-ref", "refs/agentgpu") == ""


def test_a_newer_base_gives_a_branch_that_starts_from_it(made: Clone) -> None:
    first = put(made, {A: tree("plan.json")})
    made.commit("other.txt", "x\n")
    second = put(made, {A: tree("plan.json")})
    assert second.moved and second.commit != first.commit
    assert git(made.remote, "rev-parse", f"{BRANCH}^") == git(made.remote, "rev-parse", "main")


def test_commits_of_others_on_the_branch_are_not_thrown_away(made: Clone) -> None:
    put(made, {A: tree("plan.json")})
    git(made.folder, "fetch", "-q", "origin", BRANCH)
    git(made.folder, "checkout", "-q", "-B", "theirs", "FETCH_HEAD")
    (made.folder / "note.txt").write_text("x\n")
    git(made.folder, "add", "-A")
    git(made.folder, "commit", "-q", "-m", "theirs")
    git(made.folder, "push", "-q", "origin", f"theirs:{BRANCH}")
    git(made.folder, "checkout", "-q", "main")
    before = made.tip()
    with pytest.raises(OwnershipConflict, match="holds commits that agentgpu did not make"):
        put(made, {A: tree("plan.json", text="a: 2\n")})
    assert made.tip() == before


def test_a_branch_that_is_checked_out_is_left_alone(made: Clone) -> None:
    put(made, {A: tree("plan.json")})
    git(made.folder, "checkout", "-q", BRANCH)
    with pytest.raises(OwnershipConflict, match="is checked out here"):
        put(made, {A: tree("plan.json", text="a: 2\n")})


def test_a_protected_branch_is_one_sentence_and_nothing_moves_here(made: Clone) -> None:
    hook = made.remote / "hooks" / "pre-receive"
    hook.write_text("#!/bin/sh\necho 'GH006: Protected branch update failed for refs/heads/x.' >&2\nexit 1\n")
    hook.chmod(0o755)
    with pytest.raises(OutsideFailure, match="the remote 'origin' protects the branch 'agentgpu/publish'") as refusal:
        put(made, {A: tree("plan.json")})
    assert refusal.value.exit_code == 3
    assert "\n" not in str(refusal.value)
    assert git(made.folder, "branch", "--list", BRANCH) == ""


def test_a_remote_that_does_not_answer(made: Clone) -> None:
    git(made.folder, "remote", "set-url", "origin", "https://127.0.0.1:1/x.git")
    with pytest.raises(OutsideFailure, match="the remote 'origin' does not give its branch 'main'") as refusal:
        base_of(made.repository, "origin", "main")
    assert "\n" not in str(refusal.value)


def test_a_base_that_is_none(made: Clone) -> None:
    with pytest.raises(BadInput, match="is no branch of the remote 'origin'"):
        base_of(made.repository, "origin", "nope")
    with pytest.raises(BadInput, match="is no branch of this repository"):
        base_of(made.repository, "", "nope")


def test_without_a_remote_the_branch_stays_here(made: Clone) -> None:
    git(made.folder, "remote", "remove", "origin")
    outcome = put(made, {A: tree("plan.json")})
    assert git(made.folder, "rev-parse", BRANCH) == outcome.commit


def test_a_folder_outside_of_a_repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    with pytest.raises(BadInput, match="is in no Git repository"):
        repository_at(tmp_path)


def test_a_token_is_in_no_word_and_no_message(made: Clone) -> None:
    token = "ghp_" + "a1" * 18
    secrets = signing_in("https://github.com/acme/x.git", "x-access-token", token)
    assert secrets["GIT_CONFIG_KEY_0"] == "http.https://github.com/.extraHeader"
    assert token not in repr(Repository(root=made.folder, secrets=secrets))
    assert signing_in("git@github.com:acme/x.git", "x-access-token", token) == {}
    put(made, {A: tree("plan.json")})
    assert token not in git(made.folder, "config", "--list")


def test_names_that_begin_like_options_are_no_revisions(made: Clone) -> None:
    assert made.repository.commit_of("--all") is None
    assert made.repository.object_of("--output=x:y") is None
