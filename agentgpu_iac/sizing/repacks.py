"""What is said of a precision whose checkpoint is not the model's own: what it was taken to be, and what others weigh."""

from __future__ import annotations

from agentgpu_iac.catalog.model import Model, Module
from agentgpu_iac.catalog.quantisation.formats import SIXTEEN_BIT
from agentgpu_iac.sizing.weights import part_bytes, parts, possible_parts
from agentgpu_iac.spec.vocabulary import Precision
from agentgpu_iac.units import gib

_NEVER = ("embedding", "router", "tower", "table", "draft", "other")
"""Parts that no repack takes: saying so of each would say nothing."""


def assumed_repack(model: Model, precision: Precision) -> str:
    """The sentence that says it."""
    sizes = [gib(sum(part_bytes(model, part) for part in each)) for each in possible_parts(model, precision)]
    planned = next((row for row in model.repacks if row.precision == precision and row.is_planned), None)
    what = "by rule, since no published one of its family is known" if planned is None else f"as {planned.name} is"
    left = [_words(part) for part in parts(model, precision) if part.precision != precision and part.kind not in _NEVER]
    but = f" but {', '.join(left)}" if left else ""
    return (
        f"{model.id} is published in {model.native_precision}, and {precision} checkpoints of it differ: counted {what}, "
        f"all in {precision}{but} ({sizes[0]:.1f} GiB); known ones weigh {min(sizes):.1f} to {max(sizes):.1f} GiB. Name the "
        "config.json of yours as the model to have its own"
    )


def _words(part: Module) -> str:
    kind = part.kind.replace("_", " ")
    return f"{kind} in {'16 bit' if part.precision in SIXTEEN_BIT else part.precision}"
