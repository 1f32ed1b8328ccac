"""Bytes and operations of a model, and what an accelerator achieves on them: data sheet times fitted shares."""

from __future__ import annotations

from dataclasses import dataclass

from agentgpu_iac.catalog.model import Accelerator, Model
from agentgpu_iac.sizing import calibration
from agentgpu_iac.sizing.calibration import Constants
from agentgpu_iac.sizing.kv_cache import kv_bytes_per_session
from agentgpu_iac.sizing.weights import bits_per_parameter, expert_parameters, parts, read_bytes
from agentgpu_iac.spec.vocabulary import KvCacheDtype, Precision

_EIGHT_BIT = 8


def prefill_tflops(accelerator: Accelerator, precision: Precision, *, weight_only: bool = False) -> float | None:
    """Dense TFLOPS for weights of this precision: the vendor's figure, else a measured one, else none.

    8-bit weights use the 8-bit units where the accelerator has them; MXFP4 weights are computed in 8 bit on
    accelerators with FP4 units and in 16 bit on others; weight-only formats in 16 bit; a format without a figure falls
    back to 16 bit, which is the safe side.
    """
    tables = (accelerator.vendor_dense_tflops, accelerator.measured_dense_tflops)
    field = {"fp8": "fp8", "int8": "int8", "nvfp4": "fp4"}.get(precision, "bf16")
    if precision == "mxfp4" and has_fp4_units(accelerator):
        field = "fp8"
    if weight_only:
        field = "bf16"
    for name in (field, "bf16"):
        for table in tables:
            value: float | None = getattr(table, name)
            if value:
                return value
    return None


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """What an accelerator achieves on a model, in bytes and operations per ms."""

    bytes_per_ms: float
    kv_bytes_per_ms: float
    dense_flops_per_ms: float
    expert_flops_per_ms: float
    attention_flops_per_ms: float


def _mfu(precision: Precision, constants: Constants, *, blackwell: bool, weight_only: bool) -> float:
    """Share of the dense TFLOPS that prompts reach; FP4 without FP4 units is computed in 16 bit."""
    if weight_only:
        return constants.mfu_weight_only
    if precision in ("fp8", "int8"):
        return constants.mfu_8_bit_blackwell if blackwell else constants.mfu_8_bit_hopper
    if precision in ("nvfp4", "mxfp4") and blackwell:
        return constants.mfu_4_bit
    return constants.mfu_16_bit


def rates_of(
    model: Model, accelerator: Accelerator, precision: Precision, constants: Constants, *, weight_only: bool
) -> Rates | None:
    """Data sheet times the fitted shares; None where no TFLOPS figure has a source.

    Weight-only kernels were measured with 4-bit integers alone; those that unpack FP8 and NVFP4 are of the same family.
    """
    tflops = prefill_tflops(accelerator, precision, weight_only=weight_only)
    tflops_16_bit = prefill_tflops(accelerator, "bf16")
    if tflops is None or tflops_16_bit is None:
        return None
    blackwell = has_fp4_units(accelerator)
    four_bit = bits_per_parameter(precision) < _EIGHT_BIT
    mfu = _mfu(precision, constants, blackwell=blackwell, weight_only=weight_only)
    expert_mfu = constants.expert_mfu_blackwell if blackwell else constants.expert_mfu_hopper
    if blackwell and precision in ("nvfp4", "mxfp4"):
        expert_mfu = constants.expert_mfu_4_bit
    dense = tflops_16_bit * constants.mfu_16_bit if model.experts and four_bit else tflops * mfu
    bandwidth = accelerator.bandwidth_gb_per_s
    read = min(bandwidth, calibration.WEIGHT_ONLY_GB_PER_S) if weight_only else bandwidth
    latent = constants.latent_kv_factor if model.kv_lora_rank is not None else 1.0
    return Rates(
        bytes_per_ms=read * 1e6 * constants.bandwidth_efficiency,
        kv_bytes_per_ms=bandwidth * 1e6 * constants.kv_bandwidth_efficiency / latent,
        dense_flops_per_ms=dense * 1e9,
        expert_flops_per_ms=tflops * mfu * expert_mfu * 1e9,
        attention_flops_per_ms=tflops_16_bit * calibration.ATTENTION_MFU * 1e9,
    )
