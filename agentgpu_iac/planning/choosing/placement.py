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

from agentgpu_iac.planning.choosing.commitments import bounds
from agentgpu_iac.planning.choosing.fronts import Front
from agentgpu_iac.planning.choosing.known import Known
from agentgpu_iac.planning.choosing.limits import Terms, node_weights, reserved_weights
from agentgpu_iac.planning.choosing.option import TIERS, Option, PoolKey
from agentgpu_iac.planning.choosing.program import Column, Joint, Reservable, Rules, Take, choose
from agentgpu_iac.planning.choosing.reservations import saved_usd_per_hour
from agentgpu_iac.planning.choosing.tiers import Purchase
from agentgpu_iac.spec.vocabulary import Tier
from agentgpu_iac.units import HOURS_PER_MONTH


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
