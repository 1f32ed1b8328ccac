"""One replica: its memory, speed, start, end and resources, and what was set by hand."""

from __future__ import annotations

from decimal import Decimal
from typing import Literal

from agentgpu_iac.plan.vocabulary import PriorityLevel, Topology
from agentgpu_iac.spec.document import Document, Money
from agentgpu_iac.units import figure


class MemoryPlan(Document):
    """Memory of one accelerator, in GiB. need (totalGib) <= (1 - reserveRatio) x capacityGib over all that share it."""

    weights_gib: float
    """Of the model, LoRA slots included."""
    draft_weights_gib: float
    """Weights of the draft for speculative decoding; 0 without one."""
    kv_bytes_per_token: int
    """On one accelerator."""
    draft_kv_bytes_per_token: int
    """The same of the draft; 0 without one."""
    kv_per_session_gib: float
    """KV cache of one session at ``contextTokens``, in whole pages, the draft's included."""
    shared_kv_gib: float = 0.0
    """Part of it that is the prefix which all sessions share (``sharedPrefixTokens``): a replica holds it once."""
    kv_gib: float
    """KV cache of all sessions of one replica, on one accelerator; at least what the engine wants free for one request of
    that length before it starts."""
    activation_gib: float
    """Activation peak of the engine's profiling run."""
    non_torch_gib: float
    """CUDA context and communication buffers."""
    cuda_graph_gib: float
    """Captured CUDA graphs."""
    overhead_gib: float
    """The three together (times the ratio of your own run, if any), or the figure set by hand."""
    total_gib: float
    """The need: weights + draft + kvGib + overheadGib."""
    capacity_gib: float
    """What CUDA sees."""
    capacity_basis: Literal["measured", "driver", "nominal"]
    """Where capacityGib is from: measured, driver figure less 0.5 GiB, or nominal memory x 0.93."""
    utilization_ratio: float
    """totalGib / capacityGib."""
    engine_budget_gib: float
    """What the engine will take: its share of the capacity (TensorRT-LLM: of what is free after loading), or its part of
    a shared accelerator."""
    headroom_gib: float
    """KV cache beyond the planned sessions after a cold start: engineBudgetGib - coldStartGib - totalGib."""
    context_tokens: int
    """Context for which each session's memory is reserved."""
    expected_context_tokens: int
    """Mean context over a conversation."""
    error_ratio: float
    """How far off the KV cache size may be, relative; see ``agentgpu size``."""
    cold_start_gib: float = 0.0
    """What a start with an empty compile cache leaves less of engineBudgetGib than one with a full one: the planned case."""
    reserve_ratio: float | None = None
    """Share of the capacity that the need leaves free: ``capacity.memoryReserveRatio``, or the least that the engine's own
    share of the memory and the error of the sum leave where that is more."""

    @property
    def planned_kv_ratio(self) -> float:
        """Part of a replica's KV cache that its planned sessions fill at their planned context."""
        cache_gib = self.kv_gib + max(0.0, self.headroom_gib)
        return self.kv_gib / cache_gib if cache_gib else 1.0


class LatencyPlan(Document):
    """Latency while ``generating.planned`` requests are computed at once; unset where the accelerator has no data."""

    ttft_ms: float | None
    """Request sent to first token: network + mean queue + prefill of the longest prompt + one step."""
    tpot_ms: float | None
    """Mean time per output token after the first."""
    e2e_ms: float | None
    """One whole turn, tool time left out; the whole answer of a model that generates nothing."""
    e2e_at_percentile_ms: float | None = None
    """That whole answer at the percentile: the step that runs, those of what waits and of its own inputs, server and network.
    Its budget is held against it. null: the model generates, and is held to TTFT and TPOT."""
    e2e_miss_ratio: float | None = None
    """How likely the real figure is over its budget, by the stated error; null: as above, or no budget."""
    e2e_error_ratio: float | None = None
    """Stated error of both."""
    percentile: float = 95.0
    """Part of the requests, in percent, for which the budgets of TTFT and TPOT hold (``latency.percentile``)."""
    ttft_at_percentile_ms: float | None = None
    """TTFT at that percentile: the steady wait behind other prompts is counted as exponential, the prompt as the longest.
    The budget is held against it."""
    tpot_at_percentile_ms: float | None = None
    """The same for TPOT: the prompts of others that share an answer's steps are counted as Poisson."""
    ttft_miss_ratio: float | None = None
    """How likely the real figure is over its budget, by the stated error; null: no budget, or measured by hand."""
    tpot_miss_ratio: float | None = None
    """The same for TPOT."""
    budget_ttft_ms: float | None
    """Budget of the class or of the spec; null: none."""
    budget_tpot_ms: float | None
    """The same for TPOT."""
    budget_e2e_ms: float | None
    """Set only where the spec sets ``e2eMs``, or where the class's budget holds for the whole answer."""
    ttft_error_ratio: float | None
    """About 80 % of the measured runs of this engine generation lie within this of the prediction (1.5 times as wide
    where uncalibrated)."""
    tpot_error_ratio: float | None
    """The same for TPOT."""
    network_ms: float
    """``network.roundTripMs`` of the spec, and ``wideAreaMs``."""
    wide_area_ms: float = 0.0
    """Part of it: three times ``network.burstRttMs`` where the engine is on a machine beside the cluster."""
    reload_ms: float = 0.0
    """Part of the TTFT: the longest history of a session comes back from host memory; 0 where caches are kept or dropped."""
    queue_ms: float | None
    """Engine and host time, and the mean wait for the prompts of other sessions; of a model that generates nothing, the step
    that runs when a request comes."""
    prefill_ms: float | None
    """Reading the longest uncached prompt of the conversation; of a model that generates nothing, the steps for
    what waits and for a request's own inputs."""
    decode_ms: float | None
    """One step with every session running."""
    prompt_work_ms: float | None
    """Arithmetic of one mean prompt, its cached part left out: what each of the other sessions adds."""
    uncached_ttft_ms: float | None
    """TTFT if a session's cache was lost and its whole context must be read again."""
    calibrated: bool
    """False: no measured run used this accelerator; its efficiencies are taken from others."""

    @property
    def first_answer_budget_ms(self) -> float | None:
        """The budget of what a caller sees first: a token, or the whole answer of a model that generates nothing."""
        return self.budget_ttft_ms if self.e2e_at_percentile_ms is None else self.budget_e2e_ms

    @property
    def first_answer_at_percentile_ms(self) -> float | None:
        """The same as planned, at the percentile."""
        return self.ttft_at_percentile_ms if self.e2e_at_percentile_ms is None else self.e2e_at_percentile_ms


class ThroughputPlan(Document):
    """Tokens/s of the whole tier, and what the agent needs of it."""

    output_tokens_per_s: float | None
    """What the tier's replicas generate together."""
    required_output_tokens_per_s: float
    """What the tier must generate: normal load for a baseline with a burst tier behind it, the peak for one without, the
    rest of the peak for a burst tier."""
    prefill_tokens_per_s: float | None
    """Uncached prompt tokens that the tier reads while it serves."""
    required_prefill_tokens_per_s: float
    """What it must read."""


class ReplicaRange(Document):
    """Replicas of the tier: always ``min``, never more than ``max``; a baseline has ``max`` in all hours of its schedule."""

    min: int
    """Always running; 0 for a burst tier, and what stays outside its windows of a baseline that follows a schedule."""
    max: int
    """Never more."""


class ColdStartUpper(Document):
    """The same phases as they may be at worst: one start in twenty is slower."""

    node: float
    """Node claim and launch."""
    driver: float
    """Node ready to GPU registered."""
    image: float
    """Pulling the engine's image."""
    cache_fill: float
    """Filling the node's model cache: a slow download, or the filler's ``fillS`` where all nodes of the pool fill theirs
    through one gateway and that takes longer."""
    imports: float
    """Container start to the first byte of weights."""
    weights: float
    """Reading the weights."""
    compile: float
    """torch.compile."""
    warm_up: float
    """Profiling, KV allocation, tuning, graph capture."""
    first_answer: float
    """Ready to the first answer."""
    total: float
    """The whole start: the likely one and the root of the sum of the squares of what each part may take longer, since not
    all are late at once. Alerts, deadlines and the time for which a node may drain follow it."""
    warm_node_total: float
    """To a ready replica on a warm node, summed the same way. The startup probe follows it."""
    alone_total: float = 0.0
    """The whole start where no other node of the pool fills its cache meanwhile: ``total`` without what a shared gateway
    adds to the fill. Warm replicas follow it."""
    restart_total: float | None = None
    """To a ready replica on a node where it has run before."""


class ColdStartPlan(Document):
    """Seconds from a missing node to a first answer, by phase, as they are likely."""

    node: float
    """Node claim and launch."""
    driver: float
    """Node ready to GPU registered."""
    image: float
    """Pulling the engine's image."""
    cache_fill: float
    """Filling the node's model cache from its source; 0 on a node that has it."""
    imports: float
    """Container start to the first byte of weights: Python imports, configuration, processes of all ranks."""
    weights: float
    """Reading the weights from the node's cache, cold."""
    compile: float
    """torch.compile; kept on the node's cache afterwards."""
    warm_up: float
    """Profiling, KV allocation, tuning of kernels, graph capture."""
    first_answer: float
    """Ready to the first answer, which finds kernels that the warm-up left out."""
    total: float
    """All phases, or ``overrides.coldStartS``."""
    warm_node_total: float
    """To a ready replica on a node that is up and has the image and the model cache."""
    restart_total: float | None = None
    """To a ready replica on a node where it has run before: its compiled code is kept, its files lie in memory. How long an
    engine that exits is away."""
    error_ratio: float
    """How much longer than ``total`` one start in twenty is: ``upper.total`` / ``total`` - 1."""
    image_pull: Literal["default", "parallel", "cached"]
    """How the image comes to the node: by containerd as it is, or by SOCI in parallel (``capacity.imagePull``)."""
    upper: ColdStartUpper
    """The start at worst: what kills or buys is decided by it."""


class ProbePlan(Document):
    """Probe timing. The startup probe allows the start on a warm node at worst, and 600 s at least; 1,800 s for mixtures of
    experts, 4-bit and 8-bit floats, and replicas over several nodes.
    """

    startup_period_s: int
    """Seconds between startup probes."""
    startup_failure_threshold: int
    """Failures before the container is restarted."""
    readiness_period_s: int
    """Seconds between readiness probes."""
    liveness_period_s: int
    """Seconds between liveness probes."""
    liveness_failure_threshold: int
    """Failures before the container is restarted."""

    @property
    def startup_s(self) -> int:
        """How long a container may take to be ready before it is started anew."""
        return self.startup_period_s * self.startup_failure_threshold


class DrainPlan(Document):
    """How a replica ends: it leaves the Service, finishes what it generates, then stops."""

    pre_stop_s: int
    """Wait until load balancers have forgotten the replica."""
    shutdown_timeout_s: int
    """Wait for answers that are being generated (``--shutdown-timeout``): as long as the longest takes, or what an
    interruption notice leaves."""
    grace_period_s: int
    """preStop + shutdown timeout + 15 s; the pod's termination grace period."""
    answer_s: int
    """The longest answer that is promised an end: that of 99 in 100, 45 s at least. A tier on spot may have less time for it
    (``shutdownTimeoutS``); routers and their timeouts never do."""
    notice_s: int | None
    """Interruption notice of the provider where the tier may run on spot: preStop, shutdown and grace then fit it."""


class RolloutSteps(Document):
    """How many replicas come and go at once."""

    max_surge: int
    """Replicas beyond the wanted ones."""
    max_unavailable: int
    """Replicas that may be away."""


class RolloutOutages(Document):
    """Seconds without any replica during a rollout, by what is changed; 0 where another replica serves."""

    same_weights_s: float
    """Arguments or resources, on a node that has image and models: a warm start."""
    new_revision_s: float
    """Other weights, which must be fetched first."""
    new_pool_s: float
    """Other nodes: a whole cold start."""

    @property
    def by_change(self) -> tuple[tuple[str, float], ...]:
        """What is changed, in words, and the seconds."""
        return (
            ("the same weights", self.same_weights_s),
            ("a new revision", self.new_revision_s),
            ("another node pool", self.new_pool_s),
        )


class RolloutPlan(Document):
    """How a new version replaces the old one: into accelerators that are free, onto a node of its own, or in place."""

    max_surge: int
    """1 where the new replica comes before the old one goes, else 0."""
    max_unavailable: int
    """The other way round."""
    fixed_nodes: RolloutSteps | None = None
    """What holds instead where nothing makes nodes on demand (the overlay for node groups); null: the same."""
    outage_s: float
    """Seconds without any replica during a rollout of the same weights; 0 when another replica serves."""
    outages: RolloutOutages | None = None
    """The same by what is changed."""
    fixed_nodes_outages: RolloutOutages | None = None
    """The same where no node comes for a rollout: in the overlay for node groups."""
    surge_usd: Money = Decimal(0)
    """What the nodes that come for one rollout cost: their price over a cold start and a drain, for each replica."""
    progress_deadline_s: int
    """Seconds until a rollout counts as stuck: a cold start at worst, and all that the startup probe allows."""


class AdmissionPlan(Document):
    """How much a replica takes on before it answers 503, so that a burst cannot ruin TTFT for everyone."""

    max_waiting_requests: int | None = None
    """Requests that may wait behind the seats and still meet the TTFT budget. Engines count these alone or with those in
    their seats, and each is told the figure that its limit counts (``engine_limits.json`` of the catalog). null: no
    TTFT budget, or a picker holds the queue."""
    max_queued_requests: int | None
    """Requests in flight: the replica's seats and those that may wait behind them. null: as above."""
    max_queued_tokens: int | None
    """Prompt tokens, cached parts too, of the requests that have no first token yet: ``maxQueuedRequests`` x
    ``memory.contextTokens`` (``--max-num-queued-tokens`` from vLLM 0.33 on). It stops longer prompts before that
    number of them has come in, and never a burst of planned ones. null: no TTFT budget."""
    refusal_status: int | None = None
    """HTTP status of what this version of the engine turns away by these limits. null: it turns nothing away."""


class PodPlan(Document):
    """Resources of one replica's pod (of each of them, where it has one on each of several nodes); requests equal
    limits.
    """

    cpu_milli: int
    """CPU in millicores: the replica's part of 90 % of what the node offers."""
    memory_mib: int
    """Host memory: its part of 85 %."""
    shm_mib: int
    """Size of /dev/shm, counted in memoryMib: the ranks' part, and the KV cache that an engine keeps in a file there."""
    kv_offload_mib: int
    """Memory that KV cache takes which the engine moves to the host, at the worst, counted in memoryMib; 0 without. vLLM
    from 0.28 on keeps it in /dev/shm and checks the room at start; older versions pin memory, rounded up to twice the
    size."""
    streamer_mib: int = 0
    """What the streaming loaders of its ranks may read ahead (``RUNAI_STREAMER_MEMORY_LIMIT``), counted in memoryMib; 0
    where another loader reads."""
    accelerators: int
    """nvidia.com/gpu requested: device slots where the accelerator is shared, else whole accelerators."""
    efa_interfaces: int = 0
    """vpc.amazonaws.com/efa requested: all of the node's for a replica over several nodes, else none."""
    priority: PriorityLevel
    """Which of the stack's priority classes the pod has."""
    zones: int = 1
    """Zones over which replicas must be spread evenly; 1: they need not."""
    spread: tuple[Topology, ...]
    """Over what replicas are spread where that is possible; empty where it would cost nodes or means nothing."""


class Override(Document):
    """A number set by hand, beside the one that we computed."""

    agent: str
    """Agent."""
    field: str
    """Field below ``overrides``."""
    computed: float | None
    """What we computed; null: it was searched for (the parallelism)."""
    value: float
    """What the spec sets."""

    @property
    def beside(self) -> str:
        """What stood where the number is set by hand, as people read it."""
        return "computed: " + ("searched for" if self.computed is None else figure(self.computed))
