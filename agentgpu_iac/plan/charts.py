"""Operators and plugins that a stack leans on in its cluster: who serves which API group, and the Helm charts that bring them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Literal, get_args

from agentgpu_iac.plan.document import Plan
from agentgpu_iac.plan.nodes import DEVICE_PLUGIN_NAMESPACE

ChartName = Literal[
    "aws-efa-k8s-device-plugin",
    "cluster-autoscaler",
    "dcgm-exporter",
    "gpu-operator",
    "karpenter",
    "keda",
    "kube-prometheus-stack",
    "lws",
    "nvidia-device-plugin",
]
"""Charts, as those who publish them call them."""

CHART_NAMES: Final[tuple[ChartName, ...]] = get_args(ChartName)

OPERATORS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "argoproj.io": "Argo CD",
        "autoscaling.x-k8s.io": "the Cluster Autoscaler",
        "external-secrets.io": "External Secrets",
        "gateway.networking.k8s.io": "the Gateway API",
        "inference.networking.k8s.io": "the Gateway API Inference Extension",
        "karpenter.k8s.aws": "Karpenter",
        "karpenter.sh": "Karpenter",
        "keda.sh": "KEDA",
        "kustomize.toolkit.fluxcd.io": "Flux",
        "leaderworkerset.x-k8s.io": "LeaderWorkerSet",
        "monitoring.coreos.com": "the Prometheus Operator",
        "source.toolkit.fluxcd.io": "Flux",
    }
)
"""Who serves each API group that is not a cluster's own."""


CLUSTER_AUTOSCALER_REQUESTS: Final = (100, 600)
"""CPU in millicores and memory in MiB that the Cluster Autoscaler asks for (kubernetes/autoscaler, its example for AWS). It
stands where Karpenter would, which the system nodes have room for."""

VALUES_FOLDER: Final = "helm-values"
"""Folder of the rendered tree with the values of charts."""


def values_path(name: ChartName) -> str:
    """The file with a chart's values, in the rendered tree."""
    return f"{VALUES_FOLDER}/{name}.yaml"


DEVICE_PLUGIN_GROUP: Final = "nvidia.com"
"""By which it is known that the namespace of the device plugin's configurations is there; the GPU Operator serves it too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """What a chart brings, and where it belongs."""

    namespace: str
    """Where its guide installs it, and where the rendered objects look for it."""
    groups: frozenset[str] = frozenset()
    """API groups that the cluster serves once it is installed."""
    awaited: bool = False
    """Whether it must run before the objects that need it can be made: it checks or converts them."""
    brings: frozenset[ChartName] = frozenset()
    """Charts whose parts it brings itself: with both, two would do the same."""


CHARTS: Final[Mapping[ChartName, Chart]] = MappingProxyType(
    {
        "aws-efa-k8s-device-plugin": Chart(namespace="kube-system"),
        "cluster-autoscaler": Chart(namespace="kube-system"),
        "dcgm-exporter": Chart(namespace="dcgm-exporter"),
        "gpu-operator": Chart(
            namespace=DEVICE_PLUGIN_NAMESPACE,
            groups=frozenset({DEVICE_PLUGIN_GROUP}),
            brings=frozenset({"nvidia-device-plugin", "dcgm-exporter"}),
        ),
        "karpenter": Chart(namespace="kube-system", groups=frozenset({"karpenter.sh", "karpenter.k8s.aws"})),
        "keda": Chart(namespace="keda", groups=frozenset({"keda.sh"}), awaited=True),
        "kube-prometheus-stack": Chart(
            namespace="monitoring", groups=frozenset({"monitoring.coreos.com"}), awaited=True
        ),
        "lws": Chart(namespace="lws-system", groups=frozenset({"leaderworkerset.x-k8s.io"}), awaited=True),
        "nvidia-device-plugin": Chart(namespace=DEVICE_PLUGIN_NAMESPACE, groups=frozenset({DEVICE_PLUGIN_GROUP})),
    }
)
"""What each chart brings."""


def charts_of(plan: Plan) -> tuple[ChartName, ...]:
    """The charts that this plan has a use for, by name; alternatives stand beside each other. Empty without a cluster.

    Whoever makes the nodes is chosen later, so Karpenter and the Cluster Autoscaler both count where they may be. The
    latter is told its cluster's name, which a plan for a cluster that is there does not know.
    """
    pools = plan.in_cluster.node_pools
    spans_nodes = any(pool.nodes_per_replica > 1 for pool in pools)
    scalers = {workload.scaling.method for workload in plan.in_cluster.workloads if workload.scaling is not None}
    makes_nodes = bool(plan.in_cluster.karpenter_pools)
    used: dict[ChartName, bool] = {
        "aws-efa-k8s-device-plugin": spans_nodes and any(pool.provider == "aws" for pool in pools),
        "cluster-autoscaler": makes_nodes and plan.existing_cluster is None,
        "dcgm-exporter": plan.watching.accelerators != "none",
        "gpu-operator": bool(pools),
        "karpenter": makes_nodes,
        "keda": "keda" in scalers,
        "kube-prometheus-stack": plan.watching.monitors != "none",
        "lws": spans_nodes,
        "nvidia-device-plugin": bool(pools),
    }
    return tuple(name for name in CHART_NAMES if used[name])
