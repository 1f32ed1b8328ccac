"""What someone must bring to a cluster of their own: nodes first of all, since this program makes none."""

from __future__ import annotations

from collections.abc import Collection

from agentgpu_iac.plan import NodePool, Plan
from agentgpu_iac.plan.nodes import ENGINE_UID, POOL_LABEL
from agentgpu_iac.provisioning.manifests import Manifests
from agentgpu_iac.provisioning.prerequisites import (
    device_plugin,
    namespaces,
    operators,
    operators_of_gitops_tool,
    secrets,
    sharing,
)


def prerequisites(
    plan: Plan, manifests: Manifests, handed_over: Manifests | None, charts: Collection[str]
) -> tuple[str, ...]:
    """Everything that someone must still bring, each with what happens without it.

    ``handed_over`` are the objects that a GitOps tool applies; None where there is no tool. ``charts`` are those that Pulumi
    installs.
    """
    return (
        *(_nodes(pool) for pool in plan.node_pools),
        *device_plugin(charts),
        *sharing(plan.node_pools, charts),
        *secrets(plan),
        *namespaces(plan, manifests),
        *operators(manifests),
        *(() if handed_over is None else operators_of_gitops_tool(handed_over)),
    )


def _nodes(pool: NodePool) -> str:
    count = str(pool.max) if pool.min == pool.max else f"{pool.min} to {pool.max}"
    more = "" if pool.min == pool.max else ", the more of them by an autoscaler or by hand"
    return (
        f"{count} x {' or '.join(pool.instance_types)} ({pool.accelerators_per_node} x {pool.accelerator}) with the label "
        f"{POOL_LABEL}={pool.name} and the directory {pool.cache_path} that belongs to {ENGINE_UID}:{ENGINE_UID}{more}; "
        "without them its engines stay pending"
    )
