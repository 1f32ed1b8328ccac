"""The service of one replica by the sessions that it holds: as many generate as ask, and all is judged with those."""

from __future__ import annotations

import math
from collections.abc import Hashable
from dataclasses import dataclass
from functools import lru_cache

from agentgpu_iac.planning.choosing.asking import Asking
from agentgpu_iac.planning.choosing.known import Itself
from agentgpu_iac.planning.choosing.requests import largest_prompt, mean_request
from agentgpu_iac.planning.choosing.service import (
    Service,
    most_used,
    most_used_of_tokens,
    prefill_ms,
    slowed,
    with_overrides,
    with_reload,
)
from agentgpu_iac.planning.demand import Demand
from agentgpu_iac.sizing import latency, tails
from agentgpu_iac.sizing.groups import Groups
from agentgpu_iac.sizing.pausing import Away
from agentgpu_iac.sizing.searching import between, largest_within
from agentgpu_iac.sizing.speed import Speed
from agentgpu_iac.spec.model import MAX_COUNT


class ReplicaService:
    """One replica before its sessions: an engine, the share of prompts that it finds cached, and how sessions ask."""

    __slots__ = (
        "_alone",
        "_away",
        "_by_hand",
        "_demand",
        "_engines",
        "_held",
        "_known",
        "_plain",
        "_round_trip_ms",
        "_searched",
        "asking",
    )

    def __init__(
        self,
        demand: Demand,
        engine: Speed | None,
        prefix_hit_ratio: float,
        groups: Groups,
        round_trip_ms: float,
        *,
        by_hand: bool = True,
        engines: int = 1,
        away: Away | None = None,
    ) -> None:
        """With what was measured and set by hand in place if ``by_hand``; ``engines`` busy engines take turns. ``away``: sessions
        that pause are not kept on the accelerators.
        """
        key, worst = Itself(demand), prefix_hit_ratio
        if away is not None:
            worst = away.longest_prompt_hit_ratio(prefix_hit_ratio)
        self._demand, self._away = demand, away
        self._round_trip_ms, self._by_hand, self._engines = round_trip_ms, by_hand, engines
        asked = _Asked(
            request=mean_request(demand, prefix_hit_ratio),
            largest=largest_prompt(demand, worst),
            longest_context_tokens=demand.longest_context_tokens,
            percentile=demand.percentile,
        )
        self._alone = _alone(asked, engine, groups, round_trip_ms)
        self._known: dict[int, Service] = {}
        self._held: dict[int, Service] = {}
        told = by_hand and _is_told(demand)
        self._plain = not told and engine is not None and engines == 1 and not (away is not None and away.longest_ms)
        budgets = (demand.budget_ttft_ms, demand.budget_tpot_ms, demand.margin)
        decides: Hashable = budgets if self._plain and away is None else (key, told, engines, away)
        self._searched = self._alone.searched.setdefault(decides, _Searched())
        reload_ms = 0.0 if away is None else away.waits_ms
        self.asking = asking(
            key, engine, prefix_hit_ratio, groups, by_hand=by_hand, engines=engines, reload_ms=reload_ms
        )

    def holding(self, sessions: int) -> Service:
        """With so many sessions held: latency while as many generate as ask, and the rate at the most within every budget."""
        if sessions not in self._held:
            self._held[sessions] = self._holding(sessions)
        return self._held[sessions]

    def _holding(self, sessions: int) -> Service:
        planned, most = self.asking.planned(sessions), self.most(sessions)
        service = self.computing(planned)
        if most <= planned:
            return service._replace(sessions=sessions, most_generating=planned)
        rates = self.computing(most)
        return service._replace(
            sessions=sessions,
            most_generating=most,
            output_tokens_per_s=rates.output_tokens_per_s,
            prefill_tokens_per_s=rates.prefill_tokens_per_s,
        )

    def most(self, requests: int) -> int:
        """The most requests, up to those, that are computed at once within every budget: latency only grows with them."""
        if self._away is not None:
            requests = min(requests, self._away.resident)
        searched = self._searched
        if requests <= searched.in_time[0]:
            return requests
        if requests < searched.late[0]:
            searched.learn(requests, self._used(requests))
        if requests > searched.in_time[0]:
            between(self._learnt, 1.0, searched.in_time, searched.late)
        return min(requests, searched.in_time[0])

    def _learnt(self, requests: int) -> float:
        used = self._used(requests)
        self._searched.learn(requests, used)
        return used

    def most_sessions(self, by_memory: int) -> int:
        """The most sessions, up to those that memory holds, that meet every budget with as many requests as they generate."""
        if self._away is not None:
            by_memory = self._demand.most_seats
        most = self.most(by_memory)
        return self._largest_with_room(most, by_memory, self._away)

    def most_sessions_away(self, away: Away) -> int:
        """A bound of the sessions of a replica that keeps none in a pause: with answers as soon as where all are kept."""
        return self._largest_with_room(self.most(away.resident), self._demand.most_seats, away)

    def _largest_with_room(self, most: int, sessions: int, away: Away | None) -> int:
        """The most of those sessions of which no more generate than are in time, and whose others find their cache as often as it
        is planned.
        """
        if not most:
            return 0

        def used(held: int) -> float:
            planned = self.asking.planned(held)
            return planned / most if away is None else max(planned / most, away.held(held, planned) / away.resident)

        about = self.asking.about(most)
        if about >= sessions and used(sessions) <= 1:
            return sessions
        return largest_within(used, 1.0, sessions, about)

    def _used(self, requests: int) -> float:
        """What they use of the tightest budget; infinite where the link to the host does not keep up."""
        if self._away is not None and not self._away.keeps_up(self._asked_per_ms(requests)):
            return math.inf
        if self._plain:
            return most_used_of_tokens(*self._alone.late_ms(requests), self._demand)
        return most_used(self.computing(requests), self._demand)

    def _asked_per_ms(self, requests: int) -> float:
        time = self.asking.time
        return 0.0 if time is None else time.rate(requests)

    def computing(self, requests: int) -> Service:
        """With so many requests computed at once, and sessions held."""
        if requests not in self._known:
            service = slowed(self._alone.service(requests), self._engines, self._round_trip_ms)
            if self._away is not None and self._away.longest_ms:
                late_ms = self._away.late_ms(self._asked_per_ms(requests))
                service = with_reload(service, self._away.longest_ms, late_ms)
            self._known[requests] = with_overrides(service, self._demand) if self._by_hand else service
        return self._known[requests]


def _is_told(demand: Demand) -> bool:
    """Whether what was set by hand, or the budget of whole answers, decides how many requests are in time."""
    given = demand.agent.overrides
    return demand.budget_e2e_ms is not None or given.ttft_ms is not None or given.tpot_ms is not None


class _Searched:
    """What a search for the most requests in time has found."""

    __slots__ = ("in_time", "late")

    def __init__(self) -> None:
        self.in_time, self.late = (0, 0.0), (MAX_COUNT, math.inf)
        """The most requests that are known to be in time, and the fewest known to be late, with what they use of the budgets."""

    def learn(self, requests: int, used: float) -> None:
        """So many use so much of the tightest budget."""
        if used <= 1:
            self.in_time = max(self.in_time, (requests, used))
        else:
            self.late = min(self.late, (requests, used))


@dataclass(frozen=True, slots=True)
class _Times:
    """What a number of requests takes, in ms, before the network."""

    engine: Speed
    state: latency.Steady
    prefill: float
    """Of the largest prompt."""
    decode: float
    late: float
    """Host time and wait at the percentile."""
    tpot_at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """What of a demand an engine's answers hang on: alike for all agents whose conversations are, however many sessions."""

    request: latency.Request
    """The mean one."""
    largest: tuple[float, float]
    """Tokens of the largest prompt, and the context at its end."""
    longest_context_tokens: int
    percentile: float


class _Alone:
    """One engine that shares its accelerators with no other, by the requests that it computes; each number worked out once."""

    __slots__ = ("_asked", "_engine", "_groups", "_known", "_round_trip_ms", "_times", "searched")

    def __init__(self, asked: _Asked, engine: Speed | None, groups: Groups, round_trip_ms: float) -> None:
        self._asked, self._engine, self._groups, self._round_trip_ms = asked, engine, groups, round_trip_ms
        self._known, self._times = dict[int, Service](), dict[int, _Times]()
        self.searched: dict[Hashable, _Searched] = {}
        """By what else decides how many requests are in time."""

    def service(self, requests: int) -> Service:
        """With nothing set by hand."""
        if requests not in self._known:
            self._known[requests] = _unknown(requests) if self._engine is None else self._with(requests)
        return self._known[requests]

    def late_ms(self, requests: int) -> tuple[float, float]:
        """(TTFT, TPOT) at the percentile; only of an engine whose speed is known."""
        times = self._taken(requests)
        return self._round_trip_ms + times.late + times.prefill + times.decode, times.tpot_at

    def _taken(self, requests: int) -> _Times:
        if requests not in self._times:
            if self._engine is None:
                raise ValueError("nothing is known of the engine's speed")
            self._times[requests] = self._take(self._engine, requests)
        return self._times[requests]

    def _take(self, engine: Speed, requests: int) -> _Times:
        asked, request = self._asked, self._asked.request
        engine = engine.with_fullest_group(self._groups.fullness(requests))
        state = latency.steady(engine, request, requests)
        return _Times(
            engine,
            state,
            prefill_ms(engine, request, requests, *asked.largest, decode_ms=state.decode_ms),
            state.decode_ms * engine.measured_ttft_ratio,
            tails.queue_at(state, asked.percentile) * engine.measured_ttft_ratio,
            tails.tpot_at(state, request, asked.percentile) * engine.measured_tpot_ratio,
        )

    def _with(self, requests: int) -> Service:
        request, times = self._asked.request, self._taken(requests)
        engine, state, prefill, decode = times.engine, times.state, times.prefill, times.decode
        answer = latency.answer(engine, request, state, requests, requests)
        longest = self._asked.longest_context_tokens
        cold = prefill_ms(engine, request, requests, longest, longest, decode_ms=state.decode_ms)
        network = self._round_trip_ms
        return Service(
            sessions=requests,
            generating=requests,
            most_generating=requests,
            ttft_ms=network + answer.queue_ms + prefill + decode,
            tpot_ms=answer.tpot_ms,
            ttft_at_ms=network + times.late + prefill + decode,
            tpot_at_ms=times.tpot_at,
            e2e_ms=None,
            uncached_ttft_ms=network + answer.queue_ms + cold + decode,
            queue_ms=answer.queue_ms,
            prefill_ms=prefill,
            decode_ms=decode,
            prompt_work_ms=engine.prompt_arithmetic_ms(request.prompt_tokens, request.prompt_end_tokens),
            output_tokens_per_s=answer.output_tokens_per_s,
            prefill_tokens_per_s=answer.prefill_tokens_per_s,
            ttft_error_ratio=answer.ttft_error_ratio,
            tpot_error_ratio=answer.tpot_error_ratio,
            calibrated=engine.calibrated,
        )


def _unknown(requests: int) -> Service:
    """Nothing is known of the engine's speed."""
    return Service(
        sessions=requests,
        generating=requests,
        most_generating=requests,
        ttft_ms=None,
        tpot_ms=None,
        ttft_at_ms=None,
        tpot_at_ms=None,
        e2e_ms=None,
        uncached_ttft_ms=None,
        queue_ms=None,
        prefill_ms=None,
        decode_ms=None,
        prompt_work_ms=None,
        output_tokens_per_s=None,
        prefill_tokens_per_s=None,
        ttft_error_ratio=None,
        tpot_error_ratio=None,
        calibrated=False,
    )


@lru_cache(maxsize=8192)
def _alone(asked: _Asked, engine: Speed | None, groups: Groups, round_trip_ms: float) -> _Alone:
    return _Alone(asked, engine, groups, round_trip_ms)


def asking(
    demand: Itself[Demand],
    engine: Speed | None,
    hit: float,
    groups: Groups,
    *,
    by_hand: bool = True,
    engines: int = 1,
    reload_ms: float = 0.0,
) -> Asking:
    """The sessions before a replica; kept, since the same is asked for many starts of a burst."""
    given = demand.thing.agent.overrides
    told = given.ttft_ms is not None or given.tpot_ms is not None
    return _asking(demand, engine, hit, groups, by_hand and told, engines, reload_ms)


@lru_cache(maxsize=8192)
def _asking(
    demand: Itself[Demand],
    engine: Speed | None,
    hit: float,
    groups: Groups,
    by_hand: bool,
    engines: int,
    reload_ms: float,
) -> Asking:
    return Asking(demand.thing, engine, hit, groups, by_hand=by_hand, engines=engines, reload_ms=reload_ms)
