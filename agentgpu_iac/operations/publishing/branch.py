"""A branch that holds what is published: a commit made whole from its base, then a branch moved to it in one step.

No work tree is touched. The commit has the date of its base, so that the same files on the same base are the same commit,
whoever makes it and however often.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from agentgpu_iac.errors import BadInput, OutsideFailure, OwnershipConflict
from agentgpu_iac.operations.git import ABSENT, Repository
from agentgpu_iac.operations.publishing.folders import FolderChange

TRAILER: Final = "Published-by: agentgpu"
"""The last line of every commit of ours: by it they are known."""
_DRAFT: Final = "refs/agentgpu/draft"
_NAME: Final = "agentgpu <agentgpu@localhost>"
"""Who commits where Git was told nobody."""
_PROTECTED: Final = ("protected branch", "not allowed to push", "gh006", "pre-receive hook declined", "gh013")


@dataclass(frozen=True, slots=True, kw_only=True)
class Base:
    """What a branch starts from."""

    commit: str
    remote: str | None
    """The remote that it is of; None: there is none, and the branch stays here."""
    branch: str


def base_of(repository: Repository, remote: str, branch: str) -> Base:
    """The newest commit of the base: of the remote where there is one, asked anew.

    Raises:
        BadInput: there is no such branch.
        OutsideFailure: the remote does not answer.
    """
    remotes = repository.run("remote").decode().split()
    if remote not in remotes:
        commit = repository.commit_of(f"refs/heads/{branch}")
        if commit is None:
            raise BadInput.one(branch, "is no branch of this repository", hint="name the one to change as base")
        return Base(commit=commit, remote=None, branch=branch)
    code, said = repository.remote_run(
        "fetch", "--quiet", "--no-tags", remote, f"+refs/heads/{branch}:refs/remotes/{remote}/{branch}"
    )
    if code and "couldn't find remote ref" in said.lower():
        raise BadInput.one(branch, f"is no branch of the remote {remote!r}", hint="name the one to change as base")
    if code:
        raise OutsideFailure(f"the remote {remote!r} does not give its branch {branch!r}: {said}")
    commit = repository.commit_of(f"refs/remotes/{remote}/{branch}")
    if commit is None:
        raise OutsideFailure(f"the remote {remote!r} gave no branch {branch!r}")
    return Base(commit=commit, remote=remote, branch=branch)


def draft(repository: Repository, base: Base, changes: Iterable[FolderChange], message: str) -> str:
    """The commit that these changes of the base are. No branch moves."""
    stream = b"".join(_stream(repository, base, changes, message))
    repository.run("fast-import", "--quiet", "--force", "--date-format=raw", given=stream)
    commit = repository.commit_of(_DRAFT)
    if commit is None:
        raise OutsideFailure("git made no commit")
    repository.run("update-ref", "-d", _DRAFT)
    return commit


def _stream(repository: Repository, base: Base, changes: Iterable[FolderChange], message: str) -> Iterator[bytes]:
    date = repository.run("show", "-s", "--format=%ct +0000", base.commit).decode().strip()
    text = f"{message.rstrip()}\n\n{TRAILER}\n".encode()
    yield f"commit {_DRAFT}\ncommitter {_committer(repository)} {date}\ndata {len(text)}\n".encode()
    yield text + f"\nfrom {base.commit}\n".encode()
    for change in changes:
        for path in change.delete:
            yield f"D {_quoted(f'{change.folder}/{path}')}\n".encode()
        for path, content in change.write.items():
            yield f"M 100644 inline {_quoted(f'{change.folder}/{path}')}\ndata {len(content)}\n".encode()
            yield content + b"\n"
    yield b"\n"


def _quoted(path: str) -> str:
    escaped = path.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def _committer(repository: Repository) -> str:
    try:
        said = repository.run("var", "GIT_COMMITTER_IDENT").decode("utf-8", "replace").strip()
    except OutsideFailure:
        return _NAME
    return f"{said.rpartition('>')[0]}>"


def move(repository: Repository, base: Base, branch: str, commit: str, step: Callable[[str], None]) -> bool:
    """Let a branch be this commit, here and at the remote; whether that was news.

    Raises:
        OwnershipConflict: it holds commits that are not ours, or is checked out here.
        OutsideFailure: the remote refuses it.
    """
    ref = f"refs/heads/{branch}"
    here = repository.commit_of(ref)
    if here is not None and here != commit:
        _refuse_others(repository, base, branch, here)
        if branch in repository.worktree_branches:
            raise OwnershipConflict(f"the branch {branch!r} is checked out here: check out another one, and run again")
    there = _at_remote(repository, base, branch)
    if there not in (None, commit):
        _refuse_others(repository, base, branch, str(there))
    pushed = False
    if base.remote is not None and there != commit:
        lease = f"--force-with-lease={ref}:{there or ''}"
        code, said = repository.remote_run("push", "--quiet", "--porcelain", lease, base.remote, f"{commit}:{ref}")
        if code:
            _refused(said, branch, base.remote)
        pushed = True
        step("push")
    if here != commit:
        repository.run("update-ref", ref, commit, here or ABSENT)
        step("branch")
    return pushed or here != commit


def _at_remote(repository: Repository, base: Base, branch: str) -> str | None:
    """What the branch is at the remote, fetched so that its commits can be looked at; None where it is not there."""
    if base.remote is None:
        return None
    ref = f"refs/heads/{branch}"
    local = f"refs/remotes/{base.remote}/{branch}"
    code, said = repository.remote_run("fetch", "--quiet", "--no-tags", base.remote, f"+{ref}:{local}")
    if code and "couldn't find remote ref" in said.lower():
        return None
    if code:
        raise OutsideFailure(f"the remote {base.remote!r} does not say what its branch {branch!r} is: {said}")
    return repository.commit_of(local)


def _refuse_others(repository: Repository, base: Base, branch: str, commit: str) -> None:
    """Commits of others on the branch are not thrown away."""
    listed = repository.run("log", "--format=%H%x00%B%x01", commit, f"^{base.commit}").decode("utf-8", "replace")
    others = [
        each.strip().partition("\0")[0]
        for each in listed.split("\x01")
        if each.strip() and TRAILER not in each.partition("\0")[2].splitlines()
    ]
    if others:
        more = f" and {len(others) - 1} more" if others[1:] else ""
        message = f"the branch {branch!r} holds commits that agentgpu did not make ({others[0][:12]}{more})"
        raise OwnershipConflict(f"{message}: merge them, or delete the branch, and run again")


def _refused(said: str, branch: str, remote: str) -> None:
    folded = said.lower()
    if any(word in folded for word in _PROTECTED):
        hint = "let agentgpu push to it, or name another branch"
        raise OutsideFailure(f"the remote {remote!r} protects the branch {branch!r}: {hint} ({said})")
    if "stale info" in folded:
        raise OutsideFailure(f"the branch {branch!r} moved at {remote!r} meanwhile: run again ({said})")
    raise OutsideFailure(f"the remote {remote!r} does not take the branch {branch!r}: {said}")


def signing_in(address: str, user: str, token: str) -> Mapping[str, str]:
    """The environment in which Git signs in at an https address: not in the address, and in no words of a command."""
    if not address.startswith(("https://", "http://127.0.0.1", "http://localhost")):
        return {}
    host = "/".join(address.split("/", 3)[:3])
    known = base64.b64encode(f"{user}:{token}".encode()).decode()
    return {
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": f"http.{host}/.extraHeader",
        "GIT_CONFIG_VALUE_0": f"Authorization: Basic {known}",
    }
