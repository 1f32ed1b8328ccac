"""Memory of one accelerator: weights, KV cache, and what the engine takes besides.

    need = weights + KV per session x sessions + overhead <= 0.80 x capacity

The engine, for its part, allocates: KV budget = utilization x capacity - weights - activation peak - non-torch
(- CUDA graphs in newer versions). On 95 start-up logs of vLLM 0.6 to 0.31 that identity holds with a median residual
of 0.002 GiB; the terms themselves are estimated here. Weights and pages follow from shapes; seven fitted constants
(each names its rows) give the rest.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import cache
from typing import Literal

from agentgpu_iac.catalog.model import Accelerator, EngineRelease, Model
from agentgpu_iac.sizing.kv_cache import (
    KV_BLOCK_TOKENS,
    V1_FIRST_VERSION,
    PoolRequest,
    is_hybrid,
    kv_bytes_per_session,
    kv_bytes_per_token,
    kv_heads_per_accelerator,
    kv_tokens,
    pool,
)
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
)
from agentgpu_iac.spec.vocabulary import Engine, KvCacheDtype, Precision
from agentgpu_iac.units import GIB, MIB, gib

__all__ = (
    "ENGINE_SUPPORT",
    "KV_BLOCK_TOKENS",
    "KV_ERROR_RATIO",
    "STEADY_STATE_RATIO",
    "Capacity",
    "EngineConfig",
    "EngineMemory",
    "Overhead",
    "activation_gib",
    "bits_per_parameter",
    "capacity",
    "cuda_graph_gib",
    "default_max_num_batched_tokens",
    "default_max_num_seqs",
    "default_memory_share",
    "draft_layer_parameters",
    "embedding_parameters",
    "engine_budget_gib",
    "engine_memory",
    "expert_parameters",
    "feed_forward_gib",
    "feed_forward_width",
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
    "overhead",
    "rank_weights",
    "sampler_base_gib",
    "version_tuple",
    "weight_bytes",
    "weights_gib_per_accelerator",
)

STEADY_STATE_RATIO = 0.80
"""Need may fill this share of the capacity in steady state; sustained use above it means scale up (the 80 % rule)."""

_DRIVER_RESERVE_GIB = 0.5
"""What CUDA sees is less than what the driver reports: 0.3 to 0.6 GiB on the cards where both are known."""
_NOMINAL_RATIO = 0.93
"""CUDA-visible GiB per nominal GB where neither figure is known: 24 GB cards show 22.1 to 23.6 GiB."""

CapacityBasis = Literal["measured", "driver", "nominal"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Capacity:
    """What CUDA can allocate on one accelerator, and how we know."""

    capacity_gib: float
    basis: CapacityBasis


def capacity(accelerator: Accelerator) -> Capacity:
    """The memory that CUDA sees: measured; else the driver's figure less 0.5 GiB; else nominal GB x 0.93."""
    if accelerator.cuda_memory_gib is not None:
        return Capacity(capacity_gib=accelerator.cuda_memory_gib, basis="measured")
    if accelerator.driver_memory_mib is not None:
        return Capacity(capacity_gib=accelerator.driver_memory_mib * MIB / GIB - _DRIVER_RESERVE_GIB, basis="driver")
    return Capacity(capacity_gib=accelerator.memory_gb * _NOMINAL_RATIO, basis="nominal")


@cache
def version_tuple(version: str) -> tuple[int, ...]:
    """``0.33.0`` as (0, 33, 0), for comparison; what follows the first part that is no number does not count."""
    parts = itertools.takewhile(str.isdecimal, version.split("."))
    return tuple(int(part) for part in parts)


# --- The engine's own defaults ---------------------------------------------------------------------------------------


def default_max_num_seqs(accelerator: Accelerator, version: str = "") -> int:
    """The engine's own --max-num-seqs when unset: 1024 from 70 GiB up except on A100, else 256; 256 in engine V0."""
    large = accelerator.memory_gb >= 75 and not accelerator.id.startswith("a100")
    return 1024 if large and not _is_v0(version) else 256


def default_max_num_batched_tokens(
    accelerator: Accelerator, version: str = "", max_model_len: int | None = None
) -> int:
    """The engine's own --max-num-batched-tokens when unset: 16384 from 160 GiB, 8192 from 70 GiB (not A100), else 2048.

    Engine V0 prefills whole prompts, so at least max-model-len; it cuts them into 2048 by itself above 32,768.
    """
    if _is_v0(version):
        return 2048 if max_model_len is None or _v0_cuts_prompts(max_model_len) else max(2048, max_model_len)
    if accelerator.memory_gb >= 175:
        return 16384
    return 8192 if default_max_num_seqs(accelerator) == 1024 else 2048


def _is_v0(version: str) -> bool:
    return () < version_tuple(version) < V1_FIRST_VERSION


def _v0_cuts_prompts(max_model_len: int) -> bool:
    return max_model_len > 32_768


# --- Activation peak -------------------------------------------------------------------------------------------------

_LEAN_SAMPLER_VERSION = (0, 17)
"""First version whose sampler keeps fewer copies of the logits: Qwen3-14B fell from 5.64 to 2.23 GiB."""
_LOGITS_COPIES_BEFORE = 9.49
"""Copies of the fp32 logits at the sampler's peak before 0.17. Slope over the vocabulary between Llama (4.76, 4.84
GiB) and Qwen3 (5.56 to 5.64) on H100; it then gives gpt-oss-120b 7.38 of 7.38 and Qwen2.5-1.5B at 256 seats 1.40 of
1.40."""
_LOGITS_COPIES_SINCE = 3.62
"""The same since 0.17. Slope between Llama-3.1-8B (1.89 GiB) and Gemma-2 (3.62 to 3.66); it then gives Qwen2.5-7B
2.21 of 2.21, Qwen3-14B 2.23 of 2.23, Granite-3.1-2B 0.77 of 0.75. A fit, so no whole number."""
_SEAT_BYTES = 60_500
"""What the dummy sampler run takes for each seat besides logits: the intercept of the same two fits, 0.058 GiB for
1,024 seats in both."""
_LOGITS_BYTES_PER_COPY = 4

_FEED_FORWARD_BUFFERS = 4
"""Residual-wide buffers alive at the feed-forward peak beside gate, up and their product: CodeLlama-7B 0.754 of 0.77
GiB and Granite-8B 0.84 of 0.85."""
_STAGE_BUFFERS = 2
"""Residual-wide buffers in which a pipeline stage receives its input: Llama-3.1-8B 1.03, 1.05 to 1.10 logged."""

_MULTIMODAL_TYPES = ("mistral3", "gemma3", "gemma4", "qwen3_5", "llama4")
"""Model types (by their beginning) whose profiling run also holds the embeddings of a picture: one residual-wide buffer
of batched tokens more (Mistral-Small-3.1: 2.02 of 2.03; Granite-Vision 0.80 of 0.79)."""
_VISION_ENCODER_TYPES = ("qwen3_5",)
_VISION_PATCHES = 65_536
_VISION_VALUES_PER_PATCH = 2 * 4304 + 5 * 1152
"""Qwen3.5's tower takes pictures of 16,384 tokens, 4 patches each; its feed-forward is 4,304 and its residual 1,152
wide. One layer of it is 1.75 GiB; overhead less the CUDA context was 1.80 on three rows of Qwen3.5-35B on A100."""


def logits_copies(version: str) -> float:
    """Copies of the logits that the profiling run holds at once: a fit, so no whole number."""
    return _LOGITS_COPIES_SINCE if version_tuple(version) >= _LEAN_SAMPLER_VERSION else _LOGITS_COPIES_BEFORE


def logits_gib_per_sequence(model: Model, version: str, dtype_bytes: int = 2) -> float:
    """What one seat of the profiling run takes at the sampler, in GiB: logits and a little besides.

    The first copy has the engine's own number format: 32-bit runs take 2 bytes a logit more (2.21 against 1.89 GiB).
    """
    logit_bytes = logits_copies(version) * _LOGITS_BYTES_PER_COPY + (dtype_bytes - 2)
    return gib(logit_bytes * model.vocab_size + _SEAT_BYTES)


def feed_forward_width(model: Model) -> int:
    """Width of the feed-forward layer that one token passes: all its experts side by side."""
    if model.experts_per_token and model.moe_intermediate_size:
        return (model.experts_per_token + model.shared_experts) * model.moe_intermediate_size
    return model.intermediate_size


def sampler_base_gib(
    model: Model, version: str, tensor_parallel: int, max_num_batched_tokens: int, dtype_bytes: int = 2
) -> float:
    """What stays allocated while the sampler runs, whatever the seats: hidden states, pictures, experts' workspaces."""
    buffers = 1 + model.architecture.startswith(_MULTIMODAL_TYPES)
    states = buffers * max_num_batched_tokens * model.hidden_size * dtype_bytes
    kept = _expert_workspace_bytes(model, tensor_parallel, max_num_batched_tokens) if _keeps_workspace(version) else 0
    return gib(states + kept)


def feed_forward_gib(
    model: Model, tensor_parallel: int, max_num_batched_tokens: int, *, stage_input: bool = False, dtype_bytes: int = 2
) -> float:
    """Peak inside a layer, in GiB: batched tokens x (gate, up and their product + residual-wide buffers), or experts.

    Models that see take a picture through their tower first; the larger of both counts.
    """
    residual_buffers = _FEED_FORWARD_BUFFERS + (_STAGE_BUFFERS if stage_input else 0)
    residual = residual_buffers * max_num_batched_tokens * model.hidden_size * dtype_bytes
    experts = _expert_workspace_bytes(model, tensor_parallel, max_num_batched_tokens)
    dense_width = 0 if model.experts else model.intermediate_size
    dense = max_num_batched_tokens * 3 * dense_width / tensor_parallel * dtype_bytes
    return gib(max(residual + max(experts, dense), _vision_encoder_bytes(model)))


def activation_gib(
    model: Model, version: str, tensor_parallel: int, max_num_seqs: int, max_num_batched_tokens: int
) -> float:
    """Peak of the profiling run, in GiB: the larger of its two ends.

    The sampler's end: seats x copies of the fp32 logits, and what stays allocated meanwhile. Tensor parallelism does
    not divide it. The layer's end explains small vocabularies (CodeLlama-7B: 0.75 by this formula, 0.77 measured).
    """
    sampler = logits_gib_per_sequence(model, version) * max_num_seqs
    sampler += sampler_base_gib(model, version, tensor_parallel, max_num_batched_tokens)
    return max(sampler, feed_forward_gib(model, tensor_parallel, max_num_batched_tokens))


def _keeps_workspace(version: str) -> bool:
    """Whether experts' workspaces stay allocated between layers, so that they add to the sampler's end.

    Since 0.17: Mixtral at TP 2 1.22 of 1.21 and DeepSeek-V2-Lite 1.92 of 1.93 as a sum; before, Qwen3-Next 5.59 of 5.58 and
    Qwen3-235B 1.41 of 1.40 without it.
    """
    return version_tuple(version) >= _LEAN_SAMPLER_VERSION


def _expert_workspace_bytes(model: Model, tensor_parallel: int, max_num_batched_tokens: int) -> float:
    """Fused experts' two workspaces: gate and up or the output, whichever is wider; their product; and the sum.

    MXFP4 experts (gpt-oss) run in kernels without them: 2.88 of 2.87 GiB.
    """
    if not model.experts_per_token or not model.moe_intermediate_size or model.native_precision == "mxfp4":
        return 0.0
    width = model.moe_intermediate_size / tensor_parallel
    per_copy = max(2 * width, model.hidden_size) + width
    return max_num_batched_tokens * (model.experts_per_token * per_copy + model.hidden_size) * 2.0


def _vision_encoder_bytes(model: Model) -> float:
    if not model.architecture.startswith(_VISION_ENCODER_TYPES):
        return 0.0
    return float(_VISION_PATCHES * _VISION_VALUES_PER_PATCH * 2)


# --- CUDA context, communication, graphs -----------------------------------------------------------------------------

_SYMMETRIC_BUFFERS_VERSION = (0, 18)
"""First version with the larger context and, over NVLink, symmetric all-reduce buffers."""
_CONTEXT_GIB = {True: 0.25, False: 0.13}
"""CUDA context and libraries, by whether the version is 0.18 or newer: 0.24 to 0.27 and 0.13 to 0.14 logged."""
_CONTEXT_V0_GIB = 0.07
"""The same in engine V0, and in a pipeline stage: 0.05 to 0.08 logged."""
_NVLINK_GIB = 1.76
_NVLINK_GIB_PER_RANK = 0.035
"""All-reduce buffers over NVLink since 0.18: 2.06 to 2.10 GiB in all at TP 2, 2.13 to 2.21 at TP 4 (0.19 on H100)."""
_NVLINK_OLDER_GIB_PER_RANK = 0.24
"""The same before: 0.55 GiB in all at TP 2 (H100), 2.10 at TP 8 (A100)."""
_PCIE_GIB = {True: 0.50, False: 0.12}
"""All-reduce buffers over PCIe, by whether the version is 0.18 or newer: 0.75 in all (two RTX 5090, 0.26), 0.21 to 0.25
(eight L40S, 0.10; two RTX 4090, 0.7)."""

_GRAPHS_GIB = 0.25
_GRAPHS_GIB_PER_LAYER = 0.018
"""Captured CUDA graphs, or the estimate of them: 8 to 80 layers on H100 (0.19) take 0.51 to 1.79 GiB and are estimated
at 0.49 to 1.82; within a quarter on most rows."""


def non_torch_gib(accelerator: Accelerator, version: str, tensor_parallel: int, pipeline_parallel: int = 1) -> float:
    """CUDA context, and NCCL and all-reduce buffers, in GiB."""
    newer = version_tuple(version) >= _SYMMETRIC_BUFFERS_VERSION
    if tensor_parallel == 1:
        return _CONTEXT_V0_GIB if pipeline_parallel > 1 or _is_v0(version) else _CONTEXT_GIB[newer]
    if not accelerator.nvlink_gb_per_s:
        return _CONTEXT_GIB[newer] + _PCIE_GIB[newer]
    if newer:
        return _CONTEXT_GIB[newer] + _NVLINK_GIB + _NVLINK_GIB_PER_RANK * tensor_parallel
    return _CONTEXT_GIB[newer] + _NVLINK_OLDER_GIB_PER_RANK * tensor_parallel


def cuda_graph_gib(model: Model, pipeline_parallel: int = 1, *, enforce_eager: bool, draft_layers: int = 0) -> float:
    """Captured CUDA graphs, in GiB: a pool, and more for each layer, those of a draft included."""
    if enforce_eager:
        return 0.0
    return _GRAPHS_GIB + _GRAPHS_GIB_PER_LAYER * (layer_count(model) / pipeline_parallel + draft_layers)


@dataclass(frozen=True, slots=True, kw_only=True)
class Overhead:
    """What an engine takes on one accelerator besides weights and KV cache, in GiB."""

    activation_gib: float
    non_torch_gib: float
    cuda_graph_gib: float

    @property
    def total_gib(self) -> float:
        """All three."""
        return self.activation_gib + self.non_torch_gib + self.cuda_graph_gib


# --- The report of an engine -----------------------------------------------------------------------------------------

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

    weights_gib: float
    activation_gib: float
    non_torch_gib: float
    cuda_graph_gib: float
    kv_cache_gib: float
    kv_cache_tokens: int
    max_concurrency: float
    sequence_gib: float
    """What one sequence of max-model-len takes of the KV cache, on one accelerator."""
    capacity: Capacity
    budget_gib: float
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
    speculative_layers: int = 0
    """Layers of a draft head (EAGLE, multi-token prediction)."""
    lora_slots: int = 0
    lora_rank: int = 16


def overhead(config: EngineConfig, *, last_stage: bool = False) -> Overhead:
    """Everything that the engine takes on one accelerator besides weights and KV cache.

    With pipeline parallelism the log's first stage has no logits; the last one has.
    """
    tensor, pipeline = config.tensor_parallel, config.pipeline_parallel
    return Overhead(
        activation_gib=_activation_gib(config, samples=last_stage or pipeline == 1),
        non_torch_gib=non_torch_gib(config.accelerator, config.release.version, tensor, pipeline),
        cuda_graph_gib=cuda_graph_gib(config.model, pipeline, enforce_eager=config.enforce_eager),
    )


def engine_memory(config: EngineConfig) -> EngineMemory:
    """Predict the memory report of the engine at start. A negative ``kv_cache_gib`` means that it will not start.

    KV tokens and max concurrency are what the allocator makes of the pool at ``max_model_len`` per sequence; with
    pipeline parallelism the tightest stage decides, while the GiB are those of the first.
    """
    room, taken = capacity(config.accelerator), overhead(config)
    weights = weights_gib_per_accelerator(
        config.model,
        config.precision,
        config.tensor_parallel,
        config.pipeline_parallel,
        compute_capability=config.accelerator.compute_capability,
        dtype_bytes=config.dtype_bytes,
        speculative_layers=config.speculative_layers,
    )
    weights += config.lora_slots * lora_slot_gib(config.model, config.lora_rank)
    budget = _budget_gib(config, room.capacity_gib, weights + taken.activation_gib + taken.non_torch_gib)
    kv = budget - weights - _taken_from_budget_gib(config, taken)
    tightest = budget - weights - _taken_from_budget_gib(config, overhead(config, last_stage=True))
    held = pool(_pool_request(config), min(kv, tightest))
    return EngineMemory(
        weights_gib=weights,
        activation_gib=taken.activation_gib,
        non_torch_gib=taken.non_torch_gib,
        cuda_graph_gib=taken.cuda_graph_gib,
        kv_cache_gib=kv,
        kv_cache_tokens=held.tokens,
        max_concurrency=held.max_concurrency,
        sequence_gib=gib(held.sequence_bytes),
        capacity=room,
        budget_gib=budget,
        error_ratio=_error_ratio(config, weights, taken, kv),
    )


def _activation_gib(config: EngineConfig, *, samples: bool) -> float:
    model, version, tensor = config.model, config.release.version, config.tensor_parallel
    tokens, width = config.max_num_batched_tokens, config.dtype_bytes
    layer = feed_forward_gib(model, tensor, tokens, stage_input=config.pipeline_parallel > 1, dtype_bytes=width)
    if not samples or (_is_v0(version) and _v0_cuts_prompts(config.max_model_len)):
        return layer
    sampler = logits_gib_per_sequence(model, version, width) * config.max_num_seqs
    return max(layer, sampler + sampler_base_gib(model, version, tensor, tokens, width))


def _pool_request(config: EngineConfig) -> PoolRequest:
    return PoolRequest(
        model=config.model,
        version=version_tuple(config.release.version),
        kv_dtype=config.kv_dtype,
        dtype_bytes=config.dtype_bytes,
        tensor_parallel=config.tensor_parallel,
        pipeline_parallel=config.pipeline_parallel,
        max_model_len=config.max_model_len,
        max_num_batched_tokens=config.max_num_batched_tokens,
        speculative_layers=config.speculative_layers,
    )


def _error_ratio(config: EngineConfig, weights: float, taken: Overhead, kv: float) -> float:
    """How far off the KV cache may be, relative: the errors of the terms over what they leave."""
    least = _LEAST_ERROR_RATIO if config.engine == "vllm" else _LEAST_ERROR_RATIO_OF_OTHERS
    of_weights = _FOUR_BIT_WEIGHTS_UNCERTAINTY if config.precision in ("int4", "nvfp4") else _WEIGHTS_UNCERTAINTY
    of_overhead = _EXPERT_OVERHEAD_UNCERTAINTY if config.model.experts else _OVERHEAD_UNCERTAINTY
    if config.engine != "vllm" or not config.version_is_known:
        of_overhead = _OVERHEAD_UNCERTAINTY_OF_OTHERS
    uncertain = _ABSOLUTE_UNCERTAINTY_GIB + of_weights * weights + of_overhead * _taken_from_budget_gib(config, taken)
    return round(max(least, uncertain / max(kv, uncertain)), 3)


# --- How engines divide the card -------------------------------------------------------------------------------------

_SGLANG_LARGEST_CHUNK = 8192
"""Prefill chunk that SGLang takes on large cards where vLLM batches more."""
_SGLANG_RESERVE_GIB = 1.6
_SGLANG_RESERVE_GIB_PER_TOKEN = 1.5 / 1024
"""SGLang's default of --mem-fraction-static keeps free 1.5 MiB for each token of a prefill chunk (sglang #29615) and a
base for graphs, which is set so that H100 has the 0.828 of sglang #29092: the only measured figure."""
_TENSORRT_FREE_SHARE = 0.9
"""TensorRT-LLM's free_gpu_memory_fraction: that share of what is free once the engine is loaded."""
_TGI_SHARE = 0.90
"""Text Generation Inference gives the KV cache what its warm-up leaves of this share of the card (TGI_WIGGLE_ROOM, 3.3.7)."""

ENGINE_SUPPORT: dict[Engine, str] = {
    "sglang": "sglang: static share x card - weights; its default share was compared on one card only",
    "tensorrt-llm": "tensorrt-llm: 90 % of what is free after load, overhead as vLLM's; no start-up log was compared",
    "tgi": "tgi: 90 % of the card less what its warm-up takes, overhead as vLLM's; no start-up log was compared",
    "ollama": "ollama: accounted for as vLLM, although it allocates only the sequences it is told to serve",
}
"""How well the accounting of an engine is supported, where it is worse than vLLM's."""


def default_memory_share(engine: Engine, accelerator: Accelerator, release: EngineRelease) -> float:
    """The share of the card, or of what is free, that an engine takes when it is told nothing."""
    if engine == "sglang":
        room = capacity(accelerator).capacity_gib
        chunk = default_max_num_batched_tokens(accelerator)
        reserve = _SGLANG_RESERVE_GIB + _SGLANG_RESERVE_GIB_PER_TOKEN * min(chunk, _SGLANG_LARGEST_CHUNK)
        return round(1 - reserve / room, 3)
    if engine == "tensorrt-llm":
        return _TENSORRT_FREE_SHARE
    return _TGI_SHARE if engine == "tgi" else release.gpu_memory_utilization


def _budget_gib(config: EngineConfig, capacity_gib: float, loaded_gib: float) -> float:
    """What weights, KV cache and the counted part of the overhead may take together.

    TensorRT-LLM takes a share of what is free after loading, so that the rest of it is out of the budget.
    """
    if config.engine == "tensorrt-llm":
        return _share_of_free_gib(capacity_gib, config.gpu_memory_utilization, loaded_gib)
    return capacity_gib * config.gpu_memory_utilization


def _share_of_free_gib(capacity_gib: float, share: float, loaded_gib: float) -> float:
    return loaded_gib + max(0.0, capacity_gib - loaded_gib) * share


def engine_budget_gib(
    engine: Engine, capacity_gib: float, share: float, *, weights_gib: float, before_graphs_gib: float
) -> float:
    """What weights, KV cache and overhead may take together before CUDA graphs that come on top.

    ``before_graphs_gib`` is the overhead without them. SGLang serves it from what its static share leaves.
    """
    if engine == "tensorrt-llm":
        return _share_of_free_gib(capacity_gib, share, weights_gib + before_graphs_gib)
    return capacity_gib * share + (before_graphs_gib if engine == "sglang" else 0.0)


def kv_error_ratio(engine: Engine) -> float:
    """Stated error of the KV cache of a plan."""
    return KV_ERROR_RATIO if engine == "vllm" else _LEAST_ERROR_RATIO_OF_OTHERS


def _taken_from_budget_gib(config: EngineConfig, taken: Overhead) -> float:
    """The part of the overhead that leaves the KV cache less.

    vLLM: activation peak and non-torch, graphs only in newer versions. SGLang serves them all from what its static
    share leaves; TensorRT-LLM and TGI capture graphs afterwards.
    """
    if config.engine == "sglang":
        return 0.0
    in_budget = config.release.graphs_in_budget and config.engine in ("vllm", "ollama")
    return taken.activation_gib + taken.non_torch_gib + (taken.cuda_graph_gib if in_budget else 0.0)
