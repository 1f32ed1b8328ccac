"""One replica: its memory, speed, start, end and resources, and what was set by hand."""

from __future__ import annotations

from typing import Literal

from agentgpu_iac.plan.vocabulary import PriorityLevel, Topology
from agentgpu_iac.spec.document import Document


class MemoryPlan(Document):
    """Memory of one accelerator, in GiB. need (totalGib) <= 0.80 x capacityGib over all that share it."""

    weights_gib: float
    """With LoRA slots."""
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
    """CUDA context and communication buffers."""
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
