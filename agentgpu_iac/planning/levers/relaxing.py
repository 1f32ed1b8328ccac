"""Shadow prices: which field of the spec makes a limit looser that a deployment stands at, and by how much."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from agentgpu_iac.plan import Driver, Plan
from agentgpu_iac.planning.demand import budgets_ms
from agentgpu_iac.planning.levers.changes import Change, place
from agentgpu_iac.spec.model import StackSpec
from agentgpu_iac.spec.yaml_tree import Data, Steps
from agentgpu_iac.units import rounded

_RELAXED_BY = 0.1
_BEYOND = 1.02
"""A limit that turns a cheaper machine away is loosened to what that needs, and this much more, since other sums change too."""
_BUDGETS: Final = ("ttft", "tpot", "e2e")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Limit:
    """A limit, and how much looser it is made."""

    spec: StackSpec
    driver: Driver
    plan: Plan
    by: float

    @property
    def what(self) -> str:
        """What it is about, of a cheaper machine as well."""
        return self.driver.refused or self.driver.constraint

    @property
    def positions(self) -> list[int]:
        """Of the agents that the deployment serves."""
        return [at for at, agent in enumerate(self.spec.agents) if agent.name in self.driver.agents]


def relaxed(spec: StackSpec, driver: Driver, plan: Plan) -> Change | None:
    """The limit that a deployment stands at, a tenth looser, or as much as a cheaper machine needs; None where nothing of the
    spec loosens it.
    """
    by = 1 + _RELAXED_BY
    if driver.constraint == "card" and driver.need and driver.limit:
        by = driver.need / driver.limit * _BEYOND
    limit = _Limit(spec=spec, driver=driver, plan=plan, by=by)
    loosen = _LOOSENED.get(limit.what)
    if loosen is None:
        return None
    words, values = loosen(limit)
    own = [spec.agents[at].name for at in limit.positions] if any(steps[1] == "agents" for steps in values) else []
    agent = own[0] if len(own) == 1 else None
    return Change(lever="relaxed", agent=agent, change=f"{driver.agent}: {words}", values=values) if values else None


_Loosened = tuple[str, Mapping[Steps, Data]]


def _memory(limit: _Limit) -> _Loosened:
    now = limit.spec.capacity.memory_reserve_ratio
    ratio = rounded(max(0.0, 1 - (1 - now) * limit.by), 3)
    values: dict[Steps, Data] = {("spec", "capacity", "memoryReserveRatio"): ratio}
    return f"{1 - ratio:.1%} of the memory may be in use", values if ratio < now else {}


def _budget(limit: _Limit) -> _Loosened:
    values: dict[Steps, Data] = {}
    for at in limit.positions:
        agent = limit.spec.agents[at]
        budget = budgets_ms(agent)[_BUDGETS.index(limit.what)]
        if agent.requests is not None:  # answered whole: the class's first figure is that of the answer
            budget = agent.e2e_ms or budgets_ms(agent)[0]
        if budget is not None:
            values[place(at, f"{limit.what}Ms")] = rounded(budget * limit.by, 1)
    return f"{limit.what.upper()} budget {limit.by - 1:+.0%}", values


def _rate(limit: _Limit) -> _Loosened:
    values: dict[Steps, Data] = {}
    for at in limit.positions:
        agent = limit.spec.agents[at]
        daily = agent.traffic.conversations_per_day
        if agent.requests is not None and agent.requests.per_s:
            values[place(at, "requests", "perS")] = rounded(agent.requests.per_s / limit.by, 6)
        elif agent.requests is None and daily is not None:
            values[place(at, "traffic", "conversationsPerDay")] = max(1, int(daily / limit.by))
    return f"{1 - 1 / limit.by:.0%} less is asked", values


def _start(limit: _Limit) -> _Loosened:
    tier = next(each for each in reversed(limit.plan.workloads) if each.agent == limit.driver.agent)
    start_s = rounded((limit.driver.limit or tier.cold_start_s.upper.total / limit.by) / _BEYOND, 1)
    values: dict[Steps, Data] = {}
    if start_s > 0:
        values = {place(at, "overrides", "coldStartS"): start_s for at in limit.positions}
    return f"a start of {start_s:,.0f} s", values


def _survive(_: _Limit) -> _Loosened:
    return "no warm replica to spare", {("spec", "capacity", "survive"): "nothing"}


_LOOSENED: Final[Mapping[str, Callable[[_Limit], _Loosened]]] = {
    "cold-start": _start,
    "e2e": _budget,
    "kv-memory": _memory,
    "memory": _memory,
    "output-rate": _rate,
    "paused-cache": _memory,
    "prompt-rate": _rate,
    "survive": _survive,
    "tpot": _budget,
    "ttft": _budget,
}
