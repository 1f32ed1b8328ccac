"""Levers: what each of a fixed set of changes would cost or save, every one of them planned.

Changes of agents' own fields are asked about the agents that cause most of the cost; those of the stack once. A plan takes as
long as it takes to evaluate candidates, and those of agents that a change does not touch are evaluated once for all.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal

from agentgpu_iac.catalog.store import Catalog
from agentgpu_iac.errors import BadInput, did_you_mean
from agentgpu_iac.plan import Plan
from agentgpu_iac.plan.lever import Lever, Levers
from agentgpu_iac.planning.levers.asking import Asked, nodes_of
from agentgpu_iac.planning.levers.changes import Change, of_agent, of_deployment, of_stack, written
from agentgpu_iac.planning.levers.relaxing import relaxed
from agentgpu_iac.planning.naming import with_ids
from agentgpu_iac.spec.loader import LoadedStack
from agentgpu_iac.spec.model import StackSpec
from agentgpu_iac.spec.yaml_tree import Data, Steps

_MOST_AGENTS = 4
_ENOUGH_OF_THE_COST = 0.8
"""Agents whose own fields are changed: the dearest, until they cause that part of the cost, and no more than that many."""
_MOST_TOGETHER = 4
"""Changes that are put together where none alone brings a stack within its budget."""


def levers(loaded: LoadedStack, catalog: Catalog, agent: str | None = None) -> Levers:
    """What drives the price of a stack, and what changes of it would cost or save.

    Args:
        loaded: The stack.
        catalog: What it is planned with.
        agent: Whose own fields are changed; unset: those of the agents that cause most of the cost.

    Raises:
        BadInput: there is no such agent, or the stack names something that the catalog does not know.
    """
    loaded = with_ids(loaded, catalog)
    spec = loaded.stack.spec
    names = [each.name for each in spec.agents]
    if agent is not None and agent not in names:
        raise BadInput.one("--agent", f"no agent {agent!r} in {loaded.source}", hint=did_you_mean(agent, names))
    asked = Asked(loaded=loaded, catalog=catalog)
    first = asked.plan({})
    base = first if isinstance(first, Plan) else asked.plan({}, within_budget=False)
    plan = base if isinstance(base, Plan) else None
    chosen = [agent] if agent is not None else _dearest(spec, plan)
    changes = [*of_stack(spec, plan, catalog)]
    engines: set[str] = set()
    for position, each in enumerate(spec.agents):
        if each.name not in chosen:
            continue
        changes += of_agent(position, each, plan)
        deployment = each.name if plan is None else plan.deployment_of(each.name)
        if deployment not in engines:
            changes += of_deployment(spec, position, plan)
            engines.add(deployment)
    broken = not isinstance(first, Plan)
    found = [(change, _asked_about(asked, change, plan, broken=broken)) for change in changes]
    return Levers(
        stack=loaded.stack.metadata.name,
        feasible=not broken,
        message=first if isinstance(first, str) else "",
        baseline_usd_per_month=None if plan is None else plan.cost.baseline_usd_per_month,
        usd_per_month=None if plan is None else plan.cost.expected_usd_per_month,
        nodes="" if plan is None else nodes_of(plan),
        budget_usd_per_month=spec.capacity.budget_usd_per_month,
        drivers=() if plan is None else plan.drivers,
        relaxed=() if plan is None else tuple(_shadow_prices(asked, spec, plan, chosen)),
        levers=tuple(sorted((lever for _, lever in found), key=_rank)),
        ways_out=tuple(_ways_out(asked, found, plan)) if broken else (),
        not_asked=tuple(name for name in names if name not in chosen),
        plans=asked.plans,
    )


def _dearest(spec: StackSpec, plan: Plan | None) -> list[str]:
    """The agents that cause most of the cost, dearest first; the first ones where nothing is planned."""
    if plan is None:
        return [agent.name for agent in spec.agents[:_MOST_AGENTS]]
    costs = sorted(plan.cost.by_agent, key=lambda cost: -cost.usd_per_month)
    total = sum((cost.usd_per_month for cost in costs), Decimal(0))
    chosen: list[str] = []
    so_far = Decimal(0)
    for cost in costs[:_MOST_AGENTS]:
        if chosen and so_far >= total * Decimal(str(_ENOUGH_OF_THE_COST)):
            break
        chosen.append(cost.agent)
        so_far += cost.usd_per_month
    return chosen


def _asked_about(asked: Asked, change: Change, base: Plan | None, *, broken: bool) -> Lever:
    """One change, planned whatever it costs; where the stack is broken, within its budget too if it comes near that."""
    made = asked.plan(change.values, within_budget=False)
    budget = asked.loaded.stack.spec.capacity.budget_usd_per_month
    if broken and budget is not None and isinstance(made, Plan) and made.cost.baseline_usd_per_month > budget:
        cheaper = asked.plan(change.values)  # a dearer burst may spare the baseline
        made = cheaper if isinstance(cheaper, Plan) else made
    return _lever(asked, change, made, base)


def _lever(asked: Asked, change: Change, made: Plan | str, base: Plan | None) -> Lever:
    spec = asked.loaded.stack.spec
    budget = spec.capacity.budget_usd_per_month
    planned = made if isinstance(made, Plan) else None
    delta = None
    if planned is not None and base is not None:
        delta = planned.cost.expected_usd_per_month - base.cost.expected_usd_per_month
    return Lever(
        lever=change.lever,
        agent=change.agent,
        change=change.change,
        write=written(change.values, spec),
        planned=planned is not None,
        baseline_usd_per_month=None if planned is None else planned.cost.baseline_usd_per_month,
        usd_per_month=None if planned is None else planned.cost.expected_usd_per_month,
        delta_usd_per_month=delta,
        nodes="" if planned is None else nodes_of(planned),
        within_budget=None if planned is None or budget is None else planned.cost.baseline_usd_per_month <= budget,
        caution=change.caution,
        refusal=made if isinstance(made, str) else "",
    )


def _rank(lever: Lever) -> tuple[bool, Decimal, str, str, str]:
    """Those that save most first, then those that cost; those without a plan last."""
    money = lever.delta_usd_per_month
    if money is None:
        money = lever.usd_per_month or Decimal(0)
    return (not lever.planned, money, lever.lever, lever.agent or "", lever.write)


def _shadow_prices(asked: Asked, spec: StackSpec, plan: Plan, chosen: Sequence[str]) -> Iterator[Lever]:
    """What a looser limit would save, limit by limit."""
    seen: set[str] = set()
    for driver in plan.drivers:
        if not set(driver.agents) & set(chosen):
            continue
        change = relaxed(spec, driver, plan)
        if change is None or (write := written(change.values, spec)) in seen:
            continue
        seen.add(write)
        yield _lever(asked, change, asked.plan(change.values, within_budget=False), plan)


def _ways_out(asked: Asked, found: Sequence[tuple[Change, Lever]], base: Plan | None) -> Iterator[Lever]:
    """The changes with which a plan can be made, cheapest first; where there is none, the dearest savings together."""
    ways = [lever for _, lever in found if lever.planned and lever.within_budget is not False]
    if ways or base is None:
        yield from sorted(ways, key=_rank)
        return
    saving = sorted(
        ((change, lever) for change, lever in found if lever.delta_usd_per_month is not None),
        key=lambda each: _rank(each[1]),
    )
    taken: list[Change] = []
    for change, lever in saving:
        clashes = any(change.lever == other.lever and change.agent == other.agent for other in taken)
        if clashes or (lever.delta_usd_per_month or Decimal(0)) >= 0 or len(taken) == _MOST_TOGETHER:
            continue
        taken.append(change)
        if len(taken) == 1:
            continue
        made = _asked_about(asked, several(taken), base, broken=True)
        if made.within_budget:
            yield _fewest(asked, taken, made, base)
            return


def _fewest(asked: Asked, taken: Sequence[Change], made: Lever, base: Plan) -> Lever:
    """The same without the changes that it does not need."""
    for change in taken[:-1]:
        rest = [each for each in taken if each is not change]
        fewer = _asked_about(asked, several(rest), base, broken=True) if len(rest) > 1 else None
        if fewer is not None and fewer.within_budget:
            return _fewest(asked, rest, fewer, base)
    return made


def several(changes: Sequence[Change]) -> Change:
    """Several changes as one."""
    values: dict[Steps, Data] = {}
    for change in changes:
        values |= change.values
    cautions = dict.fromkeys(change.caution for change in changes if change.caution)
    return Change(
        lever="several",
        agent=None,
        change=" and ".join(
            f"{change.change} ({change.agent})" if change.agent else change.change for change in changes
        ),
        values=values,
        caution="; ".join(cautions),
    )
