"""What is billed beside the nodes: what a plan's sums leave out, and what is known of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal

from agentgpu_iac.catalog.model import Charge
from agentgpu_iac.catalog.store import Catalog
from agentgpu_iac.plan import BesideItem, Cost, NodePool, SystemNodesPlan
from agentgpu_iac.sizing.loading import volume_usd_per_month
from agentgpu_iac.spec.model import StackSpec
from agentgpu_iac.targets import target_of
from agentgpu_iac.units import HOURS_PER_MONTH, usd_per_month

_ROOT_VOLUME = "ebs-gp3"
_EXTENDED = "extended-support"
_BESIDE_CLUSTER = (
    BesideItem(
        what="traffic between the cluster and machines beside it, and what else their sellers bill",
        usd_per_month=None,
        formula="it grows with prompts and answers; an offer names one price an hour",
    ),
)


def with_beside(
    total: Cost,
    spec: StackSpec,
    catalog: Catalog,
    pools: Sequence[NodePool],
    system: SystemNodesPlan | None,
    burst_hours: Decimal,
) -> Cost:
    """The cost with what it leaves out."""
    nodes = [pool for pool in pools if not pool.beside_cluster]
    items = (
        *_charges(spec, catalog, nodes),
        *_system_nodes(system),
        *_updates(spec, nodes),
        *_root_volumes(spec, catalog, nodes, system, burst_hours),
        *_not_priced(spec),
        *(_BESIDE_CLUSTER if len(nodes) < len(pools) else ()),
    )
    known = [item.usd_per_month for item in items if item.usd_per_month is not None]
    return total.model_copy(
        update={"beside": items, "beside_usd_per_month": sum(known, Decimal("0.00")) if known else None}
    )


def _charges(spec: StackSpec, catalog: Catalog, pools: Sequence[NodePool]) -> Iterator[BesideItem]:
    """What runs or is used beside the nodes, at its price; of what is paid by the GB no plan knows how much there is."""
    target, pool = target_of(spec), pools[0]
    for name in target.billed_beside(spec):
        row = catalog.charge(pool.provider, name)
        if row is None:
            continue
        usd, formula = _of(row)
        if name == _EXTENDED:
            usd, formula = _extended(row, spec, catalog, pool.kubernetes_version)
        yield BesideItem(
            what=row.what,
            usd_per_month=usd,
            formula=f"{formula}{_elsewhere(row.region, pool.region)}",
            price_date=row.date,
            price_source="; ".join(row.sources),
        )


def _system_nodes(system: SystemNodesPlan | None) -> Iterator[BesideItem]:
    if system is not None:
        yield BesideItem(
            what=f"system nodes ({system.instance_type}), which carry no agents",
            usd_per_month=system.usd_per_month,
            formula=system.formula,
            price_date=system.price_date,
            price_source=system.price_source,
        )


def _updates(spec: StackSpec, pools: Sequence[NodePool]) -> Iterator[BesideItem]:
    """Nodes that EKS starts beside the old ones; in how many zones a pool stands is known when it is deployed."""
    surging = [pool for pool in pools if pool.node_updates == "surge"] if target_of(spec).can.makes_cluster else []
    if surging:
        each = " + ".join(f"{pool.name}: USD {pool.usd_per_hour:,.2f} an hour each" for pool in surging)
        yield BesideItem(
            what="nodes that an update of a node group starts before old ones go",
            usd_per_month=None,
            formula=f"up to two in each zone while the update lasts; {each}",
        )


def _of(row: Charge) -> tuple[Decimal | None, str]:
    if row.per == "gb":
        return None, f"USD {row.usd.normalize():f} a GB; how many there are is not known"
    times = f"{row.count} x " if row.count > 1 else ""
    return usd_per_month(row.usd * row.count), f"{times}USD {row.usd.normalize():f} an hour x {HOURS_PER_MONTH} h"


def _extended(row: Charge, spec: StackSpec, catalog: Catalog, version: str) -> tuple[Decimal | None, str]:
    """Nothing until the version leaves standard support; as far as that day is known."""
    release = catalog.kubernetes_release(spec.target, version)
    usd, formula = _of(row)
    if release is None or not catalog.day:
        return None, f"{formula}, from the end of the standard support of {version} on, which is not known"
    ends = release.standard_support_ends
    if ends < catalog.day:
        return usd, f"{formula}: the standard support of {version} ended on {ends}"
    return Decimal("0.00"), f"{formula} = USD {usd:,.2f} once the standard support of {version} is over, after {ends}"


def _elsewhere(of: str, region: str) -> str:
    return "" if of in ("any", region) else f", at the price of {of}"


def _root_volumes(
    spec: StackSpec,
    catalog: Catalog,
    pools: Sequence[NodePool],
    system: SystemNodesPlan | None,
    burst_hours: Decimal,
) -> Iterator[BesideItem]:
    """The nodes' disks: all month for those that are always there, for the expected hours of the others."""
    volume = next((row for row in catalog.volumes if row.id == _ROOT_VOLUME), None)
    if volume is None or not target_of(spec).bills_root_volumes:
        return
    usd, parts = Decimal(0), []
    for pool in pools:
        each = volume_usd_per_month(volume, pool.root_volume_gib, pool.root_volume_mib_per_s, pool.root_volume_iops)
        hours = Decimal(HOURS_PER_MONTH) if pool.tier == "baseline" else burst_hours
        if pool.open_hours_per_month is not None:
            hours = Decimal(str(pool.open_hours_per_month))
            hours = min(hours, burst_hours) if pool.tier == "burst" else hours
        usd += each * (pool.min * HOURS_PER_MONTH + (pool.max - pool.min) * hours) / HOURS_PER_MONTH
        size = f"{pool.root_volume_gib} GiB, {pool.root_volume_mib_per_s} MiB/s"
        while_there = "" if pool.tier == "baseline" else f" for {hours:g} of {HOURS_PER_MONTH} h"
        parts.append(f"{pool.max} x USD {each:,.2f} ({volume.name}, {size}){while_there}")
    if system is not None:
        each = volume_usd_per_month(volume, system.root_volume_gib, volume.included_mib_per_s, volume.included_iops)
        usd += each * system.count
        parts.append(f"{system.count} x USD {each:,.2f} ({volume.name}, {system.root_volume_gib} GiB, system nodes)")
    yield BesideItem(
        what="root volumes of the nodes",
        usd_per_month=usd.quantize(Decimal("0.01")),
        formula=" + ".join(parts) + _elsewhere(volume.region, pools[0].region),
        price_date=volume.date,
        price_source="; ".join(volume.sources),
    )


def _not_priced(spec: StackSpec) -> Iterator[BesideItem]:
    for each in target_of(spec).not_priced:
        yield BesideItem(what=each.what, usd_per_month=None, formula=each.why)
