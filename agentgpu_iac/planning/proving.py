"""Plan until it holds: the fleet is simulated, and what is planned is changed where a budget breaks, cheapest first.

First what costs nothing by itself: how many may wait at a replica where requests were refused, and how full replicas are when
another is asked for, which is the lead of the next one. Then burst replicas where all of them ran, and warm ones. At last warm
replicas go again, as long as all holds. What the spec sets stays. Everything is written into the spec and planned by the
planner, so that limits, memory and prices follow; the cheapest plan that was found to hold is kept, and where none does the
nearest one. How many requests a simulation and a search may have is bounded, so that each comes to an end.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Final, Literal

from agentgpu_iac.catalog.store import Catalog
from agentgpu_iac.errors import Infeasible
from agentgpu_iac.plan import NinePlan, Plan, ProofPlan, Workload, tiers_by_agent, warm_replicas
from agentgpu_iac.planning.levers.asking import Asked
from agentgpu_iac.planning.levers.changes import place, written
from agentgpu_iac.planning.watching_simulations import Watch
from agentgpu_iac.simulation.courses import course, waits, worst
from agentgpu_iac.simulation.outcome import AgentOutcome, SimulationAnswer
from agentgpu_iac.simulation.profiles import HOURS, Traffic
from agentgpu_iac.simulation.simulate import Simulation, simulate
from agentgpu_iac.simulation.volume import bounded_hours
from agentgpu_iac.spec.loader import LoadedStack
from agentgpu_iac.spec.yaml_tree import Data, Steps
from agentgpu_iac.units import rounded

SEEDS: Final = (1, 2, 3)
NINES: Final = (0.9, 0.99, 0.999, 0.9999)
_T: Final = {2: 12.706, 3: 4.303, 4: 3.182, 5: 2.776}
"""Student's t for a two-sided interval of 95 %, by the number of seeds."""
_MOST_PLANS: Final = 24
"""Plans that are tried for one share of the requests, at most, beside the first."""
_MOST_REQUESTS: Final = 100_000
"""Requests of one simulation; where the traffic's own time has more, less of it is simulated, with its burst in any case."""
_MOST_SIMULATED: Final = 3_000_000
"""Requests of all simulations for one share of the requests, the first plan's left out, beyond which no other is tried."""
_NO_MISS: Final = 3.0
"""The rule of three: where none of N is outside, at most 3 / N are, at 95 %."""
_SINGLE: Final = 4
"""Up to so many seeds, one of them below what is wanted takes the interval's lower end below it too, whatever the others give:
with n seeds it lies at or below the least of them while Student's t is n - 1 at least."""
_STEP: Final = 0.05
"""Part of the warm replicas that the search for fewer leaves out first; twice as many each time, until a budget breaks."""
_FINE: Final = 0.02
"""Part of the warm replicas between one plan that breaks and one that holds at which the search ends: what is left to save."""
_MORE: Final = 1.25
"""How many times the replicas where a budget breaks, one more at least."""
_WAITING: Final = (2, 4)
"""How many times the planned queue is tried where requests are refused."""
_NO_QUEUE: Final = 8
"""Seats for each request of the queue that is multiplied where none is planned: a quarter and half of the seats are tried."""
_UTILIZATION: Final = (0.5, 0.3)
"""How full replicas may be when another is asked for, after what is planned."""
_CENT: Final = Decimal("0.01")
_ROUNDING: Final = 1e-9

Knob = Literal["baselineReplicas", "burstReplicas", "maxWaitingRequests", "utilizationRatio"]
Changes = Mapping[tuple[Knob, str], int | float]
"""(knob, deployment; none for the stack's own) -> figure."""
Simulate = Callable[[Plan, Simulation, Callable[[float], None]], SimulationAnswer]


@dataclass(frozen=True, slots=True, kw_only=True)
class Progressed:
    """How far a search is."""

    simulations: float
    """Simulations that were made, and the part of the one that runs."""
    most: int
    """As many as there will be at most."""


Progress = Callable[[Progressed], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is to be proven."""

    traffic: Traffic = "bursty"
    hours: float | None = None
    """Time of each simulation; None: the traffic's own, or as much of it as has a number of requests worth waiting for."""
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
    """Of the seeds in their order, up to the first that broke a budget for good."""
    at_most: tuple[float, ...] | None = None
    """Where the last of them was ended as soon as it could not hold any more: the share within its budgets that each agent could
    still have had."""

    def is_whole(self, seeds: Sequence[int]) -> bool:
        """Whether it was simulated with all seeds to their end."""
        return self.at_most is None and len(self.answers) == len(seeds)

    @property
    def ended(self) -> tuple[SimulationAnswer, ...]:
        """Those that went to their end."""
        return self.answers if self.at_most is None else self.answers[:-1]

    def lows(self, wanted: float | None, seeds: int | None = None) -> Iterator[tuple[str, float, float, int]]:
        """(deployment, lower end of the interval, what is wanted, requests lost) of each agent; ``seeds``: of the first ones."""
        for number, agent in enumerate(self.answers[0].agents):
            low, _ = _interval([_smaller(answer.agents[number]) for answer in self.ended[:seeds]])
            low = 1.0 if low is None else low
            if self.at_most is not None and (seeds is None or seeds >= len(self.answers)):
                low = min(low, self.at_most[number])
            lost = sum(answer.agents[number].lost for answer in self.answers[:seeds])
            yield agent.deployment, low, _wanted(agent, wanted), lost

    def broken(self, wanted: float | None) -> set[str]:
        """Deployments where a budget breaks."""
        return {deployment for deployment, low, needed, lost in self.lows(wanted) if lost or low < needed}

    def margin(self, wanted: float | None, seeds: int | None = None) -> float:
        """How far it is from holding: 0 where it does; 1 more where requests were lost."""
        return math.fsum(min(0.0, low - needed) - bool(lost) for _, low, needed, lost in self.lows(wanted, seeds))

    def is_nearer(self, other: _Tried, wanted: float | None) -> bool:
        """Whether it is nearer to holding than another one, by the seeds that both were simulated with."""
        both = min(len(self.answers), len(other.answers))
        return self.margin(wanted, both) > other.margin(wanted, both)

    @property
    def fewest_requests(self) -> float:
        """Of an agent with a budget, over all seeds; infinite where none has one."""
        shares = [_smaller(each) for each in self.answers[0].agents]
        counts = [sum(answer.agents[number].requests for answer in self.answers) for number in range(len(shares))]
        return min((count for count, share in zip(counts, shares, strict=True) if share is not None), default=math.inf)

    @property
    def usd_per_hour(self) -> Decimal:
        """An hour of the traffic, burst and all; the seeds' mean."""
        usd = sum((each.usd for answer in self.answers for each in answer.deployments), Decimal(0))
        return usd / Decimal(repr(math.fsum(answer.hours for answer in self.answers)))

    @property
    def usd_per_month(self) -> Decimal:
        """The warm part."""
        return self.plan.cost.baseline_usd_per_month

    @property
    def price(self) -> tuple[Decimal, Decimal]:
        """What plans that hold are compared by: the warm part, then an hour of the traffic."""
        return self.usd_per_month, self.usd_per_hour


def proven(
    loaded: LoadedStack,
    catalog: Catalog,
    question: Question | None = None,
    progress: Progress | None = None,
    run: Simulate = simulate,
) -> Plan:
    """The cheapest plan that was found to hold, with its proof; the nearest one where none holds.

    Raises:
        Infeasible: nothing can be planned, or nothing of it simulated.
    """
    question = question or Question()
    search = _Search(Asked(loaded=loaded, catalog=catalog), question, progress, run)
    best = search.found(question.wanted_ratio)
    proof = tuple(search.proofs(best))
    return best.plan.model_copy(update={"proof": proof, "nines": tuple(_nines(search, question.nines))})


def _nines(search: _Search, wanted: Sequence[float]) -> Iterator[NinePlan]:
    """What each share costs; all are looked for first, since a plan that holds for more of them holds for fewer too."""
    for ratio in wanted:
        search.found(ratio)
    before: Decimal | None = None
    for ratio in wanted:
        best = search.best(ratio)
        cost = best.usd_per_month.quantize(_CENT)
        is_enough = best.fewest_requests * (1 - ratio) >= _NO_MISS - _ROUNDING
        yield NinePlan(
            wanted_ratio=ratio,
            holds=is_enough and not best.broken(ratio),
            has_enough_requests=is_enough,
            low_ratio=rounded(min(low for _, low, _, _ in best.lows(ratio)), 5),
            warm_replicas=sum(each.replicas.max for each in best.plan.workloads if each.tier == "baseline"),
            usd_per_month=cost,
            usd_per_hour=best.usd_per_hour.quantize(_CENT),
            more_usd_per_month=Decimal(0) if before is None else cost - before,
        )
        before = cost


def _margin_of(tried: _Tried | None, wanted: float | None) -> float:
    return 0.0 if tried is None else tried.margin(wanted)


class _Search:
    """What was tried so far; a plan is simulated once, whatever share of the requests is wanted."""

    def __init__(self, asked: Asked, question: Question, progress: Progress | None, run: Simulate) -> None:
        self._asked = asked
        self._question = question
        self._progress = progress
        self._run = run
        self._known: dict[frozenset[tuple[tuple[Knob, str], int | float]], _Tried | None] = {}
        self._requests = 0
        """Of all simulations so far."""
        self._made = 0
        """Simulations so far."""
        self._tries, self._most_requests = 1 + _MOST_PLANS, _MOST_SIMULATED
        """Plans and requests at which the search under way ends."""
        self._is_cut_short = False
        first = asked.plan({})
        if isinstance(first, str):
            raise Infeasible(first)
        own = HOURS[question.traffic]
        self._hours = question.hours or bounded_hours(first, question.traffic, _MOST_REQUESTS)
        self._shortened_from = own if question.hours is None and self._hours < own else None
        self.first = self._simulated({}, first, is_whole=True)
        self._known[frozenset()] = self.first
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

    def _bound(self) -> None:
        """A search begins, which may try so much more."""
        self._tries = len(self._known) + _MOST_PLANS
        self._most_requests = self._requests + _MOST_SIMULATED
        self._is_cut_short = False

    def _may_try(self) -> bool:
        self._is_cut_short = self._is_cut_short or self._requests >= self._most_requests
        return len(self._known) < self._tries and not self._is_cut_short

    def found(self, wanted: float | None) -> _Tried:
        """The cheapest plan that was found to hold; the nearest where none does."""
        self._bound()
        broke: dict[str, int] = {}
        best = self._led(self.first, wanted)
        while (broken := best.broken(wanted)) and self._may_try():
            changes = dict(best.changes)
            for warm in self._of(broken, "baselineReplicas"):
                broke[warm.agent] = _count(best.plan, warm.agent)
                changes["baselineReplicas", warm.agent] = _more(broke[warm.agent])
            for warm in self._of(broken, "burstReplicas"):
                burst = _burst(best.plan, warm.agent)
                if burst is not None and _ran_all(best, burst):
                    changes["burstReplicas", warm.agent] = _more(burst.replicas.max)
            tried = self._tried(changes)
            if tried is None or tried is best:
                break
            best = tried
        if not best.broken(wanted):
            self._less(best, broke, wanted)
        return self.best(wanted)

    def best(self, wanted: float | None) -> _Tried:
        """Of all plans that were simulated the cheapest that holds; the nearest, then the cheapest, where none does.

        One that was left after its first seeds seems nearer than it is: it is simulated with all of them before it is the best.
        """
        while True:
            known = [each for each in self._known.values() if each is not None]
            best = max(known, key=lambda each: (each.margin(wanted), *(-part for part in each.price)))
            if best.is_whole(self._question.seeds):
                return best
            self._known[frozenset(best.changes.items())] = self._simulated(best.changes, best.plan, best, is_whole=True)

    def _led(self, best: _Tried, wanted: float | None) -> _Tried:
        """What costs nothing by itself: longer queues where requests were refused, and an earlier call for the next replica."""
        for times in _WAITING:
            changes = dict(best.changes)
            for warm in self._of(best.broken(wanted), "maxWaitingRequests") if self._may_queue else ():
                planned = warm.admission.max_waiting_requests
                if planned is not None and _refused(best, warm.agent):
                    changes["maxWaitingRequests", warm.agent] = times * max(
                        1, planned or warm.max_num_seqs // _NO_QUEUE
                    )
            best = self._if_nearer(best, changes, wanted)
        for ratio in _UTILIZATION:
            scales = any(_burst(best.plan, each) for each in best.broken(wanted))
            if self._may_lead and scales and ratio < self._asked.loaded.stack.spec.scaling.utilization_ratio:
                best = self._if_nearer(best, {**best.changes, ("utilizationRatio", ""): ratio}, wanted)
        return best

    def _if_nearer(self, best: _Tried, changes: Changes, wanted: float | None) -> _Tried:
        if changes == best.changes or not best.broken(wanted) or not self._may_try():
            return best
        tried = self._tried(changes, than=best)
        return tried if tried is not None and tried.is_nearer(best, wanted) else best

    def _less(self, best: _Tried, broke: Mapping[str, int], wanted: float | None) -> None:
        """Warm replicas go again, as few as hold and cost less.

        The formula is seldom far off, so a few of them go first, and twice as many each time; then the search is by halves
        between those that broke and those that hold, until what is left to save is little. On the way the first seed tells;
        what it ends with is simulated with all of them, and where that breaks, the search goes on above it.
        """
        for warm in self._of(None, "baselineReplicas"):
            if not warm.user_facing:
                continue
            low, sure = broke.get(warm.agent, 0), _count(best.plan, warm.agent)
            least, fine, step = low, max(1, int(_FINE * sure)), max(1, round(_STEP * sure))
            likely: list[tuple[int, _Tried]] = []
            while self._may_try():
                high = likely[-1][0] if likely else sure
                if high - low > fine:
                    middle = (low + high) // 2 if low > least else max((low + high) // 2, high - step)
                    step *= 2
                    tried = self._tried({**best.changes, ("baselineReplicas", warm.agent): middle}, self._few)
                    if tried is not None and not tried.broken(wanted) and tried.price < best.price:
                        likely.append((middle, tried))
                    else:
                        low = middle
                    continue
                if not likely:
                    break
                _, last = likely.pop()
                whole = self._tried(last.changes)
                if whole is not None and not whole.broken(wanted) and whole.price < best.price:
                    best = whole
                    break
                low = high

    def _of(self, deployments: set[str] | None, knob: Knob) -> Iterator[Workload]:
        """Baselines of the deployments whose knob the spec leaves to us."""
        for each in self.first.plan.workloads:
            is_asked = deployments is None or each.agent in deployments
            if each.tier == "baseline" and is_asked and (knob, each.agent) not in self._by_hand:
                yield each

    @property
    def _few(self) -> int:
        """Seeds after which a plan may be left: one, where one of them below what is wanted tells."""
        return 1 if len(self._question.seeds) <= _SINGLE else len(self._question.seeds)

    def _tried(self, changes: Changes, seeds: int | None = None, than: _Tried | None = None) -> _Tried | None:
        """A plan with those changes, simulated with all seeds or the first of them; None where there is none.

        Where it is asked whether it is nearer to holding ``than`` another one, it is simulated until that is known.
        """
        key = frozenset(changes.items())
        known = self._known.get(key)
        if key in self._known and (known is None or self._has_told(known, seeds)):
            return known
        plan = self._asked.plan(self._values(changes)) if known is None else known.plan
        try:
            self._known[key] = None if isinstance(plan, str) else self._simulated(changes, plan, known, seeds, than)
        except Infeasible:
            self._known[key] = None  # its queue grows for ever
        return self._known[key]

    def _has_told(self, known: _Tried, seeds: int | None) -> bool:
        """Whether so many of the seeds say no more than is known of a plan."""
        is_enough = len(known.answers) >= len(self._question.seeds[:seeds])
        return is_enough or known.at_most is not None or self._cannot_hold(known.answers[-1])

    def _simulated(
        self,
        changes: Changes,
        plan: Plan,
        known: _Tried | None = None,
        seeds: int | None = None,
        than: _Tried | None = None,
        *,
        is_whole: bool = False,
    ) -> _Tried:
        """Simulated with one seed after the other up to so many; unless it is to be whole, until one tells that it cannot hold.

        ``known`` is what some of them have told already.
        """
        question, answers = self._question, [] if known is None else list(known.ended)
        can_tell = not is_whole and len(question.seeds) <= _SINGLE
        shares = (question.wanted_ratio, *question.nines)
        for seed in question.seeds[len(answers) : seeds]:
            if answers and not is_whole and self._cannot_hold(answers[-1]):
                break
            watch = Watch(plan, question.traffic, self._hours, {share: _margin_of(than, share) for share in shares})
            enough = watch if can_tell else None
            asked = Simulation(traffic=question.traffic, hours=self._hours, seed=seed, enough=enough)
            answers.append(self._run(plan, asked, self._tell))
            self._made += 1
            self._requests += sum(each.requests for each in answers[-1].agents)
            self._tell(0.0)
            if watch.at_most is not None:
                return _Tried(changes=changes, plan=plan, answers=tuple(answers), at_most=watch.at_most)
        return _Tried(changes=changes, plan=plan, answers=tuple(answers))

    def _cannot_hold(self, answer: SimulationAnswer) -> bool:
        """Whether one seed alone takes the interval below every share that is asked for, or lost requests."""
        if len(self._question.seeds) > _SINGLE:
            return False
        asked = (self._question.wanted_ratio, *self._question.nines)
        for each in answer.agents:
            share = _smaller(each)
            if each.lost or (share is not None and share < min(_wanted(each, wanted) for wanted in asked)):
                return True
        return False

    def _tell(self, share: float) -> None:
        """The share of the simulation that runs, beside those that were made."""
        if self._progress is None:
            return
        plans, seeds = self._tries, len(self._question.seeds)
        if self._known and self._requests:
            left = math.ceil((self._most_requests - self._requests) / (self._requests / len(self._known)))
            plans = min(plans, len(self._known) + left)
        left_out = sum(seeds - len(each.answers) for each in self._known.values() if each is not None)
        simulations = self._made + share
        most = max(plans * seeds - left_out, math.ceil(simulations))
        self._progress(Progressed(simulations=simulations, most=most))

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
        shown = worst([answer.agents for answer in best.answers])
        courses = {each.deployment: course(each, question.seeds[shown]) for each in best.answers[shown].deployments}
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
                hours=rounded(self._hours),
                shortened_from_hours=self._shortened_from,
                is_cut_short=self._is_cut_short,
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
                plans=sum(each is not None for each in self._known.values()),
                written=said,
                waits=waits(found),
                course=courses.pop(agent.deployment, None),
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
    return warm_replicas(tiers_by_agent(plan.workloads)[deployment])


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
