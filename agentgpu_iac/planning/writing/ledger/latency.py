"""TTFT, TPOT and a whole answer, term by term, from the replica's step model as the plan used it."""

from __future__ import annotations

import math
from collections.abc import Iterator

from agentgpu_iac.plan import Workload
from agentgpu_iac.planning.choosing.candidates import Candidate
from agentgpu_iac.planning.choosing.joined import ROUND_TRIPS
from agentgpu_iac.planning.choosing.requests import largest_prompt, mean_request
from agentgpu_iac.planning.choosing.service import whole_answer_ms
from agentgpu_iac.planning.writing.ledger.answering import answer_lines
from agentgpu_iac.sizing import latency, tails
from agentgpu_iac.sizing.ledger import Line
from agentgpu_iac.sizing.speed import Speed
from agentgpu_iac.units import counted

SECTION = "Latency with as many requests as are planned to generate"


def latency_lines(candidate: Candidate, workload: Workload, engines: int) -> Iterator[Line]:
    """The latency of a replica whose accelerator ``engines`` engines take turns on; nothing where it is not predicted."""
    if candidate.demand.load is not None:
        yield from answer_lines(candidate, workload, engines)
        return
    engine, times, shape = candidate.full_speed, workload.latency, candidate.demand.shape
    if engine is None or times.ttft_ms is None or times.tpot_ms is None or times.prefill_ms is None:
        return
    if times.wide_area_ms:
        yield _line(
            "wideAreaMs",
            "round trips of a new connection x network.burstRttMs",
            f"{ROUND_TRIPS} x {times.wide_area_ms / ROUND_TRIPS:g}",
            times.wide_area_ms,
            f"{times.wide_area_ms:g} ms of the network's {times.network_ms:g}",
            "TCP, TLS 1.3 and the request take one each; the engine is on a machine beside the cluster",
        )
    request = mean_request(candidate.demand, candidate.prefix_hit_ratio)
    state = latency.steady(engine, request, candidate.service.generating)
    yield _line(
        "ttftMs",
        "network + queue + prefill + first step" + (" + reload" if times.reload_ms else ""),
        f"{times.network_ms:.1f} + {times.queue_ms or 0:.1f} + {times.prefill_ms:.1f} + {times.decode_ms or 0:.1f}"
        + (f" + {times.reload_ms:.1f}" if times.reload_ms else ""),
        times.ttft_ms,
        f"{times.ttft_ms:.1f} ms ±{times.ttft_error_ratio or 0:.0%}",
        f"steps of {workload.engine.name} {workload.engine.version}: launches, and "
        f"{engine.bandwidth_share:.0%} of bandwidth and {engine.tflops_share:.0%} of dense TFLOPS by kernel tables of "
        + ("this accelerator" if engine.own_tables else "the nearest kind of accelerator")
        + ("" if times.calibrated else "; no measured run used it")
        + ("" if engines == 1 else "; an engine that shares takes turns: its times are multiplied"),
    )
    by_hand = candidate.demand.agent.overrides
    if by_hand.ttft_ms is None:
        yield _ttft_at_percentile(workload, engine, state, engines, candidate.service.late_reload_ms)
    yield _queue(workload, engine, state, engines)
    yield _prefill(candidate, workload, engine, request, engines)
    yield _decode(candidate, workload, engine, request, engines)
    yield _tpot(candidate, workload, engine, state, engines)
    if by_hand.tpot_ms is None:
        yield _tpot_at_percentile(workload, engine, request, state, engines)
    shape = max(
        (member.shape for member in candidate.demand.served),
        key=lambda each: whole_answer_ms(each, times.ttft_ms, times.tpot_ms) or 0.0,
    )
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
    workload: Workload, engine: Speed, state: latency.Steady, engines: int, reload_ms: float
) -> Line:
    times = workload.latency
    late = tails.queue_at(state, times.percentile) * engine.measured_ttft_ratio * engines
    waits = tails.wait(state)
    value = times.ttft_at_percentile_ms or 0.0
    return _line(
        "ttftAtPercentileMs",
        "network + queue at the percentile + prefill + first step"
        + (" + reload and three mean waits for its link" if reload_ms else "")
        + "; that queue is host time and a gamma variable's percentile",
        f"{times.network_ms:.1f} + {late:.1f} + {times.prefill_ms or 0:.1f} + {times.decode_ms or 0:.1f}"
        + (f" + {reload_ms:.1f}" if reload_ms else ""),
        value,
        f"{value:.1f} ms at p{times.percentile:g} ±{times.ttft_error_ratio or 0:.0%}"
        + _budget(times.budget_ttft_ms)
        + _miss(times.ttft_miss_ratio),
        f"requests that come by themselves wait {waits.mean_ms:.1f} ms on average, with a deviation of "
        f"{math.sqrt(waits.variance_ms2):.1f}, and at most {waits.most_ms:,.0f}; the prompt is the longest of the conversation",
    )


def _tpot_at_percentile(
    workload: Workload, engine: Speed, request: latency.Request, state: latency.Steady, engines: int
) -> Line:
    times = workload.latency
    at = tails.tpot_at(state, request, times.percentile) * state.accepted_tokens
    added = state.step_ms - state.decode_ms
    more = (at - state.decode_ms) / added if added > 0 else 1.0
    value = times.tpot_at_percentile_ms or 0.0
    total = f"({state.decode_ms:.4f} + {added:.4f} x {more:.6f}) / {state.accepted_tokens:g}"
    return _line(
        "tpotAtPercentileMs",
        "(one step + what prompts of others add x (prompts + z x prompts^0.5) / prompts) / tokens a step yields, z: the normal "
        "quantile; at most a step full of prompts",
        scaled(total, engines, engine.measured_tpot_ratio),
        value,
        f"{value:.2f} ms at p{times.percentile:g} ±{times.tpot_error_ratio or 0:.0%}"
        + _budget(times.budget_tpot_ms)
        + _miss(times.tpot_miss_ratio),
        "prompts that share the steps of an answer counted as Poisson",
    )


def _queue(workload: Workload, engine: Speed, state: latency.Steady, engines: int) -> Line:
    queue_ms = workload.latency.queue_ms or 0.0
    return _line(
        "queueMs",
        "host + wait; wait: half the step that runs, and the prompts that came with one's own where several share a step",
        scaled(f"{state.host_ms:.4f} + {state.wait_ms:.4f}", engines, engine.measured_ttft_ratio),
        queue_ms,
        f"{queue_ms:.1f} ms",
        f"steps of {state.step_ms:.2f} ms on average, with a deviation of {math.sqrt(state.spread_ms2):.2f}; each other "
        f"request brings a prompt every {state.cycle_ms:,.0f} ms, and {state.prompts_in_a_step:,.1f} fit into a step",
    )


def _prefill(candidate: Candidate, workload: Workload, engine: Speed, request: latency.Request, engines: int) -> Line:
    prefill_ms, sessions = workload.latency.prefill_ms or 0.0, candidate.service.generating
    tokens, end_tokens = largest_prompt(candidate.demand, candidate.longest_prompt_hit_ratio)
    decode = engine.decode_ms(sessions, request.context_tokens)
    reading = latency.read_prompt(engine, tokens, end_tokens, sessions, request.context_tokens, decode_ms=decode)
    step = min(decode, reading.reading_ms)
    steps = f"{reading.chunks}" if reading.stages == 1 else f"(1 + {reading.chunks - 1} / {reading.stages})"
    return _line(
        "prefillMs",
        "steps with the prompt in them x the time of one - one decode step, of the largest uncached prompt"
        + ("" if reading.stages == 1 else "; a step follows another after one stage"),
        scaled(f"{steps} x {reading.chunk_ms:.4f} - {step:.4f}", engines, engine.measured_ttft_ratio),
        prefill_ms,
        f"{prefill_ms:.1f} ms",
        f"{counted(tokens, 'token', ',.0f')} at most, in steps of {engine.max_batched_tokens:,}"
        + ("" if engine.prompts_apart else " that also give every running request a token"),
    )


def _decode(candidate: Candidate, workload: Workload, engine: Speed, request: latency.Request, engines: int) -> Line:
    batch, decode_ms = engine.batch(candidate.service.generating), workload.latency.decode_ms or 0.0
    group = max(1.0, engine.fullest_group(batch))
    terms = [
        f"{engine.launches_ms:.4f}",
        f"({engine.dense_weights_ms:.4f}^2 + ({group:.6g} x {engine.dense_ms_per_token:.6f})^2)^0.5",
    ]
    formula = "launches + (weights^2 + (requests x arithmetic)^2)^0.5"
    if engine.experts:
        touched = engine.touched_experts(batch) * engine.expert_weights_ms
        terms.append(f"({touched:.4f}^2 + ({batch:.6g} x {engine.expert_ms_per_token:.6f})^2)^0.5")
        formula += " + the same for the experts touched"
    kept, exchanged = (engine.kv_ms(request.context_tokens), engine.sequence_ms), engine.all_reduce_ms_per_token
    each, last = (kept, exchanged) if engine.attention_groups > 1 else ((*kept, exchanged), None)
    terms.append(f"{group:.6g} x ({' + '.join(f'{term:.6f}' for term in each)})")
    if last is not None:
        terms.append(f"{batch:.6g} x {last:.6f}")
    if engine.stages > 1:
        terms.append(f"{engine.paced_ms(candidate.service.generating, request.context_tokens):.4f}")
    return _line(
        "decodeMs",
        f"{formula} + requests x (KV cache + host + all-reduce)"
        + (
            ""
            if engine.stages == 1
            else f" + pace of the slowest of {counted(engine.stages, 'stage')}; requests of the fullest of as many batches"
        )
        + (
            ""
            if engine.attention_groups == 1
            else f"; {counted(candidate.groups.seats(candidate.service.generating), 'request')} in the "
            "fullest of the attention groups"
        ),
        scaled(" + ".join(terms), engines, engine.measured_ttft_ratio),
        decode_ms,
        f"{decode_ms:.1f} ms",
        f"one step with every request at {counted(request.context_tokens, 'token', ',.0f')} of context; weights and "
        "KV cache are read once",
    )


def _tpot(candidate: Candidate, workload: Workload, engine: Speed, state: latency.Steady, engines: int) -> Line:
    times, tpot_ms = workload.latency, workload.latency.tpot_ms or 0.0
    rate = state.prompts_per_ms
    each = (1 - state.decode_ms / state.step_ms) / rate if rate else 0.0
    return _line(
        "tpotMs",
        "one step / (1 - others' prompts per ms x what a prompt adds to the steps) / tokens a step yields",
        scaled(
            f"{state.decode_ms:.6f} / (1 - {rate:.10f} x {each:.6f}) / {state.accepted_tokens:g}",
            engines,
            engine.measured_tpot_ratio,
        ),
        tpot_ms,
        f"{tpot_ms:.2f} ms ±{times.tpot_error_ratio or 0:.0%}",
        f"a step of those who decode; {counted(max(0, candidate.service.generating - 1), 'other request')}, a prompt every "
        f"{state.cycle_ms:,.0f} ms from each",
    )
