"""Whether each agent's model thinks before it answers: decided once, so that what is sized is what the engine is told.

An agent leaves here with ``thinking`` on or off and its reasoning tokens as a number; both stay as they are where nothing
is known about the model.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from agentgpu_iac.catalog.model import Model, Option, Thinking
from agentgpu_iac.catalog.store import Catalog
from agentgpu_iac.errors import BadInput, Fault
from agentgpu_iac.plan import ThinkingMode, ThinkingPlan, ThinkingReason
from agentgpu_iac.spec.loader import LoadedStack
from agentgpu_iac.spec.model import Agent, StackSpec
from agentgpu_iac.units import counted

_OVERLAY = "a row under thinking in a catalog overlay says how the model is switched and how much it thinks"
_INTERACTIVE = ("voice", "chat")
"""Latency classes in which somebody waits for the first word of the answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ThinkingChoice:
    """What one agent's model does where a request does not say, and for how long."""

    mode: ThinkingMode
    reason: ThinkingReason
    tokens: int
    """Reasoning tokens of one turn."""
    typical: bool = False
    """The tokens are the model's typical figure."""


UNKNOWN = ThinkingChoice(mode="unknown", reason="unknown", tokens=0)


def settled_thinking(
    loaded: LoadedStack, models: Sequence[Model], catalog: Catalog
) -> tuple[StackSpec, tuple[ThinkingChoice, ...]]:
    """The spec with every agent's thinking decided, and the decisions in the order of the agents.

    Raises:
        BadInput: an agent asks for what its model cannot do, or its context cannot hold what it thinks.
    """
    spec = loaded.stack.spec
    faults: list[Fault] = []
    choices: list[ThinkingChoice] = []
    for position, (agent, model) in enumerate(zip(spec.agents, models, strict=True)):
        at = f"spec.agents[{position}]"
        switchable = _can_be_switched(agent, model, catalog)
        choice = thinking_choice(agent, model, switchable=switchable)
        found = [*_faults(loaded, agent, model, switchable, at)] or [*_room_faults(loaded, agent, model, choice, at)]
        faults += found
        choices.append(choice)
    if faults:
        raise BadInput(faults)
    agents = tuple(_settled(agent, choice) for agent, choice in zip(spec.agents, choices, strict=True))
    return spec.model_copy(update={"agents": agents}), tuple(choices)


def _settled(agent: Agent, choice: ThinkingChoice) -> Agent:
    talk = agent.conversation.model_copy(update={"reasoning_tokens_per_turn": choice.tokens})
    word = "auto" if choice.mode == "unknown" else choice.mode
    return agent.model_copy(update={"thinking": word, "conversation": talk})


def _can_be_switched(agent: Agent, model: Model, catalog: Catalog) -> bool:
    """Whether the agent's engine, or a request to it, can tell the model whether to think."""
    if model.thinking is None or not model.thinking.can_be_switched:
        return False
    ways: tuple[Option, ...] = ("template-variables", "request-template-variables")
    return any(catalog.engine_can(agent.engine, agent.engine_version, way) for way in ways)


def thinking_choice(agent: Agent, model: Model, *, switchable: bool) -> ThinkingChoice:
    """Whether the model of an agent thinks, and how much; ``switchable``: it can be told which to do."""
    facts, stated = model.thinking, agent.conversation.reasoning_tokens_per_turn
    if facts is None:
        return replace(UNKNOWN, tokens=stated or 0)
    if stated is not None:
        return ThinkingChoice(mode="on" if stated else "off", reason="stated", tokens=stated)
    on, reason = _thinks(agent, facts, switchable=switchable)
    tokens = typical_tokens_per_turn(agent, facts) if on else 0
    return ThinkingChoice(mode="on" if on else "off", reason=reason, tokens=tokens, typical=tokens > 0)


def typical_tokens_per_turn(agent: Agent, facts: Thinking) -> int:
    """Each request of a turn is thought about, those that follow a tool call too, and templates keep it until the turn ends."""
    return round((facts.typical_tokens or 0) * (1 + agent.conversation.tool_calls.per_turn))


def _thinks(agent: Agent, facts: Thinking, *, switchable: bool) -> tuple[bool, ThinkingReason]:
    """Whether a model whose tokens nobody stated thinks, and why."""
    if agent.thinking != "auto":
        return agent.thinking == "on", "stated"
    if facts.thinks in ("never", "when-asked"):
        return False, "model"
    if switchable and agent.latency_class in _INTERACTIVE:
        return False, "latency-class"
    return True, "model"


def _faults(loaded: LoadedStack, agent: Agent, model: Model, switchable: bool, at: str) -> Iterator[Fault]:
    """What the agent asks of the model and it cannot do, or its engine cannot pass on."""
    facts, stated = model.thinking, agent.conversation.reasoning_tokens_per_turn
    tokens_at = f"{at}.conversation.reasoningTokensPerTurn"
    if facts is None:
        if agent.thinking == "off":
            message = f"how {model.id} is told not to think is not known"
            yield loaded.fault(f"{at}.thinking", message, f"leave thinking out; {_OVERLAY}")
        elif agent.thinking == "on" and stated is None:
            message = f"how much {model.id} thinks is not known"
            yield loaded.fault(f"{at}.thinking", message, "write conversation.reasoningTokensPerTurn beside it")
        return
    if facts.thinks == "never" and agent.thinking == "on":
        message = f"{model.id} has no mode that thinks before it answers"
        yield loaded.fault(f"{at}.thinking", message, "leave thinking out, or name a model that thinks")
    if facts.thinks == "always" and (agent.thinking == "off" or stated == 0):
        message = (
            f"{model.id} cannot be told not to think: an answer takes about "
            f"{counted(facts.typical_tokens or 0, 'reasoning token')}, "
            f"{facts.tokens_error_factor:g} times less or more by what is asked"
        )
        place = f"{at}.thinking" if agent.thinking == "off" else tokens_at
        yield loaded.fault(place, message, "leave it out, or state the tokens that you measured")

    if facts.can_be_switched and not switchable:
        yield from _unpassed(loaded, agent, model, facts, at)


def _unpassed(loaded: LoadedStack, agent: Agent, model: Model, facts: Thinking, at: str) -> Iterator[Fault]:
    """Another way than the model's own, on an engine that passes no variables to the template."""
    stated = agent.conversation.reasoning_tokens_per_turn
    off, on = agent.thinking == "off" or stated == 0, agent.thinking == "on" or bool(stated)
    if not (off if facts.thinks == "by-default" else on):
        return
    own = "thinks unless told not to" if facts.thinks == "by-default" else "thinks only when told to"
    place = f"{at}.thinking" if agent.thinking != "auto" else f"{at}.conversation.reasoningTokensPerTurn"
    version = f" {agent.engine_version}" if agent.engine_version else ""
    yield loaded.fault(
        place,
        f"{model.id} {own}, and {agent.engine}{version} passes no variables to its chat template",
        "leave it out, or take another engine: vllm and sglang do",
    )


def _room_faults(loaded: LoadedStack, agent: Agent, model: Model, choice: ThinkingChoice, at: str) -> Iterator[Fault]:
    """A stated context must hold the first turn with what the model typically thinks; stated tokens are a rule of the spec."""
    talk = agent.conversation
    if not choice.typical or talk.max_context_tokens is None:
        return
    turn = talk.system_prompt_tokens + talk.input_tokens_per_turn + talk.output_tokens_per_turn
    if turn + choice.tokens <= talk.max_context_tokens:
        return
    message = (
        f"{counted(talk.max_context_tokens, 'token')} cannot hold the system prompt and one turn, "
        f"{counted(turn, 'token')}, and the "
        f"{choice.tokens:,} that {model.id} typically thinks"
    )
    hint = "raise it, or state what you measured as reasoningTokensPerTurn"
    if model.thinking is not None and model.thinking.can_be_switched:
        hint += ", or write thinking: off"
    yield loaded.fault(f"{at}.conversation.maxContextTokens", message, hint)


def told_to_engine(choice: ThinkingChoice, model: Model) -> str | None:
    """What an engine is told of the chat template's variables, as a JSON object; nothing where there is no such switch.

    It is said either way: what a template does unasked differs from engine to engine and changes with their versions, and
    parsers of reasoning go by what was said.
    """
    facts = model.thinking
    if facts is None or not facts.can_be_switched or facts.variable is None or choice.mode == "unknown":
        return None
    return _json({facts.variable: facts.value(on=choice.mode == "on")})


def thinking_plan(choice: ThinkingChoice, model: Model, *, engine_is_told: bool, requests_tell: bool) -> ThinkingPlan:
    """What the plan says about it; callers must say what the engine cannot be told and the model does not do unasked."""
    facts, on = model.thinking, choice.mode == "on"
    by_itself = facts is not None and facts.thinks in ("always", "by-default")
    asked = facts if facts is not None and facts.switch and not engine_is_told and by_itself != on else None
    return ThinkingPlan(
        model="unknown" if facts is None else facts.thinks,
        mode=choice.mode,
        reason=choice.reason,
        tokens_per_turn=choice.tokens,
        tokens_error_factor=facts.tokens_error_factor if facts is not None and choice.typical else None,
        request_to_think=_request(facts if requests_tell else None, on=True),
        request_to_answer=_request(facts if requests_tell else None, on=False),
        callers_send=_request(asked, on=on),
        callers_write=str(asked.value(on=on)) if asked is not None and asked.switch == "system-prompt" else None,
    )


def _request(facts: Thinking | None, *, on: bool) -> str | None:
    body = None if facts is None else facts.request(on=on)
    return None if body is None else _json(body)


def _json(value: object) -> str:
    return json.dumps(value, separators=(",", ":"))
