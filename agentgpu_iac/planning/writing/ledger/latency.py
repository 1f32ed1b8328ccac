"""TTFT, TPOT and a whole answer, term by term, from the replica's step model as the plan used it."""

from __future__ import annotations

import math
from collections.abc import Iterator

from agentgpu_iac.plan import Workload
from agentgpu_iac.planning.choosing.candidates import Candidate
from agentgpu_iac.planning.choosing.service import largest_prompt, mean_request
from agentgpu_iac.planning.writing.ledger.answering import answer_lines
from agentgpu_iac.sizing import calibration, latency, tails
from agentgpu_iac.sizing.ledger import Line
from agentgpu_iac.sizing.speed import Speed

SECTION = "Latency with every session generating"


def latency_lines(candidate: Candidate, workload: Workload, engines: int) -> Iterator[Line]:
    """The latency of a replica whose accelerator ``engines`` engines take turns on; nothing where it is not predicted."""
    if candidate.demand.load is not None:
        yield from answer_lines(candidate, workload, engines)
        return
    engine, times, shape = candidate.speed, workload.latency, candidate.demand.shape
    if engine is None or times.ttft_ms is None or times.tpot_ms is None or times.prefill_ms is None:
        return
    request = mean_request(candidate.demand, candidate.prefix_hit_ratio)
    constants = calibration.CONSTANTS
    yield _line(
        "ttftMs",
        "network + queue + prefill + first step",
        f"{times.network_ms:.1f} + {times.queue_ms or 0:.1f} + {times.prefill_ms:.1f} + {times.decode_ms or 0:.1f}",
        times.ttft_ms,
        f"{times.ttft_ms:.1f} ms ±{times.ttft_error_ratio or 0:.0%}",
        f"steps of {workload.engine.name} {workload.engine.version}: launches, {constants.bandwidth_efficiency:.0%} of "
        f"bandwidth, {constants.mfu_16_bit:.0%} of dense 16-bit TFLOPS; fitted on measured runs"
        + ("" if times.calibrated else " of other accelerators")
        + ("" if engines == 1 else "; an engine that shares takes turns: its times are multiplied"),
    )
    by_hand = candidate.demand.agent.overrides
    if by_hand.ttft_ms is None:
        yield _ttft_at_percentile(candidate, workload, engine, request, engines)
    yield _queue(candidate, workload, engine, request, engines)
    yield _prefill(candidate, workload, engine, engines)
    yield _decode(workload, engine, request, engines)
    yield _tpot(workload, engine, request, engines)
    if by_hand.tpot_ms is None:
        yield _tpot_at_percentile(workload, engine, request, engines)
    yield _line(
        "e2eMs",
        "requests x TTFT + (output tokens - requests) x TPOT",
        f"{shape.requests_per_turn:g} x {times.ttft_ms:.1f} + "
        f"({shape.output_tokens_per_turn:,} - {shape.requests_per_turn:g}) x {times.tpot_ms:.2f}",
        times.e2e_ms or 0.0,
        f"{times.e2e_ms or 0:,.0f} ms" + _budget(times.budget_e2e_ms),
        "one turn, tool time left out",
    )


def _line(name: str, formula: str, inputs: str, value: float, result: str, source: str) -> Line:
    return Line(name=name, formula=formula, inputs=inputs, value=value, result=result, unit="ms", source=source)


def _budget(limit: float | None) -> str:
    return "" if limit is None else f", budget {limit:,.0f}"


def scaled(total: str, engines: int, measured_ratio: float) -> str:
    """A sum times the engines that take turns, and times measured / predicted of a run of the user's own."""
    factors = [f"{engines}"] if engines > 1 else []
    factors += [f"{measured_ratio:.6g}"] if measured_ratio != 1 else []
    return " x ".join((f"({total})", *factors)) if factors else total


def _miss(ratio: float | None) -> str:
    return "" if ratio is None else f"; {ratio:.0%} likely over it, by the stated error"


def _ttft_at_percentile(
    candidate: Candidate, workload: Workload, engine: Speed, request: latency.Request, engines: int
) -> Line:
    times, sessions = workload.latency, candidate.max_num_seqs
    late = tails.queue_ms(engine, request, sessions, times.percentile) * engines
    value = times.ttft_at_percentile_ms or 0.0
    return _line(
        "ttftAtPercentileMs",
        "network + queue at the percentile + prefill + first step; in that queue the steady wait x ln(1 / (1 - p)), no longer "
        "than all other prompts",
        f"{times.network_ms:.1f} + {late:.1f} + {times.prefill_ms or 0:.1f} + {times.decode_ms or 0:.1f}",
        value,
        f"{value:.1f} ms at p{times.percentile:g} ±{times.ttft_error_ratio or 0:.0%}"
        + _budget(times.budget_ttft_ms)
        + _miss(times.ttft_miss_ratio),
        "steady waits counted as exponential about their mean; the prompt is the longest of the conversation",
    )


def _tpot_at_percentile(workload: Workload, engine: Speed, request: latency.Request, engines: int) -> Line:
    times, others = workload.latency, max(0, workload.max_num_seqs - 1)
    step = engine.decode_ms(workload.max_num_seqs, request.context_tokens) / engine.accepted_tokens
    mean = latency.predict_tpot_ms(engine, request, workload.max_num_seqs)
    more = tails.prompts_in_an_answer(others, times.percentile) / others if others else 1.0
    value = times.tpot_at_percentile_ms or 0.0
    return _line(
        "tpotAtPercentileMs",
        "one step + what prompts of others add x (others + z x others^0.5) / others, z: the normal quantile",
        scaled(f"{step:.4f} + {mean - step:.4f} x {more:.6f}", engines, engine.measured_tpot_ratio),
        value,
        f"{value:.2f} ms at p{times.percentile:g} ±{times.tpot_error_ratio or 0:.0%}"
        + _budget(times.budget_tpot_ms)
        + _miss(times.tpot_miss_ratio),
        "prompts that share the steps of an answer counted as Poisson, one of each other session on average",
    )


def _queue(candidate: Candidate, workload: Workload, engine: Speed, request: latency.Request, engines: int) -> Line:
    sessions, queue_ms = candidate.max_num_seqs, workload.latency.queue_ms or 0.0
    prompt = f"{engine.prompt_arithmetic_ms(request.prompt_tokens, request.prompt_end_tokens):.6f}"
    generating = f"{request.output_tokens * latency.predict_tpot_ms(engine, request, sessions):.4f}"
    excess = f"({sessions} x {prompt} - {generating})"
    response = f"({excess} + ({excess}^2 + 4 x {prompt} x {generating})^0.5) / 2"
    return _line(
        "queueMs",
        "first token + sessions x host + steady share x (R - p) + (sessions - 1) x p x queue share; p: work of a prompt, "
        "Z: output tokens x TPOT, R = ((sessions x p - Z) + ((sessions x p - Z)^2 + 4 x p x Z)^0.5) / 2",
        scaled(
            f"{engine.first_token_ms:g} + {sessions} x {engine.host_ms_per_request:g} + {engine.steady_queue:g} x "
            f"({response} - {prompt}) + {sessions - 1} x {prompt} x {engine.queue_share:g}",
            engines,
            engine.measured_ttft_ratio,
        ),
        queue_ms,
        f"{queue_ms:.1f} ms",
        "closed network of one server and as many customers as sessions; shares fitted on measured closed loops",
    )


def _prefill(candidate: Candidate, workload: Workload, engine: Speed, engines: int) -> Line:
    prefill_ms = workload.latency.prefill_ms or 0.0
    tokens, context_tokens = largest_prompt(candidate.demand, candidate.prefix_hit_ratio)
    arithmetic = engine.prompt_arithmetic_ms(tokens, context_tokens)
    chunks = math.ceil(tokens / engine.max_batched_tokens)
    weights = engine.dense_weights_ms + engine.expert_weights_ms
    return _line(
        "prefillMs",
        "(arithmetic^2 + (chunks x one reading of the weights)^2)^0.5 + chunks x launches, of the largest uncached prompt",
        scaled(
            f"({arithmetic:.4f}^2 + ({chunks} x {weights:.4f})^2)^0.5 + {chunks} x {engine.prompt_launch_ms:.4f}",
            engines,
            engine.measured_ttft_ratio,
        ),
        prefill_ms,
        f"{prefill_ms:.1f} ms",
        f"{tokens:,.0f} tokens at most, chunks of {engine.max_batched_tokens:,}; arithmetic and memory overlap",
    )


def _decode(workload: Workload, engine: Speed, request: latency.Request, engines: int) -> Line:
    batch, decode_ms = max(1.0, workload.max_num_seqs / engine.stages), workload.latency.decode_ms or 0.0
    terms = [
        f"{engine.launches_ms:.4f}",
        f"({engine.dense_weights_ms:.4f}^2 + ({batch:.6g} x {engine.dense_ms_per_token:.6f})^2)^0.5",
    ]
    formula = "launches + (weights^2 + (sessions x arithmetic)^2)^0.5"
    if engine.experts:
        touched = engine.touched_experts(batch) * engine.expert_weights_ms
        terms.append(f"({touched:.4f}^2 + ({batch:.6g} x {engine.expert_ms_per_token:.6f})^2)^0.5")
        formula += " + the same for the experts touched"
    each = (engine.kv_ms(request.context_tokens), engine.sequence_ms, engine.all_reduce_ms_per_token)
    terms.append(f"{batch:.6g} x ({' + '.join(f'{term:.6f}' for term in each)})")
    return _line(
        "decodeMs",
        f"{formula} + sessions x (KV cache + host + all-reduce)"
        + ("" if engine.stages == 1 else f"; sessions / {engine.stages} stages"),
        scaled(" + ".join(terms), engines, engine.measured_ttft_ratio),
        decode_ms,
        f"{decode_ms:.1f} ms",
        f"one step with every session at {request.context_tokens:,.0f} tokens of context; weights and KV cache are read once",
    )


def _tpot(workload: Workload, engine: Speed, request: latency.Request, engines: int) -> Line:
    sessions, times, tpot_ms = workload.max_num_seqs, workload.latency, workload.latency.tpot_ms or 0.0
    work = engine.prompt_arithmetic_ms(request.prompt_tokens, request.prompt_end_tokens)
    launches = f"{calibration.PROMPT_LAUNCH_INTERFERENCE:g} x {engine.prompt_launch_ms:.4f}" if work else "0"
    return _line(
        "tpotMs",
        "one step + interference x (sessions - 1) x (work of a prompt + share x its launches) / output tokens of a request",
        scaled(
            f"{engine.decode_ms(sessions, request.context_tokens) / engine.accepted_tokens:.4f} + "
            f"{engine.prompt_interference:g} x {sessions - 1} x ({work:.6f} + {launches}) / {request.output_tokens:.8g}",
            engines,
            engine.measured_tpot_ratio,
        ),
        tpot_ms,
        f"{tpot_ms:.2f} ms ±{times.tpot_error_ratio or 0:.0%}",
        "the step of decodeMs; prompts of the other sessions share the steps",
    )
