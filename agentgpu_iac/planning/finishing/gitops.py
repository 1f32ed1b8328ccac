"""How a GitOps tool is told to apply a stack."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final, Literal

from agentgpu_iac.plan import GitOpsPlan, NodePool, Workload
from agentgpu_iac.spec.model import GitOps, StackSpec

_NAMESPACES: Final = {"argocd": "argocd", "flux": "flux-system"}
"""Where each tool is installed by its own guide."""

_TAG = re.compile(r"v?[0-9]+\.[0-9]+(\.[0-9]+)?([-+][A-Za-z0-9.+-]+)?")
"""A revision of this form is a tag; any other is a branch. Flux must be told which."""

_SHORT_SSH = re.compile(r"(?P<user>git)@(?P<host>[^:/]+):(?P<path>[^/].*)")
"""git@host:path, which Git takes and Flux does not."""


def plan(spec: StackSpec, workloads: Sequence[Workload], node_pools: Sequence[NodePool]) -> GitOpsPlan | None:
    """What the tool is told; nothing where the spec names no tool."""
    wanted = spec.gitops
    if wanted is None:
        return None
    return GitOpsPlan(
        tool=wanted.tool,
        repository=_repository(wanted),
        revision=wanted.revision,
        revision_kind="tag" if _TAG.fullmatch(wanted.revision) else "branch",
        path=f"{wanted.path}/overlays/{overlay(spec, node_pools)}",
        namespace=wanted.namespace or _NAMESPACES[wanted.tool],
        timeout_s=max(workload.rollout.progress_deadline_s for workload in workloads if workload.tier == "baseline"),
        others_scale=_others_scale(spec, wanted, workloads),
    )


def overlay(spec: StackSpec, node_pools: Sequence[NodePool]) -> Literal["karpenter", "node-groups"]:
    """The overlay that the spec asks for, as far as Karpenter makes any of the nodes."""
    wanted = spec.gitops.overlay if spec.gitops is not None else "node-groups"
    return wanted if any(pool.autoscaler == "karpenter" for pool in node_pools) else "node-groups"


def _repository(wanted: GitOps) -> str:
    return _SHORT_SSH.sub(r"ssh://\g<user>@\g<host>/\g<path>", wanted.repository)


def _others_scale(spec: StackSpec, wanted: GitOps, workloads: Sequence[Workload]) -> tuple[str, ...]:
    """Burst Deployments: a scaler sets their replicas, or you do.

    Where a scaler does, their manifests say nothing of replicas, and Flux then leaves them alone; only where you scale
    by hand must it be told (kustomize-controller 1.9 or newer). Argo CD is told in either case.
    """
    if wanted.tool == "flux" and spec.scaling.method != "none":
        return ()
    return tuple(workload.name for workload in workloads if workload.tier == "burst")
