"""How queries name an agent's Prometheus series, and how they write numbers."""

from __future__ import annotations

import re
from typing import Final

AGENT_SERIES_LABEL: Final = "agentgpu_dev_agent"
TIER_SERIES_LABEL: Final = "agentgpu_dev_tier"
"""What Prometheus makes of the pods' labels when a monitor copies them to the series."""


PICKER_QUEUE: Final = "llm_d_epp_flow_control_queue_size"
"""Gauge of the endpoint picker: requests that it holds until a replica has room (llm-d router, docs/metrics.md)."""

CLUSTER_LABEL: Final = "cluster"
"""What Thanos, Mimir and AMP commonly tell clusters apart by."""


def in_cluster(cluster: str | None) -> str:
    """A matcher of the cluster's series, for the end of others; nothing where no name is known.

    It takes series without the label too: the cluster's own Prometheus adds it only where it sends them on, and evaluates
    rules before. ``$cluster`` stands for what a dashboard's reader chose.
    """
    if cluster is None:
        return ""
    name = cluster if cluster.startswith("$") else re.escape(cluster).replace("\\", "\\\\")
    return f',{CLUSTER_LABEL}=~"({name})|"'


def selector(stack: str, agent: str, cluster: str | None = None) -> str:
    """Label matchers of an agent's series, both tiers."""
    return f'namespace="{stack}",{AGENT_SERIES_LABEL}="{agent}"{in_cluster(cluster)}'


def wanted_replicas(stack: str, kind: str, name: str, cluster: str | None = None) -> str:
    """How many replicas a workload is told to have, by kube-state-metrics; the leaders' set stands for a LeaderWorkerSet."""
    chosen = f'namespace="{stack}"{in_cluster(cluster)}'
    if kind == "Deployment":
        return f'kube_deployment_spec_replicas{{{chosen},deployment="{name}"}}'
    return f'kube_statefulset_replicas{{{chosen},statefulset="{name}"}}'


def decimal(value: float) -> str:
    """A number in its shortest plain form, to the millionth, as PromQL and KEDA read it."""
    return f"{value:.6f}".rstrip("0").rstrip(".")
