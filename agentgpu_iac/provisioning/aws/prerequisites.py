"""What must run in the cluster besides what this program puts there, said in sentences.

EKS offers no add-on for these, so they are installed with the tool of your choice after the first ``pulumi up``.
"""

from __future__ import annotations

from collections.abc import Iterator

from agentgpu_iac.planning.nodes import FABRIC_RESOURCE
from agentgpu_iac.planning.plan import NodePool, Plan
from agentgpu_iac.provisioning.aws.capacity import FALLBACK_SUFFIX, PREFERRED_SUFFIX, node_group_shapes
from agentgpu_iac.provisioning.manifests import Manifests
from agentgpu_iac.provisioning.prerequisites import device_plugin, operators, sharing


def prerequisites(plan: Plan, manifests: Manifests) -> tuple[str, ...]:
    """Everything that someone must still install, each with what happens without it."""
    return (
        device_plugin(),
        *_fabric(plan.node_pools),
        *sharing(plan.node_pools),
        *_autoscaling(plan.node_pools),
        *operators(manifests),
    )


def _fabric(pools: tuple[NodePool, ...]) -> Iterator[str]:
    joined = [pool.name for pool in pools if pool.nodes_per_replica > 1]
    if joined:
        yield (
            f"AWS's EFA device plugin as a DaemonSet that tolerates nvidia.com/gpu:NoSchedule; without it no node of "
            f"{', '.join(joined)} offers {FABRIC_RESOURCE} and the engines there stay pending"
        )


def _autoscaling(pools: tuple[NodePool, ...]) -> Iterator[str]:
    elastic = [pool.name for pool in pools if not pool.fixed_size and pool.max > pool.min]
    if elastic:
        yield f"Cluster Autoscaler; without it no burst gets nodes in {', '.join(elastic)}"
    fallbacks = [pool.name for pool in pools if len(node_group_shapes(pool)) > 1]
    if fallbacks:
        yield (
            f"the Cluster Autoscaler's priority expander, with groups named …{PREFERRED_SUFFIX}-… above those named "
            f"…{FALLBACK_SUFFIX}-…; without it {', '.join(fallbacks)} may start the dearer nodes first"
        )
