"""The plan as one document."""

from __future__ import annotations

from typing import Final, Literal

from agentgpu_iac.plan.account import VcpuNeed
from agentgpu_iac.plan.agent import AgentPlan, SharingPlan
from agentgpu_iac.plan.cluster import (
    ClusterObjectsPlan,
    GitOpsPlan,
    PolicyPlan,
    PriorityClassPlan,
    QuotaPlan,
    SecurityPlan,
)
from agentgpu_iac.plan.cost import Cost
from agentgpu_iac.plan.driver import Driver
from agentgpu_iac.plan.findings import Rejection, Warning
from agentgpu_iac.plan.hosts import FrontPlan, HostPlan, JoinedPlan
from agentgpu_iac.plan.ledger import Assumption, LedgerEntry, Written
from agentgpu_iac.plan.node_pool import NodePool
from agentgpu_iac.plan.proof import NinePlan, ProofPlan
from agentgpu_iac.plan.proxy import ProxyPlan
from agentgpu_iac.plan.replica import Override
from agentgpu_iac.plan.router import RouterPlan
from agentgpu_iac.plan.sky_service import SkyServicePlan
from agentgpu_iac.plan.start_choice import StartChoice, StartTarget
from agentgpu_iac.plan.system_nodes import ExistingClusterPlan, SystemNodesPlan
from agentgpu_iac.plan.watching import WatchingPlan
from agentgpu_iac.plan.workload import Workload, tiers_by_agent
from agentgpu_iac.spec.document import Document
from agentgpu_iac.spec.vocabulary import Target

Pattern = Literal["single-agent", "multi-agent-orchestration", "high-concurrency-api", "reasoning-heavy"]
Architecture = Literal[
    "single-node", "several-nodes", "baseline-and-burst", "multi-provider-burst", "tiered-by-complexity"
]
PLAN_VERSION: Final = "agentgpu.dev/plan/v1alpha1"


class Provenance(Document):
    """What the plan was made from."""

    spec_sha256: str
    """SHA-256 of the spec file."""
    catalog_version: str
    """First 12 hexadecimal digits of a SHA-256 over the catalog: its packaged files and the overlay. A model's local
    config.json is not in it."""
    tool_version: str
    """Version of agentgpu."""
    solver: str | None = None
    """The solver that placed it, with its version: another one may choose another of two equal placements."""


class Plan(Document):
    """Everything that was decided for one agent stack."""

    api_version: Literal["agentgpu.dev/plan/v1alpha1"]
    """Version of this format."""
    stack: str
    """Name of the stack."""
    target: Target
    """Target of the spec."""
    pattern: Pattern
    """What kind of traffic this is."""
    architecture: Architecture
    """What the placement amounts to: one node, or several of which all always run; a burst tier beside the baseline, maybe at
    another provider; or small and large models on cards of their own."""
    headline: str
    """The plan in a few short sentences."""
    facts: tuple[str, ...] = ()
    """Those sentences, a fact each. Empty in plans of before: ``headline`` alone."""
    workloads: tuple[Workload, ...]
    """One entry per deployment and tier."""
    agents: tuple[AgentPlan, ...] = ()
    """One entry per agent, in the order of the spec. Empty in plans of before, where each agent is a deployment."""
    sharing: tuple[SharingPlan, ...] = ()
    """Agents of one model and engine, and why they share their replicas or do not."""
    node_pools: tuple[NodePool, ...]
    """The nodes."""
    system_nodes: SystemNodesPlan | None = None
    """Nodes without accelerators of the cluster that is made for the stack; null: there is none."""
    existing_cluster: ExistingClusterPlan | None = None
    """What the plan asks of an EKS cluster that is there already; null: a cluster is made, or the target is another."""
    priority_classes: tuple[PriorityClassPlan, ...]
    """The stack's priorities, highest first. Empty: pods have the cluster's default priority."""
    cluster_objects: ClusterObjectsPlan
    """Optional objects that are rendered for a cluster."""
    security: SecurityPlan
    """Who may reach what, and which Secrets are read."""
    quota: QuotaPlan | None
    """The most that the namespace may ask for."""
    vcpu_quotas: tuple[VcpuNeed, ...] = ()
    """vCPUs that the account must be allowed, by quota and region."""
    gitops: GitOpsPlan | None
    """Who applies the manifests."""
    router: RouterPlan | None
    """What spreads requests over replicas; null: the Services alone."""
    proxy: ProxyPlan | None = None
    """LiteLLM in front of the agents, which knows teams and asks fallbacks; null: callers come by themselves."""
    policy: PolicyPlan = PolicyPlan()
    """What the spec allows and forbids."""
    hosts: tuple[HostPlan, ...] = ()
    """What virtual machines run, in the order of the node pools, for the targets ``compose`` and ``spheron``; where there is a
    cluster, what machines beside it run."""
    front: FrontPlan | None = None
    """The machine whose NGINX is in front of all machines; null where there is one machine at most, or each stands for
    itself."""
    joined: JoinedPlan | None = None
    """How the cluster's NGINX reaches machines beside it; null where there are none."""
    sky_services: tuple[SkyServicePlan, ...] = ()
    """One for each agent where the target is ``skyserve``; empty for the others."""
    cost: Cost
    """What it costs."""
    drivers: tuple[Driver, ...] = ()
    """What the price of each deployment stands at, the dearest deployment first."""
    start_choices: tuple[StartChoice, ...] = ()
    """What would shorten the starts of agents whose burst is absorbed by warm replicas, and what that would save."""
    start_targets: tuple[StartTarget, ...] = ()
    """How short those starts must be for fewer warm replicas to do, the fewest first."""
    overrides: tuple[Override, ...]
    """Numbers set by hand, with the computed ones."""
    rejections: tuple[Rejection, ...]
    """What does not serve, and why."""
    warnings: tuple[Warning, ...]
    """What a careful reader wants to know."""
    watching: WatchingPlan
    """How the stack is watched."""
    ledger: tuple[LedgerEntry, ...] = ()
    """The sum behind each number, agent by agent."""
    assumptions: tuple[Assumption, ...] = ()
    """What stands in for what the spec leaves unset."""
    written: tuple[Written, ...] = ()
    """What the spec says, value by value: why another plan is another. Empty in plans of before."""
    proof: tuple[ProofPlan, ...] = ()
    """What simulating it has shown of each agent (``plan --prove``); empty: nobody asked."""
    nines: tuple[NinePlan, ...] = ()
    """What each further nine costs (``agentgpu plan --prove --nines``); empty where nobody asked."""
    provenance: Provenance
    """What the plan was made from."""

    @property
    def served_agents(self) -> tuple[AgentPlan, ...]:
        """Every agent; of plans of before as their workloads tell."""
        return self.agents or tuple(_agent_of(tiers) for tiers in tiers_by_agent(self.workloads).values())

    @property
    def in_cluster(self) -> Plan:
        """The plan as far as it is about the cluster, without machines beside it."""
        beside = {pool.name for pool in self.node_pools if pool.beside_cluster}
        if not beside:
            return self
        return self.model_copy(
            update={
                "workloads": tuple(workload for workload in self.workloads if workload.node_pool not in beside),
                "node_pools": tuple(pool for pool in self.node_pools if pool.name not in beside),
                "hosts": (),
            }
        )

    def deployment_of(self, agent: str) -> str:
        """The deployment that serves an agent. Raises KeyError for an unknown one."""
        for workload in self.workloads:
            if agent in workload.served:
                return workload.agent
        raise KeyError(agent)

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


def _agent_of(tiers: tuple[Workload, ...]) -> AgentPlan:
    """The agent of a deployment that serves one, from its workloads."""
    first, latency = tiers[0], tiers[0].latency
    return AgentPlan(
        name=first.agent,
        deployment=first.agent,
        role=first.role,
        latency_class=first.latency_class,
        user_facing=first.user_facing,
        served_model_name=first.served_model_name,
        adapters=tuple(each.served_as for each in first.model_cache.adapters if each.served_as is not None),
        sessions_concurrent=first.sessions_concurrent,
        sessions_peak=first.sessions_peak,
        context_tokens=first.memory.context_tokens,
        requests_per_session=first.requests_per_session,
        budget_ttft_ms=latency.budget_ttft_ms,
        budget_tpot_ms=latency.budget_tpot_ms,
        budget_e2e_ms=latency.budget_e2e_ms,
        ttft_at_percentile_ms=latency.ttft_at_percentile_ms,
        tpot_at_percentile_ms=latency.tpot_at_percentile_ms,
        e2e_ms=latency.e2e_ms,
        fallback=first.fallback,
        load_ratio=1.0,
    )
