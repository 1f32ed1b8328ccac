"""Alert rules: each alert of the plan as an expression and as sentences with the plan's numbers.

Alerts of an agent stand in a PrometheusRule of its own, since one object cannot hold those of a thousand.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from agentgpu_iac.plan import AlertPlan, MetricsPlan, Plan, Workload, tiers_by_agent, watching
from agentgpu_iac.plan.nodes import ACCELERATOR_RESOURCE
from agentgpu_iac.plan.series import AGENT_SERIES_LABEL, TIER_SERIES_LABEL, decimal, selector
from agentgpu_iac.rendering.context import Context, Draft, Pairs
from agentgpu_iac.rendering.names import MONITORING, model_cache, pod_pattern, watched_labels
from agentgpu_iac.rendering.scaling import BURST_SERIES

RUNBOOK_PAGE = "docs/runbook.md"
"""The page of this project's documentation with a section for each alert."""

_BY_POD = f"{AGENT_SERIES_LABEL},{TIER_SERIES_LABEL},pod"
_KUBE_RESOURCE = ACCELERATOR_RESOURCE.replace(".", "_").replace("/", "_")
"""How kube-state-metrics spells the resource."""

Rule = tuple[str, str, str, Pairs, Pairs]
"""(alert, expression, waiting time, labels, annotations)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PrometheusRuleContext(Context):
    """Rules about one agent, or about the stack as a whole."""

    template: ClassVar[str] = "prometheus-rule.yaml.j2"
    name: str
    namespace: str
    labels: Pairs
    group: str
    interval: str
    records: tuple[tuple[str, str, Pairs], ...]
    """(series, expression, labels)."""
    alerts: tuple[Rule, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Said:
    """An alert in words and in PromQL."""

    expression: str
    summary: str
    description: str


def rule_drafts(plan: Plan) -> tuple[Draft, ...]:
    """The rules of each agent, and those of the stack."""
    if plan.watching.monitors == "none":
        return ()
    alerts: dict[str | None, list[AlertPlan]] = {}
    for alert in plan.watching.alerts:
        alerts.setdefault(alert.agent, []).append(alert)
    found = [
        _rules(plan, f"agent-{agent}", agent, tiers, alerts.get(agent, ()))
        for agent, tiers in tiers_by_agent(plan.workloads).items()
    ]
    found.append(_rules(plan, "stack", None, plan.workloads, alerts.get(None, ())))
    return tuple(Draft(folder=MONITORING, context=rules) for rules in found if rules.records or rules.alerts)


def _rules(
    plan: Plan, name: str, agent: str | None, workloads: Sequence[Workload], alerts: Sequence[AlertPlan]
) -> PrometheusRuleContext:
    about: Pairs = () if agent is None else ((AGENT_SERIES_LABEL, agent),)
    return PrometheusRuleContext(
        name=name,
        namespace=plan.stack,
        labels=watched_labels(plan, name),
        group=f"{plan.stack}.{name}",
        interval=f"{plan.watching.scrape_interval_s}s",
        records=() if agent is None else tuple(_records(plan.stack, workloads)),
        alerts=tuple(
            (
                alert.name,
                said.expression,
                f"{alert.for_s}s",
                (("severity", alert.severity), ("agentgpu_dev_stack", plan.stack), *about),
                (
                    ("summary", said.summary),
                    ("description", said.description),
                    _runbook(plan.watching.runbook_base_url, alert.name),
                ),
            )
            for alert in alerts
            for said in (_SAID[alert.name](plan, alert, workloads),)
        ),
    )


def _records(stack: str, workloads: Sequence[Workload]) -> Iterator[tuple[str, str, Pairs]]:
    """The series that a metrics adapter serves to an HPA. KEDA queries Prometheus directly."""
    for workload in workloads:
        if workload.scaling is not None and workload.scaling.method == "hpa":
            about = (("namespace", stack), (AGENT_SERIES_LABEL, workload.agent))
            yield from ((BURST_SERIES[trigger.name], trigger.query, about) for trigger in workload.scaling.triggers)


def _runbook(base_url: str | None, alert: str) -> tuple[str, str]:
    """A link to the alert's section; without a base the page's place in this project's documentation."""
    section = f"#{alert.lower()}"
    return ("runbook", RUNBOOK_PAGE + section) if base_url is None else ("runbook_url", base_url + section)


def _kv_cache_full(plan: Plan, alert: AlertPlan, tiers: Sequence[Workload]) -> _Said:
    workload, metrics = tiers[0], _metrics(tiers[0])
    return _Said(
        expression=(
            f"max by ({_BY_POD}) ({metrics.kv_usage}{{{selector(plan.stack, workload.agent)}}}) > {decimal(alert.threshold)}"
        ),
        summary=f"The KV cache of {workload.agent} is nearly full",
        description=(
            "{{ $labels.pod }} uses {{ $value | humanizePercentage }} of its KV cache, over "
            f"{alert.threshold:.0%}. The plan holds {workload.max_num_seqs} sessions of "
            f"{workload.memory.context_tokens:,} tokens in "
            f"{workload.memory.planned_kv_ratio:.0%} of it: sessions are longer, or more, than planned."
        ),
    )


def _slow(
    plan: Plan, alert: AlertPlan, workload: Workload, histogram: str | None, edge_s: float, words: str, promised: str
) -> _Said:
    """The share of requests in histogram buckets above the edge."""
    chosen, window = selector(plan.stack, workload.agent), f"[{alert.window_s}s]"
    fast = f'sum(rate({histogram}_bucket{{{chosen},le="{edge_s!r}"}}{window}))'
    every = f"sum(rate({histogram}_count{{{chosen}}}{window}))"
    return _Said(
        expression=f"1 - {fast} / {every} > {decimal(alert.threshold)}",
        summary=f"{workload.agent} misses its {words} budget",
        description=(
            f"{{{{ $value | humanizePercentage }}}} of the requests took longer than {edge_s * 1000:g} ms, over "
            f"{alert.threshold:.0%}. {promised}"
        ),
    )


def _ttft_over_budget(plan: Plan, alert: AlertPlan, tiers: Sequence[Workload]) -> _Said:
    workload, metrics = tiers[0], _metrics(tiers[0])
    budget, predicted = workload.latency.budget_ttft_ms or 0.0, workload.latency.ttft_ms
    return _slow(
        plan,
        alert,
        workload,
        metrics.ttft,
        metrics.ttft_edge_s or 0.0,
        "TTFT",
        f"The budget is {budget:g} ms, of which the network takes {workload.latency.network_ms:g} ms; the plan predicts "
        f"{'nothing' if predicted is None else f'{predicted:g} ms'}{_with_seats(workload)}.",
    )


def _tpot_over_budget(plan: Plan, alert: AlertPlan, tiers: Sequence[Workload]) -> _Said:
    workload, metrics = tiers[0], _metrics(tiers[0])
    budget, predicted = workload.latency.budget_tpot_ms or 0.0, workload.latency.tpot_ms
    return _slow(
        plan,
        alert,
        workload,
        metrics.tpot,
        metrics.tpot_edge_s or 0.0,
        "TPOT",
        f"The budget is {budget:g} ms a token; the plan predicts "
        f"{'nothing' if predicted is None else f'{predicted:g} ms'}{_with_seats(workload)}.",
    )


def _with_seats(workload: Workload) -> str:
    return f" with {workload.max_num_seqs} session{'s' if workload.max_num_seqs > 1 else ''} on a replica"


def _preemptions(plan: Plan, alert: AlertPlan, tiers: Sequence[Workload]) -> _Said:
    workload, metrics = tiers[0], _metrics(tiers[0])
    return _Said(
        expression=(
            f"sum by ({_BY_POD}) (increase({metrics.preemptions}{{{selector(plan.stack, workload.agent)}}}[{alert.window_s}s])) "
            f"> {decimal(alert.threshold)}"
        ),
        summary=f"{workload.agent} throws running requests out of the KV cache",
        description=(
            f"{{{{ $labels.pod }}}} preempted {{{{ $value | humanize }}}} requests in {alert.window_s // 60} min; the plan has "
            f"room for {workload.max_num_seqs} sessions of {workload.memory.context_tokens:,} tokens: they are longer than that."
        ),
    )


def _requests_rejected(plan: Plan, alert: AlertPlan, tiers: Sequence[Workload]) -> _Said:
    workload, metrics = tiers[0], _metrics(tiers[0])
    seats = sum(each.replicas.max for each in tiers) * workload.max_num_seqs
    routed = plan.router is not None and workload.agent in plan.router.agents
    retried = "The router tries another replica before a caller sees that. " if routed else ""
    return _Said(
        expression=(
            f"sum(increase({metrics.rejections}{{{selector(plan.stack, workload.agent)}}}[{alert.window_s}s])) "
            f"> {decimal(alert.threshold)}"
        ),
        summary=f"Replicas of {workload.agent} refuse requests",
        description=(
            f"{{{{ $value | humanize }}}} requests were refused (503) in {alert.window_s // 60} min, for longer than "
            f"{alert.for_s} s. {retried}A replica lets {workload.admission.max_queued_requests} requests queue; all replicas "
            f"have {seats:,} seats, for {workload.sessions_peak:,} sessions at the peak."
        ),
    )


def replicas_up(stack: str, workload: Workload) -> str:
    """Replicas of a workload that answer; by what Kubernetes says of them where nothing scrapes the engine."""
    if workload.metrics is None:
        return f'sum(kube_deployment_status_replicas_ready{{namespace="{stack}",deployment="{workload.name}"}})'
    return f'sum(up{{{selector(stack, workload.agent)},{TIER_SERIES_LABEL}="{workload.tier}"}})'


def _replicas_below_plan(plan: Plan, alert: AlertPlan, tiers: Sequence[Workload]) -> _Said:
    workload = tiers[0]
    return _Said(
        expression=f"({replicas_up(plan.stack, workload)} or vector(0)) < {decimal(alert.threshold)}",
        summary=f"{workload.agent} has fewer replicas than planned",
        description=(
            f"{{{{ $value }}}} of {workload.replicas.min} baseline replicas answer, for longer than {alert.for_s} s; a cold "
            f"start takes {workload.cold_start_s.total:.0f} s. They carry {workload.sessions_concurrent:,} sessions at normal "
            "load."
        ),
    )


def _scaler_failing(plan: Plan, alert: AlertPlan, tiers: Sequence[Workload]) -> _Said:
    burst = next(workload for workload in tiers if workload.scaling is not None)
    least = 0 if burst.scaling is None else burst.scaling.min_replicas
    if burst.scaling is not None and burst.scaling.method == "hpa":
        expression = (
            f'sum(kube_horizontalpodautoscaler_status_condition{{namespace="{plan.stack}",'
            f'horizontalpodautoscaler="{burst.name}",condition="ScalingActive",status="false"}}) > {decimal(alert.threshold)}'
        )
    else:
        counted = " or ".join(
            f'increase(keda_scaler_detail_errors_total{{{label}="{plan.stack}",scaledObject="{burst.name}"}}'
            f"[{alert.window_s}s])"
            for label in ("exported_namespace", "namespace")
        )
        expression = f"sum({counted}) > {decimal(alert.threshold)}"
    return _Said(
        expression=expression,
        summary=f"The burst tier of {burst.agent} is not scaled",
        description=(
            f"What scales {burst.name} gets no value for its metrics: the tier stays as it is, between {least} and "
            f"{burst.replicas.max} replicas, whatever the load."
        ),
    )


def _gpu_pods_pending(plan: Plan, alert: AlertPlan, _: Sequence[Workload]) -> _Said:
    nodes = sum(pool.max for pool in plan.node_pools)
    pending = f'kube_pod_status_phase{{namespace="{plan.stack}",phase="Pending"}} == 1'
    on_gpu = f'kube_pod_container_resource_requests{{namespace="{plan.stack}",resource="{_KUBE_RESOURCE}"}} > 0'
    return _Said(
        expression=f"count(({pending}) and on (pod) ({on_gpu})) > {decimal(alert.threshold)}",
        summary=f"Pods of {plan.stack} wait for accelerators",
        description=(
            f"{{{{ $value }}}} pods that ask for accelerators are pending for longer than {alert.for_s} s, the slowest cold "
            f"start of the plan. The plan has {nodes} node{'s' if nodes > 1 else ''} at most."
        ),
    )


def _spot_node_lost(plan: Plan, alert: AlertPlan, workloads: Sequence[Workload]) -> _Said:
    pools = tuple(pool for pool in plan.node_pools if "spot" in pool.capacity_types)
    disrupted = f'karpenter_nodeclaims_disrupted_total{{reason="spot_interrupted",nodepool=~"{"|".join(p.name for p in pools)}"}}'
    affected = tuple(workload for workload in workloads if workload.node_pool in {pool.name for pool in pools})
    pods = "|".join(pod_pattern(workload) for workload in affected)
    gone = (
        f'sum(kube_node_status_condition{{condition="Ready",status="true"}} == bool 0 and on (node) '
        f'kube_pod_info{{namespace="{plan.stack}",pod=~"{pods}"}})'
    )
    taken = f"sum({disrupted}) - (sum({disrupted} offset {alert.window_s}s) or vector(0))"
    names = ", ".join(pool.name for pool in pools)
    notices = sorted({workload.drain.notice_s or 0 for workload in affected})
    drains = max((workload.drain.grace_period_s for workload in affected), default=0)
    return _Said(
        expression=f"({taken} > {decimal(alert.threshold)}) or ({gone} > {decimal(alert.threshold)})",
        summary=f"{plan.stack} lost a node on spot",
        description=(
            f"{{{{ $value }}}} nodes of {names} were taken away or do not answer. The provider gives "
            f"{' or '.join(str(notice) for notice in notices)} s of notice, a drain takes {drains} s."
        ),
    )


def _model_cache_not_filled(plan: Plan, alert: AlertPlan, workloads: Sequence[Workload]) -> _Said:
    names = "|".join(model_cache(pool) for pool in plan.node_pools)
    chosen = f'namespace="{plan.stack}",daemonset=~"{names}"'
    slowest = max(workload.cold_start_s.cache_fill for workload in workloads)
    return _Said(
        expression=(
            f"sum by (daemonset) (kube_daemonset_status_desired_number_scheduled{{{chosen}}}) - "
            f"sum by (daemonset) (kube_daemonset_status_number_ready{{{chosen}}}) > {decimal(alert.threshold)}"
        ),
        summary=f"Nodes of {plan.stack} lack their models",
        description=(
            f"{{{{ $labels.daemonset }}}} has not filled the model cache of {{{{ $value }}}} nodes for longer than {alert.for_s} "
            f"s; the plan expects {slowest:.0f} s at most. Engines on those nodes wait."
        ),
    )


def _metrics(workload: Workload) -> MetricsPlan:
    """The metrics of a workload that the plan has an alert on."""
    if workload.metrics is None:
        raise ValueError(f"{workload.name} has an alert on series that nobody knows")
    return workload.metrics


_SAID: Mapping[str, Callable[[Plan, AlertPlan, Sequence[Workload]], _Said]] = {
    watching.KV_CACHE_FULL: _kv_cache_full,
    watching.TTFT_OVER_BUDGET: _ttft_over_budget,
    watching.TPOT_OVER_BUDGET: _tpot_over_budget,
    watching.PREEMPTIONS: _preemptions,
    watching.REQUESTS_REJECTED: _requests_rejected,
    watching.REPLICAS_BELOW_PLAN: _replicas_below_plan,
    watching.SCALER_FAILING: _scaler_failing,
    watching.GPU_PODS_PENDING: _gpu_pods_pending,
    watching.SPOT_NODE_LOST: _spot_node_lost,
    watching.MODEL_CACHE_NOT_FILLED: _model_cache_not_filled,
}
