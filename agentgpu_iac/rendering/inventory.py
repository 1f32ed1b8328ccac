"""The inventory of an output folder: which files we wrote there, and what was in them.

It says which files may be replaced or deleted. It is a file in the folder itself, so that it is committed with them.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Final

from agentgpu_iac.errors import BadInput
from agentgpu_iac.inputs import MOST_TEXT_BYTES, json_of, opened, read_file

INVENTORY = ".agentgpu-inventory.json"
STAGING = ".agentgpu-staging"
"""Folder in which new files are made before they take their places."""
OUR_FOLDERS: Final = frozenset(
    {
        *("base", "callers", "device-plugin", "gateway", "gitops", "groups", "helm-values", "hosts", "karpenter"),
        *("monitoring", "overlays", "scaling", "secrets", "skyserve"),
    }
)
"""Folders that are rendered; nothing is deleted elsewhere, whatever an inventory says."""
OUR_FILES: Final = frozenset({"plan.json"})
"""Files at the top that are rendered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Inventory:
    """The sha256 of every file that is ours, by its path below the folder.

    ``pending`` is filled only while a write is under way, or where one was interrupted: such a file is ours in either
    state, the old or the pending one.
    """

    files: Mapping[str, str] = field(default_factory=dict)
    pending: Mapping[str, str] = field(default_factory=dict)

    @property
    def paths(self) -> frozenset[str]:
        """Every path that is ours."""
        return frozenset(self.files) | frozenset(self.pending)

    def knows(self, path: str, sha256: str) -> bool:
        """Whether a file of this content is one that we wrote at this path."""
        return sha256 in (self.files.get(path), self.pending.get(path))


def read_inventory(folder: Path) -> Inventory:
    """Read a folder's inventory; an empty one where there is none. Raises BadInput for a malformed one."""
    path = folder / INVENTORY
    if not path.exists() and not path.is_symlink():
        return Inventory()
    content = json_of(read_file(path, MOST_TEXT_BYTES, of="an inventory"), str(path), constants=False)
    return inventory_of(content, str(path))


def inventory_of(content: object, source: str) -> Inventory:
    """The inventory that a JSON value is. Raises BadInput for a malformed one."""
    if not isinstance(content, dict):
        raise BadInput.one(source, "is not an inventory", hint="restore it from version control")
    return Inventory(files=_hashes(source, content, "files"), pending=_hashes(source, content, "pending"))


def inventory_text(inventory: Inventory) -> str:
    """An inventory as JSON, in stable order."""
    pending = {"pending": dict(sorted(inventory.pending.items()))} if inventory.pending else {}
    return json.dumps({"files": dict(sorted(inventory.files.items())), **pending}, indent=2) + "\n"


def sha256(content: bytes) -> str:
    """The hash by which a file's content is known."""
    return hashlib.sha256(content).hexdigest()


def sha256_of(path: Path) -> str:
    """The same of a plain file, however large somebody's own is."""
    with opened(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def is_ours(path: str) -> bool:
    """Whether a path is one at which some version of ours writes: an inventory that names another was made by somebody else."""
    first, slash, _ = path.partition("/")
    return first in OUR_FOLDERS if slash else path in OUR_FILES


def is_inside(path: str) -> bool:
    """Whether a path stays below the folder, and is none of the names that we or Git keep for ourselves."""
    pure = PurePosixPath(path)
    plain = bool(pure.parts) and str(pure) == path and not pure.is_absolute() and ".." not in pure.parts
    plain = plain and not any(_is_git_s(part) for part in pure.parts)
    return plain and "\0" not in path and "\\" not in path and pure.parts[0] not in (INVENTORY, STAGING)


def _is_git_s(part: str) -> bool:
    """Whether a name is that of Git's own folder, as file systems spell it that know no case or shorten names."""
    return part.casefold().rstrip(" .") in (".git", "git~1")


def _hashes(source: str, content: dict[str, object], key: str) -> dict[str, str]:
    hashes = content.get(key, {})
    if not isinstance(hashes, dict):
        raise BadInput.one(source, "is not a mapping of paths to hashes", path=key)
    outside = sorted(str(each) for each in hashes if not isinstance(each, str) or not is_inside(each))
    if outside:
        raise BadInput.one(source, f"names files outside the folder: {', '.join(outside)}", path=key)
    return {str(each): str(hashed) for each, hashed in hashes.items()}
