"""Latency and throughput of one replica in a steady load: its steps (``speed``), asked for many requests at once.

TPOT = step + share x (requests - 1) x one prompt / output tokens        (prompts of others share the steps)
TTFT = engine + own prompt + a running step + queue behind other prompts + host work + wait for a seat
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from agentgpu_iac.sizing import calibration
from agentgpu_iac.sizing.speed import Speed


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What one request asks of the engine."""

    prompt_tokens: float
    """Prompt tokens to be read, the cached prefix left out."""
    context_tokens: float
    """Mean context while it generates."""
    output_tokens: float

    @property
    def prompt_end_tokens(self) -> float:
        """Context at the end of the prompt, the cached prefix included."""
        return max(self.prompt_tokens, self.context_tokens - self.output_tokens / 2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """Steady state of a closed loop, in ms and tokens/s of one replica."""

    ttft_ms: float
    """The sum of the four terms below."""
    queue_ms: float
    """Engine and host time, and the wait behind other requests' prompts."""
    seat_ms: float
    """The wait for one of the replica's seats, where fewer requests run than ask."""
    prefill_ms: float
    first_step_ms: float
    tpot_ms: float
    output_tokens_per_s: float
    prefill_tokens_per_s: float
    ttft_error_ratio: float
    tpot_error_ratio: float


def predict_tpot_ms(engine: Speed, request: Request, concurrency: float) -> float:
    """Mean time per output token with ``concurrency`` requests running, the prompts of the others included."""
    step = engine.decode_ms(concurrency, request.context_tokens) / engine.accepted_tokens
    work = engine.prompt_arithmetic_ms(request.prompt_tokens, request.prompt_end_tokens)
    if work:
        work += calibration.PROMPT_LAUNCH_INTERFERENCE * engine.prompt_launch_ms
    return step + engine.prompt_interference * max(0.0, concurrency - 1) * work / request.output_tokens


def predict_queue_ms(engine: Speed, request: Request, concurrency: float, tpot_ms: float) -> float:
    """Mean wait behind the prompts of the others.

    The steady part is the closed network of one server and C customers (mean-value analysis after Schweitzer):
    R = p + p (C - 1) R / (Z + R), with p one prompt and Z the time that a request generates; chunks that share steps
    leave a share of it. The rest is the synchronised start of closed loops, a share of all other prompts.
    """
    prompt = engine.prompt_arithmetic_ms(request.prompt_tokens, request.prompt_end_tokens)
    generating = request.output_tokens * tpot_ms
    excess = max(1.0, concurrency) * prompt - generating
    response = (excess + math.sqrt(excess * excess + 4 * prompt * generating)) / 2
    start = max(0.0, concurrency - 1) * prompt * engine.queue_share
    return engine.steady_queue * max(0.0, response - prompt) + start


def predict(engine: Speed, request: Request, concurrency: float, seats: float = math.inf) -> Prediction:
    """Latency and throughput of one replica in a steady closed loop of ``concurrency`` requests.

    No more than ``seats`` run at once (KV cache or the engine's limit); each of the others waits for
    (asked - seats) / seats times a request's own time.
    """
    running = min(concurrency, max(1.0, seats))
    tpot = predict_tpot_ms(engine, request, running)
    prefill = engine.prefill_ms(request.prompt_tokens, request.prompt_end_tokens)
    first_step = engine.decode_ms(running, request.context_tokens)
    queue = (
        engine.first_token_ms
        + concurrency * engine.host_ms_per_request
        + predict_queue_ms(engine, request, running, tpot)
    )
    busy = prefill + request.output_tokens * tpot
    waiting = calibration.QUEUED_WAVES * max(0.0, concurrency - running) / running * busy
    requests_per_s = running * 1000 / (engine.first_token_ms + busy) / engine.measured_tpot_ratio
    first = engine.measured_ttft_ratio
    return Prediction(
        ttft_ms=(queue + waiting + prefill + first_step) * first,
        queue_ms=queue * first,
        seat_ms=waiting * first,
        prefill_ms=prefill * first,
        first_step_ms=first_step * first,
        tpot_ms=tpot * engine.measured_tpot_ratio,
        output_tokens_per_s=requests_per_s * request.output_tokens,
        prefill_tokens_per_s=requests_per_s * request.prompt_tokens,
        ttft_error_ratio=calibration.SEAT_TTFT_ERROR_RATIO if running < concurrency else engine.ttft_error_ratio,
        tpot_error_ratio=engine.tpot_error_ratio,
    )
