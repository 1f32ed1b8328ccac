"""Machines with their prices: offerings of one instance type in one region, gathered over the ways to buy it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache

from agentgpu_iac.catalog.join import ANY_REGION
from agentgpu_iac.catalog.model import InstanceType, Offering
from agentgpu_iac.planning.choosing.known import Itself
from agentgpu_iac.spec.model import StackSpec
from agentgpu_iac.spec.vocabulary import CAPACITY_TYPES, CapacityType
from agentgpu_iac.targets import target_of
from agentgpu_iac.units import ceil_div


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """One way to buy a machine: at its price or, where nobody knows it, at one that stands for it."""

    capacity_type: CapacityType
    usd_per_hour: Decimal
    price_known: bool
    price_date: str
    price_source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Unpriced:
    """Ways to buy an instance type that are left out, since nobody knows their price and none may stand for it."""

    provider: str
    instance_type: str
    accelerator: str
    capacity_types: tuple[CapacityType, ...]
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """An instance type in a region, with the price of each way to buy it."""

    instance: InstanceType
    accelerator: str
    accelerators: int
    region: str
    ways: tuple[Way, ...]
    owned: bool = False
    """It is there already: nobody sells it, so it is in no seller's region and in no account's quota."""
    among_rented: bool = False
    """Its kind may be rented too, in the same place."""

    @property
    def id(self) -> tuple[str, str, str]:
        """(provider, instance type, region); of one's own among rented ones never that of a rented one."""
        return (self.instance.provider, self.instance.name, f"{self.region}/own" if self.among_rented else self.region)

    def way(self, capacity_type: CapacityType) -> Way | None:
        """How it is offered that way, if it is."""
        for way in self.ways:
            if way.capacity_type == capacity_type:
                return way
        return None

    def usd_per_hour(self, capacity_type: CapacityType) -> Decimal | None:
        """Price of one machine bought that way, if it is offered."""
        way = self.way(capacity_type)
        return way.usd_per_hour if way else None

    @property
    def fabric_gbps(self) -> float:
        """Network rate that a replica over several of these machines has: that of its EFA interfaces, 0 without any."""
        return (self.instance.network_baseline_gbps or 0.0) if self.instance.efa_interfaces else 0.0

    def accelerators_taken(self, accelerators_per_replica: int) -> int:
        """Accelerators that one replica takes when machines are filled evenly.

        A replica of 3 on a machine of 8 takes 4: two fit. With even slots, filling machines never leaves a gap that
        counting accelerators would hide. A replica over several machines takes them whole.
        """
        if accelerators_per_replica > self.accelerators:
            return ceil_div(accelerators_per_replica, self.accelerators) * self.accelerators
        return self.accelerators // (self.accelerators // accelerators_per_replica)


def machines(offerings: Sequence[Offering], spec: StackSpec) -> tuple[Machine, ...]:
    """The machines that the stack may use, cheapest first (by the cheapest way to buy them).

    Where it says which there are, those alone, at what they cost; or those first, and then what may be rented beside them.
    """
    owned = tuple(_owned(offerings, spec))
    return owned if owned_alone(spec) else (*owned, *_rented(offerings, spec))


def owned_alone(spec: StackSpec) -> bool:
    """Whether nothing but the machines of the inventory may be used."""
    return bool(spec.capacity.inventory) and spec.capacity.beyond_inventory != "rent"


def _rented(offerings: Sequence[Offering], spec: StackSpec) -> tuple[Machine, ...]:
    usable = tuple(_usable(offerings, spec))
    dearest = _stand_ins(usable, offerings)
    gathered: dict[tuple[str, str, str], list[tuple[Offering, Way]]] = {}
    for offering in usable:
        way = _way(offering, dearest.get(offering.accelerator), spec)
        if way is not None:
            key = (offering.provider, offering.instance_type.name, offering.region)
            gathered.setdefault(key, []).append((offering, way))
    found = [
        Machine(
            instance=group[0][0].instance_type,
            accelerator=group[0][0].accelerator,
            accelerators=group[0][0].accelerator_count,
            region=key[2],
            ways=tuple(sorted((way for _, way in group), key=lambda way: way.capacity_type)),
        )
        for key, group in gathered.items()
    ]
    return tuple(sorted(found, key=lambda machine: (min(way.usd_per_hour for way in machine.ways), machine.id)))


def _owned(offerings: Sequence[Offering], spec: StackSpec) -> Iterator[Machine]:
    """Machines of the inventory, in its order. What they hold is what such machines hold wherever they are sold, and no more of
    a seller is known of them: not its region, its prices or the other ways in which it sells them.
    """
    anywhere = spec.regions[0] if len(spec.regions) == 1 else ANY_REGION
    for owned in spec.capacity.inventory:
        alike = [
            offering
            for offering in offerings
            if offering.instance_type.name == owned.machine and owned.provider in (None, offering.provider)
        ]
        if not alike:
            continue
        first = min(alike, key=lambda offering: (offering.provider, offering.region, offering.capacity_type))
        way = Way(
            capacity_type="on-demand",
            usd_per_hour=owned.usd_per_hour,
            price_known=True,
            price_date="",
            price_source="spec: capacity.inventory",
        )
        yield Machine(
            instance=first.instance_type,
            accelerator=first.accelerator,
            accelerators=first.accelerator_count,
            region=owned.region or anywhere,
            ways=(way,),
            owned=True,
            among_rented=not owned_alone(spec),
        )


def unpriced(offerings: Sequence[Offering], spec: StackSpec) -> tuple[Unpriced, ...]:
    """What is on offer but left out for want of a price, one for each instance type, in the order of their names."""
    usable = () if owned_alone(spec) else tuple(_usable(offerings, spec))
    without = tuple(offering for offering in usable if offering.usd_per_hour is None)
    dearest = _stand_ins(without, offerings)
    gathered: dict[tuple[str, str, str], set[CapacityType]] = {}
    for offering in without:
        if _way(offering, dearest.get(offering.accelerator), spec) is None:
            key = (offering.provider, offering.instance_type.name, offering.accelerator)
            gathered.setdefault(key, set()).add(offering.capacity_type)
    return tuple(
        Unpriced(
            provider=provider,
            instance_type=name,
            accelerator=accelerator,
            capacity_types=tuple(way for way in CAPACITY_TYPES if way in ways),
            reason=f"no price of {accelerator} is known that could stand for it"
            if accelerator not in dearest
            else "policy.allowUnpriced: true would count it at the dearest known price of its accelerators",
        )
        for (provider, name, accelerator), ways in sorted(gathered.items())
    )


def _stand_ins(usable: Iterable[Offering], offerings: Sequence[Offering]) -> dict[str, Offering]:
    """What a price that nobody knows is counted at, by accelerator; not looked for where every price is known."""
    return dearest_known(offerings) if any(offering.usd_per_hour is None for offering in usable) else {}


def dearest_known(offerings: Iterable[Offering]) -> dict[str, Offering]:
    """For each accelerator the offering that asks the most for one, wherever and however it is bought."""
    found: dict[str, Offering] = {}
    for offering in offerings:
        price = _usd_per_accelerator(offering)
        if price is not None:
            most = found.get(offering.accelerator)
            if most is None or _by_price(offering) > _by_price(most):
                found[offering.accelerator] = offering
    return found


def _by_price(offering: Offering) -> tuple[Decimal, str, str, str, str]:
    price = _usd_per_accelerator(offering) or Decimal(0)
    return (price, offering.provider, offering.instance_type.name, offering.region, offering.capacity_type)


def _usd_per_accelerator(offering: Offering) -> Decimal | None:
    return None if offering.usd_per_hour is None else offering.usd_per_hour / offering.accelerator_count


def _usable(offerings: Iterable[Offering], spec: StackSpec) -> Iterator[Offering]:
    """The offerings that the spec does not rule out."""
    target = target_of(spec)
    providers, regions = target.allowed_providers(spec), target.allowed_regions(spec)
    joined = target.joined(spec)
    denied = frozenset(spec.accelerators.deny)
    allowed = frozenset(spec.accelerators.allow)
    for offering in offerings:
        if (
            (providers is None or offering.provider in providers)
            and (
                regions is None or offering.region in regions or offering.region == ANY_REGION
                if offering.provider not in joined
                else not spec.regions
                or offering.region in spec.regions  # a price for any region says not where data goes
            )
            and not (offering.local_zone_of and target.why_no_local_zone)
            and offering.accelerator not in denied
            and (not allowed or offering.accelerator in allowed)
            and offering.instance_type.architecture == "x86_64"
        ):
            yield offering


@lru_cache(maxsize=32768)
def _priced(itself: Itself[Offering]) -> Way | None:
    """The offering at its price, for all stacks that are planned with the same catalog."""
    offering = itself.thing
    if offering.usd_per_hour is None:
        return None
    return Way(
        capacity_type=offering.capacity_type,
        usd_per_hour=offering.usd_per_hour,
        price_known=True,
        price_date=offering.price_date,
        price_source=offering.price_source,
    )


def _way(offering: Offering, dearest: Offering | None, spec: StackSpec) -> Way | None:
    """The offering at its price, or at the dearest known one of as many of its accelerators where the spec allows that."""
    if offering.usd_per_hour is not None:
        return _priced(Itself(offering))
    if dearest is None or dearest.usd_per_hour is None or not spec.policy.allow_unpriced:
        return None
    return Way(
        capacity_type=offering.capacity_type,
        usd_per_hour=dearest.usd_per_hour * offering.accelerator_count / dearest.accelerator_count,
        price_known=False,
        price_date=dearest.price_date,
        price_source=(
            f"price unknown; {offering.accelerator} at its dearest: {dearest.provider} {dearest.instance_type.name} "
            f"{dearest.region} {dearest.capacity_type} ({dearest.price_source})"
        ),
    )
