"""Placement: the cheapest choice of one option per agent, with machines shared where that is cheaper.

An option is an agent (or a group of agents that stay resident on one accelerator) on one machine type. Machines with
several accelerators are shared by the options of the same pool, so their number is a decision of its own. So is the
number of reserved nodes of a pool that reserved capacity may carry, whatever its machines:

    minimise   sum over pools of price x nodes - saving x reserved nodes
    subject to every agent is covered by exactly one option
               accelerators taken in a pool <= accelerators per node x nodes,  nodes whole
               reserved nodes of a pool <= reserved ratio x nodes of its normal load,  whole;  none beside a background agent

Where no pool is shared the problem falls apart into one minimum per agent, which is then taken directly; otherwise
HiGHS solves it to optimality (one thread, fixed seed: the same input gives the same answer).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from agentgpu_iac.plan import DrainPlan
from agentgpu_iac.planning.choosing.candidates import Candidate
from agentgpu_iac.planning.choosing.pricing import Machine
from agentgpu_iac.planning.choosing.reservations import ROUNDING, most_reserved, normal_nodes, saved_usd_per_hour
from agentgpu_iac.planning.choosing.solver import Row, Solution, cheapest
from agentgpu_iac.planning.choosing.tiers import Purchase
from agentgpu_iac.spec.vocabulary import CapacityType, Tier
from agentgpu_iac.units import HOURS_PER_MONTH, ceil_div

_NO_GAP = 1e-6
"""A gap below the tolerance of the solver is none."""
_MAGNIFIED = 1e4
"""Objective of the solver, whose tolerances are absolute: a cent of a million USD is a ten-thousandth of it."""
_EQUAL_USD = Decimal("0.001")
"""Placements whose costs differ by no more in a month cost the same."""

PoolKey = tuple[tuple[str, str, str], Tier, tuple[CapacityType, ...], bool]
"""Machine, tier, capacity types, and whether replicas go over several machines: whole free machines are there for them only
where nothing else runs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What options are priced by, alone and together."""

    burst_hours: Decimal
    """Hours of burst in a month."""
    reserved_ratio: float = 0.0
    """Share of the nodes of normal load that reserved capacity may carry."""
    fillers_apart: bool = False
    """Whether agents that fill whole machines have pools of their own, as on virtual machines."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """One way to serve one agent, or a group of agents together on one accelerator."""

    agents: tuple[int, ...]
    """Positions of the agents in the stack."""
    candidates: tuple[Candidate, ...]
    machine: Machine
    baseline: Purchase
    burst: Purchase | None
    replicas_per_accelerator: int = 1
    """Of one agent that shares with itself; agents that share with others have one replica each."""
    drain: DrainPlan | None = None
    """How a replica leaves, by which its burst was bought; None for engines that share an accelerator."""
    elsewhere: Option | None = None
    """What carries the burst, where that is another candidate or another machine: this option then has the baseline alone,
    and of the other one only the burst is bought. Both count the warm replicas and those of the peak alike."""

    def at(self, tier: Tier) -> Option:
        """The option that carries a tier."""
        return self.elsewhere if tier == "burst" and self.elsewhere is not None else self

    @property
    def engines_per_accelerator(self) -> int:
        """Engines that share one accelerator; 1: each has its own."""
        return len(self.agents) * self.replicas_per_accelerator

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
        replicas = candidate.baseline_replicas if tier == "baseline" else candidate.burst_replicas
        return replicas * self.machine.accelerators_taken(candidate.accelerators_per_replica)

    @property
    def normal_slots(self) -> int:
        """What the replicas of normal load take of the machine's slots, each engine on an accelerator counted."""
        return sum(
            candidate.normal_replicas * self.machine.accelerators_taken(candidate.accelerators_per_replica)
            for candidate in self.candidates
        )

    @property
    def slots_per_node(self) -> int:
        """Slots that engines have on a node."""
        return self.machine.accelerators * self.engines_per_accelerator

    def nodes_alone(self, tier: Tier) -> int:
        """Machines that the option needs by itself."""
        return ceil_div(self.accelerators(tier), self.at(tier).machine.accelerators)

    @property
    def shared_machines(self) -> tuple[tuple[str, str, str], ...]:
        """Machines that others may be on as well, or whose nodes are reserved together."""
        there = self.at("burst").machine
        return (self.machine.id,) if there.accelerators == 1 else (self.machine.id, there.id)

    def has_own_pool(self, terms: Terms) -> bool:
        """Whether no other option is ever on the nodes of its baseline."""
        fills = self.accelerators("baseline") % self.machine.accelerators == 0
        return self.is_shared or (terms.fillers_apart and fills)

    def may_be_reserved(self, terms: Terms) -> bool:
        """Whether reserved capacity could carry nodes of its baseline, in the right company."""
        return terms.reserved_ratio > 0 and saved_usd_per_hour(self.machine, self.baseline) > 0

    def is_user_facing(self) -> bool:
        """Whether all of its agents have somebody who waits."""
        return all(candidate.demand.user_facing for candidate in self.candidates)

    def is_apart(self, terms: Terms) -> bool:
        """Whether it costs the same in any company as it does by itself."""
        if self.at("burst").machine.accelerators > 1:
            return False
        return self.machine.accelerators == 1 and (self.has_own_pool(terms) or not self.may_be_reserved(terms))

    def baseline_usd_alone(self, terms: Terms) -> Decimal:
        """What the baseline costs in a month by itself."""
        nodes = self.nodes_alone("baseline")
        price = self.baseline.usd_per_hour * nodes
        if self.may_be_reserved(terms) and self.is_user_facing():
            at_normal_load = normal_nodes(nodes, self.normal_slots, self.slots_per_node)
            saved = saved_usd_per_hour(self.machine, self.baseline)
            price -= saved * most_reserved(at_normal_load, terms.reserved_ratio)
        return price * HOURS_PER_MONTH

    def burst_usd_alone(self, terms: Terms) -> Decimal:
        """What the burst costs in a month by itself, for its expected hours."""
        bought = self.at("burst").burst
        if bought is None:
            return Decimal(0)
        return bought.usd_per_hour * self.nodes_alone("burst") * terms.burst_hours

    def usd_per_month_alone(self, terms: Terms) -> Decimal:
        """What the option costs by itself: the baseline all month, the burst for its expected hours."""
        return self.baseline_usd_alone(terms) + self.burst_usd_alone(terms)

    def most_usd_per_month(self, terms: Terms) -> Decimal | None:
        """The most by which the option raises the cost of whatever else is chosen; None where that has no such bound.

        Beside a background agent nothing is reserved, so that agent may cost a pool more than its own nodes.
        """
        if self.has_own_pool(terms) or not self.may_be_reserved(terms):
            return self.usd_per_month_alone(terms)
        if not self.is_user_facing():
            return None
        on_demand = self.baseline.usd_per_hour * self.nodes_alone("baseline") * HOURS_PER_MONTH
        return on_demand + self.burst_usd_alone(terms)

    def least_usd_per_month(self, terms: Terms) -> Decimal:
        """A bound that no sharing of machines can beat: the part of each machine that the option takes."""
        hourly = self.baseline.usd_per_hour
        if self.may_be_reserved(terms) and self.is_user_facing():
            hourly -= saved_usd_per_hour(self.machine, self.baseline)
        cost = hourly * self.accelerators("baseline") * HOURS_PER_MONTH / self.machine.accelerators
        there = self.at("burst")
        if there.burst is not None:
            taken = there.burst.usd_per_hour * self.accelerators("burst") * terms.burst_hours
            cost += taken / there.machine.accelerators
        return cost

    def rank(self, terms: Terms) -> tuple[object, ...]:
        """Order by cost, then by size, then by name, so that ties fall the same way every time."""
        there = () if self.elsewhere is None else self.elsewhere.machine.id
        return (self.usd_per_month_alone(terms), *self.size, self.machine.accelerators, self.machine.id, there)

    @property
    def size(self) -> tuple[int, int, int]:
        """What decides between equal costs: what one failure takes away, what is taken in all, and the machines of a replica."""
        taken = self.accelerators("baseline") + self.accelerators("burst")
        largest = max(candidate.accelerators_per_replica for candidate in self.candidates)
        if self.elsewhere is not None:
            largest = max(largest, self.elsewhere.candidates[0].accelerators_per_replica)
        return largest, taken, self.candidates[0].nodes


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """The chosen option of each agent, and how far from optimal it may be over the options considered."""

    options: tuple[Option, ...]
    gap_ratio: float
    groups_complete: bool
    """False: there were too many small agents to consider every group of them."""


def place(
    by_agent: Sequence[Sequence[Option]], groups: Sequence[Option], groups_complete: bool, terms: Terms
) -> Placement:
    """Choose one option per agent at the least total cost. Every agent must have at least one option of its own."""
    ranked = [sorted(options, key=lambda option: option.rank(terms)) for options in by_agent]
    alone = [_safe(options, terms) for options in ranked]
    useful_groups = [group for group in groups if _may_pay(group, alone, terms)]
    survivors = _survivors(ranked, alone, terms)
    if not useful_groups and all(option.is_apart(terms) for options in survivors for option in options):
        return Placement(
            options=tuple(options[0] for options in survivors), gap_ratio=0.0, groups_complete=groups_complete
        )
    columns = [option for options in survivors for option in options] + useful_groups
    start = [options[0] if safe is None else safe[0] for options, safe in zip(ranked, alone, strict=True)]
    shared = [min(options, key=lambda option: option.least_usd_per_month(terms)) for options in ranked]
    most_usd = min(usd_per_month(start, terms), usd_per_month(shared, terms))
    chosen, gap = _solve(columns, len(by_agent), terms, most_usd)
    return Placement(options=tuple(chosen), gap_ratio=gap, groups_complete=groups_complete)


_Safe = tuple[Option, Decimal] | None


def _safe(ranked: Sequence[Option], terms: Terms) -> _Safe:
    """The option that an agent can fall back on at the least certain cost, and that cost; None where none is certain."""
    bounded = [(option, cost) for option in ranked if (cost := option.most_usd_per_month(terms)) is not None]
    return min(bounded, key=lambda pair: pair[1], default=None)


def _may_pay(group: Option, alone: Sequence[_Safe], terms: Terms) -> bool:
    """Whether the group could cost less than its agents do without it."""
    safe = [alone[agent] for agent in group.agents]
    return any(fallback is None for fallback in safe) or group.usd_per_month_alone(terms) < sum(
        fallback[1] for fallback in safe if fallback
    )


def _survivors(ranked: Sequence[Sequence[Option]], alone: Sequence[_Safe], terms: Terms) -> list[list[Option]]:
    """Drop options that cannot be part of a cheapest placement.

    A machine that several share is worth keeping only if some agent's share of it, all of it reserved where it may be, may
    cost less than what that agent can fall back on, or if a mix may be on it (``mixes``); if it is kept, the others may
    ride along, so their options stay too.
    """
    kept_machines = {
        machine
        for options, safe in zip(ranked, alone, strict=True)
        for option in options
        if not option.is_apart(terms)
        and (option.elsewhere is not None or safe is None or option.least_usd_per_month(terms) < safe[1])
        for machine in option.shared_machines
    }
    kept_machines |= {machine for safe in alone if safe is not None for machine in safe[0].shared_machines}
    return [
        _pareto(
            [
                option
                for option in options
                if option.is_apart(terms) or kept_machines.issuperset(option.shared_machines)
            ],
            terms,
        )
        for options in ranked
    ]


def _pareto(options: Sequence[Option], terms: Terms) -> list[Option]:
    """Options that no other one undercuts: neither in what it takes of the same pools nor in what it costs beside them.

    Where nodes may be reserved, the other must need no less at normal load either: that is how many may be.
    """
    best: dict[object, list[tuple[Decimal, ...]]] = {}
    kept: list[Option] = []
    for option in options:
        direct, pools = _paid(option, terms)
        reserved = any(key[1] == "baseline" for key, _, _ in pools) and option.may_be_reserved(terms)
        normal = Decimal(-option.normal_slots if reserved else 0)
        takes = (direct, *(Decimal(taken) for _, taken, _ in pools), normal)
        seen = best.setdefault(tuple(key for key, _, _ in pools), [])
        if not any(all(theirs <= mine for theirs, mine in zip(other, takes, strict=True)) for other in seen):
            seen.append(takes)
            kept.append(option)
    return kept


_Taken = tuple[PoolKey, int, Decimal]
"""Pool that options share, accelerators taken there, and the planning price of a node for a month."""


def _paid(option: Option, terms: Terms) -> tuple[Decimal, tuple[_Taken, ...]]:
    """What an option costs whoever else is chosen, and what it takes of pools whose nodes are counted for all together."""
    shared: list[_Taken] = []
    direct = Decimal(0)
    alone = option.machine.accelerators == 1 and not option.may_be_reserved(terms)
    if alone or option.has_own_pool(terms):
        direct += option.baseline_usd_alone(terms)
    else:
        key: PoolKey = (option.machine.id, "baseline", option.baseline.capacity_types, option.spans_nodes)
        shared.append((key, option.accelerators("baseline"), option.baseline.usd_per_hour * HOURS_PER_MONTH))
    there = option.at("burst")
    if there.burst is not None and (taken := option.accelerators("burst")):
        if there.machine.accelerators == 1:
            direct += option.burst_usd_alone(terms)
        else:
            burst_key: PoolKey = (there.machine.id, "burst", there.burst.capacity_types, there.spans_nodes)
            shared.append((burst_key, taken, there.burst.usd_per_hour * terms.burst_hours))
    return direct, tuple(shared)


class _Problem:
    """A mixed-integer problem in the making: columns with their costs, and rows over them."""

    def __init__(self) -> None:
        self.costs: list[float] = []
        self.most: list[float] = []
        self.rows: list[Row] = []

    def column(self, cost: float, most: float = math.inf) -> int:
        """A whole number from 0 to ``most``; returns its position."""
        self.costs.append(cost)
        self.most.append(most)
        return len(self.costs) - 1

    def row(self, least: float, most: float, weights: dict[int, float]) -> None:
        """A weighted sum of columns that stays between two bounds."""
        self.rows.append(Row(least=least, most=most, weights=tuple(weights.items())))


def _program(columns: Sequence[Option], agents: int, terms: Terms) -> _Problem:
    """What is chosen among: a column for each option, in their order, then those of nodes; costs are USD a month."""
    problem = _Problem()
    taken_in: dict[PoolKey, dict[int, float]] = {}
    node_usd: dict[PoolKey, float] = {}
    per_node: dict[PoolKey, int] = {}
    reservable: dict[PoolKey, list[int]] = {}
    covers: list[dict[int, float]] = [{} for _ in range(agents)]
    for number, option in enumerate(columns):
        direct, pools = _paid(option, terms)
        for key, taken, node in pools:
            taken_in.setdefault(key, {})[number] = float(taken)
            node_usd[key] = float(node)
            per_node[key] = option.at(key[1]).machine.accelerators
            if key[1] == "baseline" and option.may_be_reserved(terms):
                reservable.setdefault(key, []).append(number)
        problem.column(float(direct), 1.0)
        for agent in option.agents:
            covers[agent][number] = 1.0
    nodes = {key: problem.column(usd) for key, usd in node_usd.items()}
    for cover in covers:
        problem.row(1.0, 1.0, cover)
    for key, taken_by in taken_in.items():
        problem.row(-math.inf, 0.0, {**taken_by, nodes[key]: -float(per_node[key])})
    for key, numbers in reservable.items():
        _reserve(problem, columns, numbers, nodes[key], terms)
    return problem


def _solve(columns: Sequence[Option], agents: int, terms: Terms, most_usd: Decimal) -> tuple[list[Option], float]:
    """The columns of the cheapest placement, and the optimality gap. ``most_usd`` is what some placement costs.

    First the least cost is found, then the one among all placements of that cost whose options stand first: by size, then
    in the order given. Places are whole numbers, which every version of the solver tells apart; they are squared, so that
    two agents that change places change the sum.
    """
    least = _least(columns, agents, terms)
    left = _within(columns, least, most_usd, terms)
    problem = _program(left, agents, terms)
    scale = float(most_usd) or 1.0
    found = cheapest([cost / scale * _MAGNIFIED for cost in problem.costs], problem.most, problem.rows)
    gap = max(0.0, found.gap_ratio)
    chosen = _chosen(left, found)
    usd = usd_per_month(chosen, terms)
    tied = _within(left, least, usd + _EQUAL_USD, terms)
    by_size = sorted(range(len(tied)), key=lambda number: (tied[number].size, number))
    if len(tied) > agents:
        problem = _program(tied, agents, terms)
        problem.row(-math.inf, float(usd + _EQUAL_USD), dict(enumerate(problem.costs)))
        places = [0.0] * len(problem.costs)
        for place, number in enumerate(by_size):
            places[number] = float(place * place)
        first = _chosen(tied, cheapest(places, problem.most, problem.rows))
        if usd_per_month(first, terms) <= usd + 2 * _EQUAL_USD:
            chosen = first
    return sorted(chosen, key=lambda option: option.agents), 0.0 if gap < _NO_GAP else gap


def _chosen(columns: Sequence[Option], found: Solution) -> list[Option]:
    return [option for number, option in enumerate(columns) if found.values[number] > 0.5]


def _least(columns: Sequence[Option], agents: int, terms: Terms) -> list[Decimal]:
    """What each agent costs at least in any company, in any of its options."""
    least: list[Decimal | None] = [None] * agents
    for option in columns:
        share = option.least_usd_per_month(terms) / len(option.agents)
        for agent in option.agents:
            known = least[agent]
            least[agent] = share if known is None else min(known, share)
    return [Decimal(0) if usd is None else usd for usd in least]


def _within(columns: Sequence[Option], least: Sequence[Decimal], usd: Decimal, terms: Terms) -> list[Option]:
    """The options of which a placement may hold one and cost no more than that: the others cost what they cost at least."""
    room = usd - sum(least)
    return [
        option
        for option in columns
        if option.least_usd_per_month(terms) - sum(least[agent] for agent in option.agents) <= room + _EQUAL_USD
    ]


def usd_per_month(chosen: Sequence[Option], terms: Terms) -> Decimal:
    """What a placement costs: machines of one pool are filled together, and reserved as far as they may be."""
    total = Decimal(0)
    members: dict[PoolKey, list[Option]] = {}
    taken_in: dict[PoolKey, int] = {}
    node_usd: dict[PoolKey, Decimal] = {}
    for option in chosen:
        direct, pools = _paid(option, terms)
        total += direct
        for key, taken, node in pools:
            members.setdefault(key, []).append(option)
            taken_in[key] = taken_in.get(key, 0) + taken
            node_usd[key] = node
    for key, options in members.items():
        nodes = ceil_div(taken_in[key], options[0].at(key[1]).machine.accelerators)
        total += node_usd[key] * nodes
        if key[1] == "baseline" and all(each.may_be_reserved(terms) and each.is_user_facing() for each in options):
            slots = sum(each.normal_slots for each in options)
            reserved = most_reserved(normal_nodes(nodes, slots, options[0].slots_per_node), terms.reserved_ratio)
            total -= saved_usd_per_hour(options[0].machine, options[0].baseline) * HOURS_PER_MONTH * reserved
    return total


def _reserve(problem: _Problem, columns: Sequence[Option], numbers: Sequence[int], nodes: int, terms: Terms) -> None:
    """Let reserved capacity carry nodes of a pool: those of its normal load that the observed load always filled.

    ``numbers`` are the columns that may be in the pool, and ``nodes`` the one of its nodes.
    """
    first = columns[numbers[0]]
    slots = first.slots_per_node
    facing = {number: float(columns[number].normal_slots) for number in numbers if columns[number].is_user_facing()}
    if not facing:
        return
    by_agent: dict[tuple[int, ...], int] = {}
    for number in facing:
        agents = columns[number].agents
        by_agent[agents] = max(by_agent.get(agents, 0), columns[number].normal_slots)
    most = most_reserved(ceil_div(sum(by_agent.values()), slots), terms.reserved_ratio)
    saved = saved_usd_per_hour(first.machine, first.baseline) * HOURS_PER_MONTH
    reserved = problem.column(-float(saved), float(most))
    at_normal_load = problem.column(0.0)
    problem.row(
        -math.inf, float(slots - 1), {at_normal_load: float(slots)} | {number: -w for number, w in facing.items()}
    )
    problem.row(-math.inf, ROUNDING, {reserved: 1.0, at_normal_load: -terms.reserved_ratio})
    problem.row(-math.inf, 0.0, {reserved: 1.0, nodes: -1.0})
    beside: dict[tuple[int, ...], dict[int, float]] = {}
    for number in numbers:
        if number not in facing:
            beside.setdefault(columns[number].agents, {})[number] = float(most)
    for background in beside.values():
        problem.row(-math.inf, float(most), {reserved: 1.0, **background})
