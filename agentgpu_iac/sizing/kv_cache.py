"""The KV cache: bytes a token and a session take on one accelerator, and what an engine makes of its pool.

The first half is physics: heads, widths, windows, fixed states. The second half is vLLM's allocator, which gives
layers of several kinds one pool of equal pages: layers are put into groups of equal size, and each group of a request
takes pages of its own. Nothing here is fitted.
"""

from __future__ import annotations

from dataclasses import dataclass

from agentgpu_iac.catalog.model import Model
from agentgpu_iac.catalog.versions import at_least, before
from agentgpu_iac.spec.vocabulary import KvCacheDtype
from agentgpu_iac.units import GIB, ceil_div, round_up

KV_BLOCK_TOKENS = 16
"""vLLM's default KV block: a session's cache is allocated in whole blocks."""

V1_FIRST_VERSION = "0.8"
"""First vLLM whose default engine is V1."""
_TOKENS_AT_FULL_LENGTH_SINCE = "0.20.1"
"""Since this version "GPU KV cache size" is max concurrency x max-model-len: one Gemma-4-31B pool went from 55 to 525
thousand tokens, Qwen3.6-27B prints 2.36 x 262,144. Before, it is the pool over all layers as if none had a window."""
_EVEN_GROUPS_RATIO = 1.25
"""Layers of two kinds whose counts differ by less than this share one group size, the larger (vLLM's
kv_cache_utils); otherwise the rarer kind gives the size: Gemma-3-27B's 10 + 52 layers count as 10 + 60."""
_V0_LATENT_MULTIPLE = 128
"""Engine V0 padded the 576-wide compressed KV to a multiple of this: DeepSeek-R1 took 76.25 KiB a token, 68.6 since."""
_INDEX_SCALE_WIDTH = 128
"""Sparse attention keeps an index key of 8 bit a number, with one 4-byte scale for so many of them (vLLM's indexer)."""


def value_bytes(kv_dtype: KvCacheDtype, dtype_bytes: int = 2) -> int:
    """Bytes of one value in the cache: what was asked for, and for ``auto`` what the released engines make of it.

    That is the number format of the model, 16 bit unless it is started in 32, on every accelerator and whatever the
    precision of the weights: vLLM's resolve_kv_cache_dtype_string (read in 0.20) takes 8 bit only from a checkpoint of
    NVIDIA's ModelOpt that says so in kv_cache_quant_algo, which the catalog does not know of. Recipes that run an 8-bit
    cache on Blackwell ask for it, and so must a question or a spec.
    """
    return 1 if kv_dtype == "fp8" else dtype_bytes


def kv_heads_per_accelerator(kv_heads: int, tensor_parallel: int) -> int:
    """KV heads on one accelerator: divided while there are enough, then replicated."""
    return max(1, ceil_div(kv_heads, tensor_parallel))


def kv_bytes_per_token(
    model: Model, kv_dtype: KvCacheDtype, tensor_parallel: int, pipeline_parallel: int, *, dtype_bytes: int = 2
) -> int:
    """KV cache that one more token of context takes on one accelerator, in bytes: the full-attention layers.

    None where no token looks back at another step's: such models are read whole (vLLM 0.33.0: attention of the type
    ENCODER_ONLY has no cache).

    MHA, GQA, MQA: 2 (K and V) x KV heads x head width x bytes. MLA: (compressed rank + rotary width) x bytes, the
    same on every accelerator of a tensor-parallel group. ``dtype_bytes`` 4 is an engine started in 32 bit.
    """
    if not model.keeps_kv:
        return 0
    layers = ceil_div(model.layers.full, pipeline_parallel)
    return layers * _bytes_per_token_of_full_layer(model, value_bytes(kv_dtype, dtype_bytes), tensor_parallel)


def kv_tokens(context_tokens: int) -> int:
    """Tokens of whole blocks that hold a context."""
    return round_up(context_tokens, KV_BLOCK_TOKENS)


def draft_layer_kv_bytes_per_token(
    model: Model, kv_dtype: KvCacheDtype, tensor_parallel: int, *, dtype_bytes: int = 2
) -> int:
    """KV cache of one more full-attention layer, as heads for speculation have (EAGLE, multi-token prediction)."""
    return _bytes_per_token_of_full_layer(model, value_bytes(kv_dtype, dtype_bytes), tensor_parallel)


def index_bytes_per_token(model: Model) -> int:
    """What sparse attention keeps beside the KV cache of one token, spread over the full layers.

    DeepSeek-V3.2: 132 bytes in each. Layers that share the index of another (GLM-5.2) keep none.
    """
    if model.index is None or not model.layers.full:
        return 0
    key = model.index.head_dim + 4 * ceil_div(model.index.head_dim, _INDEX_SCALE_WIDTH)
    return ceil_div(model.index.layers * key, model.layers.full)


def kv_bytes_per_session(
    model: Model,
    kv_dtype: KvCacheDtype,
    tensor_parallel: int,
    pipeline_parallel: int,
    context_tokens: int,
    *,
    dtype_bytes: int = 2,
) -> float:
    """Memory that one session of ``context_tokens`` holds on one accelerator, in bytes.

    Full-attention layers grow with the context, sliding-window layers up to their window, recurrent layers hold a
    fixed state: a matrix in 32 bit and a short convolution in 16 bit, divided by tensor parallelism.
    """
    if not model.keeps_kv:
        return 0.0
    tokens = round_up(context_tokens, KV_BLOCK_TOKENS)
    growing = tokens * kv_bytes_per_token(model, kv_dtype, tensor_parallel, pipeline_parallel, dtype_bytes=dtype_bytes)
    window = min(tokens, round_up(model.sliding_window or 0, KV_BLOCK_TOKENS))
    sliding_layers = ceil_div(model.layers.sliding, pipeline_parallel)
    width = value_bytes(kv_dtype, dtype_bytes)
    sliding = sliding_layers * window * _bytes_per_token_of_sliding_layer(model, width, tensor_parallel)
    recurrent_layers = ceil_div(model.layers.recurrent, pipeline_parallel)
    return growing + sliding + recurrent_layers * _state_bytes(model, tensor_parallel)


def is_hybrid(model: Model) -> bool:
    """Whether layers of several kinds share the pool, so that tokens of it depend on the length of a request."""
    return sum(1 for count in (model.layers.full, model.layers.sliding, model.layers.recurrent) if count) > 1


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolRequest:
    """What the allocator's answer depends on."""

    model: Model
    version: str
    kv_dtype: KvCacheDtype
    dtype_bytes: int
    tensor_parallel: int
    pipeline_parallel: int
    max_model_len: int
    max_num_batched_tokens: int
    speculative_layers: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """A KV pool as the engine prints it."""

    tokens: int
    max_concurrency: float
    sequence_bytes: float
    """What one sequence of max-model-len takes of the pool, in bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pages:
    """Pages that one request takes: groups of layers of one kind, and pages in each."""

    groups: int
    pages: int


def pool(request: PoolRequest, kv_gib: float) -> Pool:
    """Divide ``kv_gib`` on each accelerator into pages and say how many requests of full length they hold."""
    layers = _layers_on_a_stage(request)
    group_layers = _group_layers(tuple(count for count in layers if count))
    page_bytes, block_tokens, sliding_block_tokens = _page(request)
    kinds = _pages_of_a_request(request, group_layers, block_tokens, sliding_block_tokens)
    needed = sum(kind.groups * kind.pages for kind in kinds)
    all_layers_page_bytes = group_layers * page_bytes
    pages = max(0, int(kv_gib * GIB // all_layers_page_bytes)) if all_layers_page_bytes else 0
    concurrency = pages / needed if needed else 0.0
    groups = sum(kind.groups for kind in kinds)
    tokens = pages // groups * block_tokens if groups else 0
    if len(kinds) > 1 and at_least(request.version, _TOKENS_AT_FULL_LENGTH_SINCE):
        tokens = int(concurrency * request.max_model_len)
    return Pool(tokens=tokens, max_concurrency=concurrency, sequence_bytes=float(needed * all_layers_page_bytes))


def _layers_on_a_stage(request: PoolRequest) -> tuple[int, int, int]:
    """(full, sliding, recurrent) layers on the fullest pipeline stage; a draft layer is a full one."""
    layers, stages = request.model.layers, request.pipeline_parallel
    if not request.model.keeps_kv:
        return 0, 0, 0
    full = ceil_div(layers.full, stages) + request.speculative_layers
    return full, ceil_div(layers.sliding, stages), ceil_div(layers.recurrent, stages)


def _group_layers(counts: tuple[int, ...]) -> int:
    """Layers in each group of the pool."""
    if not counts:
        return 0
    fewest, most = min(counts), max(counts)
    return most if most < fewest * _EVEN_GROUPS_RATIO else fewest


def _page(request: PoolRequest) -> tuple[int, int, int]:
    """(bytes of one layer's page, tokens that it holds in a full layer, in a sliding layer).

    All pages are equally large: where a sliding layer's tokens are narrower its page holds more of them, and where a
    recurrent layer's state is larger than 16 tokens the page grows to hold it (Qwen3.5-35B: 1,056 tokens).
    """
    model, tensor = request.model, request.tensor_parallel
    width = value_bytes(request.kv_dtype, request.dtype_bytes)
    full = _bytes_per_token_of_full_layer(model, width, tensor, v0=before(request.version, V1_FIRST_VERSION))
    sliding = _bytes_per_token_of_sliding_layer(model, width, tensor) if model.layers.sliding else full
    widest = max(full, sliding)
    state = _state_bytes(model, tensor)
    tokens = max(KV_BLOCK_TOKENS, round_up(ceil_div(int(state), widest), KV_BLOCK_TOKENS))
    page_bytes = tokens * widest
    return page_bytes, page_bytes // full, page_bytes // sliding


def _pages_of_a_request(
    request: PoolRequest, group_layers: int, block_tokens: int, sliding_block_tokens: int
) -> tuple[_Pages, ...]:
    """Pages by kind of layer that one request of max-model-len takes; kinds that the model lacks are left out."""
    full, sliding, recurrent = _layers_on_a_stage(request)
    length = request.max_model_len
    in_window = min((request.model.sliding_window or length) - 1 + request.max_num_batched_tokens, length)
    kinds = (
        (full, ceil_div(length, block_tokens)),
        (sliding, ceil_div(in_window, sliding_block_tokens) + 1),
        (recurrent, 1 + request.speculative_layers),
    )
    return tuple(_Pages(groups=ceil_div(count, group_layers), pages=pages) for count, pages in kinds if count)


def _bytes_per_token_of_full_layer(model: Model, width: int, tensor_parallel: int, *, v0: bool = False) -> int:
    if model.kv_lora_rank is not None:
        latent = model.kv_lora_rank + (model.qk_rope_head_dim or 0)
        padded = round_up(latent, _V0_LATENT_MULTIPLE) if v0 else latent
        return padded * width + index_bytes_per_token(model)
    key_and_value = model.head_dim + (model.value_head_dim or model.head_dim)
    own = kv_heads_per_accelerator(model.kv_heads, tensor_parallel) * key_and_value * width
    return own + index_bytes_per_token(model)


def _bytes_per_token_of_sliding_layer(model: Model, width: int, tensor_parallel: int) -> int:
    if model.sliding_kv_heads is None and model.sliding_head_dim is None:
        return _bytes_per_token_of_full_layer(model, width, tensor_parallel)
    heads = kv_heads_per_accelerator(model.sliding_kv_heads or model.kv_heads, tensor_parallel)
    return 2 * heads * (model.sliding_head_dim or model.head_dim) * width


def _state_bytes(model: Model, tensor_parallel: int) -> float:
    """The fixed state of one recurrent layer on one accelerator."""
    if model.recurrent is None:
        return 0.0
    return (model.recurrent.state_elements * 4 + model.recurrent.convolution_elements * 2) / tensor_parallel
