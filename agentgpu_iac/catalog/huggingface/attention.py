"""Attention: heads and widths of the full and the sliding layers, compressed attention, and indexes of sparse attention."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from agentgpu_iac.catalog.huggingface.fields import MOST, Config, is_object, share
from agentgpu_iac.catalog.huggingface.layers import Layer
from agentgpu_iac.catalog.model import AttentionIndex, ExtraWeights
from agentgpu_iac.units import counted

_GATED: Final = ("qwen3_next", "qwen3_5", "afmoe", "muse_glimmer")
"""Model types (by their beginning) whose query projection also yields a gate for the output (or has one as wide)."""


_GATED_LATENT: Final = ("hy_v4",)
"""Model types whose compressed attention has a whole gate of its output that no field tells of."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attention:
    """Heads and widths."""

    heads: int
    kv_heads: int
    head_dim: int
    value_head_dim: int | None
    sliding_heads: int | None
    sliding_kv_heads: int | None
    sliding_head_dim: int | None
    sliding_value_head_dim: int | None
    query_gate: bool
    values_are_keys: bool


def attention_of(config: Config, hidden_size: int, layers: Sequence[Layer]) -> Attention:
    """Heads and widths; a shape without attention has those that it states, and they count for nothing."""
    needs = any(layer.mixer in ("full", "sliding", "both") for layer in layers) or not layers
    names = ("num_attention_heads", "n_head", "num_heads")
    heads = config.required(*names) if needs else (config.integer(*names) or 1)
    grouped = config.integer("num_key_value_heads", "num_attention_groups", "multi_query_group_num")
    kv_heads = heads if config.get("multi_query_attention") is False else grouped or heads  # ChatGLM
    if heads % kv_heads and not config.has_fault("num_attention_heads"):
        config.fault("num_key_value_heads", f"is {kv_heads}, which does not divide the {heads} attention heads")
    is_latent = config.integer("kv_lora_rank") is not None
    head_dim = _head_dim(config, hidden_size, heads, is_latent=is_latent)
    # Gemma 4 gives the sliding layers the plain fields and the full ones fields of their own; MiMo the other way round.
    other = _other_setting(config)
    own_head_dim, own_kv_heads = _full_layers_apart(config)
    apart = own_head_dim is not None
    heads, by_layer = _heads_by_layer(config, layers, heads)
    own_heads = (
        by_layer
        or config.integer("swa_num_attention_heads", "num_sliding_attention_heads")
        or other.integer("num_attention_heads")
    )
    slides = any(layer.mixer == "sliding" for layer in layers)
    return Attention(
        heads=heads,
        kv_heads=own_kv_heads or kv_heads,
        head_dim=own_head_dim or head_dim,
        value_head_dim=config.integer("v_head_dim"),
        sliding_heads=own_heads if slides else None,
        sliding_kv_heads=kv_heads
        if apart
        else config.integer("swa_num_key_value_heads") or other.integer("num_attention_groups"),
        sliding_head_dim=head_dim if apart else config.integer("swa_head_dim") or other.integer("head_dim"),
        sliding_value_head_dim=config.integer("swa_v_head_dim"),
        query_gate=_query_gate(config),
        values_are_keys=config.flag("attention_k_eq_v"),
    )


def _heads_by_layer(config: Config, layers: Sequence[Layer], heads: int) -> tuple[int, int | None]:
    """(query heads of the full layers, of the sliding ones) where each layer states its own (Laguna): one number a kind."""
    listed = config.listed("num_attention_heads_per_layer")
    config.read.add("gating")
    if not listed:
        return heads, None
    if len(listed) != len(layers):
        config.fault("num_attention_heads_per_layer", f"describes {counted(len(listed), 'layer')} of {len(layers)}")
        return heads, None
    found: dict[str, int] = {}
    for layer, value in zip(layers, listed, strict=True):
        if not isinstance(value, int) or isinstance(value, bool) or not 0 < value <= MOST:
            config.fault("num_attention_heads_per_layer", "must be positive whole numbers")
            return heads, None
        if found.setdefault(layer.mixer, value) != value:
            config.fault(
                "num_attention_heads_per_layer", "differs among layers of a kind: such weights are not computed"
            )
    return found.get("full", heads), found.get("sliding")


def _head_dim(config: Config, hidden_size: int, heads: int, *, is_latent: bool) -> int:
    """Width of a key head: given, or both parts of an MLA key, or the hidden size spread over the heads."""
    given = config.integer("head_dim", "attention_head_dim", "kv_channels")
    if is_latent:
        parts = (config.integer("qk_nope_head_dim") or 0) + (config.integer("qk_rope_head_dim") or 0)
        stated = config.integer("qk_head_dim")
        if stated and stated != parts:
            config.fault("qk_head_dim", f"is {stated}, and its parts are {parts} wide together")
        return parts or 1
    return given or share(hidden_size, heads)


def _full_layers_apart(config: Config) -> tuple[int | None, int | None]:
    """(head width, KV heads) of the full layers where they are apart from the sliding ones': Gemma 4, in two spellings."""
    head_dim, kv_heads = config.integer("global_head_dim"), config.integer("num_global_key_value_heads")
    by_layer = [value for value in config.section("per_layer_config").fields.values() if is_object(value)]
    config.section("per_layer_config").read.update(config.section("per_layer_config").fields)
    if not by_layer:
        return head_dim, kv_heads
    odd = {name for each in by_layer for name in each} - {"head_dim", "num_key_value_heads"}
    if odd or any(each != by_layer[0] for each in by_layer):
        config.fault("per_layer_config", "makes layers differ in ways that are not computed here")
    first = Config(by_layer[0], config.faults, prefix=f"{config.prefix}per_layer_config.")
    return first.integer("head_dim") or head_dim, first.integer("num_key_value_heads") or kv_heads


def _other_setting(config: Config) -> Config:
    """What Step states of its sliding layers."""
    other = config.section("attention_other_setting")
    other.read.update(("attention_type", "true_head_dim"))
    return other


def _query_gate(config: Config) -> bool:
    stated = config.get("attn_output_gate")
    if stated is None:
        stated = config.get("attention_output_gate")
    if isinstance(stated, bool):
        return stated
    return config.text("model_type").startswith(_GATED)


def index_of(config: Config, layers: Sequence[Layer]) -> AttentionIndex | None:
    """What sparse attention keeps of every token, and in how many layers."""
    width = _index_width(config)
    count = len(_indexed(config, layers)) if width else 0
    tokens = config.integer("index_kpool") or 1
    if tokens > 1 and width and count:
        config.read.add("index_kpool_always_select_tail")
        config.unclear.append(
            f"index_kpool of its config is {tokens}: an engine keeps one key of {width} for so many tokens in "
            f"{counted(count, 'layer')}, "
            f"and a ring of {tokens} for each request; a fiftieth of the cache at most, which is not counted"
        )
        return None
    return AttentionIndex(layers=count, head_dim=width) if width and count else None


def _index_width(config: Config) -> int | None:
    block = config.section("sparse_attention_config")
    own = block.integer("sparse_index_dim") if block.get("use_sparse_attention") is not False else None
    return own or config.integer("index_head_dim")


def _indexed(config: Config, layers: Sequence[Layer]) -> tuple[int, ...]:
    """Numbers of the layers with an index of their own: listed, at intervals (others share the last one), or all."""
    full = tuple(number for number, layer in enumerate(layers) if layer.mixer in ("full", "both"))
    kinds = config.listed("indexer_types")
    if kinds:
        if len(kinds) != len(layers):
            config.fault("indexer_types", f"describes {counted(len(kinds), 'layer')} of {len(layers)}")
        return tuple(number for number, kind in enumerate(kinds) if kind == "full" and number in full)
    marks = config.section("sparse_attention_config").listed("sparse_attention_freq")
    if marks:
        return tuple(number for number, mark in enumerate(marks) if mark == 1)
    every, first = config.integer("index_topk_freq") or 1, config.integer("index_skip_topk_offset") or 0
    return tuple(number for number in full if number < first or (number - first + 1) % every == 0 or every == 1)


def extra_attention(
    config: Config, hidden_size: int, attention: Attention, layers: Sequence[Layer]
) -> list[ExtraWeights]:
    """Matrices beside queries, keys, values and output: those of indexes and gates."""
    found = []
    width = _index_width(config)
    indexed = len(_indexed(config, layers)) if width else 0
    if width and indexed:
        block = config.section("sparse_attention_config")
        heads = block.integer("sparse_num_index_heads") or config.integer("index_n_heads") or 1
        rank = config.integer("q_lora_rank")
        each = width * heads * (rank or hidden_size) + hidden_size * (width + (heads if rank else 0))
        found.append(ExtraWeights(kind="attention", parameters=indexed * each, what="the indexes of sparse attention"))
    full = sum(1 for layer in layers if layer.mixer in ("full", "both"))
    if (config.flag("mla_use_output_gate") or config.text("model_type") in _GATED_LATENT) and full:
        gate = hidden_size * attention.heads * (attention.value_head_dim or attention.head_dim)
        found.append(ExtraWeights(kind="attention", parameters=full * gate, what="the gates of its attention's output"))
    return found
