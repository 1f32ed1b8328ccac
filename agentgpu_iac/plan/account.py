"""What a plan needs of the account that pays: quotas that count vCPUs."""

from __future__ import annotations

from agentgpu_iac.spec.document import Document
from agentgpu_iac.spec.vocabulary import CapacityType


class VcpuNeed(Document):
    """vCPUs of one quota that the plan needs in one region."""

    provider: str
    """Provider id."""
    region: str
    """Region; the quota counts in each by itself."""
    capacity_type: CapacityType
    """How the machines are bought: on-demand or spot."""
    name: str
    """What the provider's console calls the quota."""
    code: str | None
    """Its code; null: which quota counts these machines is not known."""
    vcpus: int
    """All nodes at the peak, as planned: the planned instance type, bought the preferred way."""
    rollout_vcpus: int
    """The same with the nodes that rollouts add for a while."""
    most_vcpus: int
    """The most that can be asked for: every node of the largest type that may stand in, spot nodes bought on-demand
    where spot is out, and the nodes that rollouts add."""
    node_pools: tuple[str, ...]
    """Pools whose nodes count."""
