"""One replica: THE sum of its memory, and its speed. ``size``, ``predict``, the planner and the benches all ask here.

    need = weights + KV per session x sessions + overhead <= (1 - reserve) x capacity

Everything is counted on the fullest accelerator: that of the stage with the most weights, with the draft, which also
samples. How an engine divides the card after that is its port's (``sizing.engines``); what a step takes is ``speed``'s.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from agentgpu_iac.catalog.model import Accelerator, Model
from agentgpu_iac.sizing.activation import ActivationPeak, ExpertRun, Profiling, activation_peak
from agentgpu_iac.sizing.capacity import RESERVE_RATIO, Capacity, capacity
from agentgpu_iac.sizing.draft import Draft, draft_memory
from agentgpu_iac.sizing.kv_cache import KV_BLOCK_TOKENS, kv_bytes_per_token, kv_tokens
from agentgpu_iac.sizing.outside_torch import (
    Graphs,
    captures,
    cold_start_gib,
    communication_gib,
    context_gib,
    cuda_graphs,
    has_own_all_reduce,
)
from agentgpu_iac.sizing.paging import PoolRequest, page_bytes, session_bytes, start_bytes
from agentgpu_iac.sizing.runner import counts_graphs, samples_in_16_bit
from agentgpu_iac.sizing.searching import largest_within
from agentgpu_iac.sizing.speed import Serving, Speed, speed_of
from agentgpu_iac.sizing.weights import RankWeights, layer_count, lora_slot_gib, rank_weights, stage_expert_bytes
from agentgpu_iac.spec.vocabulary import Engine, KvCacheDtype, Precision
from agentgpu_iac.units import GIB, ceil_div, gib


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
    """Accelerators that share the heads of one request."""
    pipeline_parallel: int
    attention_dp: int = 1
    """Groups of that many accelerators in each stage: each holds the attention whole and has requests of its own."""
    expert_parallel: int = 1
    """Parts into which the experts are dealt out whole; 1: every accelerator of a stage has a slice of each."""
    max_num_batched_tokens: int
    """Of each attention group."""
    enforce_eager: bool = False
    dtype_bytes: int = 2
    """Bytes of the engine's number format: 4 where it is started in 32 bit."""
    draft: Draft | None = None
    """What proposes tokens for speculative decoding."""
    lora_ranks: tuple[int, ...] = ()
    """Rank of each LoRA slot that the engine makes room for."""
    prefix_cached: bool = True
    """Whether the engine keeps prefixes between requests; it then holds two states of recurrent layers for each."""
    cold_start: bool = True
    """Whether it starts with an empty compile cache, as the first on each node does."""
    reads_pictures: bool = True
    """Whether the towers of a model that has some are used, and profiled; engines can be told not to."""
    engine: Engine = "vllm"
    """Whose allocator divides the KV cache."""

    def pool_request(self, max_model_len: int) -> PoolRequest:
        """What the engine's allocator is asked for sequences of that length."""
        return PoolRequest(
            model=self.model,
            version=self.accounted_as,
            kv_dtype=self.kv_dtype,
            dtype_bytes=self.dtype_bytes,
            tensor_parallel=self.tensor_parallel,
            pipeline_parallel=self.pipeline_parallel,
            max_model_len=max_model_len,
            max_num_batched_tokens=self.max_num_batched_tokens,
            compute_capability=self.accelerator.compute_capability,
            draft_layers=0 if self.draft is None else self.draft.layers,
            proposed_tokens=0 if self.draft is None else max(self.draft.tokens, min(1, self.draft.layers)),
            prefix_cached=self.prefix_cached,
            engine=self.engine,
        )

    @property
    def stage_accelerators(self) -> int:
        """Accelerators of one pipeline stage."""
        return self.tensor_parallel * self.attention_dp

    @property
    def accelerators_of_an_expert(self) -> int:
        """Accelerators of a stage that share each expert: all of them without expert parallelism."""
        return self.stage_accelerators // self.expert_parallel

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
    expert_bytes: float
    """Of what is shared out: the routed experts of the fullest stage."""
    lora_gib: float
    """LoRA slots, which engines count with the weights (Mistral-7B with one: 13.58 GiB logged, 13.51 without)."""
    draft_weights_gib: float
    computed_kv_bytes_per_token: int
    kv_bytes_per_token: int
    """As computed, or as set by hand."""
    draft_kv_bytes_per_token: int
    kv_fixed_bytes: float
    """What a session holds beside its tokens: windows, states, and what pages are larger than what they hold, the draft's
    included."""
    kv_per_session_gib: float
    """The draft's included."""
    shared_tokens: int
    """Prefix in whole blocks that all sessions share and that is held once."""
    other_prefix_tokens: int
    """Prefixes held once beside it: where sessions of several agents share a replica, each agent's share its own."""
    longest_tokens: int
    """The longest sequence that is let in: as long as a session, or longer where most are shorter."""
    longest_start_gib: float
    """KV cache that the engine wants for one such sequence before it starts."""
    draft_shares_pages: bool
    """The draft's layers stand in the pages of the model's own."""
    page_gib: float
    """One page of the pool, of all layers of a group: what an engine hands out at once, and keeps one of for itself."""
    reserve_ratio: float
    """Share of the capacity that the need leaves free."""
    context_gib: float
    """CUDA context."""
    communication_gib: float
    """Buffers of NCCL and all-reduces."""
    draft_layers: int
    """Layers of the draft whose graphs are captured too."""
    cold_start_gib: float
    """What a start with an empty compile cache leaves less of the engine's budget; 0 where the cache is counted as full. Beside
    the need, which is of steady state: the budget must hold both."""
    activation: ActivationPeak

    @property
    def computed_weights_gib(self) -> float:
        """Weights of the model on one accelerator as computed, LoRA slots included."""
        return gib(self.divided_bytes_per_accelerator + self.weights.whole_bytes) + self.lora_gib

    @property
    def divided_bytes_per_accelerator(self) -> float:
        """What one accelerator has of the weights that are shared out: experts over the stage, the rest over its group."""
        rest = (self.weights.divided_bytes - self.expert_bytes) / self.replica.tensor_parallel
        return rest + self.expert_bytes * expert_share(self.replica)

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

    def graphs(self, sessions: int) -> Graphs:
        """Captured graphs of an engine that may run ``sessions`` sequences."""
        of = self.replica
        captured = captures(
            of.accounted_as,
            sessions,
            of.max_num_batched_tokens,
            rows_per_step=of.rows_per_step,
            compute_capability=of.accelerator.compute_capability,
        )
        layers = layer_count(of.model) / of.pipeline_parallel + self.draft_layers
        own = has_own_all_reduce(of.accelerator, of.tensor_parallel)
        return cuda_graphs(0.0 if of.enforce_eager else layers, captured, own_all_reduce=own)

    def cuda_graph_gib(self, sessions: int) -> float:
        """What they take."""
        return self.graphs(sessions).gib

    @property
    def counts_graphs(self) -> bool:
        """Whether the engine's estimate of its graphs is more than nothing, in releases whose budget holds it."""
        return counts_graphs(self.replica.accounted_as, self.replica.model, self.replica.precision)

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
        parts_gib = self.activation_gib(sessions) + self.non_torch_gib + self.cuda_graph_gib(sessions)
        return parts_gib * self.by_hand.overhead_ratio

    def kv_gib(self, sessions: int) -> float:
        """KV cache of all sessions; at least what the engine wants free for the first of them before it starts."""
        held = sessions * self.kv_own_gib + self.shared_kv_gib + self.other_prefix_kv_gib
        return max(held, self.longest_start_gib) if sessions else 0.0

    @property
    def shared_kv_gib(self) -> float:
        """KV cache of the prefix that all sessions share. Windows, states and the draft's cache each session has for itself."""
        return gib(self.kv_bytes_per_token * self.shared_tokens)

    @property
    def other_prefix_kv_gib(self) -> float:
        """KV cache of the prefixes that are held once beside it."""
        return gib(self.kv_bytes_per_token * self.other_prefix_tokens)

    @property
    def kv_own_gib(self) -> float:
        """KV cache of one session beside that prefix."""
        return self.kv_per_session_gib - self.shared_kv_gib

    def start_kv_gib(self, tokens: int) -> float:
        """KV cache that the engine wants for one request of that length before it starts: no window is cut yet then."""
        drafted = 0 if self.draft_shares_pages else self.draft_kv_bytes_per_token
        beside_pages = drafted + self.kv_bytes_per_token - self.computed_kv_bytes_per_token
        return _start_kv_gib(self.replica, tokens, beside_pages)

    def longest_model_len(self, kv_gib: float, most: int) -> int:
        """The longest --max-model-len up to ``most`` whose one request that KV cache holds; 0: not a single block.

        Whole blocks, except where ``most`` fits. A search: windows and states do not grow in proportion.
        """
        if self.start_kv_gib(most) <= kv_gib:
            return most
        blocks = largest_within(
            lambda count: self.start_kv_gib(count * KV_BLOCK_TOKENS), kv_gib, most // KV_BLOCK_TOKENS
        )
        return blocks * KV_BLOCK_TOKENS

    def need_gib(self, sessions: int) -> float:
        """Weights + KV cache of all sessions + overhead."""
        return self.loaded_gib + self.kv_gib(sessions) + self.overhead_gib(sessions)

    @property
    def loaded_gib(self) -> float:
        """Weights of the model and of its draft."""
        return self.weights_gib + self.draft_weights_gib

    @property
    def limit_gib(self) -> float:
        """The most that may be needed in steady state: the capacity without the reserve."""
        return self.capacity.capacity_gib * (1 - self.reserve_ratio)

    def reserve_that_admits(self, need_gib: float) -> float | None:
        """The largest reserve, in thousandths, that such a need leaves free; None: it is over the capacity itself."""
        free = math.floor((1 - need_gib / self.capacity.capacity_gib) * 1000) / 1000
        return free if free >= 0 else None

    def most_sessions(self, cap: int) -> int:
        """The most sessions, up to ``cap``, whose need stays within the limit. 0: not even one fits."""
        held = self._most_held(cap)
        if held and self.need_gib(held) > self.limit_gib * (
            1 + _ROUNDING
        ):  # what the first wants is more than all hold
            return largest_within(self.need_gib, self.limit_gib, held)
        return held

    def _most_held(self, cap: int) -> int:
        """The same, of what sessions hold once they run."""
        free = self.limit_gib - self.loaded_gib - self.overhead_gib(0) - self.shared_kv_gib - self.other_prefix_kv_gib
        if self.by_hand.overhead_gib is not None:
            return _floor_div(free, self.kv_own_gib, cap)
        ratio, peak = self.by_hand.overhead_ratio, self.activation
        free_of_activation = free + (peak.gib(0) - peak.sampler_base_gib) * ratio
        by_logits = _floor_div(free_of_activation, self.kv_own_gib + peak.logits_gib_per_seat * ratio, cap)
        return min(_floor_div(free, self.kv_own_gib, cap), by_logits)


_ROUNDING = 1e-9


def _start_kv_gib(replica: Replica, tokens: int, beside_pages: float) -> float:
    return gib(start_bytes(replica.pool_request(tokens), tokens) + beside_pages * kv_tokens(tokens))


def _floor_div(room: float, each: float, cap: int) -> int:
    if room <= 0:
        return 0
    return cap if each <= 0 else min(cap, math.floor(room / each + 1e-9))


def memory_terms(
    replica: Replica,
    context_tokens: int,
    by_hand: ByHand = NOTHING_BY_HAND,
    *,
    longest_tokens: int = 0,
    shared_tokens: int = 0,
    other_prefix_tokens: int = 0,
    reserve_ratio: float = RESERVE_RATIO,
) -> MemoryTerms:
    """Memory of one accelerator of the replica, with sessions of ``context_tokens`` each, and room for one of
    ``longest_tokens``. All of them share the first ``shared_tokens``; ``other_prefix_tokens`` are held once beside those.
    """
    model, version, width = replica.model, replica.accounted_as, replica.dtype_bytes
    tensor, pipeline = replica.tensor_parallel, replica.pipeline_parallel
    capability = replica.accelerator.compute_capability
    shape = (model, replica.kv_dtype, tensor, pipeline)
    tokens = kv_tokens(context_tokens)
    computed_per_token = kv_bytes_per_token(*shape, dtype_bytes=width)
    request = replica.pool_request(context_tokens)
    per_session = session_bytes(request, context_tokens)
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
    weights = rank_weights(model, replica.precision, tensor, pipeline, compute_capability=capability, dtype_bytes=width)
    fixed = per_session - computed_per_token * tokens
    # The layers of a draft head share the model's pages; a whole draft model holds its own.
    fixed += draft.own_bytes_per_session - draft.kv_bytes_per_token * tokens
    longest = max(context_tokens, longest_tokens)
    beside_pages = (0 if draft.shares_pages else draft.kv_bytes_per_token) + per_token - computed_per_token
    return MemoryTerms(
        replica=replica,
        by_hand=by_hand,
        context_tokens=context_tokens,
        capacity=capacity(replica.accelerator),
        weights=weights,
        expert_bytes=0.0
        if replica.stage_accelerators == tensor and replica.expert_parallel == 1
        else min(weights.divided_bytes, stage_expert_bytes(model, replica.precision, pipeline, dtype_bytes=width)),
        lora_gib=sum(lora_slot_gib(model, rank) for rank in replica.lora_ranks),
        draft_weights_gib=draft.weights_gib,
        computed_kv_bytes_per_token=computed_per_token,
        kv_bytes_per_token=per_token,
        draft_kv_bytes_per_token=draft.kv_bytes_per_token,
        kv_fixed_bytes=fixed,
        kv_per_session_gib=((per_token + draft.kv_bytes_per_token) * tokens + fixed) / GIB,
        shared_tokens=min(shared_tokens, context_tokens) // KV_BLOCK_TOKENS * KV_BLOCK_TOKENS,
        other_prefix_tokens=other_prefix_tokens,
        longest_tokens=longest,
        longest_start_gib=_start_kv_gib(replica, longest, beside_pages),
        draft_shares_pages=draft.shares_pages,
        page_gib=gib(page_bytes(request)),
        reserve_ratio=reserve_ratio,
        context_gib=context_gib(version, tensor, pipeline),
        communication_gib=communication_gib(
            replica.accelerator, version, replica.stage_accelerators if model.experts else tensor
        ),
        draft_layers=draft.layers,
        cold_start_gib=cold_start_gib(model, version) if replica.cold_start else 0.0,
        activation=activation_peak(
            model,
            version,
            tensor,
            replica.max_num_batched_tokens,
            stage_input=pipeline > 1,
            dtype_bytes=width,
            profiling=Profiling(
                rows_per_step=replica.rows_per_step,
                in_16_bit=samples_in_16_bit(version, model, replica.precision),
                encodes=replica.reads_pictures,
            ),
            experts=ExpertRun(
                groups=replica.attention_dp,
                split=replica.accelerators_of_an_expert,
                eight_bit=replica.precision == "fp8" and not replica.weight_only,
            ),
        ),
    )


def fullest_experts(replica: Replica) -> int:
    """Experts of a layer on the fullest accelerator: engines deal them out as evenly as whole experts go."""
    return ceil_div(replica.model.experts or 1, replica.expert_parallel)


def expert_share(replica: Replica) -> float:
    """Part of the routed experts that the fullest accelerator of a stage holds."""
    dealt = fullest_experts(replica) / (replica.model.experts or 1) if replica.expert_parallel > 1 else 1.0
    return dealt / replica.accelerators_of_an_expert


def speed(replica: Replica, serving: Serving) -> Speed | None:
    """How fast one replica is: steps and prompts as a function of what runs. None where no TFLOPS figure has a source."""
    return speed_of(
        replica.model,
        replica.accelerator,
        precision=replica.precision,
        kv_dtype=replica.kv_dtype,
        tensor_parallel=replica.stage_accelerators,
        pipeline_parallel=replica.pipeline_parallel,
        max_batched_tokens=replica.max_num_batched_tokens,
        serving=replace(
            serving,
            weight_only=replica.weight_only,
            enforce_eager=replica.enforce_eager,
            attention_dp=replica.attention_dp,
            expert_parallel=replica.expert_parallel,
        ),
    )
