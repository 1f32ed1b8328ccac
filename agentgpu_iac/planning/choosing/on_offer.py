"""What a stack may use of the catalog, and what its target cannot use of it, seller by seller, with the reason."""

from __future__ import annotations

from dataclasses import dataclass

from agentgpu_iac.catalog.store import Catalog
from agentgpu_iac.planning.choosing.pricing import Machine, Unpriced, machines, unpriced
from agentgpu_iac.spec.model import StackSpec
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


def _machine(machine: Machine) -> OnOffer:
    instance = machine.instance
    return OnOffer(provider=instance.provider, instance_type=instance.name, accelerator=machine.accelerator)


def _unpriced(offering: Unpriced) -> OnOffer:
    return OnOffer(provider=offering.provider, instance_type=offering.instance_type, accelerator=offering.accelerator)
