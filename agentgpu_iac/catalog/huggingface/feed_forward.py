"""Feed-forward layers and experts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from agentgpu_iac.catalog.huggingface.fields import Config, is_list
from agentgpu_iac.catalog.huggingface.layers import Layer
from agentgpu_iac.catalog.model import ExtraWeights
from agentgpu_iac.units import ceil_div, round_up

_NO_GATE: Final = ("nemotron", "nemotron_h", "arcee", "apertus", "starcoder2", "jais2", "gpt_neox", "phi")
"""Model types whose feed-forward has no gate: two matrices instead of three."""
_BESIDE: Final = ("gemma4", "gemma4_text")
"""Types whose layers have a dense feed-forward beside the experts: a shared expert under another name."""
_ALWAYS_SHARED: Final = ("llama4", "llama4_text")
"""Types with one shared expert that no field tells of."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedForward:
    """Widths and counts."""

    width: int | None
    expert_width: int | None
    expert_input_size: int | None
    experts: int | None
    experts_per_token: int | None
    shared_experts: int | None
    shared_width: int | None
    matrices: Literal[2, 3]


def experts_of(config: Config) -> int | None:
    """Routed experts in a layer; nothing where there are none."""
    if config.get("enable_moe_block") is False:
        config.read.update(("num_experts", "top_k_experts", "moe_intermediate_size"))
        return None
    count = config.integer("num_experts", "num_local_experts", "n_routed_experts", "moe_num_experts")
    return None if count == 1 else count


def feed_forward_of(config: Config, experts: int | None, layers: Sequence[Layer]) -> FeedForward:
    """Widths and counts, as far as the layers need them."""
    has_experts = experts is not None and any(layer.feed_forward == "experts" for layer in layers)
    expert_width = _expert_width(config) if experts else None
    width = _adjusted(config) or config.integer(
        "intermediate_size_mlp", "dense_intermediate_size", "block_ff_dim", "ffn_hidden_size"
    )
    width = width or _same(config, "intermediate_size")
    if not experts and config.integer("shared_intermediate_size") and config.fields.get("num_local_experts") == 0:
        width = config.integer("shared_intermediate_size")  # Granite 4 without experts
    needs = any(layer.feed_forward == "dense" for layer in layers) or not expert_width
    if (
        width is None
        and needs
        and not config.listed("block_configs")
        and any(layer.feed_forward != "none" for layer in layers)
    ):
        config.required("intermediate_size")
    used = _experts_per_token(config, experts) if experts else None
    own = (expert_width or config.integer("intermediate_size")) if experts else None
    shared_width = _shared_width(config, own) if experts else None
    return FeedForward(
        width=width,
        expert_width=own,
        expert_input_size=config.integer("moe_latent_size", "routed_expert_hidden_size") if experts else None,
        experts=experts if has_experts else None,
        experts_per_token=used if has_experts else None,
        shared_experts=ceil_div(shared_width, own) if shared_width and own else 0 if experts else None,
        shared_width=shared_width,
        matrices=2 if config.text("model_type") in _NO_GATE else 3,
    )


def _adjusted(config: Config) -> int | None:
    """LFM2: two thirds of the width that is stated, times a factor, rounded up; engines do this when they load it."""
    if not config.flag("block_auto_adjust_ff_dim"):
        return None
    width = int(2 * config.required("block_ff_dim", "intermediate_size") / 3)
    width = int(width * (config.number("block_ffn_dim_multiplier") or 1.0))
    return round_up(width, config.integer("block_multiple_of") or 1)


def _same(config: Config, name: str) -> int | None:
    """A count that may stand once for all layers, or the same for each."""
    value = config.get(name)
    if is_list(value):
        if len({str(each) for each in value}) > 1:
            config.fault(name, "differs from layer to layer: the weights of such a model cannot be computed here")
        return value[0] if value and isinstance(value[0], int) and value[0] > 0 else None
    return config.integer(name)


def _expert_width(config: Config) -> int | None:
    return _same(config, "moe_intermediate_size") or config.integer("expert_ffn_hidden_size")


def _experts_per_token(config: Config, experts: int) -> int:
    names = ("num_experts_per_tok", "num_experts_per_token", "top_k_experts", "moe_k", "experts_per_token")
    used = config.integer(*names) or _same(config, "moe_topk")
    if used is None:
        return config.required(*names)
    if used > experts:
        config.fault("num_experts_per_tok", f"is {used}, more than the {experts} experts that there are")
    return used


def _shared_width(config: Config, expert_width: int | None) -> int | None:
    """Width of all shared experts of a layer together: stated, or by their number."""
    name = config.text("model_type")
    beside = ("intermediate_size",) if name in _BESIDE else ()
    number = (
        config.integer("n_shared_experts", "num_shared_experts", "moe_num_shared_experts")
        or _same(config, "num_shared_expert")
        or (1 if name in _ALWAYS_SHARED else 0)
    )
    together = config.integer(
        "shared_expert_intermediate_size", "shared_intermediate_size", "share_expert_dim", *beside
    )
    of_one = config.integer(
        "moe_shared_expert_intermediate_size"
    )  # times their number: vLLM 0.32, nemotron_h, bailing_moe
    if of_one and not together:
        return of_one * (number or 1)
    return together or (number * expert_width if expert_width and number else None)


def extra_feed_forward(config: Config, hidden_size: int) -> list[ExtraWeights]:
    """Gemma 3n and 4: feed-forward layers that are twice as wide where the cache is shared."""
    shared = config.integer("num_kv_shared_layers") or 0
    width = _same(config, "intermediate_size")
    if not (config.flag("use_double_wide_mlp") and shared and width):
        return []
    more = shared * 3 * hidden_size * width
    return [ExtraWeights(kind="feed_forward", parameters=more, what="double-wide layers where the cache is shared")]
