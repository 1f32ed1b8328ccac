"""One agent in one tier."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from agentgpu_iac.plan.engine import EnginePlan
from agentgpu_iac.plan.model_cache import ModelCachePlan
from agentgpu_iac.plan.replica import (
    AdmissionPlan,
    ColdStartPlan,
    DrainPlan,
    LatencyPlan,
    MemoryPlan,
    PodPlan,
    ProbePlan,
    ReplicaRange,
    RolloutPlan,
    ThroughputPlan,
)
from agentgpu_iac.plan.router import RoutingPlan
from agentgpu_iac.plan.scaling import ScalingPlan
from agentgpu_iac.plan.watching import MetricsPlan
from agentgpu_iac.spec.document import Document, Money
from agentgpu_iac.spec.vocabulary import KvCacheDtype, LatencyClass, Precision, Tier


class Workload(Document):
    """One agent in one tier."""

    agent: str
    role: str | None
    tier: Tier
    name: str
    """Name of its Kubernetes objects: the agent's, with ``-burst`` for the burst tier."""
    node_pool: str
    share_group: str | None
    """Workloads of one group stay resident on the same accelerator."""
    latency_class: LatencyClass
    user_facing: bool
    interruptible: bool = False
    """Its state is checkpointed, so that its baseline too may be on spot."""
    model: str
    model_source: Literal["catalog", "config"]
    served_model_name: str
    """Model name under which requests ask for it."""
    engine: EnginePlan
    accelerator: str
    accelerators_per_replica: int
    tensor_parallel_size: int
    pipeline_parallel_size: int
    nodes_per_replica: int = 1
    """Whole nodes that one replica takes, with a pod on each."""
    gbps_between_nodes: float = 0.0
    """Rate at which they hand one another activations, as the latency counts it; 0 for one node."""
    precision: Precision
    kv_cache_dtype: KvCacheDtype
    max_model_len: int
    max_num_seqs: int
    max_num_batched_tokens: int
    gpu_memory_utilization: float
    kv_cache_memory_bytes: int | None
    """Fixed KV budget of an engine that shares its accelerator."""
    port: int
    memory: MemoryPlan
    latency: LatencyPlan
    throughput: ThroughputPlan
    replicas: ReplicaRange
    cold_start_s: ColdStartPlan
    probes: ProbePlan
    drain: DrainPlan
    rollout: RolloutPlan
    admission: AdmissionPlan
    routing: RoutingPlan
    model_cache: ModelCachePlan
    pod: PodPlan
    sessions_concurrent: int
    sessions_peak: int
    fallback: str | None
    """Agent that callers should turn to when this one cannot answer; its address stands beside this one's."""
    chosen_because: str
    """One sentence: why this accelerator."""
    metrics: MetricsPlan | None
    """Unset: nothing is known about the metrics of this engine's version."""
    scaling: ScalingPlan | None
    """Set for a burst tier that something scales."""
    replica_usd_per_hour: Money
    """One replica's part of its node, bought the preferred way."""
    requests_per_session: float
    """Requests to the engine in one conversation."""

    @property
    def kind(self) -> Literal["Deployment", "LeaderWorkerSet"]:
        """Kind of the object that runs it: the one to scale."""
        return "Deployment" if self.nodes_per_replica == 1 else "LeaderWorkerSet"


def tiers_by_agent(workloads: Iterable[Workload]) -> dict[str, tuple[Workload, ...]]:
    """The workloads of each agent, the baseline first, in the order of the agents."""
    found: dict[str, tuple[Workload, ...]] = {}
    for one in workloads:
        found[one.agent] = (*found.get(one.agent, ()), one)
    return found
