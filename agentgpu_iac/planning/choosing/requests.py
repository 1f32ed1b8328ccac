"""What one request asks of the engine: the mean one, and the largest prompt of the conversation."""

from __future__ import annotations

from functools import lru_cache

from agentgpu_iac.planning.choosing.known import Itself
from agentgpu_iac.planning.demand import Demand
from agentgpu_iac.planning.deployments import requests_at_pace
from agentgpu_iac.sizing import latency
from agentgpu_iac.sizing.conversation import (
    SessionShape,
    longest_uncached_prompt_tokens,
    uncached_tokens_per_request,
)


def mean_request(demand: Demand, prefix_hit_ratio: float) -> latency.Request:
    """What a request asks of the engine on average, with that share of earlier context in its cache."""
    return _mean_request(Itself(demand), prefix_hit_ratio)  # on whatever engine: asked of every candidate


@lru_cache(maxsize=8192)
def _mean_request(itself: Itself[Demand], prefix_hit_ratio: float) -> latency.Request:
    demand = itself.thing
    shape = demand.shape
    return latency.Request(
        prompt_tokens=uncached_tokens_per_request(shape, prefix_hit_ratio),
        context_tokens=min(shape.expected_tokens, demand.context_tokens),
        output_tokens=shape.output_tokens_per_request,
        prompt_spread=_prompt_spread(demand, prefix_hit_ratio),
    )


def _prompt_spread(demand: Demand, prefix_hit_ratio: float) -> float:
    """Of the agents' mean prompts, each as often as its sessions ask."""
    prompts = [uncached_tokens_per_request(member.shape, prefix_hit_ratio) for member in demand.members]
    if len(set(prompts)) < 2:
        return 1.0
    rates = [requests_at_pace(member) for member in demand.members]
    mean = sum(rate * prompt for rate, prompt in zip(rates, prompts, strict=True)) / sum(rates)
    square = sum(rate * prompt * prompt for rate, prompt in zip(rates, prompts, strict=True)) / sum(rates)
    return max(1.0, square / mean / mean)


def shapes(demand: Demand) -> tuple[SessionShape, ...]:
    """The shapes of its agents' sessions, each once: most agents of a large team have the same."""
    return _shapes(Itself(demand))


@lru_cache(maxsize=8192)
def _shapes(itself: Itself[Demand]) -> tuple[SessionShape, ...]:
    return tuple(dict.fromkeys(member.shape for member in itself.thing.served))


def largest_prompt(demand: Demand, prefix_hit_ratio: float) -> tuple[float, float]:
    """The largest prompt that must be read, and the context that it ends at, in tokens: the TTFT budget is held against it."""
    return _largest_of_all(Itself(demand), prefix_hit_ratio)


@lru_cache(maxsize=8192)
def _largest_of_all(itself: Itself[Demand], prefix_hit_ratio: float) -> tuple[float, float]:
    prompts = [_largest_prompt(member, prefix_hit_ratio) for member in itself.thing.served]
    return max(tokens for tokens, _ in prompts), max(end for _, end in prompts)


def _largest_prompt(demand: Demand, prefix_hit_ratio: float) -> tuple[float, float]:
    shape = demand.shape
    tokens = min(longest_uncached_prompt_tokens(shape, prefix_hit_ratio), demand.context_tokens)
    end = max(shape.first_prompt_tokens, shape.longest_history_tokens)
    return tokens, max(tokens, min(end, demand.context_tokens))


def asked_per_s(demand: Demand, prefix_hit_ratio: float, *, peak: bool) -> float:
    """``Demand.asked_per_s``, a sum over all agents that is the same for every engine."""
    return _asked_per_s(Itself(demand), prefix_hit_ratio, peak)


@lru_cache(maxsize=8192)
def _asked_per_s(itself: Itself[Demand], prefix_hit_ratio: float, peak: bool) -> float:
    return itself.thing.asked_per_s(prefix_hit_ratio, peak=peak)


def tokens_per_s(demand: Demand, prefix_hit_ratio: float, *, peak: bool) -> tuple[float, float]:
    """Tokens to be generated in a second and prompt tokens to be read: sums over all agents, whatever the candidate."""
    return _tokens_per_s(Itself(demand), prefix_hit_ratio, peak)


@lru_cache(maxsize=8192)
def _tokens_per_s(itself: Itself[Demand], prefix_hit_ratio: float, peak: bool) -> tuple[float, float]:
    demand = itself.thing
    return demand.output_tokens_per_s(peak=peak), demand.prefill_tokens_per_s(prefix_hit_ratio, peak=peak)
