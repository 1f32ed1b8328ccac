"""The plan as one document."""

from __future__ import annotations

from typing import Final, Literal

from agentgpu_iac.plan.cluster import (
    ClusterObjectsPlan,
    GitOpsPlan,
    PolicyPlan,
    PriorityClassPlan,
    QuotaPlan,
    SecurityPlan,
)
from agentgpu_iac.plan.cost import Cost
from agentgpu_iac.plan.findings import Rejection, Warning
from agentgpu_iac.plan.hosts import FrontPlan, HostPlan
from agentgpu_iac.plan.ledger import Assumption, LedgerEntry
from agentgpu_iac.plan.node_pool import NodePool
from agentgpu_iac.plan.replica import Override
from agentgpu_iac.plan.router import RouterPlan
from agentgpu_iac.plan.sky_service import SkyServicePlan
from agentgpu_iac.plan.watching import WatchingPlan
from agentgpu_iac.plan.workload import Workload
from agentgpu_iac.spec.document import Document
from agentgpu_iac.spec.vocabulary import Target

Pattern = Literal["single-agent", "multi-agent-orchestration", "high-concurrency-api", "reasoning-heavy"]
Architecture = Literal["single-node", "baseline-and-burst", "multi-provider-burst", "tiered-by-complexity"]
PLAN_VERSION: Final = "agentgpu.dev/plan/v1alpha1"


class Provenance(Document):
    """What the plan was made from."""

    spec_sha256: str
    catalog_version: str
    tool_version: str
    solver: str | None = None
    """The solver that placed it, with its version: another one may choose another of two equal placements."""


class Plan(Document):
    """Everything that was decided for one agent stack."""

    api_version: Literal["agentgpu.dev/plan/v1alpha1"]
    stack: str
    target: Target
    pattern: Pattern
    architecture: Architecture
    headline: str
    workloads: tuple[Workload, ...]
    node_pools: tuple[NodePool, ...]
    priority_classes: tuple[PriorityClassPlan, ...]
    """Empty: pods have the cluster's default priority."""
    cluster_objects: ClusterObjectsPlan
    security: SecurityPlan
    quota: QuotaPlan | None
    gitops: GitOpsPlan | None
    router: RouterPlan | None
    """Unset: the Services alone spread connections."""
    policy: PolicyPlan = PolicyPlan()
    hosts: tuple[HostPlan, ...] = ()
    """What virtual machines run, in the order of the node pools; empty for targets that have a cluster."""
    front: FrontPlan | None = None
    """Unset: there is one machine at most, or each machine stands for itself."""
    sky_services: tuple[SkyServicePlan, ...] = ()
    """One for each agent where the target is skyserve; empty for the others."""
    cost: Cost
    overrides: tuple[Override, ...]
    rejections: tuple[Rejection, ...]
    warnings: tuple[Warning, ...]
    watching: WatchingPlan
    ledger: tuple[LedgerEntry, ...] = ()
    """The sum behind each number, agent by agent."""
    assumptions: tuple[Assumption, ...] = ()
    """What stands in for what the spec leaves unset."""
    provenance: Provenance

    def pool(self, name: str) -> NodePool:
        """The node pool of that name. Raises KeyError for an unknown one."""
        for pool in self.node_pools:
            if pool.name == name:
                return pool
        raise KeyError(name)

    @property
    def karpenter_pools(self) -> tuple[NodePool, ...]:
        """The node pools whose nodes Karpenter makes, where it is chosen over node groups."""
        return tuple(pool for pool in self.node_pools if pool.autoscaler == "karpenter")
