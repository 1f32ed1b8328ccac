"""What is rendered for each stack of these suites: the examples, plans made by hand, and stacks with every part on."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from agentgpu_iac.catalog.store import load_catalog
from agentgpu_iac.plan import Plan
from agentgpu_iac.planning.planner import make_plan
from agentgpu_iac.rendering.render import render
from agentgpu_iac.spec.loader import load, load_text
from tests.examples import ON_A_CLUSTER
from tests.rendering.trees import PLANS

OWN = sorted((Path(__file__).parent / "stacks").glob("*.yaml"))
STACKS = {path.stem: path for path in (*ON_A_CLUSTER, *OWN)}
STACK_NAMES = tuple(STACKS)
NAMES = (*STACK_NAMES, *(f"plan-{name}" for name in PLANS))

Object = dict[str, Any]

POD_KINDS = ("Deployment", "DaemonSet", "StatefulSet", "LeaderWorkerSet")


@dataclass(frozen=True, slots=True, kw_only=True)
class Tree:
    """A plan and all its objects, namespaces first, then in the order of their files."""

    plan: Plan
    objects: tuple[Object, ...]
    texts: tuple[str, ...]
    """The same objects as they stand in their files."""

    @property
    def text(self) -> str:
        """All of them in one."""
        return "---\n".join(self.texts)

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
    return tree_of(make_plan(load(STACKS[name]), load_catalog()))


def tree_of_text(text: str) -> Tree:
    """What a spec, given as text, is rendered to."""
    return tree_of(make_plan(load_text(text, "spec.yaml"), load_catalog()))


def tree_of(plan: Plan) -> Tree:
    """What a plan is rendered to: the objects. Other files are for tools: lists for Kustomize, values for charts."""
    texts = (file.content.decode() for file in render(plan))
    found = [(body, text) for text in texts if is_object(body := yaml.safe_load(text))]
    made = sorted(found, key=lambda each: each[0]["kind"] != "Namespace")
    return Tree(plan=plan, objects=tuple(body for body, _ in made), texts=tuple(text for _, text in made))


def is_object(body: Object) -> bool:
    """Whether a file is for the API server."""
    return "kind" in body and not str(body.get("apiVersion", "")).startswith("kustomize.config.k8s.io/")


def identity(each: Object) -> tuple[str, str, str]:
    """Kind, namespace and name of an object."""
    metadata = each["metadata"]
    return each["kind"], metadata.get("namespace", ""), metadata["name"]


def containers(pod: Object) -> Iterator[Object]:
    """The containers of a pod specification, those that only start it included."""
    yield from pod.get("initContainers", ())
    yield from pod["containers"]
