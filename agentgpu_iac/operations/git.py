"""A Git repository, through the ``git`` command: fixed words, no shell, and nothing of a user's that could be an option."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from agentgpu_iac.credentials import without_credentials
from agentgpu_iac.errors import BadInput, OutsideFailure, shortened
from agentgpu_iac.units import counted

_QUIET: Final = {
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_OPTIONAL_LOCKS": "0",
    "LC_ALL": "C",
}
"""Nothing is asked of a person, nothing is locked to look, and messages are those that are known."""
ABSENT: Final = "0" * 40
"""What stands where a branch is to be made that is not there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A file of a tree."""

    mode: str
    hash: str
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Repository:
    """A repository on this machine."""

    root: Path
    """Folder whose ``.git`` it is."""
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Environment of commands that speak to a remote: how they sign in. Never words of a command."""

    def run(
        self,
        *words: str,
        given: bytes | None = None,
        environment: Mapping[str, str] | None = None,
        fails_with: Sequence[int] = (),
    ) -> bytes:
        """What a command prints. Raises OutsideFailure with its complaint; an exit code in ``fails_with`` gives nothing.

        The same code also ends what could not look: a repository that is broken, or that Git will not open, is a failure.
        """
        done = _run(self.root, words, given, {**(environment or {})})
        if done.returncode in fails_with and not _could_not_look(done.stderr):
            return b""
        if done.returncode:
            raise OutsideFailure(f"git {words[0]}: {_complaint(done.stderr)}")
        return done.stdout

    def commit_of(self, revision: str) -> str | None:
        """The commit that a revision means; None where it means none."""
        if _is_option(revision):
            return None
        words = ("rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")
        return self.run(*words, fails_with=(1, 128)).decode().strip() or None

    def object_of(self, name: str) -> tuple[str, str] | None:
        """Kind (``blob``, ``tree``) and hash of what ``REVISION:PATH`` names; None where it names nothing."""
        if _is_option(name):
            return None
        words = ("rev-parse", "--verify", "--quiet", "--end-of-options", name)
        found = self.run(*words, fails_with=(1, 128)).decode().strip()
        return (self.run("cat-file", "-t", found).decode().strip(), found) if found else None

    def content(self, hash: str, most_bytes: int, source: str) -> bytes:
        """A file of the repository's objects. Raises BadInput where it is larger than the most that is read."""
        if int(self.run("cat-file", "-s", hash)) > most_bytes:
            raise BadInput.one(source, f"is larger than {counted(most_bytes, 'byte')}, the most that is read")
        return self.run("cat-file", "blob", hash)

    def contents(self, hashes: Sequence[str]) -> Iterator[bytes]:
        """Several files, by one command, in that order."""
        if not hashes:
            return
        answer = self.run("cat-file", "--batch", given="".join(f"{each}\n" for each in hashes).encode())
        at = 0
        for _ in hashes:
            end = answer.index(b"\n", at)
            size = int(answer[at:end].rpartition(b" ")[2])
            yield answer[end + 1 : end + 1 + size]
            at = end + 1 + size + 1

    def tree(self, hash: str, below: str = "") -> dict[str, Entry]:
        """Every file below a folder of a tree, by its path from there; nothing where the folder is not there."""
        where = f"{hash}:{below}" if below else hash
        found = self.object_of(where)
        if found is None or found[0] == "blob":
            return {}
        listed = self.run("ls-tree", "-r", "-l", "-z", "--full-tree", found[1]).decode("utf-8", "surrogateescape")
        entries = {}
        for line in filter(None, listed.split("\0")):
            about, _, path = line.partition("\t")
            mode, _, hashed, size = about.split()
            entries[path] = Entry(mode=mode, hash=hashed, size=0 if size == "-" else int(size))
        return entries

    def edited(self, paths: Sequence[str]) -> tuple[str, ...]:
        """Files below these paths that are not as the current commit has them, new ones too."""
        listed = self.run("status", "--porcelain", "-z", "--untracked-files=all", "--no-renames", "--", *paths)
        return tuple(line[3:].decode("utf-8", "replace") for line in listed.split(b"\0") if line)

    @property
    def worktree_branches(self) -> frozenset[str]:
        """Branches that are checked out, here or in another worktree."""
        listed = self.run("worktree", "list", "--porcelain").decode("utf-8", "replace")
        return frozenset(
            line.removeprefix("branch refs/heads/") for line in listed.splitlines() if line.startswith("branch ")
        )

    def remote_run(self, *words: str) -> tuple[int, str]:
        """A command that speaks to a remote: its exit code, and what it complains of, without credentials."""
        done = _run(self.root, words, None, self.secrets)
        return done.returncode, _complaint(done.stderr + b"\n" + done.stdout)


def repository_at(folder: Path, secrets: Mapping[str, str] | None = None) -> Repository:
    """The repository that a folder is in. Raises BadInput where it is in none."""
    done = _run(folder, ("rev-parse", "--show-toplevel"), None, {})
    if done.returncode and b"not a git repository" not in done.stderr:
        raise OutsideFailure(f"git rev-parse: {_complaint(done.stderr)}")
    if done.returncode:
        raise BadInput.one(str(folder), "is in no Git repository", hint="run git init, or name a folder of a clone")
    return Repository(root=Path(done.stdout.decode("utf-8", "surrogateescape").rstrip("\n")), secrets=secrets or {})


def _could_not_look(stderr: bytes) -> bool:
    """Whether a command failed before it knew the answer: objects that are broken or may not be read."""
    return any(line.startswith(b"error:") for line in stderr.splitlines()) or b"corrupt" in stderr


def _is_option(name: str) -> bool:
    return name.startswith("-") or "\0" in name or "\n" in name


def _run(
    folder: Path, words: Sequence[str], given: bytes | None, environment: Mapping[str, str]
) -> subprocess.CompletedProcess[bytes]:
    if not folder.is_dir():
        raise BadInput.one(str(folder), "is no folder")
    try:
        return subprocess.run(  # noqa: S603 - a fixed command, without a shell
            ("git", "-c", "core.quotepath=false", *words),  # noqa: S607 - whichever git the user runs
            cwd=folder,
            input=b"" if given is None else given,
            capture_output=True,
            check=False,
            env={**os.environ, **_QUIET, **environment},
        )
    except FileNotFoundError:
        raise OutsideFailure("git is not there: install it, and try again") from None


def _complaint(stderr: bytes) -> str:
    """The lines that say what is wrong, in one."""
    lines = [line.strip() for line in stderr.decode("utf-8", "replace").splitlines() if line.strip()]
    told = [line for line in lines if line.startswith(("fatal:", "error:", "remote:", "!"))] or lines[-3:]
    return without_credentials(shortened("; ".join(told), 1_000)) or "it gives no reason"
