"""Loading weights: how fast they come off a storage, and where they are best kept.

Weights come off storage at the slowest of three rates: the path's own (a volume as provisioned, a share of the
network), the instance's ceiling for that path, and the loader. Two loaders are told apart. The default one maps the
files into memory and waits for each page: over a network that latency, not the volume, is the limit. A streamer reads
many ranges at once and reaches what the path gives. Six constants of weights are fitted. The phases before and after
are those of ``starting``.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from agentgpu_iac.catalog.model import InstanceType, VolumeType
from agentgpu_iac.spec.vocabulary import Storage
from agentgpu_iac.units import GB, GIB

LoadPath = Literal["page-cache", "nvme", "ebs-gp3", "ebs-io2", "s3", "efs", "fsx"]
"""Where weights are read from."""
Loader = Literal["default", "streamer"]
"""How they are read: the engine's default safetensors loader, or a streamer (Run:ai)."""

# --- The six constants of weights -----------------------------------------------------------------------------------

MAPPED_NETWORK_GIB_PER_S = 0.34
"""The default loader over any network storage: gp3 0.31 (g5.12xlarge), EFS 0.35 (894 GiB, p5en), FSx 0.37 (Kimi-K2.5,
8 ranks). It waits for pages, so that volumes and ranks do not matter."""
NVME_GIB_PER_S = 0.8
"""The default loader from a local disk with a cold page cache, one rank: 0.68 (A100, 15 GiB), 1.41 (H100, 61 GiB just
downloaded); 0.69 with two ranks, 1.68 with eight. The sources differ by 2.5: the least certain constant here."""
NVME_RANKS_EXPONENT = 1 / 3
"""Ranks share the disk's queue: eight of them read about twice as fast as one (same rows)."""
PAGE_CACHE_GIB_PER_S = 5.5
"""The default loader from memory, a rank on PCIe 5: 7.4 (RTX PRO 6000), 6.6 (H100), 4.5 (tmpfs, H200), 3.6 on each of
eight ranks (same). It copies unpinned pages over PCIe, which is half as fast a generation earlier: 2.8 on A100."""
_REFERENCE_PCIE_GENERATION = 5
STREAMER_GIB_PER_S = 6.2
"""What a streamer reaches on a node however fast the storage: 6.1 and 6.4 (storage of 50 GB/s, one and eight ranks), 6.1
and 8.0 (tmpfs); Llama-2-70B from S3 in 20 s on a p4de is 6.4."""
OBJECT_NETWORK_SHARE = 0.75
"""Share of the network that a streamer draws from S3: 3.51 GiB/s of 40 Gbit/s (g5.12xlarge)."""

HUB_GIB_PER_S = 0.7
"""Download from the model hub: 61 GiB took 87 s more than loading alone (Qwen3-32B start-up logs)."""

GATEWAY_GBPS = 5.0
"""What nodes behind one NAT gateway draw together before it grows: 5 Gbit/s, which AWS raises by itself, up to 100 (VPC user
guide, NAT gateway basics)."""
REVISIONS_KEPT = 2
"""A cache holds the revision that is served and the one that is filled beside it: until the last engine has changed, both."""
SPARE_SHARE = 0.2
"""Beside the models, as a share of one revision: small files, and what a download keeps until it is whole."""

_GBIT_GIB = 1e9 / 8 / GIB
_MB_GIB = 1e6 / GIB
_MIB_GIB = 1 / 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Storage as it is read by one replica."""

    path: LoadPath
    loader: Loader = "default"
    ranks: int = 1
    """Accelerators that read at once."""
    pcie_generation: int = _REFERENCE_PCIE_GENERATION
    """PCIe generation of the accelerators."""
    volume_mib_per_s: float | None = None
    """Provisioned throughput of an EBS volume; unset: more than the instance can draw."""
    ebs_mb_per_s: float | None = None
    """What the instance can draw from EBS; unset: unknown, no ceiling."""
    network_gbps: float | None = None
    """What the instance can draw from the network; unset: unknown, no ceiling."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reader:
    """Who reads a replica's weights."""

    ranks: int = 1
    """Accelerators that read at once."""
    loader: Loader = "default"
    from_bucket: bool = False
    """It streams from a bucket, past the node's cache."""


def expected_network_gbps(instance: InstanceType) -> float | None:
    """What a fresh node draws for a while: the geometric mean of baseline and burst, as it starts with some credit.

    g6e.2xlarge (5 and 20 Gbit/s) read 15 GiB from S3 at 7.2 Gbit/s, which is 0.75 of 9.6: between the two.
    """
    baseline, peak = instance.network_baseline_gbps, instance.network_peak_gbps
    return math.sqrt(baseline * peak) if baseline and peak else baseline or peak


def source_gib_per_s(source: Source) -> float:
    """Rate at which weights come off a storage, in GiB/s: the slowest of path, instance and loader."""
    return min(_loader_gib_per_s(source), _path_gib_per_s(source))


def _loader_gib_per_s(source: Source) -> float:
    if source.loader == "streamer" or source.path == "s3":
        return STREAMER_GIB_PER_S
    if source.path == "page-cache":
        slower = 2.0 ** (source.pcie_generation - _REFERENCE_PCIE_GENERATION)
        return float(PAGE_CACHE_GIB_PER_S * source.ranks * slower)
    if source.path == "nvme":
        return float(NVME_GIB_PER_S * source.ranks**NVME_RANKS_EXPONENT)
    return MAPPED_NETWORK_GIB_PER_S


def _path_gib_per_s(source: Source) -> float:
    """What path and instance give, whoever reads."""
    ceilings = []
    if source.path in ("ebs-gp3", "ebs-io2"):
        ceilings += [source.volume_mib_per_s and source.volume_mib_per_s * _MIB_GIB]
        ceilings += [source.ebs_mb_per_s and source.ebs_mb_per_s * _MB_GIB]
    if source.path == "s3":
        ceilings += [source.network_gbps and source.network_gbps * _GBIT_GIB * OBJECT_NETWORK_SHARE]
    if source.path in ("efs", "fsx"):
        ceilings += [source.network_gbps and source.network_gbps * _GBIT_GIB]
    return min((ceiling for ceiling in ceilings if ceiling), default=math.inf)


def storage_gib_per_s(
    instance: InstanceType,
    storage: Storage,
    root_volume_mib_per_s: int,
    *,
    ranks: int = 1,
    loader: Loader = "default",
) -> float:
    """Rate at which weights come off the node's own storage, in GiB/s.

    EBS counts at the instance's baseline, since the burst credit is gone when it is needed most. A streamer was measured
    on network storage and from memory, never on a local disk, whose own rate is not known: there the default loader's
    rate stands for it.
    """
    if storage == "nvme" and instance.nvme_count:
        return source_gib_per_s(Source(path="nvme", ranks=ranks))
    return source_gib_per_s(
        Source(
            path="ebs-gp3",
            loader=loader,
            ranks=ranks,
            volume_mib_per_s=root_volume_mib_per_s,
            ebs_mb_per_s=instance.ebs_baseline_mbps,
        )
    )


def bucket_gib_per_s(instance: InstanceType, *, at_worst: bool = False) -> float:
    """Rate at which weights are streamed from a bucket, in GiB/s, by all ranks of a node together.

    They share the reading (``distributed`` of the loader): each by itself would fetch the whole checkpoint. At worst the
    network gives its baseline, since its credit is spent. Where the network is not known, what fills a cache stands for it.
    """
    gbps = instance.network_baseline_gbps if at_worst else None
    network_gbps = gbps or expected_network_gbps(instance)
    if network_gbps is None:
        return HUB_GIB_PER_S
    return source_gib_per_s(Source(path="s3", loader="streamer", network_gbps=network_gbps))


def fill_gib_per_s(instance: InstanceType, storage: Storage, root_volume_mib_per_s: int) -> float:
    """Rate at which a node's cache is filled from the hub: the slowest of hub, network baseline and disk.

    A download writes in large pieces, so the volume's rate holds and not the loader's.
    """
    rate = HUB_GIB_PER_S
    if instance.network_baseline_gbps:
        rate = min(rate, instance.network_baseline_gbps * _GBIT_GIB)
    if storage == "ebs-gp3" or not instance.nvme_count:
        rate = min(rate, root_volume_mib_per_s * _MIB_GIB)
        if instance.ebs_baseline_mbps:
            rate = min(rate, instance.ebs_baseline_mbps * _MB_GIB)
    return rate


def cache_room_gib(models_gib: float) -> float:
    """What a cache of these models needs: every capacity that holds models follows from it."""
    return models_gib * (REVISIONS_KEPT + SPARE_SHARE)


def slowest_fill_gib_per_s(
    instance: InstanceType, storage: Storage, root_volume_mib_per_s: int, *, nodes_at_once: int, share_gateway: bool
) -> float:
    """The same rate while as many nodes fill their caches, where they share the way out, through one gateway."""
    rate = fill_gib_per_s(instance, storage, root_volume_mib_per_s)
    return min(rate, GATEWAY_GBPS * _GBIT_GIB / nodes_at_once) if share_gateway else rate


# --- Which storage --------------------------------------------------------------------------------------------------

USUAL_VOLUME_MIB_PER_S = 600
"""Karpenter's blueprints call it a good starting point for the root volume of a GPU node."""
_CENT = Decimal("0.01")


@dataclass(frozen=True, slots=True, kw_only=True)
class StorageOption:
    """One way to keep a model for an instance type."""

    path: LoadPath
    loader: Loader
    seconds: float
    """To load the weights from it."""
    usd_per_month: Decimal | None
    """What it costs while it exists, beside the instance; unset: no sourced price."""
    why: str
    """What limits it, in words."""


def storage_options(
    instance: InstanceType, model_gib: float, volumes: Iterable[VolumeType], *, ranks: int = 1
) -> tuple[StorageOption, ...]:
    """The ways to keep a model's weights for an instance type, fastest first; ``volumes`` are those of its provider.

    Every volume is for one node, and EBS counts at the instance's baseline. Volumes that cost more than another of
    their kind and are no faster are left out.
    """
    options = [option for volume in volumes for option in _volume_options(instance, volume, model_gib, ranks)]
    if instance.nvme_count and instance.nvme_total_gb * GB >= model_gib * GIB:
        seconds = model_gib / source_gib_per_s(Source(path="nvme", ranks=ranks))
        why = "instance store: in the machine's price; empty on a new node, cold page cache"
        options.append(_option("nvme", "default", seconds, Decimal(0), why))
    options += [_shared_option(instance, model_gib, ranks, path) for path in ("s3", "efs", "fsx")]
    useful = [option for option in options if not any(_beats(other, option) for other in options)]
    return tuple(
        sorted(useful, key=lambda option: (option.seconds, option.usd_per_month is None, option.usd_per_month or 0))
    )


def _beats(option: StorageOption, other: StorageOption) -> bool:
    """Whether an option of the same kind of volume is as fast and cheaper."""
    if option.path != other.path or option.usd_per_month is None or other.usd_per_month is None:
        return False
    return option.seconds <= other.seconds and option.usd_per_month < other.usd_per_month


def recommended(options: Iterable[StorageOption], within_s: float) -> StorageOption | None:
    """The cheapest option that loads within a time, else the fastest; options without a price count as dearest."""
    known = tuple(options)
    in_time = [option for option in known if option.seconds <= within_s]
    if in_time:
        return min(
            in_time, key=lambda option: (option.usd_per_month is None, option.usd_per_month or 0, option.seconds)
        )
    return min(known, key=lambda option: option.seconds, default=None)


def iops_for(volume: VolumeType, mib_per_s: int) -> int:
    """The IOPS that carry a throughput; those that come with the volume at least."""
    return max(volume.included_iops, math.ceil(mib_per_s / volume.mib_per_s_per_iops))


def volume_usd_per_month(volume: VolumeType, size_gb: float, mib_per_s: int, iops: int) -> Decimal:
    """A volume's price: its size, and the throughput and IOPS beyond those that come with it."""
    size = Decimal(str(round(size_gb, 1))) * volume.usd_per_gb_month
    throughput = max(0, mib_per_s - volume.included_mib_per_s) * (volume.usd_per_mib_per_s_month or 0)
    operations = max(0, iops - volume.included_iops) * volume.usd_per_iops_month
    return (size + throughput + operations).quantize(_CENT)


def _option(path: LoadPath, loader: Loader, seconds: float, usd: Decimal | None, why: str) -> StorageOption:
    return StorageOption(path=path, loader=loader, seconds=round(seconds, 1), usd_per_month=usd, why=why)


def _volume_gb(model_gib: float) -> float:
    return cache_room_gib(model_gib) * GIB / GB


def _ebs(instance: InstanceType, path: LoadPath, loader: Loader, ranks: int, mib_per_s: int) -> Source:
    return Source(
        path=path,
        loader=loader,
        ranks=ranks,
        volume_mib_per_s=mib_per_s,
        ebs_mb_per_s=instance.ebs_baseline_mbps,
    )


def _limit(instance: InstanceType, source: Source) -> str:
    """What an EBS read waits for."""
    rate = source_gib_per_s(source)
    if rate == _loader_gib_per_s(source):
        return f"the {source.loader} loader's {rate:.2f} GiB/s"
    ceiling = (instance.ebs_baseline_mbps or 0) * _MB_GIB
    if ceiling and rate == ceiling:
        return f"{instance.name}'s EBS baseline of {instance.ebs_baseline_mbps:g} MB/s"
    return f"the volume's {source.volume_mib_per_s:g} MiB/s"


def _volume_options(
    instance: InstanceType, volume: VolumeType, model_gib: float, ranks: int
) -> Iterator[StorageOption]:
    """A volume whose throughput is sold by itself, from the included to the most; and the fastest, read by a streamer.

    The default loader waits for pages, so that a volume which is fast by its IOPS alone is for streamers.
    """
    if volume.usd_per_mib_per_s_month is not None:
        for mib_per_s in (volume.included_mib_per_s, USUAL_VOLUME_MIB_PER_S, volume.max_mib_per_s):
            yield _volume_option(instance, volume, model_gib, mib_per_s, Reader(ranks=ranks))
    yield _volume_option(instance, volume, model_gib, volume.max_mib_per_s, Reader(ranks=ranks, loader="streamer"))


def _volume_option(
    instance: InstanceType, volume: VolumeType, model_gib: float, mib_per_s: int, reader: Reader
) -> StorageOption:
    source = _ebs(instance, volume.id, reader.loader, reader.ranks, mib_per_s)
    iops = iops_for(volume, mib_per_s)
    usd = volume_usd_per_month(volume, _volume_gb(model_gib), mib_per_s, iops)
    size = f"{iops:,} IOPS" if volume.usd_per_mib_per_s_month is None else f"{mib_per_s} MiB/s"
    how = " read by a streamer" if reader.loader == "streamer" else ""
    why = f"{volume.name} of {size}{how}; limited by {_limit(instance, source)}"
    return _option(volume.id, reader.loader, model_gib / source_gib_per_s(source), usd, why)


def _shared_option(instance: InstanceType, model_gib: float, ranks: int, path: LoadPath) -> StorageOption:
    loader: Loader = "streamer" if path == "s3" else "default"
    source = Source(path=path, loader=loader, ranks=ranks, network_gbps=expected_network_gbps(instance))
    why = {
        "s3": f"streamed to the accelerators; {OBJECT_NETWORK_SHARE:.0%} of the network, for every node at once",
        "efs": "shared by all nodes; the default loader waits for each page",
        "fsx": "shared by all nodes; the default loader waits for each page",
    }[path]
    return _option(path, loader, model_gib / source_gib_per_s(source), None, f"{why}; price not sourced")
