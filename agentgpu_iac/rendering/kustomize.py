"""How Kustomize puts the tree together.

``base`` has what every cluster gets; the folders beside it hold what needs an operator in the cluster, each only where
the plan has something for it. Each overlay is one way to run the stack::

    overlays/karpenter      everything, and the nodes that Karpenter makes
    overlays/node-groups    everything; managed node groups, or you, make the nodes

``gitops`` is in no overlay: it is what tells a GitOps tool to apply one, and goes where that tool runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from agentgpu_iac.rendering.context import Context, Draft
from agentgpu_iac.rendering.manifest import Manifest
from agentgpu_iac.rendering.names import BASE, DEVICE_PLUGIN, GATEWAY, GROUPS, KARPENTER, MONITORING, SCALING, SECRETS

_ALWAYS = (BASE, GROUPS, DEVICE_PLUGIN, SECRETS, GATEWAY, SCALING, MONITORING)

_OVERLAYS = {
    "karpenter": (*_ALWAYS, KARPENTER),
    "node-groups": _ALWAYS,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class KustomizationContext(Context):
    """The kustomization of a folder: what it holds."""

    template: ClassVar[str] = "kustomization.yaml.j2"
    namespace: tuple[str, ...]
    """The one namespace of the folder's objects, or nothing where they have none or their own."""
    resources: tuple[str, ...]


def kustomization_drafts(stack: str, manifests: Sequence[Manifest]) -> tuple[Draft, ...]:
    """A kustomization for each folder that holds objects, and for each overlay of those folders."""
    folders = tuple(sorted({each.folder for each in manifests}))
    overlays = tuple(name for name in _OVERLAYS if name != KARPENTER or KARPENTER in folders)
    return (
        *(_folder(stack, folder, manifests) for folder in folders),
        *(_overlay(overlay, folders) for overlay in overlays),
    )


def _folder(stack: str, folder: str, manifests: Sequence[Manifest]) -> Draft:
    names = sorted(each.file_name for each in manifests if each.folder == folder)
    context = KustomizationContext(namespace=(stack,) if folder == BASE else (), resources=tuple(names))
    return Draft(folder=folder, context=context)


def _overlay(overlay: str, folders: tuple[str, ...]) -> Draft:
    resources = tuple(f"../../{folder}" for folder in _OVERLAYS[overlay] if folder in folders)
    return Draft(folder=f"overlays/{overlay}", context=KustomizationContext(namespace=(), resources=resources))
