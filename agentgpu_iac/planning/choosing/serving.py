"""The service of one replica by the sessions that it holds: as many generate as ask, and all is judged with those."""

from __future__ import annotations

from agentgpu_iac.planning.choosing.asking import Asking
from agentgpu_iac.planning.choosing.requests import largest_prompt, mean_request
from agentgpu_iac.planning.choosing.service import Service, prefill_ms, slowed, with_overrides
from agentgpu_iac.planning.demand import Demand
from agentgpu_iac.sizing import latency, tails
from agentgpu_iac.sizing.groups import Groups
from agentgpu_iac.sizing.speed import Speed


class ReplicaService:
    """One replica before its sessions: an engine, the share of prompts that it finds cached, and how sessions ask."""

    __slots__ = ("_by_hand", "_demand", "_engine", "_engines", "_groups", "_hit", "_round_trip_ms", "asking")

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
    ) -> None:
        """With what was measured and set by hand in place if ``by_hand``; ``engines`` busy engines take turns."""
        self._demand, self._engine, self._hit, self._groups = demand, engine, prefix_hit_ratio, groups
        self._round_trip_ms, self._by_hand, self._engines = round_trip_ms, by_hand, engines
        self.asking = Asking(demand, engine, prefix_hit_ratio, groups, by_hand=by_hand, engines=engines)

    def holding(self, sessions: int) -> Service:
        """With so many sessions held."""
        return self.computing(self.asking.planned(sessions), sessions)

    def computing(self, requests: int, sessions: int) -> Service:
        """With so many requests computed at once, whatever the sessions that are held."""
        service = slowed(self._alone(requests, sessions), self._engines, self._round_trip_ms)
        return with_overrides(service, self._demand) if self._by_hand else service

    def _alone(self, requests: int, sessions: int) -> Service:
        demand, engine, hit, counted = self._demand, self._engine, self._hit, self._groups.counted(requests)
        if engine is None:
            return _unknown(requests, sessions)
        request = mean_request(demand, hit)
        state = latency.steady(engine, request, counted)
        answer = latency.answer(engine, request, state, counted, counted)
        prefill = prefill_ms(engine, request, counted, *largest_prompt(demand, hit))
        longest = demand.longest_context_tokens
        cold = prefill_ms(engine, request, counted, longest, longest)
        network, decode, share = self._round_trip_ms, answer.first_step_ms, requests / counted
        late = tails.queue_at(state, demand.percentile) * engine.measured_ttft_ratio
        return Service(
            sessions=sessions,
            generating=requests,
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
            output_tokens_per_s=answer.output_tokens_per_s * share,
            prefill_tokens_per_s=answer.prefill_tokens_per_s * share,
            ttft_error_ratio=answer.ttft_error_ratio,
            tpot_error_ratio=answer.tpot_error_ratio,
            calibrated=engine.calibrated,
        )


def _unknown(requests: int, sessions: int) -> Service:
    """Nothing is known of the engine's speed."""
    return Service(
        sessions=sessions,
        generating=requests,
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
