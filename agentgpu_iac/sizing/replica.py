"""One replica: THE sum of its memory, and its speed. ``size``, ``predict``, the planner and the benches all ask here.

    need = weights + KV per session x sessions + overhead <= 0.80 x capacity

Everything is counted on the fullest accelerator: that of the stage with the most weights, with the draft, which also
samples. How an engine divides the card after that is its port's (``sizing.engines``); what a step takes is ``speed``'s.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from agentgpu_iac.catalog.model import Accelerator, Model
from agentgpu_iac.sizing.activation import ActivationPeak, activation_peak
from agentgpu_iac.sizing.capacity import STEADY_STATE_RATIO, Capacity, capacity
from agentgpu_iac.sizing.draft import Draft, draft_memory
from agentgpu_iac.sizing.kv_cache import kv_bytes_per_session, kv_bytes_per_token, kv_tokens
from agentgpu_iac.sizing.outside_torch import Graphs, communication_gib, context_gib, cuda_graphs
from agentgpu_iac.sizing.speed import Serving, Speed, speed_of
from agentgpu_iac.sizing.weights import RankWeights, lora_slot_gib, rank_weights
from agentgpu_iac.spec.vocabulary import KvCacheDtype, Precision
from agentgpu_iac.units import GIB, gib


@dataclass(frozen=True, slots=True, kw_only=True)
class Replica:
    """One engine on one kind of accelerator, as its flags say, but for seats and length."""

    model: Model
    accelerator: Accelerator
    accounted_as: str
    """Version of vLLM whose overhead is counted."""
    precision: Precision
    weight_only: bool = False
    """The card has no units for the precision: its kernels unpack the weights as they are read."""
    kv_dtype: KvCacheDtype
    tensor_parallel: int
    pipeline_parallel: int
    max_num_batched_tokens: int
    enforce_eager: bool = False
    dtype_bytes: int = 2
    """Bytes of the engine's number format: 4 where it is started in 32 bit."""
    draft: Draft | None = None
    """What proposes tokens for speculative decoding."""
    lora_ranks: tuple[int, ...] = ()
    """Rank of each LoRA slot that the engine makes room for."""

    @property
    def rows_per_step(self) -> int:
        """Tokens that one step computes for each session."""
        return 1 if self.draft is None else self.draft.rows_per_step


@dataclass(frozen=True, slots=True, kw_only=True)
class ByHand:
    """What somebody measured or set, and what stands in its place."""

    weights_gib: float | None = None
    """Weights of the model on one accelerator."""
    kv_bytes_per_token: int | None = None
    overhead_gib: float | None = None
    overhead_ratio: float = 1.0
    """Measured / computed overhead of a run of the user's own."""
    overhead_source: str = ""
    """Where that run is written down."""


NOTHING_BY_HAND = ByHand()


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryTerms:
    """Memory of one accelerator in GiB before the number of sessions is known."""

    replica: Replica
    by_hand: ByHand
    context_tokens: int
    """Context for which a session's memory is counted."""
    capacity: Capacity
    weights: RankWeights
    """As computed, without LoRA slots."""
    lora_gib: float
    """LoRA slots, which engines count with the weights (Mistral-7B with one: 13.58 GiB logged, 13.51 without)."""
    draft_weights_gib: float
    computed_kv_bytes_per_token: int
    kv_bytes_per_token: int
    """As computed, or as set by hand."""
    draft_kv_bytes_per_token: int
    kv_fixed_bytes: float
    """What a session holds whatever its length beyond a window: windows and fixed states, the draft's included."""
    kv_per_session_gib: float
    """The draft's included."""
    least_kv_gib: float = 0.0
    """The cache of one input of the longest length that is let in, where sessions are counted by a shorter one."""
    context_gib: float
    """CUDA context."""
    communication_gib: float
    """Buffers of NCCL and all-reduces."""
    graphs: Graphs
    activation: ActivationPeak

    @property
    def computed_weights_gib(self) -> float:
        """Weights of the model on one accelerator as computed, LoRA slots included."""
        return gib(self.weights.divided_bytes / self.replica.tensor_parallel + self.weights.whole_bytes) + self.lora_gib

    @property
    def weights_gib(self) -> float:
        """The same as computed, or as set by hand."""
        if self.by_hand.weights_gib is not None:
            return self.by_hand.weights_gib + self.lora_gib
        return self.computed_weights_gib

    @property
    def non_torch_gib(self) -> float:
        """CUDA context and communication."""
        return self.context_gib + self.communication_gib

    @property
    def cuda_graph_gib(self) -> float:
        """Captured graphs."""
        return self.graphs.gib

    def overhead_gib(self, sessions: int) -> float:
        """What the engine takes besides weights and KV cache when it may run ``sessions`` sequences."""
        if self.by_hand.overhead_gib is not None:
            return self.by_hand.overhead_gib
        return self.computed_overhead_gib(sessions)

    def activation_gib(self, sessions: int) -> float:
        """Peak of the engine's profiling run: the larger of its two ends."""
        return self.activation.gib(sessions)

    def computed_overhead_gib(self, sessions: int) -> float:
        """The overhead as computed, whether or not it was set by hand."""
        parts_gib = self.activation_gib(sessions) + self.non_torch_gib + self.cuda_graph_gib
        return parts_gib * self.by_hand.overhead_ratio

    def need_gib(self, sessions: int) -> float:
        """Weights + KV cache of all sessions + overhead."""
        return self.loaded_gib + self.kv_gib(sessions) + self.overhead_gib(sessions)

    def kv_gib(self, sessions: int) -> float:
        """KV cache of all sessions, and of the longest input at least."""
        return max(sessions * self.kv_per_session_gib, self.least_kv_gib)

    @property
    def loaded_gib(self) -> float:
        """Weights of the model and of its draft."""
        return self.weights_gib + self.draft_weights_gib

    @property
    def limit_gib(self) -> float:
        """The most that may be needed in steady state: 80 % of the capacity."""
        return self.capacity.capacity_gib * STEADY_STATE_RATIO

    def most_sessions(self, cap: int) -> int:
        """The most sessions, up to ``cap``, whose need stays within the limit. 0: not even one fits."""
        free = self.limit_gib - self.loaded_gib - self.overhead_gib(0)
        if free < self.least_kv_gib:
            return 0
        if self.by_hand.overhead_gib is not None:
            return _floor_div(free, self.kv_per_session_gib, cap)
        ratio, peak = self.by_hand.overhead_ratio, self.activation
        free_of_activation = free + (peak.gib(0) - peak.sampler_base_gib) * ratio
        by_logits = _floor_div(free_of_activation, self.kv_per_session_gib + peak.logits_gib_per_seat * ratio, cap)
        return min(_floor_div(free, self.kv_per_session_gib, cap), by_logits)


def _floor_div(room: float, each: float, cap: int) -> int:
    if room <= 0:
        return 0
    return cap if each <= 0 else min(cap, math.floor(room / each + 1e-9))


def memory_terms(
    replica: Replica, context_tokens: int, by_hand: ByHand = NOTHING_BY_HAND, *, longest_tokens: int = 0
) -> MemoryTerms:
    """Memory of one accelerator of the replica, with sessions of ``context_tokens`` each, and room for one of
    ``longest_tokens``.
    """
    model, version, width = replica.model, replica.accounted_as, replica.dtype_bytes
    tensor, pipeline = replica.tensor_parallel, replica.pipeline_parallel
    capability = replica.accelerator.compute_capability
    shape = (model, replica.kv_dtype, tensor, pipeline)
    tokens = kv_tokens(context_tokens)
    computed_per_token = kv_bytes_per_token(*shape, dtype_bytes=width)
    per_session = kv_bytes_per_session(*shape, context_tokens, dtype_bytes=width)
    per_token = by_hand.kv_bytes_per_token
    if per_token is None:
        per_token = computed_per_token
    draft = draft_memory(
        replica.draft,
        model,
        compute_capability=capability,
        precision=replica.precision,
        kv_dtype=replica.kv_dtype,
        tensor_parallel=tensor,
        context_tokens=context_tokens,
        dtype_bytes=width,
    )
    fixed = per_session - computed_per_token * tokens
    fixed += draft.kv_bytes_per_session - draft.kv_bytes_per_token * tokens
    return MemoryTerms(
        replica=replica,
        by_hand=by_hand,
        context_tokens=context_tokens,
        capacity=capacity(replica.accelerator),
        weights=rank_weights(
            model, replica.precision, tensor, pipeline, compute_capability=capability, dtype_bytes=width
        ),
        lora_gib=sum(lora_slot_gib(model, rank) for rank in replica.lora_ranks),
        draft_weights_gib=draft.weights_gib,
        computed_kv_bytes_per_token=computed_per_token,
        kv_bytes_per_token=per_token,
        draft_kv_bytes_per_token=draft.kv_bytes_per_token,
        kv_fixed_bytes=fixed,
        kv_per_session_gib=((per_token + draft.kv_bytes_per_token) * tokens + fixed) / GIB,
        least_kv_gib=(per_token * kv_tokens(longest_tokens) + (fixed if longest_tokens else 0.0)) / GIB,
        context_gib=context_gib(version, tensor, pipeline),
        communication_gib=communication_gib(replica.accelerator, version, tensor),
        graphs=cuda_graphs(model, pipeline, enforce_eager=replica.enforce_eager, draft_layers=draft.layers),
        activation=activation_peak(
            model,
            version,
            tensor,
            replica.max_num_batched_tokens,
            stage_input=pipeline > 1,
            dtype_bytes=width,
            rows_per_step=replica.rows_per_step,
        ),
    )


def speed(replica: Replica, serving: Serving) -> Speed | None:
    """How fast one replica is: steps and prompts as a function of what runs. None where no TFLOPS figure has a source."""
    return speed_of(
        replica.model,
        replica.accelerator,
        precision=replica.precision,
        kv_dtype=replica.kv_dtype,
        tensor_parallel=replica.tensor_parallel,
        pipeline_parallel=replica.pipeline_parallel,
        max_batched_tokens=replica.max_num_batched_tokens,
        serving=replace(serving, weight_only=replica.weight_only),
    )
