"""What a cluster holds at one moment, as far as one stack is concerned."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from agentgpu_iac.clusters.port import Body, at


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Kind:
    """A kind of object, in one version of its API."""

    api_version: str
    name: str

    @property
    def group(self) -> str:
        """The API group; empty for the core."""
        return self.api_version.rpartition("/")[0]

    def __str__(self) -> str:
        return f"{self.name} ({self.api_version})"


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Ref:
    """Identifies an object within a cluster."""

    kind: Kind
    namespace: str
    """Empty where the kind has no namespaces."""
    name: str

    def __str__(self) -> str:
        return f"{self.kind.name} {self.namespace}/{self.name}" if self.namespace else f"{self.kind.name} {self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """What was read, and what could not be read, so that it is not mistaken for absent."""

    objects: Mapping[Ref, Body]
    """Planned objects that exist, and objects that carry the stack's label."""
    pods: tuple[Body, ...] = ()
    """Of the stack."""
    neighbours: tuple[str, ...] = ()
    """Pods in the stack's namespace that are not the stack's, by name; asked for where the namespace is not either."""
    events: tuple[Body, ...] = ()
    """Warnings in the stack's namespace."""
    nodes: tuple[Body, ...] = ()
    """Of the plan's pools."""
    node_claims: tuple[Body, ...] = ()
    """What Karpenter has asked the provider for, for the plan's pools."""
    scalers: tuple[Body, ...] = ()
    """HorizontalPodAutoscalers in the stack's namespace, whoever made them."""
    not_served: frozenset[Kind] = frozenset()
    """Planned kinds that the cluster does not know."""
    forbidden: Mapping[Kind, str] = field(default_factory=dict)
    """Planned kinds that we may not read, and what the cluster said."""
    unread: tuple[str, ...] = ()
    """What only explains (pods, nodes, events) and could not be read, in the plural."""


def count(body: Body, *place: str) -> int:
    """A number of an object's status; the API server leaves out zeros."""
    found = at(body, *place)
    return found if isinstance(found, int) else 0


def items(body: Any, *place: str) -> tuple[Body, ...]:
    """The mappings of a list, or nothing."""
    found = at(body, *place)
    return tuple(each for each in found if isinstance(each, Mapping)) if isinstance(found, list | tuple) else ()


def name_of(body: Body) -> str:
    """The name of an object."""
    return str(at(body, "metadata", "name") or "")


def label(body: Body, key: str) -> str:
    """The value of a label; empty where there is none."""
    return str(at(body, "metadata", "labels", key) or "")


def condition(body: Body, kind: str) -> Body:
    """A condition of an object's status; empty where there is none."""
    return next((each for each in items(body, "status", "conditions") if each.get("type") == kind), {})


def is_true(found: Body) -> bool:
    """Whether a condition holds."""
    return found.get("status") == "True"


def selects(selector: Any, body: Body) -> bool:
    """Whether an object carries all labels of a selector; an empty one selects nothing here."""
    wanted = dict(selector) if isinstance(selector, Mapping) else {}
    return bool(wanted) and all(label(body, key) == value for key, value in wanted.items())


def moment(text: Any) -> datetime | None:
    """A time as the API server writes it."""
    try:
        return datetime.fromisoformat(str(text)) if text else None
    except ValueError:
        return None


def living(pods: tuple[Body, ...]) -> Iterator[Body]:
    """Pods that are neither finished nor on their way out."""
    for pod in pods:
        if at(pod, "status", "phase") not in ("Succeeded", "Failed") and not at(pod, "metadata", "deletionTimestamp"):
            yield pod
