"""What a deployment is asked for: its sessions, its budgets and its token rates, derived once from the spec.

A deployment is a model with its engine that serves one agent or several; what one agent asks for is derived here, and
``deployments`` puts the demands of several together.

Two demands are derived separately and the larger counts: the volume of the day (conversations per day x burst factor, spread
over 24 h or over the hours of the agent's schedule; or its work, over the time to the deadline) and the pace of the sessions
(sessions x tokens per turn / seconds per turn). Both sides of every comparison are the same kind of token: output against
output, uncached prompt against uncached prompt.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from agentgpu_iac.catalog.model import Model
from agentgpu_iac.planning.opening import Opening, opening_of, seconds_of_a_day, work_seconds
from agentgpu_iac.planning.thinking import UNKNOWN, ThinkingChoice
from agentgpu_iac.sizing import pooling
from agentgpu_iac.sizing.conversation import SessionShape, request_shape, session_shape, uncached_tokens_per_request
from agentgpu_iac.sizing.kv_cache import KV_BLOCK_TOKENS
from agentgpu_iac.sizing.pauses import user_s
from agentgpu_iac.spec.model import Agent, Latency, Requests
from agentgpu_iac.spec.vocabulary import LatencyClass, Precision
from agentgpu_iac.units import round_up

_CLASS_BUDGETS_MS: dict[LatencyClass, tuple[float | None, float | None]] = {
    "voice": (200.0, 50.0),
    "chat": (500.0, 50.0),
    "background": (None, None),
}
"""(TTFT, TPOT) of each latency class."""


TPOT_OF_WORK_MS = 50.0
"""Pace of the answers by which the sessions of work follow from its rate, where it has no TPOT budget (an assumption: that of
the voice and chat classes)."""


def budgets_ms(agent: Agent) -> tuple[float | None, float | None, float | None]:
    """(TTFT, TPOT, whole answer) that an agent may take: its own, else those of its class."""
    ttft, tpot = _CLASS_BUDGETS_MS[agent.latency_class]
    return (
        agent.ttft_ms if agent.ttft_ms is not None else ttft,
        agent.tpot_ms if agent.tpot_ms is not None else tpot,
        agent.e2e_ms,
    )


SEATS_FOR_VOLUME = 256
"""Seats that one replica may be given where a daily volume asks for more throughput than the stated sessions would
make; memory and latency allow fewer if they must. An engine's default."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """Sub-agents that one agent starts: sessions and turns that follow from its own."""

    by: str
    count: int
    """At once: they ask together."""
    per_s: float
    """Sub-agents started in a second."""
    per_s_peak: float
    session_s: float
    """How long one is there; 0: as long as the session that started it."""
    sessions: float
    """Held on average."""
    sessions_peak: float
    most_peak: int
    """Of all callers' sessions once each."""
    turns_per_s: float
    turns_per_s_peak: float
    ramp_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Demand:
    """A deployment's demand. Token rates are per second; ``*_peak`` includes the burst."""

    agent: Agent
    """The agent; of a deployment that serves several, what they have in common under the deployment's name."""
    model: Model
    draft: Model | None
    """The draft model of speculative decoding, where the catalog holds it."""
    precision: Precision
    thinking: ThinkingChoice
    """Whether the model thinks; its tokens are in the shape."""
    shape: SessionShape
    user_facing: bool
    concurrent: int
    """Sessions that need a seat at normal load."""
    peak: int
    """The same at the peak."""
    most_seats: int
    """The most seats that one replica is given."""
    budget_ttft_ms: float | None
    budget_tpot_ms: float | None
    budget_e2e_ms: float | None
    context_tokens: int
    computed_context_tokens: int
    turns_per_s: float
    turns_per_s_peak: float
    quantile: float = 0.99
    """Share of the time for which no more requests are generated at once than planned."""
    percentile: float = 95.0
    """Part of the requests, in percent, for which the budgets of TTFT and TPOT hold."""
    margin: float = 0.0
    """Room below those budgets, as a part of the planned figure."""
    load: pooling.Load | None = None
    """What its requests bring, where its model generates nothing: it then holds no sessions."""
    longest_input_tokens: int = 0
    """The longest input that such a model is given."""
    started: tuple[Started, ...] = ()
    """Who starts it as a sub-agent, and what comes of that; part of its sessions and turns."""
    ramp_s: float = 0.0
    """Seconds from normal load to the peak: of the agent, or of the one that asks it and climbs fastest."""
    opening: Opening | None = None
    """The hours in which it runs; None: around the clock. Rates are those of these hours."""
    members: tuple[Demand, ...] = ()
    """What each of the agents asks for, where the deployment serves several; empty: it serves the one."""
    dealt_seats: int | None = None
    """Seats of the replicas over which chance deals sessions of several agents, for whom ``context_tokens`` is then enough;
    None: all are on one replica, or all contexts are alike."""

    @property
    def name(self) -> str:
        """Name of the deployment: the agent's own where it serves one."""
        return self.agent.name

    @property
    def served(self) -> tuple[Demand, ...]:
        """What each agent asks for."""
        return self.members or (self,)

    @property
    def longest_context_tokens(self) -> int:
        """Context of its longest sessions."""
        return max(self.context_tokens, *(member.context_tokens for member in self.served))

    @property
    def longest_asked(self) -> int:
        """The longest sequence that the engine is asked to take: a session, or the length that is set by hand."""
        return max(self.longest_context_tokens, self.agent.overrides.max_model_len or 0, self.longest_input_tokens)

    @property
    def stated_prefix_hit_ratio(self) -> float | None:
        """Share of earlier context that the spec says is found in the prefix cache: the least that it says of any agent."""
        stated = [member.agent.conversation.prefix_hit_ratio for member in self.served]
        return min((ratio for ratio in stated if ratio is not None), default=None)

    @property
    def requests_per_conversation(self) -> float:
        """Requests to the engine in a conversation, on average over those of the peak's sessions."""
        each = [member.agent.conversation.turns * member.shape.requests_per_turn for member in self.served]
        sessions = [member.peak for member in self.served]
        return sum(requests * count for requests, count in zip(each, sessions, strict=True)) / sum(sessions)

    @property
    def most_requests_per_conversation(self) -> float:
        """Requests to the engine in the conversation that has most."""
        return max(member.agent.conversation.turns * member.shape.requests_per_turn for member in self.served)

    @property
    def turns_per_asked(self) -> int:
        """Turns of one conversation; 1 where requests are counted, since nothing is generated."""
        return 1 if self.load is not None else self.agent.conversation.turns

    @property
    def normal_ratio(self) -> float:
        """Normal load over the peak."""
        if self.load is not None:
            return self.turns_per_s / self.turns_per_s_peak
        return self.concurrent / self.peak

    @property
    def pause_s(self) -> float:
        """Between two requests of a session: its user thinks, or its tool runs."""
        return self.shape.pause_s_per_turn / self.shape.requests_per_turn

    @property
    def together(self) -> int:
        """Sessions that ask at the same moments, since they were started together."""
        return max((each.count for member in self.served for each in member.started), default=1)

    @property
    def shared_kv_tokens(self) -> int:
        """Prefix that a replica holds once; none where memory is stated for each session, and what is shared is not.

        Of sessions of several agents the mean one, by which each of them holds less for itself.
        """
        if self.members:
            held = sum(member.peak * member.shared_kv_tokens for member in self.members) / self.peak
            return int(held) // KV_BLOCK_TOKENS * KV_BLOCK_TOKENS
        talk, by_hand = self.agent.conversation, self.agent.overrides.context_tokens
        for_each = talk.max_context_tokens is not None or by_hand is not None
        return 0 if for_each and talk.shared_prefix_tokens is None else self.shape.shared_tokens

    @property
    def other_prefix_kv_tokens(self) -> int:
        """What is held once beyond that: each agent has a prefix of its own."""
        return sum(member.shared_kv_tokens for member in self.members) - self.shared_kv_tokens if self.members else 0

    def climbed(self, after_s: float) -> float:
        """How much of the way from normal load to the peak is behind so many seconds after a burst began: it climbs evenly."""
        rises = [member.peak - member.concurrent for member in self.members]
        if sum(rises):
            ways = [rise * member.climbed(after_s) for rise, member in zip(rises, self.members, strict=True)]
            return sum(ways) / sum(rises)
        return 1.0 if self.ramp_s <= after_s else after_s / self.ramp_s

    def requests_per_s(self, *, peak: bool) -> float:
        """Calls of the engine in a second, at normal load or at the peak."""
        if self.members:
            return sum(member.requests_per_s(peak=peak) for member in self.members)
        return (self.turns_per_s_peak if peak else self.turns_per_s) * self.shape.requests_per_turn

    def output_tokens_per_s(self, *, peak: bool) -> float:
        """Tokens to be generated in a second."""
        if self.members:
            return sum(member.output_tokens_per_s(peak=peak) for member in self.members)
        override = self.agent.overrides.required_output_tokens_per_s
        if override is not None:
            return override if peak else override * self.normal_ratio
        return self.requests_per_s(peak=peak) * self.shape.output_tokens_per_request

    def prefill_tokens_per_s(self, prefix_hit_ratio: float, *, peak: bool) -> float:
        """Prompt tokens to be read in a second, the cached ones left out."""
        if self.members:
            return sum(member.prefill_tokens_per_s(prefix_hit_ratio, peak=peak) for member in self.members)
        override = self.agent.overrides.required_prefill_tokens_per_s
        if override is not None:
            return override if peak else override * self.normal_ratio
        return self.requests_per_s(peak=peak) * uncached_tokens_per_request(self.shape, prefix_hit_ratio)

    def asked_per_s(self, prefix_hit_ratio: float, *, peak: bool) -> float:
        """Requests in a second that the token rates stand for: those of the sessions and the daily volume, or set by hand."""
        if self.members:
            return sum(member.asked_per_s(prefix_hit_ratio, peak=peak) for member in self.members)
        rates = [self.output_tokens_per_s(peak=peak) / self.shape.output_tokens_per_request]
        uncached = uncached_tokens_per_request(self.shape, prefix_hit_ratio)
        if uncached > 0:
            rates.append(self.prefill_tokens_per_s(prefix_hit_ratio, peak=peak) / uncached)
        return max(rates)


def peak_sessions(agent: Agent) -> int:
    """The most sessions at once: stated, or concurrent x burst factor, rounded up."""
    if agent.sessions.peak is not None:
        return agent.sessions.peak
    return math.ceil(round(agent.sessions.concurrent * agent.traffic.burst_factor, 6))


def _seconds_per_turn(shape: SessionShape, ttft_ms: float, tpot_ms: float) -> float:
    """One turn of a session that is served just within its budgets."""
    generating = (shape.requests_per_turn * ttft_ms + shape.output_tokens_per_turn * tpot_ms) / 1000
    return shape.pause_s_per_turn + generating


def demand(
    agent: Agent,
    model: Model,
    draft: Model | None = None,
    thinking: ThinkingChoice = UNKNOWN,
    latency: Latency | None = None,
    callers: Mapping[str, Demand] = MappingProxyType({}),
    quantile: float = 0.99,
) -> Demand:
    """Derive the demand of one agent. ``callers`` are the demands of agents that may ask or start it, by name.

    A background agent has no pace of its own (it takes what it gets), so only its daily volume counts. For the
    others a turn takes the think and tool time plus an answer that just meets the budgets.
    """
    latency = latency or Latency()
    if agent.requests is not None:
        return _of_requests(agent, agent.requests, model, latency, callers)
    shape = session_shape(agent.conversation)
    ttft, tpot, _ = budgets_ms(agent)
    started = tuple(_started(agent, shape, callers, ttft, tpot))
    concurrent, peak = _sessions(agent, started)
    daily = agent.traffic.conversations_per_day
    volume = _turns_of_work(agent, shape)
    if agent.work is not None:
        concurrent = peak = max(1, math.ceil(volume * _seconds_per_turn(shape, ttft or 0.0, tpot or TPOT_OF_WORK_MS)))
    elif daily is not None:
        volume = daily * agent.conversation.turns / seconds_of_a_day(agent)
    pace, pace_peak = 0.0, 0.0
    if ttft is not None and tpot is not None:
        seconds = _seconds_per_turn(shape, ttft, tpot)
        own, own_peak = _own_sessions(agent, started)
        pace, pace_peak = own / seconds, own_peak / seconds
    ramps = [each.ramp_s for each in started] + ([agent.traffic.ramp_s] if _own_sessions(agent, started)[0] else [])
    asked, asked_peak = sum(each.turns_per_s for each in started), sum(each.turns_per_s_peak for each in started)
    computed = agent.conversation.max_context_tokens or shape.last_turn_tokens
    return Demand(
        agent=agent,
        model=model,
        draft=draft,
        precision=agent.precision or model.native_precision,
        thinking=thinking,
        shape=shape,
        user_facing=agent.latency_class != "background",
        concurrent=concurrent,
        peak=peak,
        most_seats=peak if not volume and not started else max(peak, SEATS_FOR_VOLUME),
        budget_ttft_ms=ttft,
        budget_tpot_ms=tpot,
        budget_e2e_ms=agent.e2e_ms,
        context_tokens=agent.overrides.context_tokens or computed,
        computed_context_tokens=computed,
        turns_per_s=max(volume, pace) + asked,
        turns_per_s_peak=max(volume * agent.traffic.burst_factor, pace_peak) + asked_peak,
        quantile=quantile,
        percentile=latency.percentile,
        margin=latency.margin or 0.0,
        started=started,
        ramp_s=min(ramps),
        opening=opening_of(agent),
    )


def _turns_of_work(agent: Agent, shape: SessionShape) -> float:
    """Turns in a second that have its work done by the deadline."""
    work = agent.work
    if work is None:
        return 0.0
    if work.requests is not None:
        return work.requests / shape.requests_per_turn / work_seconds(agent)
    return (work.tokens or 0) / shape.output_tokens_per_turn / work_seconds(agent)


def _own_sessions(agent: Agent, started: Sequence[Started]) -> tuple[int, int]:
    """Sessions at normal load and at the peak that nobody of the stack starts: none of a sub-agent whose spec names none."""
    if started and "sessions" not in agent.model_fields_set:
        return 0, 0
    return agent.sessions.concurrent, peak_sessions(agent)


def _sessions(agent: Agent, started: Sequence[Started]) -> tuple[int, int]:
    """All sessions at normal load and at the peak: of sub-agents at least all that are started together."""
    own, own_peak = _own_sessions(agent, started)
    together = max((each.count for each in started), default=0)
    concurrent = own + max(together, math.ceil(sum(each.sessions for each in started) - _ROUNDING))
    peak = own_peak + max(together, math.ceil(sum(each.sessions_peak for each in started) - _ROUNDING))
    return concurrent, max(concurrent, peak)


def _started(
    agent: Agent, shape: SessionShape, callers: Mapping[str, Demand], ttft_ms: float | None, tpot_ms: float | None
) -> Iterator[Started]:
    """What follows from the agents that start it.

    A sub-agent with a context of its own is there for a conversation: its turns, of which the last one is followed by no
    thought. By Little's law so many are held as are started in that time, and never more than its callers, which wait for
    them, have started once each. Others stay with the session that started them.
    """
    turns = agent.conversation.turns
    session_s = turns * _seconds_per_turn(shape, ttft_ms or 0.0, tpot_ms or 0.0) - user_s(agent.conversation)
    for caller in callers.values():
        for fan in caller.agent.fan_out:
            if fan.agent != agent.name:
                continue
            per_s, per_s_peak = (
                each * fan.per_turn * fan.count for each in (caller.turns_per_s, caller.turns_per_s_peak)
            )
            most, most_peak = caller.concurrent * fan.count, caller.peak * fan.count
            fresh = fan.fresh_context
            yield Started(
                by=caller.agent.name,
                count=fan.count,
                per_s=per_s,
                per_s_peak=per_s_peak,
                session_s=session_s if fresh else 0.0,
                sessions=min(most, per_s * session_s) if fresh else most,
                sessions_peak=min(most_peak, per_s_peak * session_s) if fresh else most_peak,
                most_peak=most_peak,
                turns_per_s=per_s * (turns if fresh else 1),
                turns_per_s_peak=per_s_peak * (turns if fresh else 1),
                ramp_s=caller.ramp_s,
            )


_ROUNDING = 1e-6
LONGEST_INPUT_TOKENS = 8_192
"""The longest input of a model that takes longer ones, where nobody says: as long as most embedding models take."""


def _of_requests(
    agent: Agent, requests: Requests, model: Model, latency: Latency, callers: Mapping[str, Demand]
) -> Demand:
    """The demand of an agent whose model generates nothing: a rate of inputs, and no seat that anybody keeps.

    A request that is answered whole has one budget: that of the class's first token, or the one set by hand.
    """
    tokens, each = requests.input_tokens, requests.inputs_per_request
    class_ttft, _ = _CLASS_BUDGETS_MS[agent.latency_class]
    own = requests.per_s or 0.0
    if agent.work is not None:
        own = (agent.work.requests or (agent.work.tokens or 0) / (tokens * each)) / work_seconds(agent)
    asking = [(callers[each.agent], each.per_turn) for each in requests.callers]
    ramps = [found.agent.traffic.ramp_s for found, _ in asking] + ([agent.traffic.ramp_s] if own else [])
    longest = requests.longest_input_tokens or max(tokens, min(LONGEST_INPUT_TOKENS, model.max_context_tokens))
    return Demand(
        agent=agent,
        model=model,
        draft=None,
        precision=agent.precision or model.native_precision,
        thinking=UNKNOWN,
        shape=request_shape(tokens, each),
        user_facing=agent.latency_class != "background",
        concurrent=0,
        peak=0,
        most_seats=SEATS_FOR_VOLUME,
        budget_ttft_ms=None,
        budget_tpot_ms=None,
        budget_e2e_ms=class_ttft if agent.e2e_ms is None else agent.e2e_ms,
        context_tokens=tokens,
        computed_context_tokens=tokens,
        turns_per_s=own + sum(found.turns_per_s * per_turn for found, per_turn in asking),
        turns_per_s_peak=own * agent.traffic.burst_factor
        + sum(found.turns_per_s_peak * per_turn for found, per_turn in asking),
        percentile=latency.percentile,
        margin=latency.margin or 0.0,
        load=pooling.Load(
            inputs_per_request=each,
            input_tokens=tokens,
            most_seats=agent.overrides.max_num_seqs or SEATS_FOR_VOLUME,
        ),
        longest_input_tokens=longest,
        ramp_s=min(ramps),
        opening=opening_of(agent),
    )


def asking_order(agents: Sequence[Agent]) -> Iterator[str]:
    """Names of the agents: each after those that start it, and what generates nothing at the end."""
    left = {agent.name: agent for agent in agents if agent.requests is None}
    while left:
        started = {fan.agent for agent in left.values() for fan in agent.fan_out}
        free = [name for name in left if name not in started] or list(left)
        for name in free:
            yield name
            del left[name]
    yield from (agent.name for agent in agents if agent.requests is not None)


def wanted_model_len(demand: Demand) -> int:
    """The engine's longest sequence: the stated context; else twice the planned one, so that a long talk is not cut."""
    if demand.members:
        return max(wanted_model_len(member) for member in demand.members)
    if demand.load is not None:
        return min(demand.longest_input_tokens, demand.model.max_context_tokens)
    stated = demand.agent.conversation.max_context_tokens
    wanted = stated if stated is not None else round_up(2 * demand.context_tokens, 1024)
    return min(max(wanted, demand.context_tokens), demand.model.max_context_tokens)
