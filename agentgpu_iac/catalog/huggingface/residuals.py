"""Residual streams that are more than one vector a token: what they take is said."""

from __future__ import annotations

from typing import Final

from agentgpu_iac.catalog.huggingface.fields import Config
from agentgpu_iac.units import GIB, ceil_div

_OF_STREAMS: Final = ("hy_v4", "deepseek_v4", "glm5_next_text")
"""Model types with hyper-connections."""
_BATCHED_TOKENS = 8192
"""Tokens of a step that the sentence counts with: the engines' own default on large cards."""


def say_residuals(config: Config, hidden_size: int, layer_count: int) -> None:
    """Kimi K3 attends to what blocks of layers left behind, and hyper-connections run several streams side by side."""
    size, streams = config.integer("attn_res_block_size"), 1
    if config.text("model_type") in _OF_STREAMS:
        streams = config.integer("hc_mult") or 1
        config.read.update(("hc_sinkhorn_iters", "hc_magnitude", "hc_eps"))
    if size is not None:
        blocks = ceil_div(layer_count, size)
        config.unclear.append(
            f"attn_res_block_size of its config is {size}: an engine keeps {blocks} residual vectors of each token of a step, "
            f"{_gib(blocks, hidden_size):.1f} GiB at {_BATCHED_TOKENS:,} batched tokens, which is not counted"
        )
    if streams > 1:
        config.unclear.append(
            f"hc_mult of its config is {streams}: its residual is {streams} vectors of each token of a step, "
            f"{_gib(streams - 1, hidden_size):.1f} GiB more at {_BATCHED_TOKENS:,} batched tokens, which is not counted"
        )


def _gib(vectors: int, hidden_size: int) -> float:
    return vectors * hidden_size * 2 * _BATCHED_TOKENS / GIB
