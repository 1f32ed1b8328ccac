"""Steps of an engine that generates nothing: inputs are read in batches, and each is answered by the step that ends it.

    step(n) = launches + reading the weights, overlapped with the arithmetic of n inputs + host work of each
    answer  = network + server + the step that runs + steps for what waits and for the request's own inputs

Inputs that come while a step runs are read by the next ones. The mean b of what arrives in a step is rate x step(b); arrivals
are Poisson by request, each of k inputs, so that at a percentile n = b + z sqrt(k b) inputs are ahead. A step holds as many as
it has tokens and seats for. Rates of arithmetic and memory are those of ``speed.Speed``; the server's times are from two
measured runs.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

from agentgpu_iac.sizing.speed import Speed

_NORMAL = NormalDist()

HOST_MS_PER_REQUEST = 2.41
"""Time that the engine's server spends on a request of one input of 512 tokens: 414.91 requests/s of
snowflake-arctic-embed-m-v1.5 (109 M parameters, whose steps take a tenth of that) is all that one server process takes in
(github vllm-project/vllm pull request 23000, ``vllm bench serve``, 2025-08-25)."""
HOST_MS_PER_INPUT = 0.89
"""The same for each further input of a request: (1000 / 63.19 - 2.41) / 15 from the run beside it, 16 inputs a request."""
HOST_SHARE = 0.8
"""Part of what the server can take in that a plan counts on: beyond, requests queue before the engine sees them (a
judgement)."""
ERROR_RATIO = 0.93
"""Band of the answers: what it takes to hold four engines that read bge-large-en-v1.5 on one L4 in requests of 256 inputs of 449
tokens (github michaelfeil/infinity docs/docs/benchmarking.md: 0.54, 0.51, 0.43 and 0.41 requests/s). They take 1.45 to 1.91
times the predicted; none of them is vLLM, and no other card was measured."""

FULL_SHARE = 0.8
"""Part of a step that is full on average, at most: beyond, what waits grows over many steps and no percentile holds (a
judgement)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What requests bring, and what a step may hold of it."""

    inputs_per_request: float
    input_tokens: float
    """Of one input, on average."""
    most_seats: int
    """Inputs in a step, whatever their tokens (``--max-num-seqs``)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answering:
    """What a replica gives where so many inputs are ahead of a request at the percentile, in ms and a second."""

    mean_ms: float
    """A request's whole answer, without the network."""
    at_percentile_ms: float
    running_ms: float
    """Of it: the step that runs when the request comes."""
    reading_ms: float
    """Of it: the steps for what waits and for the request's own inputs."""
    host_ms: float
    inputs_per_s: float
    """The most that a steady state takes while the percentile holds."""


def seats_of_a_step(max_batched_tokens: int, load: Load) -> int:
    """Inputs that one step has tokens and seats for; at least one."""
    return max(1, min(load.most_seats, int(max_batched_tokens // max(1.0, load.input_tokens))))


def step_ms(engine: Speed, load: Load, inputs: float) -> float:
    """One step that reads so many inputs, each attending to itself alone: the replica's step, without a running request."""
    tokens = inputs * load.input_tokens
    return engine.step_ms(0, 0, tokens, tokens * load.input_tokens / 2) + inputs * engine.sequence_ms


def steps_ms(engine: Speed, load: Load, inputs: float, seats: int) -> float:
    """The steps that read so many inputs, full ones and a last one."""
    full, rest = divmod(inputs, seats)
    return full * step_ms(engine, load, seats) + (step_ms(engine, load, rest) if rest else 0.0)


def _spread(inputs_per_request: float, percentile: float) -> float:
    return max(0.0, _NORMAL.inv_cdf(percentile / 100)) * math.sqrt(max(1.0, inputs_per_request))


def ahead_at(mean: float, inputs_per_request: float, percentile: float) -> float:
    """What arrives in a step at a percentile, where its mean is given: b + z sqrt(k b)."""
    return mean + _spread(inputs_per_request, percentile) * math.sqrt(mean)


def mean_ahead(ahead: float, inputs_per_request: float, percentile: float) -> float:
    """The mean of what arrives in a step, where the percentile of it is ``ahead``: b + z sqrt(k b)."""
    spread = _spread(inputs_per_request, percentile)
    return ((math.sqrt(spread * spread + 4 * ahead) - spread) / 2) ** 2


def most_ahead(seats: int, load: Load, percentile: float) -> int:
    """The most inputs that may be ahead at the percentile: those of steps that are as full as they may be on average."""
    mean = FULL_SHARE * seats
    return max(1, math.floor(ahead_at(mean, load.inputs_per_request, percentile)))


def answering(engine: Speed, load: Load, ahead: int, percentile: float) -> Answering:
    """What a replica gives whose requests find up to ``ahead`` inputs before them."""
    each, seats = max(1.0, load.inputs_per_request), seats_of_a_step(engine.max_batched_tokens, load)
    mean = mean_ahead(ahead, each, percentile)
    usual = min(float(seats), max(mean, each))
    running = step_ms(engine, load, min(float(seats), max(float(ahead), each)))
    reading = steps_ms(engine, load, ahead + each, seats)
    host = HOST_MS_PER_REQUEST + (each - 1) * HOST_MS_PER_INPUT
    ratio = engine.measured_ttft_ratio
    rate = 1000 * min(mean / step_ms(engine, load, usual), HOST_SHARE * each / host)
    return Answering(
        mean_ms=(host + step_ms(engine, load, usual) / 2 + steps_ms(engine, load, max(mean, each), seats)) * ratio,
        at_percentile_ms=(host + running + reading) * ratio,
        running_ms=running * ratio,
        reading_ms=reading * ratio,
        host_ms=host * ratio,
        inputs_per_s=rate / ratio,
    )
