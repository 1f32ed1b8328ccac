"""Memory of one accelerator: weights, KV cache, and what the engine takes besides.

    need = weights + KV per session x sessions + overhead <= 0.80 x capacity

The engine, for its part, allocates: KV budget = utilization x capacity - weights - activation peak - non-torch
(- CUDA graphs in newer versions). On 95 start-up logs of vLLM 0.6 to 0.31 that identity holds with a median residual
of 0.002 GiB; the terms themselves are estimated here, with constants read from the same logs (each names its rows).
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Literal

from agentgpu_iac.catalog.model import Accelerator, EngineRelease, Model
from agentgpu_iac.spec.vocabulary import KvCacheDtype, Precision
from agentgpu_iac.units import GIB, MIB, ceil_div, gib, round_up

STEADY_STATE_RATIO = 0.80
"""Need may fill this share of the capacity in steady state; sustained use above it means scale up (the 80 % rule)."""

KV_BLOCK_TOKENS = 16
"""vLLM's default KV block: a session's cache is allocated in whole blocks."""

_DRIVER_RESERVE_GIB = 0.5
"""What CUDA sees is less than what the driver reports: 0.3 to 0.6 GiB on the cards where both are known."""
_NOMINAL_RATIO = 0.93
"""CUDA-visible GiB per nominal GB where neither figure is known: 24 GB cards show 22.1 to 23.6 GiB."""

_BITS_PER_PARAMETER: dict[Precision, float] = {
    "bf16": 16.0,
    "fp16": 16.0,
    "fp8": 8.0,
    "int8": 8.0,
    "int4": 4.0 + (16 + 4) / 128,  # one 16-bit scale and one 4-bit zero point for 128 weights (GPTQ, AWQ)
    "mxfp4": 4.0 + 8 / 32,  # one 8-bit scale for 32 weights (OCP microscaling)
    "nvfp4": 4.0 + 8 / 16,  # one FP8 scale for 16 weights
}

_KV_BYTES: dict[KvCacheDtype, int] = {"auto": 2, "bf16": 2, "fp16": 2, "fp8": 1}

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


def bits_per_parameter(precision: Precision) -> float:
    """Bits of one quantised weight with its scales."""
    return _BITS_PER_PARAMETER[precision]


def embedding_parameters(model: Model) -> int:
    """Parameters of the input and output embeddings, which quantised checkpoints keep in 16 bit."""
    return model.vocab_size * model.hidden_size * (1 if model.tied_embeddings else 2)


def expert_parameters(model: Model) -> int:
    """Parameters of all routed experts: layers x experts x three matrices of hidden x expert width."""
    if not model.experts or not model.moe_intermediate_size:
        return 0
    return layer_count(model) * model.experts * 3 * model.hidden_size * model.moe_intermediate_size


def layer_count(model: Model) -> int:
    """Layers of any kind."""
    layers = model.layers
    return layers.full + layers.sliding + layers.recurrent + layers.stateless


def weight_bytes(model: Model, precision: Precision) -> float:
    """Bytes of the whole model's weights.

    The published checkpoint's size where it is known and asked for in its own precision. Otherwise parameters x bits:
    8- and 4-bit schemes quantise the linear layers and leave the embeddings in 16 bit (Llama-3.1-8B: 8.49 GiB in
    FP8 and 5.38 GiB in INT4 measured, 8.46 and 5.32 by this formula); MXFP4 checkpoints quantise the routed experts
    only.
    """
    if precision == model.native_precision and model.checkpoint_bytes is not None:
        return float(model.checkpoint_bytes)
    bits = _BITS_PER_PARAMETER[precision]
    if bits == 16.0:
        return model.params_total * 2.0
    if precision == "mxfp4" and model.experts:
        quantised = min(expert_parameters(model), model.params_total)
    else:
        quantised = max(0, model.params_total - embedding_parameters(model))
    return quantised * bits / 8 + (model.params_total - quantised) * 2.0


def weights_gib_per_accelerator(
    model: Model, precision: Precision, tensor_parallel: int, pipeline_parallel: int
) -> float:
    """Weights on the fullest accelerator, in GiB.

    Tensor parallelism divides every matrix. Pipeline stages hold whole layers, and the first and last stage hold an
    embedding besides: the fullest stage has ceil(layers / stages) layers and the larger embedding.
    """
    total = weight_bytes(model, precision)
    if pipeline_parallel == 1:
        return gib(total / tensor_parallel)
    one_embedding = model.vocab_size * model.hidden_size * 2.0
    body = max(0.0, total - embedding_parameters(model) * 2.0)
    layers = layer_count(model)
    stage = body * ceil_div(layers, pipeline_parallel) / layers + one_embedding
    return gib(stage / tensor_parallel)


def kv_heads_per_accelerator(kv_heads: int, tensor_parallel: int) -> int:
    """KV heads on one accelerator: divided while there are enough, then replicated."""
    return max(1, ceil_div(kv_heads, tensor_parallel))


def _kv_bytes_per_token_of_full_layer(model: Model, kv_dtype: KvCacheDtype, tensor_parallel: int) -> int:
    width = _KV_BYTES[kv_dtype]
    if model.kv_lora_rank is not None:
        return (model.kv_lora_rank + (model.qk_rope_head_dim or 0)) * width
    key_and_value = model.head_dim + (model.value_head_dim or model.head_dim)
    return kv_heads_per_accelerator(model.kv_heads, tensor_parallel) * key_and_value * width


def _kv_bytes_per_token_of_sliding_layer(model: Model, kv_dtype: KvCacheDtype, tensor_parallel: int) -> int:
    if model.sliding_kv_heads is None and model.sliding_head_dim is None:
        return _kv_bytes_per_token_of_full_layer(model, kv_dtype, tensor_parallel)
    heads = kv_heads_per_accelerator(model.sliding_kv_heads or model.kv_heads, tensor_parallel)
    return 2 * heads * (model.sliding_head_dim or model.head_dim) * _KV_BYTES[kv_dtype]


def kv_bytes_per_token(model: Model, kv_dtype: KvCacheDtype, tensor_parallel: int, pipeline_parallel: int) -> int:
    """KV cache that one more token of context takes on one accelerator, in bytes: the full-attention layers.

    MHA, GQA, MQA: 2 (K and V) x KV heads x head width x bytes. MLA: (compressed rank + rotary width) x bytes, the
    same on every accelerator of a tensor-parallel group.
    """
    layers = ceil_div(model.layers.full, pipeline_parallel)
    return layers * _kv_bytes_per_token_of_full_layer(model, kv_dtype, tensor_parallel)


def kv_bytes_per_session(
    model: Model, kv_dtype: KvCacheDtype, tensor_parallel: int, pipeline_parallel: int, context_tokens: int
) -> float:
    """Memory that one session of ``context_tokens`` holds on one accelerator, in bytes.

    Full-attention layers grow with the context, sliding-window layers up to their window, recurrent layers hold a
    fixed state: a matrix in 32 bit and a short convolution in 16 bit, divided by tensor parallelism.
    """
    tokens = round_up(context_tokens, KV_BLOCK_TOKENS)
    growing = tokens * kv_bytes_per_token(model, kv_dtype, tensor_parallel, pipeline_parallel)
    window = min(tokens, round_up(model.sliding_window or 0, KV_BLOCK_TOKENS))
    sliding_layers = ceil_div(model.layers.sliding, pipeline_parallel)
    sliding = sliding_layers * window * _kv_bytes_per_token_of_sliding_layer(model, kv_dtype, tensor_parallel)
    recurrent = 0.0
    if model.recurrent is not None:
        state = model.recurrent.state_elements * 4 + model.recurrent.convolution_elements * 2
        recurrent = ceil_div(model.layers.recurrent, pipeline_parallel) * state / tensor_parallel
    return growing + sliding + recurrent


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


def version_tuple(version: str) -> tuple[int, ...]:
    """``0.33.0`` as (0, 33, 0), for comparison; what follows the first part that is no number does not count."""
    parts = itertools.takewhile(str.isdecimal, version.split("."))
    return tuple(int(part) for part in parts)


def logits_gib_per_sequence(model: Model, version: str) -> float:
    """Logits that the profiling run keeps for each sequence, in GiB: copies x vocabulary x 4 B."""
    return gib(logits_copies(version) * model.vocab_size * 4)


def logits_copies(version: str) -> float:
    """Copies of the logits that the profiling run holds at once: a fit, so no whole number."""
    return 3.9 if version_tuple(version) >= (0, 17) else 9.7


def feed_forward_width(model: Model) -> int:
    """Width of the feed-forward layer that one token passes: all its experts side by side."""
    if model.experts_per_token and model.moe_intermediate_size:
        return (model.experts_per_token + model.shared_experts) * model.moe_intermediate_size
    return model.intermediate_size


def lora_slot_gib(model: Model, rank: int) -> float:
    """One LoRA slot, in GiB: two thin matrices of ``rank`` for each linear layer, in 16 bit.

    Mistral-7B at rank 16: 0.08 GiB by this formula, 0.07 measured (13.51 against 13.58 GiB of weights).
    """
    width = 8 * model.hidden_size + 3 * (model.hidden_size + model.intermediate_size)
    return gib(layer_count(model) * rank * width * 2)


def activation_gib(
    model: Model, version: str, tensor_parallel: int, max_num_seqs: int, max_num_batched_tokens: int
) -> float:
    """Peak of the profiling run, in GiB: the larger of its two ends.

    The sampler's end: copies of the fp32 logits, k x vocabulary x max-num-seqs x 4 B, with k = 9.7 before vLLM 0.17
    (59 start-up logs) and 3.9 since (Llama, Qwen, Gemma, Phi, gpt-oss: 3.71 to 4.06). Tensor parallelism does not
    divide it. The feed-forward end: batched tokens x (gate, up and their product + four residual-wide buffers) x 2 B,
    which explains the small-vocabulary models (CodeLlama-7B: 0.75 by this formula, 0.77 measured).
    """
    logits = logits_gib_per_sequence(model, version) * GIB * max_num_seqs
    width = feed_forward_width(model)
    feed_forward = max_num_batched_tokens * (3 * width / tensor_parallel + 4 * model.hidden_size) * 2
    return gib(max(logits, feed_forward))


def non_torch_gib(accelerator: Accelerator, version: str, tensor_parallel: int) -> float:
    """CUDA context, and NCCL and all-reduce buffers, in GiB.

    One accelerator: 0.12 up to vLLM 0.17, 0.25 since 0.18. Tensor parallel over NVLink: 2.06 to 2.21 on H100
    (0.19 logs); over PCIe 0.2 to 0.75. Pipeline stages alone add nothing that the logs show.
    """
    alone = 0.25 if version_tuple(version) >= (0, 18) else 0.12
    if tensor_parallel == 1:
        return alone
    return 2.15 if accelerator.nvlink_gb_per_s else 0.75


def cuda_graph_gib(tensor_parallel: int, *, enforce_eager: bool) -> float:
    """Captured CUDA graphs, in GiB: 0.5 to 1.85 on H100, mean 1.05 for one accelerator and 1.28 for two (0.19 logs)."""
    if enforce_eager:
        return 0.0
    return 1.05 if tensor_parallel == 1 else 1.28


KV_ERROR_RATIO = 0.05
"""Stated error of the predicted KV cache in GiB: against 43 start-up logs of vLLM 0.7 to 0.33 the median error is
0.3 %, and 90 % of them are within 3.5 %. Two logs are far off: one that loaded its weights in 32 bit, and one of
vLLM 0.13 (a larger activation peak) on a card that the model nearly fills."""


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


def overhead(config: EngineConfig) -> Overhead:
    """Everything that the engine takes on one accelerator besides weights and KV cache."""
    version, tensor_parallel = config.release.version, config.tensor_parallel
    return Overhead(
        activation_gib=activation_gib(
            config.model, version, tensor_parallel, config.max_num_seqs, config.max_num_batched_tokens
        ),
        non_torch_gib=non_torch_gib(config.accelerator, version, tensor_parallel),
        cuda_graph_gib=cuda_graph_gib(tensor_parallel, enforce_eager=config.enforce_eager),
    )


def engine_memory(config: EngineConfig) -> EngineMemory:
    """Predict the memory report of vLLM at start. A negative ``kv_cache_gib`` means that it will not start.

    KV tokens are what the pool holds at ``max_model_len`` per sequence (sliding and recurrent layers share the pool,
    so the figure depends on that length); max concurrency is the pool over one sequence of that length.
    """
    model, tensor, pipeline = config.model, config.tensor_parallel, config.pipeline_parallel
    room, taken = capacity(config.accelerator), overhead(config)
    weights = weights_gib_per_accelerator(model, config.precision, tensor, pipeline)
    graphs = taken.cuda_graph_gib if config.release.graphs_in_budget else 0.0
    budget = room.capacity_gib * config.gpu_memory_utilization
    kv = budget - weights - taken.activation_gib - taken.non_torch_gib - graphs
    per_sequence = kv_bytes_per_session(model, config.kv_dtype, tensor, pipeline, config.max_model_len)
    concurrency = max(0.0, kv * GIB / per_sequence)
    return EngineMemory(
        weights_gib=weights,
        activation_gib=taken.activation_gib,
        non_torch_gib=taken.non_torch_gib,
        cuda_graph_gib=taken.cuda_graph_gib,
        kv_cache_gib=kv,
        kv_cache_tokens=int(concurrency * config.max_model_len),
        max_concurrency=concurrency,
        capacity=room,
        budget_gib=budget,
        error_ratio=KV_ERROR_RATIO,
    )


def default_max_num_seqs(accelerator: Accelerator) -> int:
    """The engine's own --max-num-seqs when unset: 1024 from 70 GiB up except on A100, else 256."""
    return 1024 if accelerator.memory_gb >= 75 and not accelerator.id.startswith("a100") else 256


def default_max_num_batched_tokens(accelerator: Accelerator) -> int:
    """The engine's own --max-num-batched-tokens when unset: 16384 from 160 GiB, 8192 from 70 GiB (not A100), else 2048."""
    if accelerator.memory_gb >= 175:
        return 16384
    return 8192 if default_max_num_seqs(accelerator) == 1024 else 2048
