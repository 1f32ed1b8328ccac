"""``predict`` of a model that generates nothing: how many requests of one input a replica answers, and when."""

from __future__ import annotations

import math

from agentgpu_iac.calculators.question import Case, CaseRejection, PredictQuestion, too_fast
from agentgpu_iac.errors import BadInput
from agentgpu_iac.sizing import pooling
from agentgpu_iac.sizing.engines import SIZING_PORTS
from agentgpu_iac.sizing.speed import Speed
from agentgpu_iac.spec.document import Document
from agentgpu_iac.units import counted, rounded

_TAIL = 95.0
_ROUNDS = 50
"""Of the fixed point between a step and what arrives in it, which halves its distance in each."""


class WholeAnswer(Document):
    """One replica of a model whose answers come whole, at the load that was asked for."""

    answer_ms: float
    """Mean, from sending a request of one input to its answer."""
    answer_at_percentile_ms: float | None
    """At the percentile: that which was asked for, else the 95th. Of a closed loop, in which all wait alike, none."""
    percentile: float
    requests_per_s: float
    """Requests of one input that are answered."""
    input_tokens_per_s: float
    most_requests_per_s: float
    """The most that a replica answers: a steady rate at that percentile, or a closed loop of full steps."""
    inputs_per_step: float
    """Inputs that one step reads, on average."""
    step_ms: float
    answer_error_ratio: float
    protocol: str
    """How the requests come, in words."""
    warnings: tuple[str, ...]


def whole_answer(
    question: PredictQuestion, case: Case, engine: Speed, warnings: list[str]
) -> WholeAnswer | CaseRejection:
    """Predict answers that come whole, of requests of one input each.

    Raises:
        BadInput: bursts are asked for, or a length of what is generated.
    """
    if question.arrivals == "burst":
        raise BadInput.one(
            "predict", f"{case.model.id} generates nothing: give a concurrency or a request-rate, no bursts"
        )
    seats = question.max_num_seqs or SIZING_PORTS[question.engine].default_seats(case.accelerator)
    load = pooling.Load(inputs_per_request=1.0, input_tokens=float(question.input_tokens), most_seats=seats)
    found = _at_a_rate if question.concurrency is None else _closed
    return found(question, engine, load, warnings)


def _closed(question: PredictQuestion, engine: Speed, load: pooling.Load, warnings: list[str]) -> WholeAnswer:
    """A loop that keeps so many requests out: the server and the accelerator work at once, and the slower sets the pace."""
    slots, host = question.concurrency or 1.0, pooling.HOST_MS_PER_REQUEST
    full = pooling.seats_of_a_step(engine.max_batched_tokens, load)
    in_a_step = min(slots, float(full))
    step, longest = (pooling.step_ms(engine, load, inputs) for inputs in (in_a_step, float(full)))
    ratio = engine.measured_ttft_ratio
    per_s = 1000 / ratio * min(slots / (host + step), 1 / host, in_a_step / step)
    if slots > full:
        fitting = f"{counted(full, 'input')} {'fits' if full == 1 else 'fit'} a step"
        warnings.append(f"{counted(slots, 'request', 'g')} asked for, {fitting}: the rest wait for the next ones")
    return WholeAnswer(
        answer_ms=rounded(1000 * slots / per_s, 3),
        answer_at_percentile_ms=None,
        percentile=question.percentile or _TAIL,
        requests_per_s=rounded(per_s, 2),
        input_tokens_per_s=rounded(per_s * load.input_tokens, 1),
        most_requests_per_s=rounded(1000 / ratio * min(1 / host, full / longest), 2),
        inputs_per_step=rounded(in_a_step, 2),
        step_ms=rounded(step * ratio, 3),
        answer_error_ratio=pooling.ERROR_RATIO,
        protocol=f"closed loop of {counted(slots, 'request', 'g')} of one input that has run for a while (steady state)",
        warnings=tuple(warnings),
    )


def _at_a_rate(
    question: PredictQuestion, engine: Speed, load: pooling.Load, warnings: list[str]
) -> WholeAnswer | CaseRejection:
    """Poisson arrivals: what comes while a step runs is read by the next."""
    rate, percentile = question.request_rate or 0.0, question.percentile or _TAIL
    seats = pooling.seats_of_a_step(engine.max_batched_tokens, load)
    most = pooling.answering(engine, load, pooling.most_ahead(seats, load, percentile), percentile).inputs_per_s
    if rate > most:
        message = (
            f"{rate:g} requests/s of one input are asked for, and a replica answers {most:.3g} within a percentile "
            f"of {percentile:g}: its queue would grow for ever; use more replicas"
        )
        return too_fast(rate, most, message)
    mean = 1.0
    for _ in range(_ROUNDS):
        mean = (mean + rate * pooling.step_ms(engine, load, max(1.0, mean)) * engine.measured_ttft_ratio / 1000) / 2
    ahead = max(1, math.ceil(pooling.ahead_at(mean, load.inputs_per_request, percentile)))
    found = pooling.answering(engine, load, ahead, percentile)
    return WholeAnswer(
        answer_ms=rounded(found.mean_ms, 3),
        answer_at_percentile_ms=rounded(found.at_percentile_ms, 3),
        percentile=percentile,
        requests_per_s=rounded(rate, 3),
        input_tokens_per_s=rounded(rate * load.input_tokens, 1),
        most_requests_per_s=rounded(most, 2),
        inputs_per_step=rounded(max(1.0, mean), 2),
        step_ms=rounded(pooling.step_ms(engine, load, max(1.0, mean)) * engine.measured_ttft_ratio, 3),
        answer_error_ratio=pooling.ERROR_RATIO,
        protocol=f"Poisson arrivals, {rate:g} requests/s of one input (steady state)",
        warnings=tuple(warnings),
    )
