"""What must run in the cluster besides what this program puts there, said in sentences.

EKS offers no add-on for these: ``agentgpu:charts`` installs them, or a tool of your choice after the first ``pulumi up``.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from agentgpu_iac.plan import NodePool, Plan
from agentgpu_iac.plan.nodes import (
    FABRIC_RESOURCE,
    FALLBACK_SUFFIX,
    KARPENTER_DISCOVERY_TAG,
    PREFERRED_SUFFIX,
    STACK_LABEL,
)
from agentgpu_iac.plan.system_nodes import KARPENTER_PODS
from agentgpu_iac.provisioning.aws.capacity import node_group_shapes
from agentgpu_iac.provisioning.aws.held_capacity import HeldCapacity
from agentgpu_iac.provisioning.aws.objects import Objects
from agentgpu_iac.provisioning.prerequisites import (
    device_plugin,
    namespaces,
    operators,
    operators_of_gitops_tool,
    secrets,
    sharing,
)

_COST_TAG = (
    f"the tag {STACK_LABEL} activated for cost allocation in the billing console (of the management account, in an "
    "organisation), once AWS has seen it; without it the budget counts nothing and nobody gets a letter"
)


def prerequisites(
    plan: Plan,
    objects: Objects,
    *,
    grouped: tuple[NodePool, ...],
    held: Mapping[str, HeldCapacity],
    has_own_subnets: bool,
    has_budget_alarm: bool,
    charts: Collection[str],
) -> tuple[str, ...]:
    """Everything that still has to be installed or made, each with the consequence of leaving it out.

    ``grouped`` are the pools that are node groups; Karpenter makes the nodes of the others. ``has_own_subnets`` says
    that the subnets are yours, tags and all. ``charts`` are those that Pulumi installs.
    """
    made = tuple(pool for pool in plan.node_pools if pool not in grouped)
    return (
        *device_plugin(charts),
        *(() if "aws-efa-k8s-device-plugin" in charts else _fabric(plan.node_pools)),
        *sharing(plan.node_pools, charts),
        *(() if "cluster-autoscaler" in charts else _autoscaling(grouped, held)),
        *_room(plan, made),
        *_spot(made),
        *((_subnets(plan.stack),) if made and has_own_subnets else ()),
        *secrets(plan),
        *namespaces(plan, objects.serving),
        *_models(plan),
        *operators(objects.serving),
        *(() if objects.handed_over is None else operators_of_gitops_tool(objects.handed_over)),
        *((_COST_TAG,) if has_budget_alarm else ()),
    )


def _fabric(pools: tuple[NodePool, ...]) -> Iterator[str]:
    joined = [pool.name for pool in pools if pool.nodes_per_replica > 1]
    if joined:
        yield (
            f"AWS's EFA device plugin as a DaemonSet that tolerates nvidia.com/gpu:NoSchedule; without it no node of "
            f"{', '.join(joined)} offers {FABRIC_RESOURCE} and the engines there stay pending"
        )


def _autoscaling(pools: tuple[NodePool, ...], held: Mapping[str, HeldCapacity]) -> Iterator[str]:
    elastic = [pool.name for pool in pools if not pool.fixed_size and pool.max > pool.min]
    if elastic:
        yield f"Cluster Autoscaler; without it no burst gets nodes in {', '.join(elastic)}"
    fallbacks = [pool.name for pool in pools if len(node_group_shapes(pool, held.get(pool.name))) > 1]
    if fallbacks:
        yield (
            f"the Cluster Autoscaler's priority expander, with groups named …{PREFERRED_SUFFIX}-… above those named "
            f"…{FALLBACK_SUFFIX}-…; without it {', '.join(fallbacks)} may start the dearer nodes first, or none "
            "where the preferred ones are not to be had"
        )


def _room(plan: Plan, made: tuple[NodePool, ...]) -> Iterator[str]:
    """What stands on nodes of a cluster that is there."""
    if plan.existing_cluster is None:
        return
    pods = [pod for pod in plan.existing_cluster.pods if made or pod.name != KARPENTER_PODS]
    if pods:
        named = ", ".join(
            f"{pod.pods} x {pod.name} ({pod.cpu_milli:,} m of CPU, {pod.memory_mib:,} MiB)" for pod in pods
        )
        yield f"nodes of your cluster without accelerators, with room for {named}; without it they stay pending"


def _spot(pools: tuple[NodePool, ...]) -> Iterator[str]:
    """EKS makes this role by itself, but for its node groups only."""
    names = [pool.name for pool in pools if "spot" in pool.capacity_types]
    if names:
        yield (
            "EC2's role for spot, once in an account (aws iam create-service-linked-role --aws-service-name "
            f"spot.amazonaws.com); without it Karpenter gets no spot node for {', '.join(names)}"
        )


def _subnets(stack: str) -> str:
    return (
        f"the tag {KARPENTER_DISCOVERY_TAG}={stack} on your subnets (agentgpu:tagSubnets sets it); without it Karpenter "
        "finds none and makes no node"
    )


def _models(plan: Plan) -> Iterator[str]:
    pools = plan.node_pools
    for bucket in sorted({pool.filler.bucket for pool in pools if pool.filler is not None and pool.filler.bucket}):
        folders = sorted({model.path for pool in pools for model in pool.cached_models if model.fill})
        yield (
            f"the models in {bucket}, a folder for each: {', '.join(folders)}; without them no cache is filled and "
            "every engine waits"
        )
    caches = [workload.model_cache for workload in plan.workloads]
    for bucket in sorted({cache.streamed_from for cache in caches if cache.streamed_from is not None}):
        folders = sorted({cache.path for cache in caches if cache.streamed_from == bucket})
        yield (
            f"the models in {bucket}, which must lie in the cluster's region, a folder for each: {', '.join(folders)}; engines "
            "stream every .safetensors file beside a model's config.json, so no second copy of the weights (consolidated) may "
            "lie there"
        )
