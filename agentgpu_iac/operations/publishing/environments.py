"""The stacks of a repository, and each as it is in an environment."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from agentgpu_iac.errors import BadInput, Fault, did_you_mean
from agentgpu_iac.inputs import read_file
from agentgpu_iac.operations.publishing.settings import Environment, Publishing
from agentgpu_iac.spec.documents import ReadDocument
from agentgpu_iac.spec.loader import MAX_BYTES, LoadedStack, changed, load_bytes
from agentgpu_iac.spec.yaml_tree import Data, ListNode, MapNode, Node, ScalarNode, Steps, data_of, top_level

_KIND = "AgentStack"


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """A stack in an environment: what is planned there."""

    loaded: LoadedStack
    environment: str
    folder: str
    """Where its tree goes, from the top of the repository."""
    path: str
    """Its file, from the top of the repository."""

    @property
    def name(self) -> str:
        """The stack's name."""
        return self.loaded.stack.metadata.name

    @property
    def title(self) -> str:
        """Stack and environment, as they are told apart."""
        return f"{self.name}/{self.environment}"


def stacks_of(root: Path, settings: ReadDocument[Publishing]) -> dict[str, LoadedStack]:
    """Every agent stack of the folders that are published, by its path.

    Raises:
        BadInput: there is none, two have one name, or some hold faults; carries all of them.
    """
    found: dict[str, LoadedStack] = {}
    faults: list[Fault] = []
    for index, folder in enumerate(settings.document.stacks):
        place = root / folder
        if not place.is_dir():
            hint = "name a folder from the top of the repository"
            faults.append(settings.fault(("stacks", index), f"there is no folder {folder!r}", hint))
            continue
        for path in sorted((*place.rglob("*.yaml"), *place.rglob("*.yml"))):
            relative = path.relative_to(root).as_posix()
            try:
                raw = read_file(path, MAX_BYTES)
                if top_level(raw.decode("utf-8", "replace"), "kind") == _KIND:
                    found[relative] = load_bytes(raw, relative)
            except BadInput as refusal:
                faults += refusal.faults
    faults += _twins(found)
    if not found and not faults:
        folders = ", ".join(settings.document.stacks)
        hint = "write one: agentgpu init"
        faults.append(settings.fault(("stacks",), f"no file below {folders} is an agent stack", hint))
    if faults:
        raise BadInput(faults)
    return found


def _twins(found: Mapping[str, LoadedStack]) -> Iterator[Fault]:
    names: dict[str, str] = {}
    for path, loaded in found.items():
        name = loaded.stack.metadata.name
        if name in names:
            message = f"two stacks are called {name!r}: {names[name]} and {path}"
            yield loaded.fault("metadata.name", message, "each needs a name of its own: its folder is called so")
        names.setdefault(name, path)


def placed(root: Path, settings: ReadDocument[Publishing]) -> tuple[Placed, ...]:
    """Every stack in every environment, in the order of their folders.

    Raises:
        BadInput: a stack or an overlay holds faults; carries all of them.
    """
    stacks = stacks_of(root, settings)
    names = {loaded.stack.metadata.name for loaded in stacks.values()}
    faults = [*_unknown(settings, names)]
    made: list[Placed] = []
    for index, environment in enumerate(settings.document.environments):
        for path, loaded in stacks.items():
            name = loaded.stack.metadata.name
            if environment.stacks and name not in environment.stacks:
                continue
            folder = f"{settings.document.into}/{name}/{environment.name}"
            try:
                there = _there(loaded, environment, index, settings, folder)
            except BadInput as refusal:
                faults += refusal.faults
            else:
                made.append(Placed(loaded=there, environment=environment.name, folder=folder, path=path))
    if faults:
        raise BadInput(faults)
    return tuple(sorted(made, key=lambda each: each.folder))


def _unknown(settings: ReadDocument[Publishing], names: set[str]) -> Iterator[Fault]:
    for index, environment in enumerate(settings.document.environments):
        lists: list[tuple[Steps, tuple[str, ...]]] = [(("environments", index, "stacks"), environment.stacks)]
        for number, overlay in enumerate(environment.overlays):
            lists.append((("environments", index, "overlays", number, "stacks"), overlay.stacks))
        for steps, wanted in lists:
            for position, name in enumerate(wanted):
                if name not in names:
                    message = f"there is no stack {name!r}"
                    yield settings.fault((*steps, position), message, did_you_mean(name, sorted(names)))


def _there(
    loaded: LoadedStack, environment: Environment, index: int, settings: ReadDocument[Publishing], folder: str
) -> LoadedStack:
    """The stack with what is otherwise in an environment, and with the path of its tree where a GitOps tool asks for it."""
    name = loaded.stack.metadata.name
    values: dict[Steps, Data] = {}
    for number, overlay in enumerate(environment.overlays):
        if overlay.stacks and name not in overlay.stacks:
            continue
        at: Steps = ("environments", index, "overlays", number, "spec")
        node = settings.tree.node_at(at)
        if isinstance(node, MapNode):
            for steps, value in _values(loaded, node, ("spec",), at, settings):
                values[steps] = value
    try:
        there = changed(loaded, values) if values else loaded
        if there.stack.spec.gitops is not None and there.stack.spec.gitops.path != folder:
            there = changed(loaded, {**values, ("spec", "gitops", "path"): folder})
    except BadInput as refusal:
        at = ("environments", index)
        said = "; ".join(f"{fault.path}: {fault.message}" for fault in refusal.faults[:20])
        message = f"in the environment {environment.name!r} the stack {name!r} ({loaded.source}) has faults: {said}"
        raise BadInput([settings.fault(at, message)]) from None
    return there


def _values(
    loaded: LoadedStack, node: MapNode, into: Steps, at: Steps, settings: ReadDocument[Publishing]
) -> Iterator[tuple[Steps, Data]]:
    """Single values of an overlay by their places in the stack; mappings are laid over what is there."""
    for key, value in node.entries.items():
        steps, here = (*into, key), (*at, key)
        if into == ("spec",) and key == "agents":
            yield from _agents(loaded, value, here, settings)
        elif isinstance(value, MapNode) and value.entries:
            yield from _values(loaded, value, steps, here, settings)
        else:
            yield steps, data_of(value)


def _agents(
    loaded: LoadedStack, node: Node, at: Steps, settings: ReadDocument[Publishing]
) -> Iterator[tuple[Steps, Data]]:
    names = [agent.name for agent in loaded.stack.spec.agents]
    fields = dict(_by_name(node))
    if not fields:
        hint = "write agents: {NAME: {FIELD: VALUE}}"
        raise BadInput([settings.fault(at, "holds fields by the names of agents", hint)])
    for name, value in fields.items():
        if name not in names:
            message = f"the stack {loaded.stack.metadata.name!r} has no agent {name!r}"
            raise BadInput([settings.fault((*at, name), message, did_you_mean(name, names))])
        if isinstance(value, MapNode):
            yield from _values(loaded, value, ("spec", "agents", names.index(name)), (*at, name), settings)
        else:
            raise BadInput([settings.fault((*at, name), "holds no fields", "write {FIELD: VALUE}")])


def _by_name(node: Node) -> Iterator[tuple[str, Node]]:
    """Agents by their names, as a mapping or as a list of items with names."""
    if isinstance(node, MapNode):
        yield from node.entries.items()
    elif isinstance(node, ListNode):
        for item in node.items:
            name = item.entries.get("name") if isinstance(item, MapNode) else None
            if isinstance(name, ScalarNode) and isinstance(name.value, str):
                yield name.value, item
