"""From rendered folders to a branch and a request: what was done already is found as done, and nothing is half done."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from agentgpu_iac.errors import OwnershipConflict
from agentgpu_iac.operations.git import Entry, Repository
from agentgpu_iac.operations.publishing.branch import Base, draft, move
from agentgpu_iac.operations.publishing.description import Published, description_of, message_of, title_of
from agentgpu_iac.operations.publishing.folders import FolderChange, PublishedFolder, folder_change
from agentgpu_iac.operations.publishing.forge import Request, ReviewSite
from agentgpu_iac.plan import RenderedFile


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What was done."""

    folders: tuple[str, ...]
    """Folders that change, from the top of the repository."""
    branch: str
    commit: str | None
    """None: the base holds all of it already."""
    moved: bool
    """Whether the branch was not there yet."""
    request: Request | None


def changes_of(
    repository: Repository,
    commit: str,
    there: Mapping[str, PublishedFolder],
    wanted: Mapping[str, Sequence[RenderedFile]],
    kept: Iterable[str],
) -> tuple[FolderChange, ...]:
    """What changes in the folders that are rendered anew, and in those that are no longer wanted.

    Raises:
        OwnershipConflict: files in the way are not ours or were edited; names all of them, in all folders.
    """
    changes: list[FolderChange] = []
    conflicts: list[str] = []
    gone = [folder for folder in there if folder not in wanted and folder not in set(kept)]
    for folder, files in (*wanted.items(), *((folder, ()) for folder in gone)):
        found = there.get(folder)
        beside: Mapping[str, Entry] = repository.tree(commit, folder) if found is None else {}
        try:
            change = folder_change(repository, folder, found, files, beside)
        except OwnershipConflict as conflict:
            conflicts += str(conflict).splitlines()
        else:
            changes += [] if change is None else [change]
    if conflicts:
        hint = "take them out of the folder, or undo the edit, on the base branch"
        raise OwnershipConflict("\n".join((*conflicts, f"nothing was published: {hint}")))
    return tuple(sorted(changes, key=lambda change: change.folder))


def publish(
    repository: Repository,
    base: Base,
    branch: str,
    changes: Sequence[FolderChange],
    told: Sequence[Published],
    *,
    reason: str = "",
    site: ReviewSite | None = None,
    step: Callable[[str], None] = lambda _: None,
) -> Outcome:
    """Make the commit, move the branch, and open or update the request.

    ``step`` is told what has just been done.
    """
    if not changes:
        return Outcome(folders=(), branch=branch, commit=None, moved=False, request=None)
    commit = draft(repository, base, changes, message_of(told, reason))
    step("commit")
    moved = move(repository, base, branch, commit, step)
    request = None
    if site is not None:
        request = site.request(branch, base.branch, title_of(told, reason), description_of(told, reason))
        step("request")
    folders = tuple(change.folder for change in changes)
    return Outcome(folders=folders, branch=branch, commit=commit, moved=moved, request=request)
