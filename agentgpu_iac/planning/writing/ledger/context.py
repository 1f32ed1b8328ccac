"""How long a session's context grows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from agentgpu_iac.planning.demand import Demand
from agentgpu_iac.planning.deployments import QUANTILE_Z, context_spread
from agentgpu_iac.planning.writing.ledger.answering import input_lines
from agentgpu_iac.sizing.kv_cache import KV_BLOCK_TOKENS
from agentgpu_iac.sizing.ledger import Line
from agentgpu_iac.units import counted

SECTION = "Context"


def context_lines(demand: Demand) -> Iterator[Line]:
    """The context for which memory is reserved, and the mean one."""
    if demand.load is not None:
        yield from input_lines(demand)
        return
    if demand.members:
        yield from _shared_lines(demand)
        return
    conversation, shape = demand.agent.conversation, demand.shape
    calls = conversation.tool_calls
    tools = round(calls.per_turn * calls.result_tokens)
    yield _thinking_line(demand)
    formula = "system prompt + turns x (input + tool results + output) + reasoning"
    inputs = (
        f"{conversation.system_prompt_tokens} + {conversation.turns} x ({conversation.input_tokens_per_turn} + {tools} + "
        f"{conversation.output_tokens_per_turn}) + {conversation.reasoning_tokens_per_turn or 0}"
    )
    if conversation.max_context_tokens is not None:
        formula, inputs = "what each session may grow to", "conversation.maxContextTokens"
    yield Line(
        name="contextTokens",
        formula=formula,
        inputs=inputs,
        value=demand.context_tokens,
        result=counted(demand.context_tokens, "token"),
        unit="tokens",
        source="spec: the last turn",
    )
    if shape.shared_tokens:
        yield Line(
            name="sharedTokens",
            formula=f"whole blocks of {KV_BLOCK_TOKENS} of the prefix that all sessions share",
            inputs=f"{shape.shared_tokens // KV_BLOCK_TOKENS:,} x {KV_BLOCK_TOKENS}",
            value=shape.shared_tokens,
            result=counted(shape.shared_tokens, "token"),
            unit="tokens",
            source="spec: conversation.sharedPrefixTokens, the system prompt if unset; a replica stores and reads them once",
        )
    expected = min(round(shape.expected_tokens), demand.context_tokens)
    mean = "system prompt + (turns + 1) / 2 x (input + tool results + output)"
    sum_of_mean = (
        f"{conversation.system_prompt_tokens} + {(conversation.turns + 1) / 2:g} x "
        f"{conversation.input_tokens_per_turn + tools + conversation.output_tokens_per_turn}"
    )
    limited = shape.expected_tokens > demand.context_tokens
    yield Line(
        name="expectedContextTokens",
        formula=f"min(contextTokens, {mean})" if limited else mean,
        inputs=f"min({demand.context_tokens:,}, {sum_of_mean})" if limited else sum_of_mean,
        value=expected,
        result=counted(expected, "token"),
        unit="tokens",
        source="spec: mean over the turns; a paused session keeps its cache",
    )


def _shared_lines(demand: Demand) -> Iterator[Line]:
    """The contexts of several agents' sessions, put together."""
    yield _thinking_line(demand)
    formula, inputs = _mixed_context(demand)
    yield Line(
        name="contextTokens",
        formula=formula,
        inputs=inputs,
        value=demand.context_tokens,
        result=counted(demand.context_tokens, "token"),
        unit="tokens",
        source=f"the contexts of {', '.join(member.name for member in demand.members)} below; 99 % of the replicas hold no more, "
        "if chance deals sessions out",
    )
    expected = min(round(demand.shape.expected_tokens), demand.context_tokens)
    yield Line(
        name="expectedContextTokens",
        formula="mean of the agents' contexts over their turns, by the time that each is generated",
        inputs=f"{demand.shape.expected_tokens:,.4f}",
        value=expected,
        result=counted(expected, "token"),
        unit="tokens",
        source="spec: mean over the turns; a paused session keeps its cache",
    )


def _mixed_context(demand: Demand) -> tuple[str, str]:
    """The sum behind the context for which each session's memory is reserved."""

    def mean(sessions: Sequence[int]) -> str:
        parts = (
            f"{count:,} x {member.context_tokens:,}" for count, member in zip(sessions, demand.members, strict=True)
        )
        return f"({' + '.join(parts)}) / {sum(sessions):,}"

    peak, normal = ([getattr(member, load) for member in demand.members] for load in ("peak", "concurrent"))
    formula, inputs = "mean of the agents' contexts by their sessions", mean(peak)
    if [count * demand.concurrent for count in peak] != [count * demand.peak for count in normal]:
        formula += ", at the peak or at normal load"
        inputs = f"max({inputs}, {mean(normal)})"
    if demand.dealt_seats is not None:
        _, spread = context_spread(demand)
        formula += (
            "; over replicas of S seats at least that of the peak + 2.326 x deviation / S^0.5, and the longest at most"
        )
        inputs = (
            f"min({demand.longest_context_tokens:,}, max({inputs}, {mean(peak)} + {QUANTILE_Z} x {spread:.4f} / "
            f"{demand.dealt_seats}^0.5))"
        )
    return formula, inputs


def _thinking_line(demand: Demand) -> Line:
    """Reasoning tokens of a turn, and who says so."""
    choice, facts = demand.thinking, demand.model.thinking
    formula, source = (
        "thinking off" if choice.mode == "off" else "as stated",
        "spec: thinking and conversation.reasoningTokensPerTurn",
    )
    inputs = f"thinking {choice.mode}"
    if facts is None:
        source = "whether the model thinks is not known"
    elif choice.typical:
        formula, source = "what the model typically thinks x requests of a turn", f"catalog: thinking, {facts.id}"
        inputs = f"{facts.typical_tokens or 0:,} x {max(member.shape.requests_per_turn for member in demand.served):g}"
    elif choice.reason == "latency-class":
        source = f"latency class {demand.agent.latency_class}"
    elif choice.reason == "model":
        source = f"catalog: thinking, {facts.id} ({facts.thinks})"
    return Line(
        name="tokensPerTurn",
        formula=formula,
        inputs=inputs,
        value=choice.tokens,
        result=counted(choice.tokens, "token"),
        unit="tokens",
        source=source,
    )
