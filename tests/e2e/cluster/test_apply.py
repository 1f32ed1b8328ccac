"""Every object of every stack is accepted by a real API server, stays as it was applied, and applies again for nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agentgpu_iac.rendering.render import render
from agentgpu_iac.rendering.write import write
from tests.e2e.cluster.control_plane import ControlPlane, Object
from tests.e2e.cluster.drift import ALLOWED, differences
from tests.e2e.cluster.trees import NAMES, Tree, identity, tree

STACKS = pytest.mark.parametrize("name", NAMES)


@pytest.fixture
def applied(equipped_cluster: ControlPlane, name: str) -> Iterator[Tree]:
    """A stack, applied; its namespaced objects and volumes go when the test ends."""
    made = tree(name)
    for namespace in made.foreign_namespaces:
        equipped_cluster.add_namespace(namespace)
    equipped_cluster.apply(made.text)
    yield made
    equipped_cluster.remove(made.objects)


used: set[Any] = set()
"""Allowed differences that some object had."""


@STACKS
def test_stacks_are_accepted_stay_as_they_are_and_apply_again_for_nothing(
    equipped_cluster: ControlPlane, applied: Tree
) -> None:
    live = settled(equipped_cluster, applied)
    assert live.keys() == {identity(each) for each in applied.objects}
    drifted = []
    for ours in applied.objects:
        kind = ours["kind"]
        for path in differences(ours, live[identity(ours)]):
            reasons = [one for one in ALLOWED if one.covers(kind, path)]
            used.update(reasons)
            if not reasons:
                drifted.append(f"{kind} {ours['metadata']['name']}: {path}")
    assert not drifted, "\n".join(drifted)

    equipped_cluster.apply(applied.text)
    again = {key: unchanging(each) for key, each in read(equipped_cluster, applied).items()}
    assert again == {key: unchanging(each) for key, each in live.items()}


@pytest.mark.parametrize("overlay", ["karpenter", "node-groups"])
def test_overlays_are_accepted_as_kustomize_puts_them_together(
    equipped_cluster: ControlPlane, tmp_path: Path, overlay: str
) -> None:
    made = tree("operators")
    for namespace in (made.plan.stack, *made.foreign_namespaces):
        equipped_cluster.add_namespace(namespace)
    write(render(made.plan), tmp_path / "tree")
    built = tmp_path / "tree" / "overlays" / overlay
    said = equipped_cluster.kubectl("apply", "--server-side", "--force-conflicts", "--dry-run=server", "-k", built)
    assert "deployment.apps/support serverside-applied" in said
    assert ("nodepool.karpenter.sh" in said) == (overlay == "karpenter")


def test_every_allowed_difference_is_needed() -> None:
    assert [one for one in ALLOWED if one not in used] == []


def read(cluster: ControlPlane, made: Tree) -> dict[tuple[str, str, str], Object]:
    """The live objects of a stack."""
    listed = json.dumps({"apiVersion": "v1", "kind": "List", "items": made.objects})
    answer = json.loads(cluster.kubectl("get", "-o", "json", "--show-managed-fields", "-f", "-", text=listed))
    return {identity(each): each for each in answer.get("items", [answer])}


def settled(cluster: ControlPlane, made: Tree) -> dict[tuple[str, str, str], Object]:
    """The live objects, once the controllers have bound the claims and seen every version."""

    def answer() -> dict[tuple[str, str, str], Object]:
        live = read(cluster, made)
        return live if all(is_settled(each) for each in live.values()) else {}

    return cluster.until("the controllers have seen the stack", answer, pause_s=0.3)


def is_settled(live: Object) -> bool:
    """Whether the controllers of built-in kinds are done with an object."""
    status = live.get("status", {})
    match live["kind"]:
        case "PersistentVolumeClaim" | "PersistentVolume":
            return status.get("phase") == "Bound"
        case "Deployment" | "DaemonSet":
            return status.get("observedGeneration") == live["metadata"]["generation"]
        case _:
            return True


def unchanging(live: Object) -> Object:
    """All of an object that a second apply may not touch: everything but what controllers report in its status.

    That includes the time of our last change, which the API server keeps where a change was one, and for kinds
    without a status the version of the object itself.
    """
    metadata = dict(live["metadata"])
    metadata["managedFields"] = [one for one in metadata["managedFields"] if one["operation"] == "Apply"]
    if "status" in live:
        del metadata["resourceVersion"]
    return {**{key: value for key, value in live.items() if key != "status"}, "metadata": metadata}
