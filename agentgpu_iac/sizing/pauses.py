"""How long sessions pause between two requests: not one figure but a distribution, by which a cache is found again or not.

Tools answer in moments, and some take minutes; users come back at once, and some after lunch. An engine that lacks room drops
what was not asked for the longest time (vLLM's free blocks, SGLang's tree: least recently used first), so that a session finds
its cache after a short pause. With room for those that paused less than T (Che, Tung and Wang, 2002: the characteristic time)::

    found                  P(pause <= T)
    paused and held        E[min(pause, T)] / E[pause] of those that pause (Little: each is held for min(pause, T))

Pauses are lognormal unless quantiles are stated, between which their logarithm is straight in normal deviates. Both shapes are
those with which NVIDIA's aiperf 0.13.0 draws sessions of coding agents (agentic_code_gen, 1k_sessions_200k_ctx: tools 2 s at
the median and 5 s on average, users 15 and 30 s). Traces of real ones have a heavier tail (TraceLab, University of Washington:
357,161 steps); at one mean that leaves more short pauses, so this promises less.
"""

from __future__ import annotations

import bisect
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from statistics import NormalDist

from agentgpu_iac.spec.model import Conversation, Quantile, ToolCalls

_TOOL_SIGMA = math.sqrt(2 * math.log(5.0 / 2.0))
"""Deviation of the logarithm of a tool's time."""
_USER_SIGMA = math.sqrt(2 * math.log(30.0 / 15.0))
"""The same of the time that a user takes."""
_POINTS = 400
"""Points of equal likelihood that stand for a distribution: nothing longer than its 99.9th percentile is counted."""
_NORMAL = NormalDist()


@lru_cache(maxsize=4)
def _deviates(points: int) -> tuple[float, ...]:
    return tuple(_NORMAL.inv_cdf((number + 0.5) / points) for number in range(points))


@lru_cache(maxsize=64)
def _lognormal(mean: float, sigma: float) -> tuple[float, ...]:
    """Points whose mean is that one."""
    points = [math.exp(sigma * deviate) for deviate in _deviates(_POINTS)]
    scale = mean * len(points) / math.fsum(points)
    return tuple(point * scale for point in points)


@lru_cache(maxsize=64)
def _between(quantiles: tuple[Quantile, ...]) -> tuple[float, ...]:
    """Points on straight lines through the logarithms of the quantiles, the outer ones continued."""
    places = [_NORMAL.inv_cdf(each.percent / 100) for each in quantiles]
    logs = [math.log(each.seconds) for each in quantiles]

    def at(deviate: float) -> float:
        high = min(max(1, bisect.bisect_left(places, deviate)), len(places) - 1)
        slope = (logs[high] - logs[high - 1]) / (places[high] - places[high - 1])
        return math.exp(logs[high - 1] + slope * (deviate - places[high - 1]))

    return tuple(at(deviate) for deviate in _deviates(_POINTS))


def tool_points(calls: ToolCalls) -> tuple[float, ...]:
    """Times of one tool call in s, equally likely."""
    return _between(calls.quantiles) if calls.quantiles else _lognormal(calls.seconds, _TOOL_SIGMA)


def user_points(conversation: Conversation) -> tuple[float, ...]:
    """Times between two turns in s, equally likely."""
    stated = conversation.think_time_quantiles
    return _between(stated) if stated else _lognormal(conversation.think_time_s, _USER_SIGMA)


def tool_s(calls: ToolCalls) -> float:
    """Mean time of a tool call."""
    return math.fsum(tool_points(calls)) / _POINTS if calls.quantiles else calls.seconds


def user_s(conversation: Conversation) -> float:
    """Mean time between two turns."""
    if conversation.think_time_quantiles:
        return math.fsum(user_points(conversation)) / _POINTS
    return conversation.think_time_s


@dataclass(frozen=True, slots=True)
class Pauses:
    """Pauses between two requests of a session, of any agent of a deployment, as points from short to long."""

    seconds: tuple[float, ...]
    until: tuple[float, ...]
    """Share of the pauses that are no longer than that point."""

    def within_s(self, found: float) -> float:
        """The pause that so many do not exceed; 0 for none, infinite for all."""
        if found <= 0:
            return 0.0
        if found >= 1:
            return math.inf
        return self.seconds[min(len(self.seconds) - 1, bisect.bisect_left(self.until, found - 1e-12))]

    def held_ratio(self, found: float) -> float:
        """Share of the sessions that pause whose cache is held so that so many requests find theirs: 0 for none, 1 for all."""
        limit, before = self.within_s(found), 0.0
        held, whole = 0.0, 0.0
        for second, until in zip(self.seconds, self.until, strict=True):
            weight, before = until - before, until
            held += weight * min(second, limit)
            whole += weight * second
        return min(1.0, held / whole) if whole else 1.0


@lru_cache(maxsize=256)
def pauses(conversations: tuple[tuple[Conversation, float], ...]) -> Pauses:
    """Of conversations, each with its part of the requests: each turn ends with a user's pause, each call with a tool's."""
    parts: list[tuple[Sequence[float], float]] = []
    for conversation, part in conversations:
        calls = conversation.tool_calls
        parts.append((user_points(conversation), part / (1 + calls.per_turn)))
        if calls.per_turn:
            parts.append((tool_points(calls), part * calls.per_turn / (1 + calls.per_turn)))
    points = sorted((second, weight / len(points)) for points, weight in parts for second in points)
    whole = math.fsum(weight for _, weight in points)
    until, total = [], 0.0
    for _, weight in points:
        total += weight
        until.append(total / whole)
    return Pauses(tuple(second for second, _ in points), tuple(until))
