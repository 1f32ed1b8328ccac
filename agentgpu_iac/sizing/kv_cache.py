"""The KV cache: bytes that a token and a session hold on one accelerator. Physics: heads, widths, windows, fixed states.

What an engine's allocator makes of them is ``paging``. Nothing here is fitted.
"""

from __future__ import annotations

from agentgpu_iac.catalog.model import Model
from agentgpu_iac.spec.vocabulary import KvCacheDtype
from agentgpu_iac.units import ceil_div, round_up

KV_BLOCK_TOKENS = 16
"""vLLM's default KV block: a session's cache is allocated in whole blocks."""

V1_FIRST_VERSION = "0.8"
"""First vLLM whose default engine is V1: older ones are not planned."""
_INDEX_SCALE_WIDTH = 128
"""Sparse attention keeps an index key of 8 bit a number, with one 4-byte scale for so many of them (vLLM's indexer)."""


def value_bytes(kv_dtype: KvCacheDtype, dtype_bytes: int = 2) -> int:
    """Bytes of one value in the cache: what was asked for; ``auto`` is the number format of the model.

    That is 16 bit unless it is started in 32, on every accelerator and whatever the precision of the weights. What a
    checkpoint asks of an engine that heeds it is settled before (``catalog.checkpoint.cache_dtype``). Recipes that run an
    8-bit cache on Blackwell ask for it, and so must a question or a spec.
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
    return layers * bytes_per_token_of_full_layer(model, value_bytes(kv_dtype, dtype_bytes), tensor_parallel)


def kv_tokens(context_tokens: int) -> int:
    """Tokens of whole blocks that hold a context."""
    return round_up(context_tokens, KV_BLOCK_TOKENS)


def draft_layer_kv_bytes_per_token(
    model: Model, kv_dtype: KvCacheDtype, tensor_parallel: int, *, dtype_bytes: int = 2
) -> int:
    """KV cache of one more full-attention layer, as heads for speculation have (EAGLE, multi-token prediction)."""
    return bytes_per_token_of_full_layer(model, value_bytes(kv_dtype, dtype_bytes), tensor_parallel)


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
    sliding = sliding_layers * window * bytes_per_token_of_sliding_layer(model, width, tensor_parallel)
    recurrent_layers = ceil_div(model.layers.recurrent, pipeline_parallel)
    return growing + sliding + recurrent_layers * state_bytes(model, tensor_parallel)


def is_hybrid(model: Model) -> bool:
    """Whether layers of several kinds share the pool, so that tokens of it depend on the length of a request."""
    return sum(1 for count in (model.layers.full, model.layers.sliding, model.layers.recurrent) if count) > 1


def bytes_per_token_of_full_layer(model: Model, width: int, tensor_parallel: int) -> int:
    """KV cache of one token in one full-attention layer, on one accelerator."""
    if model.kv_lora_rank is not None:
        latent = model.kv_lora_rank + (model.qk_rope_head_dim or 0)
        return latent * width + index_bytes_per_token(model)
    key_and_value = model.head_dim + (model.value_head_dim or model.head_dim)
    own = kv_heads_per_accelerator(model.kv_heads, tensor_parallel) * key_and_value * width
    return own + index_bytes_per_token(model)


def bytes_per_token_of_sliding_layer(model: Model, width: int, tensor_parallel: int) -> int:
    """The same of one sliding layer."""
    if model.sliding_kv_heads is None and model.sliding_head_dim is None:
        return bytes_per_token_of_full_layer(model, width, tensor_parallel)
    heads = kv_heads_per_accelerator(model.sliding_kv_heads or model.kv_heads, tensor_parallel)
    return 2 * heads * (model.sliding_head_dim or model.head_dim) * width


def state_bytes(model: Model, tensor_parallel: int, *, number_bytes: int = 4) -> float:
    """The fixed state of one recurrent layer on one accelerator, its matrix in numbers of ``number_bytes``."""
    if model.recurrent is None:
        return 0.0
    matrix = model.recurrent.state_elements * number_bytes
    return (matrix + model.recurrent.convolution_elements * 2) / tensor_parallel
