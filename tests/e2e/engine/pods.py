"""The engines' containers as they are rendered: what a kubelet would start, ask and stop."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import yaml

from agentgpu_iac.plan import Plan, RenderedFile
from agentgpu_iac.rendering.render import render

Object = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class EnginePod:
    """A pod template whose container runs an engine."""

    owner: str
    """Name of the object that makes such pods."""
    template: Object
    container: Object

    @property
    def command(self) -> tuple[str, ...]:
        """The program that the script becomes once it holds the models, and the words that belong to it."""
        return _behind(self.container["command"])

    @property
    def args(self) -> tuple[str, ...]:
        """Its arguments, with variables of the container put in as Kubernetes does."""
        values = self.environment
        return tuple(
            re.sub(r"\$\((\w+)\)", lambda match: values.get(match[1], "0"), arg) for arg in self.container["args"]
        )

    @property
    def environment(self) -> dict[str, str]:
        """Variables whose value stands in the manifest."""
        return {each["name"]: each["value"] for each in self.container.get("env", ()) if "value" in each}

    @property
    def probe_paths(self) -> dict[str, str]:
        """What the kubelet asks for, by probe."""
        probes = ("startupProbe", "readinessProbe", "livenessProbe")
        return {probe: self.container[probe]["httpGet"]["path"] for probe in probes}

    @property
    def pre_stop_s(self) -> int:
        """Seconds before SIGTERM."""
        seconds: int = self.container["lifecycle"]["preStop"]["sleep"]["seconds"]
        return seconds

    @property
    def grace_period_s(self) -> int:
        """Seconds from the wish to end a pod to SIGKILL."""
        seconds: int = self.template["terminationGracePeriodSeconds"]
        return seconds


def _behind(command: list[str]) -> tuple[str, ...]:
    return tuple(command[command.index("--") + 1 :] if "--" in command else command)


def objects(files: Iterable[RenderedFile]) -> Iterator[Object]:
    """Every manifest of a rendered tree."""
    for file in files:
        for document in yaml.safe_load_all(file.content):
            if isinstance(document, dict):
                yield document


def engine_pods(plan: Plan) -> Iterator[EnginePod]:
    """Every engine container of a plan, whatever kind of object it is in."""
    for body in objects(render(plan)):
        for template in _pod_specs(body.get("spec")):
            for container in template["containers"]:
                if _behind(container.get("command", []))[:2] == ("vllm", "serve"):
                    yield EnginePod(owner=body["metadata"]["name"], template=template, container=container)


def _pod_specs(node: object) -> Iterator[Object]:
    if isinstance(node, dict):
        if "containers" in node:
            yield node
        else:
            for value in node.values():
                yield from _pod_specs(value)


def flags(args: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Each flag with the words behind it; the model stands under the empty name."""
    found: dict[str, tuple[str, ...]] = {"": ()}
    current = ""
    for arg in args:
        if arg.startswith("--"):
            current = arg
            found[current] = ()
        else:
            found[current] += (arg,)
    return found
