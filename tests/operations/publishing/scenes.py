"""A repository with a remote beside it, and rendered folders made by hand."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from agentgpu_iac.operations.git import Repository
from agentgpu_iac.operations.publishing.branch import Base, base_of
from agentgpu_iac.operations.publishing.description import Published
from agentgpu_iac.operations.publishing.folders import FolderChange, published_folders
from agentgpu_iac.operations.publishing.publish import Outcome, changes_of, publish
from agentgpu_iac.plan import RenderedFile

BRANCH = "agentgpu/publish"


def git(folder: Path, *words: str) -> str:
    identity = ("-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false")
    done = subprocess.run(("git", *identity, *words), cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout.strip()


@dataclass(frozen=True, slots=True, kw_only=True)
class Clone:
    """A clone, and the bare repository that is its remote."""

    folder: Path
    remote: Path

    @property
    def repository(self) -> Repository:
        return Repository(root=self.folder)

    @property
    def base(self) -> Base:
        return base_of(self.repository, "origin", "main")

    def commit(self, path: str, text: str, *, push: bool = True) -> None:
        place = self.folder / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)
        git(self.folder, "add", "-A")
        git(self.folder, "commit", "-q", "-m", f"write {path}")
        if push:
            git(self.folder, "push", "-q", "origin", "main")

    def tip(self, branch: str = BRANCH) -> str:
        return git(self.remote, "rev-parse", f"refs/heads/{branch}")

    def files(self, revision: str = BRANCH) -> dict[str, str]:
        names = git(self.remote, "ls-tree", "-r", "--name-only", revision).splitlines()
        return {name: git(self.remote, "show", f"{revision}:{name}") for name in names}

    def merge(self) -> None:
        git(self.folder, "fetch", "-q", "origin")
        git(self.folder, "merge", "-q", "--no-ff", "-m", "merge", f"origin/{BRANCH}")
        git(self.folder, "push", "-q", "origin", "main")


def clone(folder: Path) -> Clone:
    remote, here = folder / "remote.git", folder / "here"
    subprocess.run(("git", "init", "-q", "--bare", "-b", "main", str(remote)), check=True)
    subprocess.run(("git", "init", "-q", "-b", "main", str(here)), check=True)
    git(here, "remote", "add", "origin", str(remote))
    made = Clone(folder=here, remote=remote)
    made.commit("README.md", "hello\n")
    return made


def tree(*names: str, text: str = "a: 1\n") -> list[RenderedFile]:
    return [RenderedFile(path=name, content=f"{text}# {name}\n".encode()) for name in names]


def changes(made: Clone, wanted: dict[str, list[RenderedFile]], kept: tuple[str, ...] = ()) -> tuple[FolderChange, ...]:
    base = made.base
    there = published_folders(made.repository, base.commit, "clusters")
    return changes_of(made.repository, base.commit, there, wanted, kept)


def put(made: Clone, wanted: dict[str, list[RenderedFile]], **more: object) -> Outcome:
    found = changes(made, wanted)
    told = [Published(title=each.folder, usd_per_month=Decimal(7), difference=None) for each in found]
    return publish(made.repository, made.base, BRANCH, found, told, **more)  # type: ignore[arg-type]
