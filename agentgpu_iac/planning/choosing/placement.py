"""Placement: the cheapest choice of one option per agent, with machines shared where that is cheaper.

An option is an agent (or a group of agents that stay resident on one accelerator) on one machine type. Machines with
several accelerators are shared by the options of the same pool, so their number is a decision of its own. So is the
number of reserved nodes of a pool that reserved capacity may carry, whatever its machines:

    minimise   sum over pools of price x nodes - saving x reserved nodes
    subject to every agent is covered by exactly one option, of itself or of a deployment that serves it with others
               accelerators taken in a pool <= accelerators per node x nodes,  nodes whole
               reserved nodes of a pool <= reserved ratio x nodes of its normal load,  whole;  none beside a background agent
               nodes that a commitment covers <= those of the kinds that it names, and <= its size (``commitments``)
               machines, vCPUs, the baseline's cost <= what there is of them (``limits``)

Where no pool is shared the problem falls apart into one minimum per agent, which is then taken directly; otherwise
HiGHS solves it to optimality (one thread, fixed seed: the same input gives the same answer).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Final

from agentgpu_iac.plan import DrainPlan
from agentgpu_iac.planning.choosing.candidates import Candidate
from agentgpu_iac.planning.choosing.commitments import bounds, meter
from agentgpu_iac.planning.choosing.fronts import Front
from agentgpu_iac.planning.choosing.known import Known
from agentgpu_iac.planning.choosing.limits import Terms, node_weights, reserved_weights
from agentgpu_iac.planning.choosing.pricing import Machine
from agentgpu_iac.planning.choosing.program import Column, Joint, Reservable, Rules, Take, choose
from agentgpu_iac.planning.choosing.reservations import most_reserved, normal_nodes, saved_usd_per_hour
from agentgpu_iac.planning.choosing.tiers import Purchase
from agentgpu_iac.planning.choosing.zones import in_zones
from agentgpu_iac.planning.opening import NodeHours
from agentgpu_iac.spec.vocabulary import CapacityType, Tier
from agentgpu_iac.units import HOURS_PER_MONTH, ceil_div

TIERS: Final[tuple[Tier, ...]] = ("baseline", "burst")

PoolKey = tuple[tuple[str, str, str], Tier, tuple[CapacityType, ...], bool, int]
"""Machine, tier, capacity types, whether replicas go over several machines, since whole free machines are there for them only
where nothing else runs, and the zones over which replicas are spread."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """One way to serve one deployment, or a group of them together on one accelerator."""

    deployments: tuple[int, ...]
    """Their positions: first each agent by itself, in the order of the stack, then those that serve several."""
    candidates: tuple[Candidate, ...]
    machine: Machine
    baseline: Purchase
    burst: Purchase | None
    replicas_per_accelerator: int = 1
    """Of one deployment that shares with itself; those that share with others have one replica each."""
    drain: DrainPlan | None = None
    """How a replica leaves, by which its burst was bought; None for engines that share an accelerator."""
    elsewhere: Option | None = None
    """What carries the burst, where that is another candidate or another machine: this option then has the baseline alone,
    and of the other one only the burst is bought. Both count the warm replicas and those of the peak alike."""
    rest: Option | None = None
    """What carries the rest of the baseline, where that is on two kinds of machine: this option then has some of the warm
    replicas and of the other one only the others are bought. Both count the warm replicas and those of the peak alike."""
    here: int | None = None
    """Of a baseline that is so divided: how many of its warm replicas stand here. None: all."""
    open: NodeHours | None = None
    """Set: its nodes are its own and come and go with its schedule. None: they are there around the clock."""

    zones: int = 1
    """Zones over which its warm replicas are spread."""
    burst_zones: int = 1
    """Zones over which its burst is spread, where it carries one."""

    def zones_in(self, tier: Tier) -> int:
        """Zones over which the replicas of a tier are spread."""
        return self.zones if tier == "baseline" else self.at("burst").burst_zones

    @property
    def bought(self) -> tuple[tuple[Tier, Option, Purchase], ...]:
        """All that is bought: the tier, what carries it or a part of it, and how that is bought."""
        rest, there = self.rest, self.at("burst")
        return (
            ("baseline", self, self.baseline),
            *((("baseline", rest, rest.baseline),) if rest is not None else ()),
            *((("burst", there, there.burst),) if there.burst is not None else ()),
        )

    @property
    def is_divided(self) -> bool:
        """Whether it has a part of a baseline alone."""
        return self.here is not None

    def at(self, tier: Tier) -> Option:
        """The option that carries a tier, and of a divided baseline the first part."""
        return self.elsewhere if tier == "burst" and self.elsewhere is not None else self

    @property
    def engines_per_accelerator(self) -> int:
        """Engines that share one accelerator; 1: each has its own."""
        return len(self.deployments) * self.replicas_per_accelerator

    @property
    def is_shared(self) -> bool:
        """Several engines on one accelerator."""
        return self.engines_per_accelerator > 1

    @property
    def spans_nodes(self) -> bool:
        """Each replica takes several whole machines."""
        return self.candidates[0].nodes > 1

    def accelerators(self, tier: Tier) -> int:
        """Accelerators taken in a tier, in even slots of the machine."""
        here = self.at(tier)
        if here is not self:
            return here.accelerators(tier)
        candidate = self.candidates[0]
        if self.is_shared:
            return ceil_div(candidate.baseline_replicas, self.replicas_per_accelerator) if tier == "baseline" else 0
        return self.replicas(tier) * self.machine.accelerators_taken(candidate.accelerators_per_replica)

    def replicas(self, tier: Tier) -> int:
        """Replicas of a tier."""
        if tier == "baseline" and self.here is not None:
            return self.here
        candidate = self.at(tier).candidates[0]
        return candidate.baseline_replicas if tier == "baseline" else candidate.burst_replicas

    def normal_replicas(self, candidate: Candidate) -> int:
        """Replicas of normal load that stand here: of a divided baseline their part of the warm ones, rounded down."""
        if self.here is None:
            return candidate.normal_replicas
        return candidate.normal_replicas * self.here // candidate.baseline_replicas

    @property
    def normal_slots(self) -> int:
        """What the replicas of normal load take of the machine's slots, each engine on an accelerator counted."""
        return sum(
            self.normal_replicas(candidate) * self.machine.accelerators_taken(candidate.accelerators_per_replica)
            for candidate in self.candidates
        )

    @property
    def slots_per_node(self) -> int:
        """Slots that engines have on a node."""
        return self.machine.accelerators * self.engines_per_accelerator

    def nodes_alone(self, tier: Tier) -> int:
        """Machines that the option needs by itself."""
        here, zones = self.at(tier), self.zones_in(tier)
        if zones == 1 or self.is_shared:
            return ceil_div(self.accelerators(tier), here.machine.accelerators)
        each = here.machine.accelerators_taken(here.candidates[0].accelerators_per_replica)
        return sum(ceil_div(count * each, here.machine.accelerators) for count in in_zones(self.replicas(tier), zones))

    @property
    def shared_machines(self) -> tuple[tuple[str, str, str], ...]:
        """Machines that others may be on as well, or whose nodes are reserved together."""
        others = [here.machine for _, here, _ in self.bought if here is not self]
        return (self.machine.id, *(machine.id for machine in others if machine.accelerators > 1))

    def has_own_pool(self, terms: Terms) -> bool:
        """Whether no other option is ever on the nodes of its baseline."""
        fills = self.accelerators("baseline") % self.machine.accelerators == 0
        return self.is_shared or self.open is not None or (terms.fillers_apart and fills)

    def may_be_reserved(self, terms: Terms) -> bool:
        """Whether reserved capacity could carry nodes of its baseline, in the right company."""
        return self.open is None and terms.reserved_ratio > 0 and saved_usd_per_hour(self.machine, self.baseline) > 0

    def is_committed(self, terms: Terms) -> bool:
        """Whether a commitment may cover nodes of it: it is paid around the clock, so none that come and go with windows."""
        if self.open is not None:
            return False
        return any(terms.is_committed(here.machine, bought, tier) for tier, here, bought in self.bought)

    def depends_on_place(self, terms: Terms) -> bool:
        """Whether the same machines in another place are not the same."""
        return any(terms.depends_on_place(here.machine, bought, tier) for tier, here, bought in self.bought)

    def is_counted(self, terms: Terms) -> bool:
        """Whether there may be too few of its machines: nobody can fall back on what may not be there."""
        return any(terms.counted(here.machine, bought) for _, here, bought in self.bought)

    def is_user_facing(self) -> bool:
        """Whether all of its agents have somebody who waits."""
        return all(candidate.demand.user_facing for candidate in self.candidates)

    def pays_alone(self, tier: Tier, terms: Terms) -> bool:
        """Whether nobody else is ever on its nodes of a tier, or nobody else's presence there changes what it pays."""
        if tier == "burst":
            return self.open is not None or self.at(tier).machine.accelerators == 1
        return self.has_own_pool(terms) or (self.machine.accelerators == 1 and not self.may_be_reserved(terms))

    def is_apart(self, terms: Terms) -> bool:
        """Whether it costs the same in any company as it does by itself."""
        if self.open is not None:
            return True
        if self.at("burst").machine.accelerators > 1 or self.is_committed(terms):
            return False
        if self.rest is not None and not self.rest.is_apart(terms):
            return False
        return self.machine.accelerators == 1 and (self.has_own_pool(terms) or not self.may_be_reserved(terms))

    def baseline_usd_alone(self, terms: Terms) -> Decimal:
        """What the baseline costs in a month by itself."""
        here = self.part_usd_alone(terms)
        return here if self.rest is None else here + self.rest.part_usd_alone(terms)

    def part_usd_alone(self, terms: Terms) -> Decimal:
        """What that of it costs which stands here."""
        if self.open is not None:
            nodes = self.nodes_alone("baseline")
            return self.baseline.usd_per_hour * self.open.node_hours(nodes, self.candidates[0].nodes)
        price = self.baseline.usd_per_hour * self.nodes_alone("baseline")
        price -= saved_usd_per_hour(self.machine, self.baseline) * self._reserved_alone(terms)
        return price * HOURS_PER_MONTH

    def _reserved_alone(self, terms: Terms) -> int:
        """Nodes of its baseline that reserved capacity carries, by itself."""
        if not self.may_be_reserved(terms) or not self.is_user_facing():
            return 0
        at_normal_load = normal_nodes(self.nodes_alone("baseline"), self.normal_slots, self.slots_per_node)
        return most_reserved(at_normal_load, terms.reserved_ratio)

    def weights_alone(self, tier: Tier, bought: Purchase, terms: Terms) -> dict[str, float]:
        """What the nodes of a tier weigh in each row, by themselves."""
        machine = self.at(tier).machine
        each, nodes = node_weights(machine, tier, bought, terms), self.nodes_alone(tier)
        found = {name: weight * nodes for name, weight in each.items()}
        if self.open is not None:
            found.pop(meter(machine.id, tier), None)
            if terms.budget_name in found:
                found[terms.budget_name] = float(self.part_usd_alone(terms))
            return found
        reserved = self._reserved_alone(terms) if tier == "baseline" else 0
        if reserved:
            saved_usd = saved_usd_per_hour(machine, bought) * HOURS_PER_MONTH
            for name, weight in reserved_weights(machine, saved_usd, bought, terms).items():
                found[name] += weight * reserved
        return found

    def covered_usd_alone(self, terms: Terms) -> Decimal:
        """The most that commitments could cover of what it pays alone in a month."""
        found = Decimal(0)
        if self.open is not None:
            return found
        for tier, here, bought in self.bought:
            whole = here if tier == "baseline" else self
            if not whole.pays_alone(tier, terms) or not terms.is_committed(here.machine, bought, tier):
                continue
            nodes = whole.nodes_alone(tier) - (whole._reserved_alone(terms) if tier == "baseline" else 0)
            found += bought.usd_per_hour * nodes * (HOURS_PER_MONTH if tier == "baseline" else terms.burst_hours)
        return found

    def burst_usd_alone(self, terms: Terms) -> Decimal:
        """What the burst costs in a month by itself, for its expected hours."""
        bought = self.at("burst").burst
        if bought is None:
            return Decimal(0)
        return bought.usd_per_hour * self.nodes_alone("burst") * self.burst_hours(terms)

    def burst_hours(self, terms: Terms) -> Decimal:
        """Expected hours of its burst in a month: no more than those in which it runs."""
        return terms.burst_hours if self.open is None else min(terms.burst_hours, self.open.hours)

    def usd_per_month_alone(self, terms: Terms) -> Decimal:
        """What the option costs by itself: the baseline all month, the burst for its expected hours."""
        return self.baseline_usd_alone(terms) + self.burst_usd_alone(terms)

    def most_usd_per_month(self, terms: Terms) -> Decimal | None:
        """The most by which the option raises the cost of whatever else is chosen; None where that has no such bound.

        Beside a background agent nothing is reserved, so that agent may cost a pool more than its own nodes.
        """
        parts = [here for tier, here, _ in self.bought if tier == "baseline"]
        if all(part.has_own_pool(terms) or not part.may_be_reserved(terms) for part in parts):
            return self.usd_per_month_alone(terms)
        if not self.is_user_facing():
            return None
        on_demand = sum(
            (part.baseline.usd_per_hour * part.nodes_alone("baseline") * HOURS_PER_MONTH for part in parts), Decimal(0)
        )
        return on_demand + self.burst_usd_alone(terms)

    def least_usd_per_month(self, terms: Terms) -> Decimal:
        """A bound that no sharing of machines can beat: the part of each machine that the option takes."""
        if self.open is not None:
            return self.usd_per_month_alone(terms)
        hourly = terms.least_usd_per_hour(self.machine, self.baseline, "baseline")
        if self.may_be_reserved(terms) and self.is_user_facing():
            reserved = self.baseline.usd_per_hour - saved_usd_per_hour(self.machine, self.baseline)
            hourly = min(hourly, reserved)
        cost = hourly * self.accelerators("baseline") * HOURS_PER_MONTH / self.machine.accelerators
        if self.rest is not None:
            cost += self.rest.least_usd_per_month(terms)
        there = self.at("burst")
        if there.burst is not None:
            each = terms.least_usd_per_hour(there.machine, there.burst, "burst")
            taken = each * self.accelerators("burst") * terms.burst_hours
            cost += taken / there.machine.accelerators
        return cost

    def rank(self, terms: Terms) -> tuple[object, ...]:
        """Order by cost, then by size, then by name, so that ties fall the same way every time."""
        there = () if self.elsewhere is None else self.elsewhere.machine.id
        rest = () if self.rest is None else (self.rest.machine.id, self.rest.replicas("baseline"))
        return (
            self.usd_per_month_alone(terms),
            self.open is not None,
            *self.size,
            self.machine.accelerators,
            self.machine.id,
            there,
            rest,
        )

    @property
    def size(self) -> tuple[int, int, int]:
        """What decides between equal costs: what one failure takes away, what is taken in all, and the machines of a replica."""
        taken = self.accelerators("baseline") + self.accelerators("burst")
        largest = max(candidate.accelerators_per_replica for candidate in self.candidates)
        if self.elsewhere is not None:
            largest = max(largest, self.elsewhere.candidates[0].accelerators_per_replica)
        if self.rest is not None:
            largest = max(largest, self.rest.candidates[0].accelerators_per_replica)
            taken += self.rest.accelerators("baseline")
        return largest, taken, self.candidates[0].nodes


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """The chosen option of each deployment, and how far from optimal it may be over the options considered."""

    options: tuple[Option, ...]
    gap_ratio: float
    groups_complete: bool
    """False: there were too many small agents to consider every group of them."""
    usd: Decimal = Decimal(0)
    """What it costs in a month."""
    joint: Mapping[tuple[int, Tier], Joint] = field(default_factory=dict)
    """Where machines of a pool are alike: the pool that a deployment's tier shares with others."""
    committed: tuple[float, ...] = ()
    """How much there is of each commitment of the terms: machines, or USD an hour."""
    covered: Mapping[tuple[int, str], float] = field(default_factory=dict)
    """Nodes that each commitment covers, by its place among the terms and the nodes' meter."""


def place(
    by_deployment: Sequence[Sequence[Option]],
    groups: Sequence[Option],
    groups_complete: bool,
    terms: Terms,
    served: Sequence[tuple[int, ...]] = (),
    known: Known | None = None,
) -> Placement:
    """Choose options that serve every agent once at the least total cost. Every agent must have one of its own at least.

    ``served`` are the positions of the agents of each deployment; without it each has one. ``known`` is what was worked out in
    an earlier placement.
    """
    known = known or Known()
    served = served or [(position,) for position in range(len(by_deployment))]
    offered = [known.of(_offered, options, terms) for options in by_deployment]
    several = [position for position, agents in enumerate(served) if len(agents) > 1]
    for position in several:
        own = [offered[agent].safe for agent in served[position]]
        if offered[position].ranked and not terms.keeps_all and not _pays_together(offered[position], own, terms):
            offered[position] = _NOTHING
    alone = [each.safe for each in offered]
    useful_groups = [group for group in groups if terms.keeps_all or _may_pay(group, alone, terms)]
    survivors = [each.ranked for each in offered] if terms.keeps_all else _survivors(offered, terms, known)
    if (
        not terms.limits
        and not useful_groups
        and not any(offered[position].ranked for position in several)
        and all(option.is_apart(terms) for options in survivors for option in options)
    ):
        cheapest = tuple(options[0] for options in survivors if options)
        usd = sum((option.usd_per_month_alone(terms) for option in cheapest), Decimal(0))
        return Placement(options=cheapest, gap_ratio=0.0, groups_complete=groups_complete, usd=usd)
    options = [option for options in survivors for option in options] + useful_groups
    agents = [tuple(agent for each in option.deployments for agent in served[each]) for option in options]
    order = sorted(
        range(len(options)),
        key=lambda number: (len(options[number].deployments) / len(agents[number]), options[number].size, number),
    )
    machines = {
        here.machine.id: here.machine
        for option in options
        for here in (option, option.at("burst"), *(here for _, here, _ in option.bought))
    }
    rules = Rules(
        agents=len(served) - len(several),
        reserved_ratio=terms.reserved_ratio,
        alike=terms.alike,
        limits=terms.limits,
        commitments=bounds(terms.commitments, machines, terms.burst_hours, terms.budget_name),
    )
    certain = [safe[1] for safe, its in zip(alone, served, strict=True) if safe is not None and len(its) == 1]
    most_usd = sum(certain, Decimal(0)) if len(certain) == rules.agents else None
    columns = [known.of(_column, option, terms).of(its) for option, its in zip(options, agents, strict=True)]
    found = choose(columns, order, rules, most_usd)
    chosen = sorted((options[number] for number in found.columns), key=lambda option: option.deployments)
    joint = {
        (position, tier): there
        for (column, key), there in found.joint.items()
        for position in options[column].deployments
        for tier in TIERS
        if pool_key(options[column], tier) == key
    }
    return Placement(
        options=tuple(chosen),
        gap_ratio=found.gap_ratio,
        groups_complete=groups_complete,
        usd=found.usd + terms.fixed_usd,
        joint=joint,
        committed=found.committed,
        covered=found.covered,
    )


def _where_cheapest(options: Iterable[Option], terms: Terms) -> list[Option]:
    """Of a kind of machine that is sold in several places those that no other place undercuts in every way to buy it.

    Whoever is elsewhere could be there for no more, all together.
    """
    best: dict[tuple[object, ...], list[tuple[tuple[Decimal, ...], Option]]] = {}
    for option in options:
        instance, there = option.machine.instance, option.at("burst")
        if there is not option or option.rest is not None:
            best.setdefault((id(option),), []).append(((), option))
            continue
        burst, reserved = option.burst, option.machine.usd_per_hour("reserved")
        prices: tuple[Decimal, ...] = (
            option.baseline.usd_per_hour,
            Decimal(0) if burst is None else burst.usd_per_hour,
            option.baseline.usd_per_hour if reserved is None else reserved,
        )
        key = (
            *(id(candidate) for candidate in option.candidates),
            option.replicas_per_accelerator,
            option.open,
            (instance.provider, instance.name),
            option.baseline.capacity_types,
            None if burst is None else burst.capacity_types,
            option.machine.id[2] if option.depends_on_place(terms) else "",
        )
        best.setdefault(key, []).append((prices, option))
    kept: list[Option] = []
    for found in best.values():
        front = Front()
        ordered = sorted(found, key=lambda each: (each[0], each[1].machine.id))
        kept += [option for prices, option in ordered if front.takes(prices)]
    return kept


_Safe = tuple[Option, Decimal] | None


def _safe(ranked: Sequence[Option], terms: Terms) -> _Safe:
    """The option that an agent can fall back on at the least certain cost, and that cost; None where none is certain."""
    bounded = [
        (option, cost)
        for option in ranked
        if not option.is_counted(terms) and (cost := option.most_usd_per_month(terms)) is not None
    ]
    return min(bounded, key=lambda pair: pair[1], default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Offered:
    """The options of one deployment, cheapest first, and what is asked of all of them."""

    ranked: tuple[Option, ...]
    safe: _Safe
    least_usd: Decimal
    """A bound that none of them is under, in a month."""
    worth: frozenset[tuple[str, str, str]]
    """Machines on which some of them may cost less than what the deployment can fall back on."""
    shared: frozenset[tuple[str, str, str]]
    """All machines on which others may be as well."""


_NOTHING = _Offered(ranked=(), safe=None, least_usd=Decimal(0), worth=frozenset(), shared=frozenset())


def _offered(options: Sequence[Option], terms: Terms) -> _Offered:
    if not options:
        return _NOTHING
    cheapest = options if terms.keeps_all else _where_cheapest(options, terms)
    ranked = tuple(sorted(cheapest, key=lambda option: option.rank(terms)))
    safe = _safe(ranked, terms)
    not_apart = [option for option in ranked if not option.is_apart(terms)]
    return _Offered(
        ranked=ranked,
        safe=safe,
        least_usd=min(option.least_usd_per_month(terms) for option in ranked),
        worth=frozenset(
            machine
            for option in not_apart
            if option.elsewhere is not None
            or option.rest is not None
            or safe is None
            or _could_pay(option, safe, terms)
            for machine in option.shared_machines
        ),
        shared=frozenset(machine for option in not_apart for machine in option.shared_machines),
    )


def _pays_together(offered: _Offered, alone: Sequence[_Safe], terms: Terms) -> bool:
    """Whether a deployment could cost no more than what its agents can fall back on by themselves."""
    certain = [fallback[1] for fallback in alone if fallback is not None]
    if len(certain) < len(alone) or terms.budget_usd is not None:
        return True
    return offered.least_usd <= sum(certain)


def _may_pay(group: Option, alone: Sequence[_Safe], terms: Terms) -> bool:
    """Whether the group could cost less than its agents do without it."""
    safe = [alone[position] for position in group.deployments]
    if terms.budget_usd is not None or any(fallback is None for fallback in safe):
        return True
    usd = group.least_usd_per_month(terms) if group.is_committed(terms) else group.usd_per_month_alone(terms)
    return usd < sum(fallback[1] for fallback in safe if fallback)


def _survivors(offered: Sequence[_Offered], terms: Terms, known: Known) -> list[tuple[Option, ...]]:
    """Drop options that cannot be part of a cheapest placement.

    A machine that several share is worth keeping only if some agent's share of it, all of it reserved where it may be, may
    cost less than what that agent can fall back on, or if a mix may be on it (``mixes``); if it is kept, the others may
    ride along, so their options stay too.
    """
    kept = frozenset[tuple[str, str, str]]().union(
        *(each.worth for each in offered), *(each.safe[0].shared_machines for each in offered if each.safe is not None)
    )
    return [known.of(_pareto, each, terms, known, kept=kept & each.shared) for each in offered]


def _could_pay(option: Option, safe: tuple[Option, Decimal], terms: Terms) -> bool:
    """Whether it could cost less than that; where the baseline has a budget, or less of that."""
    if option.least_usd_per_month(terms) < safe[1]:
        return True
    within = replace(terms, burst_hours=Decimal(0))
    most = None if terms.budget_usd is None else safe[0].most_usd_per_month(within)
    return most is not None and option.least_usd_per_month(within) < most


def _pareto(
    offered: _Offered, terms: Terms, known: Known, *, kept: frozenset[tuple[str, str, str]]
) -> tuple[Option, ...]:
    """Options on those machines, or on nodes of their own, that no other one undercuts.

    Neither in what it takes of the same pools nor in what it costs beside them.

    Where nodes may be reserved, the other must need no less at normal load either: that is how many may be. Where commitments
    may cover nodes, or a limit counts them, it must have no more of those, and cost no more beside them.
    """
    best: dict[object, Front] = {}
    found: list[Option] = []
    for option in offered.ranked:
        if not option.is_apart(terms) and not kept.issuperset(option.shared_machines):
            continue
        column = known.of(_column, option, terms)
        reserved = any(take.reservable is not None for take in column.takes)
        normal = Decimal(-option.normal_slots if reserved else 0)
        beside = column.direct_usd - option.covered_usd_alone(terms)
        weights = tuple(Decimal(str(column.weights[name])) for name in sorted(column.weights))
        takes = (
            column.direct_usd,
            beside,
            *weights,
            *(Decimal(slots) for take in column.takes for slots in take.slots_in_zones),
            normal,
        )
        each = tuple(take.slots_each for take in column.takes) if terms.alike else ()
        key = (tuple(take.pool for take in column.takes), each, tuple(sorted(column.weights)))
        if best.setdefault(key, Front()).takes(takes):
            found.append(option)
    return tuple(found)


def _column(option: Option, terms: Terms) -> Column:
    """An option as the program counts it, whoever it serves."""
    direct, takes = Decimal(0), []
    weights: dict[str, float] = {}
    for tier, here, bought in option.bought:
        part = here if tier == "baseline" else option
        if not part.accelerators(tier):
            continue
        if part.pays_alone(tier, terms):
            direct += part.part_usd_alone(terms) if tier == "baseline" else option.burst_usd_alone(terms)
            for name, weight in part.weights_alone(tier, bought, terms).items():
                weights[name] = weights.get(name, 0.0) + weight
            continue
        takes.append(_take(part, tier, bought, terms))
    return Column(
        agents=(),
        direct_usd=direct,
        takes=tuple(takes),
        least_usd=option.least_usd_per_month(terms),
        weights=weights,
    )


def _take(option: Option, tier: Tier, bought: Purchase, terms: Terms) -> Take:
    here, is_baseline = option.at(tier), tier == "baseline"
    candidate, machine = here.candidates[0], here.machine
    reservable = None
    if is_baseline and option.may_be_reserved(terms):
        saved_usd = saved_usd_per_hour(machine, bought) * HOURS_PER_MONTH
        reservable = Reservable(
            saved_usd=saved_usd,
            normal_slots=option.normal_slots,
            slots_per_node=option.slots_per_node,
            user_facing=option.is_user_facing(),
            weights=reserved_weights(machine, saved_usd, bought, terms),
        )
    return Take(
        pool=pool_key(option, tier),
        replicas=option.replicas(tier),
        zones=option.zones_in(tier),
        slots_each=machine.accelerators_taken(candidate.accelerators_per_replica),
        per_node=machine.accelerators,
        node_usd=bought.usd_per_hour * (Decimal(HOURS_PER_MONTH) if is_baseline else terms.burst_hours),
        reservable=reservable,
        weights=node_weights(machine, tier, bought, terms),
    )


def pool_key(option: Option, tier: Tier) -> PoolKey:
    """What an option shares with all others of the same key."""
    here = option.at(tier)
    bought = option.baseline if tier == "baseline" else here.burst
    return (
        here.machine.id,
        tier,
        () if bought is None else bought.capacity_types,
        here.spans_nodes,
        option.zones_in(tier),
    )
