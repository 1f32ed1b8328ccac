"""The number format of a checkpoint."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from agentgpu_iac.catalog.huggingface.fields import Config, Json, is_object
from agentgpu_iac.spec.vocabulary import Precision

DTYPES: Mapping[str, Precision] = {"bfloat16": "bf16", "float16": "fp16", "float32": "bf16"}
"""Number formats of unquantised checkpoints as engines load them: 32-bit ones are loaded in 16 bit."""


def native_precision(config: Config) -> Precision | None:
    """Number format of the checkpoint: that of the quantisation, else that of the tensors."""
    quantization = config.section("quantization_config").fields
    if quantization:
        return _quantized_precision(config, quantization)
    dtype = config.text("dtype", "torch_dtype")
    if dtype not in DTYPES:
        config.fault("torch_dtype", f"{dtype!r} is unknown" if dtype else "is missing")
    return DTYPES.get(dtype)


def _quantized_precision(config: Config, quantization: Json) -> Precision | None:
    """What a quantisation stores weights in, by its method and the settings that this method knows."""
    method = str(quantization.get("quant_method", ""))
    read = PRECISION_OF_METHOD.get(method)
    precision = read(quantization) if read else None
    if precision is None:
        config.fault("quantization_config", f"the quantisation {method or 'without a method'!r} is unknown")
    return precision


def _by_bits(quantization: Json) -> Precision | None:
    """AWQ, GPTQ and the like: integers of so many bits."""
    return INTEGERS.get(str(quantization.get("bits", quantization.get("w_bit"))))


def _bitsandbytes(quantization: Json) -> Precision:
    return "int4" if quantization.get("load_in_4bit") else "int8"


def _modelopt(quantization: Json) -> Precision | None:
    return MODELOPT_FORMATS.get(str(quantization.get("quant_algo")).upper())


def _compressed_tensors(quantization: Json) -> Precision | None:
    """The first group of weights decides, by type and number of bits."""
    groups = quantization.get("config_groups")
    for group in groups.values() if is_object(groups) else ():
        weights = group.get("weights") if is_object(group) else None
        if is_object(weights):
            return WEIGHT_FORMATS.get((str(weights.get("type")), str(weights.get("num_bits"))))
    return None


INTEGERS: Mapping[str, Precision] = {"4": "int4", "8": "int8"}
MODELOPT_FORMATS: Mapping[str, Precision] = {"FP8": "fp8", "NVFP4": "nvfp4", "W4A16_AWQ": "int4"}
WEIGHT_FORMATS: Mapping[tuple[str, str], Precision] = {
    ("float", "8"): "fp8",
    ("float", "4"): "nvfp4",
    ("int", "8"): "int8",
    ("int", "4"): "int4",
}
PRECISION_OF_METHOD: Mapping[str, Callable[[Json], Precision | None]] = {
    "fp8": lambda _: "fp8",
    "fbgemm_fp8": lambda _: "fp8",
    "mxfp4": lambda _: "mxfp4",
    "awq": _by_bits,
    "gptq": _by_bits,
    "bitsandbytes": _bitsandbytes,
    "modelopt": _modelopt,
    "compressed-tensors": _compressed_tensors,
}
