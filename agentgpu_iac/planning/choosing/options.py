"""What can be bought for each agent: candidates on the machines that hold them, and the ways to buy those.

Found in two steps. What fits where takes the time and is done once (``fitting``); how many replicas are warm there, and so
what is bought, depends on how long a replica takes to start beside the other models of its node, and is asked anew
(``on_sale``) for each cold start that the placement comes to.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from agentgpu_iac.catalog.model import EngineRelease
from agentgpu_iac.catalog.store import Catalog
from agentgpu_iac.plan import DrainPlan, Rejection
from agentgpu_iac.planning import priorities
from agentgpu_iac.planning.choosing import caching, joined
from agentgpu_iac.planning.choosing.candidates import Candidate, tolerated_engines
from agentgpu_iac.planning.choosing.fitting import AgentFits, Fit, fits
from agentgpu_iac.planning.choosing.leaving import replica_drain, spot_grace_s
from agentgpu_iac.planning.choosing.mixes import Part, Parts
from agentgpu_iac.planning.choosing.on_offer import Offers
from agentgpu_iac.planning.choosing.option import Option
from agentgpu_iac.planning.choosing.pricing import Machine
from agentgpu_iac.planning.choosing.rejections import (
    candidate_rejection,
    shortfall,
)
from agentgpu_iac.planning.choosing.sharing import MAX_ENGINES_PER_ACCELERATOR, with_several_per_accelerator
from agentgpu_iac.planning.choosing.tiers import (
    Purchase,
    baseline_purchases,
    burst_purchases,
    seats_for_warm,
    spare_for_second,
    spare_replicas,
    warm_replicas,
)
from agentgpu_iac.planning.choosing.zones import baseline_zones, burst_zones
from agentgpu_iac.planning.demand import Demand
from agentgpu_iac.planning.opening import NodeHours, lead_minutes, tail_minutes
from agentgpu_iac.spec.model import Capacity, StackSpec
from agentgpu_iac.targets import target_of
from agentgpu_iac.units import HOURS_PER_MONTH

MachineId = tuple[str, str, str]
"""(provider, instance type, region)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentOptions:
    """Everything that was found for one deployment: what would serve it, and why the rest does not."""

    demand: Demand
    release: EngineRelease | None
    """Set unless the engine was refused."""
    options: tuple[Option, ...]
    rejections: tuple[Rejection, ...]
    parts: Parts
    """What its tiers may be made of, where baseline and burst may differ."""


def on_sale(
    found: AgentFits, spec: StackSpec, catalog: Catalog, node_models_gib: Mapping[MachineId, float]
) -> AgentOptions:
    """Every machine that the agent fits on, bought in every way that its tiers allow.

    ``node_models_gib`` is what a node's cache is filled with on some machines; on the others it is this agent's models.
    """
    options: list[Option] = []
    baselines: list[Part] = []
    bursts: list[Part] = []
    rejections = list(found.rejections)
    ready: dict[tuple[int, str, str, float], tuple[_Ready, ...]] = {}
    seated: dict[tuple[int, int, int], _Seated] = {}
    openings: dict[tuple[int, str, str], NodeHours] = {}
    either = spec.capacity.on_demand_floor_ratio or spec.capacity.max_share_per_pool is not None
    on_spot = (True, False) if either else (True,)
    for on in found.on:
        bought: list[Option] = []
        refusals: list[Rejection] = []
        carries_bursts = False
        for result in on.results:
            if isinstance(result, Rejection):
                refusals.append(result)
                continue
            machine, models_gib = result.machine, node_models_gib.get(result.machine.id, 0.0)
            key = (id(result.candidate), machine.instance.provider, machine.instance.name, models_gib)
            if key not in ready:  # the same machine starts as fast in every region
                ready[key] = tuple(_ready(found, result, spec, models_gib, seated, on_spot=each) for each in on_spot)
            ways, its_baselines, its_burst = _buy(found, result, ready[key], spec, catalog)
            bought.extend(ways)
            baselines.extend(its_baselines)
            bursts.extend(its_burst)
            beside = found.beside is not None and joined.is_joined(machine, spec)
            carries_bursts = carries_bursts or (beside and bool(its_burst))
            if not ways and not beside:
                refusals.append(_not_sold(result.candidate, result.machine))
        by_the_clock = _by_the_clock(found, bought, spec, openings)
        all_go = spec.capacity.survive == "node" or found.second == "machine"  # all of one accelerator go with its node
        several = () if all_go else _several_per_accelerator(bought, spec)
        options.extend((*bought, *several, *by_the_clock))
        by_reserve = [refusal for refusal in refusals if refusal.reserve_ratio is not None]
        if not bought and refusals and not carries_bursts:
            rejections.append(min(refusals, key=shortfall))
            rejections.extend(on.not_tried)
        elif by_reserve:
            rejections.append(min(by_reserve, key=shortfall))
    return AgentOptions(
        demand=found.demand,
        release=found.release,
        options=tuple(options),
        rejections=tuple(rejections),
        parts=_parts(found, baselines, bursts, spec),
    )


def _parts(found: AgentFits, baselines: Sequence[Part], bursts: Sequence[Part], spec: StackSpec) -> Parts:
    """The parts of the agent's tiers; none where the target's replicas are all alike."""
    if not target_of(spec).can.mixes_replicas:
        return Parts(position=found.position)

    def zones_of(burst: Part, replicas: int) -> int | None:
        zones = _zones_of(burst.purchase, replicas, spec.capacity)
        return zones if zones == 1 or not joined.is_joined(burst.machine, spec) else None

    def warm(baseline: Part, burst: Part, peak: int) -> int:
        whole = baseline.candidate
        if peak != whole.peak_replicas:
            whole = replace(whole, peak_replicas=peak)
        on_spot = "spot" in burst.purchase.capacity_types
        return warm_replicas(whole, burst.cold_s, spec.capacity, on_spot=on_spot, spare=baseline.spare)

    return Parts(
        position=found.position,
        baselines=tuple(baselines),
        bursts=tuple(bursts),
        warm=warm,
        zones=baseline_zones(found.demand, spec.capacity),
        burst_zones=zones_of,
        any_count=spec.network.routing == "session-affine",
        divides=target_of(spec).can.splits_baselines and found.demand.opening is None,
    )


def seated(option: Option, found: AgentFits, spec: StackSpec, cold_s: float) -> Option:
    """A mix with as many seats on its warm replicas as hold whoever comes before the burst has started."""
    there, rest = option.elsewhere, option.rest
    if (there is None and rest is None) or found.evaluator is None or found.release is None:
        return option
    (ready,), warm = option.candidates, option.candidates[0].baseline_replicas
    kinds = [ready] if rest is None else [ready, rest.candidates[0]]
    seats = [seats_for_warm(each, warm, cold_s, spec.capacity) for each in kinds]
    kinds = [found.evaluator.reseated(each, warm=warm, seats=its) for each, its in zip(kinds, seats, strict=True)]
    ready = kinds[0]
    if rest is not None:
        rest = replace(rest, candidates=(kinds[1],), drain=replica_drain(kinds[1], found.release))
    if there is not None:
        (more,) = there.candidates
        beside = found.evaluator_on(there.machine, spec) is not found.evaluator
        alike = [each for each in kinds if (each.accelerator.id, each.sizes) == (more.accelerator.id, more.sizes)]
        if not beside and alike:
            more = found.evaluator.reseated(more, warm=warm, seats=alike[0].max_num_seqs)
        there = replace(there, candidates=(more,), drain=replica_drain(more, found.release))
    return replace(option, candidates=(ready,), drain=replica_drain(ready, found.release), elsewhere=there, rest=rest)


def with_less_reserve(
    fitted: AgentFits,
    found: AgentOptions,
    spec: StackSpec,
    catalog: Catalog,
    on_offer: Offers,
    *,
    under_usd: Decimal,
) -> tuple[Option, ...]:
    """What would serve the agent on the accelerators from which the memory's reserve alone turns it away, for less in a month.

    Where one machine around the clock costs so much already, nothing is looked for.
    """
    refused = {rejection.accelerator for rejection in found.rejections if rejection.reserve_ratio is not None}
    around_the_clock = fitted.demand.opening is None and not spec.capacity.inventory
    machines = tuple(
        machine
        for machine in on_offer.machines
        if machine.accelerator in refused
        and not (around_the_clock and min(way.usd_per_hour for way in machine.ways) * HOURS_PER_MONTH >= under_usd)
    )
    if not machines:
        return ()
    capacity = spec.capacity.model_copy(update={"memory_reserve_ratio": 0.0})  # the engine's own share still bounds it
    lenient = spec.model_copy(update={"capacity": capacity})
    fits_there = fits(fitted.position, fitted.demand, lenient, catalog, replace(on_offer, machines=machines))
    return on_sale(fits_there, lenient, catalog, {}).options


@dataclass(frozen=True, slots=True, kw_only=True)
class _Seated:
    """A candidate with the replicas and the seats that are warm, and how one leaves where some come with a burst."""

    candidate: Candidate
    drain: DrainPlan | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ready:
    """A candidate on a kind of machine, wherever that is."""

    candidate: Candidate
    """With the replicas and the seats that are warm there, by how long one takes to start."""
    cold_s: float
    """How late a replica may be that starts there."""
    drain: DrainPlan | None
    """How one leaves, where some come with a burst."""
    spare: int = 0
    """Warm replicas beyond those of normal load."""
    grace_s: int = 0
    """What a notice must leave room for, for a burst to be on spot."""
    on_spot: bool = True
    """Whether its burst may be on spot: a share of the replicas that stays on-demand is then warm."""


def _ready(
    found: AgentFits,
    fit: Fit,
    spec: StackSpec,
    node_models_gib: float,
    seated: dict[tuple[int, int, int], _Seated],
    *,
    on_spot: bool,
) -> _Ready:
    """The candidate on such a machine; ``seated`` remembers it with as many replicas and seats, wherever that was."""
    candidate, machine, capacity = fit.candidate, fit.machine, spec.capacity
    if found.release is None or found.evaluator is None:
        return _Ready(candidate=candidate, cold_s=0.0, drain=None)
    own_gib = 0.0 if caching.streams(candidate, machine, found.release, spec) else found.own_models_gib
    start = caching.cold_start(candidate, machine, found.release, spec, node_models_gib=max(own_gib, node_models_gib))
    cold_s = caching.latest_start_s(candidate, start)
    spare = _spare(found, fit, spec)
    warm = warm_replicas(candidate, cold_s, capacity, on_spot=on_spot, spare=spare)
    seats = seats_for_warm(candidate, warm, cold_s, capacity)
    key = (id(candidate), warm, seats)
    evaluator = found.evaluator_on(machine, spec) or found.evaluator
    there = seated.get(key)
    if there is None:
        of_it = evaluator.reseated(candidate, warm=warm, seats=seats)
        drain = replica_drain(of_it, found.release) if of_it.burst_replicas else None
        there = seated.setdefault(key, _Seated(candidate=of_it, drain=drain))
    return _Ready(
        candidate=there.candidate,
        cold_s=cold_s,
        drain=there.drain,
        spare=spare,
        grace_s=spot_grace_s(found.demand, there.candidate.service.tpot_ms),
        on_spot=on_spot,
    )


def _spare(found: AgentFits, fit: Fit, spec: StackSpec) -> int:
    """Warm replicas beyond those of normal load."""
    asked = spare_replicas(fit.candidate, fit.machine, spec.capacity)
    if found.second is None:
        return asked
    return max(asked, spare_for_second(fit.candidate, fit.machine, found.second))


def _buy(
    found: AgentFits, fit: Fit, ready: Sequence[_Ready], spec: StackSpec, catalog: Catalog
) -> tuple[list[Option], list[Part], list[Part]]:
    """Every way to buy the machine for both tiers, none where it is not offered so; and for the baseline and the burst alone."""
    if found.release is None:
        return [], [], []
    machine, capacity = fit.machine, spec.capacity
    notice = catalog.provider(machine.instance.provider).interruption_notice_s
    bursts = burst_purchases(found.demand, machine, capacity, notice, ready[0].grace_s)
    burst_alone = [
        Part(candidate=fit.candidate, machine=machine, purchase=burst, cold_s=ready[0].cold_s)
        for burst in bursts
        if fit.candidate.nodes == 1
    ]
    if found.beside is not None and joined.is_joined(machine, spec):
        return [], [], burst_alone
    ways = baseline_purchases(found.demand, machine, capacity, held=_is_held(machine, spec))
    options = [
        Option(
            deployments=(found.position,),
            candidates=(each.candidate,),
            machine=machine,
            baseline=baseline,
            burst=burst,
            drain=each.drain,
            zones=baseline_zones(found.demand, capacity),
            burst_zones=zones,
        )
        for each in ready
        for burst in _its_bursts(each, bursts)
        for zones in (_zones_of(burst, each.candidate.burst_replicas, capacity),)
        if zones is not None
        for baseline in ways
    ]
    baseline_alone = [
        Part(candidate=fit.candidate, machine=machine, purchase=way, spare=ready[0].spare)
        for way in ways
        if fit.candidate.nodes == 1
    ]
    return options, baseline_alone, burst_alone


def _zones_of(burst: Purchase | None, replicas: int, capacity: Capacity) -> int | None:
    return burst_zones(replicas, capacity, on_spot=burst is not None and "spot" in burst.capacity_types)


def _its_bursts(ready: _Ready, bursts: Sequence[Purchase]) -> Sequence[Purchase | None]:
    """How the burst of such replicas is bought: not at all where there is none."""
    if not ready.candidate.burst_replicas:
        return (None,)
    if ready.on_spot:
        return bursts[:1]
    return [burst for burst in bursts if "spot" not in burst.capacity_types]


def _is_held(machine: Machine, spec: StackSpec) -> bool:
    """Whether nodes of a baseline go into on-demand reservations first, as Karpenter and EKS place them."""
    return spec.capacity.reservation == "on-demand" and target_of(spec).makes_nodes_of(machine.instance.provider)


def _by_the_clock(
    found: AgentFits, bought: Sequence[Option], spec: StackSpec, known: dict[tuple[int, str, str], NodeHours]
) -> Iterator[Option]:
    """The same options on nodes of their own that come and go with the deployment's windows.

    None on machines that are paid around the clock whoever is on them: those that there are, and held capacity. ``known``
    remembers a candidate's hours on a machine, which are the same in every region.
    """
    if found.demand.opening is None or not target_of(spec).can.scales_on_metrics:
        return
    for option in bought:
        (candidate,), machine = option.candidates, option.machine
        if machine.owned:
            continue
        if spec.capacity.reservation != "none" and target_of(spec).makes_nodes_of(machine.instance.provider):
            continue
        key = (id(candidate), machine.instance.provider, machine.instance.name)
        if key not in known:
            known[key] = _node_hours(found, option, spec)
        yield replace(option, open=known[key])


def _node_hours(found: AgentFits, option: Option, spec: StackSpec) -> NodeHours:
    """For how long the option's nodes are there: all of them start, and fill their caches, before the window opens."""
    (candidate,), machine, opening = option.candidates, option.machine, found.demand.opening
    if found.release is None or opening is None:
        raise ValueError("an option has a release, and one by the clock has windows")
    streams = caching.streams(candidate, machine, found.release, spec)
    cached = () if streams else caching.cached_models([candidate], spec)
    level = priorities.level(found.demand, "baseline")
    filler = caching.filler(cached, level, spec, machine, option.nodes_alone("baseline"))
    start = caching.cold_start_plan(candidate, machine, found.release, caching.models_gib(cached), spec)
    lead = lead_minutes(caching.among_others(candidate, start, filler).upper.total)
    drain = option.drain or replica_drain(candidate, found.release)
    tail = tail_minutes(drain.grace_period_s)
    return NodeHours(
        lead_minutes=lead,
        tail_minutes=tail,
        hours=opening.node_hours(lead, tail),
        replicas_outside=min(opening.replicas_outside, candidate.baseline_replicas),
    )


def _several_per_accelerator(options: Sequence[Option], spec: StackSpec) -> Iterator[Option]:
    """Replicas of one agent together on each accelerator: on virtual machines, whose NGINX goes round them.

    In a cluster the device plugin may put two of them on one node's accelerator as well, but no rollout finds room there.
    """
    if not target_of(spec).can.shares_among_replicas or spec.capacity.share_accelerators != "auto":
        return
    for option in options:
        candidate = option.candidates[0]
        replicas, round_trip_ms = candidate.baseline_replicas, spec.network.round_trip_ms
        if option.spans_nodes or replicas < 2:
            continue
        tolerated = tolerated_engines(candidate, MAX_ENGINES_PER_ACCELERATOR, round_trip_ms, replicas)
        together = with_several_per_accelerator(option, tolerated)
        if together is not None:
            yield together


def _not_sold(candidate: Candidate, machine: Machine) -> Rejection:
    ways = ", ".join(way.capacity_type for way in machine.ways)
    message = f"{machine.instance.name} has a price for {ways} only, and a user-facing tier needs on-demand"
    return candidate_rejection(candidate, machine, "capacity-type", message)
