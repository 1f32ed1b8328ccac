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
from agentgpu_iac.planning.choosing.solver import Row, cheapest
from agentgpu_iac.planning.choosing.tiers import Purchase
from agentgpu_iac.spec.vocabulary import CapacityType, Tier
from agentgpu_iac.units import HOURS_PER_MONTH, ceil_div

_NO_GAP = 1e-6
"""A gap below the tolerance of the solver is none."""
_TIE_WEIGHT = 1e-7
_MOST_TIE_USD = 1e-3
"""What the tie-break may weigh in the objective: a ten-millionth of the plan's cost, and a tenth of a cent at most."""
_TOLD_APART = 1e-6
"""Objectives that differ by so much are told apart by the solver, whose tolerances are 1e-7 and its gap 1e-9."""
_MOST_MAGNIFIED = 1e7
"""Beyond it the digits of a double end."""

PoolKey = tuple[tuple[str, str, str], Tier, tuple[CapacityType, ...], int]
"""Machine, tier, capacity types, and the option's number for a pool of its own (0: shared by all replicas within a
machine, -1: by all replicas over several: whole free machines are there for them only where nothing else runs)."""


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
        return ceil_div(self.accelerators(tier), self.machine.accelerators)

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
        if self.burst is None:
            return Decimal(0)
        return self.burst.usd_per_hour * self.nodes_alone("burst") * terms.burst_hours

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
        cost = hourly * self.accelerators("baseline") * HOURS_PER_MONTH
        if self.burst is not None:
            cost += self.burst.usd_per_hour * self.accelerators("burst") * terms.burst_hours
        return cost / self.machine.accelerators

    def rank(self, terms: Terms) -> tuple[object, ...]:
        """Order by cost, then by size, then by name, so that ties fall the same way every time."""
        return (self.usd_per_month_alone(terms), *self.size, self.machine.accelerators, self.machine.id)

    @property
    def size(self) -> tuple[int, int, int]:
        """What decides between equal costs: what one failure takes away, what is taken in all, and the machines of a replica."""
        taken = self.accelerators("baseline") + self.accelerators("burst")
        largest = max(candidate.accelerators_per_replica for candidate in self.candidates)
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
    scale = float(sum(options[0].usd_per_month_alone(terms) for options in ranked)) or 1.0
    chosen, gap = _solve(columns, len(by_agent), terms, scale)
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

    An option that costs the same alone and in company (one accelerator on its machine, nothing reserved or a pool of its
    own) counts only if it is its agent's cheapest of those. A pool that several share is worth keeping only if some
    agent's share of it, all of it reserved where it may be, may cost less than what that agent can fall back on; if it
    is kept, the others may ride along, so their options stay too.
    """
    kept_machines = {
        option.machine.id
        for options, safe in zip(ranked, alone, strict=True)
        for option in options
        if not option.is_apart(terms) and (safe is None or option.least_usd_per_month(terms) < safe[1])
    }
    kept_machines |= {safe[0].machine.id for safe in alone if safe is not None and not safe[0].is_apart(terms)}
    return [
        [
            *[option for option in options if option.is_apart(terms)][:1],
            *_pareto(
                [option for option in options if option.machine.id in kept_machines and not option.is_apart(terms)],
                terms,
            ),
        ]
        for options in ranked
    ]


def _pareto(options: Sequence[Option], terms: Terms) -> list[Option]:
    """Options that no other one of the same pools undercuts in both tiers, in the order given.

    Where nodes may be reserved, it must need no less at normal load either: that is how many may be.
    """
    best: dict[object, list[tuple[int, int, int]]] = {}
    kept: list[Option] = []
    for option in options:
        burst = option.burst.capacity_types if option.burst else ()
        reserved = option.may_be_reserved(terms)
        own = reserved and option.has_own_pool(terms)
        taken = (
            option.accelerators("baseline"),
            option.accelerators("burst"),
            -option.normal_slots if reserved else 0,
        )
        pools = (option.machine.id, option.baseline.capacity_types, burst, option.spans_nodes, own)
        seen = best.setdefault(pools, [])
        if not any(all(theirs <= mine for theirs, mine in zip(other, taken, strict=True)) for other in seen):
            seen.append(taken)
            kept.append(option)
    return kept


def _pools_of(option: Option, number: int, terms: Terms) -> list[tuple[PoolKey, int, Decimal]]:
    """(pool, accelerators taken, planning price of a node) for the tiers of an option."""
    own = number + 1 if option.has_own_pool(terms) else -1 if option.spans_nodes else 0
    pools: list[tuple[PoolKey, int, Decimal]] = [
        (
            (option.machine.id, "baseline", option.baseline.capacity_types, own),
            option.accelerators("baseline"),
            option.baseline.usd_per_hour,
        )
    ]
    if option.burst is not None and option.accelerators("burst"):
        key: PoolKey = (option.machine.id, "burst", option.burst.capacity_types, -1 if option.spans_nodes else 0)
        pools.append((key, option.accelerators("burst"), option.burst.usd_per_hour))
    return pools


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

    def solve(self) -> tuple[Sequence[float], float]:
        """The cheapest values of the columns, and the optimality gap."""
        found = cheapest(self.costs, self.most, self.rows)
        gap = max(0.0, found.gap_ratio)
        return found.values, 0.0 if gap < _NO_GAP else gap


def _solve(columns: Sequence[Option], agents: int, terms: Terms, scale: float) -> tuple[list[Option], float]:
    """The columns of the cheapest placement, and the optimality gap. ``scale`` is about what it costs.

    Of equal costs the smaller replicas are taken. The objective is so large that the solver tells them apart, whatever its
    version: its tolerances are absolute.
    """
    problem = _Problem()
    taken_in: dict[PoolKey, dict[int, float]] = {}
    node_usd: dict[PoolKey, float] = {}
    reservable: dict[PoolKey, list[int]] = {}
    tie_step = min(_TIE_WEIGHT, _MOST_TIE_USD / scale) / len(columns) / agents
    magnified = min(_MOST_MAGNIFIED, max(1.0, _TOLD_APART / tie_step))
    tie_step, scale = tie_step * magnified, scale / magnified
    by_size = sorted(range(len(columns)), key=lambda number: (columns[number].size, number))
    place_of = {number: place for place, number in enumerate(by_size)}
    for number, option in enumerate(columns):
        direct = Decimal(0)
        for key, taken, price in _pools_of(option, number, terms):
            hours = Decimal(HOURS_PER_MONTH) if key[1] == "baseline" else terms.burst_hours
            if key[1] == "baseline" and (option.has_own_pool(terms) or option.is_apart(terms)):
                direct += option.baseline_usd_alone(terms)
            elif key[1] == "burst" and option.machine.accelerators == 1:
                direct += price * taken * hours
            else:
                taken_in.setdefault(key, {})[number] = float(taken)
                node_usd[key] = float(price * hours)
                if key[1] == "baseline" and option.may_be_reserved(terms):
                    reservable.setdefault(key, []).append(number)
        problem.column(float(direct) / scale + tie_step * place_of[number], 1.0)
    covers: list[dict[int, float]] = [{} for _ in range(agents)]
    for number, option in enumerate(columns):
        for agent in option.agents:
            covers[agent][number] = 1.0
    nodes = {key: problem.column(usd / scale) for key, usd in node_usd.items()}
    for cover in covers:
        problem.row(1.0, 1.0, cover)
    for key, taken_by in taken_in.items():
        accelerators = columns[next(iter(taken_by))].machine.accelerators
        problem.row(-math.inf, 0.0, {**taken_by, nodes[key]: -float(accelerators)})
    for key, numbers in reservable.items():
        _reserve(problem, columns, numbers, nodes[key], terms, scale)
    values, gap = problem.solve()
    chosen = [option for number, option in enumerate(columns) if values[number] > 0.5]
    return sorted(chosen, key=lambda option: option.agents), gap


def _reserve(
    problem: _Problem, columns: Sequence[Option], numbers: Sequence[int], nodes: int, terms: Terms, scale: float
) -> None:
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
    reserved = problem.column(-float(saved) / scale, float(most))
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
