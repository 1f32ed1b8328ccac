"""What must run in the cluster besides what this program puts there, said in sentences.

EKS offers no add-on for these, so they are installed with the tool of your choice after the first ``pulumi up``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from agentgpu_iac.planning.nodes import DEVICE_PLUGIN_CONFIG_LABEL, FABRIC_RESOURCE, STACK_LABEL
from agentgpu_iac.planning.plan import NodePool, Plan
from agentgpu_iac.provisioning.aws.capacity import FALLBACK_SUFFIX, PREFERRED_SUFFIX, node_group_shapes
from agentgpu_iac.provisioning.aws.held_capacity import HeldCapacity
from agentgpu_iac.provisioning.manifests import Manifests

DEVICE_PLUGIN_VERSION = "0.18.2"
"""The newest NVIDIA device plugin known to work with these node images when this was written."""

_DEVICE_PLUGIN = (
    f"NVIDIA device plugin {DEVICE_PLUGIN_VERSION} as a DaemonSet that tolerates nvidia.com/gpu:NoSchedule; "
    "without it no node offers nvidia.com/gpu and every engine stays pending"
)


_COST_TAG = (
    f"the tag {STACK_LABEL} activated for cost allocation in the billing console (of the management account, in an "
    "organisation), once AWS has seen it; without it the budget counts nothing and nobody gets a letter"
)


def prerequisites(
    plan: Plan, manifests: Manifests, *, held: Mapping[str, HeldCapacity], has_budget_alarm: bool
) -> tuple[str, ...]:
    """Everything that someone must still see to, each with what happens without it."""
    return (
        _DEVICE_PLUGIN,
        *_fabric(plan.node_pools),
        *_sharing(plan.node_pools),
        *_autoscaling(plan.node_pools, held),
        *_operators(manifests),
        *((_COST_TAG,) if has_budget_alarm else ()),
    )


def _fabric(pools: tuple[NodePool, ...]) -> Iterator[str]:
    joined = [pool.name for pool in pools if pool.nodes_per_replica > 1]
    if joined:
        yield (
            f"AWS's EFA device plugin as a DaemonSet that tolerates nvidia.com/gpu:NoSchedule; without it no node of "
            f"{', '.join(joined)} offers {FABRIC_RESOURCE} and the engines there stay pending"
        )


def _sharing(pools: tuple[NodePool, ...]) -> Iterator[str]:
    for slots in sorted({pool.slots_per_accelerator for pool in pools if pool.sharing == "time-slicing"}):
        yield (
            f"the device plugin's configuration share-{slots} (in the rendered folder device-plugin/); "
            f"shared nodes ask for it with the label {DEVICE_PLUGIN_CONFIG_LABEL}, and without it a node offers "
            f"one slot where its engines need {slots}"
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


def _operators(manifests: Manifests) -> Iterator[str]:
    for group in sorted({manifest.api_group for manifest in manifests.waiting}):
        kinds = ", ".join(sorted({one.kind for one in manifests.waiting if one.api_group == group}))
        yield (
            f"the operator that serves {group} ({kinds}); then add the group to agentgpu:installedApiGroups "
            "and run pulumi up again"
        )
