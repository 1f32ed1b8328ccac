"""How the stack is watched: the series of its engines, the bucket edges at its budgets, and when an alert fires.

Every threshold follows from the plan, and every waiting time from a predicted start: what repairs itself within a cold
start wakes nobody.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from agentgpu_iac.catalog.model import EngineMetrics
from agentgpu_iac.plan import (
    AlertPlan,
    AlertUnit,
    MetricsPlan,
    NodePool,
    RouterPlan,
    WatchingPlan,
    Workload,
    tiers_by_agent,
)
from agentgpu_iac.plan.watching import (
    GPU_PODS_PENDING,
    KV_CACHE_FULL,
    MODEL_CACHE_NOT_FILLED,
    PREEMPTIONS,
    REPLICAS_BELOW_PLAN,
    REQUESTS_REJECTED,
    SCALER_FAILING,
    SPOT_NODE_LOST,
    TPOT_OVER_BUDGET,
    TTFT_OVER_BUDGET,
    AlertName,
)
from agentgpu_iac.planning.demand import Demand
from agentgpu_iac.spec.model import StackSpec
from agentgpu_iac.units import rounded

SCRAPE_INTERVAL_S = 15

KV_CACHE_FULL_RATIO = 0.8
_MOST_KV_CACHE_RATIO = 0.98
"""Part of the KV cache in use from which long contexts soon push each other out."""
OVER_BUDGET_RATIO = 0.05
"""Part of the requests that may be slower than their budget: the budgets are meant for the 95th percentile."""
_WINDOW_S = 300
_LONG_WINDOW_S = 600
_LEAST_FOR_S = 300


def metrics_plan(known: EngineMetrics | None, demand: Demand, round_trip_ms: float) -> MetricsPlan | None:
    """The series of an agent's engine, with bucket edges at its budgets.

    The engine does not see the network, so its TTFT is held against what the round trip leaves of the budget.
    """
    if known is None:
        return None
    ttft_s = None if demand.budget_ttft_ms is None else rounded((demand.budget_ttft_ms - round_trip_ms) / 1000, 6)
    tpot_s = None if demand.budget_tpot_ms is None else rounded(demand.budget_tpot_ms / 1000, 6)
    whole_ttft_s = None if demand.budget_ttft_ms is None else rounded(demand.budget_ttft_ms / 1000, 6)
    ttft_edges = _own_edges(known.ttft_edges_s, (ttft_s, whole_ttft_s)) if known.edges_settable else ()
    tpot_edges = _own_edges(known.tpot_edges_s, (tpot_s,)) if known.edges_settable else ()
    return MetricsPlan(
        path=known.path,
        running=known.running,
        waiting=known.waiting,
        kv_usage=known.kv_usage,
        ttft=known.ttft,
        tpot=known.tpot,
        preemptions=known.preemptions,
        rejections=known.rejections,
        prefix_cache_hits=known.prefix_cache_hits,
        prefix_cache_queries=known.prefix_cache_queries,
        generation_tokens=known.generation_tokens,
        prompt_tokens=known.prompt_tokens,
        success=known.success,
        ttft_edge_s=_edge(ttft_edges or known.ttft_edges_s, ttft_s),
        tpot_edge_s=_edge(tpot_edges or known.tpot_edges_s, tpot_s),
        ttft_edges_s=ttft_edges,
        tpot_edges_s=tpot_edges,
    )


def _own_edges(default: Sequence[float], budgets: Sequence[float | None]) -> tuple[float, ...]:
    """The default edges with the budgets among them; nothing where they are there already."""
    wanted = {budget for budget in budgets if budget is not None and budget > 0}
    return () if wanted <= set(default) else tuple(sorted({*default, *wanted}))


def _edge(edges: Sequence[float], budget_s: float | None) -> float | None:
    """The edge at the budget, else the next above: an alert on it is never false, at worst late."""
    if budget_s is None:
        return None
    return min((edge for edge in edges if edge >= budget_s), default=None)


def watching_plan(
    spec: StackSpec, workloads: Sequence[Workload], node_pools: Sequence[NodePool], router: RouterPlan | None
) -> WatchingPlan:
    """What watches the stack, and its alerts: agent by agent, then those of the whole stack."""
    wanted = spec.observability
    on = wanted.alerts and wanted.monitors != "none"
    agents = tuple(tiers_by_agent(workloads).values()) if on else ()
    alerts = (
        *(alert for tiers in agents for alert in _agent_alerts(tiers, router)),
        *(_stack_alerts(workloads, node_pools) if on else ()),
    )
    return WatchingPlan(
        monitors=wanted.monitors,
        scrape_interval_s=SCRAPE_INTERVAL_S,
        alerts=alerts,
        dashboard=wanted.dashboard,
        labels=dict(sorted(wanted.labels.items())),
        runbook_base_url=wanted.runbook_base_url,
    )


def _agent_alerts(tiers: Sequence[Workload], router: RouterPlan | None) -> Iterator[AlertPlan]:
    baseline, metrics = tiers[0], tiers[0].metrics
    urgent = "critical" if baseline.user_facing else "warning"
    cold_s = max(_LEAST_FOR_S, *(math.ceil(workload.cold_start_s.total) for workload in tiers))

    def alert(name: AlertName, threshold: float, unit: AlertUnit, **when: int | str) -> AlertPlan:
        shown = {"severity": "warning", "window_s": 0, "for_s": _LEAST_FOR_S, **when}
        return AlertPlan.model_validate(
            {"name": name, "agent": baseline.agent, "threshold": threshold, "unit": unit, **shown}
        )

    if metrics is not None and metrics.kv_usage is not None:
        yield alert(KV_CACHE_FULL, kv_cache_full_ratio(baseline), "of the KV cache")
    if metrics is not None and metrics.ttft is not None and metrics.ttft_edge_s is not None:
        yield alert(TTFT_OVER_BUDGET, OVER_BUDGET_RATIO, "of the requests", severity=urgent, window_s=_WINDOW_S)
    if metrics is not None and metrics.tpot is not None and metrics.tpot_edge_s is not None:
        yield alert(TPOT_OVER_BUDGET, OVER_BUDGET_RATIO, "of the requests", severity=urgent, window_s=_WINDOW_S)
    if metrics is not None and metrics.preemptions is not None:
        yield alert(PREEMPTIONS, 0.0, "preemptions", window_s=_LONG_WINDOW_S)
    if metrics is not None and metrics.rejections is not None and baseline.admission.max_queued_requests is not None:
        outlasts_s = cold_s if len(tiers) > 1 else _LEAST_FOR_S
        retried = router is not None and baseline.agent in router.agents
        yield alert(
            REQUESTS_REJECTED,
            0.0,
            "requests",
            severity="warning" if retried else urgent,
            window_s=_WINDOW_S,
            for_s=outlasts_s,
        )
    yield alert(REPLICAS_BELOW_PLAN, float(baseline.replicas.min), "replicas", severity=urgent, for_s=cold_s)
    if any(workload.scaling is not None for workload in tiers):
        yield alert(SCALER_FAILING, 0.0, "errors", severity=urgent, window_s=_WINDOW_S)


def kv_cache_full_ratio(workload: Workload) -> float:
    """Above what the plan itself fills: an engine that shares its accelerator has no more than its planned sessions take."""
    return max(KV_CACHE_FULL_RATIO, min(_MOST_KV_CACHE_RATIO, rounded(workload.memory.planned_kv_ratio, 2)))


def _stack_alerts(workloads: Sequence[Workload], node_pools: Sequence[NodePool]) -> Iterator[AlertPlan]:
    cold_s = max(_LEAST_FOR_S, *(math.ceil(workload.cold_start_s.total) for workload in workloads))
    fill_s = max(_LEAST_FOR_S, *(math.ceil(2 * workload.cold_start_s.cache_fill) for workload in workloads))
    fill_s = max(fill_s, *(math.ceil(2 * pool.filler.fill_s) for pool in node_pools if pool.filler is not None), 0)

    def alert(name: AlertName, unit: AlertUnit, window_s: int, for_s: int) -> AlertPlan:
        return AlertPlan(
            name=name, agent=None, severity="warning", threshold=0.0, unit=unit, window_s=window_s, for_s=for_s
        )

    yield alert(GPU_PODS_PENDING, "pods", 0, cold_s)
    yield alert(MODEL_CACHE_NOT_FILLED, "nodes", 0, fill_s)
    if any("spot" in pool.capacity_types for pool in node_pools):
        yield alert(SPOT_NODE_LOST, "nodes", _LONG_WINDOW_S, 0)
