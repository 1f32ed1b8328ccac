"""The matrices of a model, named as checkpoints name them: what the patterns of a quantisation are held against.

A checkpoint names a matrix by the layer, the part of the layer and the projection: ``model.layers.3.self_attn.q_proj``.
Families differ in the words, so each matrix has all names that it goes by in public checkpoints. The prefix of the text
model (``model.``, ``model.language_model.`` and others) says nothing and is left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Final, Literal

from agentgpu_iac.catalog.model import ModelFacts
from agentgpu_iac.catalog.model.modules import ModuleKind

Mixer = Literal["full", "sliding", "recurrent", "none"]
FeedForward = Literal["dense", "experts", "none"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """What one layer is made of."""

    mixer: Mixer
    feed_forward: FeedForward


@dataclass(frozen=True, slots=True, kw_only=True)
class Linear:
    """One matrix, or all of the same name in the experts of a layer."""

    kind: ModuleKind
    """The part of the model that it belongs to."""
    names: tuple[str, ...]
    """What checkpoints call it, without the prefix of the text model."""
    parameters: int
    """How many numbers it has."""
    columns: int
    """Its inputs: the length of a row, which groups of weights divide."""
    layer: int | None = None
    """The layer that it stands in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Words:
    """What a family calls the parts of a layer."""

    attention: tuple[str, ...] = ("self_attn",)
    recurrent: tuple[str, ...] = ("linear_attn", "mamba", "mixer")
    feed_forward: tuple[str, ...] = ("mlp", "feed_forward")
    mixture: tuple[str, ...] = ("mlp", "block_sparse_moe", "feed_forward")
    shared: tuple[str, ...] = ("shared_experts", "shared_expert")
    is_beside: bool = False
    """The experts, their router and the dense feed-forward beside them stand in the layer itself."""


_WORDS: Final[tuple[tuple[tuple[str, ...], _Words], ...]] = (
    (("nemotron_h",), _Words(attention=("mixer",), recurrent=("mixer",), feed_forward=("mixer",), mixture=("mixer",))),
    (("deepseek_v4",), _Words(attention=("attn", "self_attn"), feed_forward=("ffn", "mlp"), mixture=("ffn", "mlp"))),
    (("kimi",), _Words(recurrent=("self_attn",))),
    (("granite", "hunyuan"), _Words(mixture=("block_sparse_moe", "mlp"), shared=("shared_mlp",))),
    (("step",), _Words(mixture=("moe",), shared=("share_expert",))),
    (("gemma4",), _Words(is_beside=True)),
    (("lfm2", "llama4", "jamba"), _Words(feed_forward=("feed_forward",), mixture=("feed_forward",))),
    (("phi3", "phi4"), _Words(feed_forward=("mlp",))),
    (("mistral", "mixtral"), _Words(attention=("self_attn", "attention"), mixture=("mlp", "block_sparse_moe"))),
    (("qwen", "deepseek", "glm", "gpt_oss", "llama", "gemma"), _Words(mixture=("mlp",))),
)
"""Families by the beginning of their model type; others may use any of the common words."""

_ROUTER: Final = ("gate", "router", "router.proj", "router.classifier")
_GATE: Final = ("gate_proj", "w1", "gate_up_proj")
_UP: Final = ("up_proj", "w3", "gate_up_proj")
_DOWN: Final = ("down_proj", "w2")
TOWERS: Final = (
    "visual",
    "vision_tower",
    "vision_model",
    "vision_encoder",
    "audio_tower",
    "embed_vision",
    "embed_audio",
    "mm_projector",
    "multi_modal_projector",
    "vit_large_projector",
    "patch_merge_mlp",
    "patch_merger",
    "vision_language_adapter",
    "vit",
)
"""Where the towers for pictures and sound stand, and the projections behind them."""

OUTPUT_HEAD: Final = ("lm_head", "head", "output")
EMBEDDING: Final = ("embed_tokens", "embeddings", "embed", "wte", "tok_embeddings", "word_embeddings")
DRAFT: Final = ("mtp", "nextn", "eagle")
"""Where layers for speculation stand."""
NOT_COUNTED: Final = (
    "norm",
    "layernorm",
    "conv1d",
    "rotary_emb",
    "bias",
    "e_score_correction_bias",
    "shared_expert_gate",
    "sinks",
    "indexer",
    "indexers_proj",
    "eh_proj",
    "enorm",
    "hnorm",
)
"""Words of what is no matrix, or too small to be counted: a pattern that names it changes nothing."""


def linears_of(facts: ModelFacts, layers: Sequence[Layer]) -> tuple[Linear, ...]:
    """All matrices, in the order of the layers. What is unknown of a shape counts nothing."""
    hidden = facts.hidden_size or 0
    vocabulary = (facts.vocab_size or 0) * hidden
    found = [Linear(kind="embedding", names=EMBEDDING, parameters=vocabulary, columns=hidden)]
    if not facts.tied_embeddings:
        found.append(Linear(kind="output_head", names=OUTPUT_HEAD, parameters=vocabulary, columns=hidden))
    towers = facts.tower_parameters or sum(tower.parameters for tower in facts.towers)
    if towers:
        names = tuple(f"{tower}.0.linear" for tower in TOWERS)
        found.append(Linear(kind="tower", names=names, parameters=towers, columns=0))
    draft = (*(f"{name}.layers.0.mlp.up_proj" for name in DRAFT), f"layers.{len(layers)}.mlp.up_proj")
    found.append(Linear(kind="draft", names=draft, parameters=1, columns=0))
    made = {layer: tuple(part for part in _parts(facts, layer) if part.parameters) for layer in set(layers)}
    for index, layer in enumerate(layers):
        for part in made[layer]:
            names = tuple(f"layers.{index}.{name}" for name in part.names)
            found.append(
                Linear(kind=part.kind, names=names, parameters=part.parameters, columns=part.columns, layer=index)
            )
    return tuple(found)


def _words(facts: ModelFacts) -> _Words:
    return next((words for kinds, words in _WORDS if (facts.architecture or "").startswith(kinds)), _Words())


def _parts(facts: ModelFacts, layer: Layer) -> Iterator[Linear]:
    if layer.mixer == "recurrent":
        yield from _recurrent(facts)
    elif layer.mixer != "none":
        yield from _attention(facts, is_sliding=layer.mixer == "sliding")
    if layer.feed_forward == "dense":
        width = facts.intermediate_size or 0
        yield from _feed_forward(facts, "feed_forward", _words(facts).feed_forward, width, 1)
    elif layer.feed_forward == "experts":
        yield from _mixture(facts)


def _attention(facts: ModelFacts, *, is_sliding: bool) -> Iterator[Linear]:
    if facts.kv_lora_rank is not None and not is_sliding:
        yield from _latent_attention(facts, facts.kv_lora_rank)
        return
    parents = _words(facts).attention
    hidden, heads = facts.hidden_size or 0, facts.attention_heads or 0
    kv_heads = (facts.sliding_kv_heads if is_sliding else None) or facts.kv_heads or 0
    width = (facts.sliding_head_dim if is_sliding else None) or facts.head_dim or 0
    value = facts.value_head_dim or width
    yield _linear("attention", parents, ("q_proj", "qkv_proj", "query_key_value", "wq"), hidden, heads * width)
    yield _linear("attention", parents, ("k_proj", "qkv_proj", "query_key_value", "wk"), hidden, kv_heads * width)
    yield _linear("attention", parents, ("v_proj", "qkv_proj", "query_key_value", "wv"), hidden, kv_heads * value)
    yield _linear("attention", parents, ("o_proj", "dense", "out_proj", "wo"), heads * value, hidden)


def _latent_attention(facts: ModelFacts, rank: int) -> Iterator[Linear]:
    parents = _words(facts).attention
    hidden, heads = facts.hidden_size or 0, facts.attention_heads or 0
    rope, nope = facts.qk_rope_head_dim or 0, facts.qk_nope_head_dim or 0
    value = facts.value_head_dim or nope
    if facts.q_lora_rank:
        yield _linear("attention", parents, ("q_a_proj", "fused_qkv_a_proj", "wq_a"), hidden, facts.q_lora_rank)
        yield _linear("attention", parents, ("q_b_proj", "wq_b"), facts.q_lora_rank, heads * (nope + rope))
    else:
        yield _linear("attention", parents, ("q_proj", "wq"), hidden, heads * (nope + rope))
    down = ("kv_a_proj_with_mqa", "fused_qkv_a_proj", "wkv_a", "kv_a_proj")
    yield _linear("attention", parents, down, hidden, rank + rope)
    yield _linear("attention", parents, ("kv_b_proj", "wkv_b"), rank, heads * (nope + value))
    yield _linear("attention", parents, ("o_proj", "wo"), heads * value, hidden)


def _recurrent(facts: ModelFacts) -> Iterator[Linear]:
    hidden, parents = facts.hidden_size or 0, _words(facts).recurrent
    if facts.linear_attention is not None:
        shape = facts.linear_attention
        keys, values = shape.key_heads * shape.key_head_dim, shape.value_heads * shape.value_head_dim
        if (facts.architecture or "").startswith("kimi"):
            for name, width in (("q_proj", keys), ("k_proj", keys), ("v_proj", values), ("g_a_proj", values)):
                yield _linear("recurrent", parents, (name,), hidden, width)
            small = ("b_proj", "f_a_proj", "f_b_proj", "g_b_proj")
            yield _linear("recurrent", parents, small, hidden, 2 * shape.value_heads)
            yield _linear("recurrent", parents, ("o_proj",), values, hidden)
            return
        inputs = ("in_proj_qkv", "in_proj_qkvz")
        yield _linear("recurrent", parents, inputs, hidden, 2 * keys + values)
        yield _linear("recurrent", parents, ("in_proj_z", "in_proj_qkvz"), hidden, values)
        steps = ("in_proj_b", "in_proj_a", "in_proj_ba")
        yield _linear("recurrent", parents, steps, hidden, 2 * shape.value_heads)
        yield _linear("recurrent", parents, ("out_proj",), values, hidden)
    elif facts.mamba is not None:
        mamba = facts.mamba
        channels = mamba.heads * mamba.head_dim
        inner = 2 * channels + 2 * mamba.groups * mamba.state_size + mamba.heads
        yield _linear("recurrent", parents, ("in_proj",), hidden, inner)
        yield _linear("recurrent", parents, ("out_proj",), channels, hidden)


def _mixture(facts: ModelFacts) -> Iterator[Linear]:
    hidden, experts = facts.hidden_size or 0, facts.experts or 0
    width = facts.moe_intermediate_size or facts.intermediate_size or 0
    words = _words(facts)
    parents = ("experts", "moe.experts") if words.is_beside else tuple(f"{part}.experts" for part in words.mixture)
    inner = facts.expert_input_size or hidden
    yield from _feed_forward(facts, "routed_experts", parents, width, experts, inner, first_of_many=True)
    gates = _ROUTER if words.is_beside else tuple(f"{part}.{gate}" for part in words.mixture for gate in _ROUTER)
    yield Linear(kind="router", names=gates, parameters=hidden * experts, columns=hidden)
    shared = tuple(f"{part}.{name}" for part in words.mixture for name in words.shared)
    shared = words.feed_forward if words.is_beside else shared
    count = facts.shared_experts or 0
    yield from _feed_forward(facts, "shared_experts", shared, count * width, 1)


def _feed_forward(
    facts: ModelFacts,
    kind: ModuleKind,
    parents: Sequence[str],
    width: int,
    count: int,
    inner: int | None = None,
    *,
    first_of_many: bool = False,
) -> Iterator[Linear]:
    """Up, down and, in most models, the gate; of ``count`` experts by the name of the first."""
    size = facts.hidden_size or 0 if inner is None else inner
    number = ("0.", "") if first_of_many else ("",)
    gated = not (facts.architecture or "").startswith("nemotron_h")
    matrices = ((_UP, size, width), (_DOWN, width, size), *(((_GATE, size, width),) if gated else ()))
    for leaves, columns, rows in matrices:
        names = tuple(f"{parent}.{at}{leaf}" for parent, at, leaf in product(parents, number, leaves))
        yield Linear(kind=kind, names=names, parameters=count * columns * rows, columns=columns)


def _linear(kind: ModuleKind, parents: Sequence[str], leaves: Sequence[str], columns: int, rows: int) -> Linear:
    names = tuple(f"{parent}.{leaf}" for parent, leaf in product(parents, leaves))
    return Linear(kind=kind, names=names, parameters=columns * rows, columns=columns)
