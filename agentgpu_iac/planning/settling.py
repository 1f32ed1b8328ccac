"""Choose, gather into pools, seat again: until the cold start by which replicas were made warm is the one that is planned.

How many replicas must be warm depends on how long another one takes to start; that depends on the models that its node
must be filled with, those of all agents of the pool; and who is in a pool depends on what was chosen. So the placement is
made anew until they agree: first with nodes that hold each agent's own models, then, wherever the pools that came of it
would turn callers away, with as many GiB of models as those hold, for that agent on that kind of machine.

It ends: the GiB counted for an agent on a machine only grow, in each round for at least one of them, and never over those
of the whole stack. After a few rounds everyone is counted with that much at once, which no pool exceeds, and since more
models never start faster, that placement turns nobody away.

What comes of it is the cheapest placement (within the gap) for the cold starts that were counted in the last round. An
agent that shared a pool in an earlier round may be alone in the last one, and is then seated for a longer cold start than
it has: more is warm than need be, never less.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal

from agentgpu_iac.catalog.store import Catalog
from agentgpu_iac.plan import ColdStartPlan
from agentgpu_iac.planning.choosing import caching
from agentgpu_iac.planning.choosing.candidates import Candidate
from agentgpu_iac.planning.choosing.fitting import AgentFits
from agentgpu_iac.planning.choosing.known import Known
from agentgpu_iac.planning.choosing.limits import Terms
from agentgpu_iac.planning.choosing.mixes import Parts, mixed_options
from agentgpu_iac.planning.choosing.on_offer import Offers
from agentgpu_iac.planning.choosing.option import Option
from agentgpu_iac.planning.choosing.options import AgentOptions, MachineId, on_sale, seated
from agentgpu_iac.planning.choosing.placement import Placement, place
from agentgpu_iac.planning.choosing.tiers import seats_in_time
from agentgpu_iac.planning.covering import covered_pools
from agentgpu_iac.planning.deployments import Deployment
from agentgpu_iac.planning.pools import Placed, Pool, homes, placed_agents, pool_models, pools_of
from agentgpu_iac.spec.model import StackSpec
from agentgpu_iac.targets import target_of

_ROUNDS = 6
"""Placements made before everyone is counted with the models of the whole stack."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """A placement whose pools start as fast as its warm replicas need them to."""

    placement: Placement
    options: tuple[tuple[Option, ...], ...]
    """What would serve each deployment, with the replicas that the last round made warm."""
    placed: tuple[Placed, ...]
    pools: tuple[Pool, ...]
    starts: Mapping[tuple[int, str], ColdStartPlan]
    """The cold start of each deployment in each of its pools, by its position and the pool's name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Market:
    """What could serve the agents, and what that is priced by; sequences are in the order of the deployments."""

    considered: tuple[Deployment, ...]
    found: tuple[AgentFits, ...]
    on_sale: tuple[AgentOptions, ...]
    """When each has nodes for itself."""
    on_offer: Offers
    terms: Terms
    catalog: Catalog
    known: Known
    withheld: Mapping[int, Decimal] = field(default_factory=dict)
    """Deployments of one agent that no placement may choose, with the least that they cost in any: all cheapest ones are thought
    to serve the agent with others (``choosing.apart``)."""

    @property
    def served(self) -> tuple[tuple[int, ...], ...]:
        """Positions of the agents that each deployment serves."""
        return tuple(each.agents for each in self.considered)


def settle(market: Market, groups: tuple[Sequence[Option], bool], terms: Terms, stack: str, spec: StackSpec) -> Settled:
    """Place the deployments until no pool's cold start asks for more warm seats than were chosen.

    Groups of deployments on one accelerator, and whether all were considered, stay as they are: none of them has a burst.
    """
    found, catalog, served, known = market.found, market.catalog, market.served, market.known
    releases = {fits.position: fits.release for fits in found if fits.release is not None}
    bought = list(market.on_sale)
    counted_gib: list[dict[MachineId, float]] = [{} for _ in found]
    for round_number in range(_ROUNDS + 1):
        usable = [_nothing(each) if at in market.withheld else each for at, each in enumerate(bought)]
        mixes = mixed_options([each.parts for each in usable], terms, known)
        options = [known.of(_both, each.options, mixed) for each, mixed in zip(usable, mixes, strict=True)]
        placement = place(options, *groups, terms, served, known)
        seats = [_seated(option, found, bought, spec) for option in placement.options]
        placement = replace(placement, options=tuple(seats))
        placed = placed_agents(placement, releases, served, stack, spec.network.round_trip_ms)
        pools = covered_pools(pools_of(placed, stack, terms, placement.joint), placement, terms)
        starts, late_gib = _starts(placed, pools, spec)
        if not late_gib:
            return Settled(
                placement=placement,
                options=tuple(each.options for each in bought),
                placed=placed,
                pools=pools,
                starts=starts,
            )
        if round_number < _ROUNDS - 1:
            raised = {position: {machine: gib} for (position, machine), gib in late_gib.items()}
        else:
            most_gib = _models_gib((member.candidate for member in placed), spec)
            raised = {position: dict.fromkeys(_machines(each), most_gib) for position, each in enumerate(usable)}
        for position, gib_by_machine in raised.items():
            counted_gib[position].update(gib_by_machine)
            bought[position] = on_sale(found[position], spec, catalog, counted_gib[position])
    raise RuntimeError("the placement did not settle, though every node was counted with all models of the stack")


def _nothing(sold: AgentOptions) -> AgentOptions:
    """Nothing of a deployment that may not be chosen."""
    return replace(sold, options=(), parts=Parts(position=sold.parts.position))


def _both(alike: tuple[Option, ...], mixed: tuple[Option, ...]) -> tuple[Option, ...]:
    return (*alike, *mixed)


def _machines(found: AgentOptions) -> set[MachineId]:
    """Every machine that may carry something of the agent."""
    parts = (*found.parts.baselines, *found.parts.bursts)
    return {option.machine.id for option in found.options} | {part.machine.id for part in parts}


def _seated(option: Option, found: Sequence[AgentFits], bought: Sequence[AgentOptions], spec: StackSpec) -> Option:
    """The option with its seats settled, where it is a mix."""
    if option.elsewhere is None and option.rest is None:
        return option
    (position,) = option.deployments
    there = option.elsewhere
    if there is None:  # nothing comes with a burst
        return seated(option, found[position], spec, 0.0)
    cold_s = next(
        part.cold_s
        for part in bought[position].parts.bursts
        if part.machine.id == there.machine.id and part.candidate.sizes == there.candidates[0].sizes
    )
    return seated(option, found[position], spec, cold_s)


def _starts(
    placed: Sequence[Placed], pools: Sequence[Pool], spec: StackSpec
) -> tuple[dict[tuple[int, str], ColdStartPlan], dict[tuple[int, MachineId], float]]:
    """The cold start of each agent in each of its pools; and the GiB on a node where it comes too late.

    Too late is what leaves callers of an agent without a seat that should have one; by its position and machine.
    """
    starts: dict[tuple[int, str], ColdStartPlan] = {}
    late_gib: dict[tuple[int, MachineId], float] = {}
    in_pool = {pool.name: caching.models_gib(pool_models(pool, spec)) for pool in pools}
    its_pools = homes(pools)
    alone = target_of(spec).can.replica_fills_machine
    for member in placed:
        for pool in its_pools[member.position]:
            here = pool.part(member.position)
            gib = _models_gib([here.candidate], spec) if alone else in_pool[pool.name]
            start = caching.cold_start_plan(
                here.candidate, pool.machine, here.release, gib, spec, pool.engines_per_accelerator
            )
            starts[member.position, pool.name] = start
            if member.burst is not None and pool.tier == "baseline":
                continue  # nobody waits for a start there
            if not seats_in_time(member.candidate, start.upper.total, spec.capacity):
                key = (member.position, pool.machine.id)
                late_gib[key] = max(gib, late_gib.get(key, 0.0))
    return starts, late_gib


def _models_gib(candidates: Iterable[Candidate], spec: StackSpec) -> float:
    return caching.models_gib(caching.cached_models(candidates, spec))
