"""Values for Helm charts: what offers accelerators to pods (the GPU Operator, or its device plugin alone), what counts their
errors (the DCGM exporter), and what replaces ill nodes (Karpenter).

They are no objects, so no kustomization lists them; whoever installs a chart names its file. Keys are those of the
charts gpu-operator v26, nvidia-device-plugin 0.18.2, dcgm-exporter 4.8.1 and karpenter 1.14.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from agentgpu_iac.plan import Plan, RenderedFile
from agentgpu_iac.plan.nodes import ACCELERATOR_RESOURCE, POOL_LABEL
from agentgpu_iac.rendering.context import Context, Pairs
from agentgpu_iac.rendering.origin import Origins
from agentgpu_iac.rendering.sharing import DEFAULT_CONFIGURATION, configurations_name
from agentgpu_iac.rendering.templates import document
from agentgpu_iac.rendering.yaml_text import dump
from agentgpu_iac.targets import TARGETS

FOLDER = "helm-values"


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuOperatorContext(Context):
    """The operator, which brings the device plugin among others."""

    template: ClassVar[str] = "helm-gpu-operator.yaml.j2"
    nodes_bring_the_driver: bool
    """Whether the nodes' image has driver and container toolkit, as the NVIDIA variants of EKS images do."""
    taint_key: str
    is_shared: bool
    configurations: str
    default_configuration: str
    has_monitor: bool
    """Whether its DCGM exporter is scraped."""
    interval: str
    has_labels: bool
    labels: Pairs


@dataclass(frozen=True, slots=True, kw_only=True)
class DevicePluginChartContext(Context):
    """The device plugin by itself."""

    template: ClassVar[str] = "helm-device-plugin.yaml.j2"
    pool_label: str
    taint_key: str
    is_shared: bool
    configurations: str
    default_configuration: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DcgmExporterContext(Context):
    """What counts the accelerators' errors, on the plan's nodes. The GPU Operator brings one of its own."""

    template: ClassVar[str] = "helm-dcgm-exporter.yaml.j2"
    pool_label: str
    taint_key: str
    has_monitor: bool
    interval: str
    has_labels: bool
    labels: Pairs


@dataclass(frozen=True, slots=True, kw_only=True)
class KarpenterContext(Context):
    """What Karpenter is told beyond its own defaults."""

    template: ClassVar[str] = "helm-karpenter.yaml.j2"
    repairs_nodes: bool


def helm_values(plan: Plan) -> tuple[RenderedFile, ...]:
    """A file for each chart; nothing for targets without a cluster of yours, or where you want none."""
    target = TARGETS[plan.target]
    if not target.can.has_cluster or not plan.cluster_objects.helm_values:
        return ()
    is_shared = any(pool.sharing == "time-slicing" for pool in plan.node_pools)
    watching = plan.watching
    counts_errors = watching.accelerators != "none"
    interval, labels = f"{watching.scrape_interval_s}s", tuple(watching.labels.items())
    operator = GpuOperatorContext(
        nodes_bring_the_driver=target.can.chooses_node_image,
        taint_key=ACCELERATOR_RESOURCE,
        is_shared=is_shared,
        configurations=configurations_name(plan),
        default_configuration=DEFAULT_CONFIGURATION,
        has_monitor=counts_errors and watching.monitors != "none",
        interval=interval,
        has_labels=bool(labels),
        labels=labels,
    )
    plugin = DevicePluginChartContext(
        pool_label=POOL_LABEL,
        taint_key=ACCELERATOR_RESOURCE,
        is_shared=is_shared,
        configurations=configurations_name(plan),
        default_configuration=DEFAULT_CONFIGURATION,
    )
    opening = Origins(plan).of_stack("charts")
    contexts: list[tuple[str, Context]] = [("gpu-operator", operator), ("nvidia-device-plugin", plugin)]
    if counts_errors:
        exporter = DcgmExporterContext(
            pool_label=POOL_LABEL,
            taint_key=ACCELERATOR_RESOURCE,
            has_monitor=watching.monitors != "none",
            interval=interval,
            has_labels=bool(labels),
            labels=labels,
        )
        contexts.append(("dcgm-exporter", exporter))
    if watching.node_health != "none":
        contexts.append(("karpenter", KarpenterContext(repairs_nodes=True)))
    return tuple(_file(chart, context, opening) for chart, context in sorted(contexts, key=lambda each: each[0]))


def _file(chart: str, context: Context, opening: str) -> RenderedFile:
    return RenderedFile(path=f"{FOLDER}/{chart}.yaml", content=opening.encode() + dump(document(context)))
