"""Methods that store floats of 8 or 4 bits: FP8, FBGEMM, MXFP4, and AMD Quark and torchao, which know integers too."""

from __future__ import annotations

from collections.abc import Mapping

from agentgpu_iac.catalog.model.modules import CheckpointCache, ModuleKind
from agentgpu_iac.catalog.quantisation import formats
from agentgpu_iac.catalog.quantisation.formats import Format
from agentgpu_iac.catalog.quantisation.scheme import (
    Rule,
    Scheme,
    Section,
    is_list,
    is_object,
    of_linear_layers,
)

_FP4_EXPERTS = "fp4"
"""``expert_dtype`` of DeepSeek V4: experts in MXFP4 beside linear layers in FP8."""


def fp8(section: Section, model: Mapping[str, object]) -> Scheme | None:
    """FP8, in blocks or not: ``modules_to_not_convert`` or ``ignored_layers`` stay, as do embeddings and output head.

    Models of DeepSeek's fourth generation hold their experts in FP4 of a kind that the fields of the model tell.
    """
    block = section.pair("weight_block_size")
    defaults: dict[ModuleKind, Format] = dict(of_linear_layers(formats.fp8(block)))
    experts = _expert_format(section, model)
    if experts is not None:
        defaults["routed_experts"] = experts
    return Scheme(
        method="fp8" if experts is None else "fp8-fp4-experts",
        defaults=defaults,
        rules=_left(section, "ignored_layers", "modules_to_not_convert"),
    )


def _expert_format(section: Section, model: Mapping[str, object]) -> Format | None:
    algorithm = section.text("moe_quant_algo").upper()
    if algorithm:
        if algorithm != "NVFP4":
            section.fault("moe_quant_algo", f"{algorithm!r} is unknown: NVFP4 is read")
            return None
        return formats.nvfp4(section.integer("group_size", default=formats.NVFP4_GROUP) or formats.NVFP4_GROUP)
    return formats.mxfp4() if model.get("expert_dtype") == _FP4_EXPERTS else None


def mxfp8(section: Section) -> Scheme | None:
    """MXFP8, as MiniMax publishes it."""
    return Scheme(
        method="mxfp8",
        defaults=of_linear_layers(formats.mxfp8()),
        rules=_left(section, "ignored_layers", "modules_to_not_convert", "ignore"),
    )


def fbgemm_fp8(section: Section) -> Scheme | None:
    """FP8 by channel, as FBGEMM writes it."""
    return Scheme(
        method="fbgemm_fp8",
        defaults=of_linear_layers(formats.fp8()),
        rules=_left(section, "modules_to_not_convert"),
    )


def channel_fp8(section: Section) -> Scheme | None:
    """FP8 by channel, as SGLang's ``w8a8_fp8`` reads it."""
    return Scheme(
        method="w8a8_fp8",
        defaults=of_linear_layers(formats.fp8()),
        rules=_left(section, "modules_to_not_convert", "ignored_layers"),
    )


def mxfp4(section: Section) -> Scheme | None:
    """MXFP4 as gpt-oss is published: engines have it for routed experts alone."""
    return Scheme(
        method="mxfp4",
        defaults={"routed_experts": formats.mxfp4()},
        rules=_left(section, "modules_to_not_convert"),
    )


def fp_quant(section: Section) -> Scheme | None:
    """FP-Quant: MXFP4 or NVFP4 by ``forward_dtype``."""
    kinds = {"mxfp4": formats.mxfp4(), "nvfp4": formats.nvfp4()}
    stored = kinds.get(section.text("forward_dtype") or "mxfp4")
    if stored is None:
        section.fault("forward_dtype", f"{section.text('forward_dtype')!r} is unknown: mxfp4 and nvfp4 are read")
        return None
    return Scheme(method="fp_quant", defaults=of_linear_layers(stored), rules=_left(section, "modules_to_not_convert"))


def quark(section: Section) -> Scheme | None:
    """AMD Quark: one format for all, others by glob, what ``exclude`` names in 16 bit."""
    stored = _quark_format(section.section("global_quant_config"))
    layers = section.section("layer_quant_config")
    cache_names = section.section("export").patterns("kv_cache_group")
    rules = list(_left(section, "exclude"))
    cache: CheckpointCache | None = None
    for name in layers.fields:
        own = layers.section(name)
        if name in cache_names and _dtype(own.fields.get("output_tensors")) == "fp8_e4m3":
            cache = CheckpointCache(precision="fp8", method="quark")
        if own.fields.get("weight") is not None:
            rules.append(Rule(field="layer_quant_config", patterns=(name,), stored=_quark_format(own)))
        elif name not in cache_names:
            rules.append(Rule(field="layer_quant_config", patterns=(name,), stored=None))
    if stored is None and not rules:
        return None
    defaults = {} if stored is None else of_linear_layers(stored, output_head=True)
    return Scheme(method="quark", defaults=defaults, rules=tuple(rules), cache=cache)


def _dtype(value: object) -> str:
    inner = value[0] if is_list(value) and value else value
    return str(inner.get("dtype", "")) if is_object(inner) else ""


def _quark_format(section: Section) -> Format | None:
    value = section.fields.get("weight")
    levels = [level for level in (value if is_list(value) else [value]) if is_object(level)]
    if not levels:
        return None
    widths = {str(level.get("dtype")) for level in levels}
    weight = next((level for level in levels if str(level.get("dtype")) in ("fp4", "int4")), levels[0])
    group = weight.get("group_size")
    size = group if isinstance(group, int) and group > 0 else -1
    kind = str(weight.get("dtype"))
    if kind == "fp4":
        return formats.nvfp4(size) if size == formats.NVFP4_GROUP else formats.mxfp4()
    if kind in ("int4", "uint4"):
        return formats.integers(4, size, zero_points=kind == "uint4")
    if kind in ("int8", "uint8"):
        return formats.plain("int8")
    if kind in ("fp8_e4m3", "fp8_e5m2"):
        return formats.fp8()
    section.fault("weight", f"the format {', '.join(sorted(widths))!r} is unknown")
    return None


_TORCHAO: Mapping[str, Format] = {
    "Int8WeightOnlyConfig": formats.plain("int8"),
    "Int8DynamicActivationInt8WeightConfig": formats.plain("int8"),
    "Float8WeightOnlyConfig": formats.fp8(),
    "Float8DynamicActivationFloat8WeightConfig": formats.fp8(),
    "Float8StaticActivationFloat8WeightConfig": formats.fp8(),
    "NVFP4WeightOnlyConfig": formats.nvfp4(),
    "NVFP4DynamicActivationNVFP4WeightConfig": formats.nvfp4(),
    "int8_weight_only": formats.plain("int8"),
    "int8_dynamic_activation_int8_weight": formats.plain("int8"),
    "float8_weight_only": formats.fp8(),
    "float8_dynamic_activation_float8_weight": formats.fp8(),
}
"""Configurations of torchao whose format has no settings."""
_TORCHAO_GROUPED = ("Int4", "int4", "Intx", "Int8DynamicActivationInt4", "Int8DynamicActivationIntx", "UIntx")
"""Those of integers with a group size, by their beginning."""
_TORCHAO_BY_NAME = ("ModuleFqnToConfig", "FqnToConfig")


def torchao(section: Section) -> Scheme | None:
    """torchao: one configuration for all linear layers, or one for each module by name."""
    kinds = section.section("quant_type")
    default = kinds.section("default") if kinds.fields else section
    name = default.text("_type", "quant_type")
    rules = list(_left(section, "modules_to_not_convert"))
    if name not in _TORCHAO_BY_NAME:
        stored = _torchao_format(default, name)
        defaults = {} if stored is None else of_linear_layers(stored)
        return Scheme(method="torchao", defaults=defaults, rules=tuple(rules))
    data = default.section("_data")
    modules = data.section("module_fqn_to_config" if "module_fqn_to_config" in data.fields else "fqn_to_config")
    by_default: Format | None = None
    for module in modules.fields:
        own = modules.section(module) if modules.fields[module] is not None else Section({}, modules.path)
        stored = _torchao_format(own, own.text("_type")) if own.fields else None
        if module == "_default":
            by_default = stored
        else:
            rules.append(Rule(field="quant_type", patterns=(module,), stored=stored))
    return Scheme(
        method="torchao",
        defaults={} if by_default is None else of_linear_layers(by_default),
        rules=tuple(rules),
    )


def _torchao_format(section: Section, name: str) -> Format | None:
    if name in _TORCHAO:
        return _TORCHAO[name]
    if name.startswith(_TORCHAO_GROUPED):
        data = section.section("_data") if "_data" in section.fields else section.section("quant_type_kwargs")
        granularity = data.section("granularity").section("_data") if "granularity" in data.fields else data
        group = data.integer("group_size") or granularity.integer("group_size") or 128
        kind = data.fields.get("weight_dtype")
        width = str(kind.get("_data", "")) if is_object(kind) else ("int8" if "IntxWeight" in name else "int4")
        bits = int("".join(mark for mark in width if mark.isdigit()) or 4)
        return formats.integers(min(8, max(2, bits)), group, zero_points=False)
    section.fault("quant_type", f"the configuration {name or 'without a name'!r} of torchao is unknown")
    return None


def _left(section: Section, *names: str) -> tuple[Rule, ...]:
    for name in names:
        patterns = section.patterns(name)
        if patterns:
            return (Rule(field=name, patterns=patterns, stored=None),)
    return ()
