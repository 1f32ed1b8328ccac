"""Rules that join several fields of an agent stack.

They run on what the file holds, before or beside the models, so that people see them together with every other fault.
A rule looks only at values of the right kind and passes over the rest: what is malformed is reported elsewhere.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_network
from typing import Final, TypeGuard

from agentgpu_iac.errors import did_you_mean
from agentgpu_iac.spec.abilities import abilities_of
from agentgpu_iac.spec.cron import cron_fault
from agentgpu_iac.spec.document import Document
from agentgpu_iac.spec.model import (
    ADDRESS_RANGE,
    MAX_COUNT,
    Agent,
    Conversation,
    ModelCache,
    Sessions,
    Speculative,
    StackSpec,
    ToolCalls,
)
from agentgpu_iac.spec.model.fields import switch_word
from agentgpu_iac.spec.reserved import is_namespace_of_others, reserved
from agentgpu_iac.spec.scalars import shown
from agentgpu_iac.spec.shape import fields_of
from agentgpu_iac.spec.vocabulary import ENGINES_FOR_ONE_DEVELOPER
from agentgpu_iac.spec.window import closed_hours, offset_minutes, weekly_starts
from agentgpu_iac.spec.yaml_tree import Data, Steps

LINE = "{line}"

_MOST_COMPARISONS = 100**2
"""In larger stacks nobody looks for the agent that a misspelt name meant: that would take minutes."""

_NOTHING: Final[Mapping[str, Data]] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Violation:
    """A rule broken at a place.

    Where it clashes with another value, ``other`` is the way there, and ``LINE`` in the hint stands for its line.
    """

    steps: Steps
    message: str
    hint: str = ""
    other: Steps = ()


def violations(data: Data) -> Iterator[Violation]:
    """Every rule that the content of a file breaks."""
    spec = _part(data, "spec")
    agents = tuple(_mapping(agent) for agent in _list(spec, "agents"))
    yield from _accelerator_rules(_part(spec, "accelerators"))
    yield from _observed_rules(_part(spec, "observed"))
    yield from _model_source_rules(_part(spec, "modelCache"))
    yield from _secret_rules(_part(spec, "modelCache"), _part(spec, "security"))
    yield from _router_rules(_part(spec, "network"))
    yield from _caller_rules(_part(spec, "network"), _part(spec, "security"))
    yield from _name_rules(agents)
    yield from _fallback_rules(agents)
    yield from _schedule_rules(_part(spec, "scaling"), agents)
    yield from _window_rules(_part(_part(spec, "capacity"), "maintenanceWindow"))
    yield from _prometheus_auth_rules(_part(spec, "scaling"))
    yield from _image_rules(_part(spec, "pins"), agents)
    target = _word(spec, "target", StackSpec)
    yield from _namespace_rules(_part(data, "metadata"), target)
    yield from _range_rules(_part(spec, "hosts"))
    yield from _target_rules(data, target)
    for index, agent in enumerate(agents):
        at: Steps = ("spec", "agents", index)
        yield from _engine_rules(agent, target, at)
        yield from _speculative_rules(_part(agent, "speculative"), (*at, "speculative"))
        yield from _session_rules(_part(agent, "sessions"), (*at, "sessions"))
        yield from _conversation_rules(_part(agent, "conversation"), (*at, "conversation"))
        yield from _thinking_rules(agent, at)


def _accelerator_rules(accelerators: Mapping[str, Data]) -> Iterator[Violation]:
    """What is denied cannot be allowed."""
    allowed: dict[str, int] = {}
    for index, word in enumerate(_list(accelerators, "allow")):
        if isinstance(word, str):
            allowed.setdefault(word, index)
    for index, word in enumerate(_list(accelerators, "deny")):
        if isinstance(word, str) and word in allowed:
            yield Violation(
                steps=("spec", "accelerators", "deny", index),
                message=f"{shown(word)} is both allowed and denied",
                hint=f"allowed on line {LINE}",
                other=("spec", "accelerators", "allow", allowed[word]),
            )


def _observed_rules(observed: Mapping[str, Data]) -> Iterator[Violation]:
    """Days of measurement mean nothing without what was measured."""
    days = observed.get("days")
    if _is_count(days) and days and "baselineSessions" not in observed:
        yield Violation(
            steps=("spec", "observed", "days"),
            message=f"{days} days are observed, but 'baselineSessions' is missing",
            hint="write how many sessions were held at any time over those days",
        )


def _model_source_rules(cache: Mapping[str, Data]) -> Iterator[Violation]:
    """Models come from one place: a bucket belongs to S3, a token to Hugging Face."""
    at: Steps = ("spec", "modelCache")
    source = _word(cache, "source", ModelCache)
    if source == "s3" and cache.get("bucket") is None:
        yield Violation(
            steps=(*at, "source"),
            message="models come from S3, but 'bucket' is missing",
            hint="write bucket: s3://<bucket>/<prefix>",
        )
    if source == "huggingface" and cache.get("bucket") is not None:
        yield Violation(
            steps=(*at, "bucket"),
            message="a bucket is named, but models come from Hugging Face",
            hint="write source: s3, or take the bucket out",
        )
    stream, loader = _word(cache, "stream", ModelCache), _word(cache, "loader", ModelCache)
    if stream in ("auto", "always") and source == "huggingface":
        yield Violation(
            steps=(*at, "stream"),
            message="engines stream weights from a bucket, and models come from Hugging Face",
            hint="write source: s3 with a bucket, or take stream out",
        )
    if stream in ("auto", "always") and loader in ("safetensors", "fastsafetensors"):
        yield Violation(
            steps=(*at, "loader"),
            message=f"the loader {loader} reads files of the node, and stream: {stream} has engines read a bucket",
            hint="leave one of the two out",
        )
    if source == "s3" and cache.get("tokenSecret") is not None:
        yield Violation(
            steps=(*at, "tokenSecret"),
            message="a Hugging Face token opens no bucket",
            hint="take it out; the ServiceAccount model-cache is what S3 lets in",
        )


def _secret_rules(cache: Mapping[str, Data], security: Mapping[str, Data]) -> Iterator[Violation]:
    """A store makes the Secrets that are named, each for one purpose."""
    at: Steps = ("spec", "security")
    token, api_key = cache.get("tokenSecret"), security.get("apiKeySecret")
    if _part(security, "externalSecrets") and token is None and api_key is None:
        yield Violation(
            steps=(*at, "externalSecrets"),
            message="a store is named, but no Secret that it should make",
            hint="name one in security.apiKeySecret or modelCache.tokenSecret",
        )
    if isinstance(api_key, str) and api_key == token:
        yield Violation(
            steps=(*at, "apiKeySecret"),
            message=f"the Secret {shown(api_key)} holds the models' token already",
            hint=f"on line {LINE}; whoever may read one need not read the other",
            other=("spec", "modelCache", "tokenSecret"),
        )


def _router_rules(network: Mapping[str, Data]) -> Iterator[Violation]:
    """Routes attach to a Gateway, which somebody runs and only the spec can name."""
    if network.get("router") == "gateway" and network.get("gateway") is None:
        yield Violation(
            steps=("spec", "network", "router"),
            message="routes of a Gateway need one to attach to, but 'gateway' is missing",
            hint="write gateway: {name: ..., namespace: ...}, or use router: nginx",
        )
    if network.get("gateway") is not None and network.get("router") != "gateway":
        yield Violation(
            steps=("spec", "network", "gateway"),
            message="a Gateway is named, but the router is not 'gateway'",
            hint="write router: gateway, or leave the Gateway out",
        )


def _caller_rules(network: Mapping[str, Data], security: Mapping[str, Data]) -> Iterator[Violation]:
    """A label of the callers can be asked for only where they come by themselves, and where something asks."""
    at: Steps = ("spec", "security", "callersNeedLabel")
    if security.get("callersNeedLabel") is not True:
        return
    if network.get("router") == "gateway":
        yield Violation(
            steps=at,
            message="callers come through the Gateway, whose pods carry no label of theirs",
            hint="let the Gateway decide who may call, or use router: nginx",
        )
    if security.get("networkPolicies") is False:
        yield Violation(
            steps=at, message="nothing asks for the label without policies", hint="take networkPolicies: false out"
        )


def _range_rules(hosts: Mapping[str, Data]) -> Iterator[Violation]:
    """Address ranges are some."""
    for key in ("callerRanges", "adminRanges"):
        for index, address_range in enumerate(_list(hosts, key)):
            if isinstance(address_range, str) and _is_range(address_range) and not _is_network(address_range):
                yield Violation(
                    steps=("spec", "hosts", key, index),
                    message=f"{shown(address_range)} is no address range",
                    hint="write the first address and the length of its prefix, for example 203.0.113.0/24",
                )


def _target_rules(data: Data, target: str) -> Iterator[Violation]:
    """What the target needs is there, and what it cannot do is not asked of it."""
    abilities = abilities_of(target)
    if abilities is None:
        return
    for need in abilities.needs:
        if _value_at(data, need.at) in (None, ()):
            yield Violation(steps=need.at, message=need.message, hint=need.hint)
    for refusal in abilities.refuses:
        value = _value_at(data, refusal.at)
        if value in refusal.words if refusal.words else isinstance(value, dict | tuple) and value:
            yield Violation(steps=refusal.at, message=refusal.message, hint=refusal.hint)


def _value_at(data: Data, steps: Steps) -> Data:
    """What the file holds at the end of some keys; None where it holds nothing."""
    for step in steps:
        data = data.get(step) if isinstance(data, dict) and isinstance(step, str) else None
    return data


def _is_range(text: str) -> bool:
    """Whether it looks like one; what does not is reported elsewhere."""
    return re.fullmatch(ADDRESS_RANGE, text) is not None


def _is_network(text: str) -> bool:
    try:
        ip_network(text)
    except ValueError:
        return False
    return True


def _namespace_rules(metadata: Mapping[str, Data], target: str) -> Iterator[Violation]:
    """In a cluster a stack has a namespace of its own, whose traffic it denies and whose resources it limits."""
    name, abilities = metadata.get("name"), abilities_of(target)
    if isinstance(name, str) and abilities is not None and abilities.has_cluster and is_namespace_of_others(name):
        yield Violation(
            steps=("metadata", "name"),
            message=f"{shown(name)} is a namespace of the cluster itself, and the stack has one of its own",
            hint="name the stack after what its agents do",
        )


def _name_rules(agents: Sequence[Mapping[str, Data]]) -> Iterator[Violation]:
    """Agents answer to their names, and so do adapters: each name belongs to one of them."""
    first: dict[str, Steps] = {}
    for index, agent in enumerate(agents):
        steps: Steps = ("spec", "agents", index, "name")
        name = agent.get("name")
        if not isinstance(name, str):
            continue
        if name in first:
            yield _duplicate("agent", name, steps, first[name])
        first.setdefault(name, steps)
        if whose := reserved(name):
            yield Violation(
                steps=steps,
                message=f"the name {shown(name)} {whose}, so no agent may have it",
                hint="name it otherwise",
            )
    for index, agent in enumerate(agents):
        yield from _adapter_rules(agent, ("spec", "agents", index, "loraAdapters"), first)


def _duplicate(what: str, name: str, steps: Steps, first: Steps) -> Violation:
    return Violation(
        steps=steps, message=f"duplicate {what} name {shown(name)}", hint=f"first on line {LINE}", other=first
    )


def _adapter_rules(agent: Mapping[str, Data], at: Steps, agents: Mapping[str, Steps]) -> Iterator[Violation]:
    first: dict[str, Steps] = {}
    for index, adapter in enumerate(_list(agent, "loraAdapters")):
        steps: Steps = (*at, index, "name")
        name = _mapping(adapter).get("name")
        if not isinstance(name, str):
            continue
        if name in agents:
            message = f"the adapter {shown(name)} has the name of an agent"
            yield Violation(steps=steps, message=message, hint=f"the agent is on line {LINE}", other=agents[name])
        if name in first:
            yield _duplicate("adapter", name, steps, first[name])
        first.setdefault(name, steps)


def _image_rules(pins: Mapping[str, Data], agents: Sequence[Mapping[str, Data]]) -> Iterator[Violation]:
    """One image is that of one engine."""
    engines = sorted({word for agent in agents if (word := _word(agent, "engine", Agent))})
    if pins.get("engineImage") is not None and len(engines) > 1:
        yield Violation(
            steps=("spec", "pins", "engineImage"),
            message=f"one image cannot be that of {' and '.join(engines)}",
            hint="leave it out, or give each engine a stack of its own",
        )


def _fallback_rules(agents: Sequence[Mapping[str, Data]]) -> Iterator[Violation]:
    """A fallback is another agent of the stack, and the way from fallback to fallback ends."""
    position: dict[str, int] = {}
    for index, agent in enumerate(agents):
        if isinstance(name := agent.get("name"), str):
            position.setdefault(name, index)
    next_of: dict[str, str] = {}
    for index, agent in enumerate(agents):
        name, fallback = agent.get("name"), agent.get("fallback")
        if not isinstance(fallback, str):
            continue
        steps: Steps = ("spec", "agents", index, "fallback")
        if fallback == name:
            yield Violation(steps=steps, message="an agent cannot be its own fallback", hint="name another agent")
        elif fallback not in position:
            near = did_you_mean(fallback, position) if len(position) * len(agents) <= _MOST_COMPARISONS else ""
            yield Violation(steps=steps, message=f"no agent of this stack is named {shown(fallback)}", hint=near)
        elif isinstance(name, str):
            next_of.setdefault(name, fallback)
    for circle in _circles(next_of):
        way = " -> ".join((*circle, circle[0]) if len(circle) <= 6 else (*circle[:6], "…", circle[0]))
        yield Violation(
            steps=("spec", "agents", position[circle[0]], "fallback"),
            message=f"the fallbacks go round in a circle: {way}",
            hint="one agent of the circle must do without a fallback",
        )


def _schedule_rules(scaling: Mapping[str, Data], agents: Sequence[Mapping[str, Data]]) -> Iterator[Violation]:
    """A known peak is an agent's of this stack, at hours that a clock has, and ends at another time than it starts."""
    names = {name: None for agent in agents if isinstance(name := agent.get("name"), str)}
    schedule = _list(scaling, "schedule")
    for index, item in enumerate(schedule):
        peak = _mapping(item)
        at: Steps = ("spec", "scaling", "schedule", index)
        name = peak.get("agent")
        if isinstance(name, str) and name not in names:
            near = did_you_mean(name, names) if len(names) * len(schedule) <= _MOST_COMPARISONS else ""
            yield Violation(steps=(*at, "agent"), message=f"no agent of this stack is named {shown(name)}", hint=near)
        for key in ("start", "end"):
            fault = cron_fault(value) if isinstance(value := peak.get(key), str) else ""
            if fault:
                yield Violation(
                    steps=(*at, key), message=fault, hint="minute hour day month weekday, for example 45 7 * * 1-5"
                )
        start, end = peak.get("start"), peak.get("end")
        if isinstance(start, str) and start == end:
            yield Violation(steps=(*at, "end"), message="the schedule ends when it starts")


_QUARTERS_OF_AN_HOUR = 4


def _window_rules(window: Mapping[str, Data]) -> Iterator[Violation]:
    """A window is the same every week, closes again, and has a clock that Karpenter's, which is UTC, can follow."""
    at: Steps = ("spec", "capacity", "maintenanceWindow")
    start, hours, timezone = window.get("start"), window.get("hours"), window.get("timezone", "UTC")
    starts = None
    if isinstance(start, str) and len(start.split()) == 5:
        starts = weekly_starts(start)
        if starts is None:
            yield Violation(
                steps=(*at, "start"),
                message=cron_fault(start) or f"{shown(start)} is not at one time of day, every week alike",
                hint="minute and hour as numbers, * for day and month, then weekdays, for example 0 2 * * 1-5",
            )
    if isinstance(timezone, str) and offset_minutes(timezone) is None:
        yield Violation(
            steps=(*at, "timezone"),
            message=f"Karpenter's clock is UTC, and the clock of {shown(timezone)} may change over the year",
            hint="write start in UTC and leave timezone out, or name a zone without summer time, such as Etc/GMT-1, which is "
            "an hour ahead of UTC",
        )
    if isinstance(hours, bool) or not isinstance(hours, int | float):
        return
    if hours * _QUARTERS_OF_AN_HOUR % 1:
        yield Violation(steps=(*at, "hours"), message=f"{hours:g} h is no whole number of quarters of an hour")
    elif starts and 0 < hours <= 24 and not closed_hours(starts, round(hours * 60)):
        yield Violation(
            steps=(*at, "hours"), message="the window never closes", hint="leave it out: nodes may then go at any time"
        )


def _prometheus_auth_rules(scaling: Mapping[str, Data]) -> Iterator[Violation]:
    """A Secret or an AWS region, as the method takes it; and KEDA, since an HPA asks an adapter that asks Prometheus."""
    auth, at = _mapping(scaling.get("prometheusAuth")), ("spec", "scaling", "prometheusAuth")
    if not auth:
        return
    if scaling.get("method") == "hpa":
        yield Violation(
            steps=at,
            message="an HPA asks your adapter, which proves by itself who it is",
            hint="leave it out, or method: keda",
        )
    signs = auth.get("method") == "aws-sigv4"
    needed, other = ("awsRegion", "secret") if signs else ("secret", "awsRegion")
    if isinstance(auth.get("method"), str) and needed not in auth:
        example = "awsRegion: eu-central-1" if signs else "secret: the name of a Secret"
        yield Violation(steps=(*at, "method"), message=f"{auth['method']} needs {needed}", hint=example)
    if isinstance(auth.get("method"), str) and other in auth:
        yield Violation(steps=(*at, other), message=f"{auth['method']} takes no {other}", hint="leave it out")


def _circles(next_of: Mapping[str, str]) -> Iterator[tuple[str, ...]]:
    """The circles that following ``next_of`` leads into, each once, in time linear in its length."""
    visited: set[str] = set()
    for start in next_of:
        way: dict[str, None] = {}
        name = start
        while name in next_of and name not in visited:
            visited.add(name)
            way[name] = None
            name = next_of[name]
        if name in way:
            passed = list(way)
            yield tuple(passed[passed.index(name) :])


def _engine_rules(agent: Mapping[str, Data], target: str, at: Steps) -> Iterator[Violation]:
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


def _speculative_rules(speculative: Mapping[str, Data], at: Steps) -> Iterator[Violation]:
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
    tokens, accepted = _count(speculative, "tokens", Speculative), speculative.get("acceptedTokens")
    if tokens is not None and isinstance(accepted, int | float) and accepted > tokens + 1:
        yield Violation(
            steps=(*at, "acceptedTokens"),
            message=f"a step that proposes {tokens} tokens yields {tokens + 1} at most; not {accepted:g}",
        )


def _session_rules(sessions: Mapping[str, Data], at: Steps) -> Iterator[Violation]:
    """The peak is never below normal load."""
    concurrent = _count(sessions, "concurrent", Sessions)
    peak = sessions.get("peak")
    if concurrent is not None and _is_count(peak) and peak < concurrent:
        yield Violation(
            steps=(*at, "peak"),
            message=f"peak must be at least concurrent, {concurrent:,} sessions; not {peak:,}",
        )


def _conversation_rules(conversation: Mapping[str, Data], at: Steps) -> Iterator[Violation]:
    yield from _context_holds_a_turn(conversation, at)
    yield from _conversation_is_finite(conversation, at)


def _context_holds_a_turn(conversation: Mapping[str, Data], at: Steps) -> Iterator[Violation]:
    """The context must hold the system prompt and one turn, else not even the first answer fits."""
    limit = conversation.get("maxContextTokens")
    keys = ("systemPromptTokens", "inputTokensPerTurn", "outputTokensPerTurn", "reasoningTokensPerTurn")
    tokens = [_count({"reasoningTokensPerTurn": 0, **conversation}, key, Conversation) for key in keys]
    known = [count for count in tokens if count is not None]
    if not _is_count(limit) or len(known) < len(keys) or sum(known) <= limit:
        return
    parts = zip(("system prompt", "input", "output", "reasoning"), known, strict=True)
    yield Violation(
        steps=(*at, "maxContextTokens"),
        message=f"{limit:,} tokens cannot hold the system prompt and one turn, {sum(known):,} tokens",
        hint=" + ".join(f"{count:,} {part}" for part, count in parts if count),
    )


def _thinking_rules(agent: Mapping[str, Data], at: Steps) -> Iterator[Violation]:
    """What the model is told and what it is sized for are one thing."""
    thinking = switch_word(agent.get("thinking"))
    tokens = _part(agent, "conversation").get("reasoningTokensPerTurn")
    if not _is_count(tokens) or (thinking, tokens > 0) not in (("on", False), ("off", True)):
        return
    yield Violation(
        steps=(*at, "thinking"),
        message=f"thinking is {thinking}, but reasoningTokensPerTurn is {tokens:,}",
        hint=f"line {LINE}: leave one of the two out",
        other=(*at, "conversation", "reasoningTokensPerTurn"),
    )


def _conversation_is_finite(conversation: Mapping[str, Data], at: Steps) -> Iterator[Violation]:
    """What all turns together add to the context stays countable."""
    turns = _count(conversation, "turns", Conversation)
    input_tokens = _count(conversation, "inputTokensPerTurn", Conversation)
    output_tokens = _count(conversation, "outputTokensPerTurn", Conversation)
    tool_tokens = _tool_tokens_per_turn(conversation)
    if turns is None or input_tokens is None or output_tokens is None or tool_tokens is None:
        return
    tokens = turns * (input_tokens + output_tokens + tool_tokens)
    if tokens > MAX_COUNT:
        yield Violation(
            steps=(*at, "turns"),
            message=f"{turns:,} turns add {tokens:,.0f} tokens to the context; at most {MAX_COUNT:,} are planned for",
        )


def _tool_tokens_per_turn(conversation: Mapping[str, Data]) -> float | None:
    tool_calls = _part(conversation, "toolCalls")
    per_turn = tool_calls.get("perTurn", ToolCalls().per_turn)
    result_tokens = _count(tool_calls, "resultTokens", ToolCalls)
    if isinstance(per_turn, bool) or not isinstance(per_turn, int | float) or result_tokens is None or per_turn < 0:
        return None
    return per_turn * result_tokens if per_turn <= MAX_COUNT else None


def _mapping(data: Data) -> Mapping[str, Data]:
    return data if isinstance(data, dict) else _NOTHING


def _part(data: Data | Mapping[str, Data], key: str) -> Mapping[str, Data]:
    return _mapping(data.get(key)) if isinstance(data, Mapping) else _NOTHING


def _list(data: Mapping[str, Data], key: str) -> tuple[Data, ...]:
    value = data.get(key)
    return value if isinstance(value, tuple) else ()


def _word(data: Mapping[str, Data], key: str, document: type[Document]) -> str:
    """A word, or its default where the key is absent; empty where it is malformed."""
    value = data.get(key, fields_of(document)[key].default)
    return value if isinstance(value, str) else ""


def _count(data: Mapping[str, Data], key: str, document: type[Document]) -> int | None:
    """A count, or its default where the key is absent; None where it is malformed."""
    value = data.get(key, fields_of(document)[key].default)
    return value if _is_count(value) else None


def _is_count(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MAX_COUNT
