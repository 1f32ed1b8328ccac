"""How the context of a session grows, and what one request asks of the engine.

A turn is one or more requests: the first carries the user's input, and each tool call is followed by another that
carries the tool's result. Between requests the session pauses (in a tool, or while the user thinks) and its KV
cache stays taken: memory is therefore reserved for every session, active or not.
"""

from __future__ import annotations

from dataclasses import dataclass

from agentgpu_iac.sizing.kv_cache import KV_BLOCK_TOKENS
from agentgpu_iac.sizing.pauses import tool_s, user_s
from agentgpu_iac.spec.model import Conversation


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionShape:
    """One session in tokens and seconds; ``*_tokens`` are per session, ``*_per_request`` per call of the engine."""

    last_turn_tokens: int
    """Context at its longest: the end of the last turn, with that turn's reasoning still in memory."""
    expected_tokens: float
    """Mean over the turns of the context at the end of each, reasoning gone."""
    requests_per_turn: float
    output_tokens_per_turn: int
    """Generated in one turn: answer and reasoning."""
    output_tokens_per_request: float
    new_tokens_per_request: float
    """Prompt tokens that no earlier request of the session had and that no other session shares, on average."""
    first_prompt_tokens: int
    """Prompt of the first request: system prompt and input. Nothing of it is cached but the shared prefix."""
    shared_tokens: int
    """Prefix that all sessions share, in whole blocks: stored and read once by a replica."""
    history_tokens: float
    """Mean context of its own that a later request finds from before."""
    longest_history_tokens: int
    """Context that the last turn's first request finds from before, the shared prefix included."""
    largest_new_tokens: int
    """The largest addition that a later request brings: the input, or one tool result."""
    pause_s_per_turn: float
    """Think time and tool time of one turn, during which nothing is generated."""


def session_shape(conversation: Conversation, *, shares_prefix: bool = True) -> SessionShape:
    """Derive the growth of a session's context from its conversation.

    Engines share whole blocks of a prefix, if they keep any (``shares_prefix``).

    context after turn k = system prompt + k x (input + tool calls x result + output); reasoning tokens are added
    only while their turn is being generated, because the chat templates of reasoning models drop them afterwards.
    """
    calls = conversation.tool_calls
    tool_tokens_per_turn = round(calls.per_turn * calls.result_tokens)
    answer = conversation.output_tokens_per_turn
    reasoning = conversation.reasoning_tokens_per_turn or 0
    generated = answer + reasoning
    kept_per_turn = conversation.input_tokens_per_turn + tool_tokens_per_turn + answer
    turns = conversation.turns
    system = conversation.system_prompt_tokens
    requests = 1 + calls.per_turn
    same = system if conversation.shared_prefix_tokens is None else min(system, conversation.shared_prefix_tokens)
    shared = same // KV_BLOCK_TOKENS * KV_BLOCK_TOKENS if shares_prefix else 0
    own = system - shared
    return SessionShape(
        last_turn_tokens=system + turns * kept_per_turn + reasoning,
        expected_tokens=system + (turns + 1) / 2 * kept_per_turn,
        requests_per_turn=requests,
        output_tokens_per_turn=generated,
        output_tokens_per_request=generated / requests,
        new_tokens_per_request=(conversation.input_tokens_per_turn + tool_tokens_per_turn) / requests
        + own / (turns * requests),
        first_prompt_tokens=system + conversation.input_tokens_per_turn,
        shared_tokens=shared,
        history_tokens=own * (1 - 1 / (turns * requests)) + (turns - 1) / 2 * kept_per_turn,
        longest_history_tokens=system + (turns - 1) * kept_per_turn,
        largest_new_tokens=max(conversation.input_tokens_per_turn, calls.result_tokens if calls.per_turn else 0),
        pause_s_per_turn=user_s(conversation) + calls.per_turn * tool_s(calls),
    )


def request_shape(input_tokens: int, inputs_per_request: int) -> SessionShape:
    """A request that stands for itself: its inputs are read and answered, and nothing is generated or kept."""
    return SessionShape(
        last_turn_tokens=input_tokens,
        expected_tokens=input_tokens,
        requests_per_turn=1,
        output_tokens_per_turn=0,
        output_tokens_per_request=0,
        new_tokens_per_request=input_tokens * inputs_per_request,
        first_prompt_tokens=input_tokens,
        shared_tokens=0,
        history_tokens=0,
        longest_history_tokens=0,
        largest_new_tokens=input_tokens,
        pause_s_per_turn=0,
    )


def uncached_tokens_per_request(shape: SessionShape, prefix_hit_ratio: float) -> float:
    """Mean prompt tokens that a request makes the engine read: what is new, and the history that was not cached."""
    return shape.new_tokens_per_request + (1 - prefix_hit_ratio) * shape.history_tokens


def longest_uncached_prompt_tokens(shape: SessionShape, prefix_hit_ratio: float) -> float:
    """The largest uncached prompt over the conversation, against which the TTFT budget is held.

    Either the very first request (nothing cached but what all share), or a request of the last turn (its history cached as far as
    ``prefix_hit_ratio`` says).
    """
    last = shape.largest_new_tokens + (1 - prefix_hit_ratio) * (shape.longest_history_tokens - shape.shared_tokens)
    return max(float(shape.first_prompt_tokens - shape.shared_tokens), last)
