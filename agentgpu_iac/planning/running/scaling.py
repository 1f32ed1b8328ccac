"""What raises and lowers a burst tier: the queries, their thresholds, and the times between two decisions.

The baseline is fixed, so the queries give what exceeds it, and count what is asked and not what is let in::

    requests   max(0, running + waiting + refused a second x time of a request - requests of the baseline)
    sessions   max(0, (the same, averaged) x sessions behind a request - sessions of the baseline)
    KV cache   max(0, KV use, averaged, x sessions behind a request - the baseline's)

over both tiers, with what one replica takes as targets. They are 0 at normal load, and mean the same whether no burst replica
runs or many do, which a mean over the running ones would not. Requests are those that a replica computes at once within its
budgets, sessions those that it holds; theta is the part of either from which another replica is wanted. Refused requests are
seats that are missing (Little: as many as come in the time that one holds a seat): without them a burst would be seen no
larger than what the replicas of the moment let in, and come up one cold start at a time. Completed requests never count: a
long stream completes nothing for a minute.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from agentgpu_iac.plan import (
    MetricsPlan,
    PacePlan,
    PrometheusAuthPlan,
    ScalingPlan,
    Schedule,
    SecretParameter,
    Trigger,
    Workload,
    baselines,
    tiers_by_agent,
    warm_replicas,
)
from agentgpu_iac.plan.scaling import API_VERSIONS
from agentgpu_iac.plan.series import PICKER_QUEUE, decimal, selector, wanted_replicas
from agentgpu_iac.planning.running.routing import MAX_TRIES
from agentgpu_iac.planning.running.watching import SCRAPE_INTERVAL_S
from agentgpu_iac.spec.model import PrometheusAuth, ScheduledScale, StackSpec
from agentgpu_iac.targets import target_of
from agentgpu_iac.units import round_up, rounded

_POLLS_IN_COLD_START = 20
"""Polling may add at most this part to a cold start."""
_LEAST_POLLING_S, _MOST_POLLING_S = 5, 30
_LEAST_STAY_S = 300
"""KEDA's and the HPA's own default for going down."""
_MOST_STABILIZATION_S = 3_600
_MOST_PERIOD_S = 1_800
"""Limits of the HPA's API."""
_FALLBACK_FAILURES = 3
_FALLBACK_REPLICAS = 1
"""Not 0: with 0 KEDA would take a running burst down when Prometheus stops answering."""
_AUTH_PARAMETERS: Final[dict[str, tuple[Literal["bearer", "basic", "custom"], tuple[tuple[str, str], ...]]]] = {
    "bearer": ("bearer", (("bearerToken", "token"),)),
    "basic": ("basic", (("username", "username"), ("password", "password"))),
    "header": ("custom", (("customAuthHeader", "header"), ("customAuthValue", "value"))),
}
"""(KEDA's mode, its parameters and the keys of the Secret) of each method that reads one."""
_CHANCE = 0.1
"""How far an average of requests may lie above its mean by chance."""
_LEAST_AVERAGED_S, _MOST_AVERAGED_S = 60, 300
"""Fewer than four looks are no average; more time than that is a cold start of its own."""
_LOOK_BACK_S = 4 * SCRAPE_INTERVAL_S
"""Time in which the last two looks at a counter must lie."""
_LEAST_KV_RATIO = 0.001
"""KEDA hands values on in thousandths."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One reason for more burst replicas: so many as exceed the floor, over the threshold."""

    name: Literal["requests", "sessions", "kv-cache"]
    held: str
    """PromQL: what is held, and what is refused."""
    floor: float
    threshold: float
    threshold_of_baseline: float
    """The same in parts of a baseline replica, where its engines alone are seen."""

    @property
    def trigger(self) -> Trigger:
        """As KEDA and an HPA ask."""
        return Trigger(
            name=self.name,
            query=_excess(self.held, self.floor),
            floor=self.floor,
            threshold=self.threshold,
        )


def scaled(
    workloads: Iterable[Workload], stack: str, spec: StackSpec, beside: frozenset[str] = frozenset()
) -> tuple[Workload, ...]:
    """The same workloads; burst tiers with what scales them, where something of the plan does.

    Nothing does in pools that are ``beside`` the cluster.
    """
    every = tuple(workloads)
    if not target_of(spec).can.scales_on_metrics:
        return every
    tiers = tiers_by_agent(every)
    peaks: dict[str, list[ScheduledScale]] = {}
    for peak in spec.scaling.schedule:
        peaks.setdefault(peak.agent, []).append(peak)
    return tuple(
        workload.model_copy(
            update={
                "scaling": _scaling(
                    workload,
                    baselines(tiers[workload.agent]),
                    [peak for agent in workload.served for peak in peaks.get(agent, ())],
                    stack,
                    spec,
                )
            }
        )
        if workload.tier == "burst" and workload.node_pool not in beside
        else workload
        for workload in every
    )


def seats_wanted(seats: float, utilization_ratio: float) -> float:
    """Requests on one replica from which another is wanted."""
    return rounded(seats * utilization_ratio, 3)


def seats_held(burst: Workload) -> float:
    """Requests that a replica holds when it serves what it is bought for: those within its budgets, or the inputs of its planned
    rate.
    """
    held = None if burst.pooling is None else burst.pooling.inputs_in_flight
    return burst.most_generating if held is None else min(float(burst.max_num_seqs), held)


def stay_s(cold_start_s: float, pace: PacePlan | None) -> int:
    """How long fewer replicas must have been enough before one goes.

    What it took to start it, at least, and a conversation: whoever began on the replica is then through, and loses no
    cached context when it goes.
    """
    conversation_s = min(_MOST_STABILIZATION_S, 0.0 if pace is None else pace.conversation_s)
    return max(_LEAST_STAY_S, round_up(math.ceil(max(cold_start_s, conversation_s)), 30))


def _scaling(
    burst: Workload, always: Sequence[Workload], peaks: Sequence[ScheduledScale], stack: str, spec: StackSpec
) -> ScalingPlan | None:
    wanted = spec.scaling
    metrics = burst.metrics
    if wanted.method == "none" or metrics is None or metrics.running is None or metrics.waiting is None:
        return None
    cold_s, most = burst.cold_start_s.total, burst.replicas.max
    stays_s = stay_s(cold_s, burst.pace)
    return ScalingPlan(
        method=wanted.method,
        target_api_version=API_VERSIONS[burst.kind],
        target_kind=burst.kind,
        prometheus_url=wanted.prometheus_url,
        prometheus_auth=prometheus_auth(wanted.prometheus_auth),
        baseline_replicas=warm_replicas(always),
        seats_per_replica=burst.max_num_seqs,
        utilization_ratio=wanted.utilization_ratio,
        min_replicas=1 if wanted.method == "hpa" else 0,
        max_replicas=most,
        triggers=tuple(
            trigger.model_copy(update={"query": while_closed(trigger.query, always[0], stack, spec)})
            for trigger in (each.trigger for each in reasons(burst, metrics, always, stack, spec))
        ),
        schedules=tuple(schedule(peak, most) for peak in peaks) if wanted.method == "keda" else (),
        averaged_s=averaged_s(burst.pace) if burst.pace is not None and burst.pace.sessions_per_request > 1 else 0,
        counts_refused=refused_by(burst, metrics, spec),
        polling_interval_s=min(_MOST_POLLING_S, max(_LEAST_POLLING_S, math.ceil(cold_s / _POLLS_IN_COLD_START))),
        cooldown_s=stays_s,
        scale_down_stabilization_s=min(_MOST_STABILIZATION_S, stays_s),
        scale_down_period_s=min(_MOST_PERIOD_S, burst.drain.grace_period_s),
        fallback_failures=_FALLBACK_FAILURES,
        fallback_replicas=_FALLBACK_REPLICAS,
    )


def _normal_requests(baseline: Workload) -> float:
    """Requests that the baseline computes at once at normal load, for the quantile of the time that is planned for."""
    normal = None if baseline.generating is None else baseline.generating.normal
    return 0.0 if normal is None else float(baseline.replicas.max * normal.generating)


def prometheus_auth(wanted: PrometheusAuth | None) -> PrometheusAuthPlan | None:
    """KEDA's words for it (read in 2.20.2: pkg/scalers/authentication, pkg/scalers/aws)."""
    if wanted is None:
        return None
    if wanted.method == "aws-sigv4":
        return PrometheusAuthPlan(mode=None, parameters=(), aws_region=wanted.aws_region)
    mode, parameters = _AUTH_PARAMETERS[wanted.method]
    return PrometheusAuthPlan(
        mode=mode,
        parameters=tuple(
            SecretParameter(parameter=parameter, secret=wanted.secret or "", key=key) for parameter, key in parameters
        ),
        aws_region=None,
    )


def reasons(
    burst: Workload, metrics: MetricsPlan, always: Sequence[Workload], stack: str, spec: StackSpec
) -> Iterator[Asked]:
    """What is looked at, in whatever place the burst is; ``always``: what carries the baseline."""
    chosen, theta = selector(stack, burst.agent, spec.observability.cluster), spec.scaling.utilization_ratio
    pace, baseline_replicas = burst.pace, warm_replicas(always)
    floor, each = _requests_wanted(burst, always, theta)
    series = tuple(f"{name}{{{chosen}}}" for name in (metrics.running, metrics.waiting))
    now = " + ".join(f"sum({each})" for each in series)
    missing = "".join(f" + {term}" for term in _missing(burst, metrics, stack, spec, now))
    yield Asked(name="requests", held=f"{now}{missing}", floor=floor, threshold=each, threshold_of_baseline=each)
    behind, averaged = "", now
    used = None if metrics.kv_usage is None else f"{metrics.kv_usage}{{{chosen}}}"
    of_groups = "" if burst.attention_data_parallel_size == 1 else f" / {burst.attention_data_parallel_size}"
    if pace is not None and pace.sessions_per_request > 1:
        floor, each = _sessions_wanted(burst, pace, baseline_replicas, seats_wanted(burst.max_num_seqs, theta))
        behind, window = f" * {decimal(pace.sessions_per_request)}", f"[{averaged_s(pace)}s]"
        averaged = " + ".join(f"sum(avg_over_time({gauge}{window}))" for gauge in series)
        used = None if used is None else f"avg_over_time({used}{window})"
        yield Asked(
            name="sessions",
            held=f"({averaged}{missing}){behind}",
            floor=floor,
            threshold=each,
            threshold_of_baseline=each,
        )
    if used is not None:
        *at_bases, ratio = (
            max(_LEAST_KV_RATIO, rounded(tier.memory.planned_kv_ratio * each / tier.sessions_in_cache, 3))
            for tier in (*always, burst)
        )
        at_base = at_bases[0] if len(always) == 1 else rounded(_mean(at_bases, always), 6)
        yield Asked(
            name="kv-cache",
            held=f"sum({used}){of_groups}{behind}",
            floor=rounded(floor / each * at_base, 6),
            threshold=ratio,
            threshold_of_baseline=at_base,
        )


def _mean(ratios: Sequence[float], always: Sequence[Workload]) -> float:
    """Of a baseline's replicas."""
    return sum(each * tier.replicas.max for each, tier in zip(ratios, always, strict=True)) / warm_replicas(always)


def while_closed(query: str, baseline: Workload, stack: str, spec: StackSpec) -> str:
    """The same query; 0 while the baseline's schedule leaves no replica of it, whose series would else be missing."""
    if baseline.open_hours is None or baseline.open_hours.replicas_outside:
        return query
    wanted = wanted_replicas(stack, baseline.kind, baseline.name, spec.observability.cluster)
    return f"({query}) or sum({wanted} == 0)"


def _requests_wanted(burst: Workload, always: Sequence[Workload], theta: float) -> tuple[float, float]:
    """(requests that the baseline computes before a burst is wanted, requests from which one burst replica more is).

    The baseline computes what its own machines do within the budgets, and normal load whatever theta says. Where it is on other
    machines every replica gets the same part of the load, so that those of the burst, on which the others' seats are no help,
    come in step with it: all of them at the peak. Where sessions pause, it is they that are counted in step.
    """
    seats = seats_wanted(seats_held(burst), theta)
    at_rest = sum(tier.replicas.max * seats_wanted(seats_held(tier), theta) for tier in always)
    if burst.pooling is not None:
        return at_rest, seats
    at_rest = max(at_rest, sum(map(_normal_requests, always)))
    if not any(_differ(burst, tier) for tier in always) or (
        burst.pace is not None and burst.pace.sessions_per_request > 1
    ):
        return at_rest, seats
    at_rest = max(at_rest, float(burst.sessions_concurrent))
    at_peak = (burst.sessions_peak - at_rest) / burst.replicas.max
    return rounded(at_rest, 3), rounded(min(seats, at_peak) if at_peak > 0 else seats, 3)


def _differ(burst: Workload, baseline: Workload) -> bool:
    """Whether the two tiers are different engines."""
    first, second = (
        (tier.accelerator, tier.tensor_parallel_size, tier.pipeline_parallel_size) for tier in (baseline, burst)
    )
    return first != second


def _sessions_wanted(
    burst: Workload, pace: PacePlan, baseline_replicas: int, seats_wanted: float
) -> tuple[float, float]:
    """(sessions that the baseline carries, sessions from which one burst replica more is wanted).

    The baseline carries normal load whatever theta says, and what an average sees above it by chance. Where replicas are
    bought for their rate and not for their seats, they are wanted in step with it: all of them at the peak.
    """
    floor = max(baseline_replicas * seats_wanted, pace.normal_sessions * (1 + _CHANCE))
    at_peak = (pace.peak_sessions - floor) / burst.replicas.max
    return rounded(floor, 3), rounded(min(seats_wanted, at_peak) if at_peak > 0 else seats_wanted, 3)


def averaged_s(pace: PacePlan) -> int:
    """Time over which requests are averaged, so that their chance stays within what the baseline has room for.

    So many looks, at the requests of normal load, as make (1 / chance)^2 requests; two looks belong to one request where it
    takes longer than the time between them.
    """
    at_once = pace.normal_sessions / pace.sessions_per_request
    apart_s = max(float(SCRAPE_INTERVAL_S), pace.request_s)
    wanted_s = apart_s / (_CHANCE**2 * at_once) if at_once else _MOST_AVERAGED_S
    return round_up(math.ceil(min(_MOST_AVERAGED_S, max(_LEAST_AVERAGED_S, wanted_s))), SCRAPE_INTERVAL_S)


def refused_by(
    burst: Workload, metrics: MetricsPlan, spec: StackSpec
) -> Literal["counter", "at-limit", "queue", "none"]:
    """How what no replica takes enters the count."""
    if spec.network.router == "gateway":
        return "queue"
    if burst.admission.refusal_status is None:
        return "none"
    return "counter" if metrics.rejections is not None and burst.pace is not None else "at-limit"


def _missing(burst: Workload, metrics: MetricsPlan, stack: str, spec: StackSpec, now: str) -> Iterator[str]:
    """Requests that no replica holds and somebody waits for.

    NGINX asks several replicas before a caller is refused, and each counts: as many as there are, three at most.
    """
    chosen = selector(stack, burst.agent, spec.observability.cluster)
    replicas = f"count({metrics.running}{{{chosen}}})"
    if burst.attention_data_parallel_size > 1:  # each group has a series of its own
        replicas = f"({replicas} / {burst.attention_data_parallel_size})"
    match refused_by(burst, metrics, spec):
        case "queue":
            yield f"(sum({PICKER_QUEUE}{{{chosen}}}) or vector(0))"
        case "counter":
            refused = f"(sum(irate({metrics.rejections}{{{chosen}}}[{_LOOK_BACK_S}s])) or vector(0))"
            tries = "" if spec.network.router == "none" else f" / clamp_max({replicas}, {MAX_TRIES})"
            yield f"{refused}{tries} * {decimal(burst.pace.request_s if burst.pace else 0.0)}"
        case "at-limit":
            held = burst.most_generating + max(1, burst.admission.max_waiting_requests or 0)
            whole = burst.replicas.max * seats_wanted(burst.most_generating, spec.scaling.utilization_ratio)
            yield f"(({now}) >= bool {held} * {replicas}) * {decimal(whole)}"
        case _:
            return


def _excess(held: str, baseline: float) -> str:
    return f"clamp_min({held} - {decimal(baseline)}, 0)"


def schedule(peak: ScheduledScale, most: int) -> Schedule:
    """Burst replicas at known hours, as many as the tier has."""
    return Schedule(start=peak.start, end=peak.end, timezone=peak.timezone, replicas=min(peak.replicas, most))
