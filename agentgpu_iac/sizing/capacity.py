"""What one accelerator has, and how much of it may be needed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from agentgpu_iac.catalog.model import Accelerator
from agentgpu_iac.units import GIB, MIB

RESERVE_RATIO = 0.20
"""Share of the capacity that need leaves free in steady state, unless a stack says otherwise: sustained use above the rest
means scale up (the 80 % rule)."""

_DRIVER_RESERVE_GIB = 0.5
"""What CUDA sees is less than what the driver reports: 0.3 to 0.6 GiB on the cards where both are known."""
_NOMINAL_RATIO = 0.93
"""CUDA-visible GiB per nominal GB where neither figure is known: 24 GB cards show 22.1 to 23.6 GiB."""


def usable_words(reserve_ratio: float) -> str:
    """What is left of a capacity beside the reserve, as people read it: 80 %."""
    return f"{100 * (1 - reserve_ratio):.3g} %"


_NOMINAL_RATIO_OF_AMD = 0.998
"""The same of AMD's cards, whose labels count GiB: an MI300X of 192 shows 191.7."""

CapacityBasis = Literal["measured", "driver", "nominal"]

BASIS_WORDS: dict[CapacityBasis, str] = {
    "measured": "what CUDA sees, measured",
    "driver": f"driver's figure - {_DRIVER_RESERVE_GIB:g} GiB",
    "nominal": f"nominal GB x {_NOMINAL_RATIO:g} (AMD's, which are GiB, x {_NOMINAL_RATIO_OF_AMD:g})",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Capacity:
    """What CUDA can allocate on one accelerator, and how we know."""

    capacity_gib: float
    basis: CapacityBasis


def capacity(accelerator: Accelerator) -> Capacity:
    """The memory that CUDA sees: measured; else the driver's figure less 0.5 GiB; else nominal GB x 0.93, of AMD's x 0.998."""
    if accelerator.cuda_memory_gib is not None:
        return Capacity(capacity_gib=accelerator.cuda_memory_gib, basis="measured")
    if accelerator.driver_memory_mib is not None:
        return Capacity(capacity_gib=accelerator.driver_memory_mib * MIB / GIB - _DRIVER_RESERVE_GIB, basis="driver")
    of_amd = accelerator.compute_capability.startswith("gfx")
    ratio = _NOMINAL_RATIO_OF_AMD if of_amd else _NOMINAL_RATIO
    return Capacity(capacity_gib=accelerator.memory_gb * ratio, basis="nominal")
