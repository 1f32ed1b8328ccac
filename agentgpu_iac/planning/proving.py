"""Plan until it holds: the fleet is simulated, and what is planned is changed where a budget breaks, cheapest first.

First what costs nothing by itself: how many may wait at a replica where requests were refused, and how full replicas are when
another is asked for, which is the lead of the next one. Then burst replicas where all of them ran, and warm ones. At last warm
replicas go again, as long as all holds. What the spec sets stays. Everything is written into the spec and planned by the
planner, so that limits, memory and prices follow; the cheapest plan that was found to hold is kept.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Final, Literal

from agentgpu_iac.catalog.store import Catalog
from agentgpu_iac.errors import Infeasible
from agentgpu_iac.plan import NinePlan, Plan, ProofPlan, Workload
from agentgpu_iac.planning.levers.asking import Asked
from agentgpu_iac.planning.levers.changes import place, written
from agentgpu_iac.simulation.outcome import AgentOutcome, SimulationAnswer
from agentgpu_iac.simulation.profiles import HOURS, Traffic
from agentgpu_iac.simulation.simulate import Simulation, simulate
from agentgpu_iac.spec.loader import LoadedStack
from agentgpu_iac.spec.yaml_tree import Data, Steps
from agentgpu_iac.units import rounded

SEEDS: Final = (1, 2, 3)
NINES: Final = (0.9, 0.99, 0.999, 0.9999)
_T: Final = {2: 12.706, 3: 4.303, 4: 3.182, 5: 2.776}
"""Student's t for a two-sided interval of 95 %, by the number of seeds."""
_MOST_PLANS: Final = 24
"""Plans that are tried for one share of the requests, at most."""
_MORE: Final = 1.25
"""How many times the replicas where a budget breaks, one more at least."""
_WAITING: Final = (2, 4)
"""How many times the planned queue is tried where requests are refused."""
_UTILIZATION: Final = (0.5, 0.3)
"""How full replicas may be when another is asked for, after what is planned."""
_CENT: Final = Decimal("0.01")

Knob = Literal["baselineReplicas", "burstReplicas", "maxWaitingRequests", "utilizationRatio"]
Changes = Mapping[tuple[Knob, str], int | float]
"""(knob, deployment; none for the stack's own) -> figure."""
Progress = Callable[[int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is to be proven."""

    traffic: Traffic = "bursty"
    hours: float | None = None
    seeds: tuple[int, ...] = SEEDS
    wanted_ratio: float | None = None
    """Share of the requests that must be within their budgets; None: the plan's own percentile."""
    nines: tuple[float, ...] = ()
    """Shares whose cost is told beside it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Tried:
    changes: Changes
    plan: Plan
    answers: tuple[SimulationAnswer, ...]

    def lows(self, wanted: float | None) -> Iterator[tuple[str, float]]:
        """(deployment, how far the lower end of the interval lies above what is wanted; -1 more where requests were lost)."""
        for number, agent in enumerate(self.answers[0].agents):
            found = [answer.agents[number] for answer in self.answers]
            low, _ = _interval([_smaller(each) for each in found])
            lost = any(each.lost for each in found)
            yield agent.deployment, (1.0 if low is None else low) - _wanted(agent, wanted) - lost

    def broken(self, wanted: float | None) -> set[str]:
        """Deployments where a budget breaks."""
        return {deployment for deployment, over in self.lows(wanted) if over < 0}

    def margin(self, wanted: float | None) -> float:
        """How far it is from holding: 0 where it does."""
        return math.fsum(min(0.0, over) for _, over in self.lows(wanted))

    @property
    def usd_per_hour(self) -> Decimal:
        """An hour of the traffic, burst and all; the seeds' mean."""
        usd = sum((each.usd for answer in self.answers for each in answer.deployments), Decimal(0))
        return usd / Decimal(repr(math.fsum(answer.hours for answer in self.answers)))

    @property
    def usd_per_month(self) -> Decimal:
        """The warm part."""
        return self.plan.cost.baseline_usd_per_month


def proven(
    loaded: LoadedStack, catalog: Catalog, question: Question | None = None, progress: Progress | None = None
) -> Plan:
    """The cheapest plan that was found to hold, with its proof; the nearest one where none holds.

    Raises:
        Infeasible: nothing can be planned, or nothing of it simulated.
    """
    question = question or Question()
    search = _Search(Asked(loaded=loaded, catalog=catalog), question, progress)
    best = search.found(question.wanted_ratio)
    nines = tuple(_nines(search, question.nines)) if question.nines else ()
    return best.plan.model_copy(update={"proof": tuple(search.proofs(best)), "nines": nines})


def _nines(search: _Search, wanted: Sequence[float]) -> Iterator[NinePlan]:
    before: Decimal | None = None
    for ratio in wanted:
        best = search.found(ratio)
        cost = best.usd_per_month.quantize(_CENT)
        yield NinePlan(
            wanted_ratio=ratio,
            holds=not best.broken(ratio),
            low_ratio=rounded(min(over for _, over in best.lows(ratio)) + ratio, 5),
            warm_replicas=sum(each.replicas.max for each in best.plan.workloads if each.tier == "baseline"),
            usd_per_month=cost,
            usd_per_hour=best.usd_per_hour.quantize(_CENT),
            more_usd_per_month=Decimal(0) if before is None else cost - before,
        )
        before = cost


class _Search:
    """What was tried so far; a plan is simulated once, whatever share of the requests is wanted."""

    def __init__(self, asked: Asked, question: Question, progress: Progress | None) -> None:
        self._asked = asked
        self._question = question
        self._progress = progress
        self._known: dict[frozenset[tuple[tuple[Knob, str], int | float]], _Tried | None] = {}
        first = asked.plan({})
        if isinstance(first, str):
            raise Infeasible(first)
        self.first = self._simulated({}, first)
        spec = asked.loaded.stack.spec
        by_hand = {
            (knob, each.name)
            for each in spec.agents
            for knob, value in (
                ("baselineReplicas", each.overrides.baseline_replicas),
                ("burstReplicas", each.overrides.burst_replicas),
                ("maxWaitingRequests", each.overrides.max_waiting_requests),
            )
            if value is not None
        }
        self._by_hand = {(knob, self._deployment(agent)) for knob, agent in by_hand}
        self._may_lead = "utilization_ratio" not in spec.scaling.model_fields_set
        self._may_queue = spec.network.router != "gateway"

    def _deployment(self, agent: str) -> str:
        return next(each.agent for each in self.first.plan.workloads if agent in each.served)

    def found(self, wanted: float | None) -> _Tried:
        """The cheapest plan that was found to hold; the nearest where none does."""
        best, tries = self.first, len(self._known) + _MOST_PLANS
        broke: dict[str, int] = {}
        if best.broken(wanted):
            best = self._led(best, wanted, tries)
        while (broken := best.broken(wanted)) and len(self._known) < tries:
            changes = dict(best.changes)
            for warm in self._of(broken, "baselineReplicas"):
                broke[warm.agent] = warm.replicas.max if best is self.first else _count(best.plan, warm.agent)
                changes["baselineReplicas", warm.agent] = _more(broke[warm.agent])
            for warm in self._of(broken, "burstReplicas"):
                burst = _burst(best.plan, warm.agent)
                if burst is not None and _ran_all(best, burst):
                    changes["burstReplicas", warm.agent] = _more(burst.replicas.max)
            tried = self._tried(changes)
            if tried is None or tried is best:
                break
            best = tried
        return best if best.broken(wanted) else self._less(best, broke, wanted, tries)

    def _led(self, best: _Tried, wanted: float | None, tries: int) -> _Tried:
        """What costs nothing by itself: longer queues where requests were refused, and an earlier call for the next replica."""
        for times in _WAITING:
            changes = dict(best.changes)
            for warm in self._of(best.broken(wanted), "maxWaitingRequests") if self._may_queue else ():
                planned = warm.admission.max_waiting_requests
                if planned is not None and _refused(best, warm.agent):
                    changes["maxWaitingRequests", warm.agent] = max(1, planned * times)
            best = self._if_nearer(best, changes, wanted, tries)
        for ratio in _UTILIZATION:
            scales = any(_burst(best.plan, each) for each in best.broken(wanted))
            if self._may_lead and scales and ratio < self._asked.loaded.stack.spec.scaling.utilization_ratio:
                best = self._if_nearer(best, {**best.changes, ("utilizationRatio", ""): ratio}, wanted, tries)
        return best

    def _if_nearer(self, best: _Tried, changes: Changes, wanted: float | None, tries: int) -> _Tried:
        if changes == best.changes or not best.broken(wanted) or len(self._known) >= tries:
            return best
        tried = self._tried(changes)
        return tried if tried is not None and tried.margin(wanted) > best.margin(wanted) else best

    def _less(self, best: _Tried, broke: Mapping[str, int], wanted: float | None, tries: int) -> _Tried:
        """Warm replicas go again, as few as hold and cost less: between those that broke and those that hold by halves."""
        for warm in self._of(None, "baselineReplicas"):
            if not warm.user_facing:
                continue
            low, high = broke.get(warm.agent, 0), _count(best.plan, warm.agent)
            while high - low > 1 and len(self._known) < tries:
                middle = (low + high) // 2
                tried = self._tried({**best.changes, ("baselineReplicas", warm.agent): middle})
                holds = tried is not None and not tried.broken(wanted)
                if tried is not None and holds and tried.usd_per_month < best.usd_per_month:
                    best, high = tried, middle
                else:
                    low = middle
        return best

    def _of(self, deployments: set[str] | None, knob: Knob) -> Iterator[Workload]:
        """Baselines of the deployments whose knob the spec leaves to us."""
        for each in self.first.plan.workloads:
            is_asked = deployments is None or each.agent in deployments
            if each.tier == "baseline" and is_asked and (knob, each.agent) not in self._by_hand:
                yield each

    def _tried(self, changes: Changes) -> _Tried | None:
        """A plan with those changes, simulated; None where there is none."""
        key = frozenset(changes.items())
        if key not in self._known:
            plan = self._asked.plan(self._values(changes))
            try:
                self._known[key] = None if isinstance(plan, str) else self._simulated(changes, plan)
            except Infeasible:
                self._known[key] = None  # its queue grows for ever
        return self._known[key]

    def _simulated(self, changes: Changes, plan: Plan) -> _Tried:
        question, answers = self._question, []
        for seed in question.seeds:
            answers.append(simulate(plan, Simulation(traffic=question.traffic, hours=question.hours, seed=seed)))
            if self._progress is not None:
                self._progress(len(self._known) * len(question.seeds) + len(answers))
        return _Tried(changes=changes, plan=plan, answers=tuple(answers))

    def _values(self, changes: Changes) -> dict[Steps, Data]:
        found: dict[Steps, Data] = {}
        for (knob, deployment), value in changes.items():
            if not deployment:
                found["spec", "scaling", knob] = value
                continue
            for number, agent in enumerate(self._asked.loaded.stack.spec.agents):
                if self._deployment(agent.name) == deployment:
                    found[place(number, "overrides", knob)] = value
        return found

    def proofs(self, best: _Tried) -> Iterator[ProofPlan]:
        """What the plan says of each agent."""
        question, first = self._question, self.first
        said = written(self._values(best.changes), self._asked.loaded.stack.spec) if best.changes else ""
        for number, agent in enumerate(best.answers[0].agents):
            found = [answer.agents[number] for answer in best.answers]
            wanted, lost = _wanted(agent, question.wanted_ratio), sum(each.lost for each in found)
            low, high = _interval([_smaller(each) for each in found])
            holds = not lost and (low is None or low >= wanted)
            ttft, tpot = (
                _mean([each.inside_ttft_ratio for each in found]),
                _mean([each.inside_tpot_ratio for each in found]),
            )
            breaks = _breaks(lost, ttft, tpot)
            yield ProofPlan(
                agent=agent.agent,
                traffic=question.traffic,
                hours=rounded(HOURS[question.traffic] if question.hours is None else question.hours),
                seeds=question.seeds,
                requests=sum(each.requests for each in found),
                wanted_ratio=rounded(wanted, 6),
                inside_ttft_ratio=ttft,
                inside_tpot_ratio=tpot,
                low_ratio=low,
                high_ratio=high,
                refused=sum(each.refused for each in found),
                lost=lost,
                holds=holds,
                warm_replicas=_count(best.plan, agent.deployment),
                warm_replicas_before=_count(first.plan, agent.deployment),
                usd_per_month_before=first.usd_per_month,
                burst_replicas=_most(best.plan, agent.deployment),
                burst_replicas_before=_most(first.plan, agent.deployment),
                utilization_ratio=_utilization(best.plan, agent.deployment),
                utilization_ratio_before=_utilization(first.plan, agent.deployment),
                waiting_requests=_queue(best.plan, agent.deployment),
                waiting_requests_before=_queue(first.plan, agent.deployment),
                usd_per_hour=best.usd_per_hour.quantize(_CENT),
                usd_per_hour_before=first.usd_per_hour.quantize(_CENT),
                plans=len(self._known) + 1,
                written=said,
                constraint=None if holds else breaks,
                need=None if holds else 0.0 if lost else rounded(wanted, 6),
                limit=None if holds else float(lost) if lost else low,
            )


def _breaks(lost: int, ttft: float | None, tpot: float | None) -> Literal["inside-ttft", "inside-tpot", "lost"]:
    """What stands in the way most."""
    if lost:
        return "lost"
    return "inside-tpot" if tpot is not None and tpot < (1.0 if ttft is None else ttft) else "inside-ttft"


def _wanted(agent: AgentOutcome, wanted: float | None) -> float:
    return agent.percentile / 100 if wanted is None else wanted


def _more(count: int) -> int:
    return max(count + 1, math.ceil(count * _MORE))


def _baseline(plan: Plan, deployment: str) -> Workload:
    return next(each for each in plan.workloads if each.agent == deployment and each.tier == "baseline")


def _count(plan: Plan, deployment: str) -> int:
    return _baseline(plan, deployment).replicas.max


def _burst(plan: Plan, deployment: str) -> Workload | None:
    return next((each for each in plan.workloads if each.agent == deployment and each.tier == "burst"), None)


def _most(plan: Plan, deployment: str) -> int:
    burst = _burst(plan, deployment)
    return 0 if burst is None else burst.replicas.max


def _utilization(plan: Plan, deployment: str) -> float | None:
    burst = _burst(plan, deployment)
    return None if burst is None or burst.scaling is None else burst.scaling.utilization_ratio


def _queue(plan: Plan, deployment: str) -> int | None:
    return _baseline(plan, deployment).admission.max_waiting_requests


def _ran_all(tried: _Tried, burst: Workload) -> bool:
    """Whether all burst replicas of a deployment ran at once."""
    return any(
        each.most_burst_replicas >= burst.replicas.max
        for answer in tried.answers
        for each in answer.deployments
        if each.deployment == burst.agent
    )


def _refused(tried: _Tried, deployment: str) -> bool:
    return any(
        each.refused or each.retried
        for answer in tried.answers
        for each in answer.agents
        if each.deployment == deployment
    )


def _smaller(agent: AgentOutcome) -> float | None:
    shares = [each for each in (agent.inside_ttft_ratio, agent.inside_tpot_ratio) if each is not None]
    return min(shares, default=None)


def _mean(shares: Sequence[float | None]) -> float | None:
    known = [each for each in shares if each is not None]
    return rounded(math.fsum(known) / len(known), 5) if known else None


def _interval(shares: Sequence[float | None]) -> tuple[float | None, float | None]:
    """Student's t over the seeds."""
    known = [each for each in shares if each is not None]
    if not known:
        return None, None
    mean = math.fsum(known) / len(known)
    if len(known) == 1:
        return rounded(mean, 5), rounded(mean, 5)
    spread = math.sqrt(math.fsum((each - mean) ** 2 for each in known) / (len(known) - 1) / len(known))
    half = _T.get(len(known), 2.571) * spread
    return rounded(max(0.0, mean - half), 5), rounded(min(1.0, mean + half), 5)
