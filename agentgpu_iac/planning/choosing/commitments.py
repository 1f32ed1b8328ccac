"""Commitments of the spec as the placement counts them: what one covers, what it takes, and what it costs.

A commitment covers nodes that are bought on demand: they then cost nothing more, and the commitment is paid instead. One that
is signed already is paid whatever runs, and covers nodes of the burst too while those run; one that may be signed is signed
for nodes of the baseline alone, since nobody knows the hours of a burst.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from agentgpu_iac.catalog.days import days_between
from agentgpu_iac.catalog.store import Catalog
from agentgpu_iac.errors import Fault, did_you_mean
from agentgpu_iac.planning.choosing.pricing import Machine, machines
from agentgpu_iac.planning.choosing.program import Bound, Cover
from agentgpu_iac.planning.choosing.tiers import Purchase
from agentgpu_iac.spec.loader import LoadedStack
from agentgpu_iac.spec.model import Commitment
from agentgpu_iac.spec.vocabulary import Tier
from agentgpu_iac.targets import target_of
from agentgpu_iac.units import HOURS_PER_MONTH

_HOURS_PER_TERM_MONTH = Decimal(730)
"""A year of 8,760 hours has twelve."""
_TIERS: tuple[Tier, ...] = ("baseline", "burst")


@dataclass(frozen=True, slots=True, kw_only=True)
class Committed:
    """A commitment over the machines that it covers."""

    position: int
    """In the spec."""
    of: Commitment
    most: Decimal
    """The most of it that there may be: machines, or USD an hour."""
    usd_per_hour: Decimal
    """What one of it costs in an hour, what is paid upfront spread over its term."""
    hours: Decimal
    """Hours of a month in which it holds."""
    takes: Mapping[tuple[str, str, str], Decimal] = field(default_factory=dict)
    """What a covered node takes of it, by machine: one, or its rate of a savings plan."""

    @property
    def is_signed(self) -> bool:
        """Whether it is paid in any case."""
        return self.of.signed

    @property
    def fixed_usd(self) -> Decimal:
        """What it costs in a month whatever is chosen."""
        return self.most * self.usd_per_hour * self.hours if self.is_signed else Decimal(0)

    def covers(self, machine: Machine, tier: Tier) -> bool:
        """Whether it covers nodes of that kind in that tier."""
        if machine.id not in self.takes:
            return False
        return tier == "baseline" or (self.is_signed and self.of.kind != "capacity-block")

    def saved_usd_per_hour(self, on_demand_usd: Decimal, tier: Tier) -> Decimal:
        """What a covered node costs no more, on the average of the hours for which it is planned."""
        return on_demand_usd * self.hours / HOURS_PER_MONTH if tier == "baseline" else on_demand_usd

    def least_usd_per_hour(self, machine: Machine, on_demand_usd: Decimal, tier: Tier) -> Decimal:
        """The least that a node costs with it."""
        left = on_demand_usd - self.saved_usd_per_hour(on_demand_usd, tier)
        if self.is_signed:
            return left
        return left + self.takes[machine.id] * self.usd_per_hour * self.hours / HOURS_PER_MONTH


def committed(stated: Sequence[Commitment], usable: Sequence[Machine], day: str) -> tuple[Committed, ...]:
    """The commitments that hold on that day or later, over the machines that the stack may use."""
    found: list[Committed] = []
    for position, each in enumerate(stated):
        if day and each.ends is not None and days_between(day, each.ends) <= 0:
            continue
        rates = {rate.machine: rate.usd_per_hour for rate in each.rates}
        takes = {
            machine.id: rates.get(machine.instance.name, Decimal(1))
            for machine in usable
            if not machine.owned
            and machine.usd_per_hour("on-demand") is not None
            and each.provider in (None, machine.instance.provider)
            and each.region in (None, machine.region)
            and (machine.instance.name in rates if rates else machine.instance.name == each.machine)
        }
        found.append(
            Committed(
                position=position,
                of=each,
                most=Decimal(each.count or 0) if each.kind != "savings-plan" else each.usd_per_hour,
                usd_per_hour=usd_per_hour(each),
                hours=_hours(each),
                takes=takes,
            )
        )
    return tuple(found)


def usd_per_hour(stated: Commitment) -> Decimal:
    """What one of a commitment costs in an hour, with its part of what is paid upfront."""
    if stated.kind == "savings-plan":
        return Decimal(1)
    if not stated.upfront_usd:
        return stated.usd_per_hour
    if stated.kind == "capacity-block" and stated.starts and stated.ends:
        return stated.usd_per_hour + stated.upfront_usd / (24 * days_between(stated.starts, stated.ends))
    return stated.usd_per_hour + stated.upfront_usd / (_HOURS_PER_TERM_MONTH * (stated.term_months or 12))


def _hours(stated: Commitment) -> Decimal:
    whole = Decimal(HOURS_PER_MONTH)
    if stated.kind != "capacity-block" or not stated.starts or not stated.ends:
        return whole
    return min(whole, Decimal(24 * days_between(stated.starts, stated.ends)))


def applies(purchase: Purchase) -> bool:
    """Whether nodes bought that way can be covered: on demand alone."""
    return purchase.capacity_types == ("on-demand",)


def least_usd_per_hour(
    machine: Machine, purchase: Purchase, tier: Tier, commitments: Sequence[Committed]
) -> Decimal | None:
    """The least that a node costs that some commitment covers; None where none does."""
    if not applies(purchase):
        return None
    return min(
        (
            each.least_usd_per_hour(machine, purchase.usd_per_hour, tier)
            for each in commitments
            if each.covers(machine, tier)
        ),
        default=None,
    )


def meter(machine: tuple[str, str, str], tier: Tier) -> str:
    """The name under which nodes are counted that commitments may cover."""
    return " ".join((tier, *machine))


def bounds(
    commitments: Sequence[Committed],
    by_id: Mapping[tuple[str, str, str], Machine],
    burst_hours: Decimal,
    budget: str,
) -> tuple[Bound, ...]:
    """The commitments as columns of the program; ``budget`` is the name of the limit in which the baseline's cost weighs."""
    found: list[Bound] = []
    for each in commitments:
        covers: list[Cover] = []
        for machine_id, takes in each.takes.items():
            on_demand = by_id[machine_id].usd_per_hour("on-demand") if machine_id in by_id else None
            if on_demand is None:
                continue
            for tier in _TIERS:
                if not each.covers(by_id[machine_id], tier):
                    continue
                hours = Decimal(HOURS_PER_MONTH) if tier == "baseline" else burst_hours
                saved = each.saved_usd_per_hour(on_demand, tier) * hours
                covers.append(
                    Cover(
                        meter=meter(machine_id, tier),
                        takes=float(takes),
                        saved_usd=saved,
                        weights={budget: -float(saved)} if tier == "baseline" else {},
                    )
                )
        month = each.usd_per_hour * each.hours
        found.append(
            Bound(
                most=float(each.most),
                usd=Decimal(0) if each.is_signed else month,
                signed=each.is_signed,
                whole=each.of.kind != "savings-plan",
                covers=tuple(covers),
                weights={} if each.is_signed else {budget: float(month)},
            )
        )
    return tuple(found)


def commitment_faults(loaded: LoadedStack, catalog: Catalog) -> list[Fault]:
    """Commitments over machines that nobody sells, or that the stack may not use: they would be paid for nothing."""
    spec = loaded.stack.spec
    stated = spec.capacity.commitments
    if not stated:
        return []
    known = {offering.instance_type.name for offering in catalog.offerings}
    may_be = [machine.id for machine in machines(catalog.offerings, target_of(spec).settled(spec))]
    faults: list[Fault] = []
    for position, each in enumerate(stated):
        at = f"spec.capacity.commitments[{position}]"
        named = [(f"{at}.rates[{number}].machine", rate.machine) for number, rate in enumerate(each.rates)]
        if each.machine is not None:
            named.append((f"{at}.machine", each.machine))
        for path, name in named:
            places = [
                region
                for provider, kind, region in may_be
                if kind == name and each.provider in (None, provider) and each.region in (None, region)
            ]
            if name not in known:
                near = did_you_mean(name, sorted(known)) or "describe and price it in an overlay (--catalog)"
                faults.append(loaded.fault(path, f"unknown instance type {name!r}", near))
            elif not places:
                faults.append(
                    loaded.fault(
                        path,
                        f"the stack may use no {name}" + (f" in {each.region}" if each.region else ""),
                        "allow it: target, providers, regions and accelerators say what may be used; or take the "
                        "commitment out",
                    )
                )
    return faults
