"""Agents whose models generate nothing: their inputs, a whole answer term by term, and the rate of a replica."""

from __future__ import annotations

from collections.abc import Iterator

from agentgpu_iac.plan import Workload
from agentgpu_iac.planning.choosing.candidates import Candidate
from agentgpu_iac.planning.demand import Demand
from agentgpu_iac.planning.writing.ledger.warm import warm_in_words, warm_replicas
from agentgpu_iac.sizing import pooling
from agentgpu_iac.sizing.ledger import Line
from agentgpu_iac.units import counted


def input_lines(demand: Demand) -> Iterator[Line]:
    """How long an input is."""
    yield Line(
        name="contextTokens",
        formula="one input",
        inputs="requests.inputTokens",
        value=demand.context_tokens,
        result=f"{counted(demand.context_tokens, 'token')}, {demand.longest_input_tokens:,} at most",
        unit="tokens",
        source="spec: nothing of an input is kept for the next",
    )


def answer_lines(candidate: Candidate, workload: Workload, engines: int) -> Iterator[Line]:
    """A whole answer of a replica whose accelerator ``engines`` engines take turns on; nothing where it is not predicted."""
    engine, load, times = candidate.speed, candidate.demand.load, workload.latency
    if engine is None or load is None or times.e2e_at_percentile_ms is None or times.prefill_ms is None:
        return
    ahead, each = candidate.service.sessions, max(1.0, load.inputs_per_request)
    found = pooling.answering(engine, load, ahead, times.percentile)
    seats = pooling.seats_of_a_step(engine.max_batched_tokens, load)
    budget = "" if times.budget_e2e_ms is None else f", budget {times.budget_e2e_ms:,.0f}"
    miss = "" if times.e2e_miss_ratio is None else f"; {times.e2e_miss_ratio:.0%} likely over it, by the stated error"
    turns = "" if engines == 1 else "; an engine that shares takes turns: its times are multiplied"
    yield Line(
        name="e2eAtPercentileMs",
        formula="network + server + the step that runs + steps for what waits and for its own inputs",
        inputs=f"{times.network_ms:.1f} + {found.host_ms * engines:.4f} + {found.running_ms * engines:.4f} + "
        f"{times.prefill_ms:.1f}",
        value=times.e2e_at_percentile_ms,
        result=f"{times.e2e_at_percentile_ms:.1f} ms at p{times.percentile:g} ±{times.e2e_error_ratio or 0:.0%}{budget}{miss}",
        unit="ms",
        source=f"{counted(ahead, 'input')} ahead at the percentile, as requests come by Poisson; the server's time "
        "from two measured "
        f"runs of vLLM{turns}",
    )
    full, rest = divmod(ahead + each, seats)
    factor = engines * engine.measured_ttft_ratio
    total = f"{full:.0f} x {pooling.step_ms(engine, load, seats):.6f}"
    total += f" + {pooling.step_ms(engine, load, rest):.6f}" if rest else ""
    yield Line(
        name="prefillMs",
        formula="full steps x their time + the last one; a step: (arithmetic^2 + reading the weights^2)^0.5 + launches + inputs "
        "x host",
        inputs=total if factor == 1 else f"({total}) x {factor:.6g}",
        value=times.prefill_ms,
        result=f"{times.prefill_ms:.1f} ms for {counted(ahead + each, 'input', ',.0f')}, {seats:,} in a step",
        unit="ms",
        source=f"inputs of {counted(load.input_tokens, 'token', ',.0f')}, "
        f"{counted(engine.max_batched_tokens, 'token')} in a step",
    )


def rate_lines(candidate: Candidate, baseline: Workload) -> Iterator[Line]:
    """Rates of the baseline, and the replicas of both tiers."""
    rates, asked = baseline.throughput, baseline.pooling
    if asked is None:
        return
    yield Line(
        name="requiredPrefillTokensPerS",
        formula="requests x inputs x tokens of an input, of normal load where a burst tier has the rest",
        inputs=f"{asked.requests_per_s:g} to {asked.requests_per_s_peak:g} requests/s x {asked.inputs_per_request:,} x "
        f"{asked.input_tokens:,}",
        value=rates.required_prefill_tokens_per_s,
        result=f"{rates.required_prefill_tokens_per_s:,.1f} tokens/s of {rates.prefill_tokens_per_s or 0:,.1f}",
        unit="tokens/s",
        source="spec",
    )
    yield Line(
        name="replicas",
        formula="required / delivered tokens per replica, rounded up",
        inputs=f"{asked.inputs_per_s or 0:,.1f} inputs/s on a replica while the percentile holds",
        value=warm_replicas(candidate, baseline),
        result=f"{warm_in_words(candidate, baseline)}, {candidate.burst_replicas} more in a burst",
        unit="",
        source="baseline carries normal load and whoever comes before a cold start ends",
    )
