"""The planner: one agent stack and the catalog in, one plan out.

resolve names -> demand of each agent -> candidates on every accelerator -> options on every machine -> placement ->
plan. Each step is a pure function of the one before; the plan is assembled at the end from what was chosen.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal

from agentgpu_iac.catalog.model import Accelerator, EngineRelease, Model
from agentgpu_iac.catalog.store import Catalog
from agentgpu_iac.errors import Infeasible
from agentgpu_iac.plan import Plan, Rejection
from agentgpu_iac.planning import caching, containers, host_memory, several_nodes, sky, speculation
from agentgpu_iac.planning.assembly import Decisions, assemble
from agentgpu_iac.planning.candidates import Candidate, tolerated_engines
from agentgpu_iac.planning.demand import Demand, demand
from agentgpu_iac.planning.engines import PORTS, Wishes
from agentgpu_iac.planning.evaluation import Evaluator, Rules
from agentgpu_iac.planning.placement import (
    MAX_ENGINES_PER_ACCELERATOR,
    Option,
    place,
    shared_options,
    unshareable,
    with_several_per_accelerator,
)
from agentgpu_iac.planning.pricing import Machine, machines, unpriced
from agentgpu_iac.planning.references import accounting_version, draft_model, resolve_models
from agentgpu_iac.planning.rejections import (
    candidate_rejection,
    container_rejection,
    demand_rejection,
    unpriced_rejection,
)
from agentgpu_iac.planning.tiers import baseline_purchases, burst_purchase, drain, seats_for_warm, warm_replicas
from agentgpu_iac.sizing.capacity import STEADY_STATE_RATIO
from agentgpu_iac.spec.loader import LoadedStack
from agentgpu_iac.spec.model import StackSpec
from agentgpu_iac.spec.vocabulary import VIRTUAL_MACHINES


class NoPlan(Infeasible):
    """No plan exists: some agent has no option left, or the budget is too small. Holds the rejections as data."""

    def __init__(self, message: str, rejections: Iterable[Rejection] = ()) -> None:
        self.rejections = tuple(rejections)
        super().__init__(message)


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentOptions:
    """Everything that was found for one agent: what would serve it, and why the rest does not."""

    demand: Demand
    release: EngineRelease | None
    """Set unless the engine was refused."""
    options: tuple[Option, ...]
    rejections: tuple[Rejection, ...]


def make_plan(loaded: LoadedStack, catalog: Catalog) -> Plan:
    """Plan an agent stack, in the cheapest of its regions where one cluster must hold it all.

    Raises:
        BadInput: the spec names something that the catalog does not know.
        NoPlan: an agent is left without any option; the message says which constraint stopped it where.
    """
    models = resolve_models(loaded, catalog)
    regions = loaded.stack.spec.regions
    if loaded.stack.spec.target != "eks" or len(regions) < 2:
        return _make_plan(loaded, loaded.stack.spec, models, catalog)
    plans: list[Plan] = []
    refusals: list[NoPlan] = []
    for region in regions:
        spec = loaded.stack.spec.model_copy(update={"regions": (region,)})
        try:
            plans.append(_make_plan(loaded, spec, models, catalog))
        except NoPlan as refusal:
            refusals.append(refusal)
    if not plans:
        raise refusals[0]
    return min(plans, key=lambda plan: plan.cost.expected_usd_per_month)


def _make_plan(loaded: LoadedStack, spec: StackSpec, models: Sequence[Model], catalog: Catalog) -> Plan:
    spec = sky.adapted(spec)
    on_offer = containers.without_containers(
        sky.sold(machines(catalog.offerings, spec), catalog, spec),
        sky.unpriced(unpriced(catalog.offerings, spec), catalog, spec),
        catalog,
        spec,
    )
    demands = tuple(
        demand(agent, model, draft_model(agent, catalog)) for agent, model in zip(spec.agents, models, strict=True)
    )
    by_agent = tuple(_agent_options(position, one, spec, catalog, on_offer) for position, one in enumerate(demands))
    _require_options(by_agent, spec)
    burst_hours = Decimal(str(spec.capacity.burst_hours_per_month))
    plan = _assembled(loaded, spec, catalog, by_agent, burst_hours)
    budget = spec.capacity.budget_usd_per_month
    if budget is not None and plan.cost.baseline_usd_per_month > budget:
        plan = _assembled(loaded, spec, catalog, by_agent, burst_hours, least_baseline=True)
        _require_budget(plan, budget)
    return plan


def _assembled(
    loaded: LoadedStack,
    spec: StackSpec,
    catalog: Catalog,
    by_agent: Sequence[AgentOptions],
    burst_hours: Decimal,
    *,
    least_baseline: bool = False,
) -> Plan:
    """Place the agents at the least expected cost, or with the least baseline whatever the burst then costs."""
    groups, complete = _groups(by_agent, spec)
    refused: tuple[Rejection, ...] = ()
    if spec.target == sky.TARGET:
        refused, groups = tuple(sky.not_shared(groups)), ()
    options = [found.options for found in by_agent]
    placement = place(options, groups, complete, Decimal(0) if least_baseline else burst_hours)
    decided = Decisions(
        placement=placement,
        releases=tuple(found.release for found in by_agent if found.release is not None),
        options=tuple(found.options for found in by_agent),
        rejections=(
            *(rejection for found in by_agent for rejection in found.rejections),
            *_not_shared(by_agent, spec),
            *refused,
        ),
        burst_hours=burst_hours,
    )
    return assemble(loaded, spec, catalog, decided)


def _groups(by_agent: Sequence[AgentOptions], spec: StackSpec) -> tuple[tuple[Option, ...], bool]:
    """Agents that could stay together on one accelerator, and whether all such groups were considered."""
    if spec.capacity.share_accelerators != "auto" or len(by_agent) < 2:
        return (), True
    tolerated = {
        (option.agents[0], option.candidates[0].accelerator.id): tolerated_engines(
            option.candidates[0], MAX_ENGINES_PER_ACCELERATOR, spec.network.round_trip_ms
        )
        for found in by_agent
        for option in found.options
        if option.machine.accelerators == 1
    }
    return shared_options([found.options for found in by_agent], tolerated, STEADY_STATE_RATIO)


def _several_per_accelerator(options: Sequence[Option], spec: StackSpec) -> Iterator[Option]:
    """Replicas of one agent together on each accelerator: on virtual machines, whose NGINX goes round them.

    In a cluster the device plugin may put two of them on one node's accelerator as well, but no rollout finds room there.
    """
    if spec.target not in VIRTUAL_MACHINES or spec.capacity.share_accelerators != "auto":
        return
    for option in options:
        candidate = option.candidates[0]
        replicas, round_trip_ms = candidate.baseline_replicas, spec.network.round_trip_ms
        if option.spans_nodes or replicas < 2:
            continue
        tolerated = tolerated_engines(candidate, MAX_ENGINES_PER_ACCELERATOR, round_trip_ms, replicas)
        together = with_several_per_accelerator(option, tolerated, STEADY_STATE_RATIO)
        if together is not None:
            yield together


def _not_shared(by_agent: Sequence[AgentOptions], spec: StackSpec) -> Iterator[Rejection]:
    """Sharing that was looked at and refused: on machines of several accelerators no pod can choose which one it shares.

    NVIDIA's DRA driver could, by time-slicing, which is alpha there and needs Kubernetes 1.36. A container on a virtual
    machine is told its accelerator by number, but placement counts no parts of machines.
    """
    if spec.capacity.share_accelerators != "auto":
        return
    for option in unshareable([found.options for found in by_agent]):
        candidate, machine = option.candidates[0], option.machine
        message = (
            f"it could share one {candidate.accelerator.name} with others, but {machine.instance.name} has "
            f"{machine.accelerators}, and {_why_not_shared(spec)}"
        )
        unit, limit = "accelerators a node", float(machine.accelerators)
        yield candidate_rejection(candidate, machine, "sharing", message, need=1.0, limit=limit, unit=unit)


def _why_not_shared(spec: StackSpec) -> str:
    if spec.target in VIRTUAL_MACHINES:
        return "sharing is planned on machines of one accelerator alone"
    return (
        "the device plugin lets no pod choose which of them it shares. DRA claims would: sharing by them needs "
        f"Kubernetes 1.36 (pins.kubernetesVersion is {spec.pins.kubernetes_version}) and is alpha in NVIDIA's driver, so no "
        "plan uses it"
    )


def _agent_options(
    position: int,
    one: Demand,
    spec: StackSpec,
    catalog: Catalog,
    on_offer: containers.OnOffer,
) -> AgentOptions:
    if one.agent.engine not in PORTS:
        return AgentOptions(demand=one, release=None, options=(), rejections=(_refused_engine(one),))
    release = catalog.release(one.agent.engine, one.agent.engine_version)
    cannot = tuple(_refused_features(one, release, spec))
    if cannot:
        return AgentOptions(demand=one, release=None, options=(), rejections=cannot)
    rules = Rules(
        release=release,
        facts=catalog.facts(release.engine, release.version),
        accounted_as=accounting_version(release.engine, release.version, catalog),
        round_trip_ms=spec.network.round_trip_ms,
        session_affine=spec.network.routing == "session-affine",
        fills_machines=spec.target == sky.TARGET,
        calibrations={
            row.id: measured
            for row in catalog.accelerators
            if (measured := catalog.calibration(row.id, one.model.id, one.agent.engine)) is not None
        }
        if catalog.calibrations
        else {},
    )
    evaluator = Evaluator(one, rules)
    options: list[Option] = []
    rejections = [container_rejection(one, message) for message in on_offer.left_out]
    rejections += [unpriced_rejection(one, sold) for sold in on_offer.unpriced]
    for accelerator, available in _by_accelerator(on_offer.machines, catalog):
        largest = max(machine.accelerators for machine in available)
        results = evaluator.evaluate(accelerator, largest)
        found: list[Option] = []
        refusals: list[Rejection] = []
        for result in results:
            if isinstance(result, Rejection):
                refusals.append(result)
                continue
            bought, not_sold = _buy(position, result, evaluator, spec, catalog, release, available)
            found.extend(bought)
            refusals.extend(not_sold)
        spanning, turned_away, not_tried = _over_nodes(position, results, evaluator, spec, catalog, release, available)
        found.extend(spanning)
        refusals.extend(turned_away)
        options.extend((*found, *_several_per_accelerator(found, spec)))
        if not found and refusals:
            rejections.append(min(refusals, key=_shortfall))
            rejections.extend(not_tried)
    return AgentOptions(demand=one, release=release, options=tuple(options), rejections=tuple(rejections))


def _over_nodes(
    position: int,
    on_one: Sequence[Candidate | Rejection],
    evaluator: Evaluator,
    spec: StackSpec,
    catalog: Catalog,
    release: EngineRelease,
    available: Sequence[Machine],
) -> tuple[list[Option], list[Rejection], list[Rejection]]:
    """Replicas over several machines of a kind, where one of them does not hold the model.

    Options; candidates that do not serve; and why no candidate was tried on the best of the machines.
    """
    options: list[Option] = []
    refusals: list[Rejection] = []
    barred: list[Rejection] = []
    seen: dict[tuple[int, float], list[Candidate | Rejection]] = {}
    for machine in available:
        if machine.accelerators < several_nodes.LEAST_ACCELERATORS or not several_nodes.are_needed(on_one, machine):
            continue
        bar = sky.bar_over_nodes(evaluator.demand, machine, spec) or several_nodes.bar(
            evaluator.demand, machine, release
        )
        if bar is not None:
            barred.append(bar)
            continue
        key = (machine.accelerators, several_nodes.gbps_between(machine))
        if key not in seen:
            seen[key] = evaluator.evaluate_over_nodes(catalog.accelerator(machine.accelerator), *key)
        for result in seen[key]:
            if isinstance(result, Rejection):
                refusals.append(result)
                continue
            bought, not_sold = _buy(position, result, evaluator, spec, catalog, release, [machine])
            options.extend(bought)
            refusals.extend(not_sold)
    return options, refusals, [min(barred, key=_shortfall)] if barred else []


def _by_accelerator(on_offer: Iterable[Machine], catalog: Catalog) -> list[tuple[Accelerator, list[Machine]]]:
    grouped: dict[str, list[Machine]] = {}
    for machine in on_offer:
        grouped.setdefault(machine.accelerator, []).append(machine)
    return [(catalog.accelerator(name), grouped[name]) for name in sorted(grouped)]


def _buy(
    position: int,
    candidate: Candidate,
    evaluator: Evaluator,
    spec: StackSpec,
    catalog: Catalog,
    release: EngineRelease,
    available: Sequence[Machine],
) -> tuple[list[Option], list[Rejection]]:
    """Every machine that the candidate fits on, bought in every way that its tiers allow."""
    one, capacity = candidate.demand, spec.capacity
    options: list[Option] = []
    refusals: list[Rejection] = []
    for machine in available:
        if machine.accelerators < candidate.accelerators_per_pod:
            continue
        bar = sky.bar(candidate, machine, spec)
        if bar is not None:
            refusals.append(bar)
            continue
        if not host_memory.fits(candidate, machine):
            refusals.append(host_memory.rejection(candidate, machine))
            continue
        cold = one.agent.overrides.cold_start_s or caching.cold_start(candidate, machine, release, spec).total
        warm = warm_replicas(candidate, cold, capacity)
        ready = evaluator.reseated(candidate, warm=warm, seats=seats_for_warm(candidate, warm, cold, capacity))
        baselines = baseline_purchases(one, machine, capacity)
        burst = None
        if ready.burst_replicas:
            leaving = drain(
                one, ready.service.tpot_ms, None, engine_waits=PORTS[release.engine].drains(release.version)
            )
            notice = catalog.provider(machine.instance.provider).interruption_notice_s
            burst = burst_purchase(one, machine, capacity, notice, leaving.grace_period_s)
        if not baselines or (ready.burst_replicas and burst is None):
            refusals.append(_not_sold(candidate, machine))
            continue
        options += [
            Option(agents=(position,), candidates=(ready,), machine=machine, baseline=baseline, burst=burst)
            for baseline in baselines
        ]
    return options, refusals


def _not_sold(candidate: Candidate, machine: Machine) -> Rejection:
    ways = ", ".join(way.capacity_type for way in machine.ways)
    message = f"{machine.instance.name} has a price for {ways} only, and a user-facing tier needs on-demand"
    return candidate_rejection(candidate, machine, "capacity-type", message)


def _refused_engine(one: Demand) -> Rejection:
    message = (
        "Ollama is for local development: it has no continuous batching that carries production sessions. Leave the engine "
        "out; for the target compose the rendered files serve the same agents by Ollama under the profile local"
    )
    return demand_rejection(one, None, "engine", message)


def _refused_features(one: Demand, release: EngineRelease, spec: StackSpec) -> Iterable[Rejection]:
    """What the agent asks for and its engine, in this version, or its model cannot do."""
    wishes = Wishes(
        agent=one.agent,
        model=one.model,
        precision=one.precision,
        version=release.version,
        image_is_pinned=spec.pins.engine_image is not None,
        loader=caching.wanted_loader(spec),
    )
    found = [("engine-feature", message) for message in PORTS[release.engine].refusals(wishes)]
    if spec.security.api_key_secret is not None and PORTS[release.engine].api_key_variable is None:
        found.append(("engine-feature", f"{PORTS[release.engine].title} cannot ask callers for an API key"))
    if no_head := speculation.fault(one.model, one.agent):
        found.append(("speculative", no_head))
    found.extend(sky.refusals(one, spec))
    return [demand_rejection(one, None, constraint, message) for constraint, message in found]


def _shortfall(rejection: Rejection) -> tuple[float, int, int]:
    """How far a rejection is from its limit; the nearest miss tells the reader most."""
    ratio = float("inf")
    if rejection.need is not None and rejection.limit:
        ratio = rejection.need / rejection.limit
    return (ratio, rejection.tensor_parallel_size or 0, rejection.pipeline_parallel_size or 0)


def _require_options(by_agent: Sequence[AgentOptions], spec: StackSpec) -> None:
    lines: list[str] = []
    for found in by_agent:
        if found.options:
            continue
        name = found.demand.agent.name
        lines.append(f"agent {name!r} ({found.demand.model.id}, {found.demand.precision}) fits nothing on offer:")
        nearest = sorted(found.rejections, key=_shortfall)[:5]
        lines += [f"  {rejection.accelerator}: {rejection.message}" for rejection in nearest]
        if not nearest:
            lines.append(f"  no offering matches target {spec.target} with its providers, regions and accelerators")
    if lines:
        raise NoPlan("\n".join(lines), (rejection for found in by_agent for rejection in found.rejections))


def _require_budget(plan: Plan, budget: Decimal) -> None:
    need = plan.cost.baseline_usd_per_month
    if need > budget:
        raise NoPlan(
            f"the cheapest baseline needs USD {need:,.2f} a month, over the budget of USD {budget:,.2f} "
            "(capacity.budgetUsdPerMonth)"
        )
