"""The file that says what is published: ``agentgpu-publish.yaml``, read with all its faults at once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import Field, StringConstraints

from agentgpu_iac.inputs import MIB
from agentgpu_iac.spec.addresses import keeps_secrets
from agentgpu_iac.spec.document import Document
from agentgpu_iac.spec.documents import ReadDocument, read_document
from agentgpu_iac.spec.model.fields import Name, Text, Url
from agentgpu_iac.spec.rule_values import Violation, items, mapping
from agentgpu_iac.spec.yaml_tree import Data

SETTINGS_FILE: Final = "agentgpu-publish.yaml"
_MOST_BYTES: Final = 4 * MIB

Folder = Annotated[
    str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*)*$", max_length=300)
]
"""A folder of the repository, from its top."""
Branch = Annotated[
    str,
    StringConstraints(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*(\.[A-Za-z0-9_-]+)*(/[A-Za-z0-9][A-Za-z0-9_.-]*)*$", max_length=200
    ),
]
Project = Annotated[
    str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*(/[A-Za-z0-9][A-Za-z0-9_.-]*)+$", max_length=300)
]
Variable = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", max_length=100)]


class Overlay(Document):
    """What is otherwise in an environment."""

    stacks: tuple[Name, ...] = ()
    """Stacks that it changes; empty: all."""
    spec: dict[str, Any]
    """Fields of the stack's ``spec`` with other values. ``agents`` takes fields by the name of the agent."""


class Environment(Document):
    """One place that every stack is published for."""

    name: Name
    """Its name, and that of its folder."""
    stacks: tuple[Name, ...] = ()
    """Stacks that are there; empty: all."""
    overlays: Annotated[tuple[Overlay, ...], Field(max_length=1_000)] = ()
    """What is otherwise there, one after the other."""


class Forge(Document):
    """The site where pull requests are opened."""

    kind: Literal["github", "gitlab"]
    """Whose API it has."""
    project: Project
    """Owner and name: ``acme/stacks``."""
    api: Url | None = None
    """Address of the API. Unset: that of github.com or gitlab.com."""
    token_variable: Variable
    """Environment variable that holds the token. Never the token."""


class Publishing(Document):
    """What is published, and where."""

    api_version: Literal["agentgpu.dev/v1alpha1"]
    """Version of this format."""
    kind: Literal["Publishing"]
    """Always Publishing."""
    stacks: Annotated[tuple[Folder, ...], Field(min_length=1)]
    """Folders with agent stacks, from the top of the repository."""
    into: Folder
    """Folder of the trees: each stack has a folder there, with one for each environment."""
    environments: Annotated[tuple[Environment, ...], Field(min_length=1, max_length=100)]
    """Where the stacks are."""
    base: Branch = "main"
    """Branch that is asked to take the change."""
    branch: Branch = "agentgpu/publish"
    """Branch that holds it."""
    refresh_branch: Branch = "agentgpu/refresh"
    """Branch of a refresh: new facts or another version, with the same specs."""
    remote: Name = "origin"
    """Remote that the branch is pushed to, where there is one."""
    forge: Forge | None = None
    """Where a pull request is opened; unset: the branch is all."""
    catalog: Text | None = None
    """Catalog rows of yours, from the top of the repository."""
    policies: Text | None = None
    """Policies that hold, from the top of the repository."""


def load_settings(path: Path) -> ReadDocument[Publishing]:
    """What a file says. Raises BadInput with every fault: line, field, and what to write."""
    return read_document(path, Publishing, _rules, most_bytes=_MOST_BYTES)


def _rules(data: Data) -> Iterator[Violation]:
    whole = mapping(data)
    environments = items(whole, "environments")
    names = [mapping(each).get("name") for each in environments]
    times = Counter(name for name in names if isinstance(name, str))
    for index, name in enumerate(names):
        if isinstance(name, str) and times[name] > 1:
            yield Violation(steps=("environments", index, "name"), message=f"two environments are called {name!r}")
    api = mapping(whole.get("forge")).get("api")
    if isinstance(api, str) and not keeps_secrets(api):
        message = "a token is sent there, and others on the way could read it"
        yield Violation(
            steps=("forge", "api"), message=message, hint="write https://; http:// is for this machine alone"
        )
    base = whole.get("base", "main")
    for key, default in (("branch", "agentgpu/publish"), ("refreshBranch", "agentgpu/refresh")):
        if whole.get(key, default) == base:
            message = f"is the base {base!r} itself"
            yield Violation(steps=(key,), message=message, hint="name a branch that holds the change alone")
    if whole.get("branch", "agentgpu/publish") == whole.get("refreshBranch", "agentgpu/refresh"):
        yield Violation(steps=("refreshBranch",), message="is the branch of what is published", hint="name another")
    into = whole.get("into")
    for index, folder in enumerate(items(whole, "stacks")):
        if isinstance(into, str) and isinstance(folder, str) and f"{folder}/".startswith(f"{into}/"):
            message = f"lies in {into!r}, where trees are written"
            yield Violation(steps=("stacks", index), message=message, hint="keep specs and trees apart")
