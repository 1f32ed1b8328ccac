"""One way to serve a deployment: on which machine, how it is bought, for which tiers, and what that costs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from types import MappingProxyType
from typing import Final

from agentgpu_iac.plan import DrainPlan
from agentgpu_iac.planning.choosing.candidates import Candidate
from agentgpu_iac.planning.choosing.commitments import meter
from agentgpu_iac.planning.choosing.limits import Terms, node_weights, reserved_weights
from agentgpu_iac.planning.choosing.pricing import Machine
from agentgpu_iac.planning.choosing.program import Limit
from agentgpu_iac.planning.choosing.reservations import most_reserved, normal_nodes, saved_usd_per_hour
from agentgpu_iac.planning.choosing.tiers import Purchase
from agentgpu_iac.planning.choosing.zones import in_zones
from agentgpu_iac.planning.opening import NodeHours
from agentgpu_iac.spec.vocabulary import CapacityType, Tier
from agentgpu_iac.units import HOURS_PER_MONTH, ceil_div

TIERS: Final[tuple[Tier, ...]] = ("baseline", "burst")
NOTHING: Final[Mapping[str, float]] = MappingProxyType({})
_ROUNDING: Final = 1e-9

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

    def are_there(self, terms: Terms) -> bool:
        """Whether there are as many machines of one's own, and the quotas for as many, as it takes by itself."""
        return self.too_few(terms) is None

    def too_few(self, terms: Terms, others: Mapping[str, float] = NOTHING) -> tuple[Limit, float] | None:
        """What there is too little of for it, and what it takes of that by itself; None where there is enough of all.

        ``others`` is what others take at least: where both parts of machines together are over what there is, it is too little.
        """
        if not terms.owned and not terms.quotas:
            return None
        alone, least = self._limited(terms, whole=True), self._limited(terms, whole=False)
        for limit in terms.limits:
            if limit.name not in alone:
                continue
            if (
                alone[limit.name] > limit.most
                or least[limit.name] + others.get(limit.name, 0.0) > limit.most + _ROUNDING
            ):
                return limit, alone[limit.name]
        return None

    def least_limited(self, terms: Terms) -> dict[str, float]:
        """What it takes of machines that there are, and of quotas, at least: its part of the machines that it is on."""
        return self._limited(terms, whole=False)

    def _limited(self, terms: Terms, *, whole: bool) -> dict[str, float]:
        found: dict[str, float] = {}
        for tier, here, bought in self.bought:
            nodes = here.nodes_alone(tier) if whole else here.accelerators(tier) / here.machine.accelerators
            for name, weight in terms.limited(here.machine, bought).items():
                found[name] = found.get(name, 0.0) + weight * nodes
        return found

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
