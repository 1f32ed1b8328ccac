"""Placement: the cheapest choice of one option per agent, with machines shared where that is cheaper.

An option is an agent (or a group of agents that stay resident on one accelerator) on one machine type. Machines with
several accelerators are shared by the options of the same pool, so their number is a decision of its own:

    minimise   sum over pools of price x nodes
    subject to every agent is covered by exactly one option
               accelerators taken in a pool <= accelerators per node x nodes,  nodes whole

Where no pool is shared the problem falls apart into one minimum per agent, which is then taken directly; otherwise
HiGHS solves it to optimality (one thread, fixed seed: the same input gives the same answer).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from agentgpu_iac.planning import host_memory
from agentgpu_iac.planning.candidates import Candidate
from agentgpu_iac.planning.engines import PORTS
from agentgpu_iac.planning.pricing import Machine
from agentgpu_iac.planning.solver import Row, cheapest
from agentgpu_iac.planning.tiers import Purchase
from agentgpu_iac.spec.vocabulary import CapacityType, Tier
from agentgpu_iac.units import HOURS_PER_MONTH, ceil_div

MAX_ENGINES_PER_ACCELERATOR = 4
"""More engines than this on one accelerator would wait for one another too long to be useful."""
_MAX_ENUMERATED_AGENTS = 10
"""Up to this many agents every group is considered (375 of them); beyond, first-fit groups only."""
_TIE_WEIGHT = 1e-7
"""Weight of the tie-break in the objective: far below a hundredth of a cent of any plan."""

PoolKey = tuple[tuple[str, str, str], Tier, tuple[CapacityType, ...], int]
"""Machine, tier, capacity types, and the option's number for a pool of its own (0: shared by all replicas within a
machine, -1: by all replicas over several: whole free machines are there for them only where nothing else runs)."""


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

    def nodes_alone(self, tier: Tier) -> int:
        """Machines that the option needs by itself."""
        return ceil_div(self.accelerators(tier), self.machine.accelerators)

    def usd_per_month_alone(self, burst_hours: Decimal) -> Decimal:
        """What the option costs by itself: the baseline all month, the burst for its expected hours."""
        cost = self.baseline.usd_per_hour * self.nodes_alone("baseline") * HOURS_PER_MONTH
        if self.burst is not None:
            cost += self.burst.usd_per_hour * self.nodes_alone("burst") * burst_hours
        return cost

    def least_usd_per_month(self, burst_hours: Decimal) -> Decimal:
        """A bound that no sharing of machines can beat: the part of each machine that the option takes."""
        cost = self.baseline.usd_per_hour * self.accelerators("baseline") * HOURS_PER_MONTH
        if self.burst is not None:
            cost += self.burst.usd_per_hour * self.accelerators("burst") * burst_hours
        return cost / self.machine.accelerators

    def rank(self, burst_hours: Decimal) -> tuple[object, ...]:
        """Order by cost, then by fewer accelerators, then by name, so that ties fall the same way every time."""
        taken = self.accelerators("baseline") + self.accelerators("burst")
        cost = self.usd_per_month_alone(burst_hours)
        return (cost, taken, self.candidates[0].nodes, self.machine.accelerators, self.machine.id)


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """The chosen option of each agent, and how far from optimal it may be over the options considered."""

    options: tuple[Option, ...]
    gap_ratio: float
    groups_complete: bool
    """False: there were too many small agents to consider every group of them."""


def shared_options(
    by_agent: Sequence[Sequence[Option]], tolerated: dict[tuple[int, str], int], steady_state_ratio: float
) -> tuple[tuple[Option, ...], bool]:
    """Groups of agents that fit together on one accelerator, and whether all groups were considered.

    Only options of one accelerator on a single-accelerator machine, that carry the agent's whole peak in one replica
    and are bought on-demand, may join: the group then needs no autoscaler, which could not see it anyway.
    ``tolerated`` says how many busy engines each (agent, accelerator) can bear.
    """
    cheapest: dict[str, dict[int, Option]] = {}
    for options in by_agent:
        for option in sorted(options, key=lambda option: (option.baseline.usd_per_hour, option.machine.id)):
            if _may_share(option):
                mates = cheapest.setdefault(option.candidates[0].accelerator.id, {})
                mates.setdefault(option.agents[0], option)
    groups: list[Option] = []
    complete = True
    for accelerator, mates in sorted(cheapest.items()):
        machine = min((option.machine for option in mates.values()), key=_price_and_id)
        members = [option for option in mates.values() if option.machine.id == machine.id]
        if len(members) <= _MAX_ENUMERATED_AGENTS:
            sets = [
                group
                for size in range(2, MAX_ENGINES_PER_ACCELERATOR + 1)
                for group in itertools.combinations(members, size)
                if _fits(group, tolerated, accelerator, steady_state_ratio)
            ]
        else:
            complete = False
            sets = _first_fit(members, tolerated, accelerator, steady_state_ratio)
        groups.extend(_merge(group) for group in sets)
    return tuple(groups), complete


def with_several_per_accelerator(option: Option, tolerated: int, steady_state_ratio: float) -> Option | None:
    """The option with as many of its replicas on each accelerator as fit, each with a KV budget of its own; None for one.

    ``tolerated`` says how many busy engines the agent can bear. Nothing is left for a burst tier: no autoscaler could
    see what shares.
    """
    candidate = option.candidates[0]
    if option.machine.accelerators > 1 or candidate.burst_replicas or not _takes_a_part(option):
        return None
    capacity_gib = candidate.memory.capacity.capacity_gib * steady_state_ratio
    most = min(candidate.baseline_replicas, tolerated, MAX_ENGINES_PER_ACCELERATOR)
    for engines in range(most, 1, -1):
        if engines * _need_gib(option) <= capacity_gib and host_memory.fits(candidate, option.machine, engines):
            return replace(option, replicas_per_accelerator=engines)
    return None


def unshareable(by_agent: Sequence[Sequence[Option]]) -> list[Option]:
    """An option of each agent that could share an accelerator of a kind, were it not sold only several to a machine.

    Only where at least two agents could.
    """
    found: list[Option] = []
    accelerators = {option.candidates[0].accelerator.id for options in by_agent for option in options}
    for accelerator in sorted(accelerators):
        several: list[Option] = []
        for options in by_agent:
            here = [one for one in options if one.candidates[0].accelerator.id == accelerator and _could_share(one)]
            if here and all(one.machine.accelerators > 1 for one in here):
                several.append(min(here, key=lambda one: _price_and_id(one.machine)))
        if len(several) > 1:
            found.extend(several)
    return found


def _price_and_id(machine: Machine) -> tuple[Decimal, tuple[str, str, str]]:
    return (machine.usd_per_hour("on-demand") or Decimal("Infinity"), machine.id)


def _may_share(option: Option) -> bool:
    return option.machine.accelerators == 1 and _could_share(option)


def _could_share(option: Option) -> bool:
    candidate = option.candidates[0]
    return (
        candidate.peak_replicas == 1
        and not candidate.demand.agent.overrides.baseline_replicas
        and _takes_a_part(option)
    )


def _takes_a_part(option: Option) -> bool:
    """Whether an engine may be given a part of one accelerator that nobody takes away."""
    candidate = option.candidates[0]
    return (
        candidate.accelerators_per_replica == 1
        and option.baseline.capacity_types == ("on-demand",)
        and PORTS[candidate.demand.agent.engine].fixes_kv_budget(candidate.demand.model)
    )


def _need_gib(option: Option) -> float:
    candidate = option.candidates[0]
    return candidate.memory.need_gib(candidate.max_num_seqs)


def _fits(
    group: Sequence[Option], tolerated: dict[tuple[int, str], int], accelerator: str, steady_state_ratio: float
) -> bool:
    capacity = group[0].candidates[0].memory.capacity.capacity_gib
    return sum(map(_need_gib, group)) <= capacity * steady_state_ratio and all(
        tolerated[option.agents[0], accelerator] >= len(group)
        and host_memory.fits(option.candidates[0], option.machine, len(group))
        for option in group
    )


def _first_fit(
    members: Sequence[Option], tolerated: dict[tuple[int, str], int], accelerator: str, steady_state_ratio: float
) -> list[tuple[Option, ...]]:
    """First-fit decreasing: good groups for many agents, without trying them all."""
    bins: list[list[Option]] = []
    open_bins: list[list[Option]] = []
    for option in sorted(members, key=lambda member: (-_need_gib(member), member.agents)):
        for group in open_bins:
            if _fits([*group, option], tolerated, accelerator, steady_state_ratio):
                group.append(option)
                break
        else:
            bins.append([option])
            open_bins.append(bins[-1])
        open_bins = [group for group in open_bins if len(group) < MAX_ENGINES_PER_ACCELERATOR][-64:]
    return [tuple(group) for group in bins if len(group) > 1]


def _merge(group: Sequence[Option]) -> Option:
    ordered = sorted(group, key=lambda option: option.agents)
    return Option(
        agents=tuple(option.agents[0] for option in ordered),
        candidates=tuple(option.candidates[0] for option in ordered),
        machine=ordered[0].machine,
        baseline=ordered[0].baseline,
        burst=None,
    )


def place(
    by_agent: Sequence[Sequence[Option]], groups: Sequence[Option], groups_complete: bool, burst_hours: Decimal
) -> Placement:
    """Choose one option per agent at the least total cost. Every agent must have at least one option of its own."""
    ranked = [sorted(options, key=lambda option: option.rank(burst_hours)) for options in by_agent]
    alone = [options[0].usd_per_month_alone(burst_hours) for options in ranked]
    useful_groups = [
        group
        for group in groups
        if group.usd_per_month_alone(burst_hours) < sum(alone[agent] for agent in group.agents)
    ]
    survivors = _survivors(ranked, alone, burst_hours)
    if not useful_groups and all(option.machine.accelerators == 1 for options in survivors for option in options):
        return Placement(
            options=tuple(options[0] for options in survivors), gap_ratio=0.0, groups_complete=groups_complete
        )
    columns = [option for options in survivors for option in options] + useful_groups
    chosen, gap = _solve(columns, len(by_agent), burst_hours, float(sum(alone)))
    return Placement(options=tuple(chosen), gap_ratio=gap, groups_complete=groups_complete)


def _survivors(
    ranked: Sequence[Sequence[Option]], alone: Sequence[Decimal], burst_hours: Decimal
) -> list[list[Option]]:
    """Drop options that cannot be part of a cheapest placement.

    On machines with one accelerator an option costs the same alone and in company, so only each agent's cheapest
    counts. A pool of larger machines is worth keeping only if some agent's share of it may cost less than that agent
    does elsewhere; if it is kept, the others may ride along, so their options stay too.
    """
    kept_machines = {
        option.machine.id
        for options, least in zip(ranked, alone, strict=True)
        for option in options
        if option.machine.accelerators > 1 and option.least_usd_per_month(burst_hours) < least
    }
    kept_machines |= {options[0].machine.id for options in ranked if options[0].machine.accelerators > 1}
    return [
        [
            *[option for option in options if option.machine.accelerators == 1][:1],
            *_pareto([option for option in options if option.machine.id in kept_machines]),
        ]
        for options in ranked
    ]


def _pareto(options: Sequence[Option]) -> list[Option]:
    """Options that no other one of the same pools undercuts in both tiers, in the order given."""
    best: dict[object, list[tuple[int, int]]] = {}
    kept: list[Option] = []
    for option in options:
        burst = option.burst.capacity_types if option.burst else ()
        taken = (option.accelerators("baseline"), option.accelerators("burst"))
        seen = best.setdefault((option.machine.id, option.baseline.capacity_types, burst, option.spans_nodes), [])
        if not any(other[0] <= taken[0] and other[1] <= taken[1] for other in seen):
            seen.append(taken)
            kept.append(option)
    return kept


def _pools_of(option: Option, number: int) -> list[tuple[PoolKey, int, Decimal]]:
    """(pool, accelerators taken, planning price of a node) for the tiers of an option."""
    own = number + 1 if option.is_shared else -1 if option.spans_nodes else 0
    pools = [
        (
            (option.machine.id, "baseline", option.baseline.capacity_types, own),
            option.accelerators("baseline"),
            option.baseline.usd_per_hour,
        )
    ]
    if option.burst is not None and option.accelerators("burst"):
        key: PoolKey = (option.machine.id, "burst", option.burst.capacity_types, min(own, 0))
        pools.append((key, option.accelerators("burst"), option.burst.usd_per_hour))
    return [(key, taken, price) for key, taken, price in pools]  # type: ignore[misc]


def _solve(columns: Sequence[Option], agents: int, burst_hours: Decimal, scale: float) -> tuple[list[Option], float]:
    costs: list[float] = []
    rows: dict[PoolKey, list[tuple[int, int]]] = {}
    node_price: dict[PoolKey, tuple[float, int]] = {}
    for number, option in enumerate(columns):
        direct = Decimal(0)
        for key, taken, price in _pools_of(option, number):
            hours = Decimal(HOURS_PER_MONTH) if key[1] == "baseline" else burst_hours
            if option.machine.accelerators == 1:
                direct += price * taken * hours
            else:
                rows.setdefault(key, []).append((number, taken))
                node_price[key] = (float(price * hours), option.machine.accelerators)
        costs.append(float(direct) / scale + _TIE_WEIGHT * number / len(columns) / agents)
    keys = list(rows)
    costs.extend(node_price[key][0] / scale for key in keys)

    covers: list[list[int]] = [[] for _ in range(agents)]
    for number, option in enumerate(columns):
        for agent in option.agents:
            covers[agent].append(number)
    constraints = [Row(least=1.0, most=1.0, weights=tuple((number, 1.0) for number in cover)) for cover in covers]
    for position, key in enumerate(keys):
        accelerators = tuple((number, float(taken)) for number, taken in rows[key])
        nodes = (len(columns) + position, -float(node_price[key][1]))
        constraints.append(Row(least=-math.inf, most=0.0, weights=(*accelerators, nodes)))
    found = cheapest(costs, [1.0] * len(columns) + [math.inf] * len(keys), constraints)
    chosen = [option for number, option in enumerate(columns) if found.values[number] > 0.5]
    gap = max(0.0, found.gap_ratio)
    return sorted(chosen, key=lambda option: option.agents), 0.0 if gap < 1e-6 else gap
