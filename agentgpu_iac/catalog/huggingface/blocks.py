"""Layers that differ from each other, as an architecture search left them (Nemotron NAS): ``block_configs``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from agentgpu_iac.catalog.huggingface.fields import MOST, MOST_LAYERS, Config, Json, is_object
from agentgpu_iac.catalog.huggingface.layers import Layer
from agentgpu_iac.catalog.model import ExtraWeights
from agentgpu_iac.units import round_up

_WIDTH_MULTIPLE: Final = 256
"""A width that is stated as a multiple of the hidden size is rounded up to this many (vLLM 0.33, nemotron_nas)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Blocks:
    """What the blocks come to."""

    layers: tuple[Layer, ...]
    kv_heads: int
    width: int
    """The widest feed-forward."""
    extra: tuple[ExtraWeights, ...]
    """All feed-forward layers and the matrices that replace attention."""


def blocks_of(config: Config, hidden_size: int) -> Blocks | None:
    """The blocks; nothing where the model has none. Widths that engines cannot tell are faults."""
    blocks = [block for block in config.listed("block_configs") if is_object(block)]
    if not blocks:
        return None
    if len(blocks) > MOST_LAYERS:
        config.fault("block_configs", f"no model has more than {MOST_LAYERS:,} layers")
        return None
    heads = config.integer("num_attention_heads") or 1
    stated = config.integer("num_hidden_layers") or len(blocks)
    if stated != len(blocks):
        config.fault("num_hidden_layers", f"is {stated}, but {len(blocks)} blocks are described")
    attentions = [_part(block, "attention") for block in blocks]
    widths = [_width(config, _part(block, "ffn"), hidden_size) for block in blocks]
    replaced = sum(
        1 for block in blocks for name in ("attention", "ffn") if _part(block, name).get("replace_with_linear")
    )
    parameters = 3 * hidden_size * sum(widths) + replaced * hidden_size**2
    return Blocks(
        layers=tuple(Layer(mixer="full" if _is_there(each) else "none", feed_forward="none") for each in attentions),
        kv_heads=_kv_heads(config, attentions, heads),
        width=max(widths, default=0),
        extra=(ExtraWeights(kind="feed_forward", parameters=max(1, parameters), what="layers of widths of their own"),),
    )


def _part(block: Json, name: str) -> Json:
    found = block.get(name)
    return found if is_object(found) else {}


def _is_there(part: Json) -> bool:
    return not (part.get("no_op") or part.get("replace_with_linear"))


def _kv_heads(config: Config, attentions: Sequence[Json], heads: int) -> int:
    """KV heads, which must be the same in all layers that have any: the cache of others is not computed here."""
    groups = [each.get("n_heads_in_group") for each in attentions if _is_there(each)]
    sizes = {group for group in groups if isinstance(group, int) and not isinstance(group, bool) and group > 0}
    if len(sizes) != 1 or any(type(group) is not int for group in groups) or heads % min(sizes):
        config.fault(
            "block_configs", "the KV heads differ from layer to layer: the cache of such a model is not computed"
        )
        return heads
    return heads // sizes.pop()


def _width(config: Config, part: Json, hidden_size: int) -> int:
    if not _is_there(part):
        return 0
    width, ratio = part.get("intermediate_size"), part.get("ffn_mult")
    if isinstance(width, int) and 0 < width <= MOST:
        return width
    if isinstance(ratio, int | float) and 0 < ratio < 10**3:
        return round_up(int(2 * ratio * hidden_size / 3), _WIDTH_MULTIPLE)
    config.fault("block_configs", "a feed-forward has neither a width nor a multiple of the hidden size")
    return 0
