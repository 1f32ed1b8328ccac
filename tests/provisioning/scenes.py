"""The plans and manifests that the tests of this room deploy."""

from __future__ import annotations

from functools import cache

from agentgpu_iac.planning.plan import Plan, RenderedFile
from agentgpu_iac.provisioning.aws.program import deploy
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


@cache
def scene(name: str) -> Recording:
    """What deploying that plan asked for; recorded once, and only ever read."""
    return record(lambda: deploy(SCENES[name](), FILES))
