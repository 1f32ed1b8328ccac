"""What advice is about: the decisions, and the plan as far as it is made, each part found by its name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from agentgpu_iac.catalog.store import Catalog
from agentgpu_iac.plan import AgentPlan, Alternative, Cost, NodePool, ProxyPlan, RouterPlan, SkyServicePlan, Workload
from agentgpu_iac.planning.choosing.candidates import Candidate
from agentgpu_iac.spec.model import StackSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """What there is to say something about."""

    spec: StackSpec
    catalog: Catalog
    stack: str
    candidates: tuple[Candidate, ...]
    tiers: Mapping[str, tuple[Workload, ...]]
    """The workloads of each agent, the baseline first."""
    pools: Mapping[str, NodePool]
    router: RouterPlan | None
    proxy: ProxyPlan | None
    agents: tuple[AgentPlan, ...]
    """All agents, in the order of the spec."""
    routed: frozenset[str]
    """Agents that have a route."""
    cost: Cost
    second_replicas: Mapping[str, Alternative]
    """A second warm replica, for each agent that would lack one during a rollout."""
    groups_complete: bool
    sky_services: tuple[SkyServicePlan, ...] = ()

    @property
    def workloads(self) -> tuple[Workload, ...]:
        """All of them, agent by agent."""
        return tuple(workload for tiers in self.tiers.values() for workload in tiers)

    @property
    def node_pools(self) -> tuple[NodePool, ...]:
        """All of them, in the order of the plan."""
        return tuple(self.pools.values())
