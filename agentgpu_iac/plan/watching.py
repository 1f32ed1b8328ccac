"""How the stack is watched: series, alerts, dashboard."""

from __future__ import annotations

from typing import Final, Literal, get_args

from agentgpu_iac.plan.codes import AlertUnit
from agentgpu_iac.spec.document import Document

AlertName = Literal[
    "AgentKvCacheFull",
    "AgentTtftOverBudget",
    "AgentTpotOverBudget",
    "AgentPreemptions",
    "AgentRequestsRejected",
    "AgentErrors",
    "AgentReplicasBelowPlan",
    "AgentEngineRestarts",
    "AgentMetricsMissing",
    "AgentScalerFailing",
    "AgentGpuPodsPending",
    "AgentSpotNodeLost",
    "AgentModelCacheNotFilled",
    "AgentRouterDown",
    "AgentRouterNearlyFull",
    "AgentPickerDown",
    "AgentAcceleratorErrors",
    "AgentAcceleratorMemory",
    "AgentAcceleratorHot",
    "AgentExporterMissing",
]
"""Every alert that a plan may have; ``docs/runbook.md`` has a section for each."""
ALERTS: tuple[AlertName, ...] = get_args(AlertName)
KV_CACHE_FULL: Final = "AgentKvCacheFull"
TTFT_OVER_BUDGET: Final = "AgentTtftOverBudget"
TPOT_OVER_BUDGET: Final = "AgentTpotOverBudget"
PREEMPTIONS: Final = "AgentPreemptions"
REQUESTS_REJECTED: Final = "AgentRequestsRejected"
ERRORS: Final = "AgentErrors"
REPLICAS_BELOW_PLAN: Final = "AgentReplicasBelowPlan"
ENGINE_RESTARTS: Final = "AgentEngineRestarts"
METRICS_MISSING: Final = "AgentMetricsMissing"
SCALER_FAILING: Final = "AgentScalerFailing"
GPU_PODS_PENDING: Final = "AgentGpuPodsPending"
SPOT_NODE_LOST: Final = "AgentSpotNodeLost"
MODEL_CACHE_NOT_FILLED: Final = "AgentModelCacheNotFilled"
ROUTER_DOWN: Final = "AgentRouterDown"
ROUTER_NEARLY_FULL: Final = "AgentRouterNearlyFull"
PICKER_DOWN: Final = "AgentPickerDown"
ACCELERATOR_ERRORS: Final = "AgentAcceleratorErrors"
ACCELERATOR_MEMORY: Final = "AgentAcceleratorMemory"
ACCELERATOR_HOT: Final = "AgentAcceleratorHot"
EXPORTER_MISSING: Final = "AgentExporterMissing"


class MetricsPlan(Document):
    """What the engine's Prometheus series are called in its version; null where no source names one. Counters carry
    their ``_total``; histograms have no suffix.
    """

    path: str
    """Path of the metrics page, on the engine's port."""
    running: str | None
    """Gauge: requests in the batch."""
    waiting: str | None
    """Gauge: requests in the queue."""
    kv_usage: str | None
    """Gauge: part of the KV cache in use."""
    ttft: str | None
    """Histogram: time to first token, without a suffix; of a model that generates nothing, the whole answer to one input."""
    tpot: str | None
    """Histogram: time per output token."""
    preemptions: str | None
    """Counter: requests thrown out of the KV cache."""
    rejections: str | None
    """Counter: requests turned away by a queue limit."""
    prefix_cache_hits: str | None
    """Counter: prompt tokens found in the prefix cache."""
    prefix_cache_queries: str | None
    """Counter: prompt tokens looked up."""
    generation_tokens: str | None
    """Counter: tokens generated."""
    prompt_tokens: str | None
    """Counter: prompt tokens read."""
    success: str | None
    """Counter: requests completed; nothing scales on it."""
    answers: str | None
    """Counter: HTTP answers by status."""
    failures: str | None
    """Label matcher of those that failed (5xx)."""
    ttft_edge_s: float | None
    """Bucket edge that stands for the TTFT budget less the network: exactly there, or the next above it."""
    tpot_edge_s: float | None
    """The same for the TPOT budget."""
    ttft_edges_s: tuple[float, ...]
    """Bucket edges that the engine is told to use instead of its own; empty: its own."""
    tpot_edges_s: tuple[float, ...]
    """The same for TPOT."""

    @property
    def telltale(self) -> str | None:
        """A series that every replica exports from its start on, whatever it serves: where it is missing, so are others."""
        return self.kv_usage or self.running


class AlertPlan(Document):
    """One alert rule: what it is about and when it fires; docs/runbook.md says what to do."""

    name: AlertName
    """Alert."""
    agent: str | None
    """Agent that it watches; null: the whole stack."""
    severity: Literal["critical", "warning"]
    """critical where users of a user-facing agent notice."""
    threshold: float
    """Above it (below it for replicas) the alert is pending."""
    unit: AlertUnit
    """Of what."""
    window_s: int
    """Time over which counters are counted; 0 for what has a value at any time."""
    long_window_s: int
    """A second, longer window in which it must hold as well, so that neither a moment nor what is over fires; 0: none."""
    least_requests: int
    """Requests in the long window below which nothing is said: a share of few requests means nothing; 0: no such floor."""
    least_over: int
    """Requests in the long window that must be over the limit themselves; 0: no such floor."""
    for_s: int
    """How long it must hold before the alert fires."""


class WatchingPlan(Document):
    """How the stack is watched."""

    monitors: Literal["prometheus-operator", "none"]
    """As in the spec."""
    scrape_interval_s: int
    """Time between two readings of the engines."""
    alerts: tuple[AlertPlan, ...]
    """Alerts; empty: none are wanted."""
    dashboard: bool
    """As in the spec."""
    labels: dict[str, str]
    """Labels by which a Prometheus selects monitors and rules."""
    runbook_base_url: str | None
    """As in the spec."""
    cluster: str | None
    """Value of the label ``cluster`` by which rules and dashboards choose; null: they do not ask."""
    accelerators: Literal["dcgm-exporter", "none"]
    """As in the spec."""
    node_health: Literal["eks-agent", "none"]
    """As in the spec."""
    percentile: float
    """Percentile of the requests that the latency budgets are promised to; dashboards show it, and alerts fire where more than
    the rest are slower."""
