"""What must run in the cluster besides what this program puts there, said in sentences.

EKS offers no add-on for these, so they are installed with the tool of your choice after the first ``pulumi up``.
"""

from __future__ import annotations

from collections.abc import Iterator

from agentgpu_iac.planning.nodes import DEVICE_PLUGIN_CONFIG_LABEL, FABRIC_RESOURCE
from agentgpu_iac.planning.plan import NodePool, Plan
from agentgpu_iac.provisioning.aws.capacity import FALLBACK_SUFFIX, PREFERRED_SUFFIX, node_group_shapes
from agentgpu_iac.provisioning.manifests import GPU_OPERATOR_GROUP, Manifests

DEVICE_PLUGIN_VERSION = "0.18.2"
"""The newest NVIDIA device plugin known to work with these node images when this was written."""

_DEVICE_PLUGIN = (
    f"NVIDIA device plugin {DEVICE_PLUGIN_VERSION} as a DaemonSet that tolerates nvidia.com/gpu:NoSchedule; "
    "without it no node offers nvidia.com/gpu and every engine stays pending"
)


def prerequisites(
    plan: Plan, manifests: Manifests, *, grouped: tuple[NodePool, ...], handed_over: Manifests | None = None
) -> tuple[str, ...]:
    """Everything that someone must still install or do, each with what happens without it.

    ``grouped`` are the pools that are node groups; Karpenter makes the others. ``handed_over`` is what a GitOps tool
    applies in Pulumi's place.
    """
    return (
        _DEVICE_PLUGIN,
        *_fabric(plan.node_pools),
        *_sharing(plan.node_pools),
        *_autoscaling(grouped),
        *_spot(tuple(pool for pool in plan.node_pools if pool not in grouped)),
        *_models(plan.node_pools),
        *_operators(manifests),
        *(() if handed_over is None else _operators_of_tool(handed_over)),
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
            f"the device plugin's configuration share-{slots} (in the rendered folder device-plugin/; it is applied "
            f"where agentgpu:installedApiGroups has {GPU_OPERATOR_GROUP}, for the GPU Operator); "
            f"shared nodes ask for it with the label {DEVICE_PLUGIN_CONFIG_LABEL}, and without it a node offers "
            f"one slot where its engines need {slots}"
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


def _spot(pools: tuple[NodePool, ...]) -> Iterator[str]:
    """EKS makes this role by itself, but for its node groups only."""
    names = [pool.name for pool in pools if "spot" in pool.capacity_types]
    if names:
        yield (
            "EC2's role for spot, once in an account (aws iam create-service-linked-role --aws-service-name "
            f"spot.amazonaws.com); without it Karpenter gets no spot node for {', '.join(names)}"
        )


def _models(pools: tuple[NodePool, ...]) -> Iterator[str]:
    for bucket in sorted({pool.filler.bucket for pool in pools if pool.filler is not None and pool.filler.bucket}):
        folders = sorted({model.path for pool in pools for model in pool.cached_models if model.fill})
        yield (
            f"the models in {bucket}, a folder for each: {', '.join(folders)}; without them no cache is filled and "
            "every engine waits"
        )


def _operators(manifests: Manifests) -> Iterator[str]:
    for group, kinds in _missing(manifests):
        yield (
            f"the operator that serves {group} ({kinds}); then add the group to agentgpu:installedApiGroups "
            "and run pulumi up again"
        )


def _operators_of_tool(handed_over: Manifests) -> Iterator[str]:
    for group, kinds in _missing(handed_over):
        yield f"the operator that serves {group} ({kinds}); without it the GitOps tool cannot apply the stack"


def _missing(manifests: Manifests) -> Iterator[tuple[str, str]]:
    """API groups that nobody serves yet, and their kinds; the GPU Operator's has a sentence of its own."""
    for group in sorted({manifest.needs for manifest in manifests.waiting} - {GPU_OPERATOR_GROUP}):
        yield group, ", ".join(sorted({one.kind for one in manifests.waiting if one.needs == group}))
