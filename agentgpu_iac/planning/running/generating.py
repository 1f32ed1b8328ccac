"""Held and generating, as the plan says them: how many sessions a replica holds and computes for at each load."""

from __future__ import annotations

import math
from collections.abc import Iterator

from agentgpu_iac.plan import GeneratingPlan, SessionLoad
from agentgpu_iac.planning.choosing.candidates import Candidate, replica_service
from agentgpu_iac.planning.choosing.serving import ReplicaService
from agentgpu_iac.sizing.generating import RequestTime, pause_at_rate
from agentgpu_iac.sizing.ledger import Line
from agentgpu_iac.spec.vocabulary import Tier
from agentgpu_iac.units import ceil_div, counted, rounded


def generating_plan(candidate: Candidate, tier: Tier) -> GeneratingPlan | None:
    """How many of the sessions of a replica of that tier generate; None where it holds none, or nothing of its speed is known."""
    if candidate.demand.load is not None:
        return None
    replica = replica_service(candidate, 0.0)
    time = replica.asking.time
    if time is None:
        return None
    most = candidate.service.most_generating
    return GeneratingPlan(
        quantile=candidate.demand.quantile,
        planned=candidate.service.generating,
        most=most,
        normal=_load(candidate, replica, time, most, peak=False) if tier == "baseline" else None,
        peak=_load(candidate, replica, time, most, peak=True),
    )


def _load(candidate: Candidate, replica: ReplicaService, time: RequestTime, most: int, *, peak: bool) -> SessionLoad:
    demand = candidate.demand
    replicas = candidate.peak_replicas if peak else candidate.baseline_replicas
    rate = demand.asked_per_s(candidate.prefix_hit_ratio, peak=peak) / replicas / 1000
    by_volume = math.ceil(rounded(time.requests_at(rate, candidate.max_num_seqs), 6))
    held = min(candidate.max_num_seqs, max(ceil_div(demand.peak if peak else demand.concurrent, replicas), by_volume))
    pause_ms = min(demand.pause_s * 1000, pause_at_rate(held, rate, time))
    law = replica.asking.law(held, pause_ms)
    answered = time.rate(held) if pause_ms <= 0 else (held - law.mean) / pause_ms
    return SessionLoad(
        held_sessions=held,
        pause_s=rounded(pause_ms / 1000, 3),
        generating_mean=rounded(law.mean, 3),
        generating=replica.asking.at_quantile(held, pause_ms, peak=peak),
        busy_ratio=rounded(law.busy_ratio),
        rate_ratio=rounded(answered / time.rate(most)),
    )


def lines(plan: GeneratingPlan, seats: int) -> Iterator[Line]:
    """How many generate, and how busy the accelerators are."""
    for name, load, when in (
        ("generatingNormal", plan.normal, "normal load"),
        ("generatingPeak", plan.peak, "the peak"),
    ):
        if load is None:
            continue
        yield Line(
            name=name,
            formula=f"the fewest n that are not exceeded for {plan.quantile:.4g} of the time, P(n) ~ product over i = 1 .. n of "
            "(sessions - i + 1) x time(i) / (i x pause)"
            + ("; besides those that arrive in a burst and ask for the first time" if when == "the peak" else ""),
            inputs=f"{counted(load.held_sessions, 'session')} on a replica that pause {load.pause_s:g} s between requests",
            value=load.generating,
            result=f"{load.generating:,} of {load.held_sessions:,} at {when}, {load.generating_mean:,.4g} on average; its "
            f"accelerators compute for {load.busy_ratio:.0%} of the time, and answer {load.rate_ratio:.0%} of what they could",
            unit="",
            source="a closed queue of processor sharing: sessions that think or wait for a tool ask for nothing",
        )
    yield Line(
        name="generating",
        formula="the same of a replica whose seats all have a session, at the load with more",
        inputs=counted(seats, "session"),
        value=plan.planned,
        result=f"{plan.planned:,} at once, with which latency and throughput are planned; {plan.most:,} at most are let in",
        unit="",
        source="capacity.quantile; the most with which every budget is met",
    )
