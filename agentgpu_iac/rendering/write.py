"""Put rendered files into a folder that we own, file by file, without touching what is not ours.

Everything is checked before anything changes. New files are made in a staging folder first and then take their
places by rename; the inventory is written before (with what is about to happen) and after (with what is there). So a
write that is interrupted leaves only whole files, all of them known to be ours, and the next one finishes the job.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

from agentgpu_iac.errors import BadInput, Fault, OwnershipConflict
from agentgpu_iac.plan import RenderedFile
from agentgpu_iac.rendering.inventory import (
    INVENTORY,
    STAGING,
    Inventory,
    inventory_text,
    is_inside,
    is_ours,
    read_inventory,
    sha256,
    sha256_of,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteReport:
    """How many files were written, left as they were, and deleted."""

    written: int
    unchanged: int
    deleted: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Changes:
    """What a write will do, decided and checked."""

    write: Mapping[str, bytes]
    keep: frozenset[str]
    delete: frozenset[str]
    hashes: Mapping[str, str]
    """Of every file as it will be."""


def write(files: Iterable[RenderedFile], directory: Path, *, force: bool = False) -> WriteReport:
    """Make a folder hold exactly these files of ours, beside whatever else is in it.

    A file that we wrote before and no longer render is deleted. Raises OwnershipConflict, naming every file
    concerned and changing none, where a file in the way is not ours or was edited since; ``force`` replaces those.
    Nothing is ever written or deleted through a symbolic link, and nothing is touched where nothing changes. Two who write
    into one folder do so one after the other.
    """
    contents = _contents(files)
    folder = directory.resolve()
    if contents:
        folder.mkdir(parents=True, exist_ok=True)
    with _alone(folder):
        inventory = read_inventory(folder)
        conflicts = _conflicts(folder, inventory, contents, force=force)
        if conflicts:
            raise OwnershipConflict("\n".join((*conflicts, *_ways_out(conflicts))))
        changes = _changes(folder, inventory, contents)
        if changes.write or changes.delete or inventory != Inventory(files=changes.hashes):
            _apply(folder, inventory, changes)
    return WriteReport(written=len(changes.write), unchanged=len(changes.keep), deleted=len(changes.delete))


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Whoever else writes into the folder waits, or is waited for. The lock ends with its process, and leaves no file."""
    if not folder.is_dir():
        yield
        return
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


_EDITED: Final = "was edited since we wrote it"
_FOREIGN: Final = "is not ours"
_NEVER_OURS: Final = "is no file that agentgpu renders, and the inventory says that it is"


def _ways_out(conflicts: Iterable[str]) -> Iterator[str]:
    """What somebody can do whose folder is not written into."""
    reasons = {conflict.rpartition(": ")[2] for conflict in conflicts}
    if _EDITED in reasons:
        yield (
            "To keep an edit, say it in the agent stack, or in a Kustomize overlay of yours beside these files, and put the "
            "file back; --force overwrites it."
        )
    if _NEVER_OURS in reasons:
        yield f"Somebody has changed {INVENTORY}: put it back as it was committed."
    if _FOREIGN in reasons:
        yield "To keep such a file, name another folder, or move it away; --force overwrites it."


def is_somebody_elses(directory: Path) -> bool:
    """Whether a folder holds something, and nothing that says that we ever wrote there."""
    folder = directory.resolve()
    if not folder.is_dir() or (folder / INVENTORY).exists():
        return False
    return any(each.name != STAGING for each in folder.iterdir())


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderDifference:
    """What a write would do to a folder, path by path."""

    added: tuple[str, ...]
    changed: tuple[str, ...]
    deleted: tuple[str, ...]
    refused: tuple[str, ...]
    """Why it would not be done without ``force``: files that are not ours or were edited, a path and its reason each."""

    @property
    def is_empty(self) -> bool:
        """The folder holds exactly what would be written."""
        return not (self.added or self.changed or self.deleted or self.refused)


def difference(files: Iterable[RenderedFile], directory: Path) -> FolderDifference:
    """What ``write`` would do. Nothing is written."""
    contents = _contents(files)
    folder = directory.resolve()
    inventory = read_inventory(folder)
    changes = _changes(folder, inventory, contents)
    there = {path for path in changes.write if (folder / path).exists()}
    return FolderDifference(
        added=tuple(path for path in changes.write if path not in there),
        changed=tuple(path for path in changes.write if path in there),
        deleted=tuple(sorted(changes.delete)),
        refused=tuple(_conflicts(folder, inventory, contents, force=False)),
    )


def _contents(files: Iterable[RenderedFile]) -> dict[str, bytes]:
    """Contents by path. Raises BadInput for paths that leave the folder or that two files share."""
    given = tuple(files)
    times = Counter(file.path for file in given)
    faults = [Fault(source=path, message="leaves the output folder") for path in times if not is_inside(path)]
    faults += [Fault(source=path, message="is rendered more than once") for path in times if times[path] > 1]
    if faults:
        raise BadInput(faults)
    return {file.path: file.content for file in given}


def _conflicts(folder: Path, inventory: Inventory, contents: Mapping[str, bytes], *, force: bool) -> list[str]:
    """Every reason not to touch the folder, in the order of the paths."""
    reserved = [f"{name}: is not a plain {kind}" for name, kind in _reserved(folder)]
    found = {
        path: _forged(path, contents)
        or _obstacle(folder, path)
        or ("" if force else _claim(folder, path, inventory, contents))
        for path in inventory.paths | set(contents)
    }
    return reserved + [f"{path}: {reason}" for path, reason in sorted(found.items()) if reason]


def _reserved(folder: Path) -> list[tuple[str, str]]:
    """Names that we keep for ourselves and that something else occupies."""
    inventory, staging = folder / INVENTORY, folder / STAGING
    found = []
    if inventory.is_symlink() or (inventory.exists() and not inventory.is_file()):
        found.append((INVENTORY, "file"))
    if staging.is_symlink() or (staging.exists() and not staging.is_dir()):
        found.append((STAGING, "folder"))
    return found


def _forged(path: str, contents: Mapping[str, bytes]) -> str:
    """Why a path that an inventory names is not believed to be ours; nothing where it may be."""
    return "" if path in contents or is_ours(path) else _NEVER_OURS


def _obstacle(folder: Path, path: str) -> str:
    """What stands at a path, or on the way to it, that no file can replace; nothing where the way is free."""
    for parent in reversed(PurePosixPath(path).parents[:-1]):
        if (folder / parent).is_symlink():
            return f"{parent} is a symbolic link"
        if (folder / parent).exists() and not (folder / parent).is_dir():
            return f"{parent} is not a folder"
    place = folder / path
    if place.is_symlink():
        return "is a symbolic link"
    return "is not a plain file" if place.exists() and not place.is_file() else ""


def _claim(folder: Path, path: str, inventory: Inventory, contents: Mapping[str, bytes]) -> str:
    """Who else may have a claim to the file at a path; nothing where it is ours, or is what we would write."""
    place = folder / path
    if not place.exists():
        return ""
    present = sha256_of(place)
    if inventory.knows(path, present) or (path in contents and present == sha256(contents[path])):
        return ""
    return _EDITED if path in inventory.paths else _FOREIGN


def _changes(folder: Path, inventory: Inventory, contents: Mapping[str, bytes]) -> _Changes:
    keep = frozenset(path for path, content in contents.items() if _holds(folder / path, content))
    gone = inventory.paths - set(contents)
    return _Changes(
        write={path: content for path, content in sorted(contents.items()) if path not in keep},
        keep=keep,
        delete=frozenset(path for path in gone if (folder / path).is_file()),
        hashes={path: sha256(content) for path, content in contents.items()},
    )


def _holds(place: Path, content: bytes) -> bool:
    return place.is_file() and sha256_of(place) == sha256(content)


def _apply(folder: Path, inventory: Inventory, changes: _Changes) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    staging = folder / STAGING
    if staging.exists():
        shutil.rmtree(staging)
    try:
        _stage(staging, changes)
        _write_inventory(folder, staging, Inventory(files=inventory.files, pending=_pending(inventory, changes)))
        _move(folder, staging, changes)
        _write_inventory(folder, staging, Inventory(files=changes.hashes))
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _pending(inventory: Inventory, changes: _Changes) -> dict[str, str]:
    """What becomes ours, and what an earlier write that was interrupted has left behind."""
    return {**inventory.pending, **changes.hashes}


def _stage(staging: Path, changes: _Changes) -> None:
    staging.mkdir()
    for path, content in changes.write.items():
        draft = staging / path
        draft.parent.mkdir(parents=True, exist_ok=True)
        draft.write_bytes(content)


def _write_inventory(folder: Path, staging: Path, inventory: Inventory) -> None:
    draft = staging / INVENTORY
    draft.write_text(inventory_text(inventory), encoding="utf-8")
    draft.replace(folder / INVENTORY)


def _move(folder: Path, staging: Path, changes: _Changes) -> None:
    for path in changes.write:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (staging / path).replace(folder / path)
    for path in changes.delete:
        (folder / path).unlink()
        _remove_empty_parents(folder, path)


def _remove_empty_parents(folder: Path, path: str) -> None:
    for parent in PurePosixPath(path).parents[:-1]:
        if any((folder / parent).iterdir()):
            return
        (folder / parent).rmdir()
