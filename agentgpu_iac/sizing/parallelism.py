"""Which parallelism a model allows, and which an engine does."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from agentgpu_iac.catalog.model import Model
from agentgpu_iac.sizing.engines import SIZING_PORTS
from agentgpu_iac.spec.vocabulary import Engine
from agentgpu_iac.units import counted

Fault = tuple[str, float, float | None, Literal["accelerators", "experts", "groups", "parts"]]
"""What is impossible: the sentence, what it needs, what there is, and their unit."""


def tensor_parallel_is_legal(attention_heads: int, kv_heads: int, tensor_parallel: int) -> bool:
    """Whether a tensor-parallel size splits the heads evenly (KV heads may be replicated instead)."""
    if attention_heads % tensor_parallel:
        return False
    return kv_heads % tensor_parallel == 0 or tensor_parallel % kv_heads == 0


def attention_groups_fault(model: Model, attention_groups: int) -> Fault | None:
    """Why a plan has no attention groups of this model, if it has none: they pay by the experts that they share."""
    if attention_groups == 1 or model.experts:
        return None
    message = (
        f"{model.id} has no experts that {counted(attention_groups, 'attention group')} could share: groups of a dense model are "
        "replicas, each with all weights, so leave attentionDataParallelSize out and let the plan count replicas"
    )
    return message, attention_groups, 1, "groups"


def expert_parallel_fault(
    engine: Engine, model: Model, accelerators: int, expert_parallel: int, most: int
) -> Fault | None:
    """Why experts cannot be dealt out so over the accelerators of a stage, if they cannot.

    ``most`` is the product of the sizes as they were written, which published tables give as the expert-parallel size even
    where the attention groups stand inside the tensor-parallel size.
    """
    if expert_parallel == 1:
        return None
    return next(_expert_faults(engine, model, accelerators, expert_parallel, most), None)


def _expert_faults(engine: Engine, model: Model, accelerators: int, expert_parallel: int, most: int) -> Iterator[Fault]:
    parts, port = min(expert_parallel, accelerators), SIZING_PORTS[engine]
    if not model.experts:
        message = f"{model.id} has no experts that expert parallelism of {expert_parallel} could deal out: leave it out"
        yield message, expert_parallel, 1, "parts"
        return
    if expert_parallel > max(most, accelerators):
        message = (
            f"expert parallelism of {expert_parallel} needs as many accelerators in a stage; it has {accelerators}"
        )
        yield message, expert_parallel, accelerators, "accelerators"
    if accelerators % parts:
        message = f"{counted(accelerators, 'accelerator')} of a stage do not divide into expert parallelism of {parts}"
        yield message, parts, accelerators, "accelerators"
    if parts > model.experts:
        message = f"expert parallelism of {parts} for {model.experts} experts in a layer"
        yield message, parts, model.experts, "experts"
    if port.deals_all_experts_out and parts != accelerators:
        message = (
            f"{engine} deals experts out over all {counted(accelerators, 'accelerator')} of a stage or over none: an "
            "expert-parallel size "
            f"of {parts} cannot be asked of it"
        )
        yield message, parts, accelerators, "accelerators"
    if not port.deals_experts_unevenly and model.experts % parts:
        message = f"{engine} deals experts out evenly, and {model.experts} do not divide by {parts}"
        yield message, parts, model.experts, "experts"
