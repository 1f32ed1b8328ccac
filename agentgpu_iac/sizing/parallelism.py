"""Which parallelism a model allows, and which an engine does."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from agentgpu_iac.catalog.model import Model, ModuleKind
from agentgpu_iac.catalog.versions import at_least
from agentgpu_iac.sizing.engines import SIZING_PORTS
from agentgpu_iac.sizing.weights import block_side
from agentgpu_iac.spec.vocabulary import Engine, Precision
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


def blocks_fault(
    engine: Engine, version: str, model: Model, precision: Precision, tensor_parallel: int, expert_parallel: int
) -> Fault | None:
    """Why a checkpoint in FP8 with a scale for each block of weights is not sliced so, if it is not.

    A rank's slice of a feed-forward layer must be whole blocks, else the engine ends while it loads
    (``validate_fp8_block_shape_moe`` and ``validate_fp8_block_shape`` of vLLM 0.32.0; issues 25292, 54178). Experts that are
    dealt out whole are not sliced. A version that is not named is the newest.
    """
    port = SIZING_PORTS[engine]
    kind: ModuleKind = "routed_experts" if model.experts else "feed_forward"
    block = block_side(model, precision, kind)
    if block is None or not port.slices_whole_blocks or tensor_parallel == 1 or expert_parallel > 1:
        return None
    width = (model.moe_intermediate_size or 0) if model.experts else model.intermediate_size
    if width == 0 or width % tensor_parallel:
        return None
    part = width // tensor_parallel
    finer = port.refines_blocks_since
    if part % block == 0 or (model.experts and finer and (not version or at_least(version, finer)) and part % 32 == 0):
        return None
    what = "an expert" if model.experts else "the feed-forward layer"
    whole = max((size for size in (1, 2, 4, 8, 16) if width % (size * block) == 0), default=1)
    dealt = ", or deal the experts out whole (overrides.expertParallelSize)" if model.experts else ""
    message = (
        f"{model.id} is in FP8 with a scale for each block of {block} x {block}: tensor parallelism of {tensor_parallel} slices "
        f"{what}, {width:,} wide, into {part:,}, which are no whole blocks, and the engine ends while it loads; "
        f"{whole} at most does{dealt}"
    )
    return message, tensor_parallel, whole, "accelerators"


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
