"""Bytes and operations of a model, and the number formats that its kernels compute in."""

from __future__ import annotations

from dataclasses import dataclass

from agentgpu_iac.catalog.model import Accelerator, KernelFormat, Model
from agentgpu_iac.sizing.kv_cache import kv_bytes_per_session
from agentgpu_iac.sizing.weights import bits_per_parameter, expert_parameters, parts, read_bytes
from agentgpu_iac.spec.vocabulary import KvCacheDtype, Precision

_EIGHT_BIT = 8


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
    )


def kernel_formats(model: Model, precision: Precision, *, weight_only: bool) -> tuple[KernelFormat, KernelFormat]:
    """Whose kernels multiply the dense layers, and the routed experts.

    4-bit checkpoints of mixtures of experts quantise the experts and leave the rest in 16 bit. FP8 experts are scaled in
    blocks, as their makers publish them. Weight-only kernels unpack what they read and compute in 16 bit.
    """
    if precision == "bf16" or precision == "fp16":  # noqa: PLR1714 - a tuple does not narrow the type
        return "bf16", "bf16"
    own: KernelFormat = "fp8-block" if precision == "fp8" and model.experts else precision
    if weight_only and own != "mxfp4":
        own = "int4"
    return ("bf16" if model.experts and bits_per_parameter(precision) < _EIGHT_BIT else own), own
