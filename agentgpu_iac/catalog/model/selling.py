"""What is sold where, by whom and for how much; and which rows cannot be sold from."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from agentgpu_iac.catalog.model.machines import InstanceType
from agentgpu_iac.catalog.model.scalars import Integer, Sources
from agentgpu_iac.spec.document import Document, Money
from agentgpu_iac.spec.vocabulary import CapacityType


class LocalZone(Document):
    """A place of a region that lies away from it: opted in by itself, with machines and prices of its own."""

    name: str
    """What prices call it where they name a region: the provider's name of the group of its zones."""
    region: str
    """The region that it belongs to: whose network, control plane and quotas it shares."""


class Provider(Document):
    """A seller of GPU machines."""

    id: str
    """Provider id."""
    name: str
    """Name."""
    interruption_notice_s: Integer = 0
    """Warning before a spot machine is taken away; 0 where none is documented."""
    rents_containers: bool = False
    """What it rents out at the catalog's prices are containers: no machines that set themselves up or join a cluster."""
    skypilot_cloud: str | None = None
    """What SkyPilot calls it; unset: SkyPilot knows no such cloud."""
    skypilot_regions: bool = False
    """SkyPilot calls its regions as the catalog does."""
    local_zones: tuple[LocalZone, ...] = ()
    """Places of its regions that lie away from them, as far as the catalog has prices there."""
    sources: Sources
    """Where the notice is documented, or that none was found; and where the rest is from."""


class SkyPilotName(Document):
    """What SkyPilot calls an accelerator where a provider sells it."""

    provider: str
    """Provider id."""
    accelerator: str
    """Accelerator id."""
    name: str
    """SkyPilot's name."""
    sources: Sources
    """Where the name is from."""


class Price(Document):
    """What an instance type costs in one place, bought one way, on a date; or that it is sold so, at a price unknown."""

    provider: str
    """Provider id."""
    instance_type: str
    """The provider's name for the machine."""
    region: str
    """Region; ``any`` where the source names none."""
    zone: str = ""
    """Availability zone; empty: the whole region."""
    capacity_type: CapacityType
    """How it is bought."""
    usd_per_hour: Annotated[
        Annotated[Money, Field(gt=0)] | None, BeforeValidator(lambda value: None if value == "" else value)
    ]
    """Price of the whole machine; empty: it is on offer, and nobody wrote down for how much."""
    date: str = ""
    """When the price was read: YYYY-MM-DD or YYYY-MM; empty: the source has no date."""
    term: str = ""
    """For reserved: the commitment, for example ``3y-all-upfront``."""
    source: Annotated[str, Field(min_length=1)]
    """Where the price is from."""


class Offering(Document):
    """An instance type in a region, bought one way, at a price, on a date; the price may be unknown."""

    provider: str
    """Provider id."""
    instance_type: InstanceType
    """The machine."""
    accelerator: str
    """Accelerator id."""
    accelerator_count: Integer
    """Accelerators in the machine."""
    region: str
    """Region; ``any`` where the source names none."""
    local_zone_of: str = ""
    """The region that this place belongs to, where it is a local zone; empty: it is none."""
    capacity_type: CapacityType
    """How it is bought."""
    usd_per_hour: Money | None
    """Price of the whole machine; unset: it is on offer at a price that is not known."""
    price_date: str
    """When the price was read; empty: the source has no date."""
    price_source: str
    """Where the price is from."""
    term: str = ""
    """For reserved: the commitment."""


class Exclusion(Document):
    """A row of the data that plans cannot use, and why."""

    kind: Literal["offering", "model", "price"]
    """What was left out."""
    id: str
    """Its name: ``provider/instance type`` of an offering; the same with region, zone (if any) and capacity type of a
    price; the id of a model."""
    reason: str
    """Why."""
