"""What must run in the cluster besides what this program puts there, said in sentences.

EKS offers no add-on for these, so they are installed with the tool of your choice after the first ``pulumi up``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from agentgpu_iac.planning.nodes import FABRIC_RESOURCE, STACK_LABEL
from agentgpu_iac.planning.plan import NodePool, Plan
from agentgpu_iac.provisioning.aws.capacity import FALLBACK_SUFFIX, PREFERRED_SUFFIX, node_group_shapes
from agentgpu_iac.provisioning.aws.held_capacity import HeldCapacity
from agentgpu_iac.provisioning.manifests import Manifests
from agentgpu_iac.provisioning.prerequisites import device_plugin, operators, sharing

_COST_TAG = (
    f"the tag {STACK_LABEL} activated for cost allocation in the billing console (of the management account, in an "
    "organisation), once AWS has seen it; without it the budget counts nothing and nobody gets a letter"
)


def prerequisites(
    plan: Plan, manifests: Manifests, *, held: Mapping[str, HeldCapacity], has_budget_alarm: bool
) -> tuple[str, ...]:
    """Everything that someone must still see to, each with what happens without it."""
    return (
        device_plugin(),
        *_fabric(plan.node_pools),
        *sharing(plan.node_pools),
        *_autoscaling(plan.node_pools, held),
        *operators(manifests),
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
