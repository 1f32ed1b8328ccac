"""The memory report of an engine at start, as it will print it: what its port leaves of the card for the KV cache.

KV budget = utilization x capacity - weights - activation peak - non-torch (- CUDA graphs in newer versions). On 95
start-up logs of vLLM 0.6 to 0.31 that identity holds with a median residual of 0.002 GiB; the terms are those of
``sizing.replica``: weights and pages follow from shapes, seven fitted constants (each names its rows) give the rest.
"""

from __future__ import annotations

from dataclasses import dataclass

from agentgpu_iac.catalog.model import Accelerator, EngineRelease, Model
from agentgpu_iac.sizing.activation import (
    feed_forward_gib,
    logits_copies,
    logits_gib_per_sequence,
    sampler_base_gib,
)
from agentgpu_iac.sizing.capacity import STEADY_STATE_RATIO, Capacity, capacity
from agentgpu_iac.sizing.draft import Draft
from agentgpu_iac.sizing.engines import SIZING_PORTS
from agentgpu_iac.sizing.engines.vllm import cuts_prompts, default_max_num_batched_tokens, default_max_num_seqs
from agentgpu_iac.sizing.kv_cache import (
    KV_BLOCK_TOKENS,
    Pool,
    PoolRequest,
    is_hybrid,
    kv_bytes_per_session,
    kv_bytes_per_token,
    kv_heads_per_accelerator,
    kv_tokens,
    pool,
)
from agentgpu_iac.sizing.outside_torch import is_v0, non_torch_gib
from agentgpu_iac.sizing.replica import MemoryTerms, Replica, memory_terms
from agentgpu_iac.sizing.weights import (
    bits_per_parameter,
    draft_layer_parameters,
    embedding_parameters,
    expert_parameters,
    layer_count,
    lora_slot_gib,
    rank_weights,
    weight_bytes,
    weights_gib_per_accelerator,
    weights_spread,
)
from agentgpu_iac.spec.vocabulary import Engine, KvCacheDtype, Precision
from agentgpu_iac.units import gib

__all__ = (
    "KV_BLOCK_TOKENS",
    "KV_ERROR_RATIO",
    "STEADY_STATE_RATIO",
    "Capacity",
    "EngineConfig",
    "EngineMemory",
    "bits_per_parameter",
    "capacity",
    "default_max_num_batched_tokens",
    "default_max_num_seqs",
    "draft_layer_parameters",
    "embedding_parameters",
    "engine_memory",
    "expert_parameters",
    "feed_forward_gib",
    "is_hybrid",
    "kv_bytes_per_session",
    "kv_bytes_per_token",
    "kv_error_ratio",
    "kv_heads_per_accelerator",
    "kv_tokens",
    "layer_count",
    "logits_copies",
    "logits_gib_per_sequence",
    "lora_slot_gib",
    "non_torch_gib",
    "rank_weights",
    "sampler_base_gib",
    "seats",
    "weight_bytes",
    "weights_gib_per_accelerator",
)

KV_ERROR_RATIO = 0.05
"""Stated error of the KV cache of a plan, which fills at least a good part of the accelerator; ``EngineMemory`` states
its own."""
_LEAST_ERROR_RATIO = 0.02
"""No better is promised, although the median error on the measured rows is a tenth of it: other models come."""
_LEAST_ERROR_RATIO_OF_OTHERS = 0.15
"""The same for engines whose start-up logs were not compared."""
_WEIGHTS_UNCERTAINTY = 0.01
"""Error of the weights that 90 % of start-up logs stay within, relative."""
_FOUR_BIT_WEIGHTS_UNCERTAINTY = 0.03
"""The same in 4 bit, where every checkpoint leaves other layers in 16."""
_OVERHEAD_UNCERTAINTY = 0.15
"""The same of the overhead, where the engine's version is known."""
_EXPERT_OVERHEAD_UNCERTAINTY = 0.3
"""The same of mixtures of experts, whose workspaces differ by kernel."""
_OVERHEAD_UNCERTAINTY_OF_OTHERS = 0.6
"""The same for other engines and unknown versions, whose activation peak may be 2.6 times as high."""
_ABSOLUTE_UNCERTAINTY_GIB = 0.1
"""What is left: another process on the card, rounding in the log."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineMemory:
    """What the engine prints at start, as predicted: per accelerator in GiB, tokens per replica."""

    terms: MemoryTerms
    """The sum behind it, for sessions of max-model-len."""
    weights_gib: float
    """With LoRA slots and the draft, as the engine counts them."""
    activation_gib: float
    """Of the first pipeline stage, which is the one that is printed; the last one samples besides: see ``terms``."""
    non_torch_gib: float
    cuda_graph_gib: float
    kv_cache_gib: float
    kv_cache_tokens: int
    max_concurrency: float
    sequence_gib: float
    """What one sequence of max-model-len takes of the KV cache, on one accelerator."""
    capacity: Capacity
    budget_gib: float
    pool_gib: float
    """KV cache of the tightest stage."""
    error_ratio: float


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineConfig:
    """One engine on one kind of accelerator, as it is started."""

    model: Model
    accelerator: Accelerator
    release: EngineRelease
    precision: Precision
    kv_dtype: KvCacheDtype
    tensor_parallel: int
    pipeline_parallel: int
    max_model_len: int
    max_num_seqs: int
    max_num_batched_tokens: int
    gpu_memory_utilization: float
    enforce_eager: bool = False
    engine: Engine = "vllm"
    version_is_known: bool = True
    dtype_bytes: int = 2
    """Bytes of the engine's number format: 4 where it is started in 32 bit."""
    weight_only: bool = False
    draft: Draft | None = None
    """What proposes tokens for speculative decoding."""
    lora_ranks: tuple[int, ...] = ()
    """Rank of each LoRA slot."""

    @property
    def replica(self) -> Replica:
        """The same without seats and length."""
        return Replica(
            model=self.model,
            accelerator=self.accelerator,
            accounted_as=self.release.version,
            precision=self.precision,
            weight_only=self.weight_only,
            kv_dtype=self.kv_dtype,
            tensor_parallel=self.tensor_parallel,
            pipeline_parallel=self.pipeline_parallel,
            max_num_batched_tokens=self.max_num_batched_tokens,
            enforce_eager=self.enforce_eager,
            dtype_bytes=self.dtype_bytes,
            draft=self.draft,
            lora_ranks=self.lora_ranks,
        )


def engine_memory(config: EngineConfig) -> EngineMemory:
    """Predict the memory report of the engine at start. A negative ``kv_cache_gib`` means that it will not start.

    KV tokens and max concurrency are what the allocator makes of the pool at ``max_model_len`` per sequence; with
    pipeline parallelism the tightest stage decides, while the GiB are those of the first.
    """
    port, terms = SIZING_PORTS[config.engine], memory_terms(config.replica, config.max_model_len)
    room, weights, graphs = terms.capacity, terms.loaded_gib, terms.cuda_graph_gib
    last_gib = _profiled_gib(config, terms)
    printed_gib = terms.activation.feed_forward_gib if config.pipeline_parallel > 1 else last_gib
    budget = port.budget_gib(
        room.capacity_gib, config.gpu_memory_utilization, weights + printed_gib + terms.non_torch_gib
    )
    taken, taken_from_last = (
        port.taken_from_budget_gib(
            activation, terms.non_torch_gib, graphs, graphs_in_budget=config.release.graphs_in_budget
        )
        for activation in (printed_gib, last_gib)
    )
    kv, tightest = budget - weights - taken, budget - weights - taken_from_last
    pool_gib = min(kv, tightest)
    held = pool(_pool_request(config), pool_gib * _models_share(terms))
    if not config.model.keeps_kv:  # no cache is made: what is left is left, and every seat is there
        held = Pool(tokens=0, max_concurrency=float(config.max_num_seqs) if pool_gib >= 0 else 0.0, sequence_bytes=0.0)
        kv = min(kv, 0.0)
    return EngineMemory(
        terms=terms,
        weights_gib=weights,
        activation_gib=printed_gib,
        non_torch_gib=terms.non_torch_gib,
        cuda_graph_gib=graphs,
        kv_cache_gib=kv,
        kv_cache_tokens=held.tokens,
        max_concurrency=held.max_concurrency,
        sequence_gib=gib(held.sequence_bytes) / _models_share(terms),
        capacity=room,
        budget_gib=budget,
        pool_gib=pool_gib,
        error_ratio=_error_ratio(config, weights, taken, kv),
    )


def seats(report: EngineMemory, held_tokens: int) -> float:
    """Requests that run at once while each holds that many tokens; at most what a plan counts on for such sessions."""
    return max(0.0, report.pool_gib) / memory_terms(report.terms.replica, held_tokens).kv_per_session_gib


def _profiled_gib(config: EngineConfig, terms: MemoryTerms) -> float:
    """The activation peak of a stage that samples. Engine V0 does not sample in its profiling run if it cuts prompts."""
    if is_v0(config.release.version) and cuts_prompts(config.max_model_len):
        return terms.activation.feed_forward_gib
    return terms.activation_gib(config.max_num_seqs)


def _pool_request(config: EngineConfig) -> PoolRequest:
    return PoolRequest(
        model=config.model,
        version=config.release.version,
        kv_dtype=config.kv_dtype,
        dtype_bytes=config.dtype_bytes,
        tensor_parallel=config.tensor_parallel,
        pipeline_parallel=config.pipeline_parallel,
        max_model_len=config.max_model_len,
        max_num_batched_tokens=config.max_num_batched_tokens,
        speculative_layers=0 if config.draft is None else config.draft.layers,
    )


def _models_share(terms: MemoryTerms) -> float:
    """The part of the KV cache that the model's own layers have; a whole draft model has the rest, token for token."""
    draft = terms.replica.draft
    if draft is None or draft.layers or not terms.draft_kv_bytes_per_token:
        return 1.0
    drafted = terms.draft_kv_bytes_per_token * kv_tokens(terms.context_tokens)
    return 1 - gib(drafted) / terms.kv_per_session_gib


def _error_ratio(config: EngineConfig, weights: float, taken: float, kv: float) -> float:
    """How far off the KV cache may be, relative: the errors of the terms over what they leave."""
    compared = SIZING_PORTS[config.engine].logs_compared
    least = _LEAST_ERROR_RATIO if compared else _LEAST_ERROR_RATIO_OF_OTHERS
    of_weights = _FOUR_BIT_WEIGHTS_UNCERTAINTY if config.precision in ("int4", "nvfp4") else _WEIGHTS_UNCERTAINTY
    of_overhead = _EXPERT_OVERHEAD_UNCERTAINTY if config.model.experts else _OVERHEAD_UNCERTAINTY
    if not compared or not config.version_is_known:
        of_overhead = _OVERHEAD_UNCERTAINTY_OF_OTHERS
    of_weights += weights_spread(config.model, config.precision)
    uncertain = _ABSOLUTE_UNCERTAINTY_GIB + of_weights * weights + of_overhead * taken
    return round(max(least, uncertain / max(kv, uncertain)), 3)


def kv_error_ratio(engine: Engine) -> float:
    """Stated error of the KV cache of a plan."""
    return KV_ERROR_RATIO if SIZING_PORTS[engine].logs_compared else _LEAST_ERROR_RATIO_OF_OTHERS
