"""The alerts about one agent."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from agentgpu_iac.plan import AlertPlan, Workload, watching
from agentgpu_iac.plan.pooling import per_second
from agentgpu_iac.plan.series import AGENT_SERIES_LABEL, TIER_SERIES_LABEL, decimal, wanted_replicas
from agentgpu_iac.rendering.alert_words import Said, in_both_windows, metrics_of, windows_in_words
from agentgpu_iac.rendering.names import pod_pattern
from agentgpu_iac.rendering.watched import Watched
from agentgpu_iac.units import counted

_BY_POD = f"{AGENT_SERIES_LABEL},{TIER_SERIES_LABEL},pod"


def pods_of(workloads: Sequence[Workload]) -> str:
    """Matches the names of these workloads' pods, and no others."""
    return "|".join(pod_pattern(workload) for workload in workloads)


def _kv_cache_full(watched: Watched, alert: AlertPlan, tiers: Sequence[Workload]) -> Said:
    workload, metrics = tiers[0], metrics_of(tiers[0])
    return Said(
        expression=(
            f"max by ({_BY_POD}) ({metrics.kv_usage}{{{watched.of_agent(workload.agent)}}}) > {decimal(alert.threshold)}"
        ),
        summary=f"The KV cache of {workload.title} is nearly full",
        description=(
            "{{ $labels.pod }} uses {{ $value | humanizePercentage }} of its KV cache, over "
            f"{alert.threshold:.0%}. The plan holds {counted(workload.sessions_in_cache, 'session')} of "
            f"{counted(workload.memory.context_tokens, 'token')} in "
            f"{workload.memory.planned_kv_ratio:.0%} of it: sessions are longer, or more, than planned."
        ),
        first="Few running requests mean long contexts: lower overrides.maxNumSeqs. All seats taken mean load: raise "
        "sessions.peak.",
    )


def _slow(
    watched: Watched,
    alert: AlertPlan,
    workload: Workload,
    *,
    histogram: str | None,
    edge_s: float,
    words: str,
    promised: str,
    first: str,
) -> Said:
    """The share of requests in histogram buckets above the edge.

    A pod counts with all its requests, or not at all: while a rollout changes the edges, pods without this one are left
    out, since all of their requests would seem slow.
    """
    chosen = watched.of_agent(workload.agent)
    every = f"increase({histogram}_count{{{chosen}}}WINDOW)"
    fast = f'increase({histogram}_bucket{{{chosen},le="{edge_s!r}"}}WINDOW)'
    return Said(
        expression=in_both_windows(
            alert, f"sum({every} - ignoring (le) {fast})", f"sum({every} and ignoring (le) {fast})"
        ),
        summary=f"{workload.title} misses its {words} budget",
        description=(
            f"{{{{ $value | humanizePercentage }}}} of the requests took longer than {edge_s * 1000:g} ms, over "
            f"{alert.threshold:.0%} {windows_in_words(alert)}. {promised}"
        ),
        first=first,
    )


def _ttft_over_budget(watched: Watched, alert: AlertPlan, tiers: Sequence[Workload]) -> Said:
    workload, metrics = tiers[0], metrics_of(tiers[0])
    budget = workload.latency.first_answer_budget_ms or 0.0
    predicted = workload.latency.first_answer_at_percentile_ms
    whole = workload.pooling is not None
    return _slow(
        watched,
        alert,
        workload,
        histogram=metrics.ttft,
        edge_s=metrics.ttft_edge_s or 0.0,
        words="answer" if whole else "TTFT",
        promised=f"The budget of {budget:g} ms, for {workload.latency.percentile:g} % of the requests, includes the network's "
        f"{workload.latency.network_ms:g} ms; the plan predicts "
        f"{'nothing' if predicted is None else f'{predicted:g} ms'}{_with_seats(workload)}.",
        first="Inputs that wait need replicas: is the burst tier growing? If none waits, look for longer inputs."
        if whole
        else "Requests that wait need replicas: is the burst tier growing? If none waits, look for longer prompts and a lost "
        "prefix cache.",
    )


def _tpot_over_budget(watched: Watched, alert: AlertPlan, tiers: Sequence[Workload]) -> Said:
    workload, metrics = tiers[0], metrics_of(tiers[0])
    budget, predicted = workload.latency.budget_tpot_ms or 0.0, workload.latency.tpot_at_percentile_ms
    return _slow(
        watched,
        alert,
        workload,
        histogram=metrics.tpot,
        edge_s=metrics.tpot_edge_s or 0.0,
        words="TPOT",
        promised=f"The budget of {budget:g} ms a token is for {workload.latency.percentile:g} % of the requests; the plan "
        "predicts "
        f"{'nothing' if predicted is None else f'{predicted:g} ms'}{_with_seats(workload)}.",
        first="Compare running requests with the plan's seats, then look whether a card is hot or throttled.",
    )


def _with_seats(workload: Workload) -> str:
    if workload.pooling is not None:
        return f" at {per_second(workload.pooling.inputs_per_s or 0)} inputs/s on a replica"
    return f" with {counted(workload.max_num_seqs, 'session')} on a replica"


def _preemptions(watched: Watched, alert: AlertPlan, tiers: Sequence[Workload]) -> Said:
    workload, metrics = tiers[0], metrics_of(tiers[0])
    chosen = watched.of_agent(workload.agent)
    return Said(
        expression=(
            f"sum by ({_BY_POD}) (increase({metrics.preemptions}{{{chosen}}}[{alert.window_s}s])) "
            f"> {decimal(alert.threshold)}"
        ),
        summary=f"{workload.title} throws running requests out of the KV cache",
        description=(
            f"{{{{ $labels.pod }}}} preempted {{{{ $value | humanize }}}} requests in {alert.window_s // 60} min; the plan has "
            f"room for {counted(workload.sessions_in_cache, 'session')} of {counted(workload.memory.context_tokens, 'token')}: "
            "they are longer than that."
        ),
        first="Put the real lengths into conversation and plan again; until then lower overrides.maxNumSeqs.",
    )


def _requests_rejected(watched: Watched, alert: AlertPlan, tiers: Sequence[Workload]) -> Said:
    workload, metrics, plan = tiers[0], metrics_of(tiers[0]), watched.plan
    seats = sum(each.replicas.max * each.max_num_seqs for each in tiers)
    routed = plan.router is not None and workload.agent in plan.router.deployments
    retried = "The router tries another replica before a caller sees that. " if routed else ""
    return Said(
        expression=(
            f"sum(increase({metrics.rejections}{{{watched.of_agent(workload.agent)}}}[{alert.window_s}s])) "
            f"> {decimal(alert.threshold)}"
        ),
        summary=f"Replicas of {workload.title} refuse requests",
        description=(
            f"{{{{ $value | humanize }}}} requests were refused (503) in {alert.window_s // 60} min, for longer than "
            f"{alert.for_s} s. {retried}A replica lets {counted(workload.admission.max_queued_requests or 0, 'request')} "
            "queue; all replicas "
            f"have {counted(seats, 'seat')}, for {_asked(workload, peak=True)} at the peak."
        ),
        first=f"Is the burst tier at its maximum? Then raise {_lever(workload)}. If it does not grow, look at its scaler and at "
        "pending pods.",
    )


def _asked(workload: Workload, *, peak: bool) -> str:
    """What the agent is asked for, in words."""
    asked = workload.pooling
    if asked is None:
        return counted(workload.sessions_peak if peak else workload.sessions_concurrent, "session")
    return f"{per_second(asked.requests_per_s_peak if peak else asked.requests_per_s)} requests/s"


def _lever(workload: Workload) -> str:
    """What of the spec asks for more."""
    return "sessions.peak" if workload.pooling is None else "requests.perS or traffic.burstFactor"


def _errors(watched: Watched, alert: AlertPlan, tiers: Sequence[Workload]) -> Said:
    """Refusals are no failures: they have an alert of their own, and a router takes them elsewhere."""
    workload, metrics = tiers[0], metrics_of(tiers[0])
    chosen = watched.of_agent(workload.agent)
    failed = f"sum(increase({metrics.answers}{{{chosen},{metrics.failures}}}WINDOW))"
    if metrics.rejections is not None:
        failed = f"clamp_min({failed} - (sum(increase({metrics.rejections}{{{chosen}}}WINDOW)) or vector(0)), 0)"
    return Said(
        expression=in_both_windows(alert, failed, f"sum(increase({metrics.answers}{{{chosen}}}WINDOW))"),
        summary=f"Engines of {workload.title} answer with errors",
        description=(
            f"{{{{ $value | humanizePercentage }}}} of the answers were errors of the engine (5xx, refusals left out), over "
            f"{alert.threshold:.0%} {windows_in_words(alert)}."
        ),
        first="Read the engine's log of the failing pod; if the errors began with a rollout, go back to the revision before.",
    )


def _replicas_below_plan(watched: Watched, alert: AlertPlan, tiers: Sequence[Workload]) -> Said:
    workload, wanted = tiers[0], watched.warm_replicas(tiers)
    least = str(wanted)
    if workload.open_hours is not None and watched.host is None:
        told = wanted_replicas(watched.plan.stack, workload.kind, workload.name, watched.cluster)
        least = f"clamp_max(sum({told}), {wanted})"
    noun = "baseline replica" if watched.host is None else "replica"
    return Said(
        expression=f"({watched.warm_up(tiers)}) < {least}",
        summary=f"{workload.title} has fewer replicas than planned",
        description=(
            f"{{{{ $value }}}} of {counted(wanted, noun)} {'answers' if wanted == 1 else 'answer'}, for longer than "
            f"{alert.for_s} s; a cold start takes {workload.cold_start_s.total:.0f} s. They carry "
            f"{_asked(workload, peak=False)} at normal load."
        ),
        first="Look at the pods' events: pending, waiting for the model, or restarting? If all are well, Prometheus does not "
        "reach them."
        if watched.host is None
        else "Look at docker compose ps and the engine's log; systemctl restart agentgpu starts what is missing.",
    )


def _engine_restarts(watched: Watched, alert: AlertPlan, tiers: Sequence[Workload]) -> Said:
    """In a cluster one restart for want of memory is enough: the next comes with the next long request.

    On a machine a restart shows as an engine that stops to answer and answers again.
    """
    agent, window, most = tiers[0].agent, f"[{alert.window_s}s]", decimal(alert.threshold)
    if watched.host is None:
        chosen = f'{watched.of_stack},pod=~"{pods_of(tiers)}"'
        restarts = f"sum by (pod) (increase(kube_pod_container_status_restarts_total{{{chosen}}}{window}))"
        memory = f'max by (pod) (kube_pod_container_status_last_terminated_reason{{{chosen},reason="OOMKilled"}}) == 1'
        expression = f"({restarts} > {most}) or ({restarts} > 0 and {memory})"
    else:
        expression = f"max by (pod) (changes(up{{{watched.of_agent(agent)}}}{window})) / 2 > {most}"
    return Said(
        expression=expression,
        summary=f"An engine of {agent} restarts again and again",
        description=(
            f"{{{{ $labels.pod }}}} restarted {{{{ $value | humanize }}}} times in {alert.window_s // 60} min; more than "
            f"{most} are no chance, and one for want of memory is not either. Each costs its running requests and "
            f"{tiers[0].cold_start_s.warm_node_total:.0f} s."
        ),
        first="kubectl describe pod says how it ended: OOMKilled needs more memory in the plan, anything else stands at the end "
        "of kubectl logs --previous."
        if watched.host is None
        else "docker inspect says how it ended (OOMKilled or an exit code), docker compose logs says why.",
    )


def _metrics_missing(watched: Watched, alert: AlertPlan, tiers: Sequence[Workload]) -> Said:
    workload, metrics = tiers[0], metrics_of(tiers[0])
    chosen = watched.of_agent(workload.agent)
    return Said(
        expression=(
            f"count((up{{{chosen}}} == 1) unless on (pod) {metrics.telltale}{{{chosen}}}) > {decimal(alert.threshold)}"
        ),
        summary=f"The alerts of {workload.title} are deaf",
        description=(
            f"{{{{ $value }}}} replicas answer and do not export {metrics.telltale}, which the plan expects of "
            f"{workload.engine.name} {workload.engine.version}: what is missing cannot fire."
        ),
        first="Read the engine's metrics page. Another version of the engine than planned has other names: set engineVersion to "
        "what runs and render again.",
    )


def _keda_errors(watched: Watched, alert: AlertPlan, names: str) -> str:
    matches = "=~" if "|" in names else "="
    held = " or ".join(
        f'increase(keda_scaler_detail_errors_total{{{label}="{watched.plan.stack}",scaledObject{matches}"{names}"'
        f"{watched.beside}}}[{alert.window_s}s])"
        for label in ("exported_namespace", "namespace")
    )
    return f"sum({held}) > {decimal(alert.threshold)}"


def _clock_failing(watched: Watched, alert: AlertPlan, baseline: Workload) -> Said:
    """The clock alone scales the agent: what fails then is its zone or KEDA itself."""
    return Said(
        expression=_keda_errors(watched, alert, baseline.name),
        summary=f"The schedule of {baseline.title} is not kept",
        description=f"KEDA cannot ask the clock for {baseline.name}: its replicas stay as they are, in its windows and outside.",
        first="kubectl describe the ScaledObject: does KEDA know the time zone? Until then scale by hand.",
    )


def _scaler_failing(watched: Watched, alert: AlertPlan, tiers: Sequence[Workload]) -> Said:
    scaled = [workload for workload in tiers if workload.scaling is not None or workload.open_hours is not None]
    if all(workload.scaling is None for workload in scaled):
        return _clock_failing(watched, alert, scaled[0])
    burst = next(workload for workload in scaled if workload.scaling is not None)
    least = 0 if burst.scaling is None else burst.scaling.min_replicas
    if burst.scaling is not None and burst.scaling.method == "hpa":
        expression = (
            f"sum(kube_horizontalpodautoscaler_status_condition{{{watched.of_stack},"
            f'horizontalpodautoscaler="{burst.name}",condition="ScalingActive",status="false"}}) > {decimal(alert.threshold)}'
        )
    else:
        objects = scaled if burst.scaling is not None and burst.scaling.method == "keda" else scaled[:1]
        expression = _keda_errors(watched, alert, "|".join(each.name for each in objects))
    return Said(
        expression=expression,
        summary=f"The burst tier of {burst.title} is not scaled",
        description=(
            f"What scales {burst.name} gets no value for its metrics: the tier stays as it is, between {least} and "
            f"{counted(burst.replicas.max, 'replica')}, whatever the load."
        ),
        first="kubectl describe the ScaledObject or HPA, then ask Prometheus its query: it must give one number. Until then "
        "scale by hand.",
    )


AGENT_ALERTS: Mapping[str, Callable[[Watched, AlertPlan, Sequence[Workload]], Said]] = {
    watching.KV_CACHE_FULL: _kv_cache_full,
    watching.TTFT_OVER_BUDGET: _ttft_over_budget,
    watching.TPOT_OVER_BUDGET: _tpot_over_budget,
    watching.PREEMPTIONS: _preemptions,
    watching.REQUESTS_REJECTED: _requests_rejected,
    watching.ERRORS: _errors,
    watching.REPLICAS_BELOW_PLAN: _replicas_below_plan,
    watching.ENGINE_RESTARTS: _engine_restarts,
    watching.METRICS_MISSING: _metrics_missing,
    watching.SCALER_FAILING: _scaler_failing,
}
