"""The activation peak of an engine's profiling run: its sampler, or the widest layer. Fitted on vLLM start-up logs.

``version`` is that of the vLLM whose overhead is counted.
"""

from __future__ import annotations

from dataclasses import dataclass

from agentgpu_iac.catalog.model import Model
from agentgpu_iac.catalog.versions import at_least
from agentgpu_iac.sizing.encoders import encoder_of
from agentgpu_iac.units import gib

_LEAN_SAMPLER_VERSION = "0.17"
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

_POOLED_BYTES = 4
"""A model that generates nothing has no sampler: what is taken of an input is one vector, in 32 bit."""

_FEED_FORWARD_BUFFERS = 4
"""Residual-wide buffers alive at the feed-forward peak beside gate, up and their product: CodeLlama-7B 0.754 of 0.77
GiB and Granite-8B 0.84 of 0.85."""
_STAGE_BUFFERS = 2
"""Residual-wide buffers in which a pipeline stage receives its input: Llama-3.1-8B 1.03, 1.05 to 1.10 logged."""

_MIXED_COPIES = 2
"""Queries, keys and values as they are projected, and normed, rotated or made contiguous; the output of attention is one more."""
_LATENT_CONTEXT_TOKENS = 65_536
"""Rows that vLLM keeps for the earlier context of prompts with latent attention, at most (``mla_attention.py``,
``determine_chunked_prefill_workspace_size``, alike in 0.11.0 and 0.33.0): no log of a start tells them apart."""
_CONVOLVED_COPIES = 3
"""Inputs of a recurrent layer's scan: projected, convolved, and split ..."""
_SCANNED_COPIES = 6
"""... and of the width of its values: the gate, three products of a chunk, its output, and the gated one ..."""
_SCAN_CHUNK_TOKENS = 64
"""... and the state, once for each chunk of so many tokens (gated delta net). vLLM's profiling run goes through the scan with 64
tokens only (``_warmup_prefill_kernels``, 0.27.0), while a step that is served takes all of it; what fills the same room in the
profile was not found. With experts' workspaces it is 84 KB a token of Qwen3.6-35B over four cards, 84 and 86 by logs (A100,
0.27: 16,384 tokens more, and a start without graphs)."""
_CONVOLUTION_TOKENS = 3
"""Tokens that a session keeps of the short convolution, whose kernel is 4 in all known models."""
_STATE_WIDTH = 128
"""Numbers of state for each one of the values: the width of a key head, or Mamba's state, in nearly all known models."""

_LOGITS_COPIES_IN_16_BIT = 0.5
"""Of a sampler that holds the logits in 16 bit alone (``runner``): Qwen3-32B on H100, 0.26, 1.73 of 1.71 GiB, where the layer's
end is the larger."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpertRun:
    """What one accelerator runs of the experts, where that is not its own tokens on its slice of every expert.

    vLLM's dispatch (allgather_reducescatter, its default) brings the tokens of all groups to every accelerator, and the fused
    kernels make room for all of them (0.33.0: no chunks any more).
    """

    groups: int
    """Attention groups whose tokens it gathers before the experts."""
    split: int
    """Accelerators that share each expert; 1 where whole experts are dealt out."""
    eight_bit: bool = False
    """Its kernels quantise what they read to 8 bit first, and hold both."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Profiling:
    """What the engine's profiling run does at its ends."""

    rows_per_step: int = 1
    """Tokens that it computes for each seat: 1 and those that a draft proposes."""
    in_16_bit: bool = False
    """Its profiling run never makes 32-bit logits."""
    encodes: bool = True
    """Its profiling run goes through towers for pictures and video, where the model has them."""


def logits_copies(version: str, *, in_16_bit: bool = False) -> float:
    """Copies of the logits that the profiling run holds at once: a fit, so no whole number."""
    if in_16_bit:
        return _LOGITS_COPIES_IN_16_BIT
    return _LOGITS_COPIES_SINCE if at_least(version, _LEAN_SAMPLER_VERSION) else _LOGITS_COPIES_BEFORE


def logits_gib_per_sequence(model: Model, version: str, dtype_bytes: int = 2, *, in_16_bit: bool = False) -> float:
    """What one seat of the profiling run takes at the sampler, in GiB: logits and a little besides.

    The first copy has the engine's own number format: 32-bit runs take 2 bytes a logit more (2.21 against 1.89 GiB).
    """
    logit_bytes = logits_copies(version, in_16_bit=in_16_bit) * _LOGITS_BYTES_PER_COPY + (dtype_bytes - 2)
    return gib(logit_bytes * model.vocab_size + _SEAT_BYTES)


def sampler_base_gib(
    model: Model,
    version: str,
    tensor_parallel: int,
    max_num_batched_tokens: int,
    dtype_bytes: int = 2,
    experts: ExpertRun | None = None,
    *,
    encodes: bool = True,
) -> float:
    """What stays allocated while the sampler runs, whatever the seats: hidden states, pictures, experts' workspaces."""
    held = max_num_batched_tokens + (_encoded_tokens(model, version, max_num_batched_tokens) if encodes else 0)
    states = held * model.hidden_size * dtype_bytes
    run = experts or ExpertRun(groups=1, split=tensor_parallel)
    kept = _expert_workspace_bytes(model, run, max_num_batched_tokens) if _keeps_workspace(version) else 0
    return gib(states + kept)


def feed_forward_gib(
    model: Model,
    version: str,
    tensor_parallel: int,
    max_num_batched_tokens: int,
    *,
    stage_input: bool = False,
    dtype_bytes: int = 2,
    experts: ExpertRun | None = None,
    encodes: bool = True,
) -> float:
    """Peak inside a layer, in GiB: batched tokens x (gate, up and their product + residual-wide buffers), or experts, or what
    mixes tokens; the last beside the experts' workspaces where those stay.

    Models that see take pictures through their tower first, and hold them and their embeddings then; the larger of both counts.
    """
    residual_buffers = _FEED_FORWARD_BUFFERS + (_STAGE_BUFFERS if stage_input else 0)
    residual = residual_buffers * max_num_batched_tokens * model.hidden_size * dtype_bytes
    run = experts or ExpertRun(groups=1, split=tensor_parallel)
    workspace = _expert_workspace_bytes(model, run, max_num_batched_tokens)
    dense_width = 0 if model.experts else model.intermediate_size
    dense = max_num_batched_tokens * 3 * dense_width / tensor_parallel * dtype_bytes
    mixing = max_num_batched_tokens * _mixing_width(model, tensor_parallel) * dtype_bytes
    mixing += _latent_context_bytes(model, tensor_parallel, dtype_bytes)
    kept = workspace if _keeps_workspace(version) else 0.0
    layer = residual + max(workspace, dense, kept + mixing)
    encoder = encoder_of(model) if encodes else None
    if encoder is None:
        return gib(layer)
    embeddings = encoder.held_tokens(version, max_num_batched_tokens) * model.hidden_size * dtype_bytes
    pictures = encoder.input_bytes(max_num_batched_tokens)
    encoded = encoder.profiled_bytes(max_num_batched_tokens, tensor_parallel)
    return gib(max(layer + pictures, encoded) + embeddings)


@dataclass(frozen=True, slots=True, kw_only=True)
class ActivationPeak:
    """Peak of the profiling run before the number of seats is known, in GiB.

    The sampler's end: seats x copies of the fp32 logits, and what stays allocated meanwhile. Tensor parallelism does
    not divide it. The layer's end explains small vocabularies (CodeLlama-7B: 0.75 by this formula, 0.77 measured).
    """

    feed_forward_gib: float
    """The layer's end, whatever the seats."""
    sampler_base_gib: float
    """The sampler's end without any seat."""
    logits_gib_per_seat: float
    """What each seat adds to the sampler's end: a row for each token that a step computes for it."""

    def gib(self, seats: int) -> float:
        """The larger of both ends."""
        return max(self.feed_forward_gib, self.sampler_base_gib + self.logits_gib_per_seat * seats)


def activation_peak(
    model: Model,
    version: str,
    tensor_parallel: int,
    max_num_batched_tokens: int,
    *,
    stage_input: bool = False,
    dtype_bytes: int = 2,
    profiling: Profiling | None = None,
    experts: ExpertRun | None = None,
) -> ActivationPeak:
    """The peak of an accelerator that samples: the only one, or one of the last pipeline stage.

    vLLM itself profiles with one proposed token a seat (``_dummy_sampler_run``, read up to 0.20), so with more of them a full
    step takes memory that its report does not show; what is counted here is the step.
    """
    run, pooled = profiling or Profiling(), model.pooling is not None
    return ActivationPeak(
        feed_forward_gib=feed_forward_gib(
            model,
            version,
            tensor_parallel,
            max_num_batched_tokens,
            stage_input=stage_input,
            dtype_bytes=dtype_bytes,
            experts=experts,
            encodes=run.encodes,
        ),
        sampler_base_gib=sampler_base_gib(
            model, version, tensor_parallel, max_num_batched_tokens, dtype_bytes, experts, encodes=run.encodes
        ),
        logits_gib_per_seat=gib(_POOLED_BYTES * model.hidden_size)
        if pooled
        else logits_gib_per_sequence(model, version, dtype_bytes, in_16_bit=run.in_16_bit) * run.rows_per_step,
    )


def _mixing_width(model: Model, tensor_parallel: int) -> float:
    """Numbers of a token that are alive on a rank while a layer mixes tokens; of latent attention, ``_latent_context_bytes``."""
    attention = 0.0
    if not model.kv_lora_rank:
        by_head = model.head_dim + (model.value_head_dim or model.head_dim)
        heads = model.attention_heads / tensor_parallel
        kv_heads = max(1.0, model.kv_heads / tensor_parallel)
        attention = _MIXED_COPIES * (heads * model.head_dim + kv_heads * by_head) + heads * (by_head - model.head_dim)
    if model.recurrent is None:
        return attention
    state = model.recurrent.state_elements
    convolved, width = model.recurrent.convolution_elements / _CONVOLUTION_TOKENS, state / _STATE_WIDTH
    scan = _CONVOLVED_COPIES * convolved + _SCANNED_COPIES * width + state / _SCAN_CHUNK_TOKENS
    return max(attention, scan / tensor_parallel)


def _keeps_workspace(version: str) -> bool:
    """Whether experts' workspaces stay allocated between layers, so that they add to the sampler's end.

    Since 0.17: Mixtral at TP 2 1.22 of 1.21 and DeepSeek-V2-Lite 1.92 of 1.93 as a sum; before, Qwen3-Next 5.59 of 5.58 and
    Qwen3-235B 1.41 of 1.40 without it.
    """
    return at_least(version, _LEAN_SAMPLER_VERSION)


def _latent_context_bytes(model: Model, tensor_parallel: int, dtype_bytes: int) -> float:
    """The earlier context of a prompt as latent attention unfolds it for each head of a rank, for which the profiling run makes
    room: 0.5 GiB of DeepSeek-V3 over eight cards, 4 GiB where each has all heads.

    vLLM takes fewer rows for a longest sequence under 8,192 tokens; the full ones are counted.
    """
    if not model.kv_lora_rank:
        return 0.0
    by_head = 2 * (
        model.head_dim - (model.qk_rope_head_dim or 0)
    )  # keys without position, and values of the same width
    return _LATENT_CONTEXT_TOKENS * model.attention_heads / tensor_parallel * by_head * dtype_bytes


def _expert_workspace_bytes(model: Model, run: ExpertRun, max_num_batched_tokens: int) -> float:
    """Fused experts' two workspaces: gate and up or the output, whichever is wider; their product; and the sum. Where tokens of
    several groups come together, they are held once more before the experts and after them.

    MXFP4 experts (gpt-oss) run in kernels without them: 2.88 of 2.87 GiB.
    """
    if not model.experts_per_token or not model.moe_intermediate_size or model.native_precision == "mxfp4":
        return 0.0
    width = model.moe_intermediate_size / run.split
    per_copy = max(2 * width, model.hidden_size) + width
    gathered = 2 * model.hidden_size if run.groups > 1 else 0
    per_token = 2.0 * (model.experts_per_token * per_copy + model.hidden_size + gathered)
    if run.eight_bit:
        per_token += model.experts_per_token * width + model.hidden_size
    return max_num_batched_tokens * run.groups * per_token


def _encoded_tokens(model: Model, version: str, max_num_batched_tokens: int) -> int:
    """Tokens whose embeddings are held while the language model is profiled (Mistral-Small-3.1: 1.98 of 2.03 GiB)."""
    encoder = encoder_of(model)
    return 0 if encoder is None else encoder.held_tokens(version, max_num_batched_tokens)
