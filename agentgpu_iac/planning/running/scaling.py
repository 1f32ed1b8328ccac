"""What raises and lowers a burst tier: the queries, their thresholds, and the times between two decisions.

The baseline is fixed, so the queries give what exceeds it::

    requests   max(0, sum(running + waiting over both tiers) - baseline replicas x seats x theta)
    KV cache   max(0, sum(KV use over both tiers) - baseline replicas x kappa)

with seats x theta and kappa of one replica as targets. Both are 0 at normal load, and both mean the same whether no burst
replica runs or many do, which a mean over the running ones would not. theta is the part of the seats from which another
replica is wanted, kappa the part of the KV cache that so many sessions fill at their planned context. Completed requests
never count: a long stream completes nothing for a minute.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from agentgpu_iac.plan import MemoryPlan, MetricsPlan, ScalingPlan, Schedule, Trigger, Workload
from agentgpu_iac.plan.series import decimal, selector
from agentgpu_iac.spec.model import Scaling, ScheduledScale, StackSpec
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
_API_VERSIONS: Final = {"Deployment": "apps/v1", "LeaderWorkerSet": "leaderworkerset.x-k8s.io/v1"}
_LEAST_KV_RATIO = 0.001
"""KEDA hands values on in thousandths."""


def scaled(workloads: Iterable[Workload], stack: str, spec: StackSpec) -> tuple[Workload, ...]:
    """The same workloads; burst tiers with what scales them, where something of the plan does."""
    every = tuple(workloads)
    if not target_of(spec).can.scales_on_metrics:
        return every
    baselines = {workload.agent: workload for workload in every if workload.tier == "baseline"}
    peaks: dict[str, list[ScheduledScale]] = {}
    for peak in spec.scaling.schedule:
        peaks.setdefault(peak.agent, []).append(peak)
    return tuple(
        workload.model_copy(
            update={
                "scaling": _scaling(
                    workload, baselines[workload.agent].replicas.min, peaks.get(workload.agent, ()), stack, spec
                )
            }
        )
        if workload.tier == "burst"
        else workload
        for workload in every
    )


def seats_wanted(seats: int, utilization_ratio: float) -> float:
    """Requests on one replica from which another is wanted."""
    return rounded(seats * utilization_ratio, 3)


def kv_ratio_wanted(memory: MemoryPlan, utilization_ratio: float) -> float:
    """Part of the KV cache that so many sessions fill at their planned context."""
    return max(_LEAST_KV_RATIO, rounded(memory.planned_kv_ratio * utilization_ratio, 3))


def stay_s(cold_start_s: float) -> int:
    """How long fewer replicas must have been enough before one goes: what it took to start it, at least."""
    return max(_LEAST_STAY_S, round_up(math.ceil(cold_start_s), 30))


def _scaling(
    burst: Workload, baseline_replicas: int, peaks: Sequence[ScheduledScale], stack: str, spec: StackSpec
) -> ScalingPlan | None:
    wanted = spec.scaling
    metrics = burst.metrics
    if wanted.method == "none" or metrics is None or metrics.running is None or metrics.waiting is None:
        return None
    cold_s, most = burst.cold_start_s.total, burst.replicas.max
    stays_s = stay_s(cold_s)
    return ScalingPlan(
        method=wanted.method,
        target_api_version=_API_VERSIONS[burst.kind],
        target_kind=burst.kind,
        prometheus_url=wanted.prometheus_url,
        baseline_replicas=baseline_replicas,
        seats_per_replica=burst.max_num_seqs,
        utilization_ratio=wanted.utilization_ratio,
        min_replicas=1 if wanted.method == "hpa" else 0,
        max_replicas=most,
        triggers=tuple(
            _triggers(
                burst, metrics, baseline_replicas, selector(stack, burst.agent, spec.observability.cluster), wanted
            )
        ),
        schedules=tuple(_schedule(peak, most) for peak in peaks) if wanted.method == "keda" else (),
        polling_interval_s=min(_MOST_POLLING_S, max(_LEAST_POLLING_S, math.ceil(cold_s / _POLLS_IN_COLD_START))),
        cooldown_s=stays_s,
        scale_down_stabilization_s=min(_MOST_STABILIZATION_S, stays_s),
        scale_down_period_s=min(_MOST_PERIOD_S, burst.drain.grace_period_s),
        fallback_failures=_FALLBACK_FAILURES,
        fallback_replicas=_FALLBACK_REPLICAS,
    )


def _triggers(
    burst: Workload, metrics: MetricsPlan, baseline_replicas: int, chosen: str, wanted: Scaling
) -> Iterator[Trigger]:
    seats = seats_wanted(burst.max_num_seqs, wanted.utilization_ratio)
    held = f"sum({metrics.running}{{{chosen}}}) + sum({metrics.waiting}{{{chosen}}})"
    yield Trigger(name="requests", query=_excess(held, baseline_replicas * seats), threshold=seats)
    if metrics.kv_usage is not None:
        ratio = kv_ratio_wanted(burst.memory, wanted.utilization_ratio)
        used = f"sum({metrics.kv_usage}{{{chosen}}})"
        yield Trigger(name="kv-cache", query=_excess(used, baseline_replicas * ratio), threshold=ratio)


def _excess(held: str, baseline: float) -> str:
    return f"clamp_min({held} - {decimal(baseline)}, 0)"


def _schedule(peak: ScheduledScale, most: int) -> Schedule:
    return Schedule(start=peak.start, end=peak.end, timezone=peak.timezone, replicas=min(peak.replicas, most))
