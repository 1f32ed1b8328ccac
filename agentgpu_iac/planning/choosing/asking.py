"""How the sessions of one replica ask it: how many it holds, and for how many of them it generates at once.

A replica is bought for the sessions that it holds, which need memory, and judged with those that generate, which need
compute (``sizing.generating``): at ``capacity.quantile`` of the time, at normal load and at the peak, while a burst arrives.
"""

from __future__ import annotations

import math
from functools import lru_cache

from agentgpu_iac.planning.choosing.requests import asked_per_s, mean_request
from agentgpu_iac.planning.demand import Demand
from agentgpu_iac.sizing import latency
from agentgpu_iac.sizing.generating import (
    Generating,
    RequestTime,
    generating,
    pause_at_rate,
    with_arrivals,
)
from agentgpu_iac.sizing.groups import Groups
from agentgpu_iac.sizing.speed import Speed
from agentgpu_iac.units import ceil_div

_ROUNDING = 1e-9


class Asking:
    """The sessions of one agent before a replica, for any number that it holds."""

    __slots__ = ("_demand", "_hit", "_known", "_normal", "_rates", "_starting", "_time", "_together")

    def __init__(
        self,
        demand: Demand,
        engine: Speed | None,
        prefix_hit_ratio: float,
        groups: Groups,
        *,
        by_hand: bool = True,
        engines: int = 1,
        reload_ms: float = 0.0,
    ) -> None:
        """``engines`` busy engines take turns on the accelerator. Figures measured and set by hand count if ``by_hand``. A
        request first waits ``reload_ms`` for what its session left in host memory.
        """
        self._demand = demand
        self._hit = prefix_hit_ratio
        time = _request_time(demand, engine, prefix_hit_ratio, groups, by_hand=by_hand, engines=engines)
        self._time = time if time is None or not reload_ms else _later(time, reload_ms)
        self._known: dict[int, int] = {}
        self._starting: dict[tuple[int, float, float], int] = {}
        self._normal: dict[int, int] = {}
        self._rates: dict[bool, float] = {}
        self._together = demand.together

    @property
    def time(self) -> RequestTime | None:
        """What a request takes in ms by how many are computed; None, and all count as generating, where nothing is known."""
        return self._time

    def about(self, requests: int) -> int:
        """Sessions of which so many requests are computed on average (Little), unless their daily volume has them pause less."""
        if self._time is None:
            return requests
        each_ms = self._time(requests)
        return math.ceil(requests * (1 + self._demand.pause_s * 1000 / each_ms)) if each_ms else requests

    def planned(self, sessions: int) -> int:
        """Requests for which a replica with so many sessions is judged: those of the peak, or of normal load if more."""
        if sessions not in self._known:
            at_peak = self.at_quantile(sessions, self.pause_ms(sessions, peak=True), peak=True)
            self._known[sessions] = max(1, at_peak, self._at_normal_load(min(sessions, self._demand.concurrent)))
        return self._known[sessions]

    def _at_normal_load(self, sessions: int) -> int:
        if sessions not in self._normal:
            self._normal[sessions] = self.at_quantile(sessions, self.pause_ms(sessions, peak=False), peak=False)
        return self._normal[sessions]

    def pause_ms(self, sessions: int, *, peak: bool) -> float:
        """Between two requests of a session: as stated, or shorter where the daily volume leaves less."""
        demand = self._demand
        if self._time is None or not sessions:
            return 0.0
        everybody = demand.peak if peak else demand.concurrent
        if peak not in self._rates:
            self._rates[peak] = asked_per_s(demand, self._hit, peak=peak)
        rate = self._rates[peak] * sessions / everybody / 1000
        return min(demand.pause_s * 1000, pause_at_rate(sessions, rate, self._time))

    def law(self, sessions: int, pause_ms: float) -> Generating:
        """How many of so many sessions generate, by share of the time, once they are there."""
        if self._time is None:
            return Generating(first=sessions, shares=(1.0,))
        return generating(sessions, pause_ms, self._time)

    def at_quantile(self, sessions: int, pause_ms: float, *, peak: bool) -> int:
        """How many generate at most for the planned quantile of the time; at the peak while the last of them arrive."""
        demand = self._demand
        if not peak or demand.normal_ratio == 1:
            return self._there(sessions, pause_ms)
        return self._arriving(sessions, pause_ms, new=sessions * (1 - demand.normal_ratio), within_s=demand.ramp_s)

    def while_starting(self, sessions: int, *, new: float, within_s: float) -> int:
        """How many generate at most on a replica that holds so many once ``new`` of them have come within that time, while those
        that a burst starts are not there yet: it takes their part of who arrives too.
        """
        key = (sessions, new, within_s)
        if key not in self._starting:
            pause_ms = self.pause_ms(sessions, peak=True)
            self._starting[key] = self._arriving(sessions, pause_ms, new=new, within_s=within_s)
        return self._starting[key]

    def _there(self, sessions: int, pause_ms: float) -> int:
        if self._time is None:
            return sessions
        return _there(self._time, sessions, pause_ms, min(sessions, self._together), self._demand.quantile)

    def _arriving(self, sessions: int, pause_ms: float, *, new: float, within_s: float) -> int:
        there, quantile = self._there(sessions, pause_ms), self._demand.quantile
        if self._time is None:
            return there
        return max(there, with_arrivals(sessions, pause_ms, self._time, quantile, new=new, within=within_s * 1000))


@lru_cache(maxsize=32768)
def _there(time: RequestTime, sessions: int, pause_ms: float, together: int, quantile: float) -> int:
    """How many generate at most for that share of the time, and no fewer than on average; sub-agents that were started together
    ask together. The same for all agents whose requests and pauses are alike.
    """
    law = generating(sessions, pause_ms, time)
    late = law.at(quantile)
    if together > 1:
        groups = ceil_div(sessions, together)
        late = together * generating(groups, pause_ms, _groups_time(time, together)).at(quantile)
    return min(sessions, max(late, math.ceil(law.mean - _ROUNDING)))


@lru_cache(maxsize=8192)
def _later(time: RequestTime, reload_ms: float) -> RequestTime:
    """The time of requests that first wait for what their sessions left in host memory."""
    return RequestTime(lambda requests: time(requests) + reload_ms)


def _groups_time(time: RequestTime, together: int) -> RequestTime:
    """The time of requests that come together, by how many such groups are computed."""
    return RequestTime(lambda groups: time(groups * together))


def _request_time(
    demand: Demand, engine: Speed | None, hit: float, groups: Groups, *, by_hand: bool, engines: int
) -> RequestTime | None:
    """The mean time of a request on its seat, the network left out."""
    given, further = demand.agent.overrides, max(0.0, demand.shape.output_tokens_per_request - 1)
    ttft, tpot = (given.ttft_ms, given.tpot_ms) if by_hand else (None, None)
    if ttft is not None and tpot is not None:
        constant = ttft + further * tpot
        return RequestTime(lambda _: constant)
    if engine is None:
        return None
    return _time_on(engine, mean_request(demand, hit), groups, ttft, tpot, engines)


@lru_cache(maxsize=8192)
def _time_on(
    engine: Speed, request: latency.Request, groups: Groups, ttft: float | None, tpot: float | None, engines: int
) -> RequestTime:
    """The same for all agents whose requests are alike."""
    further = max(0.0, request.output_tokens - 1)

    def time_ms(requests: int) -> float:
        full = engine.with_fullest_group(groups.fullness(requests))
        state = latency.steady(full, request, requests)
        if ttft is None and tpot is None:
            return state.cycle_ms * engine.measured_tpot_ratio * engines
        answer = latency.answer(full, request, state, requests, requests)
        first = answer.ttft_ms * engines if ttft is None else ttft
        return first + further * (answer.tpot_ms * engines if tpot is None else tpot)

    return RequestTime(time_ms)
