"""From the facts of a model to the shape that it can be sized by.

Engines differ in how they lay a model out, but not in what it needs: how many numbers a layer keeps per token, how many
it keeps per session, and how many parameters it has. The formulas below count those from published shapes.
"""

from __future__ import annotations

from agentgpu_iac.catalog.missing import UnsizableError, expert_width, known
from agentgpu_iac.catalog.model import LayerCounts, LinearAttention, Mamba, Model, ModelFacts, RecurrentShape
from agentgpu_iac.catalog.parameters import modules

ASSUMED_VOCAB_SIZE = 262_144
"""Stands in for an unknown vocabulary: the size class of the largest among open models (Gemma 3 and 4), so that the
memory for logits is never taken too small."""

ASSUMED_WIDTH_RATIO = 4
"""Stands in for an unknown feed-forward width, in multiples of the hidden size: more than most dense models have."""


_KEEPS_WHOLE_KEYS = ("minicpm3",)
"""Types with compressed attention whose engine keeps keys and values of all heads none the less, values padded to the width of
a key: 15,360 bytes a token in a layer of MiniCPM3, not 576 (vLLM 0.32.0, get_kv_cache_spec of the model that it builds)."""


def model(facts: ModelFacts) -> Model:
    """Make a model that can be sized.

    Two facts are assumed where they are unknown, because they only matter for the activation memory, and the note of
    the model says so: the vocabulary and the width of the feed-forward layer.

    Raises:
        UnsizableError: a fact that memory or speed follow from is unknown.
    """
    if facts.unsupported is not None:
        raise UnsizableError(facts.unsupported)
    layers = known(facts.layers, "the number of layers")
    _require_layer_shapes(facts, layers)
    hidden_size = known(facts.hidden_size, "the hidden size")
    vocab_size = facts.vocab_size or ASSUMED_VOCAB_SIZE
    parts = modules(facts.model_copy(update={"vocab_size": vocab_size}))
    is_mla = facts.kv_lora_rank is not None and facts.architecture not in _KEEPS_WHOLE_KEYS
    return Model(
        id=facts.id,
        family=facts.family,
        architecture=facts.architecture or "unknown",
        modules=parts,
        params_active=facts.params_active or sum(part.parameters for part in parts),
        layers=layers,
        hidden_size=hidden_size,
        attention_heads=known(facts.attention_heads, "the number of attention heads"),
        kv_heads=known(facts.kv_heads, "the number of KV heads"),
        head_dim=known(facts.head_dim, "the width of a head"),
        value_head_dim=None if facts.kv_lora_rank is not None else facts.value_head_dim,
        sliding_kv_heads=facts.sliding_kv_heads,
        sliding_head_dim=facts.sliding_head_dim,
        kv_lora_rank=facts.kv_lora_rank if is_mla else None,
        q_lora_rank=facts.q_lora_rank if is_mla else None,
        qk_rope_head_dim=facts.qk_rope_head_dim if is_mla else None,
        sliding_window=facts.sliding_window if layers.sliding else None,
        recurrent=recurrent_shape(facts) if layers.recurrent else None,
        index=facts.index,
        towers=facts.towers,
        vocab_size=vocab_size,
        max_context_tokens=known(facts.max_context_tokens, "the longest context"),
        intermediate_size=_intermediate_size(facts, hidden_size),
        moe_intermediate_size=expert_width(facts),
        experts=facts.experts,
        experts_per_token=facts.experts_per_token,
        shared_experts=facts.shared_experts or 0,
        tied_embeddings=bool(facts.tied_embeddings),
        native_precision=known(facts.native_precision, "the precision of the checkpoint"),
        checkpoint_bytes=facts.checkpoint_bytes,
        tool_call_parser=facts.tool_call_parser,
        reasoning_parser=facts.reasoning_parser,
        pooling=facts.pooling,
        gated=facts.gated,
        license=facts.license,
        sources=facts.sources,
        note=_note(facts),
    )


def _require_layer_shapes(facts: ModelFacts, layers: LayerCounts) -> None:
    """Check that each kind of layer brings the shape that its state follows from."""
    if layers.sliding:
        known(facts.sliding_window, "the window of its sliding layers")
    if layers.recurrent:
        known(
            facts.linear_attention or facts.mamba or facts.first_mamba or facts.short_convolution,
            "the shape of its recurrent layers",
        )
    if facts.kv_lora_rank is not None:
        known(facts.qk_rope_head_dim, "the rotary width of its compressed attention")


def _intermediate_size(facts: ModelFacts, hidden_size: int) -> int:
    """Width of the dense feed-forward layer; a mixture of experts that names none has no such layer."""
    if facts.intermediate_size is not None:
        return facts.intermediate_size
    return 0 if facts.experts else ASSUMED_WIDTH_RATIO * hidden_size


def _note(facts: ModelFacts) -> str | None:
    """The note of the facts, and what was assumed in their place."""
    assumed_vocabulary = facts.vocab_size is None
    assumed_width = facts.intermediate_size is None and not facts.experts
    sentences = (
        facts.note,
        f"Vocabulary unknown: {ASSUMED_VOCAB_SIZE} assumed" if assumed_vocabulary else None,
        f"Feed-forward width unknown: {ASSUMED_WIDTH_RATIO} x hidden size assumed" if assumed_width else None,
    )
    return ". ".join(sentence.rstrip(".") for sentence in sentences if sentence) or None


def recurrent_shape(facts: ModelFacts) -> RecurrentShape | None:
    """What one recurrent layer keeps per session, in numbers; nothing where the model has no recurrent layers."""
    if facts.linear_attention is not None:
        return _linear_attention_state(facts.linear_attention)
    if facts.first_mamba is not None:
        return RecurrentShape(
            state_elements=facts.first_mamba.channels * facts.first_mamba.state_size,
            convolution_elements=(facts.first_mamba.kernel - 1) * facts.first_mamba.channels,
        )
    if facts.short_convolution is not None:
        short = facts.short_convolution
        return RecurrentShape(state_elements=0, convolution_elements=(short.kernel - 1) * short.channels)
    return None if facts.mamba is None else _mamba_state(facts.mamba)


def _linear_attention_state(shape: LinearAttention) -> RecurrentShape:
    """A key x value matrix per value head; and the last inputs of the convolutions over queries, keys and values."""
    return RecurrentShape(
        state_elements=shape.value_heads * shape.key_head_dim * shape.value_head_dim,
        convolution_elements=(shape.kernel - 1) * _linear_attention_channels(shape),
    )


def _linear_attention_channels(shape: LinearAttention) -> int:
    """Channels of queries, keys and values together: those that the short convolution runs over."""
    return 2 * shape.key_heads * shape.key_head_dim + shape.value_heads * shape.value_head_dim


def _mamba_state(shape: Mamba) -> RecurrentShape:
    """A state per channel; and the last inputs of the convolution over the channels and both state projections."""
    return RecurrentShape(
        state_elements=shape.heads * shape.head_dim * shape.state_size,
        convolution_elements=(shape.kernel - 1) * _mamba_channels(shape),
    )


def _mamba_channels(shape: Mamba) -> int:
    """Channels that the short convolution runs over."""
    return shape.heads * shape.head_dim + 2 * shape.groups * shape.state_size
