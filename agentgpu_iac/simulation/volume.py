"""How many requests a simulation has, known before it is made: what it costs, and how long a time is worth it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Final

from agentgpu_iac.plan import AgentPlan, Plan, TalkPlan, Workload, tiers_by_agent
from agentgpu_iac.simulation.opening import Windows, within
from agentgpu_iac.simulation.profiles import CRON_EVERY_S, HOURS, Point, Traffic, least_hours, profile

_HALVINGS: Final = 20
_STEP_HOURS: Final = 0.01


def session_counts(agent: AgentPlan, baseline: Workload, *, is_started: bool) -> tuple[float, float]:
    """(normal, peak) sessions of an agent: as its daily volume makes, where those are more than the spec's.

    Sub-agents' come from who starts them.
    """
    if is_started:
        return 0.0, 0.0
    normal, peak = float(agent.sessions_concurrent), float(agent.sessions_peak)
    if baseline.pace is not None and baseline.sessions_concurrent:
        normal *= max(1.0, baseline.pace.normal_sessions / baseline.sessions_concurrent)
        peak *= max(1.0, baseline.pace.peak_sessions / baseline.sessions_peak)
    return normal, peak


def sessions_over_time(
    agent: AgentPlan, baseline: Workload, traffic: Traffic, counts: tuple[float, float], hours: float
) -> tuple[Point, ...]:
    """An agent's sessions, of (normal, peak) ones; on an ``office-day`` within the hours in which its deployment is open."""
    assert agent.talk is not None  # noqa: S101 - of those that are simulated
    normal, peak = counts
    points = profile(traffic, normal=normal, peak=peak, ramp_s=agent.talk.traffic.ramp_s, hours=hours)
    if traffic != "office-day" or baseline.open_hours is None:
        return points
    return within(points, Windows(baseline.open_hours).spans(hours))


def expected_requests(plan: Plan, traffic: Traffic, hours: float) -> float:
    """Requests of the measured time, if all are answered at the plan's pace; sub-agents' by their own sessions."""
    baselines = {name: tiers[0] for name, tiers in tiers_by_agent(plan.workloads).items()}
    return math.fsum(
        _of_agent(agent, baselines[agent.deployment], traffic, hours, pace.request_s)
        for agent in plan.served_agents
        if (pace := baselines[agent.deployment].pace) is not None
    )


def _of_agent(agent: AgentPlan, baseline: Workload, traffic: Traffic, hours: float, request_s: float) -> float:
    """Requests of one agent, each of which takes so long."""
    if agent.talk is None or baseline.pace is None:
        return 0.0
    normal, peak = session_counts(agent, baseline, is_started=False)
    points = sessions_over_time(agent, baseline, traffic, (normal, peak), hours)
    found = _session_s(points, hours * 3600) / (request_s + baseline.pace.pause_s)
    if traffic == "cron":
        turns = baseline.pace.conversation_s / (baseline.pace.request_s + baseline.pace.pause_s)
        found += int(hours * 3600 / CRON_EVERY_S) * (peak - normal) * turns
    return found


def most_requests(plan: Plan, traffic: Traffic, hours: float) -> dict[str, float]:
    """Agent -> requests of the measured time, more than which no plan of it has but by chance.

    Its sessions ask at once when they begin, and from then on as fast as they can whose every answer comes as a lone request's.
    Infinite for agents whose sessions others start, or whose pace the plan does not say.
    """
    tiers = tiers_by_agent(plan.workloads)
    started = {each.agent for agent in plan.served_agents if agent.talk is not None for each in agent.talk.fan_out}
    found = {}
    for agent in plan.served_agents:
        workloads = tiers[agent.deployment]
        baseline = workloads[0]
        if agent.name in started or agent.talk is None or baseline.pace is None:
            found[agent.name] = math.inf
            continue
        points = sessions_over_time(agent, baseline, traffic, session_counts(agent, baseline, is_started=False), hours)
        begun = max(point.sessions for point in points)
        found[agent.name] = begun + _of_agent(agent, baseline, traffic, hours, _fastest_s(agent.talk, workloads))
    return found


def _fastest_s(talk: TalkPlan, workloads: Sequence[Workload]) -> float:
    """From the first token to the last of a mean request that is alone at a replica."""
    conversation = talk.conversation
    generated = conversation.output_tokens_per_turn + (conversation.reasoning_tokens_per_turn or 0)
    tokens = max(0.0, generated / (1 + conversation.tool_calls.per_turn) - 1)
    speeds = [each.step_times.speed() for each in workloads if each.step_times is not None]
    return min((tokens / each.accepted_tokens * each.decode_ms(1, 0.0) / 1000 for each in speeds), default=0.0)


def _session_s(points: tuple[Point, ...], end_s: float) -> float:
    """Sessions times seconds up to an end; after the last point they stay as they are."""
    held = 0.0
    for before, after in pairwise((*points, Point(math.inf, points[-1].sessions))):
        until = min(after.at_s, end_s)
        if until <= before.at_s:
            continue
        climb = 0.0 if math.isinf(after.at_s) else (after.sessions - before.sessions) / (after.at_s - before.at_s)
        span = until - before.at_s
        held += span * (before.sessions + climb * span / 2)
    return held


def bounded_hours(plan: Plan, traffic: Traffic, most_requests: float) -> float:
    """The traffic's own time, or as much of it as has so many requests; with its burst in any case."""
    longest = HOURS[traffic]
    if expected_requests(plan, traffic, longest) <= most_requests:
        return longest
    ramp_s = max((agent.talk.traffic.ramp_s for agent in plan.served_agents if agent.talk is not None), default=0.0)
    low, high = min(longest, least_hours(traffic, ramp_s)), longest
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if expected_requests(plan, traffic, middle) <= most_requests:
            low = middle
        else:
            high = middle
    return min(longest, math.ceil(low / _STEP_HOURS - 1e-6) * _STEP_HOURS)
