"""The join: which accelerator an instance type has, and which price holds for it where.

An offering is one instance type in one region, bought one way. Rows that cannot become part of one are named with the
reason. The order of the rows never matters.
"""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from types import MappingProxyType

from agentgpu_iac.catalog.model import Accelerator, Exclusion, GpuAlias, InstanceType, Offering, Price
from agentgpu_iac.spec.vocabulary import CAPACITY_TYPES, CapacityType

ANY_REGION = "any"
"""Region of a price whose source names none."""

ANY_PROVIDER = "*"
"""Provider of an alias that holds for all of them."""

ANY_ZONE = ""
"""Zone of a price for a whole region."""

Prices = tuple[Price, ...]
Place = tuple[str, str]
"""Provider and region."""
Market = tuple[str, CapacityType]
"""Region and capacity type: what one offering of a machine is known by."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Joined:
    """What came of the rows: offerings, and the rows left out, each in a fixed order."""

    offerings: tuple[Offering, ...]
    exclusions: tuple[Exclusion, ...]


class NoAcceleratorError(Exception):
    """No single accelerator of the catalog is known to be in the instance type. The message says why."""


def join(
    accelerators: Iterable[Accelerator],
    instance_types: Iterable[InstanceType],
    aliases: Iterable[GpuAlias],
    prices: Iterable[Price],
    own_prices: Iterable[Price] = (),
    local_zones: Mapping[Place, str] = MappingProxyType({}),
) -> Joined:
    """Make the offerings.

    Args:
        accelerators: Accelerators of the catalog.
        instance_types: Machines, with the GPU as their provider names it.
        aliases: What providers mean by those names.
        prices: Published prices.
        own_prices: Prices that the user pays. Where there is one, published prices do not count.
        local_zones: The region of each place that is a local zone.
    """
    accelerators, aliases = tuple(accelerators), tuple(aliases)
    published, own = _by_machine(prices), _by_machine(own_prices)
    offerings: list[Offering] = []
    exclusions: list[Exclusion] = []
    for machine in sorted(instance_types, key=lambda row: (row.provider, row.name)):
        key = (machine.provider, machine.name)
        try:
            accelerator = accelerator_of(machine, accelerators, aliases)
        except NoAcceleratorError as reason:
            exclusions.append(Exclusion(kind="offering", id="/".join(key), reason=str(reason)))
            continue
        quotes, dropped = _quotes(published.get(key, ()), own.get(key, ()))
        exclusions.extend(dropped)
        if not quotes:
            exclusions.append(Exclusion(kind="offering", id="/".join(key), reason="no usable price is known"))
        for market in sorted(quotes):
            home = local_zones.get((machine.provider, market[0]), "")
            offerings.append(_offering(machine, accelerator, quotes[market], home))
    return Joined(offerings=tuple(offerings), exclusions=tuple(exclusions))


def accelerator_of(
    machine: InstanceType, accelerators: Iterable[Accelerator], aliases: Iterable[GpuAlias]
) -> Accelerator:
    """The one accelerator that a machine can only have.

    Raises:
        NoAcceleratorError: it has a part of a GPU, or an unknown GPU, or one of several.
    """
    if machine.schedulable_gpus == 0 or machine.gpu_count < 1 or machine.gpu_count != int(machine.gpu_count):
        raise NoAcceleratorError(f"a part of a GPU ({machine.gpu_count:g}): Kubernetes sees no GPU to schedule on")
    alias = _alias(machine, aliases)
    candidates = tuple(row for row in accelerators if _is_meant(row, machine, alias) and _has_memory_of(row, machine))
    if len(candidates) == 1:
        return candidates[0]
    raise NoAcceleratorError(_why_not_one(machine, candidates, alias))


def _alias(machine: InstanceType, aliases: Iterable[GpuAlias]) -> GpuAlias | None:
    """The alias that names the machine most exactly."""
    matching = (
        row
        for row in aliases
        if row.gpu == machine.gpu
        and row.provider in (machine.provider, ANY_PROVIDER)
        and row.instance_type in (machine.name, None)
    )
    return max(matching, key=lambda row: (row.instance_type is not None, row.provider != ANY_PROVIDER), default=None)


def _is_meant(accelerator: Accelerator, machine: InstanceType, alias: GpuAlias | None) -> bool:
    """Whether the machine's GPU may be this accelerator: by alias, else by the catalog's own name or id."""
    if alias is not None:
        return accelerator.id in alias.accelerators
    return machine.gpu in (accelerator.name, accelerator.id)


def _has_memory_of(accelerator: Accelerator, machine: InstanceType) -> bool:
    """Whether the memory is what the provider's API reports; true where either figure is unknown."""
    reported, expected = machine.gpu_memory_mib, accelerator.ec2_memory_mib
    return reported is None or expected is None or reported == expected


def _why_not_one(machine: InstanceType, candidates: tuple[Accelerator, ...], alias: GpuAlias | None) -> str:
    """The reason, in words, why not exactly one accelerator is left."""
    choices = f" ({' or '.join(sorted(row.id for row in candidates))})" if candidates else ""
    if alias is not None and alias.note:
        return f"{machine.gpu}{choices}: {alias.note}"
    return f"{machine.gpu}{choices}: not known to be one accelerator of the catalog"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Quote:
    """The price of one offering, with what it rests on."""

    region: str
    capacity_type: CapacityType
    usd_per_hour: Decimal | None
    date: str
    source: str
    term: str


def _offering(machine: InstanceType, accelerator: Accelerator, quote: _Quote, local_zone_of: str) -> Offering:
    return Offering(
        provider=machine.provider,
        instance_type=machine,
        accelerator=accelerator.id,
        accelerator_count=int(machine.gpu_count),
        region=quote.region,
        local_zone_of=local_zone_of,
        capacity_type=quote.capacity_type,
        usd_per_hour=quote.usd_per_hour,
        price_date=quote.date,
        price_source=quote.source,
        term=quote.term,
    )


def _by_machine(prices: Iterable[Price]) -> Mapping[tuple[str, str], Prices]:
    groups: defaultdict[tuple[str, str], list[Price]] = defaultdict(list)
    for price in prices:
        groups[price.provider, price.instance_type].append(price)
    return {machine: tuple(rows) for machine, rows in groups.items()}


def _quotes(published: Prices, own: Prices) -> tuple[Mapping[Market, _Quote], tuple[Exclusion, ...]]:
    """One quote for each region and capacity type of one machine; and the published prices that are none.

    A region is quoted where a price names it. A price that names no region holds in all of them, or stands for itself
    where none is named.
    """
    quotes: dict[Market, _Quote] = {}
    dropped: dict[Price, None] = {}
    for capacity_type in CAPACITY_TYPES:  # on-demand first: spot is compared with it
        published_so, own_so = _by_region(published, capacity_type), _by_region(own, capacity_type)
        for region in _regions({*published_so, *own_so}):
            usable = _in_region(own_so, region)
            if not usable:
                on_demand = quotes.get((region, "on-demand")) or quotes.get((ANY_REGION, "on-demand"))
                candidates = _in_region(published_so, region)
                usable = tuple(row for row in candidates if _saves(row, on_demand))
                if len(usable) < len(candidates):
                    dropped.update((row, None) for row in candidates if not _saves(row, on_demand))
            if usable:
                quotes[region, capacity_type] = _quote(usable, region)
    return quotes, tuple(_no_spot_market(row) for row in sorted(dropped, key=_place_and_price))


def _by_region(rows: Prices, capacity_type: CapacityType) -> Mapping[str, Prices]:
    """Prices of one way to buy, by the region that they name."""
    found: defaultdict[str, list[Price]] = defaultdict(list)
    for row in rows:
        if row.capacity_type == capacity_type:
            found[row.region].append(row)
    return {region: tuple(named) for region, named in found.items()}


def _regions(names: set[str]) -> tuple[str, ...]:
    return tuple(sorted(names - {ANY_REGION} or names))


def _in_region(rows: Mapping[str, Prices], region: str) -> Prices:
    """Prices that hold in a region: those that name it, and those that name none."""
    anywhere = () if region == ANY_REGION else rows.get(ANY_REGION, ())
    return (*rows.get(region, ()), *anywhere)


def _saves(row: Price, on_demand: _Quote | None) -> bool:
    """A spot price that equals the on-demand price means that nothing is sold on spot there."""
    if row.capacity_type != "spot" or on_demand is None or on_demand.usd_per_hour is None or row.usd_per_hour is None:
        return True
    return row.usd_per_hour < on_demand.usd_per_hour


def _name(row: Price) -> str:
    parts = (row.provider, row.instance_type, row.region, row.zone, row.capacity_type)
    return "/".join(part for part in parts if part)


def _place_and_price(row: Price) -> tuple[str, Decimal, str, str, str]:
    return _name(row), row.usd_per_hour or Decimal(0), row.date, row.term, row.source


def _no_spot_market(row: Price) -> Exclusion:
    return Exclusion(
        kind="price",
        id=_name(row),
        reason=f"spot at {row.usd_per_hour} USD/h saves nothing against on-demand: there is no spot market",
    )


def _quote(rows: Prices, region: str) -> _Quote:
    """Choose among prices of one market: the newest, then those that name the region, then the whole region's.

    Prices by zone are combined by their median. Of two equally good prices the higher counts, so that a plan is never
    dearer than it says. Rows without a price count only where no row has one.
    """
    rows = tuple(row for row in rows if row.usd_per_hour is not None) or rows
    best = max(_rank(row) for row in rows)
    chosen = sorted((row for row in rows if _rank(row) == best), key=_place_and_price)
    known = sorted(row.usd_per_hour for row in chosen if row.usd_per_hour is not None)
    dearest = max(chosen, key=lambda row: (row.usd_per_hour or Decimal(0), row.term, row.source))
    by_zone = bool(known) and dearest.zone != ANY_ZONE
    return _Quote(
        region=region,
        capacity_type=dearest.capacity_type,
        usd_per_hour=statistics.median(known) if by_zone else dearest.usd_per_hour,
        date=dearest.date,
        source=_zones_source(chosen) if by_zone else dearest.source,
        term=dearest.term,
    )


def _rank(row: Price) -> tuple[str, bool, bool]:
    return row.date, row.region != ANY_REGION, row.zone == ANY_ZONE


def _zones_source(rows: Iterable[Price]) -> str:
    zones = sorted({row.zone for row in rows})
    sources = "; ".join(sorted({row.source for row in rows}))
    return f"{sources} (median of {', '.join(zones)})"
