"""The memory report of an engine at start, as it will print it: what its port leaves of the card for the KV cache.

KV budget = utilization x capacity - weights - activation peak - non-torch (- CUDA graphs in newer versions). On 95
start-up logs of vLLM 0.6 to 0.31 that identity holds with a median residual of 0.002 GiB; the terms are those of
``sizing.replica``: weights and pages follow from shapes, seven fitted constants (each names its rows) give the rest.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from agentgpu_iac.catalog.model import Accelerator, EngineRelease, Model
from agentgpu_iac.catalog.versions import before
from agentgpu_iac.sizing.activation import (
    feed_forward_gib,
    logits_copies,
    logits_gib_per_sequence,
    sampler_base_gib,
)
from agentgpu_iac.sizing.capacity import RESERVE_RATIO, Capacity, capacity
from agentgpu_iac.sizing.draft import Draft
from agentgpu_iac.sizing.engines import SIZING_PORTS
from agentgpu_iac.sizing.engines.vllm import default_max_num_batched_tokens, default_max_num_seqs
from agentgpu_iac.sizing.kv_cache import (
    KV_BLOCK_TOKENS,
    is_hybrid,
    kv_bytes_per_session,
    kv_bytes_per_token,
    kv_heads_per_accelerator,
    kv_tokens,
)
from agentgpu_iac.sizing.outside_torch import non_torch_gib
from agentgpu_iac.sizing.paging import pool
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
    "RESERVE_RATIO",
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
    "least_reserve_ratio",
    "logits_copies",
    "logits_gib_per_sequence",
    "lora_slot_gib",
    "non_torch_gib",
    "rank_weights",
    "sampler_base_gib",
    "seats",
    "weight_bytes",
    "weights_gib_per_accelerator",
    "with_reserve",
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
_OVERHEAD_UNCERTAINTY_OF_OLD = 0.65
"""The same of the oldest, which sample with FlashInfer where it is installed: 0.62 to 1.54 GiB with the same flags (0.10.1)."""
_OLD_BEFORE = "0.12"
"""topk_topp_sampler.py of the wheels: by default up to 0.11.0, when asked from 0.13.0 on."""
_OVERHEAD_UNCERTAINTY_OF_OTHERS = 0.6
"""The same for other engines and unknown versions, whose activation peak may be 2.6 times as high."""
_ABSOLUTE_UNCERTAINTY_GIB = 0.1
"""What is left: another process on the card, rounding in the log."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineMemory:
    """What the engine prints at start, as predicted: per accelerator in GiB, tokens per replica, or per attention group where
    there are several: each is an engine of its own then.
    """

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
    pages: int
    """Pages of the pool, each for one group of layers."""
    most_states: int | None
    """Requests whose states of recurrent layers fit the pool; None: the model has none."""
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
    """Accelerators that share the heads of one request."""
    pipeline_parallel: int
    max_model_len: int
    max_num_seqs: int
    """Of each attention group."""
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
    prefix_cached: bool = True
    """Whether prefixes are kept between requests."""
    cold_start: bool = True
    """Whether the compile cache is empty when it starts."""
    reads_pictures: bool = True
    """Whether the towers of a model that has some are used."""
    attention_dp: int = 1
    """Attention groups, of ``tensor_parallel`` accelerators each. Each prints a report of its own."""
    expert_parallel: int = 1
    """Parts into which whole experts are dealt out."""

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
            prefix_cached=self.prefix_cached,
            cold_start=self.cold_start,
            reads_pictures=self.reads_pictures,
            attention_dp=self.attention_dp,
            expert_parallel=self.expert_parallel,
            engine=self.engine,
        )


def engine_memory(config: EngineConfig) -> EngineMemory:
    """Predict the memory report of the engine at start. A negative ``kv_cache_gib`` means that it will not start.

    KV tokens and max concurrency are what the allocator makes of the pool at ``max_model_len`` per sequence; with
    pipeline parallelism the tightest stage decides, while the GiB are those of the first.
    """
    port, terms = SIZING_PORTS[config.engine], memory_terms(config.replica, config.max_model_len)
    room, weights, graphs = terms.capacity, terms.loaded_gib, terms.cuda_graph_gib(config.max_num_seqs)
    last_gib = terms.activation_gib(config.max_num_seqs)
    printed_gib = terms.activation.feed_forward_gib if config.pipeline_parallel > 1 else last_gib
    budget = port.budget_gib(
        room.capacity_gib, config.gpu_memory_utilization, weights + printed_gib + terms.non_torch_gib
    )
    taken, taken_from_last = (
        port.taken_from_budget_gib(
            activation + terms.cold_start_gib,
            terms.non_torch_gib,
            graphs,
            graphs_in_budget=config.release.graphs_in_budget and terms.counts_graphs,
        )
        for activation in (printed_gib, last_gib)
    )
    kv, tightest = budget - weights - taken, budget - weights - taken_from_last
    pool_gib = min(kv, tightest)
    models_gib = pool_gib * _models_share(terms)
    held = pool(config.replica.pool_request(config.max_model_len), models_gib)
    if not config.model.keeps_kv:  # no cache is made: what is left is left, and every seat is there
        held = replace(held, max_concurrency=float(config.max_num_seqs) if pool_gib >= 0 else 0.0)
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
        pages=held.pages,
        most_states=held.most_states,
        capacity=room,
        budget_gib=budget,
        pool_gib=pool_gib,
        error_ratio=_error_ratio(config, weights, taken, kv),
    )


def seats(report: EngineMemory, held_tokens: int) -> float:
    """Requests that run at once while each holds that many tokens; at most what a plan counts on for such sessions."""
    return max(0.0, report.pool_gib) / memory_terms(report.terms.replica, held_tokens).kv_per_session_gib


def longest_model_len(config: EngineConfig, report: EngineMemory) -> int:
    """The longest --max-model-len with which the engine starts as it is otherwise told; 0: with none."""
    return report.terms.longest_model_len(report.pool_gib, config.model.max_context_tokens)


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
    uncertain = _uncertain_gib(config.replica, config.engine, weights, taken, version_is_known=config.version_is_known)
    return round(max(least, uncertain / max(kv, uncertain)), 3)


def _uncertain_gib(
    of: Replica, engine: Engine, weights_gib: float, taken_gib: float, *, version_is_known: bool = True
) -> float:
    """What the terms of a sum may be off together, in GiB."""
    of_weights = _FOUR_BIT_WEIGHTS_UNCERTAINTY if of.precision in ("int4", "nvfp4") else _WEIGHTS_UNCERTAINTY
    of_weights += weights_spread(of.model, of.precision)
    of_overhead = _EXPERT_OVERHEAD_UNCERTAINTY if of.model.experts else _OVERHEAD_UNCERTAINTY
    if before(of.accounted_as, _OLD_BEFORE):
        of_overhead = _OVERHEAD_UNCERTAINTY_OF_OLD
    if not SIZING_PORTS[engine].logs_compared or not version_is_known:
        of_overhead = _OVERHEAD_UNCERTAINTY_OF_OTHERS
    return _ABSOLUTE_UNCERTAINTY_GIB + of_weights * weights_gib + of_overhead * taken_gib


def least_reserve_ratio(
    terms: MemoryTerms, engine: Engine, release: EngineRelease, *, with_error: bool = True
) -> float:
    """The least reserve that a plan may count on: what the engine's own share and a cold start leave, and the sum's error.

    A share that grows with the need leaves nothing.
    """
    port, capacity_gib, overhead = SIZING_PORTS[engine], terms.capacity.capacity_gib, terms.overhead_gib(1)
    budget = port.planned_budget_gib(
        capacity_gib,
        port.default_share(terms.replica.accelerator, release),
        weights_gib=terms.loaded_gib,
        before_graphs_gib=max(0.0, overhead - terms.cuda_graph_gib(1)),
    )
    uncertain = _uncertain_gib(terms.replica, engine, terms.loaded_gib, overhead)
    if port.share_grows_with_need:
        budget = capacity_gib
    left = budget - terms.cold_start_gib - (uncertain if with_error else 0.0)
    return min(1.0, max(0.0, math.ceil((1 - left / capacity_gib) * 1000) / 1000))


def with_reserve(terms: MemoryTerms, asked: float, engine: Engine, release: EngineRelease) -> MemoryTerms:
    """The same with the reserve that a stack asks for, never less than the engine itself leaves.

    The usual one holds the error of the sum too; what is asked for below it must leave that beside.
    """
    least = least_reserve_ratio(terms, engine, release, with_error=False)
    if asked < RESERVE_RATIO:
        least = max(least, min(RESERVE_RATIO, least_reserve_ratio(terms, engine, release)))
    reserve = max(asked, least)
    return terms if reserve == terms.reserve_ratio else replace(terms, reserve_ratio=reserve)


def kv_error_ratio(engine: Engine) -> float:
    """Stated error of the KV cache of a plan."""
    return KV_ERROR_RATIO if SIZING_PORTS[engine].logs_compared else _LEAST_ERROR_RATIO_OF_OTHERS
