"""How many parameters a model has, counted from its shape.

Only matrices are counted: biases, norms and convolutions are less than a hundredth of them. The count is of the text
model without the extra layers for multi-token prediction, which engines load only for speculation, and without towers
for pictures and sound.
"""

from __future__ import annotations

from agentgpu_iac.catalog.model import LayerCounts, LinearAttention, Mamba, ModelFacts
from agentgpu_iac.catalog.shapes import expert_width, known

GATED_ATTENTION = ("qwen3_next", "qwen3_5")
"""Model types (by their beginning) whose query projection also yields a gate for the output: it is twice as wide."""

UNGATED_FEED_FORWARD = ("nemotron_h",)
"""Model types (by their beginning) whose feed-forward has no gate: two matrices instead of three."""


def parameter_count(facts: ModelFacts) -> int:
    """All parameters.

    Raises:
        UnsizableError: a width or a count that they follow from is unknown.
    """
    layers = known(facts.layers, "the number of layers")
    parts = (
        (layers.full, _full_attention),
        (layers.sliding, _sliding_attention),
        (layers.recurrent, _recurrent),
        (_dense_layers(facts, layers), _dense_feed_forward),
        (_expert_layers(facts, layers), _expert_feed_forward),
    )
    return _embedding(facts) + sum(count * parameters(facts) for count, parameters in parts if count)


def active_parameter_count(facts: ModelFacts) -> int:
    """Parameters that one token touches: all but the routed experts that it is not sent to.

    Raises:
        UnsizableError: a width or a count that they follow from is unknown.
    """
    if not facts.experts:
        return parameter_count(facts)
    layers = known(facts.layers, "the number of layers")
    idle_experts = facts.experts - known(facts.experts_per_token, "the number of experts per token")
    return parameter_count(facts) - _expert_layers(facts, layers) * idle_experts * _expert(facts)


def _embedding(facts: ModelFacts) -> int:
    """The table of input embeddings, and the output matrix of the same size unless both are one."""
    vocab_size = known(facts.vocab_size, "the vocabulary")
    return vocab_size * _hidden(facts) * (1 if facts.tied_embeddings else 2)


def _full_attention(facts: ModelFacts) -> int:
    """One layer of attention over the whole context: projections to queries, keys and values, and back."""
    if facts.kv_lora_rank is not None:
        return _latent_attention(facts, facts.kv_lora_rank)
    return _grouped_attention(facts, facts.kv_heads, facts.head_dim)


def _sliding_attention(facts: ModelFacts) -> int:
    """One layer of attention over a window, which may have KV heads and widths of its own."""
    return _grouped_attention(facts, facts.sliding_kv_heads or facts.kv_heads, facts.sliding_head_dim or facts.head_dim)


def _grouped_attention(facts: ModelFacts, kv_heads: int | None, head_dim: int | None) -> int:
    """MHA, GQA or MQA: queries per head, keys and values per KV head, output from all heads."""
    heads = known(facts.attention_heads, "the number of attention heads")
    key_dim = known(head_dim, "the width of a head")
    value_dim = facts.value_head_dim or key_dim
    query_dim = 2 * key_dim if _is(facts, GATED_ATTENTION) else key_dim
    key_and_value = known(kv_heads, "the number of KV heads") * (key_dim + value_dim)
    return _hidden(facts) * (heads * (query_dim + value_dim) + key_and_value)


def _latent_attention(facts: ModelFacts, kv_rank: int) -> int:
    """MLA: queries (through a bottleneck of their own, if any), the compressed KV and its expansion, the output."""
    heads = known(facts.attention_heads, "the number of attention heads")
    rope = known(facts.qk_rope_head_dim, "the rotary width of its compressed attention")
    nope = known(facts.qk_nope_head_dim, "the non-rotary width of its compressed attention")
    value_dim = known(facts.value_head_dim, "the width of a value head")
    hidden, rank = _hidden(facts), facts.q_lora_rank
    queries = heads * (nope + rope) * hidden if rank is None else rank * (hidden + heads * (nope + rope))
    return queries + hidden * (kv_rank + rope) + kv_rank * heads * (nope + value_dim) + heads * value_dim * hidden


def _recurrent(facts: ModelFacts) -> int:
    """One recurrent layer."""
    if facts.linear_attention is not None:
        return _linear_attention(facts.linear_attention, _hidden(facts))
    return _mamba(known(facts.mamba, "the shape of its recurrent layers"), _hidden(facts))


def _linear_attention(shape: LinearAttention, hidden_size: int) -> int:
    """Projections to queries, keys, values, output gate, decay and update strength per value head, and back."""
    keys = shape.key_heads * shape.key_head_dim
    values = shape.value_heads * shape.value_head_dim
    return hidden_size * (2 * keys + 2 * values + 2 * shape.value_heads) + values * hidden_size


def _mamba(shape: Mamba, hidden_size: int) -> int:
    """Projections to channels, their gate, both state projections and a step per head, and back."""
    channels = shape.heads * shape.head_dim
    return hidden_size * (2 * channels + 2 * shape.groups * shape.state_size + shape.heads) + channels * hidden_size


def _feed_forward_layers(layers: LayerCounts) -> int:
    """Layers with a feed-forward part: those that are nothing else, where a model has such; otherwise all."""
    return layers.stateless or (layers.full + layers.sliding + layers.recurrent)


def _dense_layers(facts: ModelFacts, layers: LayerCounts) -> int:
    return (facts.dense_layers or 0) if facts.experts else _feed_forward_layers(layers)


def _expert_layers(facts: ModelFacts, layers: LayerCounts) -> int:
    return _feed_forward_layers(layers) - _dense_layers(facts, layers) if facts.experts else 0


def _dense_feed_forward(facts: ModelFacts) -> int:
    width = known(facts.intermediate_size, "the width of its feed-forward layer")
    return _matrices(facts) * _hidden(facts) * width


def _expert(facts: ModelFacts) -> int:
    """One routed expert, on the residual stream or on the narrower one that it is projected to."""
    width = known(expert_width(facts), "the width of an expert")
    return _matrices(facts) * (facts.expert_input_size or _hidden(facts)) * width


def _expert_feed_forward(facts: ModelFacts) -> int:
    """A router, the routed experts, the shared ones (always on the full stream) and the projections around them."""
    hidden, experts = _hidden(facts), facts.experts or 0
    width = known(expert_width(facts), "the width of an expert")
    shared = (facts.shared_experts or 0) * _matrices(facts) * hidden * width
    projections = 2 * hidden * (facts.expert_input_size or 0)
    return hidden * experts + experts * _expert(facts) + shared + projections


def _matrices(facts: ModelFacts) -> int:
    """Matrices of a feed-forward layer: up, down and, in most models, the gate."""
    return 2 if _is(facts, UNGATED_FEED_FORWARD) else 3


def _hidden(facts: ModelFacts) -> int:
    return known(facts.hidden_size, "the hidden size")


def _is(facts: ModelFacts, model_types: tuple[str, ...]) -> bool:
    return (facts.architecture or "").startswith(model_types)
