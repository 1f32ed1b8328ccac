"""What changes in a folder of a commit that we own, and why it may not. The rules are those of ``render -o``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from agentgpu_iac.errors import OwnershipConflict
from agentgpu_iac.inputs import MOST_TEXT_BYTES, json_of
from agentgpu_iac.operations.git import Entry, Repository
from agentgpu_iac.plan import RenderedFile
from agentgpu_iac.rendering.inventory import INVENTORY, Inventory, inventory_of, inventory_text, is_ours, sha256
from agentgpu_iac.rendering.plan_file import PLAN_FILE


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderChange:
    """A folder as it will be, where it is not so yet."""

    folder: str
    write: Mapping[str, bytes]
    delete: tuple[str, ...]
    hashes: Mapping[str, str]
    """sha256 of every file of ours as it was: what was published before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedFolder:
    """A folder of a commit: which of its files are ours, and which were edited or are somebody else's."""

    folder: str
    entries: Mapping[str, Entry]
    inventory: Inventory
    plan: bytes | None
    """The plan that was published; None: none was."""


def published_folders(repository: Repository, commit: str, into: str) -> dict[str, PublishedFolder]:
    """Every folder below the trees' own that has an inventory, by its path from the top of the repository."""
    whole = repository.tree(commit, into)
    roots = [path.rpartition("/")[0] for path in whole if path.rpartition("/")[2] == INVENTORY]
    below: dict[str, dict[str, Entry]] = {root: {} for root in roots}
    for path, entry in whole.items():
        for root in _parents(path):
            if root in below:
                below[root][path.removeprefix(f"{root}/")] = entry
                break
    wanted = [entries[name].hash for entries in below.values() for name in (INVENTORY, PLAN_FILE) if name in entries]
    contents = dict(zip(wanted, repository.contents(wanted), strict=True))
    found = {}
    for root, entries in below.items():
        folder = f"{into}/{root}" if root else into
        plan = contents[entries[PLAN_FILE].hash] if PLAN_FILE in entries else None
        source = f"{folder}/{INVENTORY}"
        raw = contents[entries[INVENTORY].hash][: MOST_TEXT_BYTES + 1]
        inventory = inventory_of(json_of(raw, source, constants=False), source)
        found[folder] = PublishedFolder(folder=folder, entries=entries, inventory=inventory, plan=plan)
    return found


def strangers(repository: Repository, commit: str, folder: str) -> dict[str, Entry]:
    """What lies in a folder that no inventory names yet."""
    return repository.tree(commit, folder)


def _parents(path: str) -> Iterator[str]:
    """The folders that a path is in, the nearest first."""
    parent = path
    while "/" in parent:
        parent = parent.rpartition("/")[0]
        yield parent


def folder_change(
    repository: Repository,
    folder: str,
    found: PublishedFolder | None,
    files: Sequence[RenderedFile],
    there: Mapping[str, Entry],
) -> FolderChange | None:
    """What makes a folder hold exactly these files of ours, beside whatever else is in it; None where it does already.

    Raises:
        OwnershipConflict: a file in the way is not ours, or was edited since; names all of them.
    """
    entries = there if found is None else found.entries
    inventory = Inventory() if found is None else found.inventory
    contents = {file.path: file.content for file in files}
    hashes = {path: sha256(content) for path, content in contents.items()}
    touched = [path for path in sorted({*contents, *inventory.paths}) if path in entries]
    present = {
        path: sha256(content)
        for path, content in zip(touched, repository.contents([entries[path].hash for path in touched]), strict=True)
    }
    conflicts = [
        *_in_the_way(entries, contents),
        *(
            f"{path}: is no file that agentgpu renders, and the inventory says that it is"
            for path in inventory.paths
            if path not in contents and not is_ours(path)
        ),
        *(
            f"{path}: {'was edited since we wrote it' if path in inventory.paths else 'is not ours'}"
            for path in touched
            if not inventory.knows(path, present[path]) and present[path] != hashes.get(path)
        ),
    ]
    if conflicts:
        raise OwnershipConflict("\n".join(f"{folder}/{conflict}" for conflict in sorted(conflicts)))
    write = {path: content for path, content in contents.items() if present.get(path) != hashes[path]}
    delete = tuple(path for path in touched if path not in contents)
    text = inventory_text(Inventory(files=hashes)).encode() if contents else None
    if not write and not delete and text is not None and INVENTORY in entries and inventory == Inventory(files=hashes):
        return None
    if text is None:
        return FolderChange(folder=folder, write={}, delete=(*delete, INVENTORY), hashes=present)
    return FolderChange(folder=folder, write={**write, INVENTORY: text}, delete=delete, hashes=present)


def _in_the_way(entries: Mapping[str, Entry], contents: Mapping[str, bytes]) -> Iterator[str]:
    """Files where a folder must be, folders where a file must be, and what is no plain file."""
    for path in contents:
        if path in entries and not entries[path].mode.startswith("100"):
            yield f"{path}: is not a plain file"
        for parent in _parents(path):
            if parent in entries:
                yield f"{path}: {parent} is not a folder"
    for path in entries:
        yield from (f"{parent}: is a folder" for parent in _parents(path) if parent in contents)
