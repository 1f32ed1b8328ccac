"""Accelerators that several engines share through the NVIDIA device plugin's time-slicing.

The plugin reads its configurations from a ConfigMap in its own namespace, and from a node label which of them to use
(``nvidia.com/device-plugin.config: share-<slots>``). Node groups set that label; Karpenter never makes such nodes,
since autoscalers do not see that an accelerator is shared. On a node without the label the plugin takes the
configuration named ``default``, and where there is none but a single other, that one: so there is always a default,
which shares nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from agentgpu_iac.plan import NodePool, Plan
from agentgpu_iac.plan.nodes import ACCELERATOR_RESOURCE, DEVICE_PLUGIN_NAMESPACE
from agentgpu_iac.rendering.context import ConfigMapContext, Context, Draft
from agentgpu_iac.rendering.names import DEVICE_PLUGIN, labels
from agentgpu_iac.rendering.templates import document
from agentgpu_iac.rendering.yaml_text import dump

_COMPONENT = "device-plugin"

DEFAULT_CONFIGURATION = "default"


@dataclass(frozen=True, slots=True, kw_only=True)
class DevicePluginContext(Context):
    """One named configuration of the device plugin."""

    template: ClassVar[str] = "device-plugin.yaml.j2"
    is_shared: bool
    resource: str
    slots: int
    one_slot_per_pod: bool
    """Whether the plugin refuses a pod that asks for several slots, which would not give it more."""


def configurations_name(plan: Plan) -> str:
    """Name of the ConfigMap that holds them."""
    return f"{plan.stack}-device-plugin"


def sharing_drafts(plan: Plan) -> tuple[Draft, ...]:
    """The device plugin's configurations, one for each number of slots in use; nothing where nothing is shared."""
    shared = tuple(pool for pool in plan.node_pools if pool.sharing == "time-slicing")
    return (Draft(folder=DEVICE_PLUGIN, context=_configurations(plan, shared)),) if shared else ()


def _configurations(plan: Plan, shared: tuple[NodePool, ...]) -> ConfigMapContext:
    slot_counts = sorted({pool.slots_per_accelerator for pool in shared})
    return ConfigMapContext(
        name=configurations_name(plan),
        namespace=DEVICE_PLUGIN_NAMESPACE,
        labels=labels(plan.stack, _COMPONENT, name=_COMPONENT),
        data=(
            (DEFAULT_CONFIGURATION, _configuration(plan, shared, 1)),
            *((f"share-{slots}", _configuration(plan, shared, slots)) for slots in slot_counts),
        ),
    )


def _configuration(plan: Plan, shared: tuple[NodePool, ...], slots: int) -> str:
    pools = {pool.name for pool in shared if pool.slots_per_accelerator == slots}
    context = DevicePluginContext(
        is_shared=slots > 1,
        resource=ACCELERATOR_RESOURCE,
        slots=slots,
        one_slot_per_pod=all(
            workload.pod.accelerators == 1 for workload in plan.workloads if workload.node_pool in pools
        ),
    )
    return dump(document(context)).decode()
