"""The plans and manifests that the tests of this room deploy."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from functools import cache
from typing import Any

from agentgpu_iac.planning.plan import Plan, PolicyPlan, RenderedFile
from agentgpu_iac.provisioning.aws.api_endpoint import ApiEndpoint
from agentgpu_iac.provisioning.aws.program import Settings, deploy
from tests.plans import make_grouped_plan, make_plan, make_pool, make_tiered_plan, make_workload
from tests.provisioning.recording import Recording, record

NAMESPACE = b"apiVersion: v1\nkind: Namespace\nmetadata:\n  name: demo\n"
SERVICE = b"apiVersion: v1\nkind: Service\nmetadata:\n  name: support\n  namespace: demo\n"
DEPLOYMENT = b"apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: support\n  namespace: demo\n"
NODE_POOL = b"apiVersion: karpenter.sh/v1\nkind: NodePool\nmetadata:\n  name: demo-baseline-g6e-xlarge\n"
SCALED_OBJECT = b"apiVersion: keda.sh/v1alpha1\nkind: ScaledObject\nmetadata:\n  name: support\n  namespace: demo\n"
KUSTOMIZATION = b"apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources: []\n"

FILES = (
    RenderedFile(path="base/kustomization.yaml", content=KUSTOMIZATION),
    RenderedFile(path="base/namespace-demo.yaml", content=NAMESPACE),
    RenderedFile(path="base/deployment-support.yaml", content=DEPLOYMENT),
    RenderedFile(path="base/service-support.yaml", content=SERVICE),
    RenderedFile(path="karpenter/nodepool.yaml", content=NODE_POOL),
    RenderedFile(path="base/scaledobject-support.yaml", content=SCALED_OBJECT),
    RenderedFile(path="overlays/prod/kustomization.yaml", content=KUSTOMIZATION),
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


@cache
def scene(name: str) -> Recording:
    """What deploying that plan asked for; recorded once, and only ever read."""
    make, settings = OPTIONS[name] if name in OPTIONS else (SCENES[name], SETTINGS)
    return record(lambda: deploy(make(), FILES, settings))
