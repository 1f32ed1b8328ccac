"""Quotas of the account: vCPUs that the plan needs, by quota and region.

A new account may run no GPU machine at all, so whoever carries a plan out asks for these first. Machines that are held or
reserved run on demand, and count as such.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from agentgpu_iac.catalog.store import Catalog
from agentgpu_iac.plan import NodePool, NodeTypePlan, VcpuNeed
from agentgpu_iac.spec.vocabulary import CapacityType


@dataclass(slots=True, kw_only=True)
class _Sum:
    vcpus: int = 0
    rollout_vcpus: int = 0
    most_vcpus: int = 0
    pools: dict[str, None] = field(default_factory=dict)


_Key = tuple[str, str, CapacityType, str, str | None]


def needs(node_pools: Sequence[NodePool], catalog: Catalog) -> tuple[VcpuNeed, ...]:
    """What the pools need, in the order of providers, regions and ways; nothing of providers that have no such quotas."""
    counting = {row.provider for row in catalog.quotas}
    sums: dict[_Key, _Sum] = {}
    for pool in node_pools:
        if pool.owned or pool.provider not in counting or not pool.types:
            continue
        for position, way in enumerate(_ways(pool)):
            for key, planned in _keys(pool, way, catalog):
                found = sums.setdefault(key, _Sum())
                found.pools[pool.name] = None
                found.most_vcpus += (pool.max + pool.surge_nodes) * max(each.vcpus for each in pool.types)
                if position == 0 and planned is not None:
                    found.vcpus += pool.max * planned.vcpus
                    found.rollout_vcpus += (pool.max + pool.surge_nodes) * planned.vcpus
    return tuple(
        VcpuNeed(
            provider=provider,
            region=region,
            capacity_type=way,
            name=name,
            code=code,
            vcpus=found.vcpus,
            rollout_vcpus=found.rollout_vcpus,
            most_vcpus=found.most_vcpus,
            node_pools=tuple(found.pools),
        )
        for (provider, region, way, name, code), found in sorted(sums.items(), key=lambda item: item[0][:4])
    )


def _ways(pool: NodePool) -> tuple[CapacityType, ...]:
    """The pool's ways as quotas see them, each once."""
    return tuple(dict.fromkeys("on-demand" if way == "reserved" else way for way in pool.capacity_types))


def _keys(pool: NodePool, way: CapacityType, catalog: Catalog) -> Iterator[tuple[_Key, NodeTypePlan | None]]:
    """The quotas that count the pool's types, and for that of the planned type what is planned."""
    seen: set[_Key] = set()
    for position, each in enumerate(pool.types):
        quota = catalog.quota(pool.provider, each.instance_type, way)
        family = each.instance_type.partition(".")[0]
        name, code = (f"unknown: {family}, {way}", None) if quota is None else (quota.name, quota.code)
        zone = catalog.local_zone(pool.region)
        key: _Key = (pool.provider, pool.region if zone is None else zone.region, way, name, code)
        if key not in seen:
            seen.add(key)
            yield key, each if position == 0 else None
