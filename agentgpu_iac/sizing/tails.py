"""Percentiles: from the mean wait that the model predicts to the one that a budget promises, and how likely a miss is.

Modest physics, of closed form. The wait of the steady queue is counted as exponential about its mean, as long waits in a queue
are; the fitted share of a wave in which all start at once is added as it is, since at the loads that are planned it is far
above the 95th percentile of independent arrivals (142 against some 13 ms for 400 sessions of an 8B model). No wait is longer
than all the prompts that can be ahead. The prompts that share the steps of an answer are counted as Poisson: each of the other
sessions brings one on average. A simulation of the queue would tell both better.
"""

from __future__ import annotations

import math
from statistics import NormalDist

from agentgpu_iac.sizing.latency import Request, predict_queue_ms, predict_tpot_ms
from agentgpu_iac.sizing.speed import Speed

_NORMAL = NormalDist()
BAND_QUANTILE = 0.9
"""Where a band of the latency model ends above: about 80 % of the measured runs lie within it, a tenth above."""


def wait_factor(percentile: float) -> float:
    """A wait at a percentile over the mean wait: ln(1 / (1 - p)); 1 below the percentile of the mean itself."""
    return max(1.0, math.log(100 / (100 - percentile)))


def prompts_in_an_answer(others: float, percentile: float) -> float:
    """Prompts of other requests that share the steps of one answer, at a percentile."""
    return others + max(0.0, _NORMAL.inv_cdf(percentile / 100)) * math.sqrt(max(0.0, others))


def queue_ms(engine: Speed, request: Request, concurrency: float, percentile: float) -> float:
    """Engine and host time, and the wait behind the prompts of the others at a percentile."""
    others = max(0.0, concurrency - 1)
    prompt = engine.prompt_arithmetic_ms(request.prompt_tokens, request.prompt_end_tokens)
    mean = predict_queue_ms(engine, request, concurrency, predict_tpot_ms(engine, request, concurrency))
    start = others * prompt * engine.queue_share
    steady = max(0.0, mean - start)
    wait = max(mean, min(others * prompt, start + steady * wait_factor(percentile)))
    return (engine.first_token_ms + concurrency * engine.host_ms_per_request + wait) * engine.measured_ttft_ratio


def tpot_ms(engine: Speed, request: Request, concurrency: float, percentile: float) -> float:
    """Mean time per output token of an answer at a percentile of the answers."""
    others = max(0.0, concurrency - 1)
    mean = predict_tpot_ms(engine, request, concurrency)
    step = engine.decode_ms(concurrency, request.context_tokens) / engine.accepted_tokens
    more = 1.0 if not others else prompts_in_an_answer(others, percentile) / others
    return (step + (mean - step) * more) * engine.measured_tpot_ratio


def miss_ratio(predicted: float, budget: float, error_ratio: float) -> float:
    """How likely the real figure is over its budget: the error is lognormal, and a tenth lies above the band."""
    deviation = math.log1p(error_ratio) / _NORMAL.inv_cdf(BAND_QUANTILE)
    if not deviation:
        return 1.0 if predicted > budget else 0.0
    return 1 - _NORMAL.cdf(math.log(budget / predicted) / deviation)
