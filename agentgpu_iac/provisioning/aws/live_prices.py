"""Prices of AWS as rows of the catalog: what is on demand by its Price List, what is on spot by EC2's own history.

Both want credentials, which botocore finds as every AWS tool does; they may hold no more than ``pricing:GetProducts`` and
``ec2:DescribeSpotPriceHistory``. The Price List answers in one place for all regions, EC2 region by region: one that the
account has not opted in to is told and left out.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any, Final

import botocore.session
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError

from agentgpu_iac.catalog.live import AMAZON, Update
from agentgpu_iac.catalog.model import Price
from agentgpu_iac.catalog.overlay import CatalogOverlay
from agentgpu_iac.catalog.packaged import packaged_rows
from agentgpu_iac.errors import OutsideFailure
from agentgpu_iac.spec.vocabulary import CapacityType

PRICE_LIST_REGION: Final = "us-east-1"
"""One of the few places where the Price List answers."""
_SERVICE: Final = "AmazonEC2"
_LINUX: Final = "Linux/UNIX"
_ON_DEMAND_LINUX: Final[Mapping[str, str]] = {
    "operatingSystem": "Linux",
    "tenancy": "Shared",
    "preInstalledSw": "NA",
    "capacitystatus": "Used",
    "marketoption": "OnDemand",
}
"""What the Price List calls a plain machine: else it names each with every licence, tenancy and reservation."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """Regions with a price in the catalog, and the local zones that it knows: what else is sold is left out."""

    regions: tuple[str, ...]
    local_zones: Mapping[str, str]
    """Each with its region."""

    def place_of_zone(self, zone: str, region: str) -> str | None:
        """What prices call the place of an availability zone; None for a local zone that the catalog does not know."""
        name = zone[:-1]
        return region if name == region else name if name in self.local_zones else None


def known_places() -> Places:
    """The places of the packaged catalog."""
    rows = packaged_rows()
    local = {zone.name: zone.region for row in rows.providers if row.id == AMAZON for zone in row.local_zones}
    regions = {row.region for row in rows.prices if row.provider == AMAZON} - set(local)
    return Places(regions=tuple(sorted(regions)), local_zones=local)


def ask(url: str | None, now: str, regions: Sequence[str] = ()) -> Update:
    """Read the prices of all machines of the catalog in these regions; in all that it knows where none is named.

    ``now`` is the moment of asking, as ISO 8601 writes it: spot prices in force then are read.

    Raises:
        OutsideFailure: there are no credentials, or the Price List does not answer.
    """
    session = botocore.session.get_session()
    clients = _Clients(
        pricing=session.create_client("pricing", region_name=PRICE_LIST_REGION, endpoint_url=url),
        ec2=lambda region: session.create_client("ec2", region_name=region, endpoint_url=url),
    )
    places = known_places()
    wanted = tuple(region for region in places.regions if not regions or region in regions)
    machines = sorted(row.name for row in packaged_rows().instance_types if row.provider == AMAZON)
    return read(clients, Places(regions=wanted, local_zones=places.local_zones), machines, now)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Clients:
    """Who answers: the Price List, and EC2 in each region."""

    pricing: Any
    ec2: Any
    """Region -> client."""


def read(clients: _Clients, places: Places, machines: Sequence[str], now: str) -> Update:
    """Ask for all of it; see ``ask``."""
    date = now[:10]
    on_demand: dict[tuple[str, str], Decimal] = {}
    unreadable: list[str] = []
    try:
        for machine in machines:
            for text in _products(clients.pricing, machine):
                _put_on_demand(text, places, on_demand, unreadable)
    except NoCredentialsError:
        raise OutsideFailure(
            "AWS: no credentials were found; set them as for the aws command line (they need pricing:GetProducts and "
            "ec2:DescribeSpotPriceHistory)"
        ) from None
    except (BotoCoreError, ClientError) as error:
        raise OutsideFailure(f"AWS: the Price List did not answer: {error}") from None
    spot: dict[tuple[str, str, str], tuple[Any, Decimal]] = {}
    for region in places.regions:
        try:
            for row in _spot_history(clients.ec2(region), machines, now):
                _put_spot(row, region, places, spot, unreadable)
        except (BotoCoreError, ClientError) as error:
            unreadable.append(f"spot in {region}: {error}")
    prices, useless = _rows(on_demand, spot, date)
    overlay = CatalogOverlay(api_version="agentgpu.dev/v1alpha1", kind="CatalogOverlay", prices=tuple(prices))
    return Update(
        provider=AMAZON,
        overlay=overlay,
        offers_used=len(prices),
        not_mapped=(),
        not_usable=useless,
        not_usable_since="a spot price that saves nothing is no market",
        not_readable=tuple(dict.fromkeys(unreadable)),
    )


def _products(pricing: Any, machine: str) -> Iterator[str]:
    """Each offer of one machine, in all regions, as JSON."""
    fields = {"instanceType": machine, **_ON_DEMAND_LINUX}
    filters = [{"Type": "TERM_MATCH", "Field": field, "Value": value} for field, value in fields.items()]
    for page in pricing.get_paginator("get_products").paginate(ServiceCode=_SERVICE, Filters=filters):
        yield from page["PriceList"]


def _spot_history(ec2: Any, machines: Sequence[str], now: str) -> Iterator[Mapping[str, Any]]:
    """What each zone asks now: of a history that starts now EC2 answers the prices in force."""
    asked = {"InstanceTypes": list(machines), "ProductDescriptions": [_LINUX], "StartTime": now}
    for page in ec2.get_paginator("describe_spot_price_history").paginate(**asked):
        yield from page["SpotPriceHistory"]


def _put_on_demand(text: str, places: Places, found: dict[tuple[str, str], Decimal], unreadable: list[str]) -> None:
    try:
        offer = json.loads(text)
        attributes = offer["product"]["attributes"]
        machine, region = attributes["instanceType"], attributes["regionCode"]
        if places.local_zones.get(region, region) not in places.regions:
            return
        usd = _usd_per_hour(offer["terms"]["OnDemand"].values())
    except (ValueError, KeyError, TypeError, AttributeError, InvalidOperation) as error:
        unreadable.append(f"an offer of the Price List: {type(error).__name__} {error}")
        return
    if usd is not None:
        key = (machine, region)
        found[key] = max(
            usd, found.get(key, usd)
        )  # of several for one machine the dearer, so that no plan is too cheap


def _usd_per_hour(terms: Iterable[Mapping[str, Any]]) -> Decimal | None:
    """The hourly price of an offer; None where it names none, or gives it away, as for what only a reservation buys."""
    prices = [
        Decimal(dimension["pricePerUnit"]["USD"])
        for term in terms
        for dimension in term["priceDimensions"].values()
        if dimension["unit"] == "Hrs" and "USD" in dimension["pricePerUnit"]
    ]
    known = [price for price in prices if price > 0]
    return max(known, default=None)


def _put_spot(
    row: Mapping[str, Any],
    region: str,
    places: Places,
    found: dict[tuple[str, str, str], tuple[Any, Decimal]],
    unreadable: list[str],
) -> None:
    try:
        zone, price = row["AvailabilityZone"], Decimal(row["SpotPrice"])
        machine, at = row["InstanceType"], row["Timestamp"]
    except (KeyError, TypeError, InvalidOperation) as error:
        unreadable.append(f"a spot price in {region}: {type(error).__name__} {error}")
        return
    place = places.place_of_zone(zone, region)
    key = (machine, place or "", zone)
    if place is not None and price > 0 and (key not in found or at > found[key][0]):
        found[key] = (at, price)


def _rows(
    on_demand: Mapping[tuple[str, str], Decimal],
    spot: Mapping[tuple[str, str, str], tuple[Any, Decimal]],
    date: str,
) -> tuple[list[Price], int]:
    """The rows, and how many spot prices are no market: those that save nothing against the on-demand price there."""
    rows = [
        _price(machine, region, "", "on-demand", usd, date, "AWS Price List (GetProducts)")
        for (machine, region), usd in sorted(on_demand.items())
    ]
    useless = 0
    for (machine, region, zone), (_, usd) in sorted(spot.items()):
        if usd >= on_demand.get((machine, region), usd + 1):
            useless += 1
        else:
            rows.append(_price(machine, region, zone, "spot", usd, date, "EC2 DescribeSpotPriceHistory"))
    return rows, useless


def _price(machine: str, region: str, zone: str, way: CapacityType, usd: Decimal, date: str, source: str) -> Price:
    return Price(
        provider=AMAZON,
        instance_type=machine,
        region=region,
        zone=zone,
        capacity_type=way,
        usd_per_hour=usd.normalize(),
        date=date,
        source=f"{source}, read {date}",
    )
