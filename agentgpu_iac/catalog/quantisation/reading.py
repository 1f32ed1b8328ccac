"""A quantisation as the files of a model say it: where it stands, by which method it is read, and what contradicts itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from agentgpu_iac.catalog.quantisation import floats, groups, integers
from agentgpu_iac.catalog.quantisation.scheme import Json, Scheme, Section, is_object

SECTIONS: Final = ("quantization_config", "compression_config")
"""Where a config.json says how it is quantised; engines take the first, of the whole or of its text model."""
BESIDE: Final = "hf_quant_config.json"
"""Where ModelOpt said it before it wrote to the config.json itself (0.31): read where that has nothing to say."""
TEXT_MODELS: Final = ("text_config", "llm_config", "language_config")

Reader = Callable[[Section, Json], Scheme | None]


def _of_section(read: Callable[[Section], Scheme | None]) -> Reader:
    return lambda section, _: read(section)


METHODS: Final[Mapping[str, Reader]] = {
    "awq": _of_section(integers.awq),
    "awq_marlin": _of_section(integers.awq),
    "auto_awq": _of_section(integers.awq),
    "gptq": _of_section(integers.gptq),
    "gptq_marlin": _of_section(integers.gptq),
    "auto_gptq": _of_section(integers.gptq),
    "auto-round": _of_section(integers.auto_round),
    "auto_round": _of_section(integers.auto_round),
    "intel/auto-round": _of_section(integers.auto_round),
    "inc": _of_section(integers.auto_round),
    "bitsandbytes": _of_section(integers.bitsandbytes),
    "hqq": _of_section(integers.hqq),
    "w8a8_int8": _of_section(integers.int8),
    "blockwise_int8": _of_section(integers.int8),
    "w4afp8": _of_section(integers.w4afp8),
    "fp8": floats.fp8,
    "mxfp8": _of_section(floats.mxfp8),
    "w8a8_fp8": _of_section(floats.channel_fp8),
    "fbgemm_fp8": _of_section(floats.fbgemm_fp8),
    "mxfp4": _of_section(floats.mxfp4),
    "fp_quant": _of_section(floats.fp_quant),
    "quark": _of_section(floats.quark),
    "torchao": _of_section(floats.torchao),
    "compressed-tensors": _of_section(groups.compressed_tensors),
    "compressed_tensors": _of_section(groups.compressed_tensors),
    "modelopt": _of_section(groups.modelopt),
    "modelopt_fp4": _of_section(groups.modelopt),
    "modelopt_fp8": _of_section(groups.modelopt),
    "modelopt_mxfp8": _of_section(groups.modelopt),
    "modelopt_mixed": _of_section(groups.modelopt),
}
"""Each ``quant_method`` that is read, and how."""

_EXL = "no server that is planned here runs it: ExLlama formats need TabbyAPI or ExLlama itself"
_OLD = "vLLM dropped it after"
UNREAD: Final[Mapping[str, str]] = {
    "exl2": _EXL,
    "exl3": _EXL,
    "gguf": "its bytes stand in the GGUF file and not in a config.json; vLLM dropped it after 0.23",
    "aqlm": f"{_OLD} 0.10, SGLang after 0.5.4",
    "bitblas": f"{_OLD} 0.15",
    "gptq_bitblas": f"{_OLD} 0.15",
    "gptq_marlin_24": f"{_OLD} 0.15, SGLang after 0.5.4",
    "marlin": f"{_OLD} 0.10, SGLang after 0.5.4",
    "qqq": f"{_OLD} 0.10, SGLang after 0.5.4",
    "deepspeedfp": f"{_OLD} 0.13, SGLang after 0.5.4",
    "ipex": f"{_OLD} 0.15, and it ran on CPUs alone",
    "tpu_int8": f"{_OLD} 0.13, and it ran on TPUs alone",
    "neuron_quant": f"{_OLD} 0.10, and it ran on Neuron alone",
    "qoq": "SGLang dropped it after 0.5.15, and vLLM never had it",
    "eetq": "neither vLLM nor SGLang runs it: TGI alone does",
    "quip": "neither vLLM nor SGLang runs it",
    "quip_sharp": "neither vLLM nor SGLang runs it",
    "vptq": "neither vLLM nor SGLang runs it",
    "higgs": "neither vLLM nor SGLang runs it",
    "spqr": "neither vLLM nor SGLang runs it",
    "bitnet": "neither vLLM nor SGLang runs it",
    "quanto": "neither vLLM nor SGLang runs it",
    "modelslim": "SGLang runs it on Ascend alone",
}
"""Methods that are known and not read, and why: read 2026-11-27 in the wheels of vLLM 0.8.0 to 0.33.0 and SGLang 0.5.1 to
0.5.23."""


def scheme_of(config: Json, beside: Json | None, faults: list[tuple[str, str]]) -> Scheme | None:
    """How the checkpoint of a config is quantised; None where it is not, or where it cannot be said: a fault then.

    Args:
        config: The content of config.json.
        beside: The content of the hf_quant_config.json in its folder, if there is one.
        faults: Where faults are noted: (path, message).
    """
    section = _section(config, faults)
    other = _beside(beside, faults)
    if section is None:
        return None if other is None else groups.modelopt(other)
    if other is not None:
        _refuse_contradictions(section, other)
    return _read(section, config)


def _section(config: Json, faults: list[tuple[str, str]]) -> Section | None:
    found: list[Section] = []
    for prefix, owner in _owners(config):
        for name in SECTIONS:
            value = owner.get(name)
            if value is None:
                continue
            path = f"{prefix}{name}"
            if not is_object(value):
                faults.append((path, "must be an object"))
            elif value:
                found.append(Section(value, path, faults))
    for section in found[1:]:
        if section.fields != found[0].fields and section.text("quant_method") != found[0].text("quant_method"):
            section.fault("quant_method", f"is {section.text('quant_method')!r}, and {found[0].path} has another")
    return found[0] if found else None


def _owners(config: Json) -> tuple[tuple[str, Json], ...]:
    inner = ((name, config.get(name)) for name in TEXT_MODELS)
    return (("", config), *((f"{name}.", value) for name, value in inner if is_object(value)))


def _beside(beside: Json | None, faults: list[tuple[str, str]]) -> Section | None:
    if beside is None:
        return None
    inner = beside.get("quantization", beside)
    if not is_object(inner) or not inner.get("quant_algo"):
        return None
    return Section(inner, f"{BESIDE}: quantization", faults)


def _read(section: Section, config: Json) -> Scheme | None:
    method = section.text("quant_method").lower() or ("modelopt" if section.text("quant_algo") else "")
    read = METHODS.get(method)
    if read is not None:
        return read(section, config)
    if method in UNREAD:
        section.fault("quant_method", f"{method} is not read: {UNREAD[method]}")
    elif method:
        section.fault("quant_method", f"{method!r} is unknown: {', '.join(sorted(METHODS))} are read")
    else:
        section.fault("quant_method", "is missing")
    return None


def _refuse_contradictions(section: Section, other: Section) -> None:
    """A fault where both files name an algorithm, a group size or a cache, and not the same."""
    inner = section.section("quantization") if is_object(section.fields.get("quantization")) else section
    for name in ("quant_algo", "group_size"):
        here, there = inner.fields.get(name), other.fields.get(name)
        if here is not None and there is not None and str(here).upper() != str(there).upper():
            other.fault(name, f"is {there}, and {inner.path}.{name} of config.json is {here}: which one is right?")
    here_layers, there_layers = inner.fields.get("quantized_layers"), other.fields.get("quantized_layers")
    if is_object(here_layers) and is_object(there_layers) and _algorithms(here_layers) != _algorithms(there_layers):
        other.fault("quantized_layers", f"names other modules or algorithms than {inner.path} of config.json")


def _algorithms(layers: Json) -> Mapping[str, str]:
    return {name: str(own.get("quant_algo")).upper() if is_object(own) else "" for name, own in layers.items()}
