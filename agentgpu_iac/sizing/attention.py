"""Attention of prompts and of decode steps: bytes of cache or operations, by kind of layer."""

from __future__ import annotations

import math
from dataclasses import dataclass

from agentgpu_iac.catalog.model import Accelerator, Model
from agentgpu_iac.sizing import kernels
from agentgpu_iac.sizing.kv_cache import value_bytes
from agentgpu_iac.sizing.layout import Layout
from agentgpu_iac.sizing.rates import Work
from agentgpu_iac.spec.vocabulary import Engine, KvCacheDtype

SPARSE_ATTENTION_TOKENS = 2048
"""Tokens that sparse attention selects (DeepSeek-V3.2, GLM-5)."""
SPARSE_INDEX_SHARE = 132 / 1152
"""Bytes of the indexer's own cache over those of the latent cache in 16 bit: 128 of a key and 4 of its scale, of 576
numbers."""
INDEX_HEADS, INDEX_HEAD_DIM = 64, 128
"""Heads and width of the indexer (config.json of DeepSeek-V3.2)."""
WINDOW_SHARE = 0.2
"""What attention to a window reaches of what attention to all earlier tokens does (aiconfigurator-core 0.12, windows of 128
tokens on H100, H200, L40S and RTX PRO 6000: 0.18 to 0.29)."""
LATENT_TFLOPS_SHARE = 0.7
"""MLA: part of the dense 16-bit TFLOPS that decoding reaches, as all heads of an accelerator attend to one latent
(aiconfigurator-core 0.12: FlashMLA and TensorRT-LLM on H100 and H200, 0.64 to 0.73)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attention:
    """Times of the whole replica, in ms."""

    launch_ms: float
    """One layer of a decode step takes at least this."""
    kv_ms_per_token: float
    """One token of context of one session, in all layers."""
    kv_ms_per_session: float
    """What a session holds whatever its length."""
    prompt_ms_per_pair: float
    """One prompt token attending to one earlier one."""
    prompt_ms_per_token: float
    """What a prompt token costs whatever is before it: short prompts reach less, windows are read whole."""


def attention_of(
    model: Model,
    accelerator: Accelerator,
    engine: Engine,
    kv_dtype: KvCacheDtype,
    work: Work,
    spread: Layout,
    *,
    sparse: bool,
) -> Attention:
    """Attention of a replica; its accelerator has a figure of 16-bit TFLOPS, or arithmetic costs nothing."""
    width = float(value_bytes(kv_dtype))
    decode = kernels.decode_attention(accelerator, engine, width)
    prompt = kernels.prompt_attention(accelerator, engine, width)
    bytes_per_ms = accelerator.bandwidth_gb_per_s * 1e6 * decode.bandwidth_share
    flops_per_ms = (kernels.tflops(accelerator, "bf16") or math.inf) * 1e9
    per_pair = _flops_per_pair(model) / spread.accelerators / (flops_per_ms * prompt.tflops_share)
    window_flops_per_ms = flops_per_ms * prompt.tflops_share * WINDOW_SHARE
    per_window = _window_flops(model) / spread.accelerators / window_flops_per_ms
    per_token = per_pair * prompt.half_tokens / 2
    if sparse:
        selected = per_pair * SPARSE_ATTENTION_TOKENS
        index = 2.0 * model.layers.full * INDEX_HEADS * INDEX_HEAD_DIM / spread.attention_groups
        per_pair = index / (2 * flops_per_ms * prompt.tflops_share)  # in 8 bit: twice the rate
        per_token += selected
    return Attention(
        launch_ms=decode.launch_us / 1e3,
        kv_ms_per_token=math.hypot(work.kv_bytes_per_token / bytes_per_ms, _latent_ms(model, spread, flops_per_ms)),
        kv_ms_per_session=(work.kv_bytes_per_session + work.state_bytes) / bytes_per_ms,  # a state is written, too
        prompt_ms_per_pair=per_pair,
        prompt_ms_per_token=per_token + per_window,
    )


def _flops_per_pair(model: Model) -> float:
    """Scores and weighted sum of one pair of tokens in the full-attention layers."""
    value = model.value_head_dim or model.head_dim
    if model.kv_lora_rank is not None:
        value = model.head_dim - (model.qk_rope_head_dim or 0)
    ways = 2 if model.pooling is not None and model.pooling.bidirectional else 1  # what follows, too
    return 2.0 * ways * model.layers.full * model.attention_heads * (model.head_dim + value)


def _window_flops(model: Model) -> float:
    """Scores and weighted sum of one token with a whole window, in the sliding layers."""
    width = model.sliding_head_dim or model.head_dim
    return 4.0 * model.layers.sliding * model.attention_heads * width * (model.sliding_window or 0)


def _latent_ms(model: Model, spread: Layout, flops_per_ms: float) -> float:
    """MLA: arithmetic of one token of context in a decode step; other attention is bound by its bytes."""
    if model.kv_lora_rank is None:
        return 0.0
    heads = model.attention_heads / spread.tensor_parallel
    per_layer = 2.0 * heads * (2 * model.kv_lora_rank + (model.qk_rope_head_dim or 0))
    return model.layers.full * per_layer / (flops_per_ms * LATENT_TFLOPS_SHARE)
