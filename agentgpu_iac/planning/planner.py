"""The planner: one agent stack and the catalog in, one plan out.

resolve names -> demand of each agent -> deployments that could serve them -> candidates on every accelerator -> options on
every machine -> placement -> plan. Each step is a pure function of the one before; the plan is assembled at the end from what
was chosen.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from decimal import Decimal

from agentgpu_iac.catalog.model import Model
from agentgpu_iac.catalog.store import Catalog
from agentgpu_iac.errors import BadInput, Infeasible
from agentgpu_iac.plan import Plan, Rejection
from agentgpu_iac.planning.checkpoint_cache import with_checkpoint_cache
from agentgpu_iac.planning.choosing import lacks
from agentgpu_iac.planning.choosing.apart import Trial
from agentgpu_iac.planning.choosing.candidates import tolerated_engines
from agentgpu_iac.planning.choosing.commitments import commitment_faults, committed
from agentgpu_iac.planning.choosing.limits import Terms, quota_faults, quotas
from agentgpu_iac.planning.choosing.on_offer import Offers, offers, place_matters, where_cheapest
from agentgpu_iac.planning.choosing.option import Option
from agentgpu_iac.planning.choosing.options import AgentOptions, MachineId, on_sale, with_less_reserve
from agentgpu_iac.planning.choosing.pricing import machines, owned_alone
from agentgpu_iac.planning.choosing.program import Conflict
from agentgpu_iac.planning.choosing.rejections import candidate_rejection, shortfall
from agentgpu_iac.planning.choosing.remembering import Evaluators
from agentgpu_iac.planning.choosing.sharing import MAX_ENGINES_PER_ACCELERATOR, mates_of, shared_options, unshareable
from agentgpu_iac.planning.choosing.siblings import with_price_cap
from agentgpu_iac.planning.choosing.tiers import reserved_ratio
from agentgpu_iac.planning.demand import Demand, asking_order, demand
from agentgpu_iac.planning.deployments import deployments
from agentgpu_iac.planning.kubernetes_version import with_kubernetes_version
from agentgpu_iac.planning.naming import with_ids
from agentgpu_iac.planning.pools import Placed, homes
from agentgpu_iac.planning.references import cluster_regions, draft_model, resolve_models
from agentgpu_iac.planning.settling import Market, Settled, settle
from agentgpu_iac.planning.thinking import ThinkingChoice, settled_thinking
from agentgpu_iac.planning.trying import Told, possibly_apart, tried, tried_in_full
from agentgpu_iac.planning.writing.assembly import Decisions, assemble
from agentgpu_iac.spec.loader import LoadedStack
from agentgpu_iac.spec.model import StackSpec
from agentgpu_iac.targets import target_of


class NoPlan(Infeasible):
    """No plan exists: some agent has no option left, or the budget is too small. Holds the rejections as data."""

    def __init__(self, message: str, rejections: Iterable[Rejection] = ()) -> None:
        self.rejections = tuple(rejections)
        super().__init__(message)


class OverBudget(NoPlan):
    """The cheapest baseline costs more than ``capacity.budgetUsdPerMonth`` allows."""

    def __init__(self, need: Decimal, budget: Decimal) -> None:
        self.need_usd_per_month, self.budget_usd_per_month = need, budget
        super().__init__(
            f"the cheapest baseline needs USD {need:,.2f} a month, over the budget of USD {budget:,.2f} "
            "(capacity.budgetUsdPerMonth); agentgpu levers says which changes bring it under, if any do"
        )


class Unkept(NoPlan):
    """Limits that no placement keeps together, and all but one of which some placement keeps."""

    def __init__(self, names: Sequence[str], *, inventory: bool) -> None:
        self.names = tuple(names)
        those, several = " and ".join(names), len(names) > 1
        if inventory:
            message = (
                f"the machines that there are do not carry all agents together: {those} {'are' if several else 'is'} too few "
                "(capacity.inventory)"
            )
        elif several:
            message = f"no placement keeps these together, and without any one of them there is one: {those}"
        else:
            message = f"no placement keeps this, and without it there is one: {those}"
        super().__init__(message)


def make_plan(
    loaded: LoadedStack, catalog: Catalog, evaluators: Evaluators | None = None, *, told: Told | None = None
) -> Plan:
    """Plan an agent stack, in the cheapest of its regions where one cluster must hold it all.

    ``evaluators`` remember what other plans over the same catalog have evaluated; ``told`` hears how far it is.

    Raises:
        BadInput: the spec names something that the catalog does not know.
        NoPlan: an agent is left without any option; the message says which constraint stopped it where.
    """
    loaded = with_ids(loaded, catalog)
    models = resolve_models(loaded, catalog)
    if faults := [*commitment_faults(loaded, catalog), *quota_faults(loaded, catalog)]:
        raise BadInput(faults)
    settled, thinking = settled_thinking(loaded, models, catalog)
    evaluators = evaluators or Evaluators()
    clusters = cluster_regions(settled, catalog)
    if not target_of(settled).can.one_region or len(clusters) < 2:
        return _make_plan(loaded, settled, models, thinking, catalog, evaluators, told)
    plans: list[Plan] = []
    refusals: list[NoPlan] = []
    elsewhere = tuple(region for region in settled.regions if region not in clusters)
    for region in clusters:
        spec = settled.model_copy(update={"regions": (region, *elsewhere)})
        try:
            plans.append(_make_plan(loaded, spec, models, thinking, catalog, evaluators, told))
        except NoPlan as refusal:
            refusals.append(refusal)
    if not plans:
        dear = [refusal for refusal in refusals if isinstance(refusal, OverBudget)]
        raise min(dear, key=lambda refusal: refusal.need_usd_per_month) if dear else refusals[0]
    return min(plans, key=lambda plan: plan.cost.expected_usd_per_month)


def _make_plan(
    loaded: LoadedStack,
    spec: StackSpec,
    models: Sequence[Model],
    thinking: Sequence[ThinkingChoice],
    catalog: Catalog,
    evaluators: Evaluators,
    told: Told | None,
) -> Plan:
    spec = with_kubernetes_version(with_price_cap(target_of(spec).settled(spec)), catalog)
    on_offer = offers(spec, catalog)
    if not place_matters(spec):
        on_offer = replace(on_offer, machines=where_cheapest(on_offer.machines))
    demands = _demands(spec, models, thinking, catalog)
    considered = deployments(demands)
    terms = Terms(
        burst_hours=Decimal(str(spec.capacity.burst_hours_per_month)),
        reserved_ratio=reserved_ratio(spec.observed, sum(each.concurrent for each in demands if each.user_facing)),
        fillers_apart=target_of(spec).can.runs_machines,
        alike=target_of(spec).can.runs_machines,
        joined=target_of(spec).joined(spec),
        owned=_owned(spec, on_offer),
        rents=bool(spec.capacity.inventory) and not owned_alone(spec),
        commitments=committed(spec.capacity.commitments, on_offer.machines, catalog.day),
        quotas=quotas(spec.capacity.quotas, on_offer.machines, catalog),
    )
    trial = Trial(spec=spec, catalog=catalog, on_offer=on_offer, terms=terms, evaluators=evaluators)
    market = tried(considered, trial, told)
    _require_options(market.on_sale[: len(demands)], spec, catalog)
    plan = _assembled(loaded, spec, market, evaluators)
    budget = spec.capacity.budget_usd_per_month
    if budget is not None and plan.cost.baseline_usd_per_month > budget:
        return _within(budget, loaded, spec, market, evaluators)
    return plan


def _within(budget: Decimal, loaded: LoadedStack, spec: StackSpec, market: Market, evaluators: Evaluators) -> Plan:
    """The cheapest plan whose baseline keeps the budget: one more limit of the program.

    Raises:
        OverBudget: no baseline costs so little, whatever the burst then costs.
        NoPlan: none does that keeps the other limits too.
    """
    limited = replace(market, terms=replace(market.terms, budget_usd=budget))
    try:
        plan = _assembled(loaded, spec, limited, evaluators)
    except Unkept as refusal:
        if len(refusal.names) > 1:
            raise
        plan = _assembled(loaded, spec, market, evaluators, least_baseline=True)
    _require_budget(plan, budget)
    return plan


def _owned(spec: StackSpec, on_offer: Offers) -> dict[MachineId, int]:
    """How many machines of each kind there are, where the stack has its own."""
    counts = {(each.machine, each.provider): each.count for each in spec.capacity.inventory}
    return {
        machine.id: counts.get((name, provider)) or counts[name, None]
        for machine in on_offer.machines
        if machine.owned
        for provider, name, _ in (machine.id,)
    }


def _demands(
    spec: StackSpec, models: Sequence[Model], thinking: Sequence[ThinkingChoice], catalog: Catalog
) -> tuple[Demand, ...]:
    """What each agent asks for, in order; those first that nobody starts or asks, since they ask the others."""
    found: dict[str, Demand] = {}
    together = {each[0].name: each for each in zip(spec.agents, models, thinking, strict=True)}
    for name in asking_order(spec.agents):
        agent, model, choice = together[name]
        draft = draft_model(agent, catalog)
        found[agent.name] = demand(
            with_checkpoint_cache(agent, model, catalog),
            model,
            draft,
            choice,
            spec.latency,
            found,
            quantile=spec.capacity.quantile,
        )
    return tuple(found[agent.name] for agent in spec.agents)


def _assembled(
    loaded: LoadedStack, spec: StackSpec, market: Market, evaluators: Evaluators, *, least_baseline: bool = False
) -> Plan:
    """Place the deployments at the least expected cost, or with the least baseline whatever the burst then costs."""
    catalog, terms = market.catalog, market.terms
    seen, _ = groups = _groups(market, spec)
    target = target_of(spec)
    priced_by = replace(terms, burst_hours=Decimal(0)) if least_baseline else terms
    settled = _settled(loaded, spec, market, priced_by, groups)
    if doubtful := possibly_apart(market, settled.placement.usd, spec):
        return _assembled(
            loaded, spec, tried_in_full(market, doubtful, spec, evaluators), evaluators, least_baseline=least_baseline
        )
    chosen = tuple(member.position for member in settled.placed)
    placed = [market.on_sale[position] for position in chosen]
    decided = Decisions(
        settled=settled,
        rejections=(
            *(rejection for each in placed for rejection in each.rejections),
            *_not_shared(placed, spec),
            *lacks.not_shared([group for group in seen if set(group.deployments) <= set(chosen)], target),
        ),
        terms=terms,
        less_reserve={
            member.position: with_less_reserve(
                market.found[member.position],
                market.on_sale[member.position],
                spec,
                catalog,
                market.on_offer,
                under_usd=member.option.usd_per_month_alone(terms),
            )
            for member in settled.placed
        },
        considered=market.considered,
        second_replicas=_second_replicas(loaded, spec, market, priced_by, settled),
    )
    return assemble(loaded, spec, catalog, decided)


def _settled(
    loaded: LoadedStack,
    spec: StackSpec,
    market: Market,
    priced_by: Terms,
    groups: tuple[tuple[Option, ...], bool],
) -> Settled:
    """The cheapest placement, settled."""
    try:
        shares = target_of(spec).can.shares_accelerators
        return settle(market, groups if shares else ((), groups[1]), priced_by, loaded.stack.metadata.name, spec)
    except Conflict as conflict:
        owned = set(priced_by.owned_names)
        raise Unkept(conflict.names, inventory=set(conflict.names) <= owned) from None


_MOST_SECOND_REPLICAS = 8
_MOST_DEPLOYMENTS = 24
"""Agents whose second warm replica is planned, and deployments among which: each takes a placement of its own. In larger stacks
``agentgpu levers`` plans one for all of them (``capacity.survive``)."""


def _second_replicas(
    loaded: LoadedStack, spec: StackSpec, market: Market, priced_by: Terms, settled: Settled
) -> dict[int, Settled]:
    """The cheapest placement with another warm replica of each user-facing deployment that would lack one in a rollout.

    By the deployment's position: everything is placed anew, since two small replicas may cost less than another large one.
    Nothing where it would stand on a machine that nobody is led to, or where a machine must be another and none is.
    """
    can = target_of(spec).can
    if can.runs_machines and not can.makes_machines:
        return {}
    alone = [member for member in settled.placed if _is_alone(member, settled)]
    if len(alone) > _MOST_SECOND_REPLICAS or len(market.considered) > _MOST_DEPLOYMENTS or market.withheld:
        return {}
    found: dict[int, Settled] = {}
    for member in alone:
        agents = set(market.considered[member.position].agents)
        asked = tuple(
            replace(each, second="machine" if can.runs_machines else "replica")
            if agents & set(considered.agents)
            else each
            for each, considered in zip(market.found, market.considered, strict=True)
        )
        sold = tuple(
            on_sale(each, spec, market.catalog, {}) if each.second else already
            for each, already in zip(asked, market.on_sale, strict=True)
        )
        other = replace(market, found=asked, on_sale=sold)
        try:
            found[member.position] = _settled(loaded, spec, other, priced_by, _groups(other, spec))
        except NoPlan:
            continue  # of the machines that there are too few
    return found


def _is_alone(member: Placed, settled: Settled) -> bool:
    """Whether nobody serves while the deployment's one warm replica is replaced, and no accelerator is free for another."""
    candidate = member.candidate
    pool = next(pool for pool in homes(settled.pools)[member.position] if pool.tier == "baseline")
    lone = candidate.demand.user_facing and candidate.baseline_replicas == 1
    return lone and pool.free_accelerators < candidate.accelerators_per_replica


def _groups(market: Market, spec: StackSpec) -> tuple[tuple[Option, ...], bool]:
    """Deployments that could stay together on one accelerator, and whether all such groups were considered."""
    if spec.capacity.share_accelerators != "auto" or len(market.on_sale) < 2:
        return (), True
    by_deployment = [
        [] if position in market.withheld else market.known.of(mates_of, found.options)
        for position, found in enumerate(market.on_sale)
    ]

    def tolerated(option: Option) -> int:
        return tolerated_engines(option.candidates[0], MAX_ENGINES_PER_ACCELERATOR, spec.network.round_trip_ms)

    return shared_options(by_deployment, tolerated, market.served)


def _not_shared(placed: Sequence[AgentOptions], spec: StackSpec) -> Iterator[Rejection]:
    """Sharing that was looked at and refused on machines of several accelerators; the target says why."""
    if spec.capacity.share_accelerators != "auto":
        return
    why = target_of(spec).why_not_shared_in_part(spec)
    for option in unshareable([found.options for found in placed]):
        candidate, machine = option.candidates[0], option.machine
        message = (
            f"it could share one {candidate.accelerator.name} with others, but {machine.instance.name} has "
            f"{machine.accelerators}, and {why}"
        )
        limit = float(machine.accelerators)
        yield candidate_rejection(
            candidate, machine, "sharing", message, need=1.0, limit=limit, unit="accelerators a node"
        )


def _require_options(by_deployment: Sequence[AgentOptions], spec: StackSpec, catalog: Catalog) -> None:
    lines: list[str] = []
    for found in by_deployment:
        if found.options:
            continue
        name = found.demand.name
        lines.append(f"agent {name!r} ({found.demand.model.id}, {found.demand.precision}) fits nothing on offer:")
        nearest = sorted(found.rejections, key=shortfall)[:5]
        lines += [f"  {rejection.accelerator}: {rejection.message}" for rejection in nearest]
        if not nearest:
            lines.append(
                f"  nothing on offer that can be planned with matches target {spec.target} with its providers, regions and "
                "accelerators (agentgpu catalog list excluded says what cannot, and why)"
            )
        if spec.providers and all(rejection.constraint == "container" for rejection in nearest):
            lines.append(f"  {_sold_by(spec, catalog)}")
    if lines:
        raise NoPlan("\n".join(lines), (rejection for found in by_deployment for rejection in found.rejections))


def _sold_by(spec: StackSpec, catalog: Catalog) -> str:
    """Who else sells what the target may use, where the named providers sell nothing of it."""
    rented = {provider.id for provider in catalog.providers if provider.rents_containers}
    anyone = spec.model_copy(update={"providers": ()})
    sellers = {machine.instance.provider for machine in machines(catalog.offerings, anyone)}
    others = sorted(sellers - rented - set(spec.providers))
    where = "in the same regions, of the same accelerators"
    if not others:
        return f"no other provider sells machines for target {spec.target} {where}"
    return f"machines for target {spec.target} are sold by {', '.join(others)} {where} (providers)"


def _require_budget(plan: Plan, budget: Decimal) -> None:
    need = plan.cost.baseline_usd_per_month
    if need > budget:
        raise OverBudget(need, budget)
