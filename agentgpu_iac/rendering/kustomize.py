"""How Kustomize puts the tree together.

``base`` has what every cluster gets; the folders beside it hold what needs an operator in the cluster, each only where
the plan has something for it. Each overlay is one way to run the stack::

    overlays/karpenter      everything, and the nodes that Karpenter makes
    overlays/node-groups    everything; managed node groups, or you, make the nodes, and none for a rollout alone

``gitops`` is in no overlay: it is what tells a GitOps tool to apply one, and goes where that tool runs.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from agentgpu_iac.plan import Plan, RolloutSteps, Workload
from agentgpu_iac.rendering.context import Context, Draft
from agentgpu_iac.rendering.manifest import Manifest
from agentgpu_iac.rendering.names import BASE, DEVICE_PLUGIN, GATEWAY, GROUPS, KARPENTER, MONITORING, SCALING, SECRETS

_ALWAYS = (BASE, GROUPS, DEVICE_PLUGIN, SECRETS, GATEWAY, SCALING, MONITORING)

_NODE_GROUPS = "node-groups"
_OVERLAYS = {
    "karpenter": (*_ALWAYS, KARPENTER),
    _NODE_GROUPS: _ALWAYS,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class KustomizationContext(Context):
    """The kustomization of a folder: what it holds."""

    template: ClassVar[str] = "kustomization.yaml.j2"
    namespace: tuple[str, ...]
    """The one namespace of the folder's objects, or nothing where they have none or their own."""
    resources: tuple[str, ...]
    patches: tuple[tuple[str, str, str], ...] = ()
    """Kind and name of objects that are changed here, and the change as a merge patch."""
    has_patches: bool = False


def kustomization_drafts(plan: Plan, manifests: Sequence[Manifest]) -> tuple[Draft, ...]:
    """A kustomization for each folder that holds objects, and for each overlay of those folders."""
    folders = tuple(sorted({each.folder for each in manifests}))
    overlays = tuple(name for name in _OVERLAYS if name != KARPENTER or KARPENTER in folders)
    return (
        *(_folder(plan.stack, folder, manifests) for folder in folders),
        *(_overlay(overlay, folders, _patches(plan) if overlay == _NODE_GROUPS else ()) for overlay in overlays),
    )


def _folder(stack: str, folder: str, manifests: Sequence[Manifest]) -> Draft:
    names = sorted(each.file_name for each in manifests if each.folder == folder)
    context = KustomizationContext(namespace=(stack,) if folder == BASE else (), resources=tuple(names))
    return Draft(folder=folder, context=context)


def _overlay(overlay: str, folders: tuple[str, ...], patches: tuple[tuple[str, str, str], ...]) -> Draft:
    context = KustomizationContext(
        namespace=(),
        resources=tuple(f"../../{folder}" for folder in _OVERLAYS[overlay] if folder in folders),
        patches=patches,
        has_patches=bool(patches),
    )
    return Draft(folder=f"overlays/{overlay}", context=context)


def _patches(plan: Plan) -> tuple[tuple[str, str, str], ...]:
    """Rollouts that would wait for a node which nobody makes."""
    return tuple(
        (workload.kind, workload.name, json.dumps(_in_place(workload, steps)))
        for workload in plan.workloads
        if (steps := workload.rollout.fixed_nodes) is not None
    )


def _in_place(workload: Workload, steps: RolloutSteps) -> dict[str, object]:
    step = {"maxSurge": steps.max_surge, "maxUnavailable": steps.max_unavailable}
    if workload.kind == "Deployment":
        version, spec = "apps/v1", {"strategy": {"rollingUpdate": step}}
    else:
        version, spec = (
            "leaderworkerset.x-k8s.io/v1",
            {"rolloutStrategy": {"rollingUpdateConfiguration": step}},
        )
    return {"apiVersion": version, "kind": workload.kind, "metadata": {"name": workload.name}, "spec": spec}
