"""Plan to the files of its target: the pipeline, pass by pass."""

from __future__ import annotations

from collections.abc import Callable

from agentgpu_iac.plan import Plan, RenderedFile
from agentgpu_iac.rendering.burst_scaler import burst_scaler_drafts
from agentgpu_iac.rendering.context import Draft
from agentgpu_iac.rendering.engine import engine_drafts
from agentgpu_iac.rendering.gateway import gateway_drafts
from agentgpu_iac.rendering.gitops import gitops_drafts
from agentgpu_iac.rendering.hosts import hosts_tree
from agentgpu_iac.rendering.karpenter import karpenter_drafts
from agentgpu_iac.rendering.kustomize import kustomization_drafts
from agentgpu_iac.rendering.manifest import check, manifest, rendered
from agentgpu_iac.rendering.model_cache import model_cache_drafts
from agentgpu_iac.rendering.monitoring import monitoring_drafts
from agentgpu_iac.rendering.network_policy import network_policy_drafts
from agentgpu_iac.rendering.proxy import proxy_drafts
from agentgpu_iac.rendering.router import router_drafts
from agentgpu_iac.rendering.scaling import scaling_drafts
from agentgpu_iac.rendering.secrets import secret_drafts
from agentgpu_iac.rendering.service import service_drafts
from agentgpu_iac.rendering.sharing import sharing_drafts
from agentgpu_iac.rendering.skyserve import skyserve_tree
from agentgpu_iac.rendering.stack import stack_drafts
from agentgpu_iac.rendering.startup_taint import startup_taint_drafts
from agentgpu_iac.rendering.sync_waves import in_waves
from agentgpu_iac.spec.vocabulary import Target


def render(plan: Plan) -> tuple[RenderedFile, ...]:
    """Print a plan as the files of its target, in the order of their paths.

    The same plan gives the same bytes. Raises BadInput, with every fault, for a plan that cannot be printed: a name
    that Kubernetes does not accept, two workloads of one name, an engine that has no manifest yet.
    """
    return _TREES[plan.target](plan)


def kustomize_tree(plan: Plan) -> tuple[RenderedFile, ...]:
    """One file per Kubernetes object, the kustomizations that join them, and what machines beside the cluster run."""
    cluster = plan.in_cluster
    objects = in_waves(cluster, tuple(manifest(draft) for draft in object_drafts(cluster)))
    check(objects)
    kustomizations = tuple(manifest(draft) for draft in kustomization_drafts(cluster, objects))
    check(kustomizations)
    files = rendered(cluster, (*objects, *kustomizations))
    return files if cluster is plan else tuple(sorted((*files, *hosts_tree(plan)), key=lambda file: file.path))


def object_drafts(plan: Plan) -> tuple[Draft, ...]:
    """Every Kubernetes object that a plan asks for."""
    return (
        *stack_drafts(plan),
        *engine_drafts(plan),
        *service_drafts(plan),
        *router_drafts(plan),
        *proxy_drafts(plan),
        *gateway_drafts(plan),
        *model_cache_drafts(plan),
        *startup_taint_drafts(plan),
        *network_policy_drafts(plan),
        *sharing_drafts(plan),
        *karpenter_drafts(plan),
        *scaling_drafts(plan),
        *burst_scaler_drafts(plan),
        *monitoring_drafts(plan),
        *secret_drafts(plan),
        *gitops_drafts(plan),
    )


_TREES: dict[Target, Callable[[Plan], tuple[RenderedFile, ...]]] = {
    "eks": kustomize_tree,
    "kubernetes": kustomize_tree,
    "spheron": hosts_tree,
    "compose": hosts_tree,
    "skyserve": skyserve_tree,
}
