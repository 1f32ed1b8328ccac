"""Machines with their prices: offerings of one instance type in one region, gathered over the ways to buy it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

from agentgpu_iac.catalog.model import InstanceType, Offering
from agentgpu_iac.spec.model import StackSpec
from agentgpu_iac.spec.vocabulary import CapacityType
from agentgpu_iac.units import ceil_div

_PROVIDERS_OF_TARGET: dict[str, tuple[str, ...]] = {"eks": ("aws",), "spheron": ("spheron",)}
_DEFAULT_REGIONS_OF_TARGET: dict[str, tuple[str, ...]] = {"eks": ("us-east-1",)}
_UNKNOWN_TO_SKYPILOT = frozenset({"spheron"})
ANY_REGION = "any"


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """An instance type in a region, with the price of each way to buy it."""

    instance: InstanceType
    accelerator: str
    accelerators: int
    region: str
    offerings: tuple[Offering, ...]

    @property
    def id(self) -> tuple[str, str, str]:
        """(provider, instance type, region)."""
        return (self.instance.provider, self.instance.name, self.region)

    def offering(self, capacity_type: CapacityType) -> Offering | None:
        """How it is offered that way, if it is."""
        for offering in self.offerings:
            if offering.capacity_type == capacity_type:
                return offering
        return None

    def usd_per_hour(self, capacity_type: CapacityType) -> Decimal | None:
        """Price of one machine bought that way, if it is offered."""
        offering = self.offering(capacity_type)
        return offering.usd_per_hour if offering else None

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


def allowed_providers(spec: StackSpec) -> tuple[str, ...] | None:
    """Providers that the stack may use; None means all."""
    return spec.providers or _PROVIDERS_OF_TARGET.get(spec.target)


def allowed_regions(spec: StackSpec) -> tuple[str, ...] | None:
    """Regions that the stack may use; None means all."""
    return spec.regions or _DEFAULT_REGIONS_OF_TARGET.get(spec.target)


def machines(offerings: Iterable[Offering], spec: StackSpec) -> tuple[Machine, ...]:
    """The machines that the stack may use, cheapest first (by the cheapest way to buy them)."""
    providers, regions = allowed_providers(spec), allowed_regions(spec)
    denied = frozenset(spec.accelerators.deny)
    allowed = frozenset(spec.accelerators.allow)
    gathered: dict[tuple[str, str, str], list[Offering]] = {}
    for offering in offerings:
        usable = (
            (providers is None or offering.provider in providers)
            and not (spec.target == "skyserve" and offering.provider in _UNKNOWN_TO_SKYPILOT)
            and (regions is None or offering.region in regions or offering.region == ANY_REGION)
            and offering.accelerator not in denied
            and (not allowed or offering.accelerator in allowed)
            and offering.instance_type.architecture == "x86_64"
        )
        if usable:
            key = (offering.provider, offering.instance_type.name, offering.region)
            gathered.setdefault(key, []).append(offering)
    found = [
        Machine(
            instance=group[0].instance_type,
            accelerator=group[0].accelerator,
            accelerators=group[0].accelerator_count,
            region=key[2],
            offerings=tuple(sorted(group, key=lambda offering: offering.capacity_type)),
        )
        for key, group in gathered.items()
    ]
    return tuple(sorted(found, key=lambda machine: (min(o.usd_per_hour for o in machine.offerings), machine.id)))
