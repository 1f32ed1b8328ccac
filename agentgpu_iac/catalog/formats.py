"""Which parts of a model a number format leaves in 16 bit, where no file says so."""

from __future__ import annotations

from typing import Final

from agentgpu_iac.catalog.model import MODULE_KINDS, ModuleKind
from agentgpu_iac.catalog.quantisation.formats import SIXTEEN_BIT
from agentgpu_iac.spec.vocabulary import Precision

_NEVER_QUANTISED: Final[frozenset[ModuleKind]] = frozenset({"embedding", "output_head", "router", "tower", "table"})
"""What no scheme quantises: FP8, INT8, INT4 and NVFP4 take the linear layers."""


def left_in_16_bit(
    precision: Precision, *, is_native: bool, has_experts: bool, is_latent: bool
) -> frozenset[ModuleKind]:
    """Parts that a checkpoint in this precision keeps in 16 bit.

    MXFP4, and INT4 as published by a model's maker, quantise the routed experts only. NVFP4 of models with compressed
    attention leaves the attention (DeepSeek-R1 in NVFP4 is 394 GB).
    """
    if precision in SIXTEEN_BIT:
        return frozenset(MODULE_KINDS)
    if has_experts and (precision == "mxfp4" or (precision == "int4" and is_native)):
        return frozenset(MODULE_KINDS) - {"routed_experts"}
    if has_experts and precision == "nvfp4" and is_latent:
        return _NEVER_QUANTISED | {"attention"}
    return _NEVER_QUANTISED
