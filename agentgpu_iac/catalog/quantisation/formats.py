"""Number formats of weights: the precision that stands for one, and the bits that a weight takes with its scales."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from agentgpu_iac.spec.vocabulary import Precision

SIXTEEN_BIT: Final[frozenset[Precision]] = frozenset({"bf16", "fp16"})
"""Formats that quantise nothing."""

_SCALE_BITS: Final = 16
"""Scales of integer weights are kept in the model's own 16 bit (compressed-tensors, GPTQ, AWQ)."""
FP8_SCALE_BITS: Final = 32
"""Scales of blocks of FP8 weights, ``weight_scale_inv`` in DeepSeek's files."""
_MICROSCALE_BITS: Final = 8
"""A scale of OCP microscaling formats, and of NVFP4's groups."""
MICROSCALE_GROUP: Final = 32
"""Weights that share a scale in OCP microscaling formats."""
NVFP4_GROUP: Final = 16
"""Weights that share a scale in NVFP4."""
_NF4_BITS: Final = 4 + 32 / 64
"""bitsandbytes: a 32-bit absolute maximum for 64 weights."""
_NF4_DOUBLE_BITS: Final = 4 + 8 / 64 + 32 / (64 * 256)
"""bitsandbytes with nested statistics: the maxima in 8 bit, and one of 32 bit for 256 of those."""
_PAIR_BITS: Final = 32
"""HQQ: a 16-bit scale and a 16-bit zero point for each group."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """How weights are stored."""

    precision: Precision
    """The precision that they are planned as: the kernels that run them."""
    bits: float
    """Bits of one weight with its scales and zero points, as engines load it."""
    group: int | None = None
    """Weights along a row that share a scale, which must divide the row; None where any row will do."""


BF16: Final = Format(precision="bf16", bits=16.0)

PLAIN: Final[Mapping[Precision, float]] = {
    "bf16": 16.0,
    "fp16": 16.0,
    "fp8": 8.0,
    "int8": 8.0,
    "int4": 4.0 + (_SCALE_BITS + 4) / 128,
    "mxfp4": 4.0 + _MICROSCALE_BITS / MICROSCALE_GROUP,
    "nvfp4": 4.0 + _MICROSCALE_BITS / NVFP4_GROUP,
}
"""Bits of one weight with its scales where no file says more: INT4 as AWQ writes it, a 16-bit scale and a 4-bit zero
point for 128 weights; FP8 by tensor or channel (the 32-bit scale of a block of 128 x 128 adds 0.02 %)."""


def plain(precision: Precision) -> Format:
    """A precision as it is stored where no file says more."""
    return Format(precision=precision, bits=PLAIN[precision])


def integers(bits: int, group_size: int, *, zero_points: bool) -> Format:
    """Integers of 2 to 8 bits: a scale, and maybe a zero point, for each group; a group of -1 is a whole row."""
    scales = (_SCALE_BITS + (bits if zero_points else 0)) / group_size if group_size > 0 else 0.0
    kernel: Precision = "int4" if bits <= 4 else "int8"
    return Format(precision=kernel, bits=bits + scales, group=group_size if group_size > 0 else None)


def fp8(block: tuple[int, int] | None = None) -> Format:
    """FP8, with a scale for a tensor or a channel, or for each block."""
    return Format(precision="fp8", bits=8.0 + (FP8_SCALE_BITS / (block[0] * block[1]) if block else 0.0))


def nvfp4(group_size: int = NVFP4_GROUP) -> Format:
    """NVFP4, weights of 4 bit and an FP8 scale for each group."""
    return Format(precision="nvfp4", bits=4.0 + _MICROSCALE_BITS / group_size, group=group_size)


def mxfp4() -> Format:
    """MXFP4: weights of 4 bit and an 8-bit scale for 32 of them."""
    return Format(precision="mxfp4", bits=PLAIN["mxfp4"], group=MICROSCALE_GROUP)


def mxfp8() -> Format:
    """MXFP8: weights of 8 bit and an 8-bit scale for 32 of them; run by kernels of FP8."""
    return Format(precision="fp8", bits=8.0 + _MICROSCALE_BITS / MICROSCALE_GROUP, group=MICROSCALE_GROUP)


def normal_float(*, nested: bool) -> Format:
    """The 4-bit formats of bitsandbytes."""
    return Format(precision="int4", bits=_NF4_DOUBLE_BITS if nested else _NF4_BITS)


def half_quadratic(bits: int, group_size: int) -> Format:
    """HQQ: integers with a scale and a zero point in 16 bit each."""
    kernel: Precision = "int4" if bits <= 4 else "int8"
    return Format(precision=kernel, bits=bits + _PAIR_BITS / group_size, group=group_size)
