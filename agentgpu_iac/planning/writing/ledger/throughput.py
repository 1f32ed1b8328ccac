"""The token rates that an agent needs and gets, and the replicas that follow."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from agentgpu_iac.plan import Workload
from agentgpu_iac.planning.choosing.candidates import Candidate
from agentgpu_iac.planning.demand import Demand, Started
from agentgpu_iac.planning.opening import seconds_of_a_day, work_seconds
from agentgpu_iac.planning.running import generating, pace
from agentgpu_iac.planning.writing.ledger.answering import rate_lines
from agentgpu_iac.planning.writing.ledger.warm import warm_in_words, warm_replicas
from agentgpu_iac.sizing.ledger import Line
from agentgpu_iac.units import counted

SECTION = "Throughput and replicas"


def _sub_agents(started: Iterable[Started]) -> Iterator[Line]:
    """Sessions that other agents start."""
    for each in started:
        held = "held as long as the session that started them"
        inputs = f"{each.sessions_peak:,.6g}"
        if each.session_s:
            held = (
                "x seconds that one is there with answers just within their budgets, at most those of each session once"
            )
            inputs = f"min({each.most_peak:,}, {each.per_s_peak:.6f} x {each.session_s:.6f})"
        yield Line(
            name="startedSessions",
            formula=f"sub-agents that {each.by} starts in a second at the peak, {each.count} at once, {held}",
            inputs=inputs,
            value=each.sessions_peak,
            result=counted(each.sessions_peak, "session", ",.4g"),
            unit="",
            source="spec: fanOut",
        )


def _volume(demand: Demand) -> str:
    agent = demand.agent
    daily = agent.traffic.conversations_per_day
    if (work := agent.work) is not None:
        asked = counted(work.tokens or 0, "token") if work.requests is None else counted(work.requests, "request")
        return f"{asked} / {work_seconds(agent):,.0f} s from the window's opening to the deadline"
    if daily is None:
        return "no daily volume stated"
    return f"{daily:,} x {counted(agent.conversation.turns, 'turn')} / {seconds_of_a_day(agent):,.0f} s"


def throughput_lines(candidate: Candidate, baseline: Workload) -> Iterator[Line]:
    """Rates of the baseline, and the replicas of both tiers."""
    if candidate.demand.load is not None:
        yield from rate_lines(candidate, baseline)
        return
    rates = baseline.throughput
    volume = "; ".join(map(_volume, candidate.demand.served))
    for member in candidate.demand.served:
        yield from _sub_agents(member.started)
    yield Line(
        name="requiredOutputTokensPerS",
        formula="max(volume x burst factor / the seconds in which it comes, sessions / seconds per turn) x tokens per turn",
        inputs=f"{volume}; {counted(baseline.sessions_concurrent, 'session')}, {baseline.sessions_peak:,} at the peak",
        value=rates.required_output_tokens_per_s,
        result=f"{rates.required_output_tokens_per_s:,.1f} tokens/s of {rates.output_tokens_per_s or 0:,.1f}",
        unit="tokens/s",
        source="spec",
    )
    yield Line(
        name="requiredPrefillTokensPerS",
        formula="the same requests x prompt tokens that are not cached",
        inputs=f"prefix hit ratio {baseline.routing.prefix_hit_ratio:g}",
        value=rates.required_prefill_tokens_per_s,
        result=f"{rates.required_prefill_tokens_per_s:,.1f} tokens/s of {rates.prefill_tokens_per_s or 0:,.1f}",
        unit="tokens/s",
        source="spec",
    )
    if baseline.generating is not None:
        yield from generating.lines(baseline.generating, baseline.max_num_seqs)
    if baseline.pace is not None:
        yield from pace.lines(baseline.pace)
    yield Line(
        name="replicas",
        formula="max(sessions / sessions per replica, required / delivered tokens per replica), rounded up",
        inputs=(
            f"{baseline.sessions_concurrent:,} to {counted(baseline.sessions_peak, 'session')}, "
            f"{baseline.max_num_seqs} on a replica"
        ),
        value=warm_replicas(candidate, baseline),
        result=f"{warm_in_words(candidate, baseline)}, {candidate.burst_replicas} more in a burst",
        unit="",
        source="baseline carries normal load and whoever comes before a cold start ends",
    )
