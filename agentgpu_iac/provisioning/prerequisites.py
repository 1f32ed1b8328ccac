"""What must run in any cluster besides what a program puts there, said in sentences with what happens without it."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from agentgpu_iac.plan import NodePool, Plan
from agentgpu_iac.plan.charts import DEVICE_PLUGIN_GROUP
from agentgpu_iac.plan.nodes import DEVICE_PLUGIN_CONFIG_LABEL
from agentgpu_iac.provisioning.manifests import Manifests

DEVICE_PLUGIN_VERSION = "0.18.2"
"""The newest NVIDIA device plugin known to work with EKS's node images when this was written."""


def device_plugin(charts: Collection[str]) -> Iterator[str]:
    """Who offers accelerators to pods, unless one of the installed charts does."""
    if not {"nvidia-device-plugin", "gpu-operator"}.isdisjoint(charts):
        return
    yield (
        f"NVIDIA device plugin {DEVICE_PLUGIN_VERSION} as a DaemonSet that tolerates nvidia.com/gpu:NoSchedule; "
        "without it no node offers nvidia.com/gpu and every engine stays pending (agentgpu:charts.nvidia-device-plugin "
        "installs it)"
    )


def sharing(pools: tuple[NodePool, ...], charts: Collection[str]) -> Iterator[str]:
    """How the device plugin is told that engines share an accelerator, unless one of the installed charts is."""
    if not {"nvidia-device-plugin", "gpu-operator"}.isdisjoint(charts):
        return
    for slots in sorted({pool.slots_per_accelerator for pool in pools if pool.sharing == "time-slicing"}):
        yield (
            f"the device plugin's configuration share-{slots} (in the rendered folder device-plugin/; it is applied "
            f"where agentgpu:installedApiGroups has {DEVICE_PLUGIN_GROUP}, for the GPU Operator); "
            f"shared nodes ask for it with the label {DEVICE_PLUGIN_CONFIG_LABEL}, and without it a node offers "
            f"one slot where its engines need {slots}"
        )


def secrets(plan: Plan) -> Iterator[str]:
    """The Secrets that nobody makes: no value of theirs is known here."""
    for secret in plan.security.secrets:
        if secret.store_key is None:
            yield (
                f"the Secret {secret.name} with the key {secret.key} in the namespace {plan.stack} ({secret.purpose}); "
                "without it what reads it does not start"
            )


def namespaces(plan: Plan, manifests: Manifests) -> Iterator[str]:
    """Namespaces of other tools that objects of ours go into."""
    ours = {manifest.name for manifest in manifests.applied if manifest.kind == "Namespace"}
    used = {manifest.content["metadata"].get("namespace", plan.stack) for manifest in manifests.applied}
    for name in sorted(used - ours - {plan.stack}):
        yield f"the namespace {name}, in which other tools look for their objects; without it pulumi up fails"


def operators(manifests: Manifests) -> Iterator[str]:
    """The operators whose objects wait."""
    for group, kinds in _missing(manifests):
        yield (
            f"the operator that serves {group} ({kinds}); then add the group to agentgpu:installedApiGroups "
            "and run pulumi up again"
        )


def operators_of_gitops_tool(handed_over: Manifests) -> Iterator[str]:
    """The operators whose objects a GitOps tool applies in Pulumi's place."""
    for group, kinds in _missing(handed_over):
        yield f"the operator that serves {group} ({kinds}); without it the GitOps tool cannot apply the stack"


def _missing(manifests: Manifests) -> Iterator[tuple[str, str]]:
    """API groups that nobody serves yet, and their kinds. What waits for the GPU Operator has a sentence of its own."""
    for group in sorted({manifest.needs for manifest in manifests.waiting} - {DEVICE_PLUGIN_GROUP}):
        yield group, ", ".join(sorted({manifest.kind for manifest in manifests.waiting if manifest.needs == group}))
