"""How the stack is watched: the series of its engines, the bucket edges at its budgets, and when an alert fires.

Every threshold follows from the plan, and every waiting time from a predicted start: what repairs itself within a cold
start wakes nobody.

A share of requests (too slow, failed) is asked for over two windows at once. The long one keeps a bad moment from waking
anybody, the short one lets the alert end when the trouble does. Neither says anything below a floor of requests: at night two
slow ones are no percentile.
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
    warm_replicas,
)
from agentgpu_iac.plan.watching import (
    ACCELERATOR_ERRORS,
    ACCELERATOR_HOT,
    ACCELERATOR_MEMORY,
    ENGINE_RESTARTS,
    ERRORS,
    EXPORTER_MISSING,
    GPU_PODS_PENDING,
    KV_CACHE_FULL,
    METRICS_MISSING,
    MODEL_CACHE_NOT_FILLED,
    PICKER_DOWN,
    PREEMPTIONS,
    REPLICAS_BELOW_PLAN,
    REQUESTS_REJECTED,
    ROUTER_DOWN,
    ROUTER_NEARLY_FULL,
    SCALER_FAILING,
    SPOT_NODE_LOST,
    TPOT_OVER_BUDGET,
    TTFT_OVER_BUDGET,
    AlertName,
)
from agentgpu_iac.planning.demand import Demand
from agentgpu_iac.spec.model import StackSpec
from agentgpu_iac.targets import target_of
from agentgpu_iac.units import ceil_div, rounded

SCRAPE_INTERVAL_S = 15

KV_CACHE_FULL_RATIO = 0.8
_MOST_KV_CACHE_RATIO = 0.98
"""Part of the KV cache in use from which long contexts soon push each other out."""
ERROR_RATIO = 0.02
"""Part of the answers that may be the engine's own failures (a judgement: a client that tries again hides one in fifty)."""
ENGINE_RESTARTS_MOST = 2
"""Restarts of one pod in an hour that may be chance; a third is a loop."""
ROUTER_FULL_RATIO = 0.8
"""Part of a router's connections from which a burst no longer fits."""
HOT_C = 88
"""Degrees Celsius that no data-centre card reaches in a room as it should be: NVIDIA's slow down from 85 to 93 (a judgement)."""
_WINDOW_S = 300
_LONG_WINDOW_S = 600
_BURN_WINDOW_S = 3_600
"""The long window of shares: an hour of the budget's promise."""
_LEAST_REQUESTS = 20
_LEAST_OVER = 5
"""Below so many requests in the long window, or so many of them over, a share is chance."""
_BURN_FOR_S = 120
"""The windows have waited already."""
_LEAST_FOR_S = 300
_ROUTER_FOR_S = 120
"""NGINX is there again within seconds; its second replica serves meanwhile."""
_EXPORTER_FOR_S = 900
_HOT_FOR_S = 900


def metrics_plan(known: EngineMetrics | None, demand: Demand, round_trip_ms: float) -> MetricsPlan | None:
    """The series of an agent's engine, with bucket edges at its budgets.

    The engine does not see the network, so its TTFT is held against what the round trip leaves of the budget.
    """
    if known is None:
        return None
    if demand.load is not None:
        return _of_answers(known, demand, round_trip_ms)
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
        answers=known.answers,
        failures=known.failures,
        ttft_edge_s=_edge(ttft_edges or known.ttft_edges_s, ttft_s),
        tpot_edge_s=_edge(tpot_edges or known.tpot_edges_s, tpot_s),
        ttft_edges_s=ttft_edges,
        tpot_edges_s=tpot_edges,
    )


def _of_answers(known: EngineMetrics, demand: Demand, round_trip_ms: float) -> MetricsPlan:
    """The series of an engine that generates nothing: its first and only output is the answer, and its tokens are inputs'.

    vLLM observes the time to first token of such requests too, once for each input (0.32.0, tried on a CPU). What tells of
    generated tokens stays at zero, and so does the KV cache of models that keep none.
    """
    budget_ms, keeps_kv = demand.budget_e2e_ms, demand.model.keeps_kv
    left_s = None if budget_ms is None else rounded((budget_ms - round_trip_ms) / 1000, 6)
    whole_s = None if budget_ms is None else rounded(budget_ms / 1000, 6)
    edges = _own_edges(known.ttft_edges_s, (left_s, whole_s)) if known.edges_settable else ()
    return MetricsPlan(
        path=known.path,
        running=known.running,
        waiting=known.waiting,
        kv_usage=known.kv_usage if keeps_kv else None,
        ttft=known.ttft,
        tpot=None,
        preemptions=known.preemptions if keeps_kv else None,
        rejections=known.rejections,
        prefix_cache_hits=None,
        prefix_cache_queries=None,
        generation_tokens=None,
        prompt_tokens=known.prompt_tokens,
        success=known.success,
        answers=known.answers,
        failures=known.failures,
        ttft_edge_s=_edge(edges or known.ttft_edges_s, left_s),
        tpot_edge_s=None,
        ttft_edges_s=edges,
        tpot_edges_s=(),
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
    wanted, can = spec.observability, target_of(spec).can
    on = wanted.alerts and wanted.monitors != "none" and (can.has_cluster or can.runs_machines)
    agents = tuple(tiers_by_agent(workloads).values()) if on else ()
    alerts = (
        *(alert for tiers in agents for alert in _agent_alerts(tiers, router)),
        *(_stack_alerts(spec, workloads, node_pools, router) if on else ()),
    )
    return WatchingPlan(
        monitors=wanted.monitors,
        scrape_interval_s=SCRAPE_INTERVAL_S,
        alerts=alerts,
        dashboard=wanted.dashboard,
        labels=dict(sorted(wanted.labels.items())),
        runbook_base_url=wanted.runbook_base_url,
        cluster=wanted.cluster,
        accelerators=wanted.accelerators,
        node_health=wanted.node_health,
        percentile=spec.latency.percentile,
    )


def _alert(name: AlertName, agent: str | None, threshold: float, unit: AlertUnit, **when: int | str) -> AlertPlan:
    """An alert that warns, on what holds at any time, unless it is said otherwise."""
    shown = {
        "severity": "warning",
        "window_s": 0,
        "long_window_s": 0,
        "least_requests": 0,
        "least_over": 0,
        "for_s": _LEAST_FOR_S,
        **when,
    }
    return AlertPlan.model_validate({"name": name, "agent": agent, "threshold": threshold, "unit": unit, **shown})


def _agent_alerts(tiers: Sequence[Workload], router: RouterPlan | None) -> Iterator[AlertPlan]:
    baseline, metrics = tiers[0], tiers[0].metrics
    urgent = "critical" if baseline.user_facing else "warning"
    cold_s = _slowest_start_s(tiers)

    def alert(name: AlertName, threshold: float, unit: AlertUnit, **when: int | str) -> AlertPlan:
        return _alert(name, baseline.agent, threshold, unit, **when)

    if metrics is not None and metrics.kv_usage is not None:
        yield alert(KV_CACHE_FULL, max(map(kv_cache_full_ratio, tiers)), "of the KV cache")
    over = rounded(1 - baseline.latency.percentile / 100, 6)
    slow = _share(over, urgent)
    if metrics is not None and metrics.ttft is not None and metrics.ttft_edge_s is not None:
        yield alert(TTFT_OVER_BUDGET, over, "of the requests", **slow)
    if metrics is not None and metrics.tpot is not None and metrics.tpot_edge_s is not None:
        yield alert(TPOT_OVER_BUDGET, over, "of the requests", **slow)
    if metrics is not None and metrics.preemptions is not None:
        yield alert(PREEMPTIONS, 0.0, "preemptions", window_s=_LONG_WINDOW_S)
    if metrics is not None and metrics.rejections is not None and baseline.admission.max_queued_requests is not None:
        outlasts_s = cold_s if len(tiers) > 1 else _LEAST_FOR_S
        retried = router is not None and baseline.agent in router.deployments
        yield alert(
            REQUESTS_REJECTED,
            0.0,
            "requests",
            severity="warning" if retried else urgent,
            window_s=_WINDOW_S,
            for_s=outlasts_s,
        )
    if metrics is not None and metrics.answers is not None:
        yield alert(ERRORS, ERROR_RATIO, "of the requests", **_share(ERROR_RATIO, urgent))
    yield alert(REPLICAS_BELOW_PLAN, float(warm_replicas(tiers)), "replicas", severity=urgent, for_s=cold_s)
    yield alert(ENGINE_RESTARTS, float(ENGINE_RESTARTS_MOST), "restarts", window_s=_BURN_WINDOW_S, for_s=0)
    if metrics is not None and metrics.telltale is not None:
        yield alert(METRICS_MISSING, 0.0, "pods", for_s=max(_EXPORTER_FOR_S, cold_s))
    if any(workload.scaling is not None or workload.open_hours is not None for workload in tiers):
        yield alert(SCALER_FAILING, 0.0, "errors", severity=urgent, window_s=_WINDOW_S)


def _share(ratio: float, severity: str) -> dict[str, int | str]:
    """When a share of the requests that is over such a ratio says something: a percentile needs as many requests as it parts."""
    return {
        "severity": severity,
        "window_s": _WINDOW_S,
        "long_window_s": _BURN_WINDOW_S,
        "least_requests": max(_LEAST_REQUESTS, math.ceil(rounded(1 / ratio, 6))),
        "least_over": _LEAST_OVER,
        "for_s": _BURN_FOR_S,
    }


def _slowest_start_s(workloads: Sequence[Workload]) -> int:
    return max(_LEAST_FOR_S, *(math.ceil(workload.cold_start_s.upper.total) for workload in workloads))


def kv_cache_full_ratio(workload: Workload) -> float:
    """Above what the plan itself fills: an engine that shares its accelerator has no more than its planned sessions take."""
    return max(KV_CACHE_FULL_RATIO, min(_MOST_KV_CACHE_RATIO, rounded(workload.memory.planned_kv_ratio, 2)))


def _stack_alerts(
    spec: StackSpec, workloads: Sequence[Workload], node_pools: Sequence[NodePool], router: RouterPlan | None
) -> Iterator[AlertPlan]:
    """What concerns all agents. Pods, caches and nodes are a cluster's; a machine has none of them."""

    def alert(name: AlertName, threshold: float, unit: AlertUnit, **when: int | str) -> AlertPlan:
        return _alert(name, None, threshold, unit, **when)

    has_cluster = target_of(spec).can.has_cluster
    if has_cluster:
        fill_s = max(_LEAST_FOR_S, *(math.ceil(workload.cold_start_s.upper.cache_fill) for workload in workloads))
        fill_s = max(fill_s, *(math.ceil(2 * pool.filler.fill_s) for pool in node_pools if pool.filler is not None), 0)
        yield alert(GPU_PODS_PENDING, 0.0, "pods", for_s=_slowest_start_s(workloads))
        if any(pool.filler is not None for pool in node_pools):
            yield alert(MODEL_CACHE_NOT_FILLED, 0.0, "nodes", for_s=fill_s)
        if any("spot" in pool.capacity_types for pool in node_pools):
            yield alert(SPOT_NODE_LOST, 0.0, "nodes", window_s=_LONG_WINDOW_S, for_s=0)
    if router is not None:
        routed = [workload for workload in workloads if workload.agent in router.deployments]
        urgent = "critical" if any(workload.user_facing for workload in routed) else "warning"
        if router.exporter is not None:
            yield alert(ROUTER_DOWN, 1.0, "routers", severity=urgent, for_s=_ROUTER_FOR_S)
            yield alert(
                ROUTER_NEARLY_FULL, _router_full(router), "connections", window_s=_WINDOW_S, for_s=_ROUTER_FOR_S
            )
        elif router.kind == "gateway":
            yield alert(PICKER_DOWN, 1.0, "replicas", for_s=_LEAST_FOR_S)
    if spec.observability.accelerators != "none":
        yield alert(ACCELERATOR_ERRORS, 0.0, "errors", for_s=0)
        yield alert(ACCELERATOR_MEMORY, 0.0, "errors", window_s=_BURN_WINDOW_S, for_s=0)
        yield alert(ACCELERATOR_HOT, float(HOT_C), "degrees Celsius", for_s=_HOT_FOR_S)
    if has_cluster or spec.observability.accelerators != "none":
        yield alert(EXPORTER_MISSING, 0.0, "exporters", for_s=_EXPORTER_FOR_S)


def _router_full(router: RouterPlan) -> float:
    """Callers' connections of one NGINX: all workers have room for twice the planned ones, since an engine's counts too."""
    workers = ceil_div(router.cpu_milli, 1000)
    return float(math.floor(ROUTER_FULL_RATIO * workers * router.worker_connections / 2))
