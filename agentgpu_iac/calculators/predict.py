"""``predict``: latency and throughput of one replica at a load."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

from agentgpu_iac.calculators.answering import WholeAnswer, whole_answer
from agentgpu_iac.calculators.question import (
    Case,
    CaseRejection,
    PredictQuestion,
    config_of,
    does_not_fit,
    resolved,
    too_fast,
    without_assumed_tower,
)
from agentgpu_iac.catalog.store import Catalog
from agentgpu_iac.errors import BadInput, Fault
from agentgpu_iac.sizing import arrivals, latency, memory, replica, tails
from agentgpu_iac.sizing.engines import SIZING_PORTS
from agentgpu_iac.sizing.seats import recipe_kv_dtype, tuned_seats
from agentgpu_iac.sizing.speed import Serving, Speed
from agentgpu_iac.spec.document import Document
from agentgpu_iac.units import counted, rounded

_ROUNDS_OF_A_SLOT = 10
"""Requests of each slot of a closed loop, as benchmarks have it."""
_REQUESTS_AT_A_RATE = 400
_MEDIAN, _TAIL = 50.0, 95.0


class Figures(Document):
    """One figure over all requests, in ms."""

    mean: float
    p50: float
    p95: float
    at: float | None = None
    """At the percentile that was asked for."""


class PredictAnswer(Document):
    """One replica at the load that was asked for."""

    ttft_ms: float
    """Mean, as the next two."""
    tpot_ms: float
    output_tokens_per_s: float
    ttft_error_ratio: float
    tpot_error_ratio: float
    concurrency: float
    """Requests that run at once, after what memory admits: the mean of an open loop."""
    protocol: str
    """How the requests come, in words."""
    ttft: Figures
    tpot: Figures
    e2e: Figures
    """From sending a request to its last token."""
    percentile: float | None = None
    """Of the figures ``at``."""
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """A question with its replica built."""

    question: PredictQuestion
    engine: Speed
    request: latency.Request
    seats: float
    """Requests that run at once: those that the cache holds, or the engine's limit."""
    cache_tokens: float
    limit: int
    """The engine's own limit of requests at once."""
    groups: int

    @property
    def slots(self) -> int:
        """Requests that a closed loop keeps out: of every attention group."""
        return max(1, round((self.question.concurrency or 1.0) * self.groups))

    @property
    def most_per_s(self) -> float:
        """Requests/s of a replica whose seats are all taken."""
        return latency.predict(self.engine, self.request, self.seats).output_tokens_per_s / self.request.output_tokens


_SPARED = (
    "with that tower the length does not fit: answered for an engine that is told to read text alone, as by --text-only"
)


def predict(question: PredictQuestion, catalog: Catalog) -> PredictAnswer | WholeAnswer | CaseRejection:
    """Predict latency and throughput of one replica at a load.

    More requests than the KV cache holds wait for a seat: the admitted ones set TPOT, and the wait is part of TTFT. With
    ``arrivals`` the replica is stepped through the requests as that client sends them; without, the answer is the steady
    state: a closed loop that has run for a while, or Poisson arrivals at the rate.

    Raises:
        BadInput: the model or accelerator is unknown, or no load is given that the arrivals need; what is generated is not told
            of a model that generates, or told of one that does not.
    """
    _check_load(question)
    case = resolved(question, catalog)
    spread = case.spread
    if case.refused is not None:
        return case.refused
    output_tokens = _generated(question, case)
    length = question.max_model_len or min(case.model.max_context_tokens, question.input_tokens + output_tokens)
    # Times are of requests in words, with the compile cache full: what a first start with pictures holds is ``size``'s.
    config = replace(config_of(question, case, length), cold_start=False, reads_pictures=False)
    report = memory.engine_memory(config)
    spared = without_assumed_tower(question, config) if report.max_concurrency < 1 else None
    if spared is not None and (found := memory.engine_memory(spared)).max_concurrency >= 1:
        config, report, case = (
            spared,
            found,
            case.model_copy(update={"model": spared.model, "warnings": (*case.warnings, _SPARED)}),
        )
    if report.max_concurrency < 1:
        return does_not_fit(question, config, report)
    serving = Serving(
        engine=question.engine,
        version=question.engine_version,
        accepted_tokens=question.accepted_tokens,
    )
    port = SIZING_PORTS[question.engine]
    engine = replica.speed(config.replica, serving)
    if engine is None:
        message = f"no sourced bandwidth or TFLOPS figure for {case.accelerator.name}"
        return CaseRejection(constraint="no-latency-data", need=None, limit=None, unit="TFLOPS", message=message)
    if case.model.pooling is not None:
        return whole_answer(question, case, engine, list(case.warnings))
    held = question.input_tokens + output_tokens * port.held_output_share
    by_cache = tuned_seats(
        case.model,
        case.accelerator,
        spread,
        precision=case.precision,
        kv_dtype=case.kv_dtype,
        engine=question.engine,
        prompt_tokens=float(question.input_tokens),
        output_tokens=float(output_tokens),
    )
    if question.gpu_memory_utilization is not None:
        by_cache = max(1.0, memory.seats(report, math.ceil(held)) * spread.attention_groups)
    limit = question.max_num_seqs or port.default_seats(case.accelerator)
    asked = _Asked(
        question=question,
        engine=engine,
        request=latency.Request(
            prompt_tokens=question.input_tokens * (1 - question.prefix_hit_ratio),
            context_tokens=question.input_tokens + output_tokens / 2,
            output_tokens=float(output_tokens),
        ),
        seats=min(by_cache, float(limit * spread.attention_groups)),
        cache_tokens=by_cache * held,
        limit=limit * spread.attention_groups,
        groups=spread.attention_groups,
    )
    warnings = list(case.warnings)
    recipe = recipe_kv_dtype(question.engine, case.accelerator, case.precision)
    if case.kv_dtype == "auto" and recipe != "auto":
        warnings.append(
            f"kv-cache-dtype auto is 16 bit; recipes of tuned runs like this ask for {recipe}: say so if yours does"
        )
    if question.accepted_tokens > 1:
        warnings.append("speculative decoding is arithmetic only here: no measured run backs it")
    return _answer(asked, warnings)


def _generated(question: PredictQuestion, case: Case) -> int:
    """Tokens that a request generates: told of every model that generates, and of no other."""
    if case.model.pooling is not None:
        if question.output_tokens is not None:
            message = f"{case.model.id} generates nothing, and its answers come whole"
            raise BadInput.one("predict", message, hint="leave output-tokens out")
        return 0
    if question.output_tokens is None:
        raise BadInput([Fault(source="predict", path="output-tokens", message="is required")])
    return question.output_tokens


def _check_load(question: PredictQuestion) -> None:
    if question.concurrency is None and question.request_rate is None and question.arrivals != "burst":
        raise BadInput.one("predict", "give a concurrency (closed loop) or a request-rate (open loop)")
    if question.arrivals == "closed" and question.concurrency is None:
        raise BadInput.one("predict", "a closed loop needs a concurrency: the requests that it keeps out")
    if question.arrivals == "closed" and question.request_rate is not None:
        raise BadInput.one(
            "predict", "a closed loop has no request-rate: its answers set the pace; use arrivals poisson"
        )
    if question.arrivals == "poisson" and question.request_rate is None:
        raise BadInput.one("predict", "Poisson arrivals need a request-rate")
    if question.arrivals == "burst" and question.concurrency is None and question.requests is None:
        raise BadInput.one("predict", "bursts need their size: a concurrency, or requests for a single one")


def _answer(asked: _Asked, warnings: list[str]) -> PredictAnswer | CaseRejection:
    question = asked.question
    rate = question.request_rate
    if rate is not None and question.concurrency is None and rate > asked.most_per_s:
        most = asked.most_per_s
        message = (
            f"{rate:g} requests/s are asked for, and a replica with all {counted(asked.seats, 'seat', '.0f')} taken serves "
            f"{most:.3g}: its queue would grow for ever; use more replicas, or give a concurrency as a ceiling"
        )
        return too_fast(rate, most, message)
    if question.arrivals is None and rate is None:
        return _steady(asked, warnings)
    load, protocol = _load(asked)
    outcome = _run(asked, load)
    running = _running(asked, load, outcome)
    if load.slots > asked.seats:
        warnings.append(
            f"{counted(load.slots, 'request')} asked for, {asked.seats:g} run at once: the rest wait for a seat"
        )
    first, each = asked.engine.measured_ttft_ratio, asked.engine.measured_tpot_ratio
    ttft = tuple(value * first for value in outcome.ttft_ms)
    tpot = tuple(value * each for value in outcome.tpot_ms)
    e2e = tuple(
        before * first + (whole - before) * each for before, whole in zip(outcome.ttft_ms, outcome.e2e_ms, strict=True)
    )
    return PredictAnswer(
        ttft_ms=rounded(arrivals.mean(ttft), 3),
        tpot_ms=rounded(arrivals.mean(tpot), 3),
        output_tokens_per_s=rounded(outcome.output_tokens_per_s / each, 2),
        ttft_error_ratio=rounded(asked.engine.ttft_error_ratio),
        tpot_error_ratio=rounded(asked.engine.tpot_error_ratio),
        concurrency=rounded(running, 2),
        protocol=protocol,
        ttft=_figures(ttft, question.percentile),
        tpot=_figures(tpot, question.percentile),
        e2e=_figures(e2e, question.percentile),
        percentile=question.percentile,
        warnings=tuple(warnings),
    )


def _running(asked: _Asked, load: arrivals.Load, outcome: arrivals.Outcome) -> float:
    """Requests that run at once: the slots that find a seat, or by Little's law what the rate keeps up."""
    if load.arrivals == "closed":
        return min(float(load.slots), asked.seats)
    per_s = load.requests_per_s or outcome.output_tokens_per_s / arrivals.mean(outcome.output_tokens)
    most = min(asked.seats, load.slots or math.inf) if load.arrivals == "poisson" else asked.seats
    return min(most, per_s * arrivals.mean(outcome.e2e_ms) / 1000)


def _figures(values: tuple[float, ...], percent: float | None) -> Figures:
    return Figures(
        mean=rounded(arrivals.mean(values), 3),
        p50=rounded(arrivals.percentile(values, _MEDIAN), 3),
        p95=rounded(arrivals.percentile(values, _TAIL), 3),
        at=None if percent is None else rounded(arrivals.percentile(values, percent), 3),
    )


def _load(asked: _Asked) -> tuple[arrivals.Load, str]:
    """What the client does, and the words for it."""
    question = asked.question
    spread = (
        "" if question.length_spread == 1 else f", lengths from {question.length_spread:g} of those given to the whole"
    )
    if question.arrivals == "closed":
        requests = question.requests or _ROUNDS_OF_A_SLOT * asked.slots
        slots = min(asked.slots, requests)
        start = "all slots start at once" if question.start_together else "after it has run for a while"
        load = arrivals.Load(arrivals="closed", requests=requests, slots=slots, together=question.start_together)
        return load, f"closed loop of {counted(slots, 'request')}, {start}, {requests} in all{spread}"
    if question.arrivals == "burst":
        size = asked.slots if question.concurrency else question.requests or 1
        requests = question.requests or size
        rate = question.request_rate or 0.0
        load = arrivals.Load(arrivals="burst", requests=requests, slots=size, requests_per_s=rate)
        if not rate:
            return load, f"one burst of {counted(requests, 'request')} to an idle replica{spread}"
        return load, f"bursts of {counted(size, 'request')}, {rate:g} requests/s on average, {requests} in all{spread}"
    requests = question.requests or _REQUESTS_AT_A_RATE
    rate, slots = question.request_rate or 0.0, asked.slots if question.concurrency else 0
    ceiling = f", at most {slots} out at once" if slots else ""
    load = arrivals.Load(arrivals="poisson", requests=requests, slots=slots, requests_per_s=rate)
    return load, f"Poisson arrivals, {rate:g} requests/s{ceiling}, {requests} in all{spread}"


def _run(asked: _Asked, load: arrivals.Load) -> arrivals.Outcome:
    engine, request = asked.engine, asked.request
    scheduling = SIZING_PORTS[asked.question.engine].scheduling(
        seats=asked.limit, step_tokens=engine.max_batched_tokens * asked.groups, cache_tokens=asked.cache_tokens
    )
    running = min(asked.seats, float(load.slots or load.requests))
    decode_ms = engine.decode_ms(running, request.context_tokens)
    host = arrivals.Host(request_ms=latency.way_ms(engine, decode_ms), serial_ms=engine.host_ms_per_request)
    lengths = arrivals.Lengths(
        prompt_tokens=request.prompt_tokens,
        cached_tokens=asked.question.input_tokens - request.prompt_tokens,
        output_tokens=request.output_tokens,
        low=asked.question.length_spread,
    )
    return arrivals.run(engine, scheduling, host, lengths, load)


def _steady(asked: _Asked, warnings: list[str]) -> PredictAnswer:
    """A closed loop that has run for a while, by the closed form that the planner asks too."""
    engine, request, percent = asked.engine, asked.request, asked.question.percentile
    slots = (asked.question.concurrency or 1.0) * asked.groups
    running = min(slots, asked.seats)
    if slots > asked.seats:
        warnings.append(
            f"{counted(slots, 'request', 'g')} asked for, {asked.seats:g} run at once: the rest wait for a seat"
        )
    answer = latency.predict(engine, request, slots, asked.seats)
    beside = answer.ttft_ms - answer.queue_ms

    def ttft(at: float) -> float:
        return beside + tails.queue_ms(engine, request, running, at)

    def tpot(at: float) -> float:
        return tails.tpot_ms(engine, request, running, at)

    def figures(mean: float, values: Iterator[float]) -> Figures:
        p50, p95, at = values
        return Figures(
            mean=rounded(mean, 3),
            p50=rounded(p50, 3),
            p95=rounded(p95, 3),
            at=None if percent is None else rounded(at, 3),
        )

    places = (_MEDIAN, _TAIL, percent or _TAIL)
    after = request.output_tokens - 1
    return PredictAnswer(
        ttft_ms=rounded(answer.ttft_ms, 3),
        tpot_ms=rounded(answer.tpot_ms, 3),
        output_tokens_per_s=rounded(answer.output_tokens_per_s, 2),
        ttft_error_ratio=rounded(answer.ttft_error_ratio),
        tpot_error_ratio=rounded(answer.tpot_error_ratio),
        concurrency=rounded(running, 2),
        protocol=f"closed loop of {counted(slots, 'request', 'g')} that has run for a while (steady state)",
        ttft=figures(answer.ttft_ms, (ttft(at) for at in places)),
        tpot=figures(answer.tpot_ms, (tpot(at) for at in places)),
        e2e=figures(answer.ttft_ms + after * answer.tpot_ms, (ttft(at) + after * tpot(at) for at in places)),
        percentile=percent,
        warnings=tuple(warnings),
    )
