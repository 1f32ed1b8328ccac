"""A plan under traffic, from its sessions or from a trace: sets a fleet up, lets it run, and reports."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from random import Random

from agentgpu_iac.errors import BadInput, Infeasible
from agentgpu_iac.plan import AgentPlan, Plan, Workload, tiers_by_agent
from agentgpu_iac.simulation.deployment import Deployment
from agentgpu_iac.simulation.fleet import Fleet
from agentgpu_iac.simulation.measures import AgentMeasures
from agentgpu_iac.simulation.mishaps import NOTHING, Mishaps, Run
from agentgpu_iac.simulation.opening import OfficeClock, Windows, is_weekly
from agentgpu_iac.simulation.outcome import SimulationAnswer
from agentgpu_iac.simulation.profiles import CRON_EVERY_S, CRON_WITHIN_S, HOURS, Point, Traffic, crossings
from agentgpu_iac.simulation.reporting import report
from agentgpu_iac.simulation.sessions import Ask, Session, Talk, TurnClass
from agentgpu_iac.simulation.traces import Trace, TraceRequest
from agentgpu_iac.simulation.volume import session_counts, sessions_over_time
from agentgpu_iac.units import counted

_MOST_WARM_UP_S = 900.0
"""Longest time in which sessions begin one after another before anything is measured."""
_LEAST_WARM_UP_S = 60.0
MOST_HOURS = 24.0 * 7
"""Longest time that is simulated: a week."""
_ROUNDING_S = 1e-6
_MOST_SENT = 10_000_000
"""Requests of a trace that are sent: about a quarter of an hour of one core."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Simulation:
    """What is asked."""

    traffic: Traffic = "bursty"
    """Shape of the sessions' number over time; without a trace."""
    trace: Trace | None = None
    """Requests of a trace, in place of the plan's sessions."""
    trace_agent: str | None = None
    """Agent that the trace's requests are for; None: the plan's only one."""
    requests_per_s: float | None = None
    """Mean rate to which a trace is brought; None: that of the agent's sessions at normal load."""
    hours: float | None = None
    """Time that is measured; None: the traffic's own, or the trace's."""
    seed: int = 1
    mishaps: Mishaps = NOTHING
    """What befalls the fleet beside it."""
    enough: Callable[[Mapping[str, AgentMeasures]], bool] | None = None
    """Asked of the sessions' requests whenever Prometheus looks: whether what was counted by then is enough. The simulation ends
    there, and its answer is of that part alone."""


Progress = Callable[[float], None]
"""Told the part of the time that has passed."""


def simulate(plan: Plan, asked: Simulation, progress: Progress | None = None) -> SimulationAnswer:
    """Simulate the plan.

    Raises:
        BadInput: the question has no answer for this plan.
        Infeasible: nothing of the plan can be simulated, or more is asked of it than is ever answered.
    """
    agents, warnings = _simulated(plan, has_clock=asked.trace is None and asked.traffic == "office-day")
    tiers = tiers_by_agent(plan.workloads)
    names = {agent.deployment for agent in agents}
    deployments = {
        name: Deployment(plan, tiers[name], asked.seed, shared={} if asked.trace else _shared(agents, name))
        for name in tiers
        if name in names
    }
    measures = {agent.name: AgentMeasures(agent) for agent in agents}
    if asked.trace is None:
        return _on_sessions(plan, asked, agents, deployments, measures, warnings, progress)
    return _on_trace(plan, asked, asked.trace, deployments, measures, warnings, progress)


def _simulated(plan: Plan, *, has_clock: bool) -> tuple[list[AgentPlan], list[str]]:
    """Agents that can be simulated, and why others are not."""
    tiers = tiers_by_agent(plan.workloads)
    found, warnings = [], []
    for agent in plan.served_agents:
        without = [tier.name for tier in tiers[agent.deployment] if tier.step_times is None]
        if without:
            warnings.append(f"{agent.name} is left out: the plan holds no step times of {', '.join(without)}")
        elif agent.talk is None:
            warnings.append(f"{agent.name} is left out: its model generates nothing, or the plan is of before")
        else:
            found.append(agent)
    if not found:
        hint = "; plan again with this version" if all(each.step_times is None for each in plan.workloads) else ""
        raise Infeasible(f"{plan.stack}: nothing can be simulated{hint}\n" + "\n".join(warnings))
    shown = {agent.deployment for agent in found}
    for name, workloads in tiers.items():
        hours = workloads[0].open_hours
        if name in shown and hours is not None and not has_clock:
            warnings.append(
                f"{name}: this traffic has no clock, so its schedule's hours are taken to be open all the time"
            )
        elif name in shown and hours is not None and not Windows(hours).spans(HOURS["office-day"]):
            warnings.append(f"{name}: its schedule is closed from 08:00 to 18:00 on a Monday, so nothing is sent to it")
        scheduled = () if (scaling := workloads[-1].scaling) is None else scaling.schedules
        if name in shown and scheduled and not has_clock:
            warnings.append(f"{name}: this traffic has no clock, so no burst replicas come by their schedule")
        elif name in shown and not all(map(is_weekly, scheduled)):
            warnings.append(
                f"{name}: an office day has no date, so burst replicas of days of the month or of months do not come by it"
            )
        if name in shown and workloads[0].attention_data_parallel_size > 1:
            warnings.append(f"{name}: attention groups are counted as one pool of seats and cache")
    return found, warnings


def _shared(agents: Sequence[AgentPlan], deployment: str) -> dict[str, int]:
    """The prefix that each agent's sessions share at a deployment, where they do."""
    found = {agent.name: Talk(agent).shared_tokens for agent in agents if agent.deployment == deployment}
    return {name: tokens for name, tokens in found.items() if tokens}


class _Slots:
    """Sessions of the plan: a slot is a user who has one conversation after another while there is room for him."""

    def __init__(self, fleet: Fleet, talks: dict[str, Talk], seed: int) -> None:
        self._fleet = fleet
        self._talks = talks
        self._seed = seed
        self._open: set[tuple[str, int]] = set()
        self._rounds: dict[tuple[str, int], int] = {}

    def opens(self, key: tuple[str, int]) -> None:
        if key in self._rounds:
            self._open.add(key)
            return  # his conversation of before still goes on
        self._open.add(key)
        self._rounds[key] = self._rounds.get(key, 0)
        self._begin(key)

    def closes(self, key: tuple[str, int]) -> None:
        self._open.discard(key)

    def follow(self, session: Session) -> None:
        """A conversation is over: the slot's next one begins, if the slot is still open."""
        key = (session.agent, session.slot)
        if session.slot < 0:
            return
        if key not in self._open:
            self._rounds.pop(key, None)
            return
        self._rounds[key] += 1
        self._begin(key)

    def _begin(self, key: tuple[str, int]) -> None:
        if key not in self._open:
            self._rounds.pop(key, None)
            return
        agent, slot = key
        self._fleet.begin(self._talks[agent].session(f"{self._seed}/{key}/{self._rounds[key]}", slot))

    def cron(self, batch: tuple[str, int, int]) -> None:
        """So many conversations begin within a minute."""
        agent, number, count = batch
        chance = Random(f"{self._seed}/{agent}/cron/{number}")
        for each in range(count):
            session = self._talks[agent].session(f"{self._seed}/{agent}/cron/{number}/{each}")
            self._fleet.at(self._fleet.now_ms + chance.random() * CRON_WITHIN_S * 1000, self._fleet.begin, session)


def _on_sessions(
    plan: Plan,
    asked: Simulation,
    agents: Sequence[AgentPlan],
    deployments: dict[str, Deployment],
    measures: dict[str, AgentMeasures],
    warnings: list[str],
    progress: Progress | None,
) -> SimulationAnswer:
    hours = HOURS[asked.traffic] if asked.hours is None else asked.hours
    talks = {agent.name: Talk(agent) for agent in agents}
    longest_s = max(_conversation_s(deployments[agent.deployment].baseline) for agent in agents)
    warm_s = _LEAST_WARM_UP_S if asked.traffic == "flash" else max(_LEAST_WARM_UP_S, min(_MOST_WARM_UP_S, longest_s))
    slots: _Slots
    fleet = Fleet(
        plan,
        deployments,
        measures,
        Run(
            warm_ms=warm_s * 1000,
            end_ms=(warm_s + hours * 3600) * 1000,
            seed=asked.seed,
            mishaps=asked.mishaps,
            clock=OfficeClock(warm_ms=warm_s * 1000) if asked.traffic == "office-day" else None,
        ),
        progress=progress,
        enough=asked.enough,
        follow=lambda session: slots.follow(session),  # noqa: PLW0108 - they need the fleet
    )
    slots = _Slots(fleet, talks, asked.seed)
    fleet.children(lambda agent, turns, seed: talks[agent].session(f"{seed}", turns=turns))
    started = {each.agent for agent in agents if agent.talk is not None for each in agent.talk.fan_out}
    for agent in agents:
        normal, peak = session_counts(agent, deployments[agent.deployment].baseline, is_started=agent.name in started)
        points = sessions_over_time(agent, deployments[agent.deployment].baseline, asked.traffic, (normal, peak), hours)
        chance = Random(f"{asked.seed}/{agent.name}/begin")
        for at_s, slot, opens in _from_the_start(points):
            when_s = warm_s + at_s if at_s else warm_s * chance.random()
            fleet.at(when_s * 1000, slots.opens if opens else slots.closes, (agent.name, slot))
        if asked.traffic == "cron" and peak > normal:
            for number in range(int(hours * 3600 / CRON_EVERY_S)):
                when_s = warm_s + number * CRON_EVERY_S + CRON_EVERY_S / 2
                fleet.at(when_s * 1000, slots.cron, (agent.name, number, round(peak - normal)))
    fleet.run()
    return report(
        plan,
        asked.traffic,
        hours,
        warm_s,
        asked.seed,
        deployments=deployments,
        measures=measures,
        warnings=warnings,
    )


def _from_the_start(points: tuple[Point, ...]) -> Iterable[tuple[float, int, bool]]:
    """The slots that are open at the start, then every change."""
    yield from ((0.0, slot, True) for slot in range(_whole(points[0].sessions)))
    yield from crossings(points)


def _whole(sessions: float) -> int:
    return int(-(-(sessions - 1e-9) // 1))


def _conversation_s(workload: Workload) -> float:
    return _LEAST_WARM_UP_S if workload.pace is None else workload.pace.conversation_s


def _on_trace(
    plan: Plan,
    asked: Simulation,
    trace: Trace,
    deployments: dict[str, Deployment],
    measures: dict[str, AgentMeasures],
    warnings: list[str],
    progress: Progress | None,
) -> SimulationAnswer:
    agent = _agent_of_trace(asked, measures)
    baseline = deployments[agent.deployment].baseline
    hours = trace.span_s / 3600 if asked.hours is None else asked.hours
    rate = asked.requests_per_s
    if rate is None:
        rate = _normal_rate(agent, baseline) or trace.requests_per_s
    if rate * hours * 3600 > _MOST_SENT:
        message = (
            f"makes {counted(rate * hours * 3600, 'request', ',.0f')} in {hours:g} h, and {_MOST_SENT:,} are "
            "the most that is simulated"
        )
        raise BadInput.one("--request-rate", message, hint="write a lower one, or a lower --hours")
    sent = _Sent(trace, Talk(agent), rate, baseline.max_model_len, asked.seed, hours * 3600)
    fleet = Fleet(
        plan,
        deployments,
        measures,
        Run(warm_ms=0.0, end_ms=hours * 3_600_000, seed=asked.seed, mishaps=asked.mishaps),
        progress=progress,
    )
    fleet.run(sent.sessions(agent.name))
    if sent.cut:
        were = "was" if sent.cut == 1 else "were"
        warnings.append(
            f"{counted(sent.cut, 'request')} longer than maxModelLen ({baseline.max_model_len:,}) {were} cut"
        )
    name = f"{trace.source} at {rate:.3g} requests/s"
    shown = {agent.name: measures[agent.name]}
    return report(
        plan,
        name,
        hours,
        0.0,
        asked.seed,
        deployments={agent.deployment: deployments[agent.deployment]},
        measures=shown,
        warnings=warnings,
    )


def _agent_of_trace(asked: Simulation, measures: dict[str, AgentMeasures]) -> AgentPlan:
    if asked.trace_agent is not None and asked.trace_agent not in measures:
        known = ", ".join(measures)
        raise BadInput.one(
            "--agent", f"no agent {asked.trace_agent!r} can be simulated", hint=f"those that can: {known}"
        )
    if asked.trace_agent is None and len(measures) > 1:
        message = "a trace is of one agent, and the plan has several"
        raise BadInput.one("--agent", message, hint=f"write one of {', '.join(measures)}")
    return measures[asked.trace_agent or next(iter(measures))].agent


def _normal_rate(agent: AgentPlan, baseline: Workload) -> float:
    """Requests a second of an agent's sessions at normal load."""
    pace = baseline.pace
    if pace is None:
        return 0.0
    normal, _ = session_counts(agent, baseline, is_started=False)
    return normal / (pace.request_s + pace.pause_s)


class _Sent:
    """A trace brought to a rate: each request is sent as often as the rates' ratio says, copies within a second of it; at its
    end it begins anew.
    """

    def __init__(self, trace: Trace, talk: Talk, rate: float, most_tokens: int, seed: int, span_s: float) -> None:
        self.cut = 0
        self._talk = talk
        self._seed = seed
        self._trace = trace
        self._copies = rate / trace.requests_per_s
        self._most = most_tokens
        self._chance = Random(f"{seed}/trace")
        self._span_s = span_s
        self._context: dict[tuple[int, int], int] = {}

    def sessions(self, agent: str) -> Iterable[tuple[float, Session]]:
        """(time in ms, a session of one request), in the order of time."""
        trace, chance = self._trace, self._chance
        later: list[tuple[float, int, Session]] = []
        """Copies that come after the next request of the trace."""
        passed, count = 0.0, 0
        whole = int(self._copies)
        part = self._copies - whole
        while passed < self._span_s - _ROUNDING_S:
            for each in trace.requests:
                at_s = passed + each.at_s
                if at_s > self._span_s + _ROUNDING_S:
                    break
                while later and later[0][0] <= at_s * 1000:
                    when_ms, _, session = heapq.heappop(later)
                    yield when_ms, session
                copies = whole + (chance.random() < part)
                if copies == 1 and not later:
                    count += 1
                    yield at_s * 1000, self._session(agent, each, 0)
                    continue
                for copy in range(copies):
                    late_s = chance.random() if copy else 0.0
                    count += 1
                    heapq.heappush(later, ((at_s + late_s) * 1000, count, self._session(agent, each, copy)))
            passed += trace.span_s
        while later:
            when_ms, _, session = heapq.heappop(later)
            yield when_ms, session

    def _session(self, agent: str, each: TraceRequest, copy: int) -> Session:
        if not each.prompt_tokens:
            session = self._talk.session(f"{self._seed}/{each.session}/{copy}", turns=1)
            session.asks = session.asks[:1]
            return session
        output = max(1, min(each.output_tokens, self._most - 1))
        prompt = min(each.prompt_tokens, self._most - output)
        self.cut += (prompt, output) != (each.prompt_tokens, each.output_tokens)
        history = min(each.shared_tokens, max(0, prompt - 1))
        kind: TurnClass = "later" if history else "first"
        session = Session(agent, (Ask(kind, prompt - history, output, prompt - history + output, 0.0),), 0)
        session.context_tokens = history
        session.key = (each.session * 2654435761 + copy * 40503) & 0xFFFFFFFF
        return session
