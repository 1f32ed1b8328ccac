"""Plan until it holds: the fleet is simulated, and warm replicas are added where a budget breaks and taken away where none does.

What is changed is ``overrides.baselineReplicas`` of the agents, unless the spec sets it: the burst ceiling, the scaler's
thresholds and the limits of admission follow from it, as the planner has them. The cheapest plan that holds is kept.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from agentgpu_iac.catalog.store import Catalog
from agentgpu_iac.errors import Infeasible
from agentgpu_iac.plan import Plan, ProofPlan, Workload
from agentgpu_iac.planning.levers.asking import Asked
from agentgpu_iac.planning.levers.changes import place
from agentgpu_iac.simulation.outcome import AgentOutcome, SimulationAnswer
from agentgpu_iac.simulation.profiles import HOURS, Traffic
from agentgpu_iac.simulation.simulate import Simulation, simulate
from agentgpu_iac.spec.loader import LoadedStack
from agentgpu_iac.spec.yaml_tree import Data, Steps
from agentgpu_iac.units import rounded

SEEDS: Final = (1, 2, 3)
_T: Final = {2: 12.706, 3: 4.303, 4: 3.182, 5: 2.776}
"""Student's t for a two-sided interval of 95 %, by the number of seeds."""
_MOST_PLANS: Final = 16
"""Plans that are tried at most."""
_MORE: Final = 1.25
"""How many times the warm replicas where a budget breaks, one more at least."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is to be proven."""

    traffic: Traffic = "bursty"
    hours: float | None = None
    seeds: tuple[int, ...] = SEEDS
    wanted_ratio: float | None = None
    """Share of the requests that must be within their budgets; None: the plan's own percentile."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Tried:
    plan: Plan
    proofs: tuple[ProofPlan, ...]

    @property
    def holds(self) -> bool:
        return all(each.holds for each in self.proofs)


def proven(loaded: LoadedStack, catalog: Catalog, question: Question | None = None) -> Plan:
    """The cheapest plan that was found to hold, with its proof; the last one tried where none holds.

    Raises:
        Infeasible: nothing can be planned, or nothing of it simulated.
    """
    question = question or Question()
    asked = Asked(loaded=loaded, catalog=catalog)
    first = asked.plan({})
    if isinstance(first, str):
        raise Infeasible(first)
    tried = _tried(first, first, question)
    broke: dict[str, int] = {}
    best = _more(asked, first, tried, question, broke)
    if best.holds:
        best = _less(asked, first, best, question, broke)
    return best.plan.model_copy(update={"proof": best.proofs})


def _more(asked: Asked, first: Plan, tried: _Tried, question: Question, broke: dict[str, int]) -> _Tried:
    """Warm replicas are added to the deployments that break a budget; ``broke`` learns with how many each did."""
    wanted: dict[str, int] = {}
    while not tried.holds and asked.plans < _MOST_PLANS:
        broken = {each.agent for each in tried.proofs if not each.holds}
        for baseline in _movable(asked, first):
            if broken & set(baseline.served):
                now = wanted.get(baseline.agent, baseline.replicas.max)
                broke[baseline.agent] = now
                wanted[baseline.agent] = max(now + 1, math.ceil(now * _MORE))
        plan = asked.plan(_values(asked, first, wanted)) if wanted else "nothing may be changed"
        if isinstance(plan, str):
            return tried
        tried = _tried(plan, first, question)
    return tried


def _less(asked: Asked, first: Plan, best: _Tried, question: Question, broke: Mapping[str, int]) -> _Tried:
    """Warm replicas are taken away, one at a time, as long as all holds and it is cheaper."""
    wanted = {each.agent: _warm(best.plan, each.agent) for each in _movable(asked, first) if each.agent in broke}
    for baseline in _movable(asked, first):
        if not baseline.user_facing:
            continue
        for count in range(_warm(best.plan, baseline.agent) - 1, broke.get(baseline.agent, 0), -1):
            if asked.plans >= _MOST_PLANS:
                return best
            plan = asked.plan(_values(asked, first, {**wanted, baseline.agent: count}))
            if isinstance(plan, str) or plan.cost.baseline_usd_per_month >= best.plan.cost.baseline_usd_per_month:
                break
            found = _tried(plan, first, question)
            if not found.holds:
                break
            best, wanted[baseline.agent] = found, count
    return best


def _movable(asked: Asked, first: Plan) -> list[Workload]:
    """Baselines whose replicas the spec leaves to us."""
    by_hand = {each.name for each in asked.loaded.stack.spec.agents if each.overrides.baseline_replicas is not None}
    return [each for each in first.workloads if each.tier == "baseline" and not by_hand & set(each.served)]


def _values(asked: Asked, first: Plan, wanted: Mapping[str, int]) -> dict[Steps, Data]:
    served = {name: each.agent for each in first.workloads for name in each.served}
    return {
        place(number, "overrides", "baselineReplicas"): wanted[served[agent.name]]
        for number, agent in enumerate(asked.loaded.stack.spec.agents)
        if served[agent.name] in wanted
    }


def _tried(plan: Plan, first: Plan, question: Question) -> _Tried:
    answers = [
        simulate(plan, Simulation(traffic=question.traffic, hours=question.hours, seed=seed)) for seed in question.seeds
    ]
    agents = answers[0].agents
    return _Tried(
        plan=plan,
        proofs=tuple(_proof(plan, first, question, answers, number) for number in range(len(agents))),
    )


def _proof(plan: Plan, first: Plan, question: Question, answers: Sequence[SimulationAnswer], number: int) -> ProofPlan:
    found = [answer.agents[number] for answer in answers]
    agent = found[0]
    wanted = agent.percentile / 100 if question.wanted_ratio is None else question.wanted_ratio
    low, high = _interval([_smaller(each) for each in found])
    lost = sum(each.lost for each in found)
    return ProofPlan(
        agent=agent.agent,
        traffic=question.traffic,
        hours=rounded(HOURS[question.traffic] if question.hours is None else question.hours),
        seeds=question.seeds,
        requests=sum(each.requests for each in found),
        wanted_ratio=rounded(wanted, 6),
        inside_ttft_ratio=_mean([each.inside_ttft_ratio for each in found]),
        inside_tpot_ratio=_mean([each.inside_tpot_ratio for each in found]),
        low_ratio=low,
        high_ratio=high,
        refused=sum(each.refused for each in found),
        lost=lost,
        holds=not lost and (low is None or low >= wanted),
        warm_replicas=_warm(plan, agent.deployment),
        warm_replicas_before=_warm(first, agent.deployment),
        usd_per_month_before=first.cost.baseline_usd_per_month,
    )


def _warm(plan: Plan, deployment: str) -> int:
    return next((each.replicas.max for each in plan.workloads if each.agent == deployment), 0)


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
