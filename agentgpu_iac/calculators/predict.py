"""``predict``: latency and throughput of one replica at a load."""

from __future__ import annotations

import math
from dataclasses import replace

from agentgpu_iac.calculators.question import CaseRejection, PredictQuestion, config_of, does_not_fit, resolved
from agentgpu_iac.catalog.store import Catalog
from agentgpu_iac.errors import BadInput
from agentgpu_iac.sizing import latency, memory, replica
from agentgpu_iac.sizing.engines import SIZING_PORTS
from agentgpu_iac.sizing.seats import recipe_kv_dtype, tuned_seats
from agentgpu_iac.sizing.speed import Serving, Speed
from agentgpu_iac.spec.document import Document
from agentgpu_iac.units import rounded

_ROUNDS = 50


class PredictAnswer(Document):
    """Steady state of one replica."""

    ttft_ms: float
    tpot_ms: float
    output_tokens_per_s: float
    ttft_error_ratio: float
    tpot_error_ratio: float
    concurrency: float
    """Requests that run at once, after what memory admits."""
    warnings: tuple[str, ...]


def predict(question: PredictQuestion, catalog: Catalog) -> PredictAnswer | CaseRejection:
    """Predict latency and throughput of one replica at a load.

    More requests than the KV cache holds wait for a seat: the admitted ones set TPOT, and the wait is part of TTFT.

    Raises:
        BadInput: the model or accelerator is unknown, or neither a concurrency nor a request rate is given.
    """
    if question.concurrency is None and question.request_rate is None:
        raise BadInput.one("predict", "give a concurrency (closed loop) or a request-rate (open loop)")
    case = resolved(question, catalog)
    spread = case.spread
    if case.refused is not None:
        return case.refused
    if case.model.pooling is not None:
        message = f"{case.model.id} generates nothing, and predict answers with TTFT and TPOT"
        hint = "write it into a stack with requests: {perS, inputTokens}; agentgpu explain then has its answer term by term"
        raise BadInput.one("predict", message, hint=hint)
    length = question.max_model_len or min(
        case.model.max_context_tokens, question.input_tokens + question.output_tokens
    )
    # Times are of requests in words, with the compile cache full: what a first start with pictures holds is ``size``'s.
    config = replace(config_of(question, case, length), cold_start=False, reads_pictures=False)
    report = memory.engine_memory(config)
    if report.max_concurrency < 1:
        return does_not_fit(config, report)
    serving = Serving(
        engine=question.engine,
        version=question.engine_version,
        accepted_tokens=question.accepted_tokens,
    )
    engine = replica.speed(config.replica, serving)
    if engine is None:
        message = f"no sourced bandwidth or TFLOPS figure for {case.accelerator.name}"
        return CaseRejection(constraint="no-latency-data", need=None, limit=None, unit="TFLOPS", message=message)
    request = latency.Request(
        prompt_tokens=question.input_tokens * (1 - question.prefix_hit_ratio),
        context_tokens=question.input_tokens + question.output_tokens / 2,
        output_tokens=float(question.output_tokens),
    )
    by_cache = tuned_seats(
        case.model,
        case.accelerator,
        spread,
        precision=case.precision,
        kv_dtype=case.kv_dtype,
        engine=question.engine,
        prompt_tokens=float(question.input_tokens),
        output_tokens=float(question.output_tokens),
    )
    if question.gpu_memory_utilization is not None:
        held = question.input_tokens + question.output_tokens * SIZING_PORTS[question.engine].held_output_share
        by_cache = max(1.0, memory.seats(report, math.ceil(held)) * spread.attention_groups)
    seats = min(by_cache, float(question.max_num_seqs or math.inf) * spread.attention_groups)
    warnings = list(case.warnings)
    recipe = recipe_kv_dtype(question.engine, case.accelerator, case.precision)
    if case.kv_dtype == "auto" and recipe != "auto":
        warnings.append(
            f"kv-cache-dtype auto is 16 bit; recipes of tuned runs like this ask for {recipe}: say so if yours does"
        )
    if question.accepted_tokens > 1:
        warnings.append("speculative decoding is arithmetic only here: no measured run backs it")
    asked = _asked_concurrency(question, engine, request, seats)
    if question.concurrency is not None and question.request_rate is None:
        asked *= spread.attention_groups
    if asked > seats:
        warnings.append(f"{asked:g} requests asked for, {seats:g} run at once: the rest wait for a seat")
    answer = latency.predict(engine, request, asked, seats)
    return PredictAnswer(
        ttft_ms=rounded(answer.ttft_ms, 3),
        tpot_ms=rounded(answer.tpot_ms, 3),
        output_tokens_per_s=rounded(answer.output_tokens_per_s, 2),
        ttft_error_ratio=rounded(answer.ttft_error_ratio),
        tpot_error_ratio=rounded(answer.tpot_error_ratio),
        concurrency=rounded(min(asked, seats), 2),
        warnings=tuple(warnings),
    )


def _asked_concurrency(question: PredictQuestion, engine: Speed, request: latency.Request, seats: float) -> float:
    """The closed loop's concurrency, or by Little's law the one that an arrival rate keeps up in the open loop."""
    if question.request_rate is None:
        return question.concurrency or 1.0
    ceiling = question.concurrency or seats
    running = 1.0
    for _ in range(_ROUNDS):
        answer = latency.predict(engine, request, running)
        seconds = (answer.ttft_ms + request.output_tokens * answer.tpot_ms) / 1000
        following = min(ceiling, max(1.0, question.request_rate * seconds))
        if math.isclose(following, running, rel_tol=1e-6):
            break
        running = following
    return running
