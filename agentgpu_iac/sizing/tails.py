"""Percentiles: from the mean that a steady load shows to the one that a budget promises, and how likely a miss is.

The others are counted as users who come by themselves. A request that comes meets a step that is longer than the mean one
(long steps are met more often), waits for the rest of it, shares its own step with those that came meanwhile, and behind
full steps waits for those before (Sakasegawa's wait of a server that takes many at once). The sum is counted as a gamma
variable of its mean and variance, read by Wilson and Hilferty's cube. No wait is longer than all prompts that can be ahead.
Prompts that share the steps of an answer are counted as Poisson; unlike ones as fewer, by the second moment of a compound
Poisson sum (its variance is the number x the mean square). ``tests/sizing/test_closed_form.py`` holds both against
stepping a replica through Poisson arrivals.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

from agentgpu_iac.sizing.latency import Request, Steady, most_variance, steady
from agentgpu_iac.sizing.speed import Speed

_NORMAL = NormalDist()
BAND_QUANTILE = 0.9
"""Where a band of the latency model ends above: about 80 % of the measured runs lie within it, a tenth above."""
_MET_SPREAD_RATIO = 0.75
"""Variance of the steps that a request meets over that of all steps: less, since short ones are seldom met."""
_MOST_LOAD = 0.97
"""Beyond it a closed loop is counted: no rate of users is kept up there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    """The wait of a request that comes by itself, in ms."""

    mean_ms: float
    variance_ms2: float
    most_ms: float
    """All that can be ahead."""

    def at(self, percentile: float) -> float:
        """At a percentile."""
        if self.mean_ms <= 0 or self.variance_ms2 <= 0:
            return max(0.0, self.mean_ms)
        flat = self.variance_ms2 / (9 * self.mean_ms * self.mean_ms)
        root = 1 - flat + _NORMAL.inv_cdf(percentile / 100) * math.sqrt(flat)
        return min(self.most_ms, self.mean_ms * max(0.0, root) ** 3)


def wait(state: Steady) -> Wait:
    """How long a request waits for the running step and behind the prompts of others, in a steady load."""
    if state.others <= 0:
        return Wait(mean_ms=0.0, variance_ms2=0.0, most_ms=0.0)
    rate, shares = state.prompts_per_ms, state.shares_step
    seen = state.met_ms
    to_a_batch = rate / state.reading.slots
    came = to_a_batch * seen
    load = min(_MOST_LOAD, rate * state.served_ms)
    behind = state.queue_ms_per_prompt * load ** math.sqrt(2 * (state.prompts_in_a_step + 1)) / (2 * (1 - load))
    further = shares * state.further_ms
    return Wait(
        mean_ms=seen / 2 + further * min(came, state.prompts_in_a_step) + behind,
        variance_ms2=seen * seen / 12
        + _met_spread_ms2(state) / 3
        + further * further * (came + to_a_batch * to_a_batch * state.spread_ms2)
        + behind * behind,
        most_ms=state.step_ms + state.others * state.served_ms,
    )


def _met_spread_ms2(state: Steady) -> float:
    """Variance of the steps that are met: a part of that of all, and ever less as they all become full."""
    part = _MET_SPREAD_RATIO * state.spread_ms2
    if math.isinf(state.longest_ms):
        return part
    return min(part, most_variance(state.decode_ms, state.met_ms, state.widest_ms))


def prompts_in_an_answer(prompts: float, percentile: float) -> float:
    """Prompts of other requests that share the steps of one answer, at a percentile, where ``prompts`` do on average."""
    return prompts + max(0.0, _NORMAL.inv_cdf(percentile / 100)) * math.sqrt(max(0.0, prompts))


def queue_at(state: Steady, percentile: float) -> float:
    """Host time, and the wait at a percentile: never less than the mean one."""
    return state.host_ms + max(state.wait_ms, wait(state).at(percentile))


def tpot_at(state: Steady, request: Request, percentile: float) -> float:
    """Mean time per output token of an answer at a percentile of the answers."""
    prompts = state.prompts_per_ms * max(0.0, request.output_tokens - 1) / state.accepted_tokens * state.step_ms
    if prompts <= 0:
        return state.tpot_ms
    own = prompts / state.reading.slots / request.prompt_spread  # of one's own batch; as few as vary as much together
    more = prompts_in_an_answer(own, percentile) / own
    step = state.decode_ms + max(0.0, state.step_ms - state.decode_ms) * more
    return max(state.step_ms, min(state.longest_ms, step)) / state.accepted_tokens


def queue_ms(engine: Speed, request: Request, concurrency: float, percentile: float) -> float:
    """Host time, and the wait for the running step and behind the prompts of the others at a percentile."""
    return queue_at(steady(engine, request, concurrency), percentile) * engine.measured_ttft_ratio


def tpot_ms(engine: Speed, request: Request, concurrency: float, percentile: float) -> float:
    """Mean time per output token of an answer at a percentile of the answers."""
    return tpot_at(steady(engine, request, concurrency), request, percentile) * engine.measured_tpot_ratio


def miss_ratio(predicted: float, budget: float, error_ratio: float) -> float:
    """How likely the real figure is over its budget: the error is lognormal, and a tenth lies above the band."""
    deviation = math.log1p(error_ratio) / _NORMAL.inv_cdf(BAND_QUANTILE)
    if not deviation:
        return 1.0 if predicted > budget else 0.0
    return 1 - _NORMAL.cdf(math.log(budget / predicted) / deviation)
