"""Rendered manifests, read back: which of them Pulumi can apply to a cluster that is only just being made."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import yaml

from agentgpu_iac.plan import RenderedFile
from agentgpu_iac.plan.charts import DEVICE_PLUGIN_GROUP, ChartName, values_path
from agentgpu_iac.plan.nodes import DEVICE_PLUGIN_NAMESPACE
from agentgpu_iac.plan.overlays import patched, patches_of

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

_NAMESPACES_OF_OPERATORS = {DEVICE_PLUGIN_NAMESPACE: DEVICE_PLUGIN_GROUP}
"""Namespaces that come with an operator, and the API group by which it is known to be there."""

NODE_GROUPS_OVERLAY = "overlays/node-groups"
KARPENTER_OVERLAY = "overlays/karpenter"
GITOPS_FOLDER = "gitops"
"""Folders of the tree that can be applied, each with all that its kustomization names."""


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

    @property
    def needs(self) -> str:
        """The API group that must be there before the object: its own, or that of the operator whose namespace it is in."""
        return _NAMESPACES_OF_OPERATORS.get(self.content["metadata"].get("namespace", ""), self.api_group)

    @property
    def is_beside(self) -> bool:
        """Whether an operator serves it, or its namespace is an operator's."""
        return self.needs not in BUILT_IN_GROUPS

    @property
    def place(self) -> str:
        """Its name, after its namespace where it has one."""
        namespace = self.content["metadata"].get("namespace")
        return self.name if namespace is None else f"{namespace}/{self.name}"

    def __str__(self) -> str:
        return f"{self.kind} {self.name} ({self.content['apiVersion']})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifests:
    """The objects to apply, and those left to you, in the order of their files."""

    applied: tuple[Manifest, ...]
    waiting: tuple[Manifest, ...]
    """Objects of operators that are not installed yet."""


def read_manifests(
    files: tuple[RenderedFile, ...], installed_groups: frozenset[str], folder: str = NODE_GROUPS_OVERLAY
) -> Manifests:
    """Read what ``kubectl apply -k`` of a folder would apply, and sort it by what the cluster can take.

    The folder's kustomization says what belongs to it, so that Pulumi and Kustomize cannot disagree.

    ``installed_groups`` are the API groups of operators that you have installed: their objects are applied too.
    """
    objects = tuple(_objects({file.path: file for file in files}, folder))
    served = BUILT_IN_GROUPS | installed_groups
    return Manifests(
        applied=tuple(manifest for manifest in objects if manifest.needs in served),
        waiting=tuple(manifest for manifest in objects if manifest.needs not in served),
    )


def values_of(files: Sequence[RenderedFile], chart: ChartName) -> Mapping[str, Any]:
    """What the rendered tree tells a chart; nothing where its defaults are right."""
    path = values_path(chart)
    found = next((file for file in files if file.path == path), None)
    return {} if found is None else next(_documents(found))


def _objects(files: Mapping[str, RenderedFile], folder: str) -> Iterator[Manifest]:
    (kustomization,) = _documents(files[f"{folder}/kustomization.yaml"])
    patches = patches_of(kustomization)
    for resource in kustomization["resources"]:
        path = posixpath.normpath(f"{folder}/{resource}")
        found = _in_file(files[path], path) if path in files else _objects(files, path)
        for each in found:
            yield replace(each, content=patched(each.content, patches))


def _in_file(file: RenderedFile, path: str) -> Iterator[Manifest]:
    return (Manifest(path=path, content=document) for document in _documents(file))


def _documents(file: RenderedFile) -> Iterator[dict[str, Any]]:
    return (document for document in yaml.load_all(file.content, Loader=yaml.CSafeLoader) if document is not None)
