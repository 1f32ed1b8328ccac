"""The service of one replica by the sessions that it holds: as many generate as ask, and all is judged with those."""

from __future__ import annotations

from dataclasses import replace

from agentgpu_iac.planning.choosing.asking import Asking
from agentgpu_iac.planning.choosing.requests import largest_prompt, mean_request
from agentgpu_iac.planning.choosing.service import Service, in_time, prefill_ms, slowed, with_overrides, with_reload
from agentgpu_iac.planning.demand import Demand
from agentgpu_iac.sizing import latency, tails
from agentgpu_iac.sizing.groups import Groups
from agentgpu_iac.sizing.paging import largest
from agentgpu_iac.sizing.pausing import Away
from agentgpu_iac.sizing.speed import Speed
from agentgpu_iac.spec.model import MAX_COUNT


class ReplicaService:
    """One replica before its sessions: an engine, the share of prompts that it finds cached, and how sessions ask."""

    __slots__ = (
        "_asked",
        "_away",
        "_by_hand",
        "_demand",
        "_engine",
        "_engines",
        "_groups",
        "_hit",
        "_in_time",
        "_known",
        "_late",
        "_round_trip_ms",
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
        self._demand, self._engine, self._hit, self._groups = demand, engine, prefix_hit_ratio, groups
        self._round_trip_ms, self._by_hand, self._engines = round_trip_ms, by_hand, engines
        self._asked: tuple[latency.Request, tuple[float, float]] | None = None
        """A mean request, and the largest prompt."""
        self._known: dict[int, Service] = {}
        self._in_time, self._late = 0, MAX_COUNT
        """The most requests that are known to be in time, and the fewest known to be late."""
        self._away = away
        reload_ms = 0.0 if away is None else away.waits_ms
        self.asking = Asking(
            demand, engine, prefix_hit_ratio, groups, by_hand=by_hand, engines=engines, reload_ms=reload_ms
        )

    def holding(self, sessions: int) -> Service:
        """With so many sessions held: latency while as many generate as ask, and the rate at the most within every budget."""
        planned, most = self.asking.planned(sessions), self.most(sessions)
        service = replace(self.computing(planned), sessions=sessions, most_generating=max(planned, most))
        if most <= planned:
            return service
        rates = self.computing(most)
        return replace(
            service,
            output_tokens_per_s=rates.output_tokens_per_s,
            prefill_tokens_per_s=rates.prefill_tokens_per_s,
        )

    def most(self, requests: int) -> int:
        """The most requests, up to those, that are computed at once within every budget: latency only grows with them."""
        if self._away is not None:
            requests = min(requests, self._away.resident)
        low = min(self._in_time, requests)
        high = min(self._late, requests + 1)
        while high - low > 1:
            middle = requests if high > requests and low == self._in_time else (low + high) // 2
            if self._is_in_time(middle):
                low = self._in_time = middle
            else:
                high = self._late = middle
        return low

    def most_sessions(self, by_memory: int) -> int:
        """The most sessions, up to those that memory holds, that meet every budget with as many requests as they generate."""
        if self._away is not None:
            by_memory = self._demand.most_seats
        most = self.most(by_memory)
        if not most or self._has_room(by_memory, most):
            return by_memory if most else 0
        return largest(lambda sessions: self._has_room(sessions, most), by_memory)

    def _has_room(self, sessions: int, most: int) -> bool:
        """Whether no more of them generate than are in time, and the others find their cache as often as it is planned."""
        planned = self.asking.planned(sessions)
        return planned <= most and (self._away is None or self._away.held(sessions, planned) <= self._away.resident)

    def _is_in_time(self, requests: int) -> bool:
        keeps_up = self._away is None or self._away.keeps_up(self._asked_per_ms(requests))
        return keeps_up and in_time(self.computing(requests), self._demand)

    def _asked_per_ms(self, requests: int) -> float:
        time = self.asking.time
        return 0.0 if time is None else time.rate(requests)

    def computing(self, requests: int) -> Service:
        """With so many requests computed at once, and sessions held."""
        if requests not in self._known:
            service = slowed(self._alone(requests), self._engines, self._round_trip_ms)
            if self._away is not None and self._away.longest_ms:
                late_ms = self._away.late_ms(self._asked_per_ms(requests))
                service = with_reload(service, self._away.longest_ms, late_ms)
            self._known[requests] = with_overrides(service, self._demand) if self._by_hand else service
        return self._known[requests]

    def _alone(self, requests: int) -> Service:
        demand, hit = self._demand, self._hit
        if self._engine is None:
            return _unknown(requests)
        if self._asked is None:
            worst = hit if self._away is None else self._away.longest_prompt_hit_ratio(hit)
            self._asked = mean_request(demand, hit), largest_prompt(demand, worst)
        request, largest_prompts = self._asked
        engine = self._engine.with_fullest_group(self._groups.fullness(requests))
        state = latency.steady(engine, request, requests)
        answer = latency.answer(engine, request, state, requests, requests)
        prefill = prefill_ms(engine, request, requests, *largest_prompts)
        longest = demand.longest_context_tokens
        cold = prefill_ms(engine, request, requests, longest, longest)
        network, decode = self._round_trip_ms, answer.first_step_ms
        late = tails.queue_at(state, demand.percentile) * engine.measured_ttft_ratio
        return Service(
            sessions=requests,
            generating=requests,
            most_generating=requests,
            ttft_ms=network + answer.queue_ms + prefill + decode,
            tpot_ms=answer.tpot_ms,
            ttft_at_ms=network + late + prefill + decode,
            tpot_at_ms=tails.tpot_at(state, request, demand.percentile) * engine.measured_tpot_ratio,
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
