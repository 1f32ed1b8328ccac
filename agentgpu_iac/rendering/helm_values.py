"""Values for Helm charts: what offers accelerators and fabric to pods (the GPU Operator, or its device plugin alone; AWS's EFA
plugin), what counts their errors (the DCGM exporter), what watches them (Prometheus) and what makes and replaces nodes.

They are no objects, so no kustomization lists them; whoever installs a chart names its file. KEDA and LeaderWorkerSet need
none. Keys are those of the charts gpu-operator v26, nvidia-device-plugin 0.18.2, dcgm-exporter 4.8.1, karpenter 1.14,
aws-efa-k8s-device-plugin 0.5, cluster-autoscaler 9 and kube-prometheus-stack 67 (whose operator knows scrape classes).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar, Final

from agentgpu_iac.plan import Plan, RenderedFile
from agentgpu_iac.plan.charts import CLUSTER_AUTOSCALER_REQUESTS, ChartName, charts_of, values_path
from agentgpu_iac.plan.nodes import ACCELERATOR_RESOURCE, CLUSTER_AUTOSCALER, POOL_LABEL, PREFERRED_SUFFIX
from agentgpu_iac.rendering.context import Context, Pairs
from agentgpu_iac.rendering.dashboard import SIDECAR_LABEL
from agentgpu_iac.rendering.origin import Origins
from agentgpu_iac.rendering.sharing import DEFAULT_CONFIGURATION, configurations_name
from agentgpu_iac.rendering.templates import document
from agentgpu_iac.rendering.yaml_text import dump
from agentgpu_iac.targets import TARGETS


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


@dataclass(frozen=True, slots=True, kw_only=True)
class EfaPluginContext(Context):
    """AWS's plugin for EFA, on the plan's machines."""

    template: ClassVar[str] = "helm-aws-efa-k8s-device-plugin.yaml.j2"
    instance_types: tuple[str, ...]
    taint_key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterAutoscalerContext(Context):
    """What makes the nodes of managed node groups."""

    template: ClassVar[str] = "helm-cluster-autoscaler.yaml.j2"
    cluster: str
    region: str
    service_account: str
    preferred: str
    """Expression that the names of preferred groups match."""
    unneeded: str
    """How long a node is empty before it goes."""
    cpu: str
    memory: str
    """What it asks for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PrometheusContext(Context):
    """A Prometheus that takes the plan's monitors and rules, and a Grafana that finds its dashboard."""

    template: ClassVar[str] = "helm-kube-prometheus-stack.yaml.j2"
    has_cluster: bool
    """Whether series are to say of which cluster they are."""
    cluster: str
    has_dashboard: bool
    dashboard_label: str
    dashboard_label_value: str


def helm_values(plan: Plan) -> tuple[RenderedFile, ...]:
    """A file for each chart that takes values; nothing for targets without a cluster of yours, or where you want none."""
    if not TARGETS[plan.target].can.has_cluster or not plan.cluster_objects.helm_values:
        return ()
    opening = Origins(plan).of_stack("charts").encode()
    contexts = ((chart, _context(plan, chart)) for chart in charts_of(plan))
    return tuple(
        RenderedFile(path=values_path(chart), content=opening + dump(document(context)))
        for chart, context in contexts
        if context is not None
    )


def _context(plan: Plan, chart: ChartName) -> Context | None:
    """What a chart is told; None where its own defaults are right."""
    make = _CONTEXTS.get(chart)
    return None if make is None else make(plan)


def _is_shared(plan: Plan) -> bool:
    return any(pool.sharing == "time-slicing" for pool in plan.node_pools)


def _gpu_operator(plan: Plan) -> Context:
    watching = plan.watching
    return GpuOperatorContext(
        nodes_bring_the_driver=TARGETS[plan.target].can.chooses_node_image,
        taint_key=ACCELERATOR_RESOURCE,
        is_shared=_is_shared(plan),
        configurations=configurations_name(plan),
        default_configuration=DEFAULT_CONFIGURATION,
        has_monitor=watching.accelerators != "none" and watching.monitors != "none",
        interval=f"{watching.scrape_interval_s}s",
        has_labels=bool(watching.labels),
        labels=tuple(watching.labels.items()),
    )


def _device_plugin(plan: Plan) -> Context:
    return DevicePluginChartContext(
        pool_label=POOL_LABEL,
        taint_key=ACCELERATOR_RESOURCE,
        is_shared=_is_shared(plan),
        configurations=configurations_name(plan),
        default_configuration=DEFAULT_CONFIGURATION,
    )


def _efa_plugin(plan: Plan) -> Context:
    joined = (pool for pool in plan.node_pools if pool.nodes_per_replica > 1)
    return EfaPluginContext(
        instance_types=tuple(sorted({kind for pool in joined for kind in pool.instance_types})),
        taint_key=ACCELERATOR_RESOURCE,
    )


def _karpenter(plan: Plan) -> Context | None:
    return KarpenterContext(repairs_nodes=True) if plan.watching.node_health != "none" else None


def _prometheus(plan: Plan) -> Context:
    label, value = SIDECAR_LABEL
    return PrometheusContext(
        has_cluster=plan.watching.cluster is not None,
        cluster=plan.watching.cluster or "",
        has_dashboard=plan.watching.dashboard,
        dashboard_label=label,
        dashboard_label_value=value,
    )


def _dcgm_exporter(plan: Plan) -> Context:
    watching = plan.watching
    return DcgmExporterContext(
        pool_label=POOL_LABEL,
        taint_key=ACCELERATOR_RESOURCE,
        has_monitor=watching.monitors != "none",
        interval=f"{watching.scrape_interval_s}s",
        has_labels=bool(watching.labels),
        labels=tuple(watching.labels.items()),
    )


def _cluster_autoscaler(plan: Plan) -> Context:
    pools = plan.in_cluster.node_pools
    return ClusterAutoscalerContext(
        cluster=plan.stack,
        region=pools[0].region,
        service_account=CLUSTER_AUTOSCALER,
        preferred=f".*{PREFERRED_SUFFIX}-.*",
        unneeded=f"{max(pool.idle_s for pool in plan.karpenter_pools)}s",
        cpu=f"{CLUSTER_AUTOSCALER_REQUESTS[0]}m",
        memory=f"{CLUSTER_AUTOSCALER_REQUESTS[1]}Mi",
    )


_CONTEXTS: Final[Mapping[ChartName, Callable[[Plan], Context | None]]] = {
    "aws-efa-k8s-device-plugin": _efa_plugin,
    "cluster-autoscaler": _cluster_autoscaler,
    "dcgm-exporter": _dcgm_exporter,
    "gpu-operator": _gpu_operator,
    "karpenter": _karpenter,
    "kube-prometheus-stack": _prometheus,
    "nvidia-device-plugin": _device_plugin,
}
"""What tells each chart; the others take none."""
