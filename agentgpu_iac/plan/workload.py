"""One deployment in one tier."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from agentgpu_iac.plan.engine import EnginePlan
from agentgpu_iac.plan.generating import GeneratingPlan
from agentgpu_iac.plan.model_cache import ModelCachePlan
from agentgpu_iac.plan.open_hours import OpenHoursPlan
from agentgpu_iac.plan.pooling import PoolingPlan
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
from agentgpu_iac.plan.scaling import PacePlan, ScalingPlan
from agentgpu_iac.plan.step_times import StepTimesPlan
from agentgpu_iac.plan.thinking import ThinkingPlan
from agentgpu_iac.plan.watching import MetricsPlan
from agentgpu_iac.spec.document import Document, Money
from agentgpu_iac.spec.reserved import REST_ENDING
from agentgpu_iac.spec.vocabulary import GroupChoice, KvCacheDtype, LatencyClass, Precision, Tier


class Workload(Document):
    """One deployment in one tier, the baseline first for each deployment."""

    agent: str
    """Name of the deployment: the agent's own where it serves one, else made from the model's."""
    agents: tuple[str, ...] = ()
    """Agents of the spec that it serves. Empty in plans of before: the one that it is named after."""
    role: str | None
    """As in the spec."""
    tier: Tier
    """``baseline`` is always warm, ``burst`` comes on demand."""
    name: str
    """Name of its Kubernetes objects: the deployment's, with ``-burst`` for the burst tier, and ``-rest`` for what carries the
    rest of a baseline that is on two kinds of machine."""
    node_pool: str
    """Name of its node pool."""
    share_group: str | None
    """Workloads of one group stay resident on the same accelerator."""
    latency_class: LatencyClass
    """As in the spec."""
    user_facing: bool
    """The class is not ``background``."""
    interruptible: bool = False
    """Its state is checkpointed, so that its baseline too may be on spot."""
    model: str
    """Hugging Face id, or the local path."""
    model_source: Literal["catalog", "config"]
    """``catalog``, or ``config`` for a local config.json."""
    pooling: PoolingPlan | None = None
    """What is asked of a model that generates nothing; null: it chats."""
    served_model_name: str
    """Model name under which requests ask for it, and the first where it has several; each agent's stands in ``agents``."""
    engine: EnginePlan
    """Engine process."""
    accelerator: str
    """Accelerator id."""
    accelerators_per_replica: int
    """TP x PP x attention groups."""
    tensor_parallel_size: int
    """Accelerators that share every layer, or with attention groups the attention of one of them."""
    pipeline_parallel_size: int
    """Groups of layers that follow one another."""
    attention_data_parallel_size: int = 1
    """Attention groups: each holds the attention whole, with requests and KV cache of its own; all share the experts."""
    expert_parallel_size: int = 1
    """Parts into which whole experts are dealt out; 1: each accelerator has a slice of every expert."""
    group_choice: GroupChoice | None = None
    """Who chooses the attention group of a request: ``balanced``, the engine for each request; ``by-session``, the router,
    always the same for a session. null: there is one."""
    nodes_per_replica: int = 1
    """Whole nodes that one replica takes, with a pod on each. 1: a Deployment; more: a LeaderWorkerSet."""
    gbps_between_nodes: float = 0.0
    """Rate at which they hand one another activations, as the latency counts it; 0 for one node."""
    precision: Precision
    """Precision of the weights."""
    kv_cache_dtype: KvCacheDtype
    """Number format of the KV cache."""
    max_model_len: int
    """``--max-model-len``."""
    max_num_seqs: int
    """Sessions that one replica holds: ``--max-num-seqs`` where it has one attention group and all of them stay in its cache."""
    max_num_seqs_per_group: int | None = None
    """``--max-num-seqs`` where it is another number: seats of each of several attention groups (its part of the sessions, and
    what the fullest group has more than the mean), or the sessions that stay in the cache (``residentSessions``). null in
    plans of before: maxNumSeqs."""
    max_num_batched_tokens: int
    """``--max-num-batched-tokens`` (of each attention group): the longest uncached prompt in one chunk, between 2,048 and the
    engine's default."""
    gpu_memory_utilization: float
    """The engine version's default share."""
    kv_cache_memory_bytes: int | None
    """Fixed KV budget of an engine that shares its accelerator."""
    port: int
    """Port of the engine and its Service."""
    generating: GeneratingPlan | None = None
    """How many of its sessions generate at once; null where it holds none or no time of a request is known, and in plans of
    before: all of them."""
    paused_cache: Literal["keep", "offload", "drop"] = "keep"
    """Where the KV cache of a session is while it pauses: on the accelerator; in host memory, from which its next request gets
    it back; or nowhere, so that it is read again."""
    resident_sessions: int | None = None
    """Sessions of a replica whose KV cache its accelerators hold at once: maxNumSeqs where paused ones are kept, else as many
    as may generate, and of those that pause as many as are to find theirs; null where it holds none, and in plans of before."""
    paused_found_ratio: float = 1.0
    """Share of the requests that find their session's cache on the accelerators after its pause, as planned: the others load it
    back from the host, or read it again. 1 where it is kept, and in plans of before."""
    memory: MemoryPlan
    """Memory of one accelerator."""
    latency: LatencyPlan
    """Latency of one replica."""
    throughput: ThroughputPlan
    """Throughput of the tier."""
    replicas: ReplicaRange
    """Replicas of the tier."""
    cold_start_s: ColdStartPlan
    """Cold start."""
    probes: ProbePlan
    """Probes."""
    drain: DrainPlan
    """Drain."""
    rollout: RolloutPlan
    """Rollout."""
    admission: AdmissionPlan
    """Admission."""
    waiting_room: int | None = None
    """Requests that may wait behind full seats and still meet the TTFT budget, whoever holds them: the engine up to its
    limit, or the endpoint picker. null: no TTFT budget."""
    routing: RoutingPlan
    """Routing."""
    thinking: ThinkingPlan | None = None
    """Whether the model reasons before it answers; null where it generates nothing, and in plans of before."""
    model_cache: ModelCachePlan
    """Model cache."""
    pod: PodPlan
    """Pod resources."""
    sessions_concurrent: int
    """Sessions at normal load, of all agents."""
    sessions_peak: int
    """Sessions at the peak, of all agents."""
    burst_ramp_s: float | None = None
    """Seconds from normal load to the peak: of its agents, or of who asks them, that which climbs fastest; null in plans of
    before."""
    fallback: str | None
    """Agent that callers should turn to when this one cannot answer; null where several agents have one each, in ``agents``."""
    chosen_because: str
    """One sentence: why this accelerator."""
    metrics: MetricsPlan | None
    """What the engine's series are called. null: nothing is known about this version's."""
    step_times: StepTimesPlan | None = None
    """What its steps take, by which it is simulated; null where the accelerator has no data, and in plans of before."""
    pace: PacePlan | None = None
    """How its sessions ask. null: no time of a request is known."""
    scaling: ScalingPlan | None
    """What scales it; set for a burst tier that something scales."""
    open_hours: OpenHoursPlan | None = None
    """Hours in which its replicas are there; set for a baseline that follows a schedule. null: around the clock."""
    replica_usd_per_hour: Money
    """One replica's part of its node, bought the preferred way."""
    requests_per_session: float
    """Requests to the engine in one conversation."""

    @property
    def served(self) -> tuple[str, ...]:
        """Agents that it serves."""
        return self.agents or (self.agent,)

    @property
    def title(self) -> str:
        """Its deployment in sentences, with whom it serves where that is more than the one that it is named after."""
        return self.agent if self.served == (self.agent,) else f"{self.agent} ({', '.join(self.served)})"

    @property
    def is_rest(self) -> bool:
        """Whether it carries the rest of a baseline whose first part is on another kind of machine."""
        return self.tier == "baseline" and self.name == f"{self.agent}{REST_ENDING}"

    @property
    def tier_label(self) -> str:
        """What tells its pods, and their series, from those of the deployment's other workloads."""
        return f"{self.tier}{REST_ENDING}" if self.is_rest else self.tier

    @property
    def seats_per_group(self) -> int:
        """Seats of each attention group."""
        return self.max_num_seqs if self.max_num_seqs_per_group is None else self.max_num_seqs_per_group

    @property
    def sessions_in_cache(self) -> int:
        """Sessions that fill its planned part of the KV cache: fewer than it holds where those that pause are not kept there."""
        return self.max_num_seqs if self.resident_sessions is None else self.resident_sessions

    @property
    def most_generating(self) -> int:
        """Requests that one replica may compute at once: all its seats, where nothing says fewer."""
        return self.max_num_seqs if self.generating is None else self.generating.most

    @property
    def kind(self) -> Literal["Deployment", "LeaderWorkerSet"]:
        """Kind of the object that runs it: the one to scale."""
        return "Deployment" if self.nodes_per_replica == 1 else "LeaderWorkerSet"


def tiers_by_agent(workloads: Iterable[Workload]) -> dict[str, tuple[Workload, ...]]:
    """The workloads of each deployment by its name, in the order of the deployments: the baseline first, of a divided one its
    first part, and the burst last.
    """
    found: dict[str, tuple[Workload, ...]] = {}
    for workload in workloads:
        found[workload.agent] = (*found.get(workload.agent, ()), workload)
    return found


def baselines(tiers: Iterable[Workload]) -> tuple[Workload, ...]:
    """Of a deployment's workloads those that are always there: one, or two where its baseline is on two kinds of machine."""
    return tuple(tier for tier in tiers if tier.tier == "baseline")


def warm_replicas(tiers: Iterable[Workload]) -> int:
    """Replicas of a deployment that are always there."""
    return sum(tier.replicas.max for tier in baselines(tiers))
