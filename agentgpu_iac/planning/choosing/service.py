"""Latency and throughput that a replica gives its sessions: as predicted, set by hand, or slowed down by neighbours."""

from __future__ import annotations

import math
from typing import Literal, NamedTuple

from agentgpu_iac.planning.choosing.requests import shapes
from agentgpu_iac.planning.demand import Demand
from agentgpu_iac.sizing import latency, pooling
from agentgpu_iac.sizing.conversation import SessionShape
from agentgpu_iac.sizing.speed import Speed


class Service(NamedTuple):
    """Latency and throughput of one replica that holds a number of sessions, some of which generate; overrides applied.

    A tuple, since a plan makes one for each number of sessions that it thinks of.
    """

    sessions: int
    """Sessions that it holds, or inputs ahead of a request."""
    generating: int
    """Requests that are computed at once, with which latency is judged."""
    most_generating: int
    """The most with which every budget is met, with which the rates are counted."""
    ttft_ms: float | None
    tpot_ms: float | None
    ttft_at_ms: float | None
    """At the percentile that its budget promises."""
    tpot_at_ms: float | None
    e2e_ms: float | None
    """A whole answer, on average."""
    uncached_ttft_ms: float | None
    queue_ms: float | None
    prefill_ms: float | None
    decode_ms: float | None
    prompt_work_ms: float | None
    output_tokens_per_s: float | None
    prefill_tokens_per_s: float | None
    ttft_error_ratio: float | None
    tpot_error_ratio: float | None
    calibrated: bool
    reload_ms: float = 0.0
    """Part of the TTFT: the longest history comes back from host memory."""
    late_reload_ms: float = 0.0
    """The same at the percentile."""
    e2e_at_ms: float | None = None
    """A whole answer at the percentile, where it is all that is promised: of models that generate nothing."""
    e2e_error_ratio: float | None = None


def prefill_ms(
    engine: Speed, request: latency.Request, sessions: float, tokens: float, end_tokens: float, *, decode_ms: float
) -> float:
    """The steps of a prompt while ``sessions`` generate, but for the one decode step that its last one is as well."""
    reading = latency.read_prompt(engine, tokens, end_tokens, sessions, request.context_tokens, decode_ms=decode_ms)
    return max(0.0, reading.reading_ms - decode_ms) * engine.measured_ttft_ratio


def slowed(service: Service, engines: int, round_trip_ms: float) -> Service:
    """What is left of the service when ``engines`` busy engines take turns; the network does not slow down."""
    if engines == 1:
        return service

    def times(value: float | None) -> float | None:
        return None if value is None else value * engines

    def answered(value: float | None) -> float | None:
        return None if value is None else (value - round_trip_ms) * engines + round_trip_ms

    def share(value: float | None) -> float | None:
        return None if value is None else value / engines

    return service._replace(
        ttft_ms=answered(service.ttft_ms),
        tpot_ms=times(service.tpot_ms),
        ttft_at_ms=answered(service.ttft_at_ms),
        tpot_at_ms=times(service.tpot_at_ms),
        uncached_ttft_ms=answered(service.uncached_ttft_ms),
        queue_ms=times(service.queue_ms),
        prefill_ms=times(service.prefill_ms),
        decode_ms=times(service.decode_ms),
        prompt_work_ms=times(service.prompt_work_ms),
        e2e_ms=answered(service.e2e_ms),
        e2e_at_ms=answered(service.e2e_at_ms),
        output_tokens_per_s=share(service.output_tokens_per_s),
        prefill_tokens_per_s=share(service.prefill_tokens_per_s),
    )


def with_reload(service: Service, reload_ms: float, late_ms: float) -> Service:
    """The same where a request first waits for what its session left in host memory."""

    def later(value: float | None, by_ms: float) -> float | None:
        return None if value is None else value + by_ms

    return service._replace(
        reload_ms=reload_ms,
        late_reload_ms=late_ms,
        ttft_ms=later(service.ttft_ms, reload_ms),
        ttft_at_ms=later(service.ttft_at_ms, late_ms),
    )


def with_overrides(service: Service, demand: Demand) -> Service:
    """The service with what was measured and set by hand in place, and the time of a whole answer that follows."""
    given = demand.agent.overrides
    if demand.load is not None:
        return service._replace(prefill_tokens_per_s=given.prefill_tokens_per_s or service.prefill_tokens_per_s)
    ttft, tpot = given.ttft_ms or service.ttft_ms, given.tpot_ms or service.tpot_ms
    whole = [answer for shape in shapes(demand) if (answer := whole_answer_ms(shape, ttft, tpot)) is not None]
    return service._replace(
        ttft_ms=ttft,
        tpot_ms=tpot,
        ttft_at_ms=given.ttft_ms or service.ttft_at_ms,
        tpot_at_ms=given.tpot_ms or service.tpot_at_ms,
        e2e_ms=max(whole, default=None),
        output_tokens_per_s=given.output_tokens_per_s or service.output_tokens_per_s,
        prefill_tokens_per_s=given.prefill_tokens_per_s or service.prefill_tokens_per_s,
    )


def whole_answer_ms(shape: SessionShape, ttft_ms: float | None, tpot_ms: float | None) -> float | None:
    """Time of a complete answer: the first token of each request of a turn, and what follows."""
    if ttft_ms is None or tpot_ms is None:
        return None
    after = max(0.0, shape.output_tokens_per_turn - shape.requests_per_turn)
    return shape.requests_per_turn * ttft_ms + after * tpot_ms


def answering(engine: Speed | None, demand: Demand, load: pooling.Load, ahead: int, round_trip_ms: float) -> Service:
    """The service of a replica that generates nothing, whose requests find so many inputs ahead at the percentile."""
    found = None if engine is None else pooling.answering(engine, load, ahead, demand.percentile)
    return Service(
        sessions=ahead,
        generating=ahead,
        most_generating=ahead,
        ttft_ms=None,
        tpot_ms=None,
        ttft_at_ms=None,
        tpot_at_ms=None,
        e2e_ms=None if found is None else round_trip_ms + found.mean_ms,
        uncached_ttft_ms=None,
        queue_ms=None if found is None else found.running_ms,
        prefill_ms=None if found is None else found.reading_ms,
        decode_ms=None,
        prompt_work_ms=None,
        output_tokens_per_s=None,
        prefill_tokens_per_s=None if found is None else found.inputs_per_s * load.input_tokens,
        ttft_error_ratio=None,
        tpot_error_ratio=None,
        calibrated=False,
        e2e_at_ms=None if found is None else round_trip_ms + found.at_percentile_ms,
        e2e_error_ratio=None if found is None else pooling.ERROR_RATIO,
    )


def within(value: float | None, budget: float | None) -> bool:
    """Whether a budget is met, or there is none, or nothing to hold against it."""
    return value is None or budget is None or value <= budget


def with_margin(value: float | None, demand: Demand) -> float | None:
    """What is held against a budget."""
    return None if value is None else value * (1 + demand.margin)


def in_time(service: Service, demand: Demand) -> bool:
    """Whether every budget of the agent is met."""
    return most_used(service, demand) <= 1


def most_used(service: Service, demand: Demand) -> float:
    """What is used of the tightest of the agent's budgets."""
    return max(_used(value, budget) for _, value, budget in budgets(service, demand))


def most_used_of_tokens(ttft_at_ms: float, tpot_at_ms: float, demand: Demand) -> float:
    """The same of the budgets of TTFT and TPOT."""
    return max(
        _used(with_margin(ttft_at_ms, demand), demand.budget_ttft_ms),
        _used(with_margin(tpot_at_ms, demand), demand.budget_tpot_ms),
    )


def budgets(
    service: Service, demand: Demand
) -> tuple[tuple[Literal["ttft", "tpot", "e2e"], float | None, float | None], ...]:
    """(budget, what is held against it, how much it is), in the order in which a miss is told.

    TTFT, TPOT and answers that come whole at their percentile and with the margin; other whole answers on average.
    """
    whole = service.e2e_ms if demand.load is None else with_margin(service.e2e_at_ms, demand)
    return (
        ("ttft", with_margin(service.ttft_at_ms, demand), demand.budget_ttft_ms),
        ("tpot", with_margin(service.tpot_at_ms, demand), demand.budget_tpot_ms),
        ("e2e", whole, demand.budget_e2e_ms),
    )


def _used(value: float | None, budget: float | None) -> float:
    """Part of a budget; 0 where there is none, or nothing to hold against it. More than 1 exactly where it is not ``within``."""
    if value is None or budget is None or value == 0:
        return 0.0
    return value / budget if value <= budget else max(value / budget, math.nextafter(1.0, 2.0))
