"""How Kustomize puts the tree together.

``base`` has what every cluster gets. ``karpenter`` has the nodes for clusters whose nodes Karpenter makes, and
``device-plugin`` what shared accelerators need. Each overlay is one way to run the stack::

    overlays/karpenter      base + device-plugin + karpenter
    overlays/node-groups    base + device-plugin; managed node groups, or you, make the nodes
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from agentgpu_iac.rendering.context import Context, Draft
from agentgpu_iac.rendering.manifest import Manifest
from agentgpu_iac.rendering.names import BASE, DEVICE_PLUGIN, KARPENTER

_OVERLAYS = {
    "karpenter": (BASE, DEVICE_PLUGIN, KARPENTER),
    "node-groups": (BASE, DEVICE_PLUGIN),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class KustomizationContext(Context):
    """The list of what is in a folder."""

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
