"""What one request asks of the engine: the mean one, and the largest prompt of the conversation."""

from __future__ import annotations

from agentgpu_iac.planning.demand import Demand
from agentgpu_iac.sizing import latency
from agentgpu_iac.sizing.conversation import longest_uncached_prompt_tokens, uncached_tokens_per_request


def mean_request(demand: Demand, prefix_hit_ratio: float) -> latency.Request:
    """What a request asks of the engine on average, with that share of earlier context in its cache."""
    shape = demand.shape
    return latency.Request(
        prompt_tokens=uncached_tokens_per_request(shape, prefix_hit_ratio),
        context_tokens=min(shape.expected_tokens, demand.context_tokens),
        output_tokens=shape.output_tokens_per_request,
    )


def largest_prompt(demand: Demand, prefix_hit_ratio: float) -> tuple[float, float]:
    """The largest prompt that must be read, and the context that it ends at, in tokens: the TTFT budget is held against it."""
    shape = demand.shape
    tokens = min(longest_uncached_prompt_tokens(shape, prefix_hit_ratio), demand.context_tokens)
    end = max(shape.first_prompt_tokens, shape.longest_history_tokens)
    return tokens, max(tokens, min(end, demand.context_tokens))
