"""The two sides of a difference: an agent stack, a saved plan, a rendered folder, or any of them as Git has it."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

from agentgpu_iac.catalog.store import Catalog, load_catalog
from agentgpu_iac.cli.sources import Source, planned, source
from agentgpu_iac.errors import BadInput
from agentgpu_iac.inputs import MIB, MOST_CONFIG_BYTES
from agentgpu_iac.operations.git import Entry, Repository, repository_at
from agentgpu_iac.plan import Plan
from agentgpu_iac.plan.reading import MAX_PLAN_BYTES, load_plan, plan_in
from agentgpu_iac.rendering.inventory import INVENTORY, read_inventory, sha256, sha256_of
from agentgpu_iac.rendering.plan_file import PLAN_FILE
from agentgpu_iac.rendering.tree import render_all
from agentgpu_iac.review.diff import FileChanges, PlanDiff, diff
from agentgpu_iac.spec.loader import LoadedStack, load_bytes

_MOST_CONFIGS_BYTES: Final = 64 * MIB
"""Of all local ``config.json`` files beside a stack that a revision of Git holds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """A plan, what it was made from where that happened just now, and the files of its folder by their hashes."""

    plan: Plan
    made_from: tuple[LoadedStack, Catalog] | None
    files: Mapping[str, str]


def compared(before: str, after: str, overlay: Path | None) -> tuple[PlanDiff, Mapping[str, str]]:
    """The difference of two sides, and the agents of both with their deployments.

    Raises:
        BadInput: one of them cannot be read, or the catalog is for neither.
    """
    first, second = (_side(each, overlay) for each in (before, after))
    if overlay is not None and first.made_from is None and second.made_from is None:
        raise BadInput.one("--catalog", "changes nothing: both files are plans, which are made already")
    agents = {agent.name: agent.deployment for side in (first, second) for agent in side.plan.served_agents}
    return diff(first.plan, second.plan, files=file_changes(first.files, second.files)), agents


def plan_of(name: str, overlay: Path | None) -> Plan:
    """The plan of a side; a catalog is for the stacks among them."""
    return _side(name, overlay).plan


def file_changes(before: Mapping[str, str], after: Mapping[str, str]) -> FileChanges:
    """How two folders differ, file by file, by the hashes of what they hold. The plan in them is compared by itself."""
    old, new = ({path: hash for path, hash in each.items() if path != PLAN_FILE} for each in (before, after))
    return FileChanges(
        added=tuple(sorted({*new} - {*old})),
        changed=tuple(sorted(path for path in {*old} & {*new} if old[path] != new[path])),
        deleted=tuple(sorted({*old} - {*new})),
    )


def _side(name: str, overlay: Path | None) -> Side:
    path = Path(name)
    if path.is_dir():
        return _folder(path)
    revision, colon, below = name.partition(":")
    if colon and revision and not path.exists():
        return _revision(name, revision, below, overlay)
    found = source(path, overlay, overlay_is_for_others=True)
    return _rendered(found)


def _rendered(found: Source) -> Side:
    files = {file.path: sha256(file.content) for file in render_all(found.plan)}
    return Side(plan=found.plan, made_from=found.made_from, files=files)


def _folder(path: Path) -> Side:
    if not (path / PLAN_FILE).is_file():
        raise BadInput.one(str(path), f"is no folder that agentgpu rendered: it holds no {PLAN_FILE}")
    paths = sorted(read_inventory(path).files)
    files = {each: sha256_of(path / each) for each in paths if (path / each).is_file()}
    return Side(plan=load_plan(path / PLAN_FILE), made_from=None, files=files)


def _revision(name: str, revision: str, below: str, overlay: Path | None) -> Side:
    repository = repository_at(Path())
    if repository.commit_of(revision) is None:
        raise BadInput.one(name, f"is no file, and {revision!r} is no revision of this Git repository")
    found = repository.object_of(name)
    if found is None:
        raise BadInput.one(
            name, f"is not in {revision!r}", hint="paths count from the top of the repository, or from ./"
        )
    kind, hash = found
    if kind == "tree":
        return _tree(repository, name, repository.tree(hash))
    raw = repository.content(hash, MAX_PLAN_BYTES, name)
    saved = plan_in(raw, name)
    if saved is not None:
        return _rendered(Source(plan=saved, made_from=None))
    loaded = load_bytes(raw, name)
    parent = str(PurePosixPath(below).parent)
    with tempfile.TemporaryDirectory() as folder:
        _configs(repository, name, f"{revision}:{'' if parent == '.' else parent}", Path(folder))
        catalog = load_catalog(overlay, base_directory=Path(folder))
        return _rendered(Source(plan=planned(loaded, catalog), made_from=(loaded, catalog)))


def _configs(repository: Repository, name: str, parent: str, folder: Path) -> None:
    """The JSON files beside a stack and below it, which its models may name."""
    found = repository.object_of(parent)
    entries = {} if found is None else repository.tree(found[1])
    wanted = {
        path: entry
        for path, entry in entries.items()
        if path.endswith(".json") and entry.size <= MOST_CONFIG_BYTES and _is_file(entry) and _is_below(path)
    }
    if sum(entry.size for entry in wanted.values()) > _MOST_CONFIGS_BYTES:
        raise BadInput.one(name, f"has more than {_MOST_CONFIGS_BYTES:,} bytes of JSON files beside it")
    contents = repository.contents([entry.hash for entry in wanted.values()])
    for path, content in zip(wanted, contents, strict=True):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)


def _is_file(entry: Entry) -> bool:
    return entry.mode.startswith("100")


def _is_below(path: str) -> bool:
    return ".." not in PurePosixPath(path).parts and not PurePosixPath(path).is_absolute()


def _tree(repository: Repository, name: str, entries: Mapping[str, Entry]) -> Side:
    files = {path: entry for path, entry in entries.items() if _is_file(entry)}
    if PLAN_FILE not in files:
        raise BadInput.one(name, f"is no folder that agentgpu rendered: it holds no {PLAN_FILE}")
    raw = repository.content(files[PLAN_FILE].hash, MAX_PLAN_BYTES, name)
    plan = plan_in(raw, f"{name}/{PLAN_FILE}")
    if plan is None:
        raise BadInput.one(f"{name}/{PLAN_FILE}", "is no plan")
    ours = [path for path in files if path != INVENTORY]
    contents = repository.contents([files[path].hash for path in ours])
    return Side(
        plan=plan,
        made_from=None,
        files={path: sha256(content) for path, content in zip(ours, contents, strict=True)},
    )
