"""What scales a burst tier: KEDA's look at Prometheus, and its HPA, with the plan's thresholds and times.

The triggers' queries are the plan's; their text is PromQL, and here stands what each of them counts (``docs/scaling.md``):
requests that run, wait and were turned away, the sessions behind them, and the KV cache, each less what the baseline takes.
Where there is a clock, replicas at known hours are one more trigger, which asks for that number.
Prometheus looks every ``SCRAPE_S``; KEDA brings the first replica, its HPA the others, every ``HPA_S``.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from typing import Final

from agentgpu_iac.plan import ScalingPlan, Trigger
from agentgpu_iac.simulation.deployment import Deployment

SCRAPE_S: Final = 15.0
"""Prometheus's scrape interval, as rendered."""
HPA_S: Final = 15.0
"""``--horizontal-pod-autoscaler-sync-period``, its default."""
_TOLERANCE: Final = 0.1
"""``--horizontal-pod-autoscaler-tolerance``, its default."""
_LOOK_BACK_S: Final = 60.0
"""Time over which refusals are counted."""


class Scaler:
    """Decides how many burst replicas there should be."""

    def __init__(self, deployment: Deployment, scaling: ScalingPlan) -> None:
        self._deployment = deployment
        self.scheduled: Callable[[], int] | None = None
        """Replicas that the hour asks for; None: there is no clock."""
        self.scaling = scaling
        self._scrapes: deque[tuple[float, float, float, int]] = deque()
        """(time, requests that run and wait, KV cache in use, turned away so far)."""
        self._wanted: deque[tuple[float, int]] = deque()
        self._active_ms = -math.inf
        self._went_ms = -math.inf

    def scrape(self, now_ms: float) -> None:
        """Prometheus looks."""
        deployment = self._deployment
        requests = sum(each.steps.requests for each in deployment.routed)
        used = sum(each.cache_ratio for each in deployment.routed)
        self._scrapes.append((now_ms, float(requests + len(deployment.held)), used, deployment.turned_away))
        oldest = now_ms - 1000 * max(_LOOK_BACK_S, self.scaling.averaged_s)
        while self._scrapes[0][0] < oldest:
            self._scrapes.popleft()

    def wanted(self) -> float:
        """Burst replicas that the triggers ask for, before rounding; 0: none."""
        by_the_clock = 0.0 if self.scheduled is None else float(self.scheduled())
        return max(by_the_clock, *(self._value(each) / each.threshold for each in self.scaling.triggers), 0.0)

    def _value(self, trigger: Trigger) -> float:
        if not self._scrapes:
            return 0.0
        last = self._scrapes[-1]
        pace = self._deployment.baseline.pace
        behind = 1.0 if pace is None else pace.sessions_per_request
        missing = self._missing(last)
        averaged = [each for each in self._scrapes if each[0] > last[0] - 1000 * self.scaling.averaged_s] or [last]
        if trigger.name == "requests":
            found = last[1] + missing
        elif trigger.name == "sessions":
            found = (sum(each[1] for each in averaged) / len(averaged) + missing) * behind
        else:
            found = sum(each[2] for each in averaged) / len(averaged) * (behind if self.scaling.averaged_s else 1.0)
        return max(0.0, found - trigger.floor)

    def _missing(self, last: tuple[float, float, float, int]) -> float:
        """Requests that no replica takes: as many as are turned away in the time that one takes (Little)."""
        pace = self._deployment.baseline.pace
        if self.scaling.counts_refused not in ("counter", "at-limit") or pace is None:
            return 0.0
        before = next(each for each in self._scrapes if each[0] >= last[0] - 1000 * _LOOK_BACK_S)
        if last[0] <= before[0]:
            return 0.0
        return (last[3] - before[3]) / (last[0] - before[0]) * 1000 * pace.request_s

    def replicas(self, now_ms: float, current: int) -> int:
        """The HPA's answer: up at once, down by one when fewer have been enough for long."""
        scaling = self.scaling
        ratio = self.wanted()
        wanted = math.ceil(ratio - 1e-9)
        if current and abs(ratio / current - 1) <= _TOLERANCE:
            wanted = current
        wanted = min(scaling.max_replicas, max(scaling.min_replicas, wanted))
        if ratio > 0:
            self._active_ms = now_ms
        self._wanted.append((now_ms, wanted))
        while self._wanted[0][0] < now_ms - 1000 * scaling.scale_down_stabilization_s:
            self._wanted.popleft()
        if wanted >= current:
            return wanted
        most = max(each for _, each in self._wanted)
        if most >= current or now_ms - self._went_ms < 1000 * scaling.scale_down_period_s:
            return current
        if current == 1 and now_ms - self._active_ms < 1000 * scaling.cooldown_s:
            return current
        self._went_ms = now_ms
        return current - 1
