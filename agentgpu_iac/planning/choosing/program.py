"""The program: which columns are chosen, each agent in exactly one, at the least cost; whole nodes, limits, reservations.

A column is one way to serve some agents. Part of its cost is its own, whoever else is chosen; the rest it takes of pools
whose nodes are paid for all together. What limits all of them is a row like any other, so that a plan is never chosen
first and refused afterwards. Where no choice keeps every limit, a smallest set of limits that cannot be kept together is
named: each is left out in turn, and stays out where the others still exclude every plan.

A commitment is a bounded column of its own: it covers nodes that others brought, of the kinds that it names, up to its size.

Ties are decided by a second program, whose objective is made of whole numbers: among all choices of the least cost, the one
whose columns stand first. The solver's tolerances never weigh a tie against a cent.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal

from agentgpu_iac.planning.choosing.reservations import ROUNDING, most_reserved
from agentgpu_iac.planning.choosing.solver import Row, Solution, Unsolvable, cheapest, relaxed
from agentgpu_iac.planning.choosing.zones import in_zones
from agentgpu_iac.units import ceil_div

EQUAL_USD = Decimal("0.001")
"""Choices whose costs differ by no more in a month cost the same."""
_MAGNIFIED = 1e4
"""Objective of the solver, whose tolerances are absolute: a cent of a million USD is a ten-thousandth of it."""
_NO_GAP = 1e-6
"""A gap below the tolerance of the solver is none."""
_PLACES = 9
"""Decimal places of a node that is covered in part."""
_NEARLY_WHOLE = 1e-6
"""The solver's tolerance: a part that is so close to a whole number is one."""
_MANY = 1_000
"""Columns over which the relaxed program is asked first; it takes longer than it saves for fewer."""
_FIRST_WITHIN = 0.02
"""What columns may add to the relaxed program's cost among which a choice is first looked for, as a share of it."""
_RELAXED_TOLERANCE = 1e-8
"""Beyond the tolerances of the relaxed program, as a share of the cost."""
_MOST_JOINT_NODES = 6
"""Machines of one joint pool where all must be alike; more agents than fill so many have pools of their own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reservable:
    """What of a column's part of a pool reserved capacity may carry."""

    saved_usd: Decimal
    """What one reserved node saves in a month."""
    normal_slots: int
    slots_per_node: int
    user_facing: bool
    """Beside a background agent nothing is reserved."""
    weights: Mapping[str, float] = field(default_factory=dict)
    """What a reserved node weighs more, or less, in each limit than one that is not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Take:
    """What a column takes of a pool."""

    pool: Hashable
    replicas: int
    slots_each: int
    """Accelerators that each replica takes of its machine."""
    per_node: int
    """Accelerators of a node."""
    node_usd: Decimal
    """What a node of the pool costs in a month."""
    zones: int = 1
    """Zones over which the replicas are spread evenly, each on nodes of its own; the same for all in a pool."""
    reservable: Reservable | None = None
    weights: Mapping[str, float] = field(default_factory=dict)
    """What a node weighs in each limit."""

    @property
    def slots(self) -> int:
        """Accelerators taken in all."""
        return self.replicas * self.slots_each

    @property
    def slots_in_zones(self) -> tuple[int, ...]:
        """Accelerators taken in each zone, the fullest first."""
        return tuple(replicas * self.slots_each for replicas in in_zones(self.replicas, self.zones))


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One way to serve some agents."""

    agents: tuple[int, ...]
    direct_usd: Decimal
    """What it costs in a month whoever else is chosen."""
    takes: tuple[Take, ...]
    least_usd: Decimal
    """The least that it costs in any company."""
    weights: Mapping[str, float] = field(default_factory=dict)
    """What its own nodes weigh in each limit."""

    def of(self, agents: tuple[int, ...]) -> Column:
        """The same for those agents."""
        return Column(
            agents=agents, direct_usd=self.direct_usd, takes=self.takes, least_usd=self.least_usd, weights=self.weights
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """What all columns together may weigh at most."""

    name: str
    most: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Cover:
    """What a commitment does for nodes of one kind."""

    meter: str
    """The weight by which such nodes are counted."""
    takes: float
    """What a covered node takes of the commitment."""
    saved_usd: Decimal
    """What a covered node costs less in a month."""
    weights: Mapping[str, float] = field(default_factory=dict)
    """What covering a node weighs in each limit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """A commitment: paid for as much of it as there is, and there may be no more."""

    most: float
    usd: Decimal
    """What one of it costs in a month; 0 where it is paid in any case."""
    signed: bool
    """Whether all of it is there already."""
    whole: bool
    """Whether it comes in whole pieces."""
    covers: tuple[Cover, ...]
    weights: Mapping[str, float] = field(default_factory=dict)
    """What one of it weighs in each limit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What holds for every choice."""

    agents: int
    reserved_ratio: float = 0.0
    """Share of the nodes of normal load that reserved capacity may carry."""
    alike: bool = False
    """Whether all machines of a pool run the same: agents then share a pool only where their replicas divide evenly."""
    limits: tuple[Limit, ...] = ()
    commitments: tuple[Bound, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Joint:
    """A pool of machines that are alike, which several columns share."""

    number: int
    """Which of the pools of that kind."""
    nodes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """The cheapest columns."""

    columns: tuple[int, ...]
    """Their positions, in order."""
    joint: Mapping[tuple[int, Hashable], Joint]
    """Where machines are alike: the joint pool that a column is in; those without one have their own."""
    usd: Decimal
    """What they cost in a month."""
    gap_ratio: float
    committed: tuple[float, ...] = ()
    """How much there is of each commitment."""
    covered: Mapping[tuple[int, str], float] = field(default_factory=dict)
    """Nodes that each commitment covers, by its number and the nodes' meter."""


class Conflict(Exception):
    """No choice keeps every limit; ``names`` are a smallest set that cannot be kept together."""

    def __init__(self, names: tuple[str, ...]) -> None:
        self.names = names
        super().__init__(", ".join(names))


def choose(columns: Sequence[Column], order: Sequence[int], rules: Rules, most_usd: Decimal | None) -> Choice:
    """The cheapest choice, and of equal ones the first. ``most_usd`` is what some choice costs, where one is known.

    ``order`` are the positions of the columns, the preferred ones first.

    Raises:
        Conflict: no choice keeps every limit.
    """
    place_of = {number: place for place, number in enumerate(order)}
    least = _least(columns, rules.agents)
    left = list(range(len(columns)))
    if most_usd is not None and not rules.limits:
        left = _within(columns, left, least, most_usd)
    try:
        left, problem, found = _cheapest(columns, left, rules)
    except Unsolvable:
        raise Conflict(_conflict(columns, rules)) from None
    gap = max(0.0, found.gap_ratio)
    usd = problem.usd(found)
    tied = _within(columns, left, least, usd)
    answer, chosen = problem, found
    if len(tied) > rules.agents or problem.has_joint_pools:
        second = _Program([columns[number] for number in tied], rules)
        first = second.first(usd, [place_of[number] for number in tied])
        if first is not None:
            answer, chosen, left = second, first, tied
    columns_chosen = tuple(left[number] for number in answer.chosen(chosen))
    joint = {(left[number], pool): there for (number, pool), there in answer.joint(chosen).items()}
    return Choice(
        columns=columns_chosen,
        joint=joint,
        usd=answer.usd(chosen),
        gap_ratio=0.0 if gap < _NO_GAP else gap,
        committed=answer.committed(chosen),
        covered=answer.covered(chosen),
    )


def _cheapest(columns: Sequence[Column], among: list[int], rules: Rules) -> tuple[list[int], _Program, Solution]:
    """The cheapest choice among some columns: those that it was looked for in, the program over them, and its values.

    Of many columns most are in no choice that costs as little, which their reduced costs in the relaxed program show: a choice
    with one of them costs at least what that does and its reduced cost. So the cheapest is first looked for among those that add
    little, then among all that may be in one as cheap, which the former says.
    """
    whole = _Program([columns[number] for number in among], rules)
    if len(among) <= _MANY:
        return among, whole, whole.cheapest()
    usd, added = whole.relaxed()
    within = max(0.0, usd) * _FIRST_WITHIN  # below 0 it would never grow to hold a choice
    while True:
        left = [number for number, more in zip(among, added, strict=True) if more <= within]
        problem = whole if len(left) == len(among) else _Program([columns[number] for number in left], rules)
        try:
            found = problem.cheapest()
        except Unsolvable:
            if problem is whole:
                raise
            within = 4 * within + 1
            continue
        needed = float(problem.usd(found) + EQUAL_USD) * (1 + _RELAXED_TOLERANCE) - usd
        if needed <= within or problem is whole:
            return left, problem, found
        within = needed


def _least(columns: Sequence[Column], agents: int) -> list[Decimal]:
    """What each agent costs at least in any company, in any of its columns."""
    least: list[Decimal | None] = [None] * agents
    for column in columns:
        share = column.least_usd / len(column.agents)
        for agent in column.agents:
            known = least[agent]
            least[agent] = share if known is None else min(known, share)
    return [Decimal(0) if usd is None else usd for usd in least]


def _within(columns: Sequence[Column], among: Sequence[int], least: Sequence[Decimal], usd: Decimal) -> list[int]:
    """The columns of which a choice may hold one and cost no more than that: all others cost what they cost at least."""
    room = usd - sum(least) + EQUAL_USD
    return [
        number
        for number in among
        if columns[number].least_usd - sum(least[agent] for agent in columns[number].agents) <= room
    ]


def _conflict(columns: Sequence[Column], rules: Rules) -> tuple[str, ...]:
    """A smallest set of limits that no choice keeps together (deletion filter)."""
    kept = list(rules.limits)
    for limit in rules.limits:
        others = tuple(each for each in kept if each is not limit)
        try:
            _Program(columns, replace(rules, limits=others)).cheapest()
        except Unsolvable:
            kept = list(others)
    return tuple(limit.name for limit in kept)


class _Program:
    """Variables with what they cost, and rows over them: first the columns, then what they need."""

    def __init__(self, columns: Sequence[Column], rules: Rules) -> None:
        self._columns = columns
        self._rules = rules
        self._usd: list[Decimal] = []
        self._most: list[float] = []
        self._rows: list[Row] = []
        meters = {cover.meter for bound in rules.commitments for cover in bound.covers}
        self._weights: dict[str, dict[int, float]] = {
            name: {} for name in sorted(meters | {limit.name for limit in rules.limits})
        }
        self._in_parts: set[int] = set()
        self._committed: list[int | None] = []
        self._covered: dict[tuple[int, str], int] = {}
        self._bins: dict[tuple[int, Hashable, Joint], int] = {}
        covers: list[dict[int, float]] = [{} for _ in range(rules.agents)]
        takers: dict[Hashable, list[tuple[int, Take]]] = {}
        for number, column in enumerate(columns):
            self._variable(column.direct_usd, 1.0, column.weights)
            for agent in column.agents:
                covers[agent][number] = 1.0
            for take in column.takes:
                takers.setdefault(take.pool, []).append((number, take))
        for cover in covers:
            self._row(1.0, 1.0, cover)
        for pool, members in takers.items():
            if rules.alike:
                self._alike(pool, members)
            else:
                self._filled(members)
        self._commit(rules.commitments)
        for limit in rules.limits:
            self._row(-math.inf, limit.most, self._weights[limit.name])

    def _commit(self, commitments: Sequence[Bound]) -> None:
        """What is committed, and the nodes that it covers: of each kind no more than there are."""
        by_meter: dict[str, dict[int, float]] = {}
        for number, bound in enumerate(commitments):
            size = None if bound.signed else self._variable(bound.usd, bound.most, bound.weights, whole=bound.whole)
            self._committed.append(size)
            taken: dict[int, float] = {} if size is None else {size: -1.0}
            for cover in bound.covers:
                there = self._variable(-cover.saved_usd, weights=cover.weights, whole=False)
                self._covered[number, cover.meter] = there
                by_meter.setdefault(cover.meter, {})[there] = 1.0
                taken[there] = cover.takes
            if bound.covers:
                self._row(-math.inf, bound.most if size is None else 0.0, taken)
        for meter, covering in by_meter.items():
            nodes = {position: -weight for position, weight in self._weights[meter].items()}
            self._row(-math.inf, 0.0, covering | nodes)

    def _variable(
        self,
        usd: Decimal,
        most: float = math.inf,
        weights: Mapping[str, float] | None = None,
        *,
        whole: bool = True,
    ) -> int:
        """A number from 0 to ``most``, a whole one unless it is said otherwise; returns its position."""
        position = len(self._usd)
        if not whole:
            self._in_parts.add(position)
        self._usd.append(usd)
        self._most.append(most)
        for name, weight in (weights or {}).items():
            if name in self._weights and weight:
                self._weights[name][position] = weight
        return position

    def _row(self, least: float, most: float, weights: Mapping[int, float]) -> None:
        self._rows.append(Row(least=least, most=most, weights=tuple(weights.items())))

    def _filled(self, members: Sequence[tuple[int, Take]]) -> None:
        """A pool whose nodes are filled by all together, zone by zone where they are spread over zones."""
        first = members[0][1]
        nodes: list[int] = []
        for zone in range(first.zones):
            nodes.append(self._variable(first.node_usd, weights=first.weights))
            taken = {number: float(take.slots_in_zones[zone]) for number, take in members}
            self._row(-math.inf, 0.0, {**taken, nodes[-1]: -float(first.per_node)})
        reservable = [(number, take.reservable) for number, take in members if take.reservable is not None]
        if reservable:
            self._reserve(reservable, nodes)

    def _alike(self, pool: Hashable, members: Sequence[tuple[int, Take]]) -> None:
        """A pool of its own for each column, or joint ones: so many machines, each with the same of everybody's replicas."""
        first, agents = members[0][1], {self._columns[number].agents for number, _ in members}
        sizes = [1] * (len(agents) // 2) + list(range(2, _MOST_JOINT_NODES + 1)) if len(agents) > 1 else []
        bins = [
            (size, self._variable(first.node_usd * size, 1.0, {name: w * size for name, w in first.weights.items()}))
            for size in sizes
        ]
        taken: list[dict[int, float]] = [{} for _ in bins]
        for number, take in members:
            nodes = ceil_div(take.slots, take.per_node)
            own = self._variable(take.node_usd * nodes, 1.0, {name: w * nodes for name, w in take.weights.items()})
            self._reserve_own(take, nodes, own)
            ways = {own: 1.0}
            for place, (size, _) in enumerate(bins):
                each = ceil_div(take.replicas, size) * take.slots_each
                if each <= take.per_node and take.slots % take.per_node and take.replicas >= size:
                    there = self._variable(Decimal(0), 1.0)
                    ways[there] = 1.0
                    taken[place][there] = float(each)
                    self._bins[number, pool, Joint(number=place, nodes=size)] = there
            self._row(0.0, 0.0, {**ways, number: -1.0})
        for (_, machines), by in zip(bins, taken, strict=True):
            self._row(-math.inf, 0.0, {**by, machines: -float(first.per_node)})

    def _reserve_own(self, take: Take, nodes: int, own: int) -> None:
        """Let reserved capacity carry nodes of a pool that a column has for itself."""
        found = take.reservable
        if found is None or not found.user_facing:
            return
        at_normal_load = min(nodes, ceil_div(found.normal_slots, found.slots_per_node))
        most = most_reserved(at_normal_load, self._rules.reserved_ratio)
        if most:
            reserved = self._variable(-found.saved_usd, float(most), found.weights)
            self._row(-math.inf, 0.0, {reserved: 1.0, own: -float(most)})

    def _reserve(self, members: Sequence[tuple[int, Reservable]], nodes: Sequence[int]) -> None:
        """Let reserved capacity carry nodes of a pool: those of its normal load that the observed load always filled."""
        first = members[0][1]
        ratio, slots, saved_usd = self._rules.reserved_ratio, first.slots_per_node, first.saved_usd
        facing = {number: float(each.normal_slots) for number, each in members if each.user_facing}
        if not facing:
            return
        by_agents: dict[tuple[int, ...], int] = {}
        for number, each in members:
            if each.user_facing:
                agents = self._columns[number].agents
                by_agents[agents] = max(by_agents.get(agents, 0), each.normal_slots)
        most = most_reserved(ceil_div(sum(by_agents.values()), slots), ratio)
        reserved, at_normal_load = (
            self._variable(-saved_usd, float(most), first.weights),
            self._variable(Decimal(0)),
        )
        self._row(
            -math.inf, float(slots - 1), {at_normal_load: float(slots)} | {number: -w for number, w in facing.items()}
        )
        self._row(-math.inf, ROUNDING, {reserved: 1.0, at_normal_load: -ratio})
        self._row(-math.inf, 0.0, {reserved: 1.0, **dict.fromkeys(nodes, -1.0)})
        beside: dict[tuple[int, ...], dict[int, float]] = {}
        for number, each in members:
            if not each.user_facing:
                beside.setdefault(self._columns[number].agents, {})[number] = float(most)
        for background in beside.values():
            self._row(-math.inf, float(most), {reserved: 1.0, **background})

    def cheapest(self) -> Solution:
        """The values that cost the least."""
        whole = float(max((abs(usd) for usd in self._usd), default=Decimal(1))) or 1.0
        costs = [float(usd) / whole * _MAGNIFIED for usd in self._usd]
        return cheapest(costs, self._most, self._rows, in_parts=self._in_parts)

    def relaxed(self) -> tuple[float, list[float]]:
        """What no choice undercuts, in USD a month, and what each column adds to that at least."""
        whole = float(max((abs(usd) for usd in self._usd), default=Decimal(1))) or 1.0
        found = relaxed([float(usd) / whole * _MAGNIFIED for usd in self._usd], self._most, self._rows)
        unit = whole / _MAGNIFIED
        return found.cost * unit, [each * unit for each in found.reduced[: len(self._columns)]]

    def first(self, usd: Decimal, places: Sequence[int]) -> Solution | None:
        """Of the values that cost no more, those whose columns stand first.

        Places are squared, so that two agents that change places change the sum.
        """
        objective = [0.0] * len(self._usd)
        for number, place in enumerate(places):
            objective[number] = float(place * place)
        for (number, _, joint), there in self._bins.items():
            objective[there] = float((places[number] + 1) * (joint.number + 1))
        costs = {number: float(cost) for number, cost in enumerate(self._usd) if cost}
        row = Row(least=-math.inf, most=float(usd + EQUAL_USD), weights=tuple(costs.items()))
        try:
            found = cheapest(objective, self._most, [*self._rows, row], in_parts=self._in_parts)
        except Unsolvable:
            return None
        return found if self.usd(found) <= usd + 2 * EQUAL_USD else None

    def usd(self, found: Solution) -> Decimal:
        """What the values cost in a month."""
        return sum((cost * self._value(found, at) for at, cost in enumerate(self._usd) if cost), Decimal(0))

    def _value(self, found: Solution, position: int) -> Decimal:
        value = found.values[position]
        if position in self._in_parts and abs(value - round(value)) > _NEARLY_WHOLE:
            return Decimal(repr(round(value, _PLACES)))
        return Decimal(round(value))

    def committed(self, found: Solution) -> tuple[float, ...]:
        """How much there is of each commitment."""
        return tuple(
            bound.most if at is None else float(self._value(found, at))
            for bound, at in zip(self._rules.commitments, self._committed, strict=True)
        )

    def covered(self, found: Solution) -> dict[tuple[int, str], float]:
        """Nodes that each commitment covers; nothing where it covers none."""
        return {key: count for key, at in self._covered.items() if (count := float(self._value(found, at)))}

    @property
    def has_joint_pools(self) -> bool:
        """Whether the same columns may stand in several ways that cost as much."""
        return bool(self._bins)

    def chosen(self, found: Solution) -> list[int]:
        """The columns that are chosen."""
        return [number for number in range(len(self._columns)) if found.values[number] > 0.5]

    def joint(self, found: Solution) -> dict[tuple[int, Hashable], Joint]:
        """The joint pools of the chosen columns that several share: one that a column has for itself is a pool of its own."""
        chosen = [key for key, there in self._bins.items() if found.values[there] > 0.5]
        sharing = Counter((pool, joint) for _, pool, joint in chosen)
        return {(number, pool): joint for number, pool, joint in chosen if sharing[pool, joint] > 1}
