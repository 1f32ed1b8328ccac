"""Recurrent layers: linear attention, both generations of Mamba, gated short convolutions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from agentgpu_iac.catalog.huggingface.fields import Config, share
from agentgpu_iac.catalog.model import FirstMamba, LinearAttention, Mamba, ShortConvolution
from agentgpu_iac.units import ceil_div

_FIRST_GENERATION: Final = ("jamba", "mamba", "falcon_mamba")
NAMES: Final = (
    *("linear_num_value_heads", "linear_num_key_heads", "linear_key_head_dim", "linear_value_head_dim"),
    *("linear_conv_kernel_dim", "linear_num_heads", "linear_head_dim", "conv_L_cache", "linear_attn_config"),
    *(
        "mamba_d_state",
        "mamba_d_conv",
        "mamba_d_head",
        "mamba_n_heads",
        "mamba_n_groups",
        "mamba_d_ssm",
        "mamba_dt_rank",
    ),
)
"""Fields of recurrent layers: they say nothing where the list of layers has none."""
_STEP_SHARE: Final = 16
"""A step rank of ``auto`` is one part in so many of the hidden size."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recurrent:
    """The shape of the recurrent layers: one of these."""

    linear_attention: LinearAttention | None = None
    mamba: Mamba | None = None
    first_mamba: FirstMamba | None = None
    short_convolution: ShortConvolution | None = None


def recurrent_of(config: Config, hidden_size: int) -> Recurrent:
    """The shape that the fields tell of."""
    if config.section("linear_attn_config").fields:
        return Recurrent(linear_attention=_kimi(config.section("linear_attn_config")))
    if config.integer("linear_num_heads") is not None:
        return Recurrent(linear_attention=_kimi_plain(config))
    if config.integer("linear_num_value_heads") is not None:
        return Recurrent(linear_attention=_gated_delta(config))
    if config.integer("conv_L_cache") is not None:
        return Recurrent(
            short_convolution=ShortConvolution(channels=hidden_size, kernel=config.required("conv_L_cache"))
        )
    if config.text("model_type") in _FIRST_GENERATION:
        return Recurrent(first_mamba=_first(config, hidden_size))
    return Recurrent(mamba=_second(config, hidden_size))


def _kimi(shape: Config) -> LinearAttention:
    heads, width = shape.required("num_heads"), shape.required("head_dim")
    return LinearAttention(
        key_heads=heads,
        value_heads=heads,
        key_head_dim=width,
        value_head_dim=width,
        kernel=shape.required("short_conv_kernel_size"),
        gate_rank=width,
    )


def _kimi_plain(config: Config) -> LinearAttention:
    """The same as transformers spells it."""
    heads, width = config.required("linear_num_heads"), config.required("linear_head_dim")
    return LinearAttention(
        key_heads=heads,
        value_heads=heads,
        key_head_dim=width,
        value_head_dim=width,
        kernel=config.required("linear_conv_kernel_dim"),
        gate_rank=width,
    )


def full_rank_gate(config: Config, hidden_size: int) -> int:
    """What a whole matrix for the output's gate has beyond one of the rank (Kimi K3), for one layer."""
    shape = config.section("linear_attn_config")
    if not shape.flag("use_full_rank_gate"):
        return 0
    width = shape.integer("head_dim") or 1
    values = (shape.integer("num_heads") or 1) * width
    return hidden_size * values - width * (hidden_size + values)


def _gated_delta(config: Config) -> LinearAttention:
    return LinearAttention(
        key_heads=config.required("linear_num_key_heads"),
        value_heads=config.required("linear_num_value_heads"),
        key_head_dim=config.required("linear_key_head_dim"),
        value_head_dim=config.required("linear_value_head_dim"),
        kernel=config.required("linear_conv_kernel_dim"),
    )


def _first(config: Config, hidden_size: int) -> FirstMamba:
    rank = config.integer("mamba_dt_rank") if config.get("mamba_dt_rank") != "auto" else None
    steps = rank or config.integer("time_step_rank") if config.get("time_step_rank") != "auto" else rank
    expand = config.integer("mamba_expand", "expand") or 1
    return FirstMamba(
        channels=config.integer("intermediate_size") or expand * hidden_size
        if config.text("model_type") != "jamba"
        else expand * hidden_size,
        state_size=config.required("mamba_d_state", "state_size"),
        step_rank=steps or ceil_div(hidden_size, _STEP_SHARE),
        kernel=config.required("mamba_d_conv", "conv_kernel"),
    )


def _second(config: Config, hidden_size: int) -> Mamba:
    """The shape of Mamba-2 layers. A head width of ``auto`` spreads the expanded hidden size over the heads."""
    heads = config.required("mamba_num_heads", "mamba_n_heads", "num_heads")
    inner = config.integer("mamba_d_ssm")
    expand = config.integer("mamba_expand", "expand")
    if config.get("mamba_d_head") == "auto":
        head_dim = share(inner or (expand or config.required("mamba_expand")) * hidden_size, heads)
    else:
        head_dim = config.required("mamba_head_dim", "mamba_d_head", "head_dim")
    if inner and inner != heads * head_dim:
        config.fault("mamba_d_ssm", f"is {inner}, and {heads} heads of {head_dim} are {heads * head_dim}")
    return Mamba(
        heads=heads,
        head_dim=head_dim,
        state_size=config.required("ssm_state_size", "mamba_d_state", "state_size"),
        groups=config.required("n_groups", "mamba_n_groups"),
        kernel=config.required("conv_kernel", "mamba_d_conv"),
    )
