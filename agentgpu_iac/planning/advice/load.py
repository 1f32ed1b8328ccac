"""Warnings about what an agent meets under load: too few seats, a burst, a lost cache, a lost replica."""

from __future__ import annotations

import math
from collections.abc import Sequence

from agentgpu_iac.plan import RolloutOutages, Warning, Workload
from agentgpu_iac.planning.advice.context import Context
from agentgpu_iac.planning.advice.wording import warning
from agentgpu_iac.planning.choosing.candidates import Candidate
from agentgpu_iac.planning.choosing.state_pages import found_ratio
from agentgpu_iac.planning.choosing.tiers import seats_in_time, sessions_before_ready
from agentgpu_iac.planning.engines import PORTS
from agentgpu_iac.targets import target_of
from agentgpu_iac.units import counted

COMPLETE_ANSWER_MS = 2_000.0
"""A chat user expects a complete answer within 2 s."""


def too_few_seats(candidate: Candidate) -> Warning | None:
    """Numbers set by hand can leave sessions without a seat."""
    demand = candidate.demand
    warm, all_seats = (
        replicas * candidate.max_num_seqs for replicas in (candidate.baseline_replicas, candidate.peak_replicas)
    )
    if warm >= demand.concurrent and all_seats >= demand.peak:
        return None
    return warning(
        "too-few-seats",
        f"as set by hand, {counted(warm, 'session')} {'has' if warm == 1 else 'have'} a seat at normal load "
        f"({demand.concurrent:,} are expected) and {all_seats:,} at "
        f"the peak ({demand.peak:,} are expected): the rest wait or are turned away",
        demand.name,
    )


def burst_outruns_cold_start(candidate: Candidate, tiers: Sequence[Workload]) -> Warning | None:
    """Who carries the sessions that arrive before burst replicas could be ready, and who would not be carried."""
    demand, ramp_s = candidate.demand, candidate.demand.ramp_s
    baseline, cold_s = tiers[0], tiers[-1].cold_start_s.upper.alone_total
    if not demand.user_facing or demand.peak == demand.concurrent or ramp_s >= cold_s:
        return None
    warm, seats = candidate.baseline_replicas, candidate.max_num_seqs
    outruns = f"the burst to {counted(demand.peak, 'session')} in {ramp_s:,.0f} s outruns a cold start of up to {cold_s:,.0f} s"
    early = sessions_before_ready(demand, cold_s)
    if warm * seats >= early:
        lost = max(0.0, 1 - candidate.normal_replicas * seats / early)
        fewer = f"; {candidate.normal_replicas} would turn away {lost:.0%}" if lost > 0 else ""
        absorb = "absorb" if warm > 1 else "absorbs"
        return warning(
            "burst-absorbed", f"{outruns}: {counted(warm, 'warm replica')} {absorb} it{fewer}", baseline.agent
        )
    away = 1 - warm * seats / early
    return warning(
        "burst-outruns-cold-start",
        f"{outruns}: the {counted(warm, 'warm replica')} {'hold' if warm > 1 else 'holds'} {counted(warm * seats, 'session')}, "
        f"so until the burst tier is ready about {away:.0%} are turned away (503) by admission control; "
        f"{counted(candidate.peak_replicas, 'warm replica')} would take them all",
        baseline.agent,
    )


def burst_shares_gateway(context: Context, candidate: Candidate, tiers: Sequence[Workload]) -> Warning | None:
    """Who is not carried if all nodes of the burst fill their caches at once: warm replicas follow a node that fills alone."""
    capacity, demand = context.spec.capacity, candidate.demand
    found = [
        (tier, filler)
        for tier in tiers
        if (filler := context.pools[tier.node_pool].filler) is not None
        and tier.tier == "burst"
        and seats_in_time(candidate, tier.cold_start_s.upper.alone_total, capacity)
        and not seats_in_time(candidate, tier.cold_start_s.upper.total, capacity)
    ]
    if not found:
        return None
    tier, filler = max(found, key=lambda each: each[0].cold_start_s.upper.total)
    late = tier.cold_start_s.upper
    away = 1 - candidate.baseline_replicas * candidate.max_num_seqs / sessions_before_ready(demand, late.total)
    return warning(
        "burst-shares-gateway",
        f"warm replicas hold whoever comes within {late.alone_total:,.0f} s, the start of a node that fills its cache alone; if "
        f"all {counted(filler.nodes_at_once, 'node')} of the burst fill theirs at once, they share one gateway, a start may take "
        f"{late.total:,.0f} s, and about {away:.0%} are turned away: source: s3 goes round the gateway",
        demand.name,
    )


def everyone_at_once(candidate: Candidate, baseline: Workload) -> Warning | None:
    """When all sessions of a replica send their prompt in the same moment, the prompts queue for the prefill."""
    latency, ramp_s = baseline.latency, candidate.demand.ramp_s
    if latency.budget_ttft_ms is None or latency.prefill_ms is None or candidate.speed is None:
        return None
    prefill_ms = max(latency.prefill_ms, 0.001)
    all_read_ms = candidate.seats_per_group * prefill_ms  # groups read at the same time
    if (
        all_read_ms <= max(latency.budget_ttft_ms, ramp_s * 1000)
        or candidate.demand.peak == candidate.demand.concurrent
    ):
        return None
    in_time = min(1.0, max(0.0, latency.budget_ttft_ms - latency.network_ms) / all_read_ms)
    return warning(
        "prompts-queue",
        f"if all {counted(candidate.max_num_seqs, 'session')} of a replica send at once, reading their prompts takes "
        f"{all_read_ms / 1000:,.1f} s: about {in_time:.0%} get their first token within {latency.budget_ttft_ms:,.0f} ms",
        baseline.agent,
    )


def lone_replica(context: Context, candidate: Candidate, baseline: Workload) -> Warning | None:
    """Nobody serves while the one replica is replaced, or all that are on a machine."""
    rollout = baseline.rollout
    fixed, here = _outage(rollout.fixed_nodes_outages), _outage(rollout.outages)
    if not candidate.demand.user_facing or not fixed:
        return None
    second = context.second_replicas.get(baseline.agent)
    price = ""
    if second is not None:
        more = second.delta_usd_per_month
        price = (
            f"; {second.description} costs USD {more:,.2f} a month more"
            if more
            else f"; {second.description} costs no more"
        )
    count = (
        counted(baseline.replicas.max, "replica")
        if baseline.replicas.max > 1
        else "one replica and no spare accelerator"
    )
    what = f"every rollout is an outage of {fixed}"
    if target_of(context.spec).can.changes_machines_in_place:
        what = f"a machine starts all engines that a change touches anew at once, so {what}"
    elif not here:
        what = (
            f"a rollout brings a node of its own (about USD {rollout.surge_usd:,.2f}), and where node groups make the nodes "
            f"it is an outage of {fixed}"
        )
    start, alone = baseline.cold_start_s, baseline.replicas.max == 1
    exits = f", an engine that exits of about {start.restart_total:,.0f} s" if alone and start.restart_total else ""
    return warning(
        "single-replica",
        f"{count}: {what}; a lost node is one of about {start.total:,.0f} s{exits}{price}",
        baseline.agent,
    )


def _outage(outages: RolloutOutages | None) -> str:
    """How long nobody serves, by what is changed; nothing where somebody always does."""
    found = () if outages is None else outages.by_change
    return ", ".join(f"about {away_s:,.0f} s with {change}" for change, away_s in found if away_s)


def not_in_cache(baseline: Workload) -> Warning | None:
    """A session whose context was lost from the cache misses its budget."""
    uncached, budget = baseline.latency.uncached_ttft_ms, baseline.latency.budget_ttft_ms
    if uncached is None or budget is None or uncached <= budget or not baseline.routing.prefix_hit_ratio:
        return None
    return warning(
        "cache-miss",
        f"TTFT holds while a session's context stays in the prefix cache (hit ratio {baseline.routing.prefix_hit_ratio:.2f} "
        f"assumed); a session whose cache was lost waits {uncached:,.0f} ms, over the budget of {budget:,.0f} ms",
        baseline.agent,
    )


_MOST_IS_FOUND = 0.75
"""Pages that leave a session more of its history than this are not worth a sentence."""


def never_in_cache(candidate: Candidate, baseline: Workload) -> Warning | None:
    """An engine that keeps no context between requests reads every prompt whole; one that keeps it by pages a part of it."""
    stated, page = candidate.demand.stated_prefix_hit_ratio, candidate.state_page_tokens
    found = found_ratio(candidate.demand, page)
    if candidate.prefix_cache != "never" and stated is None and found < _MOST_IS_FOUND:
        return warning(
            "hybrid-not-cached",
            f"{PORTS[baseline.engine.name].title} {baseline.engine.version} keeps prefixes of {candidate.demand.model.id}, which "
            f"has recurrent layers, in pages of {counted(page, 'token')}: up to one is read again with each request, so that "
            f"{found:.2f} of a session's history is counted as found",
            baseline.agent,
        )
    if candidate.prefix_cache != "never":
        return None
    return warning(
        "hybrid-not-cached",
        f"{PORTS[baseline.engine.name].title} {baseline.engine.version} is not known to cache prefixes of "
        f"{candidate.demand.model.id}, which has recurrent layers: a hit ratio of 0 is counted"
        + ("" if not stated else f", not the stated {stated:g}"),
        baseline.agent,
    )


def needs_router(context: Context, candidate: Candidate, baseline: Workload) -> Warning | None:
    """A router left out by the spec, while the sums still count on a session's way back to its context."""
    if baseline.agent in context.routed or candidate.peak_replicas == 1 or baseline.routing.policy == "round-robin":
        return None
    return warning(
        "router-needed",
        f"the plan counts on sessions returning to the one of {counted(candidate.peak_replicas, 'replica')} that "
        "holds their context, "
        f"and network.router is none: unless a router of yours hashes {context.spec.network.session_header}, the Service "
        f"spreads connections and the prefix hit ratio falls to about {1 / candidate.peak_replicas:.2f}. Set router: auto, or "
        "routing: round-robin to have the misses counted",
        baseline.agent,
    )


def slow_answer(candidate: Candidate, baseline: Workload) -> Warning | None:
    """A whole answer takes longer than a chat user expects, and no budget says how long it may."""
    latency = baseline.latency
    if candidate.demand.agent.latency_class != "chat" or latency.e2e_ms is None or latency.e2e_ms <= COMPLETE_ANSWER_MS:
        return None
    if candidate.demand.budget_e2e_ms is not None or latency.ttft_ms is None or not latency.tpot_ms:
        return None
    fitting = max(0, math.floor((COMPLETE_ANSWER_MS - latency.ttft_ms) / latency.tpot_ms))
    wanted = candidate.demand.shape.output_tokens_per_turn
    return warning(
        "answer-over-2s",
        f"a complete answer of {counted(wanted, 'token')} takes {latency.e2e_ms / 1000:,.1f} s with as many requests as planned; "
        f"{counted(fitting, 'token')} fit into 2 s. Set e2eMs to make it a budget",
        baseline.agent,
    )


def latency_risk(candidate: Candidate, baseline: Workload) -> Warning | None:
    """A planned percentile so near its budget that the upper half of the stated error does not fit."""
    latency, margin = baseline.latency, candidate.demand.margin
    figures = (
        (
            "TTFT",
            latency.ttft_at_percentile_ms,
            latency.budget_ttft_ms,
            latency.ttft_error_ratio,
            latency.ttft_miss_ratio,
        ),
        (
            "TPOT",
            latency.tpot_at_percentile_ms,
            latency.budget_tpot_ms,
            latency.tpot_error_ratio,
            latency.tpot_miss_ratio,
        ),
    )
    said: list[str] = []
    wanted = 0.0
    for name, value, budget, error, miss in figures:
        if not value or not budget or error is None or miss is None or value * (1 + max(error, margin)) <= budget:
            continue
        said.append(
            f"{name} p{latency.percentile:g} of {value:,.0f} ms is {value / budget:.0%} of its budget of {budget:,.0f} ms within "
            f"±{error:.0%}: a miss is {miss:.0%} likely"
        )
        wanted = max(wanted, error)
    if not said or margin >= wanted:
        return None
    return warning(
        "latency-risk",
        f"{'; '.join(said)}. Set latency.margin: {wanted:.2f} to plan for the error, or measure and calibrate",
        baseline.agent,
    )


def spot_without_notice(tiers: Sequence[Workload]) -> Warning | None:
    """A node on spot is taken away while it generates."""
    for workload in tiers:
        if not workload.user_facing or workload.drain.notice_s != 0:
            continue
        return warning(
            "spot-without-notice",
            f"tier {workload.tier} runs on spot of a provider that gives no notice: a reclaimed node loses up to "
            f"{counted(workload.most_generating, 'answer')} per replica at once",
            workload.agent,
        )
    return None
