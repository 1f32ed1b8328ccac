"""vCPUs that the nodes of an agent take of the account's quotas."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from agentgpu_iac.plan import NodePool, VcpuNeed
from agentgpu_iac.sizing.ledger import Line
from agentgpu_iac.units import counted

SECTION = "vCPU quotas"


def quota_lines(pool: NodePool, needs: Iterable[VcpuNeed]) -> Iterator[Line]:
    """The quotas that count the pool's nodes: what all pools need of them, and this one's part."""
    each = pool.types[0].vcpus if pool.types else 0
    for need in needs:
        if pool.name not in need.node_pools:
            continue
        more = f"; {need.rollout_vcpus} in a rollout, {need.most_vcpus} at most"
        yield Line(
            name=f"{need.name} ({need.region})",
            formula="nodes at the peak x vCPUs of the planned type, over all pools that count",
            inputs=f"{pool.name}: {counted(pool.max, 'node')} of {each} vCPUs, {' > '.join(pool.capacity_types)}",
            value=need.vcpus,
            result=f"{need.vcpus} vCPUs{more}",
            unit="vCPUs",
            source=f"Service Quotas {need.code}" if need.code else "no quota is known for these machines",
        )
