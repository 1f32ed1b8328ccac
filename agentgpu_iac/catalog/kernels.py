"""Which kernel tables hold for an accelerator: its own, else those of the card that is nearest in kind."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from agentgpu_iac.catalog.model import Accelerator, Kernels

_OTHER_MAKER = 100.0
"""Distance of a card without a CUDA compute capability: farther than any generation."""


def with_kernels(accelerators: Iterable[Accelerator], tables: Sequence[Kernels]) -> tuple[Accelerator, ...]:
    """Give each accelerator the tables that hold for it; accelerators without any near card keep none.

    A card without tables of its own takes those of the measured card with the nearest compute capability, and among
    equals of the nearest memory bandwidth: the same units under another clock, power and memory.
    """
    accelerators = tuple(accelerators)
    measured = {table.accelerator for table in tables}
    cards = [row for row in accelerators if row.id in measured]
    return tuple(_with_tables(row, cards, tables) for row in accelerators)


def _with_tables(accelerator: Accelerator, cards: Sequence[Accelerator], tables: Sequence[Kernels]) -> Accelerator:
    if not cards:
        return accelerator
    nearest = min(cards, key=lambda card: (*_distance(accelerator, card), card.id))
    own = tuple(table for table in tables if table.accelerator == nearest.id)
    return accelerator.model_copy(update={"kernels": own})


def _distance(accelerator: Accelerator, card: Accelerator) -> tuple[float, float]:
    """How far two cards are apart: nothing for the same; else by generation, then by memory bandwidth."""
    if accelerator.id == card.id:
        return -1.0, 0.0
    apart = abs(_generation(accelerator) - _generation(card))
    return apart, abs(math.log(accelerator.bandwidth_gb_per_s / card.bandwidth_gb_per_s))


def _generation(accelerator: Accelerator) -> float:
    try:
        return float(accelerator.compute_capability)
    except ValueError:
        return _OTHER_MAKER
