"""Offers as rows of the catalog: what Spheron asks today for machines that a plan could use."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from agentgpu_iac.catalog.join import ANY_REGION, NoAcceleratorError
from agentgpu_iac.catalog.live import Update
from agentgpu_iac.catalog.marketplace import MARKETPLACE, SOLD_AS
from agentgpu_iac.catalog.model import GpuAlias, InstanceType, Price
from agentgpu_iac.catalog.overlay import CatalogOverlay
from agentgpu_iac.catalog.packaged import packaged_rows
from agentgpu_iac.provisioning.spheron import client
from agentgpu_iac.provisioning.spheron.client import URL, Offer, Offers
from agentgpu_iac.provisioning.spheron.offers import catalog_accelerator
from agentgpu_iac.spec.vocabulary import CapacityType
from agentgpu_iac.units import counted

_BOUGHT = {instance_type: capacity_type for capacity_type, types in SOLD_AS.items() for instance_type in types}


def ask(url: str | None, date: str) -> Update:
    """Read the offers. Raises OutsideFailure where the marketplace does not answer."""
    spheron = client.Spheron(url=url or URL)
    try:
        return update_of(spheron.offers(), date, url or URL)
    finally:
        spheron.close()


def update_of(offers: Offers, date: str, url: str = URL) -> Update:
    """The lowest price of each kind of machine in each region, for each way to buy it.

    A kind of machine is an accelerator and how many of it: suppliers come and go, and a machine is chosen among all of them
    when it is made. Host memory and processors are the least among the offers used, so that any of them will do.
    """
    source = f"{url}/api/gpu-offers, read {date}"
    cheapest: dict[tuple[str, int, str, CapacityType], Offer] = {}
    machines: dict[tuple[str, int], list[Offer]] = {}
    not_mapped: dict[str, None] = {}
    used = unusable = 0
    for offer in offers.offers:
        try:
            accelerator = catalog_accelerator(offer)
        except NoAcceleratorError as reason:
            not_mapped[str(reason)] = None
            continue
        if not _is_usable(offer):
            unusable += 1
            continue
        used += 1
        machines.setdefault((accelerator, offer.gpu_count), []).append(offer)
        for region in offer.clusters or (ANY_REGION,):
            key = (accelerator, offer.gpu_count, region, _BOUGHT[offer.instance_type])
            if key not in cheapest or offer.usd_per_hour < cheapest[key].usd_per_hour:
                cheapest[key] = offer
    overlay = CatalogOverlay(
        api_version="agentgpu.dev/v1alpha1",
        kind="CatalogOverlay",
        instance_types=tuple(
            _machine(accelerator, count, found, source) for (accelerator, count), found in sorted(machines.items())
        ),
        gpu_aliases=tuple(_set_aside(date)),
        prices=tuple(_price(cheapest[key], machine_type(*key[:2]), key[2], date, source) for key in sorted(cheapest)),
    )
    return Update(
        provider=MARKETPLACE,
        overlay=overlay,
        offers_used=used,
        not_mapped=tuple(sorted(not_mapped)),
        not_usable=unusable,
        not_usable_since="no cloud-init, sold out or under maintenance",
        not_readable=offers.unreadable,
    )


def _set_aside(date: str) -> Iterator[GpuAlias]:
    """The catalog's own Spheron machines, taken out: their prices are older than these."""
    for row in packaged_rows().instance_types:
        if row.provider == MARKETPLACE:
            note = f"replaced by the offers read on {date}"
            yield GpuAlias(provider=MARKETPLACE, gpu=row.gpu, instance_type=row.name, accelerators=(), note=note)


def machine_type(accelerator: str, count: int) -> str:
    """What a kind of machine is called in the catalog."""
    return f"{accelerator}-x{count}"


def _is_usable(offer: Offer) -> bool:
    return offer.supports_cloud_init and offer.available and not offer.maintenance and offer.usd_per_hour > 0


def _price(offer: Offer, name: str, region: str, date: str, source: str) -> Price:
    return Price(
        provider=MARKETPLACE,
        instance_type=name,
        region=region,
        capacity_type=_BOUGHT[offer.instance_type],
        usd_per_hour=offer.usd_per_hour,
        date=date,
        source=f"{source}: {offer}",
    )


def _machine(accelerator: str, count: int, offers: Iterable[Offer], source: str) -> InstanceType:
    found = tuple(offers)
    hosts = {row.id: row.host_architecture for row in packaged_rows().accelerators}
    vcpus = [offer.vcpus for offer in found if offer.vcpus]
    memory_gb = [offer.memory for offer in found if offer.memory]
    return InstanceType(
        provider=MARKETPLACE,
        name=machine_type(accelerator, count),
        gpu=accelerator,
        gpu_count=count,
        vcpu=min(vcpus, default=None),
        memory_gib=min(memory_gb, default=None),
        architecture=hosts.get(accelerator) or "x86_64",
        sources=(source,),
        note=f"least of {counted(len(found), 'offer')} that take cloud-init and were on sale",
    )
