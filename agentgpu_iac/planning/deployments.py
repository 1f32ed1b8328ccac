"""Deployments: which agents may have their replicas in common, and what they then ask for together.

A deployment is a model with its engine. Agents may share one where the engine would be started alike for each of them; whether
they do is a matter of cost, decided with everything else by the placement, and each agent may always be served apart.

Held sessions, generated and read tokens of the agents add up, and the strictest budget holds for all. Memory is what their
sessions take: on one replica all of them are there, so that the mean context counts. Over several replicas chance deals them
out, and a replica with S seats has a mean of m + z x sd / sqrt(S) tokens or less in 99 % of the cases (the mean of S draws),
never more than the longest session's.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from agentgpu_iac.planning.demand import Demand
from agentgpu_iac.planning.opening import joined
from agentgpu_iac.sizing.conversation import SessionShape, session_shape
from agentgpu_iac.spec.model import Agent, Sessions, Traffic
from agentgpu_iac.spec.reserved import reserved
from agentgpu_iac.spec.vocabulary import LatencyClass

_STRICTEST_FIRST: tuple[LatencyClass, ...] = ("voice", "chat", "background")
QUANTILE_Z = 2.326
"""Standard deviations below which 99 % of a normal distribution lie."""
_TPOT_WITHOUT_BUDGET_MS = 50.0
"""Pace at which the answers of an agent without a budget are counted, to weigh its requests among the others'."""
_MAX_NAME = 40
"""Characters of an agent's name, and so of a deployment's."""
_OF_THE_ENGINE = frozenset(
    {
        "weights_gib",
        "kv_bytes_per_token",
        "overhead_gib",
        "tensor_parallel_size",
        "pipeline_parallel_size",
        "attention_data_parallel_size",
        "expert_parallel_size",
        "max_model_len",
        "max_num_batched_tokens",
        "cold_start_s",
    }
)
"""Numbers set by hand that are the engine's, whoever it serves. The others are an agent's own, or were measured under its load
alone: with one of those it stays apart."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """A model with its engine, for one agent or several."""

    agents: tuple[int, ...]
    """Positions in the stack of those that it serves."""
    demand: Demand


def deployments(demands: Sequence[Demand]) -> tuple[Deployment, ...]:
    """Each agent by itself, in their order; then every set of agents that is worth considering together."""
    alone = tuple(Deployment(agents=(position,), demand=demand) for position, demand in enumerate(demands))
    taken = {demand.name for demand in demands}
    taken |= {adapter.name for demand in demands for adapter in demand.agent.lora_adapters}
    shared: list[Deployment] = []
    for group in _alike(demands):
        stem = _stem(demands[group[0]].model.id)
        for members, ending in _sets(group, demands):
            name = _free_name(stem, ending, taken)
            taken.add(name)
            shared.append(Deployment(agents=members, demand=together(name, [demands[each] for each in members])))
    return (*alone, *shared)


def _alike(demands: Sequence[Demand]) -> list[tuple[int, ...]]:
    """Agents whose engine is started alike, two at least."""
    found: dict[tuple[object, ...], list[int]] = {}
    for position, demand in enumerate(demands):
        if (settings := engine_settings(demand)) is not None:
            found.setdefault(tuple(settings.values()), []).append(position)
    return [tuple(group) for group in found.values() if len(group) > 1]


def engine_settings(demand: Demand) -> dict[str, object] | None:
    """What an engine is started with for the agent, by the field of the spec; None for an agent that shares with nobody."""
    agent = demand.agent
    by_hand = agent.overrides.model_dump(exclude_none=True)
    if agent.isolation == "dedicated" or demand.load is not None or not by_hand.keys() <= _OF_THE_ENGINE:
        return None
    return {
        "model": demand.model.id,
        "modelRevision": agent.model_revision,
        "engine": agent.engine,
        "engineVersion": agent.engine_version,
        "precision": demand.precision,
        "kvCacheDtype": agent.kv_cache_dtype,
        "thinking": demand.thinking.mode,
        "speculative": agent.speculative,
        "kvOffloadGib": agent.kv_offload_gib,
        "pausedCache": agent.paused_cache,
        "toolCallParser": agent.tool_call_parser,
        "reasoningParser": agent.reasoning_parser,
        "textOnly": agent.text_only,
        "trustRemoteCode": agent.trust_remote_code,
        "overrides": tuple(sorted(by_hand.items())),
    }


def unlike(demands: Sequence[Demand]) -> Iterator[tuple[tuple[str, ...], tuple[str, ...]]]:
    """Agents of one model that could not share since their engines would be started otherwise, the first of each kind; and the
    fields of the spec in which these differ.
    """
    kinds: dict[str, dict[tuple[object, ...], tuple[str, dict[str, object]]]] = {}
    for demand in demands:
        if (settings := engine_settings(demand)) is not None:
            of_model = kinds.setdefault(demand.model.id, {})
            of_model.setdefault(tuple(settings.values()), (demand.name, settings))
    for found in kinds.values():
        firsts = tuple(found.values())
        if len(firsts) > 1:
            fields = firsts[0][1]
            differ = tuple(field for field in fields if len({settings[field] for _, settings in firsts}) > 1)
            yield tuple(name for name, _ in firsts), differ


def _sets(group: Sequence[int], demands: Sequence[Demand]) -> Iterator[tuple[tuple[int, ...], str]]:
    """All of them, those for whom somebody waits, and those of each latency class, each set once; and how its name ends."""
    seen: set[tuple[int, ...]] = set()
    wanted: list[tuple[str, tuple[int, ...]]] = [
        ("", tuple(group)),
        ("user-facing", tuple(each for each in group if demands[each].user_facing)),
    ]
    for word in _STRICTEST_FIRST:
        wanted.append((word, tuple(each for each in group if demands[each].agent.latency_class == word)))
    for ending, members in wanted:
        for part in _without_conflicts(members, demands):
            if len(part) > 1 and part not in seen:
                seen.add(part)
                yield part, ending


def _without_conflicts(members: Sequence[int], demands: Sequence[Demand]) -> list[tuple[int, ...]]:
    """The members in as few parts as first fit finds, none with two agents that must not share."""
    if not any(demands[each].agent.fallback or demands[each].agent.lora_adapters for each in members):
        return [tuple(members)] if members else []
    parts: list[list[int]] = []
    for each in members:
        for part in parts:
            if not any(_conflict(demands[each].agent, demands[other].agent) for other in part):
                part.append(each)
                break
        else:
            parts.append([each])
    return [tuple(part) for part in parts]


def _conflict(agent: Agent, other: Agent) -> bool:
    """Whether one stands in for the other and must be up while it is not; or whether they call two adapters by one name."""
    if agent.fallback == other.name or other.fallback == agent.name:
        return True
    adapters = {adapter.name: adapter for adapter in agent.lora_adapters}
    return any(adapters.get(adapter.name, adapter) != adapter for adapter in other.lora_adapters)


def _stem(model: str) -> str:
    """The model's name as a name of a deployment."""
    words = re.sub(r"[^a-z0-9]+", "-", model.rsplit("/", 1)[-1].lower()).strip("-")
    return words if re.match(r"[a-z]", words) else f"model-{words}".rstrip("-")


def _free_name(stem: str, ending: str, taken: Iterable[str]) -> str:
    """A name that nobody has: from the model, the class where only that one shares, and a number where it must be."""
    used = set(taken)
    number = 1
    while True:
        tail = f"{'-' + ending if ending else ''}{f'-{number}' if number > 1 else ''}"
        name = f"{stem[: _MAX_NAME - len(tail)].rstrip('-')}{tail}"
        if name not in used and not reserved(name):
            return name
        number += 1


def together(name: str, members: Sequence[Demand]) -> Demand:
    """What several agents ask of one deployment."""
    first = members[0]
    concurrent, peak = (sum(each) for each in zip(*((m.concurrent, m.peak) for m in members), strict=True))
    context = max(
        _mean_context(members, [m.peak for m in members]), _mean_context(members, [m.concurrent for m in members])
    )
    return replace(
        first,
        agent=_agent(name, members),
        members=tuple(members),
        thinking=max((member.thinking for member in members), key=lambda choice: choice.tokens),
        shape=_shape(members),
        user_facing=any(member.user_facing for member in members),
        concurrent=concurrent,
        peak=peak,
        most_seats=max(peak, *(member.most_seats for member in members)),
        budget_ttft_ms=_strictest(member.budget_ttft_ms for member in members),
        budget_tpot_ms=_strictest(member.budget_tpot_ms for member in members),
        budget_e2e_ms=_strictest(member.budget_e2e_ms for member in members),
        context_tokens=context,
        computed_context_tokens=context,
        turns_per_s=sum(member.turns_per_s for member in members),
        turns_per_s_peak=sum(member.turns_per_s_peak for member in members),
        ramp_s=min(member.ramp_s for member in members),
        opening=joined(member.opening for member in members),
    )


def without_shared_prefix(demand: Demand) -> Demand:
    """The same where the engine keeps no prefixes."""
    if demand.load is not None:
        return demand
    if demand.members:
        return together(demand.name, [without_shared_prefix(member) for member in demand.members])
    return replace(demand, shape=session_shape(demand.agent.conversation, shares_prefix=False))


def with_context_for(demand: Demand, seats: int) -> Demand:
    """The same where the sessions are dealt out over replicas of so many seats: the mean that 99 % of them stay below."""
    if not demand.members:
        return demand
    mean, spread = context_spread(demand)
    if not spread:
        return demand
    likely = math.ceil(mean + QUANTILE_Z * spread / math.sqrt(seats))
    context = max(demand.context_tokens, min(demand.longest_context_tokens, likely))
    return replace(demand, context_tokens=context, computed_context_tokens=context, dealt_seats=seats)


def context_spread(demand: Demand) -> tuple[float, float]:
    """Mean and standard deviation of the contexts of a deployment's sessions at the peak."""
    mean = _mean(demand.members, [member.peak for member in demand.members])
    squares = sum(member.peak * (member.context_tokens - mean) ** 2 for member in demand.members)
    return mean, math.sqrt(squares / demand.peak)


def _mean(members: Sequence[Demand], sessions: Sequence[int]) -> float:
    return sum(member.context_tokens * count for member, count in zip(members, sessions, strict=True)) / sum(sessions)


def _mean_context(members: Sequence[Demand], sessions: Sequence[int]) -> int:
    return math.ceil(round(_mean(members, sessions), 6))


def _strictest(budgets: Iterable[float | None]) -> float | None:
    return min((budget for budget in budgets if budget is not None), default=None)


def _agent(name: str, members: Sequence[Demand]) -> Agent:
    """What the agents have in common, under the deployment's name; what is an agent's own stays with its demand."""
    agents = [member.agent for member in members]
    adapters = {adapter.name: adapter for agent in agents for adapter in agent.lora_adapters}
    roles = dict.fromkeys(agent.role for agent in agents if agent.role is not None)
    classes = {agent.latency_class for agent in agents}
    return agents[0].model_copy(
        update={
            "name": name,
            "role": next(iter(roles)) if len(roles) == 1 else None,
            "latency_class": next(word for word in _STRICTEST_FIRST if word in classes),
            "ttft_ms": None,
            "tpot_ms": None,
            "e2e_ms": None,
            "sessions": Sessions(
                concurrent=sum(member.concurrent for member in members), peak=sum(member.peak for member in members)
            ),
            "traffic": Traffic(ramp_s=min(member.ramp_s for member in members)),
            "interruptible": all(agent.interruptible for agent in agents),
            "fallback": None,
            "paid_fallback": None,
            "lora_adapters": tuple(adapters.values()),
        }
    )


def _shape(members: Sequence[Demand]) -> SessionShape:
    """The mean request and turn of all sessions together, and the longest of each that must be in time.

    Agents are weighed by the requests that their sessions of the peak make: one each time that an answer at the budget's pace,
    or at 50 ms a token, and the pause behind it are over. Contexts are weighed by the time that they are in the batch.
    """
    shapes = [member.shape for member in members]
    if all(shape == shapes[0] for shape in shapes):
        return shapes[0]
    requests = [requests_at_pace(member) for member in members]
    whole = sum(requests)
    turns = [rate / shape.requests_per_turn for rate, shape in zip(requests, shapes, strict=True)]
    generated = [rate * shape.output_tokens_per_request for rate, shape in zip(requests, shapes, strict=True)]
    per_turn = whole / sum(turns)

    def mean(values: Sequence[float], weights: Sequence[float]) -> float:
        return sum(value * weight for value, weight in zip(values, weights, strict=True)) / sum(weights)

    return SessionShape(
        last_turn_tokens=max(shape.last_turn_tokens for shape in shapes),
        expected_tokens=mean([shape.expected_tokens for shape in shapes], generated),
        requests_per_turn=per_turn,
        output_tokens_per_turn=max(shape.output_tokens_per_turn for shape in shapes),
        output_tokens_per_request=sum(generated) / whole,
        new_tokens_per_request=mean([shape.new_tokens_per_request for shape in shapes], requests),
        first_prompt_tokens=max(shape.first_prompt_tokens for shape in shapes),
        shared_tokens=int(mean([shape.shared_tokens for shape in shapes], [member.peak for member in members])),
        history_tokens=mean([shape.history_tokens for shape in shapes], requests),
        longest_history_tokens=max(shape.longest_history_tokens for shape in shapes),
        largest_new_tokens=max(shape.largest_new_tokens for shape in shapes),
        pause_s_per_turn=mean([shape.pause_s_per_turn for shape in shapes], turns),
    )


def requests_at_pace(member: Demand) -> float:
    """Requests a second of an agent's sessions at the peak, each of which pauses after its answer."""
    shape = member.shape
    tpot_ms = _TPOT_WITHOUT_BUDGET_MS if member.budget_tpot_ms is None else member.budget_tpot_ms
    answer_s = shape.output_tokens_per_request * tpot_ms / 1000
    return member.peak / (answer_s + shape.pause_s_per_turn / shape.requests_per_turn)
