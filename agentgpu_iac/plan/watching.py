"""How the stack is watched: series, alerts, dashboard."""

from __future__ import annotations

from typing import Final, Literal, get_args

from agentgpu_iac.spec.document import Document

AlertName = Literal[
    "AgentKvCacheFull",
    "AgentTtftOverBudget",
    "AgentTpotOverBudget",
    "AgentPreemptions",
    "AgentRequestsRejected",
    "AgentReplicasBelowPlan",
    "AgentScalerFailing",
    "AgentGpuPodsPending",
    "AgentSpotNodeLost",
    "AgentModelCacheNotFilled",
]
"""Every alert that a plan may have; ``docs/runbook.md`` has a section for each."""
ALERTS: tuple[AlertName, ...] = get_args(AlertName)
KV_CACHE_FULL: Final = "AgentKvCacheFull"
TTFT_OVER_BUDGET: Final = "AgentTtftOverBudget"
TPOT_OVER_BUDGET: Final = "AgentTpotOverBudget"
PREEMPTIONS: Final = "AgentPreemptions"
REQUESTS_REJECTED: Final = "AgentRequestsRejected"
REPLICAS_BELOW_PLAN: Final = "AgentReplicasBelowPlan"
SCALER_FAILING: Final = "AgentScalerFailing"
GPU_PODS_PENDING: Final = "AgentGpuPodsPending"
SPOT_NODE_LOST: Final = "AgentSpotNodeLost"
MODEL_CACHE_NOT_FILLED: Final = "AgentModelCacheNotFilled"


class MetricsPlan(Document):
    """What the engine's Prometheus series are called in its version. Unset: no source names one.

    Counters carry their ``_total``; histograms have no suffix.
    """

    path: str
    """Path of the metrics page, on the engine's port."""
    running: str | None
    waiting: str | None
    kv_usage: str | None
    ttft: str | None
    tpot: str | None
    preemptions: str | None
    rejections: str | None
    prefix_cache_hits: str | None
    prefix_cache_queries: str | None
    generation_tokens: str | None
    prompt_tokens: str | None
    success: str | None
    ttft_edge_s: float | None
    """Bucket edge that stands for the TTFT budget less the network: exactly there, or the next above it."""
    tpot_edge_s: float | None
    """Bucket edge that stands for the TPOT budget."""
    ttft_edges_s: tuple[float, ...]
    """Bucket edges that the engine is told to use instead of its own; empty: its own."""
    tpot_edges_s: tuple[float, ...]


class AlertPlan(Document):
    """One alert rule: what it is about and when it fires."""

    name: AlertName
    agent: str | None
    """Agent that it watches; unset: the whole stack."""
    severity: Literal["critical", "warning"]
    threshold: float
    unit: str
    window_s: int
    """Time over which counters are counted; 0 for what has a value at any time."""
    for_s: int
    """How long it must hold before the alert fires."""


class WatchingPlan(Document):
    """How the stack is watched."""

    monitors: Literal["prometheus-operator", "none"]
    scrape_interval_s: int
    alerts: tuple[AlertPlan, ...]
    dashboard: bool
    labels: dict[str, str]
    """Labels by which a Prometheus selects monitors and rules."""
    runbook_base_url: str | None
