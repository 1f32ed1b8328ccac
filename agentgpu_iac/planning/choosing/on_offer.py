"""What a stack may use of the catalog, and what its target cannot use of it, seller by seller, with the reason."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal

from agentgpu_iac.catalog.store import Catalog
from agentgpu_iac.planning.choosing.fronts import Front
from agentgpu_iac.planning.choosing.pricing import Machine, Unpriced, machines, owned_alone, unpriced
from agentgpu_iac.spec.model import StackSpec
from agentgpu_iac.spec.vocabulary import CapacityType
from agentgpu_iac.targets import LeftOut, OnOffer, target_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Offers:
    """What a stack may use, what it may not for want of a price, and what its target cannot use."""

    machines: tuple[Machine, ...]
    unpriced: tuple[Unpriced, ...]
    left_out: tuple[LeftOut, ...]


def offers(spec: StackSpec, catalog: Catalog) -> Offers:
    """Everything on offer that the spec allows, without that which the target cannot use."""
    target = target_of(spec)
    sold = [(machine, _machine(machine)) for machine in machines(catalog.offerings, spec)]
    without_price = [(offering, _unpriced(offering)) for offering in unpriced(catalog.offerings, spec)]
    found = tuple({offer: None for _, offer in (*sold, *without_price)})
    left_out = tuple(target.left_out(found, catalog, target.name))
    useless = frozenset(offer for group in left_out for offer in group.instance_types)
    return Offers(
        machines=tuple(machine for machine, offer in sold if offer not in useless),
        unpriced=tuple(offering for offering, offer in without_price if offer not in useless),
        left_out=left_out,
    )


def place_matters(spec: StackSpec) -> bool:
    """Whether a kind of machine is not the same wherever it is sold, but for its price.

    It is not where something is counted by region or zone, where machines are there already, and where a target goes to the next
    place when the first has none.
    """
    capacity = spec.capacity
    counted = capacity.commitments or capacity.quotas or capacity.max_share_per_pool is not None
    return bool(counted or owned_alone(spec) or capacity.survive == "zone" or target_of(spec).can.replica_fills_machine)


def where_cheapest(on_offer: Sequence[Machine]) -> tuple[Machine, ...]:
    """Of each kind of machine that is sold the places that no other one undercuts in all ways to buy it that one may ask for.

    Baseline and burst are bought on demand, on spot, or one of each; reserved capacity lowers the price of either.
    """
    by_kind: dict[tuple[str, str], list[Machine]] = {}
    for machine in (each for each in on_offer if not each.owned):
        by_kind.setdefault((machine.instance.provider, machine.instance.name), []).append(machine)
    kept = {machine.id for kind in by_kind.values() for ways in _ASKED_FOR for machine in _undercut_by_none(kind, ways)}
    return tuple(machine for machine in on_offer if machine.owned or machine.id in kept)


_ASKED_FOR: tuple[tuple[CapacityType, ...], ...] = (("on-demand",), ("spot",), ("on-demand", "spot"))


def _undercut_by_none(kind: Iterable[Machine], ways: Sequence[CapacityType]) -> Iterator[Machine]:
    priced: list[tuple[tuple[Decimal, ...], Machine]] = []
    for machine in kind:
        prices = [machine.usd_per_hour(way) for way in ways]
        known = [price for price in prices if price is not None]
        if len(known) == len(prices):
            reserved = machine.usd_per_hour("reserved")
            priced.append(((*known, known[0] if reserved is None else reserved), machine))
    front = Front()
    for each, machine in sorted(priced, key=lambda pair: (pair[0], pair[1].id)):
        if front.takes(each):
            yield machine


def _machine(machine: Machine) -> OnOffer:
    instance = machine.instance
    return OnOffer(provider=instance.provider, instance_type=instance.name, accelerator=machine.accelerator)


def _unpriced(offering: Unpriced) -> OnOffer:
    return OnOffer(provider=offering.provider, instance_type=offering.instance_type, accelerator=offering.accelerator)
