"""The plan: the one answer from which manifests, Pulumi programs, reviews and simulations are made.

It is frozen, versioned and deterministic: the same spec and catalog give the same bytes. Whatever is decided
once and used twice travels here, so that no template and no Pulumi program decides anything. Fields are added
as the project grows; none is renamed.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Final, Literal

from agentgpu_iac.catalog.marketplace import SpheronInstanceType
from agentgpu_iac.spec.document import Document, Money
from agentgpu_iac.spec.vocabulary import (
    CapacityType,
    Engine,
    KvCacheDtype,
    LatencyClass,
    Precision,
    Storage,
    Target,
    Tier,
)

PLAN_VERSION: Final = "agentgpu.dev/plan/v1alpha1"

Pattern = Literal["single-agent", "multi-agent-orchestration", "high-concurrency-api", "reasoning-heavy"]
Architecture = Literal["single-node", "baseline-and-burst", "multi-provider-burst", "tiered-by-complexity"]
PriorityLevel = Literal["user-facing", "burst", "background"]
Topology = Literal["zone", "host"]
WeightLoader = Literal["default", "safetensors", "fastsafetensors", "runai-streamer"]


class SecretVariable(Document):
    """An environment variable that is read from a Secret; its value is never known here."""

    variable: str
    secret: str
    key: str


class EnvironmentVariable(Document):
    """One environment variable of the engine."""

    name: str
    value: str


class EngineFile(Document):
    """A file that the engine reads at start."""

    name: str
    content: str


class EnginePlan(Document):
    """The engine process of one replica, spelled for its version."""

    name: Engine
    version: str
    image: str
    """Image by digest where the spec pins one, else by tag."""
    command: tuple[str, ...]
    """The words before the arguments."""
    args: tuple[str, ...]
    """Arguments of the command."""
    worker_args: tuple[str, ...] = ()
    """Those of the processes on the other nodes of a replica over several; empty for one node."""
    environment: tuple[EnvironmentVariable, ...]
    """What this engine needs beyond what every engine is given."""
    secret_environment: tuple[SecretVariable, ...]
    """What the engine reads from Secrets: the API key that it asks for."""
    files: tuple[EngineFile, ...]
    """Settings that the engine takes from files only, mounted at /etc/engine."""
    health_path: str
    """Answers while the process is well."""
    ready_path: str
    """Answers once requests are served."""


class MemoryPlan(Document):
    """Memory of one accelerator, in GiB. need (totalGib) <= 0.80 x capacityGib over all that share it."""

    weights_gib: float
    draft_weights_gib: float
    """Weights of the draft for speculative decoding; 0 without one."""
    kv_bytes_per_token: int
    """On one accelerator."""
    draft_kv_bytes_per_token: int
    """The same of the draft; 0 without one."""
    kv_per_session_gib: float
    """With the draft's."""
    kv_gib: float
    """KV cache of all sessions of one replica, on one accelerator."""
    activation_gib: float
    """Activation peak of the engine's profiling run."""
    non_torch_gib: float
    """CUDA context, communication buffers, LoRA slots."""
    cuda_graph_gib: float
    """Captured CUDA graphs."""
    overhead_gib: float
    """The three together, or the figure set by hand."""
    total_gib: float
    capacity_gib: float
    """What CUDA sees."""
    capacity_basis: Literal["measured", "driver", "nominal"]
    """Where capacityGib is from: measured, driver figure less 0.5 GiB, or nominal memory x 0.93."""
    utilization_ratio: float
    """totalGib / capacityGib."""
    engine_budget_gib: float
    """What the engine will take: gpu-memory-utilization x capacity, or this engine's part of a shared accelerator."""
    headroom_gib: float
    """KV cache beyond the planned sessions: engineBudgetGib - totalGib."""
    context_tokens: int
    """Context for which each session's memory is reserved."""
    expected_context_tokens: int
    """Mean context over a conversation."""
    error_ratio: float
    """How far off the KV cache size may be, relative; see ``agentgpu size``."""

    @property
    def planned_kv_ratio(self) -> float:
        """Part of a replica's KV cache that its planned sessions fill at their planned context."""
        cache_gib = self.kv_gib + max(0.0, self.headroom_gib)
        return self.kv_gib / cache_gib if cache_gib else 1.0


class LatencyPlan(Document):
    """Latency with every session of the replica generating at once; unset where the accelerator has no data."""

    ttft_ms: float | None
    tpot_ms: float | None
    e2e_ms: float | None
    budget_ttft_ms: float | None
    budget_tpot_ms: float | None
    budget_e2e_ms: float | None
    ttft_error_ratio: float | None
    tpot_error_ratio: float | None
    network_ms: float
    queue_ms: float | None
    prefill_ms: float | None
    decode_ms: float | None
    """One step with every session running."""
    prompt_work_ms: float | None
    """Arithmetic of one mean prompt, its cached part left out: what each of the other sessions adds."""
    uncached_ttft_ms: float | None
    """TTFT if a session's cache was lost and its whole context must be read again."""
    calibrated: bool
    """False: the accelerator's efficiencies are assumed, not measured."""


class ThroughputPlan(Document):
    """Tokens/s of the whole tier, and what the agent needs of it."""

    output_tokens_per_s: float | None
    required_output_tokens_per_s: float
    prefill_tokens_per_s: float | None
    required_prefill_tokens_per_s: float


class ReplicaRange(Document):
    """Replicas of the tier: always ``min``, never more than ``max``."""

    min: int
    max: int


class ColdStartPlan(Document):
    """Seconds from a missing node to a ready replica, by phase."""

    node: float
    driver: float
    image: float
    cache_fill: float
    """Filling the node's model cache from its source; 0 on a node that has it."""
    weights: float
    compile: float
    warm_up: float
    total: float
    warm_node_total: float
    """On a node that is up and has the image and the model cache."""
    error_ratio: float


class ProbePlan(Document):
    """Probe timing. The startup probe allows twice the predicted start on a warm node."""

    startup_period_s: int
    startup_failure_threshold: int
    readiness_period_s: int
    liveness_period_s: int
    liveness_failure_threshold: int


class DrainPlan(Document):
    """How a replica ends: it leaves the Service, finishes what it generates, then stops."""

    pre_stop_s: int
    shutdown_timeout_s: int
    grace_period_s: int
    notice_s: int | None
    """Interruption notice of the provider where the tier may run on spot."""


class RolloutPlan(Document):
    """How a new version replaces the old one, from the accelerators that are free."""

    max_surge: int
    max_unavailable: int
    outage_s: float
    """Seconds without any replica during a rollout; 0 when another replica serves."""
    progress_deadline_s: int
    """Seconds until a rollout counts as stuck: a whole cold start, and all that the startup probe allows."""


class AdmissionPlan(Document):
    """How much a replica takes on before it answers 503, so that a burst cannot ruin TTFT for everyone."""

    max_queued_requests: int | None
    """Requests in flight: the replica's seats plus the requests that still meet the TTFT budget behind them."""
    max_queued_tokens: int | None
    """Prompt tokens of the requests that have no first token yet: those of maxQueuedRequests prompts of the planned
    context. It stops longer prompts before that number of them has come in, and never a burst of planned ones."""


class RoutingPlan(Document):
    """How requests find a replica."""

    policy: Literal["session-affine", "round-robin"]
    prefix_hit_ratio: float
    """Share of earlier context expected in the prefix cache, at peak replicas."""


class GatewayPlan(Document):
    """The Gateway that the agents' routes attach to."""

    name: str
    namespace: str
    hostname: str | None
    """Host name of the routes. Unset: any."""
    scheme: Literal["http", "https"]
    """How callers speak to that host."""


class RoutePlan(Document):
    """How the requests of one agent pass the router."""

    agent: str
    port: int | None
    """Port of the router's pods that belongs to this agent; unset behind a Gateway."""
    policy: Literal["session-affine", "round-robin"]
    max_connections: int | None
    """Requests that one router replica lets through at once: what the seats and queues of all replicas take at the peak.
    Unset: no limit, since the engines have none."""
    max_tries: int
    """Replicas that one request may be sent to, as long as none has answered it."""
    connect_timeout_ms: int
    retry_window_ms: int
    """From a request's start, the time in which it may still go to another replica."""
    answer_timeout_s: int
    """The longest silence of an engine, and so the longest answer that is not streamed."""


class RouterPlan(Document):
    """What stands between the callers and the replicas of some or all agents."""

    kind: Literal["nginx", "gateway"]
    """nginx: one NGINX for all routes. gateway: a Gateway of yours and one endpoint picker per route."""
    version: str
    image: str
    """Image by digest where the spec pins one, else by tag."""
    replicas: int
    """Of NGINX, or of each endpoint picker; on virtual machines 1 on each."""
    spread: tuple[Topology, ...]
    """Over what they are spread where that is possible."""
    priority: PriorityLevel
    """The highest of the agents behind it."""
    cpu_milli: int
    memory_mib: int
    worker_connections: int
    """Connections of one NGINX worker process, to callers and engines together."""
    scratch_mib: int
    """Room for request bodies that are larger than their buffer in memory."""
    session_header: str
    max_request_mib: int
    drain: DrainPlan
    gateway: GatewayPlan | None
    routes: tuple[RoutePlan, ...]
    """In the order of the agents; an agent without a route is reached through its Service alone."""

    @cached_property
    def agents(self) -> frozenset[str]:
        """The agents behind it."""
        return frozenset(route.agent for route in self.routes)


class MetricsPlan(Document):
    """What the engine's Prometheus series are called in its version. Unset: no source names one.

    Counters carry their ``_total``; histograms have no suffix.
    """

    path: str
    """Path of the metrics page, on the engine's port."""
    running: str | None
    waiting: str | None
    kv_usage: str | None
    ttft: str | None
    tpot: str | None
    preemptions: str | None
    rejections: str | None
    prefix_cache_hits: str | None
    prefix_cache_queries: str | None
    generation_tokens: str | None
    prompt_tokens: str | None
    success: str | None
    ttft_edge_s: float | None
    """Bucket edge that stands for the TTFT budget less the network: exactly there, or the next above it."""
    tpot_edge_s: float | None
    """Bucket edge that stands for the TPOT budget."""
    ttft_edges_s: tuple[float, ...]
    """Bucket edges that the engine is told to use instead of its own; empty: its own."""
    tpot_edges_s: tuple[float, ...]


class Trigger(Document):
    """One reason for more burst replicas: what the query gives / threshold, rounded up, is how many."""

    name: Literal["requests", "kv-cache"]
    query: str
    """PromQL. It gives what exceeds the baseline, so that it is 0 at normal load and also where no burst replica runs."""
    threshold: float
    """For one burst replica (AverageValue)."""


class Schedule(Document):
    """Burst replicas at known hours."""

    start: str
    end: str
    timezone: str
    replicas: int


class ScalingPlan(Document):
    """What raises and lowers a burst tier."""

    method: Literal["keda", "hpa"]
    target_api_version: str
    target_kind: str
    prometheus_url: str
    baseline_replicas: int
    seats_per_replica: int
    utilization_ratio: float
    """Part of the seats in use from which another replica is wanted."""
    min_replicas: int
    """0, or 1 with an HPA, which cannot scale to 0."""
    max_replicas: int
    triggers: tuple[Trigger, ...]
    schedules: tuple[Schedule, ...]
    polling_interval_s: int
    cooldown_s: int
    """How long a burst must be over before the last replica goes."""
    scale_down_stabilization_s: int
    """How long fewer replicas must have been enough before one goes."""
    scale_down_period_s: int
    """One replica goes in this time: the drain of the one before is then over."""
    fallback_failures: int
    """Failed queries in a row after which ``fallbackReplicas`` counts."""
    fallback_replicas: int
    """Replicas that stay, at least, while Prometheus does not answer; more if more are running."""


class AlertPlan(Document):
    """One alert rule: what it is about and when it fires."""

    name: str
    agent: str | None
    """Agent that it watches; unset: the whole stack."""
    severity: Literal["critical", "warning"]
    threshold: float
    unit: str
    window_s: int
    """Time over which counters are counted; 0 for what has a value at any time."""
    for_s: int
    """How long it must hold before the alert fires."""


class WatchingPlan(Document):
    """How the stack is watched."""

    monitors: Literal["prometheus-operator", "none"]
    scrape_interval_s: int
    alerts: tuple[AlertPlan, ...]
    dashboard: bool
    labels: dict[str, str]
    """Labels by which a Prometheus selects monitors and rules."""
    runbook_base_url: str | None


class StorageChoice(Document):
    """One place from which a replica's weights could be loaded on this machine."""

    path: str
    """nvme, ebs-gp3, ebs-io2, s3, efs or fsx."""
    loader: str
    seconds: float
    usd_per_month: Money | None
    """For one node, beside the machine; unset: no sourced price."""
    recommended: bool
    """The cheapest that loads within a minute, else the fastest."""
    why: str


class CachedRepository(Document):
    """What an engine loads beside its model, a LoRA adapter or a draft: it must be in the cache before the engine starts."""

    path: str
    revision: str


class ModelCachePlan(Document):
    """Where the weights lie on the node."""

    storage: Storage
    source: str
    path: str
    """Directory of the model below the cache's mount point."""
    revision: str
    """Revision of the model repository that the cache must hold."""
    token_secret: str | None
    """Kubernetes Secret whose key ``token`` opens a gated repository; only its name is ever known here."""
    adapters: tuple[CachedRepository, ...]
    draft: CachedRepository | None
    """The draft model of speculative decoding, where it has one of its own."""
    loader: WeightLoader
    """How the engine reads the weights."""
    choices: tuple[StorageChoice, ...]
    """Where the weights could lie instead, fastest first; on providers whose storage prices are known."""
    model_gib: float
    """What a replica reads at start, a draft model included."""


class PodPlan(Document):
    """Resources of one replica's pod (of each of them, where it has one on each of several nodes); requests equal
    limits.
    """

    cpu_milli: int
    memory_mib: int
    shm_mib: int
    """Size of /dev/shm, counted in memoryMib."""
    kv_offload_mib: int
    """KV cache that the engine keeps in host memory, counted in memoryMib; 0 without."""
    accelerators: int
    """nvidia.com/gpu requested: device slots where the accelerator is shared, else whole accelerators."""
    efa_interfaces: int = 0
    """vpc.amazonaws.com/efa requested: all of the node's for a replica over several nodes, else none."""
    priority: PriorityLevel
    """Which of the stack's priority classes the pod has."""
    spread: tuple[Topology, ...]
    """Over what replicas are spread where that is possible; empty where it would cost nodes or means nothing."""


class Override(Document):
    """A number set by hand, beside the one that we computed."""

    agent: str
    field: str
    computed: float | None
    value: float


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


class CachedModel(Document):
    """A model that a pool's nodes keep in their cache."""

    model: str
    path: str
    revision: str
    gib: float
    fill: bool
    """False for a model known only by a local config.json: its owner puts the weights and the marker there."""
    token_secret: str | None


class FillerPlan(Document):
    """The pod that fills the model cache of one node, where there is something to fill."""

    cpu_milli: int
    memory_mib: int
    memory_limit_mib: int
    """Memory that it may use while it downloads; afterwards it idles."""
    priority: PriorityLevel
    """The highest of the engines that wait for it: none of them may push it off the node."""
    bucket: str | None
    """Bucket and prefix from which it downloads; None: Hugging Face."""


class MarketWay(Document):
    """One way to buy a node on a marketplace."""

    instance_type: SpheronInstanceType
    """What the marketplace calls it."""
    capacity_type: CapacityType
    usd_per_hour: Money
    """Planned price of one node."""
    price_cap_usd_per_hour: Money
    """The most that one node may cost when it is made: usdPerHour x capacity.priceCapRatio. A dearer offer is passed over."""


class MarketPlan(Document):
    """What an offer on a marketplace must be to become a node of the pool."""

    ways: tuple[MarketWay, ...]
    """In order of preference."""
    accelerators: tuple[str, ...]
    """The planned one, then those that carry the same engines with the same arguments and as many sessions, cheapest first."""
    regions: tuple[str, ...]
    """Empty: any."""
    gpu_memory_gb: float
    """Of one accelerator, as it is on the label."""
    vcpus: int
    """As many as the largest engine is given: a container with more than its machine has does not start."""
    host_memory_gib: int
    disk_gib: int
    """For the system, the engine's image and the pool's models."""
    start_timeout_s: int
    """How long a machine may take until it runs."""


class NodePool(Document):
    """Nodes of one kind that workloads of one tier run on."""

    name: str
    tier: Tier
    capacity_types: tuple[CapacityType, ...]
    """In order of preference; several in one pool are a real fallback, several pools are not."""
    instance_types: tuple[str, ...]
    provider: str
    region: str
    accelerator: str
    accelerators_per_node: int
    min: int
    max: int
    reservation: Literal["none", "on-demand", "capacity-block"] = "none"
    """Held EC2 capacity that its nodes use first."""
    nodes_per_replica: int = 1
    """Whole nodes that one of its replicas takes: they come, and are renewed, together."""
    usd_per_hour: Money
    """One node, bought the preferred way; a held one is counted as if it were not held."""
    fallback_usd_per_hour: Money | None
    """One node, bought the last way in capacityTypes, if that differs."""
    price_known: bool = True
    """False: of some way in capacityTypes nobody knows the price; the dearest known of its accelerators stands for it."""
    price_date: str
    price_source: str
    sharing: Literal["none", "time-slicing"]
    slots_per_accelerator: int
    """Engines on one accelerator; 1 unless sharing."""
    fixed_size: bool
    """No autoscaler may change it: autoscalers do not see device-plugin sharing."""
    kubernetes_version: str
    ami_alias: str | None
    architecture: Literal["x86_64", "arm64"]
    nvme_gb: int
    efa_interfaces: int
    """EFA interfaces of the type."""
    root_volume_gib: int
    root_volume_mib_per_s: int
    root_volume_iops: int
    cache_capacity_gib: int
    """Size of the model cache volume."""
    cache_path: str
    """Directory on the node."""
    cached_models: tuple[CachedModel, ...]
    filler: FillerPlan | None
    """None where their owner fills all models."""
    market: MarketPlan | None = None
    """Set where the nodes are bought on a marketplace, offer by offer."""


class HostEngine(Document):
    """One engine process on a virtual machine."""

    name: str
    workload: str
    """Name of the workload that it is a replica of."""
    port: int
    """Its port on the loopback."""
    accelerators: tuple[int, ...]
    """Indices of the machine's accelerators that it uses; engines of a share group use the same."""


class HostService(Document):
    """Software that runs beside the engines on a virtual machine."""

    version: str
    image: str
    """Image by digest where the spec pins one, else by tag."""
    port: int
    """Its port on the loopback."""


class HostSecret(Document):
    """A variable of the machine's file of secrets. Never a value."""

    variable: str
    secret: str
    """The Secret that the spec names."""
    key: str
    purpose: str


class KernelSetting(Document):
    """One sysctl of a virtual machine."""

    name: str
    value: str
    reason: str


class HostPlan(Document):
    """What each machine of one node pool runs, where there is no cluster. All machines of a pool are alike."""

    node_pool: str
    engines: tuple[HostEngine, ...]
    routes: tuple[RoutePlan, ...]
    """The agents on the machine, as far as its own engines carry them."""
    listen: tuple[str, ...]
    """Addresses on which NGINX listens for callers."""
    tls: bool
    """Whether callers speak TLS: wherever others than the machine itself may call."""
    caller_ranges: tuple[str, ...]
    admin_ranges: tuple[str, ...]
    health_port: int
    status_port: int
    """NGINX's own ports, on the loopback."""
    prometheus: HostService | None
    """None where the spec wants no monitors."""
    dcgm_exporter: HostService | None
    ollama: HostService | None
    """For development on a machine without these accelerators; None where the machine is bought for the plan."""
    metrics_retention_days: int
    disks_are_joined: bool
    """Whether blank NVMe disks become the volume of the model cache."""
    secrets: tuple[HostSecret, ...]
    kernel_settings: tuple[KernelSetting, ...]
    open_files: int
    """Limit of open files of each container."""


class MachineRoute(Document):
    """The way from the front machine to one agent on another machine."""

    agent: str
    port: int
    """On the front machine's loopback; what comes there goes to the other machine by TLS."""
    target_port: int
    """The agent's, on the other machine's NGINX."""
    engines: int
    """Engines of the agent there, and so its part of the sessions."""


class OtherMachine(Document):
    """A machine that the front machine's NGINX sends requests to while it runs."""

    name: str
    node_pool: str
    index: int
    """Its number in the pool, from 0."""
    routes: tuple[MachineRoute, ...]


class FrontPlan(Document):
    """The machine whose NGINX is in front of all machines: the first one of a baseline pool."""

    node_pool: str
    server_name: str
    """The name in the certificate that all machines share."""
    routes: tuple[RoutePlan, ...]
    """All agents, with the limits of all machines."""
    others: tuple[OtherMachine, ...]
    """Every machine that may run beside it."""
    worker_connections: int
    """Connections of one worker process of its NGINX: what goes to other machines counts twice."""
    connect_timeout_ms: int
    idle_timeout_s: int
    """Silence after which the way to another machine is closed: longer than any answer takes."""


class SkyPlace(Document):
    """Where SkyPilot may start a replica: one machine with the planned accelerators."""

    cloud: str
    """SkyPilot's name."""
    region: str | None
    """Unset: any region of the cloud."""
    accelerator: str
    """SkyPilot's name."""
    on_demand_usd_per_hour: Money | None
    """Unset: not on offer that way."""
    spot_usd_per_hour: Money | None


class SkySecret(Document):
    """A variable whose value is given to SkyPilot when the service is started. Never a value."""

    variable: str
    secret: str
    """The Secret that the spec names."""
    key: str


class SkyServicePlan(Document):
    """One agent as a SkyServe service. Both of its tiers run the engine of ``workload``."""

    agent: str
    workload: str
    """Name of the workload whose engine its replicas run."""
    name: str
    accelerators: int
    """Of one replica, which is a machine of its own."""
    places: tuple[SkyPlace, ...]
    """The planned one first, then by price."""
    max_usd_per_hour: Money
    """The most that a replica may cost: the planned on-demand price x capacity.priceCapRatio."""
    on_spot: bool
    """Whether replicas beyond ``onDemandReplicas`` are on spot."""
    on_demand_replicas: int
    """Replicas that are never on spot."""
    on_demand_fallback: bool
    """Whether on-demand machines stand in for spot machines that are not ready."""
    min_replicas: int
    max_replicas: int
    requests_per_s_per_replica: float | None
    """From how many on it another replica is wanted; unset: their number is fixed."""
    upscale_delay_s: int
    downscale_delay_s: int
    initial_delay_s: int
    """How long a replica may take to be ready: its cold start with its error."""
    probe_timeout_s: int
    probe_interval_s: int
    failure_threshold_s: int
    """How long a ready replica may fail its probes before it is thrown away."""
    stream_timeout_s: int
    """The longest silence of an engine."""
    disk_gib: int
    memory_gib: int | None
    """Host memory that a replica needs at least; unset: whatever the machine has."""
    models: tuple[CachedModel, ...]
    """What a replica fetches before its engine starts."""
    bucket: str | None
    """Where from; unset: Hugging Face."""
    secrets: tuple[SkySecret, ...]


class PriorityClassPlan(Document):
    """How one kind of pods stands against others where a node is full."""

    level: PriorityLevel
    value: int
    preempts: bool
    """Whether its pods may push out pods of a lower priority."""
    description: str


class NamedSecret(Document):
    """A Secret that the stack reads, and the one key of it that it needs. Never a value."""

    name: str
    key: str
    purpose: str
    store_key: str | None
    """Where an external store holds it; None where you make the Secret."""


class SecretStorePlan(Document):
    """The External Secrets store from which the Secrets are made."""

    name: str
    kind: Literal["SecretStore", "ClusterSecretStore"]


class SecurityPlan(Document):
    """Who may reach what, and which Secrets the stack reads."""

    network_policies: bool
    callers: tuple[str, ...]
    """Namespaces that may call the agents; empty: every namespace of the cluster."""
    monitoring_namespace: str
    secrets: tuple[NamedSecret, ...]
    secret_store: SecretStorePlan | None
    api_key_secret: str | None
    """Secret whose key ``key`` callers send as a bearer token; None: nobody is asked for one."""


class QuotaPlan(Document):
    """The most that the namespace may ask for: everything at its peak, in the middle of a rollout."""

    pods: int
    cpu_milli: int
    memory_mib: int
    memory_limit_mib: int
    accelerators: int


class ClusterObjectsPlan(Document):
    """Optional objects that are rendered for a cluster. Others show by what the plan holds: priorityClasses, fillers, spread."""

    disruption_budgets: bool
    helm_values: bool


class GitOpsPlan(Document):
    """Who applies the manifests, and from where."""

    tool: Literal["argocd", "flux"]
    repository: str
    revision: str
    revision_kind: Literal["branch", "tag"]
    path: str
    """Folder of the overlay in the repository."""
    namespace: str
    timeout_s: int
    """How long a rollout may take before it counts as failed: the longest progress deadline of the baseline."""
    others_scale: tuple[str, ...]
    """Deployments whose replicas someone else sets, so that the tool must leave them alone."""


class PolicyPlan(Document):
    """What the spec allows and forbids, for whoever carries the plan out without the spec."""

    allow_unpriced: bool = False
    """Whether machines may be bought of which nobody knows the price."""
    budget_usd_per_month: Money | None = None
    """The most that the baseline may cost in a month."""


class LineItem(Document):
    """One part of the cost."""

    node_pool: str
    tier: Tier
    capacity_type: CapacityType
    instance_type: str
    nodes: int
    usd_per_hour: Money
    """One node."""
    usd_per_month: Money
    """All nodes of the line over 720 h for the baseline; over the expected burst hours for the burst tier."""
    price_known: bool = True
    """False: usdPerHour stands for a price that nobody knows; priceSource says whose it is."""
    price_date: str
    price_source: str


class Alternative(Document):
    """Something else that would work, and what it would cost."""

    agent: str | None
    """None where the alternative concerns the whole stack."""
    description: str
    accelerator: str | None
    instance_type: str | None
    replicas: int | None
    usd_per_month: Money
    delta_usd_per_month: Money
    """Compared with what the same agent causes of this plan's cost: its part of the nodes that it is on."""
    note: str


class Cost(Document):
    """What the plan costs, and how sure we are that nothing on offer is cheaper."""

    baseline_usd_per_month: Money
    """The baseline tier over 720 h, at the preferred capacity type."""
    peak_usd_per_hour: Money
    """Baseline and burst tier together, at the peak."""
    expected_usd_per_month: Money
    """Baseline + burst tier over the spec's burst hours: what the planner minimised."""
    line_items: tuple[LineItem, ...]
    alternatives: tuple[Alternative, ...]
    optimality_gap_ratio: float
    """Of the solver, over the candidates considered."""


class Rejection(Document):
    """A candidate that does not serve, the constraint that stopped it, what it needs and the limit."""

    agent: str
    accelerator: str
    instance_type: str | None
    tensor_parallel_size: int | None
    pipeline_parallel_size: int | None
    precision: Precision | None
    constraint: str
    need: float | None
    limit: float | None
    unit: str
    message: str


class Warning(Document):
    """Something that a careful reader would want to know, with its numbers."""

    code: str
    agent: str | None
    message: str


class Provenance(Document):
    """What the plan was made from."""

    spec_sha256: str
    catalog_version: str
    tool_version: str


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
    provenance: Provenance

    def pool(self, name: str) -> NodePool:
        """The node pool of that name. Raises KeyError for an unknown one."""
        for pool in self.node_pools:
            if pool.name == name:
                return pool
        raise KeyError(name)


def tiers_by_agent(workloads: Iterable[Workload]) -> dict[str, tuple[Workload, ...]]:
    """The workloads of each agent, the baseline first, in the order of the agents."""
    found: dict[str, tuple[Workload, ...]] = {}
    for one in workloads:
        found[one.agent] = (*found.get(one.agent, ()), one)
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class RenderedFile:
    """A file that was made but not yet written: its path below the output folder, and its bytes."""

    path: str
    content: bytes
