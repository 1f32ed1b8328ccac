"""The plans and manifests that the tests of this room deploy."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from functools import cache
from typing import Any, Literal

from agentgpu_iac.plan import ExistingClusterPlan, GitOpsPlan, Plan, PolicyPlan, RenderedFile
from agentgpu_iac.provisioning.aws.api_endpoint import ApiEndpoint
from agentgpu_iac.provisioning.aws.existing_settings import ExistingSettings
from agentgpu_iac.provisioning.aws.program import deploy
from agentgpu_iac.provisioning.aws.settings import Settings
from tests.plans import make_grouped_plan, make_plan, make_pool, make_tiered_plan, make_workload
from tests.provisioning.recording import Recording, record
from tests.provisioning.there import NODES
from tests.rendered import rendered_once

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

ALLOWED = ApiEndpoint(allowed_cidrs=("203.0.113.0/24",))
SETTINGS = Settings(api_endpoint=ALLOWED)
"""The fewest settings that a deployment needs."""


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


ADMINISTRATOR = "arn:aws:iam::123456789012:role/platform/Operator"
GROUPED_POOL = "demo-baseline-groups-p5-48xlarge"


def with_pools(plan: Plan, **changes: Any) -> Plan:
    """The plan with its pools changed."""
    return plan.model_copy(update={"node_pools": tuple(pool.model_copy(update=changes) for pool in plan.node_pools)})


def held_plan(kind: str) -> Plan:
    """The replica over two nodes, for which capacity is held."""
    return with_pools(make_grouped_plan(), reservation=kind, capacity_types=("reserved", "on-demand"))


OPTIONS: dict[str, tuple[Callable[[], Plan], Settings]] = {
    "private": (
        lambda: make_plan(policy=PolicyPlan(budget_usd_per_month=Decimal(2000))),
        Settings(
            api_endpoint=ApiEndpoint(kind="private", allowed_cidrs=("10.8.0.0/16",)),
            admin_role_arns=(ADMINISTRATOR,),
            interface_endpoints=True,
            budget_emails=("ops@example.org",),
        ),
    ),
    "existing": (
        make_tiered_plan,
        replace(SETTINGS, vpc_id="vpc-1", private_subnet_ids=("subnet-b", "subnet-a"), tag_subnets=True),
    ),
    "block": (
        lambda: held_plan("capacity-block"),
        replace(SETTINGS, capacity_reservation_ids={GROUPED_POOL: "cr-b10c"}),
    ),
    "held": (
        lambda: with_pools(make_plan(), reservation="on-demand", capacity_types=("reserved", "on-demand"), max=3),
        replace(
            SETTINGS,
            capacity_reservation_ids={"demo-baseline-g6e-xlarge": "cr-0123"},
            capacity_reservation_zones={"demo-baseline-g6e-xlarge": "us-east-1b"},
        ),
    ),
    "reserved": (lambda: held_plan("on-demand"), replace(SETTINGS, reserve=True)),
}
"""What can be asked for, beside the scenes that take everything as it comes."""


MODELS = "s3://acme-models/agents"


def bucket_plan(url: str = MODELS) -> Plan:
    """Caches that are filled from a bucket."""
    filler = make_pool().filler
    assert filler is not None
    return with_pools(make_plan(), filler=filler.model_copy(update={"bucket": url}))


def mixed_plan() -> Plan:
    """A pool of fixed size, and two whose size may change."""
    fixed, elastic = shared_plan(), make_tiered_plan()
    return make_plan(
        workloads=(*fixed.workloads, *elastic.workloads), node_pools=(*fixed.node_pools, *elastic.node_pools)
    )


def handed_over_plan(nodes: str = "node-groups", tool: Literal["argocd", "flux"] = "argocd") -> Plan:
    """A stack that a GitOps tool applies."""
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
    return make_tiered_plan().model_copy(update={"gitops": gitops})


KARPENTER = replace(SETTINGS, nodes="karpenter", karpenter_chart="oci://charts.invalid/karpenter/karpenter")


def over_existing(plan: Plan) -> Plan:
    """The same agents for a cluster that is there."""
    system = plan.system_nodes
    assert system is not None
    pods = tuple(pod for pod in system.pods if pod.name in ("router", "karpenter"))
    asks = ExistingClusterPlan(pods=pods, cpu_milli=1825, memory_mib=2624)
    return plan.model_copy(update={"system_nodes": None, "existing_cluster": asks})


SHARED = Settings(
    private_subnet_ids=("subnet-b", "subnet-a"), existing=ExistingSettings(cluster="shared", node_role_arn=NODES)
)
"""The fewest settings for a cluster that is there, with a role for its nodes."""
WITHOUT_ROLE = replace(SHARED, existing=ExistingSettings(cluster="shared"))
SHARED_KARPENTER = replace(
    SHARED,
    nodes="karpenter",
    existing=ExistingSettings(cluster="shared", karpenter_version="1.14.1", karpenter_node_role="KarpenterNodes"),
)

CHOICES: dict[str, tuple[Callable[[], Plan], Settings]] = {
    "karpenter": (make_tiered_plan, KARPENTER),
    "karpenter and groups": (mixed_plan, KARPENTER),
    "bucket": (bucket_plan, SETTINGS),
    "own bucket": (bucket_plan, replace(SETTINGS, model_bucket="create")),
    "own bucket that goes": (bucket_plan, replace(SETTINGS, model_bucket="create", delete_model_bucket=True)),
    "handed over": (handed_over_plan, replace(SETTINGS, installed_api_groups=frozenset({"argoproj.io"}))),
    "handed over with karpenter": (lambda: handed_over_plan("karpenter", "flux"), KARPENTER),
    "existing cluster": (lambda: over_existing(make_tiered_plan()), SHARED),
    "existing cluster and a role": (lambda: over_existing(make_grouped_plan()), WITHOUT_ROLE),
    "existing cluster with a bucket": (lambda: over_existing(bucket_plan()), SHARED),
    "existing cluster and karpenter": (
        lambda: over_existing(mixed_plan()),
        replace(WITHOUT_ROLE, nodes="karpenter", karpenter_chart="oci://charts.invalid/karpenter/karpenter"),
    ),
    "existing karpenter": (lambda: over_existing(make_tiered_plan()), SHARED_KARPENTER),
}
"""What else can be asked for, each deployed with the very files that are rendered for its plan."""


@cache
def scene(name: str) -> Recording:
    """What deploying that plan asked for; recorded once, and only ever read."""
    if name in CHOICES:
        plan, settings = CHOICES[name][0](), CHOICES[name][1]
        return record(lambda: deploy(plan, rendered_once(plan), settings))
    make, settings = OPTIONS[name] if name in OPTIONS else (SCENES[name], SETTINGS)
    return record(lambda: deploy(make(), FILES, settings))
