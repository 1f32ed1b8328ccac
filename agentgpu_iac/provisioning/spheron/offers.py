"""The choice among the offers of the moment: which may become a node of a pool, in what order, and why not the others."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cache

from agentgpu_iac.catalog.join import NoAcceleratorError
from agentgpu_iac.catalog.marketplace import MARKETPLACE, SoldGpu, accelerator_sold
from agentgpu_iac.catalog.packaged import packaged_rows
from agentgpu_iac.plan import MarketPlan
from agentgpu_iac.provisioning.spheron.client import Offer

_GPU_MEMORY_RATIO = 0.9
"""Sellers count memory in different ways; what is below this of the label is another card."""

_WITH_DRIVER = ("cuda", "nvidia", "driver", "docker")
"""Sellers name images freely. Those with Docker for GPUs come with the driver and NVIDIA's toolkit."""
_FOREIGN = ("windows", "rocky", "centos", "alma", "red hat", "rhel", "fedora", "suse")


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """An offer that may become the node, with what the create call must say of it."""

    offer: Offer
    accelerator: str
    region: str
    operating_system: str
    usd_per_hour: Decimal

    @property
    def needs_driver(self) -> bool:
        """Whether nothing in the name of its image says that the NVIDIA driver is there. Setup does not install it."""
        return not _has_driver(self.operating_system)


@dataclass(frozen=True, slots=True, kw_only=True)
class PassedOver:
    """An offer of the right GPUs that may not become the node, and why."""

    offer: Offer
    reason: str

    def __str__(self) -> str:
        return f"{self.offer}: {self.reason}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """The candidates in the order in which to try them, each offer once."""

    candidates: tuple[Candidate, ...]
    passed_over: tuple[PassedOver, ...]


def choose(offers: Iterable[Offer], market: MarketPlan, accelerators_per_node: int) -> Choice:
    """Compare every offer with what the plan requires of a node.

    An image that has the NVIDIA driver comes before any without, since no engine starts there; then the way of buying that
    the plan prefers, then its preferred accelerator, then the lower price.
    """
    candidates: list[tuple[tuple[object, ...], Candidate]] = []
    passed_over: list[PassedOver] = []
    seen: set[tuple[str, str]] = set()
    for offer in offers:
        accelerator = accelerator_of(offer)
        if accelerator not in market.accelerators or offer.gpu_count != accelerators_per_node:
            continue
        if (offer.provider, offer.offer_id) in seen:
            continue
        seen.add((offer.provider, offer.offer_id))
        reason = next(_against(offer, market), None)
        if reason is not None:
            passed_over.append(PassedOver(offer=offer, reason=reason))
            continue
        candidate = Candidate(
            offer=offer,
            accelerator=accelerator,
            region=_regions(offer, market)[0],
            operating_system=operating_system(offer.os_options),
            usd_per_hour=offer.usd_per_hour,
        )
        types = [way.instance_type for way in market.ways]
        rank = (
            candidate.needs_driver,
            types.index(offer.instance_type),
            market.accelerators.index(accelerator),
            offer.usd_per_hour,
            offer.provider,
            offer.offer_id,
        )
        candidates.append((rank, candidate))
    return Choice(
        candidates=tuple(candidate for _, candidate in sorted(candidates, key=lambda pair: pair[0])),
        passed_over=tuple(sorted(passed_over, key=lambda passed: (passed.offer.provider, passed.offer.offer_id))),
    )


def accelerator_of(offer: Offer) -> str:
    """Id of the accelerator in an offer; empty where it is none that the catalog can name."""
    try:
        return catalog_accelerator(offer)
    except NoAcceleratorError:
        return ""


def catalog_accelerator(offer: Offer) -> str:
    """Id of the accelerator in an offer. Raises NoAcceleratorError, which says why there is none."""
    return _accelerator(sold_gpu(offer))


def sold_gpu(offer: Offer) -> SoldGpu:
    """The GPU of an offer, in the marketplace's words."""
    names = (offer.display_name, offer.gpu_model, offer.gpu_type)
    return SoldGpu(
        names=tuple(dict.fromkeys(name for name in names if name)),
        memory_gb=offer.gpu_memory,
        interconnect=offer.interconnect_type or "",
    )


@cache
def _accelerator(gpu: SoldGpu) -> str:
    rows = packaged_rows()
    return accelerator_sold(gpu, MARKETPLACE, rows.accelerators, rows.gpu_aliases).id


def operating_system(options: Sequence[str]) -> str:
    """An image of the offer: one that has the driver, if possible with Docker, else the newest plain Ubuntu, else any."""
    return max(options, key=lambda name: (_image_rank(name), name), default="")


def _image_rank(name: str) -> tuple[bool, bool, bool, bool]:
    folded = name.casefold()
    return (_has_driver(name), "ubuntu" in folded, "docker" in folded, "cuda" in folded)


def _has_driver(image: str) -> bool:
    """Whether the name of an image speaks of what comes with the driver, on a system that setup can work with."""
    words = image.casefold()
    return any(word in words for word in _WITH_DRIVER) and not any(word in words for word in _FOREIGN)


def _regions(offer: Offer, market: MarketPlan) -> tuple[str, ...]:
    return tuple(region for region in offer.clusters if not market.regions or region in market.regions)


def _against(offer: Offer, market: MarketPlan) -> Iterator[str]:
    """Why an offer of the right GPUs is unsuitable, the most permanent reason first."""
    way = next((way for way in market.ways if way.instance_type == offer.instance_type), None)
    if way is None:
        wanted = " or ".join(way.instance_type for way in market.ways)
        yield f"it is sold as {offer.instance_type}, and the plan wants {wanted}"
        return
    if not offer.supports_cloud_init:
        yield "it takes no cloud-init, so the machine could not set itself up"
    if not _regions(offer, market):
        where = ", ".join(offer.clusters) or "no region"
        yield f"it is in {where}" + (f", not in {' or '.join(market.regions)}" if market.regions else "")
    if not operating_system(offer.os_options):
        yield "it names no operating system"
    least_gb = market.gpu_memory_gb * _GPU_MEMORY_RATIO
    if offer.gpu_memory and offer.gpu_memory < least_gb:
        yield f"its GPUs have {offer.gpu_memory:g} GB, and the plan needs {market.gpu_memory_gb:g}"
    if offer.vcpus and offer.vcpus < market.vcpus:
        yield f"its host has {offer.vcpus} processors, and the plan gives one engine {market.vcpus}"
    if offer.memory and offer.memory < market.host_memory_gib:
        yield f"its host has {offer.memory:g} GB of memory, and the plan needs {market.host_memory_gib}"
    if offer.storage and offer.storage < market.disk_gib:
        yield f"its disk has {offer.storage:g} GB, and the plan needs {market.disk_gib}"
    if offer.usd_per_hour <= 0:
        yield "it has no price"
    if offer.usd_per_hour > way.price_cap_usd_per_hour:
        yield f"USD {offer.usd_per_hour} an hour is above the cap of USD {way.price_cap_usd_per_hour}"
    if offer.maintenance:
        yield "it is under maintenance"
    if not offer.available:
        yield "it is sold out"
