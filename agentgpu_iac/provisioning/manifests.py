"""Rendered manifests, read back: which of them Pulumi can apply to a cluster that is only just being made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

import yaml

from agentgpu_iac.planning.plan import RenderedFile

BUILT_IN_GROUPS = frozenset(
    {
        "",
        "admissionregistration.k8s.io",
        "apps",
        "autoscaling",
        "batch",
        "coordination.k8s.io",
        "networking.k8s.io",
        "policy",
        "rbac.authorization.k8s.io",
        "resource.k8s.io",
        "scheduling.k8s.io",
        "storage.k8s.io",
    }
)
"""API groups that every cluster serves. All others come with an operator that someone must install first."""

_NOT_APPLIED = frozenset({"karpenter", "device-plugin", "gitops", "overlays"})
"""Folders of the tree whose objects this program does not apply."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """One Kubernetes object, and the rendered file that it stands in."""

    path: str
    content: Mapping[str, Any]

    @property
    def kind(self) -> str:
        """The object's kind."""
        return str(self.content["kind"])

    @property
    def name(self) -> str:
        """The object's name."""
        return str(self.content["metadata"]["name"])

    @property
    def api_group(self) -> str:
        """The object's API group; empty for the core group."""
        group, separator, _ = str(self.content["apiVersion"]).rpartition("/")
        return group if separator else ""

    def __str__(self) -> str:
        return f"{self.kind} {self.name} ({self.content['apiVersion']})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifests:
    """The objects to apply, and those left to you, in the order of their files."""

    applied: tuple[Manifest, ...]
    waiting: tuple[Manifest, ...]
    """Objects of operators that are not installed yet."""


def read_manifests(files: tuple[RenderedFile, ...], installed_groups: frozenset[str]) -> Manifests:
    """Read the objects of the tree and sort them by what the cluster can take.

    Not those that ask Karpenter for nodes, whose place the node groups of this program take, and not those that tell
    a GitOps tool to apply the tree.

    ``installed_groups`` are the API groups of operators that you have installed: their objects are applied too.
    """
    objects = tuple(manifest for file in files if _is_applied(file.path) for manifest in _parse(file))
    served = BUILT_IN_GROUPS | installed_groups
    return Manifests(
        applied=tuple(one for one in objects if one.api_group in served),
        waiting=tuple(one for one in objects if one.api_group not in served),
    )


def _is_applied(path: str) -> bool:
    folder, _, name = path.partition("/")
    return folder not in _NOT_APPLIED and name.endswith(".yaml") and PurePosixPath(name).name != "kustomization.yaml"


def _parse(file: RenderedFile) -> tuple[Manifest, ...]:
    documents = yaml.load_all(file.content, Loader=yaml.CSafeLoader)
    return tuple(Manifest(path=file.path, content=document) for document in documents if document is not None)
