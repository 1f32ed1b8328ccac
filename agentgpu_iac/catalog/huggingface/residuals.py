"""Residual streams that are more than one vector a token: what they take is said."""

from __future__ import annotations

from agentgpu_iac.catalog.huggingface.fields import Config
from agentgpu_iac.units import GIB, ceil_div

_BATCHED_TOKENS = 8192
"""Tokens of a step that the sentence counts with: the engines' own default on large cards."""


def say_residuals(config: Config, hidden_size: int, layer_count: int) -> None:
    """Kimi K3 attends to what blocks of layers left behind: an engine keeps one vector a block of each batched token."""
    size = config.integer("attn_res_block_size")
    if size is None:
        return
    blocks = ceil_div(layer_count, size)
    gib = blocks * hidden_size * 2 * _BATCHED_TOKENS / GIB
    config.unclear.append(
        f"attn_res_block_size of its config is {size}: an engine keeps {blocks} residual vectors of each token of a step, "
        f"{gib:.1f} GiB at {_BATCHED_TOKENS:,} batched tokens, which is not counted"
    )
