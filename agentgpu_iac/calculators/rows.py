"""What follows from a row of the catalog alone: the memory that an accelerator gives, and what a model takes."""

from __future__ import annotations

from dataclasses import dataclass

from agentgpu_iac.catalog.model import Accelerator, Model
from agentgpu_iac.sizing.memory import capacity, kv_bytes_per_token, layer_count, weight_bytes
from agentgpu_iac.units import gib


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFigures:
    """A model in its own precision, on one accelerator."""

    weights_gib: float
    layers: int
    kv_bytes_per_token: int


def accelerator_capacity_gib(accelerator: Accelerator) -> tuple[float, str]:
    """What CUDA can allocate, and how that is known: measured, driver or nominal."""
    room = capacity(accelerator)
    return room.capacity_gib, room.basis


def model_figures(model: Model) -> ModelFigures:
    """Weights, layers and KV cache of a model as it is published."""
    return ModelFigures(
        weights_gib=gib(weight_bytes(model, model.native_precision)),
        layers=layer_count(model),
        kv_bytes_per_token=kv_bytes_per_token(model, "auto", 1, 1),
    )
