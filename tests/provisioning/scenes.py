"""The plans and manifests that the tests of this room deploy."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Literal

from agentgpu_iac.planning.plan import GitOpsPlan, Plan, RenderedFile
from agentgpu_iac.provisioning.aws.program import Settings, deploy
from agentgpu_iac.rendering.render import render
from tests.plans import make_grouped_plan, make_plan, make_pool, make_tiered_plan, make_workload
from tests.provisioning.recording import Recording, record

NAMESPACE = b"apiVersion: v1\nkind: Namespace\nmetadata:\n  name: demo\n"
SERVICE = b"apiVersion: v1\nkind: Service\nmetadata:\n  name: support\n  namespace: demo\n"
DEPLOYMENT = b"apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: support\n  namespace: demo\n"
NODE_POOL = b"apiVersion: karpenter.sh/v1\nkind: NodePool\nmetadata:\n  name: demo-baseline-g6e-xlarge\n"
SCALED_OBJECT = b"apiVersion: keda.sh/v1alpha1\nkind: ScaledObject\nmetadata:\n  name: support\n  namespace: demo\n"


def kustomization(folder: str, *resources: str) -> RenderedFile:
    """The list of what belongs to a folder."""
    text = "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources:\n"
    content = text + "".join(f"- {resource}\n" for resource in resources)
    return RenderedFile(path=f"{folder}/kustomization.yaml", content=content.encode())


FILES = (
    kustomization(
        "base", "namespace-demo.yaml", "deployment-support.yaml", "service-support.yaml", "scaledobject-support.yaml"
    ),
    RenderedFile(path="base/namespace-demo.yaml", content=NAMESPACE),
    RenderedFile(path="base/deployment-support.yaml", content=DEPLOYMENT),
    RenderedFile(path="base/service-support.yaml", content=SERVICE),
    RenderedFile(path="karpenter/nodepool.yaml", content=NODE_POOL),
    RenderedFile(path="base/scaledobject-support.yaml", content=SCALED_OBJECT),
    kustomization("karpenter", "nodepool.yaml"),
    kustomization("overlays/karpenter", "../../base", "../../karpenter"),
    kustomization("overlays/node-groups", "../../base"),
    RenderedFile(path="README.md", content=b"not a manifest: {"),
)


def shared_plan() -> Plan:
    """Two small agents that stay resident on one accelerator, in a group of fixed size."""
    pool = make_pool(
        name="demo-shared",
        sharing="time-slicing",
        slots_per_accelerator=2,
        fixed_size=True,
        min=2,
        max=2,
        ami_alias=None,
    )
    router = make_workload(agent="router", name="router", node_pool=pool.name, share_group="demo-shared-0")
    writer = make_workload(agent="writer", name="writer", node_pool=pool.name, share_group="demo-shared-0")
    return make_plan(workloads=(router, writer), node_pools=(pool,))


def rootless_plan() -> Plan:
    """A pool without instance store: the cache lies on the root volume."""
    return make_plan(node_pools=(make_pool(nvme_gb=0, cache_path="/var/lib/agentgpu/models"),))


SCENES = {
    "single": make_plan,
    "tiered": make_tiered_plan,
    "shared": shared_plan,
    "ebs": rootless_plan,
    "grouped": make_grouped_plan,
}


MODELS = "s3://acme-models/agents"


def bucket_plan(url: str = MODELS) -> Plan:
    """Caches that are filled from a bucket."""
    pool = make_pool()
    assert pool.filler is not None
    return make_plan(node_pools=(pool.model_copy(update={"filler": pool.filler.model_copy(update={"bucket": url})}),))


def mixed_plan() -> Plan:
    """A pool of fixed size, and one whose size may change."""
    fixed, elastic = shared_plan(), make_tiered_plan()
    return make_plan(
        workloads=(*fixed.workloads, *elastic.workloads), node_pools=(*fixed.node_pools, *elastic.node_pools)
    )


def handed_over_plan(nodes: str = "node-groups", tool: Literal["argocd", "flux"] = "argocd") -> Plan:
    """A stack that a GitOps tool applies."""
    plan = make_tiered_plan()
    gitops = GitOpsPlan(
        tool=tool,
        repository="https://git.invalid/acme/stacks.git",
        revision="main",
        revision_kind="branch",
        path=f"stacks/demo/overlays/{nodes}",
        namespace="argocd" if tool == "argocd" else "flux-system",
        timeout_s=900,
        others_scale=("support-burst",),
    )
    return plan.model_copy(update={"gitops": gitops})


KARPENTER = Settings(nodes="karpenter", karpenter_chart="oci://charts.invalid/karpenter/karpenter")

CHOICES: dict[str, tuple[Callable[[], Plan], Settings]] = {
    "karpenter": (make_tiered_plan, KARPENTER),
    "karpenter and groups": (mixed_plan, KARPENTER),
    "bucket": (bucket_plan, Settings()),
    "own bucket": (bucket_plan, Settings(model_bucket="create")),
    "own bucket that goes": (bucket_plan, Settings(model_bucket="create", delete_model_bucket=True)),
    "handed over": (handed_over_plan, Settings(installed_api_groups=frozenset({"argoproj.io"}))),
    "handed over with Karpenter": (lambda: handed_over_plan("karpenter", "flux"), KARPENTER),
}
"""Plans with settings other than the defaults, deployed with the files that are rendered for them."""

RECORDED = (*SCENES, *CHOICES)


@cache
def scene(name: str) -> Recording:
    """What deploying that plan asked for; recorded once, and only ever read."""
    if name in SCENES:
        return record(lambda: deploy(SCENES[name](), FILES))
    plan, settings = CHOICES[name]
    return record(lambda: deploy(plan(), render(plan()), settings))
