"""A manifest: text read back into an object, checked for structure, put at its place in the tree, and printed.

These are the passes between a filled-in template and a file. They know no kind of object beyond what all kinds
have in common; full schemas are ``validate``'s business.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass

from agentgpu_iac.errors import BadInput, Fault
from agentgpu_iac.plan import Plan, RenderedFile
from agentgpu_iac.plan.nodes import AGENT_LABEL, POOL_LABEL
from agentgpu_iac.rendering.context import Draft
from agentgpu_iac.rendering.names import COMPONENT_LABEL
from agentgpu_iac.rendering.origin import Origins
from agentgpu_iac.rendering.reasons import commented
from agentgpu_iac.rendering.templates import document
from agentgpu_iac.rendering.yaml_text import Mapping, Value, dump
from agentgpu_iac.units import counted

KUSTOMIZE_GROUP = "kustomize.config.k8s.io"
"""API group of the one kind without a name, which Kustomize wants in a file of fixed name; Flux has a kind of the same
name in a group of its own."""

_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_SERVICE = re.compile(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?")
_SUBDOMAIN = re.compile(r"(?=.{1,253}\Z)[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")

_NAME_RULES = {
    "Namespace": (_LABEL, "lower-case letters, digits and hyphens; 63 at most"),
    "Service": (_SERVICE, "lower-case letters, digits and hyphens, a letter first; 63 at most"),
    "LeaderWorkerSet": (_SERVICE, "lower-case letters, digits and hyphens, a letter first; 63 at most"),
}
_NAME_RULE = (_SUBDOMAIN, "lower-case letters, digits, hyphens and dots; 253 at most")

_LABEL_KEY = re.compile(r"([a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")
_LABEL_VALUE = re.compile(r"([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?")

_LABEL_PLACES = (
    ("metadata", "labels"),
    ("spec", "selector", "matchLabels"),
    ("spec", "template", "metadata", "labels"),
    ("spec", "template", "spec", "nodeSelector"),
    ("spec", "leaderWorkerTemplate", "leaderTemplate", "metadata", "labels"),
    ("spec", "leaderWorkerTemplate", "leaderTemplate", "spec", "nodeSelector"),
    ("spec", "leaderWorkerTemplate", "workerTemplate", "metadata", "labels"),
    ("spec", "leaderWorkerTemplate", "workerTemplate", "spec", "nodeSelector"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """One Kubernetes object and the folder of the tree that it goes to."""

    folder: str
    body: Mapping

    @property
    def kind(self) -> str:
        """The kind, as far as there is one."""
        return str(self.body.get("kind", ""))

    @property
    def component(self) -> str:
        """The component that its label names, as far as there is one."""
        return self.label(COMPONENT_LABEL)

    def label(self, key: str) -> str:
        """The value of a label, as far as there is one."""
        return str(_at(self.body, ("metadata", "labels", key)) or "")

    @property
    def is_kustomization(self) -> bool:
        """Whether it lists what is in a folder, and is no object of a cluster."""
        return str(self.body.get("apiVersion", "")).startswith(f"{KUSTOMIZE_GROUP}/")

    @property
    def name(self) -> str:
        """The name, as far as there is one."""
        return str(_at(self.body, ("metadata", "name")) or "")

    @property
    def identity(self) -> tuple[str, str, str, str]:
        """What no two objects of a cluster have in common."""
        namespace = str(_at(self.body, ("metadata", "namespace")) or "")
        return str(self.body.get("apiVersion", "")), self.kind, namespace, self.name

    @property
    def file_name(self) -> str:
        """``<kind>-<name>.yaml``."""
        return "kustomization.yaml" if self.is_kustomization else f"{self.kind.lower()}-{self.name}.yaml"

    @property
    def path(self) -> str:
        """Path below the output folder."""
        return f"{self.folder}/{self.file_name}"


def manifest(draft: Draft) -> Manifest:
    """Fill in a draft's template, read the result back, and put its parts in. Raises BadInput for no YAML mapping."""
    body = document(draft.context)
    for part in draft.parts:
        *way, key = part.place
        holder = _at(body, tuple(way))
        if not isinstance(holder, dict):
            raise BadInput.one(draft.context.template, f"has no place for a part at {'.'.join(part.place)}")
        holder[key] = _at(document(part.context), part.taken_from)
    return Manifest(folder=draft.folder, body=body)


def check(manifests: Iterable[Manifest]) -> None:
    """Check the structure of all manifests, and that no two are the same object. Raises BadInput with all faults."""
    checked = tuple(manifests)
    faults = [fault for each in checked for fault in _faults(each)]
    faults += _duplicates(checked)
    if faults:
        raise BadInput(faults)


def rendered(plan: Plan, manifests: Iterable[Manifest]) -> tuple[RenderedFile, ...]:
    """Print manifests, in the order of their paths: each opens with what made it, and its numbers say where they are from."""
    origins = Origins(plan)
    pools = {pool.name for pool in plan.node_pools}
    files = (
        RenderedFile(
            path=each.path,
            content=(_opening(each, origins, pools) + commented(dump(each.body).decode(), each.component)).encode(),
        )
        for each in manifests
    )
    return tuple(sorted(files, key=lambda file: file.path))


def _opening(made: Manifest, origins: Origins, pools: Collection[str]) -> str:
    agent, pool = made.label(AGENT_LABEL), made.label(POOL_LABEL)
    if agent:
        return origins.of_agent(agent, made.component)
    return origins.of_pool(pool, made.component) if pool in pools else origins.of_stack(made.component)


def _faults(made: Manifest) -> Iterator[Fault]:
    for key in ("apiVersion", "kind"):
        if not isinstance(made.body.get(key), str):
            yield Fault(source=made.path, path=key, message="is missing")
    if not made.is_kustomization:
        yield from _name_faults(made)
    for place in _LABEL_PLACES:
        yield from _label_faults(made, place)
    for path in _nulls(made.body, ""):
        yield Fault(source=made.path, path=path, message="is null")


def _name_faults(made: Manifest) -> Iterator[Fault]:
    rule, words = _NAME_RULES.get(made.kind, _NAME_RULE)
    if not rule.fullmatch(made.name):
        yield Fault(
            source=made.path, path="metadata.name", message=f"{made.name!r} cannot name a {made.kind}", hint=words
        )


def _label_faults(made: Manifest, place: tuple[str, ...]) -> Iterator[Fault]:
    labels = _at(made.body, place)
    if not isinstance(labels, dict):
        return
    for key, value in labels.items():
        if not _LABEL_KEY.fullmatch(str(key)):
            yield Fault(source=made.path, path=".".join(place), message=f"{key!r} cannot be the key of a label")
        if not isinstance(value, str) or not _LABEL_VALUE.fullmatch(value):
            yield Fault(
                source=made.path,
                path=f"{'.'.join(place)}.{key}",
                message=f"{value!r} cannot be the value of a label",
                hint="letters, digits, hyphens, dots and underscores; 63 at most",
            )


def _nulls(value: Value, path: str) -> Iterator[str]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _nulls(item, f"{path}.{key}" if path else key)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _nulls(item, f"{path}[{index}]")
    elif value is None:
        yield path


def _duplicates(manifests: tuple[Manifest, ...]) -> Iterator[Fault]:
    objects = Counter(each.identity for each in manifests if not each.is_kustomization)
    for (_, kind, namespace, name), times in objects.items():
        if times > 1:
            place = f" in namespace {namespace}" if namespace else ""
            message = f"{counted(times, 'object')} would be {kind} {name!r}{place}"
            yield Fault(source="plan", message=message, hint="rename an agent")


def _at(value: Value, place: tuple[str, ...]) -> Value:
    """What stands at a place, or None."""
    for key in place:
        if not isinstance(value, dict):
            return None
        value = value.get(key)
    return value
