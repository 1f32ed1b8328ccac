"""Bytes and operations of a model, and the number formats that its kernels compute in."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from agentgpu_iac.catalog.model import Accelerator, KernelFormat, Model, Module
from agentgpu_iac.catalog.quantisation.formats import PLAIN
from agentgpu_iac.sizing.kv_cache import kv_bytes_per_session, state_bytes
from agentgpu_iac.sizing.weights import expert_parameters, parts, read_bytes, stored_bits
from agentgpu_iac.spec.vocabulary import KvCacheDtype, Precision

_DENSE = frozenset({"attention", "recurrent", "feed_forward", "shared_experts", "other"})
"""Kinds of modules that every token is multiplied with, the output's head apart, which is 16 bit in every scheme."""


def has_fp4_units(accelerator: Accelerator) -> bool:
    """Whether the accelerator is of a generation that computes in 4 bit (Blackwell)."""
    return bool(accelerator.vendor_dense_tflops.fp4 or accelerator.measured_dense_tflops.fp4)


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """Bytes and operations of a model, before any accelerator: what the constants are applied to."""

    expert_bytes: float
    dense_bytes: float
    expert_flops: float
    dense_flops: float
    kv_bytes_per_token: float
    kv_bytes_per_session: float
    state_bytes: float
    """Of that, what each step replaces: the states of recurrent layers."""


def work_of(model: Model, precision: Precision, kv_dtype: KvCacheDtype, tensor_parallel: int) -> Work:
    """Bytes and operations of routed experts and of the rest, each part in the format that it is stored in.

    Of models that generate nothing the table of embeddings, half of a small multilingual one, is looked up and not multiplied.
    """
    expert_bytes, dense_bytes = read_bytes(model, parts(model, precision))
    experts = expert_parameters(model)
    active = experts * (model.experts_per_token or 0) // (model.experts or 1)
    short = kv_bytes_per_session(model, kv_dtype, tensor_parallel, 1, 16_384)
    long = kv_bytes_per_session(model, kv_dtype, tensor_parallel, 1, 32_768)
    per_token = (long - short) / 16_384
    looked_up = 0 if model.pooling is None else model.vocab_size * model.hidden_size
    return Work(
        expert_bytes=expert_bytes,
        dense_bytes=dense_bytes,
        expert_flops=2.0 * active,
        dense_flops=2.0 * max(0, model.params_active - active - looked_up),
        kv_bytes_per_token=per_token,
        kv_bytes_per_session=max(0.0, short - per_token * 16_384),
        state_bytes=model.layers.recurrent * state_bytes(model, tensor_parallel),
    )


def kernel_formats(model: Model, precision: Precision, *, weight_only: bool) -> tuple[KernelFormat, KernelFormat]:
    """Whose kernels multiply the dense layers, and the routed experts: by the format that most of each is stored in.

    Weight-only kernels unpack what they read and compute in 16 bit.
    """
    stored = parts(model, precision)

    def of(kinds: Collection[str]) -> KernelFormat:
        by_format: dict[tuple[Precision, bool], int] = {}
        for module in stored:
            if module.kind in kinds:
                kept = (module.precision, _in_blocks(model, module))
                by_format[kept] = by_format.get(kept, 0) + module.parameters
        most, in_blocks = max(by_format, key=lambda each: (by_format[each], each), default=(precision, False))
        return _kernel_format(most, weight_only=weight_only, in_blocks=in_blocks)

    return of(_DENSE), of({"routed_experts"})


def _in_blocks(model: Model, part: Module) -> bool:
    """Whether FP8 is scaled in blocks: as the file says; where no file is named, as the makers of mixtures publish them.

    An engine that makes FP8 of 16 bit as it loads, which is how a dense model without a file is served, scales by tensor.
    """
    if part.bits is not None or part in model.modules:
        return stored_bits(part) > PLAIN["fp8"]
    return bool(model.experts)


def _kernel_format(stored: Precision, *, weight_only: bool, in_blocks: bool) -> KernelFormat:
    if stored == "bf16" or stored == "fp16":  # noqa: PLR1714 - a tuple does not narrow the type
        return "bf16"
    if weight_only and stored != "mxfp4":
        return "int4"
    return "fp8-block" if stored == "fp8" and in_blocks else stored
