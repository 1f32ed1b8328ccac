"""Rules that join several fields of one agent; see ``rules``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from agentgpu_iac.errors import did_you_mean
from agentgpu_iac.spec.abilities import abilities_of
from agentgpu_iac.spec.model import (
    MAX_COUNT,
    Conversation,
    Requests,
    Sessions,
    Speculative,
    ToolCalls,
)
from agentgpu_iac.spec.model.fields import switch_word
from agentgpu_iac.spec.rule_values import LINE, Violation, count, is_count, items, mapping, part
from agentgpu_iac.spec.scalars import shown
from agentgpu_iac.spec.vocabulary import ENGINES_FOR_ONE_DEVELOPER
from agentgpu_iac.spec.yaml_tree import Data, Steps
from agentgpu_iac.units import counted


def duplicate(what: str, name: str, steps: Steps, first: Steps) -> Violation:
    """A name that is taken already, and where."""
    return Violation(
        steps=steps, message=f"duplicate {what} name {shown(name)}", hint=f"first on line {LINE}", other=first
    )


def adapter_rules(agent: Mapping[str, Data], at: Steps, agents: Mapping[str, Steps]) -> Iterator[Violation]:
    """Adapters and agents are asked for by one kind of name, so each is another."""
    first: dict[str, Steps] = {}
    for index, adapter in enumerate(items(agent, "loraAdapters")):
        steps: Steps = (*at, index, "name")
        name = mapping(adapter).get("name")
        if not isinstance(name, str):
            continue
        if name in agents:
            message = f"the adapter {shown(name)} has the name of an agent"
            yield Violation(steps=steps, message=message, hint=f"the agent is on line {LINE}", other=agents[name])
        if name in first:
            yield duplicate("adapter", name, steps, first[name])
        first.setdefault(name, steps)


_BUDGETS: Final = ("ttftMs", "tpotMs", "e2eMs")


def budget_rules(agent: Mapping[str, Data], at: Steps) -> Iterator[Violation]:
    """Who writes 0.3 means seconds: no engine on any card takes less than a millisecond for anything that has a budget."""
    for field in _BUDGETS:
        value = agent.get(field)
        if isinstance(value, (int, float)) and not isinstance(value, bool) and 0 < value < 1:
            yield Violation(
                steps=(*at, field),
                message=f"{value:g} ms is less than any answer takes",
                hint=f"budgets are in milliseconds: write {value * 1000:g} for {value:g} s",
            )


def engine_rules(agent: Mapping[str, Data], target: str, at: Steps) -> Iterator[Violation]:
    """Ollama serves one developer; it has no place where others call."""
    abilities = abilities_of(target)
    if (
        agent.get("engine") in ENGINES_FOR_ONE_DEVELOPER
        and abilities is not None
        and not abilities.serves_one_developer
    ):
        yield Violation(
            steps=(*at, "engine"),
            message=f"Ollama is for local development only, and the target is {target!r}",
            hint="use engine: vllm",
        )


_METHODS_WITH_A_DRAFT = ("draft-model", "eagle3")


def speculative_rules(speculative: Mapping[str, Data], at: Steps) -> Iterator[Violation]:
    """A draft is named where the method has one; a step yields no more than it proposes, and one."""
    method, draft = speculative.get("method"), speculative.get("model")
    if method in _METHODS_WITH_A_DRAFT and draft is None:
        yield Violation(
            steps=(*at, "method"),
            message=f"{method} needs a draft, but 'model' is missing",
            hint="name the draft's Hugging Face id, or use method: ngram",
        )
    if method in ("ngram", "mtp"):
        for key in ("model", "weightsGib"):
            if speculative.get(key) is not None:
                yield Violation(
                    steps=(*at, key), message=f"{method} has no draft of its own, so {key!r} has no meaning"
                )
    tokens, accepted = count(speculative, "tokens", Speculative), speculative.get("acceptedTokens")
    if tokens is not None and isinstance(accepted, int | float) and accepted > tokens + 1:
        yield Violation(
            steps=(*at, "acceptedTokens"),
            message=f"a step that proposes {counted(tokens, 'token')} yields {tokens + 1} at most; not {accepted:g}",
        )


def session_rules(sessions: Mapping[str, Data], at: Steps) -> Iterator[Violation]:
    """The peak is never below normal load."""
    concurrent = count(sessions, "concurrent", Sessions)
    peak = sessions.get("peak")
    if concurrent is not None and is_count(peak) and peak < concurrent:
        yield Violation(
            steps=(*at, "peak"),
            message=f"peak must be at least concurrent, {counted(concurrent, 'session')}; not {peak:,}",
        )


def conversation_rules(conversation: Mapping[str, Data], at: Steps) -> Iterator[Violation]:
    """A context holds a turn, and its tokens can be counted."""
    yield from _context_holds_a_turn(conversation, at)
    yield from _conversation_is_finite(conversation, at)
    yield from _prompt_holds_its_shared_part(conversation, at)
    yield from _times_are_a_distribution(conversation, "thinkTimeS", "thinkTimeQuantiles", at)
    yield from _times_are_a_distribution(part(conversation, "toolCalls"), "seconds", "quantiles", (*at, "toolCalls"))


def _context_holds_a_turn(conversation: Mapping[str, Data], at: Steps) -> Iterator[Violation]:
    """The context must hold the system prompt and one turn, else not even the first answer fits."""
    limit = conversation.get("maxContextTokens")
    keys = ("systemPromptTokens", "inputTokensPerTurn", "outputTokensPerTurn", "reasoningTokensPerTurn")
    tokens = [count({"reasoningTokensPerTurn": 0, **conversation}, key, Conversation) for key in keys]
    known = [count for count in tokens if count is not None]
    if not is_count(limit) or len(known) < len(keys) or sum(known) <= limit:
        return
    parts = zip(("system prompt", "input", "output", "reasoning"), known, strict=True)
    yield Violation(
        steps=(*at, "maxContextTokens"),
        message=f"{counted(limit, 'token')} cannot hold the system prompt and one turn, {counted(sum(known), 'token')}",
        hint=" + ".join(f"{count:,} {part}" for part, count in parts if count),
    )


def _prompt_holds_its_shared_part(conversation: Mapping[str, Data], at: Steps) -> Iterator[Violation]:
    """What all sessions share is the beginning of the system prompt."""
    shared, system = conversation.get("sharedPrefixTokens"), conversation.get("systemPromptTokens")
    if is_count(shared) and is_count(system) and shared > system:
        yield Violation(
            steps=(*at, "sharedPrefixTokens"),
            message=f"{counted(shared, 'token')} are more than the system prompt that they are the beginning of, "
            f"{counted(system, 'token')}",
            hint=f"line {LINE}: count tool definitions and whatever else every session begins with as systemPromptTokens",
            other=(*at, "systemPromptTokens"),
        )


def _times_are_a_distribution(times: Mapping[str, Data], mean: str, quantiles: str, at: Steps) -> Iterator[Violation]:
    """Quantiles say what a mean would: two at least, from short to long."""
    stated = items(times, quantiles)
    if not stated:
        return
    if times.get(mean) is not None:
        yield Violation(
            steps=(*at, quantiles),
            message=f"the mean that follows from {quantiles} is not {mean}",
            hint=f"line {LINE}: leave {mean} out, or give it without {quantiles}",
            other=(*at, mean),
        )
    if len(stated) == 1:
        yield Violation(
            steps=(*at, quantiles),
            message="one quantile is no distribution",
            hint="add another, such as {percent: 95, seconds: ...}, or give the mean alone as " + mean,
        )
    for index in range(1, len(stated)):
        before, after = mapping(stated[index - 1]), mapping(stated[index])
        for key, allowed in (("percent", "more"), ("seconds", "no less")):
            low, high = before.get(key), after.get(key)
            if not isinstance(low, int | float) or not isinstance(high, int | float):
                continue
            if high < low or (high == low and key == "percent"):
                yield Violation(
                    steps=(*at, quantiles, index, key),
                    message=f"{key} must be {allowed} than {low:g}, that of the entry before; not {high:g}",
                    hint="write quantiles from short to long",
                )


def thinking_rules(agent: Mapping[str, Data], at: Steps) -> Iterator[Violation]:
    """What the model is told and what it is sized for are one thing."""
    thinking = switch_word(agent.get("thinking"))
    tokens = part(agent, "conversation").get("reasoningTokensPerTurn")
    if not is_count(tokens) or (thinking, tokens > 0) not in (("on", False), ("off", True)):
        return
    yield Violation(
        steps=(*at, "thinking"),
        message=f"thinking is {thinking}, but reasoningTokensPerTurn is {tokens:,}",
        hint=f"line {LINE}: leave one of the two out",
        other=(*at, "conversation", "reasoningTokensPerTurn"),
    )


def _conversation_is_finite(conversation: Mapping[str, Data], at: Steps) -> Iterator[Violation]:
    """What all turns together add to the context stays countable."""
    turns = count(conversation, "turns", Conversation)
    input_tokens = count(conversation, "inputTokensPerTurn", Conversation)
    output_tokens = count(conversation, "outputTokensPerTurn", Conversation)
    tool_tokens = _tool_tokens_per_turn(conversation)
    if turns is None or input_tokens is None or output_tokens is None or tool_tokens is None:
        return
    tokens = turns * (input_tokens + output_tokens + tool_tokens)
    if tokens > MAX_COUNT:
        yield Violation(
            steps=(*at, "turns"),
            message=f"{counted(turns, 'turn')} would add {counted(tokens, 'token', ',.0f')} to the context; at most "
            f"{MAX_COUNT:,} are planned for",
        )


def _tool_tokens_per_turn(conversation: Mapping[str, Data]) -> float | None:
    tool_calls = part(conversation, "toolCalls")
    per_turn = tool_calls.get("perTurn", ToolCalls().per_turn)
    result_tokens = count(tool_calls, "resultTokens", ToolCalls)
    if isinstance(per_turn, bool) or not isinstance(per_turn, int | float) or result_tokens is None or per_turn < 0:
        return None
    return per_turn * result_tokens if per_turn <= MAX_COUNT else None


_NOT_WITH_REQUESTS: Final[Mapping[str, str]] = {
    "sessions": "it holds no sessions: requests.perS says how much it is asked",
    "conversation": "it has no conversation: requests.inputTokens says how long its inputs are",
    "ttftMs": "its answer comes whole, without a first token: e2eMs is its budget",
    "tpotMs": "it generates no tokens: e2eMs is its budget",
    "speculative": "it generates no tokens that a draft could propose",
    "thinking": "it does not reason",
    "toolCallParser": "it calls no tools",
    "reasoningParser": "it does not reason",
    "kvOffloadGib": "nothing of an input is kept for a later one",
    "kvCacheDtype": "what it keeps of an input is gone with the step that answers it",
    "loraAdapters": "adapters of models that generate nothing are not planned",
    "paidFallback": "another model's vectors and scores cannot stand in for its own",
    "fallback": "another model's vectors and scores cannot stand in for its own",
    "interruptible": "each of its requests is answered in a moment: latencyClass: background says that answers may wait",
}
"""Fields of an agent that mean nothing where its model generates nothing -> why."""

_NOT_BESIDE_REQUESTS: Final[Mapping[str, Mapping[str, str]]] = {
    "traffic": {"conversationsPerDay": "requests.perS is its volume"},
    "overrides": {
        "contextTokens": "requests.inputTokens says how long its inputs are",
        "ttftMs": "its answer comes whole, without a first token",
        "tpotMs": "it generates no tokens",
        "outputTokensPerS": "it generates no tokens",
        "requiredOutputTokensPerS": "it generates no tokens",
    },
}


def request_rules(agent: Mapping[str, Data], at: Steps) -> Iterator[Violation]:
    """A model that generates nothing has requests, and nothing of what is said of sessions."""
    if agent.get("requests") is None:
        return
    meant = [((*at, key), why) for key, why in _NOT_WITH_REQUESTS.items() if agent.get(key) is not None]
    for section, keys in _NOT_BESIDE_REQUESTS.items():
        given = part(agent, section)
        meant += [((*at, section, key), why) for key, why in keys.items() if given.get(key) is not None]
    for steps, why in meant:
        yield Violation(steps=steps, message=f"{steps[-1]} has no meaning beside requests: {why}", hint="leave it out")
    requests = part(agent, "requests")
    if requests.get("perS") is None and not items(requests, "callers") and agent.get("work") is None:
        yield Violation(
            steps=(*at, "requests"),
            message="nobody asks: neither 'perS' nor 'callers' is there",
            hint="write perS: requests in a second, or callers: [{agent: ..., perTurn: 1}]",
        )
    traffic = part(agent, "traffic")
    for key in ("burstFactor", "rampS"):
        if requests.get("perS") is None and traffic.get(key) is not None and agent.get("work") is None:
            yield Violation(
                steps=(*at, "traffic", key),
                message=f"{key} is about perS, and only callers ask here: their own traffic says how they climb",
                hint="leave it out, or write perS",
            )
    mean, longest = count(requests, "inputTokens", Requests), requests.get("longestInputTokens")
    if mean is not None and is_count(longest) and longest < mean:
        yield Violation(
            steps=(*at, "requests", "longestInputTokens"),
            message=f"the longest input, {counted(longest, 'token')}, is shorter than the mean one, {mean:,}",
        )


def caller_rules(agents: Sequence[Mapping[str, Data]]) -> Iterator[Violation]:
    """Who asks is an agent of the stack that has turns, once."""
    chats = {name: None for agent in agents if isinstance(name := agent.get("name"), str) and "requests" not in agent}
    for index, agent in enumerate(agents):
        first: dict[str, Steps] = {}
        for place, caller in enumerate(items(part(agent, "requests"), "callers")):
            steps: Steps = ("spec", "agents", index, "requests", "callers", place, "agent")
            name = mapping(caller).get("agent")
            if not isinstance(name, str):
                continue
            if name not in chats:
                near = did_you_mean(name, chats)
                yield Violation(
                    steps=steps, message=f"no agent of this stack that chats is named {shown(name)}", hint=near
                )
            if name in first:
                yield duplicate("caller", name, steps, first[name])
            first.setdefault(name, steps)


def fan_out_rules(agents: Sequence[Mapping[str, Data]]) -> Iterator[Violation]:
    """A sub-agent is another agent of the stack that chats, started in one place of each agent, and the way down ends."""
    chats = {name: None for agent in agents if isinstance(name := agent.get("name"), str) and "requests" not in agent}
    starts: dict[str, dict[str, Steps]] = {}
    for index, agent in enumerate(agents):
        own = agent.get("name")
        first: dict[str, Steps] = {}
        for place, started in enumerate(items(agent, "fanOut")):
            steps: Steps = ("spec", "agents", index, "fanOut", place, "agent")
            name = mapping(started).get("agent")
            if not isinstance(name, str):
                continue
            if name not in chats:
                message = f"no agent of this stack that chats is named {shown(name)}"
                yield Violation(steps=steps, message=message, hint=did_you_mean(name, chats))
            elif name == own:
                yield Violation(
                    steps=steps,
                    message="an agent cannot be its own sub-agent",
                    hint="give the sub-agent a name of its own",
                )
            elif name in first:
                yield duplicate("sub-agent", name, steps, first[name])
            first.setdefault(name, steps)
        if isinstance(own, str):
            starts[own] = {name: steps for name, steps in first.items() if name != own and name in chats}
    below = {name for started in starts.values() for name in started}
    for index, agent in enumerate(agents):
        if items(agent, "fanOut") and agent.get("name") not in below and _has_no_pace(agent):
            yield Violation(
                steps=("spec", "agents", index, "fanOut"),
                message="how often sub-agents are started is not known: the agent is in the background and has no daily volume",
                hint="write traffic.conversationsPerDay, or ttftMs and tpotMs",
            )
    for steps, name in _started_in_a_circle(starts):
        yield Violation(
            steps=steps,
            message=f"{shown(name)} starts, through others, the agent that starts it: nothing says how many there are",
            hint="leave out one of the steps of the circle",
        )


def _has_no_pace(agent: Mapping[str, Data]) -> bool:
    """Whether nothing says how many turns the agent has in a second."""
    timed = agent.get("latencyClass") != "background" or ("ttftMs" in agent and "tpotMs" in agent)
    return not timed and "conversationsPerDay" not in part(agent, "traffic") and "work" not in agent


def _started_in_a_circle(starts: Mapping[str, Mapping[str, Steps]]) -> Iterator[tuple[Steps, str]]:
    """One step of what is left once every agent that starts only finished ones is finished."""
    left = {name: dict(started) for name, started in starts.items()}
    while ended := [name for name, started in left.items() if not any(each in left for each in started)]:
        for name in ended:
            del left[name]
    for started in left.values():
        name, steps = next((name, steps) for name, steps in started.items() if name in left)
        yield steps, name
        return
