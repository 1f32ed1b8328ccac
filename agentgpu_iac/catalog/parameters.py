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
    FirstMamba,
    LayerCounts,
    LinearAttention,
    Mamba,
    ModelFacts,
    Module,
    ModuleKind,
)
from agentgpu_iac.catalog.quantisation.formats import SIXTEEN_BIT
from agentgpu_iac.spec.vocabulary import Precision

GATED_QUERIES = ("qwen3_next", "qwen3_5")
"""Model types (by their beginning) of catalog rows whose query projection also yields a gate for the output."""

UNGATED_FEED_FORWARD = ("nemotron_h",)
"""Model types (by their beginning) of catalog rows whose feed-forward has no gate: two matrices instead of three."""

_TOWER_BESIDE_THE_COUNT = ("mistral3",)
"""Types whose count in the catalog is of the text model alone (Mistral-Small-3.1: 23.572 of 24.011 billion)."""


def parameter_count(facts: ModelFacts) -> int:
    """All parameters that an engine loads.

    Raises:
        UnsizableError: a width or a count that they follow from is unknown.
    """
    return sum(count(facts) for count in _COUNTS.values()) + sum(part.parameters for part in facts.extra)


def active_parameter_count(facts: ModelFacts) -> int:
    """Parameters that one token touches: all but tables that are looked up, and the experts that it is not sent to.

    Raises:
        UnsizableError: a width or a count that they follow from is unknown.
    """
    tables = sum(part.parameters for part in facts.extra if part.kind == "table")
    if not facts.experts:
        return parameter_count(facts) - tables
    used = known(facts.experts_per_token, "the number of experts per token")
    idle = (facts.experts - used) * _routed_experts(facts) // facts.experts
    return parameter_count(facts) - tables - idle


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
    for part in facts.extra:
        counted[part.kind] = counted.get(part.kind, 0) + part.parameters
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
    """All layers of attention; those that share a cache have projections to queries and back only."""
    layers = _layers(facts)
    full = layers.full * _full_attention(facts) if layers.full else 0
    sliding = layers.sliding * _sliding_attention(facts) if layers.sliding else 0
    shared_full = facts.shared_full_layers or 0
    shared = shared_full * _queries_and_output(facts, facts.attention_heads, facts.head_dim, facts.value_head_dim)
    if layers.shared > shared_full:
        width = facts.sliding_head_dim or facts.head_dim
        shared += (layers.shared - shared_full) * _queries_and_output(facts, facts.attention_heads, width, None)
    return full + sliding + shared


def _full_attention(facts: ModelFacts) -> int:
    """One layer of attention over the whole context: projections to queries, keys and values, and back."""
    if facts.kv_lora_rank is not None:
        return _latent_attention(facts, facts.kv_lora_rank)
    key_dim = known(facts.head_dim, "the width of a head")
    value_dim = 0 if facts.values_are_keys else facts.value_head_dim or key_dim
    keys_and_values = known(facts.kv_heads, "the number of KV heads") * (key_dim + value_dim)
    queries = _queries_and_output(facts, facts.attention_heads, key_dim, facts.value_head_dim)
    return queries + _hidden(facts) * keys_and_values


def _sliding_attention(facts: ModelFacts) -> int:
    """One layer of attention over a window, which may have heads and widths of its own."""
    key_dim = known(facts.sliding_head_dim or facts.head_dim, "the width of a head")
    value_dim = facts.sliding_value_head_dim or (key_dim if facts.sliding_head_dim else facts.value_head_dim or key_dim)
    heads = facts.sliding_attention_heads or facts.attention_heads
    kv_heads = known(facts.sliding_kv_heads or facts.kv_heads, "the number of KV heads")
    return _queries_and_output(facts, heads, key_dim, value_dim) + _hidden(facts) * kv_heads * (key_dim + value_dim)


def _queries_and_output(facts: ModelFacts, heads: int | None, key_dim: int | None, value_dim: int | None) -> int:
    """Projections of one layer to its queries, with their gate if they have one, and from all heads back."""
    width = known(key_dim, "the width of a head")
    gated = _is(facts, GATED_QUERIES) if facts.query_gate is None else facts.query_gate
    each = (2 if gated else 1) * width + (value_dim or width)
    return _hidden(facts) * known(heads, "the number of attention heads") * each


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
    if facts.first_mamba is not None:
        return layers.recurrent * _first_mamba(facts.first_mamba, _hidden(facts))
    if facts.short_convolution is not None:
        return layers.recurrent * 4 * _hidden(facts) * facts.short_convolution.channels
    return layers.recurrent * _mamba(known(facts.mamba, "the shape of its recurrent layers"), _hidden(facts))


def _linear_attention(shape: LinearAttention, hidden_size: int) -> int:
    """Projections to queries, keys, values, output gate, decay and update strength per value head, and back.

    Gates of a rank, as in Kimi delta attention, are projected down to it and up again: one of the output, one of the
    decay of every channel.
    """
    keys = shape.key_heads * shape.key_head_dim
    values = shape.value_heads * shape.value_head_dim
    around = hidden_size * (2 * keys + 2 * values)
    if shape.gate_rank is None:
        return around + hidden_size * (values + 2 * shape.value_heads)
    return around + 2 * shape.gate_rank * (hidden_size + values) + hidden_size * shape.value_heads


def _first_mamba(shape: FirstMamba, hidden_size: int) -> int:
    """Projections to channels and their gate, to step and both states, from the step to channels, and back."""
    to_states = shape.channels * (shape.step_rank + 2 * shape.state_size)
    own = shape.channels * (shape.state_size + shape.kernel)
    return 3 * hidden_size * shape.channels + to_states + shape.step_rank * shape.channels + own


def _mamba(shape: Mamba, hidden_size: int) -> int:
    """Projections to channels, their gate, both state projections and a step per head, and back."""
    channels = shape.heads * shape.head_dim
    return hidden_size * (2 * channels + 2 * shape.groups * shape.state_size + shape.heads) + channels * hidden_size


def _feed_forward_layers(facts: ModelFacts) -> int:
    """Layers with a feed-forward part: those that are nothing else, where a model has such; otherwise all."""
    if facts.feed_forward_layers is not None:
        return facts.feed_forward_layers
    layers = _layers(facts)
    return layers.stateless or (layers.full + layers.sliding + layers.recurrent + layers.shared)


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
    together = facts.shared_expert_size or (facts.shared_experts or 0) * width
    shared = together * _matrices(facts) * _hidden(facts)
    return _expert_layers(facts) * (shared + 2 * _hidden(facts) * (facts.expert_input_size or 0))


def _router(facts: ModelFacts) -> int:
    """A score for each expert, in all layers that have experts."""
    return _expert_layers(facts) * _hidden(facts) * facts.experts if facts.experts else 0


def _tower(facts: ModelFacts) -> int:
    return facts.tower_parameters or sum(tower.parameters for tower in facts.towers)


def _matrices(facts: ModelFacts) -> int:
    """Matrices of a feed-forward layer: up, down and, in most models, the gate."""
    return facts.feed_forward_matrices or (2 if _is(facts, UNGATED_FEED_FORWARD) else 3)


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
