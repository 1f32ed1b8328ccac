"""What the choice may not exceed, whatever it is made of: machines that there are, quotas of the account, the budget.

Each is a row of the program, and each has a name in the words in which a refusal names it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from agentgpu_iac.catalog.store import Catalog
from agentgpu_iac.errors import Fault, did_you_mean
from agentgpu_iac.planning.choosing.commitments import Committed, applies, least_usd_per_hour, meter
from agentgpu_iac.planning.choosing.pricing import Machine
from agentgpu_iac.planning.choosing.program import Limit
from agentgpu_iac.planning.choosing.tiers import Purchase
from agentgpu_iac.spec.loader import LoadedStack
from agentgpu_iac.spec.model import AccountQuota
from agentgpu_iac.spec.vocabulary import CapacityType, Tier
from agentgpu_iac.units import HOURS_PER_MONTH

_QUOTA_WAYS: tuple[CapacityType, ...] = ("on-demand", "spot")
MachineId = tuple[str, str, str]
"""(provider, instance type, region)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Quota:
    """vCPUs of some machines that may run at once."""

    name: str
    """In the words in which a refusal names it."""
    most: int
    vcpus: Mapping[tuple[MachineId, bool], int]
    """What a node counts, by its machine and whether it is bought on spot."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What options are priced by, alone and together, and what all of them together may not exceed."""

    burst_hours: Decimal
    """Hours of burst in a month."""
    reserved_ratio: float = 0.0
    """Share of the nodes of normal load that reserved capacity may carry."""
    fillers_apart: bool = False
    """Whether agents that fill whole machines have pools of their own, as on virtual machines."""
    alike: bool = False
    """Whether all machines of a pool run the same, as virtual machines do."""
    joined: frozenset[str] = frozenset()
    """Providers whose machines carry bursts beside the cluster, each agent's by themselves."""
    owned: Mapping[MachineId, int] = field(default_factory=dict)
    """How many machines of a kind there are, where the stack has its own."""
    rents: bool = False
    """Whether others may be used beside those."""
    commitments: tuple[Committed, ...] = ()
    quotas: tuple[Quota, ...] = ()
    budget_usd: Decimal | None = None
    """The most that the baseline may cost in a month, where it is a row."""

    @property
    def keeps_all(self) -> bool:
        """Whether what is dearer may be all that is left, so that nothing is dropped for its price."""
        return bool(self.owned) and not self.rents

    def counted(self, machine: Machine, bought: Purchase | None) -> dict[str, float]:
        """What a node takes of what is limited beside what everybody may fall back on: vCPUs of quotas, machines of one's own.

        A market without either drops by price alone.
        """
        if bought is None or not (self.quotas or self.rents):
            return {}
        count = self.owned.get(machine.id) if self.rents else None
        found = self._vcpus(machine, bought)
        return found if count is None else {in_words(machine.id, count): 1.0, **found}

    def limited(self, machine: Machine, bought: Purchase) -> dict[str, float]:
        """What a node takes of all that there is only so much of: vCPUs of quotas, machines of one's own."""
        count = self.owned.get(machine.id)
        found = self._vcpus(machine, bought)
        return found if count is None else {in_words(machine.id, count): 1.0, **found}

    def _vcpus(self, machine: Machine, bought: Purchase) -> dict[str, float]:
        kind = (machine.id, "spot" in bought.capacity_types[:1])
        return {quota.name: float(vcpus) for quota in self.quotas if (vcpus := quota.vcpus.get(kind))}

    @property
    def counted_names(self) -> tuple[str, ...]:
        """What machines may be counted by, in order."""
        return (*(self.owned_names if self.rents else ()), *(quota.name for quota in self.quotas))

    def depends_on_place(self, machine: Machine, bought: Purchase | None, tier: Tier) -> bool:
        """Whether the same kind of machine elsewhere is not the same: a commitment covers it here, or something counts it."""
        return self.is_committed(machine, bought, tier) or bool(self.counted(machine, bought))

    def least_usd_per_hour(self, machine: Machine, bought: Purchase, tier: Tier) -> Decimal:
        """The least that a node costs, with whatever commitment covers it."""
        covered = least_usd_per_hour(machine, bought, tier, self.commitments)
        return bought.usd_per_hour if covered is None else min(covered, bought.usd_per_hour)

    def is_committed(self, machine: Machine, bought: Purchase | None, tier: Tier) -> bool:
        """Whether a commitment may cover nodes that are bought so."""
        return bought is not None and applies(bought) and any(each.covers(machine, tier) for each in self.commitments)

    def covered_nodes(self, machine: Machine, bought: Purchase) -> int | None:
        """The most nodes of a baseline that commitments to such machines may cover; None where there is none to them.

        A savings plan is to no machines: it covers whatever costs least with it.
        """
        if not applies(bought):
            return None
        named = [
            each for each in self.commitments if each.of.kind != "savings-plan" and each.covers(machine, "baseline")
        ]
        return sum(int(each.most / each.takes[machine.id]) for each in named) or None

    @property
    def fixed_usd(self) -> Decimal:
        """What is paid in a month whatever is chosen."""
        return sum((each.fixed_usd for each in self.commitments), Decimal(0))

    @property
    def budget_name(self) -> str:
        """The budget in the words in which a refusal names it."""
        if self.budget_usd is None:
            return ""
        return f"a baseline of at most USD {self.budget_usd:,.2f} a month (capacity.budgetUsdPerMonth)"

    @property
    def owned_names(self) -> tuple[str, ...]:
        """The machines that there are, in the words in which a refusal names them."""
        return tuple(in_words(machine, count) for machine, count in self.owned.items())

    @property
    def limits(self) -> tuple[Limit, ...]:
        """All rows, with their names."""
        found = [Limit(name=in_words(machine, count), most=count) for machine, count in self.owned.items()]
        found += [Limit(name=quota.name, most=quota.most) for quota in self.quotas]
        if self.budget_usd is not None:
            found.append(Limit(name=self.budget_name, most=float(self.budget_usd - self.fixed_usd)))
        return tuple(found)


def in_words(machine: MachineId, count: int) -> str:
    """Machines that there are, in words."""
    return f"{count} x {machine[1]}"


def quotas(stated: Sequence[AccountQuota], machines: Sequence[Machine], catalog: Catalog) -> tuple[Quota, ...]:
    """What the account may run at once, region by region, over the machines that the stack may use."""
    found: list[Quota] = []
    for each in stated:
        by_region: dict[str, dict[tuple[MachineId, bool], int]] = {}
        for machine in (each for each in machines if not each.owned):
            zone = catalog.local_zone(machine.region)
            region = machine.region if zone is None else zone.region
            for way in _QUOTA_WAYS:
                row = catalog.quota(machine.instance.provider, machine.instance.name, way)
                if row is not None and row.code == each.code and each.region in (None, region):
                    by_region.setdefault(region, {})[machine.id, way == "spot"] = machine.instance.vcpu or 0
        for region, vcpus in by_region.items():
            named = next(row.name for row in catalog.quotas if row.code == each.code)
            name = f"{each.vcpus} vCPUs of {named} ({each.code}) in {region} (capacity.quotas)"
            found.append(Quota(name=name, most=each.vcpus, vcpus=vcpus))
    return tuple(found)


def quota_faults(loaded: LoadedStack, catalog: Catalog) -> list[Fault]:
    """Quotas of codes that nothing is known of, so that nobody knows which machines they count."""
    known = {row.code: row.name for row in catalog.quotas}
    listed = ", ".join(f"{code} ({name})" for code, name in sorted(known.items()))
    return [
        loaded.fault(
            f"spec.capacity.quotas[{position}].code",
            f"no quota of vCPUs with the code {each.code!r} is known",
            did_you_mean(each.code, sorted(known)) or f"known: {listed}",
        )
        for position, each in enumerate(loaded.stack.spec.capacity.quotas)
        if each.code not in known
    ]


def node_weights(machine: Machine, tier: Tier, bought: Purchase, terms: Terms) -> dict[str, float]:
    """What a node weighs in each row, and among those that commitments may cover."""
    found: dict[str, float] = {}
    count = terms.owned.get(machine.id)
    if count is not None:
        found[in_words(machine.id, count)] = 1.0
    found |= terms.counted(machine, bought)
    if terms.is_committed(machine, bought, tier):
        found[meter(machine.id, tier)] = 1.0
    if terms.budget_usd is not None and tier == "baseline":
        found[terms.budget_name] = float(bought.usd_per_hour * HOURS_PER_MONTH)
    return found


def reserved_weights(machine: Machine, saved_usd: Decimal, bought: Purchase, terms: Terms) -> dict[str, float]:
    """What a node of the baseline weighs more that reserved capacity carries: it is paid, and nothing else covers it."""
    found: dict[str, float] = {}
    if terms.is_committed(machine, bought, "baseline"):
        found[meter(machine.id, "baseline")] = -1.0
    if terms.budget_usd is not None:
        found[terms.budget_name] = -float(saved_usd)
    return found
