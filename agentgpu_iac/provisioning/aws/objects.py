"""Which of the rendered objects this program applies, and what applies the others."""

from __future__ import annotations

from dataclasses import dataclass

from agentgpu_iac.plan import Plan, RenderedFile
from agentgpu_iac.provisioning.aws.karpenter import KARPENTER_GROUPS
from agentgpu_iac.provisioning.aws.node_makers import KARPENTER, OVERLAYS
from agentgpu_iac.provisioning.manifests import GITOPS_FOLDER, Manifest, Manifests, read_manifests


@dataclass(frozen=True, slots=True, kw_only=True)
class Objects:
    """The objects of the stack, by what applies them."""

    serving: Manifests
    """Those that Pulumi applies once there are nodes, and those that wait for an operator."""
    karpenter: tuple[Manifest, ...]
    """Those that Pulumi applies once Karpenter runs: what tells it which nodes to make."""
    handed_over: Manifests | None
    """Those that a GitOps tool applies in Pulumi's place; None where there is no tool."""


def sort_objects(
    plan: Plan, files: tuple[RenderedFile, ...], *, nodes: str, installed_groups: frozenset[str]
) -> Objects:
    """Sort the objects of the overlay that goes with whatever makes the nodes.

    Where the plan names a GitOps tool, Pulumi applies what tells the tool of the stack, and nothing else: two that
    apply the same object would undo each other's work.
    """
    groups = installed_groups | KARPENTER_GROUPS if nodes == KARPENTER else installed_groups
    overlay = read_manifests(files, groups, OVERLAYS[nodes])
    if plan.gitops is not None:
        told = read_manifests(files, installed_groups, GITOPS_FOLDER)
        return Objects(serving=told, karpenter=(), handed_over=overlay)
    return Objects(
        serving=Manifests(
            applied=tuple(manifest for manifest in overlay.applied if manifest.api_group not in KARPENTER_GROUPS),
            waiting=overlay.waiting,
        ),
        karpenter=tuple(manifest for manifest in overlay.applied if manifest.api_group in KARPENTER_GROUPS),
        handed_over=None,
    )
