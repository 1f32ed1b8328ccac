from __future__ import annotations

import json
from pathlib import Path

import pytest

from agentgpu_iac.errors import BadInput, OwnershipConflict
from agentgpu_iac.plan import RenderedFile
from agentgpu_iac.rendering import write as module
from agentgpu_iac.rendering.inventory import INVENTORY, STAGING
from agentgpu_iac.rendering.write import WriteReport, is_somebody_elses, write


def files(**contents: str) -> tuple[RenderedFile, ...]:
    """Files by name; two underscores stand for a slash."""
    return tuple(RenderedFile(path=name.replace("__", "/"), content=text.encode()) for name, text in contents.items())


@pytest.fixture(autouse=True)
def ours(monkeypatch: pytest.MonkeyPatch) -> None:
    """Names of these tests are short; ``tests/faults`` holds what is deleted where names are those that are rendered."""
    monkeypatch.setattr(module, "is_ours", lambda _: True)


def on_disk(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): path.read_text()
        for path in folder.rglob("*")
        if path.is_file() and path.name != INVENTORY
    }


def report(written: int = 0, unchanged: int = 0, deleted: int = 0) -> WriteReport:
    return WriteReport(written=written, unchanged=unchanged, deleted=deleted)


def test_a_folder_is_made_kept_and_cleaned(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "out"
    assert write(files(a="1", b__c="2"), folder) == report(written=2)
    assert write(files(a="1", b__c="2"), folder) == report(unchanged=2)
    assert write(files(a="3"), folder) == report(written=1, deleted=1)
    assert on_disk(folder) == {"a": "3"}
    assert not (folder / "b").exists()
    assert not (folder / STAGING).exists()


def test_the_inventory_lists_what_is_there(tmp_path: Path) -> None:
    write(files(b="2", a="1"), tmp_path)
    inventory = json.loads((tmp_path / INVENTORY).read_text())
    assert list(inventory) == ["files"]
    assert list(inventory["files"]) == ["a", "b"]


def test_strangers_are_neither_overwritten_nor_deleted(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("mine")
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "mine").write_text("mine")
    with pytest.raises(OwnershipConflict, match=r"^a: is not ours\nTo keep such a file, name another folder"):
        write(files(a="1", c="2"), tmp_path)
    assert on_disk(tmp_path) == {"a": "mine", "b/mine": "mine"}
    write(files(b__ours="1"), tmp_path)
    write(files(), tmp_path)
    assert on_disk(tmp_path) == {"a": "mine", "b/mine": "mine"}


def test_every_conflict_is_listed_and_nothing_changes(tmp_path: Path) -> None:
    write(files(a="1", b="1", c="1", d="1"), tmp_path)
    (tmp_path / "a").write_text("edited")
    (tmp_path / "b").write_text("edited")
    (tmp_path / "e").write_text("mine")
    before = on_disk(tmp_path), (tmp_path / INVENTORY).read_text()
    with pytest.raises(OwnershipConflict) as caught:
        write(files(a="2", c="2", e="2"), tmp_path)
    *reasons, keep_edit, keep_file = str(caught.value).splitlines()
    assert reasons == ["a: was edited since we wrote it", "b: was edited since we wrote it", "e: is not ours"]
    assert all("--force overwrites it." in way for way in (keep_edit, keep_file))
    assert "in the agent stack, or in a Kustomize overlay of yours" in keep_edit
    assert (on_disk(tmp_path), (tmp_path / INVENTORY).read_text()) == before


def test_force_replaces_edited_files_and_strangers(tmp_path: Path) -> None:
    write(files(a="1", b="1"), tmp_path)
    (tmp_path / "a").write_text("edited")
    (tmp_path / "b").write_text("edited")
    (tmp_path / "c").write_text("mine")
    assert write(files(a="2", c="2"), tmp_path, force=True) == report(written=2, deleted=1)
    assert on_disk(tmp_path) == {"a": "2", "c": "2"}


def test_a_file_that_was_removed_comes_back(tmp_path: Path) -> None:
    write(files(a="1", b="1"), tmp_path)
    (tmp_path / "a").unlink()
    (tmp_path / "b").unlink()
    assert write(files(a="1"), tmp_path) == report(written=1)


def test_a_stranger_with_our_content_becomes_ours(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("1")
    assert write(files(a="1"), tmp_path) == report(unchanged=1)
    assert write(files(a="2"), tmp_path) == report(written=1)


@pytest.mark.parametrize("force", [False, True])
def test_links_are_never_followed(tmp_path: Path, force: bool) -> None:
    outside, folder = tmp_path / "outside", tmp_path / "out"
    outside.mkdir()
    folder.mkdir()
    (outside / "file").write_text("theirs")
    (folder / "link").symlink_to(outside)
    (folder / "file").symlink_to(outside / "file")
    (folder / "dangling").symlink_to(outside / "nothing")
    with pytest.raises(OwnershipConflict) as caught:
        write(files(link__file="1", file="1", dangling="1"), folder, force=force)
    assert str(caught.value).splitlines() == [
        "dangling: is a symbolic link",
        "file: is a symbolic link",
        "link/file: link is a symbolic link",
    ]
    assert on_disk(outside) == {"file": "theirs"}


def test_a_folder_that_became_a_link_is_not_cleaned(tmp_path: Path) -> None:
    outside, folder = tmp_path / "outside", tmp_path / "out"
    write(files(b__c="1"), folder)
    (folder / "b").rename(outside)
    (folder / "b").symlink_to(outside)
    with pytest.raises(OwnershipConflict, match="symbolic link"):
        write(files(), folder, force=True)
    assert (outside / "c").read_text() == "1"


@pytest.mark.parametrize("name", [INVENTORY, STAGING])
def test_our_own_names_must_be_ours(tmp_path: Path, name: str) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / name).symlink_to(tmp_path / "elsewhere")
    with pytest.raises((OwnershipConflict, BadInput)):
        write(files(a="1"), tmp_path, force=True)


def test_the_output_folder_itself_may_be_a_link(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    write(files(a="1"), tmp_path / "link")
    assert on_disk(tmp_path / "real") == {"a": "1"}


@pytest.mark.parametrize("force", [False, True])
def test_folders_and_files_do_not_replace_each_other(tmp_path: Path, force: bool) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").write_text("1")
    with pytest.raises(OwnershipConflict) as caught:
        write(files(a="1", b__c="1"), tmp_path, force=force)
    assert str(caught.value).splitlines() == ["a: is not a plain file", "b/c: b is not a folder"]


@pytest.mark.parametrize("path", ["../a", "/a", "a/../../b", "", ".", "a//b", "./a", INVENTORY, f"{STAGING}/a", "a\\b"])
def test_paths_that_leave_the_folder_are_refused(tmp_path: Path, path: str) -> None:
    with pytest.raises(BadInput, match="leaves the output folder"):
        write([RenderedFile(path=path, content=b"")], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_path_is_written_once(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="more than once"):
        write([*files(a="1"), *files(a="2")], tmp_path)


@pytest.mark.parametrize(
    "text", ['{"files": {"../a": "0"}}', "[]", "{", '{"files": []}', '{"pending": {"/etc/passwd": "0"}}']
)
def test_a_broken_inventory_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / INVENTORY).write_text(text)
    with pytest.raises(BadInput):
        write(files(a="1"), tmp_path, force=True)
    assert on_disk(tmp_path) == {}


class Interrupted(BaseException):
    """The process is killed here."""


def interrupt(monkeypatch: pytest.MonkeyPatch, after: int) -> None:
    """Kill the next write in the middle: after so many files have taken their places."""
    real = module._move

    def partly(folder: Path, staging: Path, changes: module._Changes) -> None:
        some = dict(list(changes.write.items())[:after])
        real(folder, staging, module._Changes(write=some, keep=frozenset(), delete=frozenset(), hashes={}))
        raise Interrupted

    monkeypatch.setattr(module, "_move", partly)


@pytest.mark.parametrize("after", [0, 1, 2])
def test_an_interrupted_write_is_finished_by_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    write(files(a="1", b="1", c="1"), tmp_path)
    with monkeypatch.context() as patch:
        interrupt(patch, after)
        with pytest.raises(Interrupted):
            write(files(a="2", b="2", d="2"), tmp_path)
    assert set(on_disk(tmp_path).values()) <= {"1", "2"}
    write(files(a="3", e="3"), tmp_path)
    assert on_disk(tmp_path) == {"a": "3", "e": "3"}


def test_two_interruptions_in_a_row_lose_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for text in ("1", "2"):
        with monkeypatch.context() as patch:
            interrupt(patch, 1)
            with pytest.raises(Interrupted):
                write(files(**{f"a{text}": text, "z": text}), tmp_path)
    assert write(files(b="3"), tmp_path).deleted == 2
    assert on_disk(tmp_path) == {"b": "3"}


def test_a_full_disk_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(files(a="1"), tmp_path)

    def full(*_: object) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(module, "_stage", full)
    with pytest.raises(OSError, match="no space"):
        write(files(a="2"), tmp_path)
    assert on_disk(tmp_path) == {"a": "1"}
    assert not (tmp_path / STAGING).exists()


def test_leftovers_of_a_killed_write_are_removed(tmp_path: Path) -> None:
    (tmp_path / STAGING).mkdir()
    (tmp_path / STAGING / "a").write_text("half")
    write(files(a="1"), tmp_path)
    assert on_disk(tmp_path) == {"a": "1"}


def test_a_folder_is_somebody_elses_until_we_have_written_there(tmp_path: Path) -> None:
    assert not is_somebody_elses(tmp_path / "new")
    assert not is_somebody_elses(tmp_path)
    (tmp_path / "mine").write_text("mine")
    assert is_somebody_elses(tmp_path)
    write(files(a="1"), tmp_path)
    assert not is_somebody_elses(tmp_path)
