"""How many parameters a model has, counted from its shape.

Only matrices are counted: biases, norms and convolutions are less than a hundredth of them. The count is without the
extra layers for multi-token prediction, which engines load only for speculation.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from agentgpu_iac.catalog.formats import left_in_16_bit
from agentgpu_iac.catalog.missing import UnsizableError, expert_width, known
from agentgpu_iac.catalog.model import (
    MODULE_KINDS,
    LayerCounts,
    LinearAttention,
    Mamba,
    ModelFacts,
    Module,
    ModuleKind,
)
from agentgpu_iac.catalog.quantisation.formats import SIXTEEN_BIT
from agentgpu_iac.spec.vocabulary import Precision

GATED_ATTENTION = ("qwen3_next", "qwen3_5")
"""Model types (by their beginning) whose query projection also yields a gate for the output: it is twice as wide."""

UNGATED_FEED_FORWARD = ("nemotron_h",)
"""Model types (by their beginning) whose feed-forward has no gate: two matrices instead of three."""


_TOWER_BESIDE_THE_COUNT = ("mistral3",)
"""Types whose count in the catalog is of the text model alone (Mistral-Small-3.1: 23.572 of 24.011 billion)."""


def parameter_count(facts: ModelFacts) -> int:
    """All parameters that an engine loads.

    Raises:
        UnsizableError: a width or a count that they follow from is unknown.
    """
    return sum(count(facts) for count in _COUNTS.values())


def active_parameter_count(facts: ModelFacts) -> int:
    """Parameters that one token touches: all but the routed experts that it is not sent to.

    Raises:
        UnsizableError: a width or a count that they follow from is unknown.
    """
    if not facts.experts:
        return parameter_count(facts)
    used = known(facts.experts_per_token, "the number of experts per token")
    return parameter_count(facts) - (facts.experts - used) * _routed_experts(facts) // facts.experts


def modules(facts: ModelFacts) -> tuple[Module, ...]:
    """The weights by part, in a fixed order.

    A published count stands: what it holds beyond the parts that can be counted is of kind ``other``.

    Raises:
        UnsizableError: the number of parameters, or the precision of the checkpoint, is unknown.
    """
    total = known(facts.params_total, "the number of parameters")
    native: Precision = known(facts.native_precision, "the precision of the checkpoint")
    unquantised = left_in_16_bit(
        native, is_native=True, has_experts=bool(facts.experts), is_latent=facts.kv_lora_rank is not None
    )
    counted = {kind: _counted(count, facts) for kind, count in _COUNTS.items()}
    beyond = total - sum(counted.values())
    if facts.architecture and facts.architecture.startswith(_TOWER_BESIDE_THE_COUNT):
        beyond += counted["tower"]
    counted["other"] = max(0, beyond)
    return tuple(
        Module(
            kind=kind,
            parameters=counted[kind],
            precision="bf16" if kind in unquantised and native not in SIXTEEN_BIT else native,
        )
        for kind in MODULE_KINDS
        if counted.get(kind)
    )


def _counted(count: Callable[[ModelFacts], int], facts: ModelFacts) -> int:
    """What a part counts; nothing where a width that it follows from is unknown: it is in the rest then."""
    try:
        return count(facts)
    except UnsizableError:
        return 0


def _embedding(facts: ModelFacts) -> int:
    """The table of input embeddings."""
    return known(facts.vocab_size, "the vocabulary") * _hidden(facts)


def _output_head(facts: ModelFacts) -> int:
    """The matrix from the residual stream to the vocabulary, unless it is the table of the input."""
    return 0 if facts.tied_embeddings else _embedding(facts)


def _attention(facts: ModelFacts) -> int:
    """All layers of attention."""
    layers = _layers(facts)
    full = layers.full * _full_attention(facts) if layers.full else 0
    return full + (layers.sliding * _sliding_attention(facts) if layers.sliding else 0)


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
    """All recurrent layers."""
    layers = _layers(facts)
    if not layers.recurrent:
        return 0
    if facts.linear_attention is not None:
        return layers.recurrent * _linear_attention(facts.linear_attention, _hidden(facts))
    return layers.recurrent * _mamba(known(facts.mamba, "the shape of its recurrent layers"), _hidden(facts))


def _linear_attention(shape: LinearAttention, hidden_size: int) -> int:
    """Projections to queries, keys, values, output gate, decay and update strength per value head, and back."""
    keys = shape.key_heads * shape.key_head_dim
    values = shape.value_heads * shape.value_head_dim
    return hidden_size * (2 * keys + 2 * values + 2 * shape.value_heads) + values * hidden_size


def _mamba(shape: Mamba, hidden_size: int) -> int:
    """Projections to channels, their gate, both state projections and a step per head, and back."""
    channels = shape.heads * shape.head_dim
    return hidden_size * (2 * channels + 2 * shape.groups * shape.state_size + shape.heads) + channels * hidden_size


def _feed_forward_layers(facts: ModelFacts) -> int:
    """Layers with a feed-forward part: those that are nothing else, where a model has such; otherwise all."""
    layers = _layers(facts)
    return layers.stateless or (layers.full + layers.sliding + layers.recurrent)


def _dense_layers(facts: ModelFacts) -> int:
    return (facts.dense_layers or 0) if facts.experts else _feed_forward_layers(facts)


def _expert_layers(facts: ModelFacts) -> int:
    return _feed_forward_layers(facts) - _dense_layers(facts) if facts.experts else 0


def _feed_forward(facts: ModelFacts) -> int:
    """All dense feed-forward layers."""
    layers = _dense_layers(facts)
    if not layers:
        return 0
    return layers * _matrices(facts) * _hidden(facts) * known(facts.intermediate_size, "the width of its feed-forward")


def _routed_experts(facts: ModelFacts) -> int:
    """The routed experts of all layers, on the residual stream or on the narrower one that it is projected to."""
    if not facts.experts:
        return 0
    width = known(expert_width(facts), "the width of an expert")
    one_expert = _matrices(facts) * (facts.expert_input_size or _hidden(facts)) * width
    return _expert_layers(facts) * facts.experts * one_expert


def _shared_experts(facts: ModelFacts) -> int:
    """The experts that every token uses, always on the full stream, and the projections around the routed ones."""
    if not facts.experts:
        return 0
    width = known(expert_width(facts), "the width of an expert")
    shared = (facts.shared_experts or 0) * _matrices(facts) * _hidden(facts) * width
    return _expert_layers(facts) * (shared + 2 * _hidden(facts) * (facts.expert_input_size or 0))


def _router(facts: ModelFacts) -> int:
    """A score for each expert, in all layers that have experts."""
    return _expert_layers(facts) * _hidden(facts) * facts.experts if facts.experts else 0


def _tower(facts: ModelFacts) -> int:
    return facts.tower_parameters or 0


def _matrices(facts: ModelFacts) -> int:
    """Matrices of a feed-forward layer: up, down and, in most models, the gate."""
    return 2 if _is(facts, UNGATED_FEED_FORWARD) else 3


def _layers(facts: ModelFacts) -> LayerCounts:
    return known(facts.layers, "the number of layers")


def _hidden(facts: ModelFacts) -> int:
    return known(facts.hidden_size, "the hidden size")


def _is(facts: ModelFacts, model_types: tuple[str, ...]) -> bool:
    return (facts.architecture or "").startswith(model_types)


_COUNTS: Mapping[ModuleKind, Callable[[ModelFacts], int]] = {
    "embedding": _embedding,
    "output_head": _output_head,
    "attention": _attention,
    "recurrent": _recurrent,
    "feed_forward": _feed_forward,
    "shared_experts": _shared_experts,
    "routed_experts": _routed_experts,
    "router": _router,
    "tower": _tower,
}
"""How the parameters of each part are counted."""
