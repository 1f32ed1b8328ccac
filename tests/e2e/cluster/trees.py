"""What is rendered for each stack of these suites: the examples, plans made by hand, and stacks with every part on."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from agentgpu_iac.catalog.store import load_catalog
from agentgpu_iac.planning.plan import Plan
from agentgpu_iac.planning.planner import make_plan
from agentgpu_iac.rendering.render import render
from agentgpu_iac.spec.loader import load, load_text
from tests.rendering.trees import PLANS

ROOT = Path(__file__).resolve().parents[3]
EXAMPLES = {
    path.stem: path
    for folder in (ROOT / "stacks", ROOT / "stacks" / "examples")
    for path in sorted(folder.glob("*.yaml"))
    if not path.name.startswith("Pulumi.")
}
OWN = {path.stem: path for path in sorted((Path(__file__).parent / "stacks").glob("*.yaml"))}
NAMES = (*EXAMPLES, *OWN, *(f"plan-{name}" for name in PLANS))

Object = dict[str, Any]

POD_KINDS = ("Deployment", "DaemonSet", "StatefulSet", "LeaderWorkerSet")


@dataclass(frozen=True, slots=True, kw_only=True)
class Tree:
    """A plan and all its objects, namespaces first, then in the order of their files."""

    plan: Plan
    objects: tuple[Object, ...]

    def of_kind(self, *kinds: str) -> tuple[Object, ...]:
        """The objects of some kinds."""
        return tuple(each for each in self.objects if each["kind"] in kinds)

    def named(self, kind: str, name: str) -> Object:
        """One object."""
        (found,) = (each for each in self.of_kind(kind) if each["metadata"]["name"] == name)
        return found

    @property
    def foreign_namespaces(self) -> tuple[str, ...]:
        """Namespaces of objects that go where an operator runs."""
        own = {each["metadata"]["name"] for each in self.of_kind("Namespace")}
        return tuple(sorted({each["metadata"].get("namespace", self.plan.stack) for each in self.objects} - own))


@functools.cache
def tree(name: str) -> Tree:
    """What one of the stacks is rendered to."""
    if name.startswith("plan-"):
        return tree_of(PLANS[name.removeprefix("plan-")]())
    return tree_of(make_plan(load({**EXAMPLES, **OWN}[name]), load_catalog()))


def tree_of_text(text: str) -> Tree:
    """What a spec, given as text, is rendered to."""
    return tree_of(make_plan(load_text(text, "spec.yaml"), load_catalog()))


def tree_of(plan: Plan) -> Tree:
    """What a plan is rendered to. Kustomizations are for the tool of that name, not for the API server."""
    objects = [yaml.safe_load(file.content) for file in render(plan) if not file.path.endswith("kustomization.yaml")]
    return Tree(plan=plan, objects=tuple(sorted(objects, key=lambda each: each["kind"] != "Namespace")))


def identity(each: Object) -> tuple[str, str, str]:
    """Kind, namespace and name of an object."""
    metadata = each["metadata"]
    return each["kind"], metadata.get("namespace", ""), metadata["name"]


def containers(pod: Object) -> Iterator[Object]:
    """The containers of a pod specification, those that only start it included."""
    yield from pod.get("initContainers", ())
    yield from pod["containers"]
