"""Killed before any file operation whatever: nothing is lost, nothing is half, and the next run finishes the job."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import pytest

from agentgpu_iac.cli.files import write_new, write_whole
from agentgpu_iac.cli.stacks import new_files
from agentgpu_iac.errors import BadInput, OwnershipConflict
from agentgpu_iac.plan import RenderedFile
from agentgpu_iac.rendering.inventory import INVENTORY, STAGING, read_inventory, sha256
from agentgpu_iac.rendering.write import difference, write
from tests.faults.killing import KILLED, killed_at

MOST = 200
"""More operations than any of these has."""


def files(version: str, *names: str) -> tuple[RenderedFile, ...]:
    return tuple(RenderedFile(path=name, content=f"{name} {version}".encode()) for name in names)


BEFORE = files("1", "base/a.yaml", "base/deep/b.yaml", "hosts/gone/c.yaml", "plan.json")
AFTER = files("2", "base/a.yaml", "base/deep/b.yaml", "monitoring/new.yaml", "plan.json")


def on_disk(folder: Path) -> dict[str, bytes]:
    found = (path for path in folder.rglob("*") if path.is_file() and STAGING not in path.parts)
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}


def test_a_render_is_killed_at_each_of_its_file_operations(tmp_path: Path) -> None:
    before, after = ({file.path: file.content for file in given} for given in (BEFORE, AFTER))
    for number in range(MOST):
        folder = tmp_path / str(number)
        write(BEFORE, folder)
        (folder / "base" / "mine.txt").write_text("mine")
        ended = killed_at(number, lambda folder=folder: write(AFTER, folder))  # type: ignore[misc]
        left = on_disk(folder)
        assert left.pop("base/mine.txt") == b"mine"
        assert left.pop(INVENTORY)
        for path, content in left.items():
            assert content in (before.get(path), after.get(path)), f"{path} is half after operation {number}"
        assert {"base/a.yaml", "base/deep/b.yaml", "plan.json"} <= set(left)
        assert set(left) <= read_inventory(folder).paths
        write(AFTER, folder)
        assert {path: content for path, content in on_disk(folder).items() if path in after} == after
        assert difference(AFTER, folder).is_empty
        if not ended:
            break
        assert ended == KILLED
    assert 10 < number < MOST - 1, "it has operations, and all were tried"


def test_a_saved_plan_is_whole_whenever_its_writer_is_killed(tmp_path: Path) -> None:
    for number in range(MOST):
        path = tmp_path / f"{number}.json"
        path.write_text("before")
        path.chmod(0o640)
        ended = killed_at(number, lambda path=path: write_whole(path, "after" * 1000))  # type: ignore[misc]
        assert path.read_text() in ("before", "after" * 1000)
        assert path.stat().st_mode & 0o777 == 0o640
        if not ended:
            assert path.read_text() == "after" * 1000
            break
        assert ended == KILLED
    assert 1 < number < MOST - 1


def test_a_new_file_is_whole_or_not_there_whenever_its_writer_is_killed(tmp_path: Path) -> None:
    for number in range(MOST):
        path = tmp_path / f"{number}.yaml"
        ended = killed_at(number, lambda path=path: write_new(path, "new" * 1000))  # type: ignore[misc]
        assert not path.exists() or path.read_text() == "new" * 1000
        if not ended:
            assert path.exists()
            break
        assert ended == KILLED
    assert 1 < number < MOST - 1


@pytest.mark.parametrize("links", [True, False])
def test_a_new_file_replaces_none_and_leaves_nothing_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, links: bool
) -> None:
    if not links:
        monkeypatch.setattr(os, "link", no_links)
    path = tmp_path / "a.yaml"
    write_new(path, "first")
    with pytest.raises(BadInput, match=r"a\.yaml: cannot be written: File exists"):
        write_new(path, "second")
    assert {each.name: each.read_text() for each in tmp_path.iterdir()} == {"a.yaml": "first"}
    with pytest.raises(BadInput, match=r"gone/a\.yaml: cannot be written: No such file"):
        write_new(tmp_path / "gone" / "a.yaml", "third")


def no_links(*_: object, **__: object) -> None:
    raise OSError(errno.EPERM, "Operation not permitted")


def test_of_new_files_all_are_written_or_none(tmp_path: Path) -> None:
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "deep").write_text("theirs")
    wanted = {tmp_path / "a.yaml": "a", tmp_path / "taken" / "deep" / "b.yaml": "b"}
    with pytest.raises(BadInput, match="cannot be written"):
        new_files(wanted)
    assert on_disk(tmp_path) == {"taken/deep": b"theirs"}


@pytest.mark.parametrize("path", [".git/config", ".git/hooks/pre-commit", "base/.GIT/config", ".git./x", "git~1/x"])
def test_an_inventory_names_nothing_of_git_s(tmp_path: Path, path: str) -> None:
    write(BEFORE, tmp_path)
    theirs = tmp_path / path
    theirs.parent.mkdir(parents=True)
    theirs.write_bytes(b"theirs")
    forge(tmp_path, path)
    with pytest.raises(Exception, match="names files outside the folder"):
        write(AFTER, tmp_path, force=True)
    assert theirs.read_bytes() == b"theirs"


@pytest.mark.parametrize("path", ["README.md", "src/main.py", "important", "plan.json.bak", "based/x"])
def test_a_forged_inventory_deletes_nothing_that_is_never_rendered(tmp_path: Path, path: str) -> None:
    write(BEFORE, tmp_path)
    theirs = tmp_path / path
    theirs.parent.mkdir(parents=True, exist_ok=True)
    theirs.write_bytes(b"theirs")
    forge(tmp_path, path)
    before = on_disk(tmp_path)
    with pytest.raises(
        OwnershipConflict, match=r"is no file that agentgpu renders[\s\S]*put it back as it was committed"
    ):
        write(AFTER, tmp_path, force=True)
    assert on_disk(tmp_path) == before


def forge(folder: Path, path: str) -> None:
    """Have the inventory say that a file is ours, with its right digest."""
    inventory = json.loads((folder / INVENTORY).read_text())
    inventory["files"][path] = sha256(b"theirs")
    (folder / INVENTORY).write_text(json.dumps(inventory))
