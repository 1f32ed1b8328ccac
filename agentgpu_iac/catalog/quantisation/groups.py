"""compressed-tensors and NVIDIA's ModelOpt: formats by groups of modules, what is left out, and the cache's format."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from agentgpu_iac.catalog.model.modules import CacheMethod, CheckpointCache
from agentgpu_iac.catalog.quantisation import formats
from agentgpu_iac.catalog.quantisation.formats import Format
from agentgpu_iac.catalog.quantisation.patterns import as_first_expert
from agentgpu_iac.catalog.quantisation.scheme import (
    Rule,
    Scheme,
    Section,
    is_list,
    is_object,
    of_linear_layers,
)

_LINEAR_CLASSES: Final = ("Linear",)
_EXPERT_CLASSES: Final = ("RoutedExperts", "FusedMoE")
_HEAD_CLASSES: Final = ("ParallelLMHead",)
_EMBEDDING_CLASSES: Final = ("Embedding", "VocabParallelEmbedding")
_SPARSE_BITS: Final = (2 * 4 + 2 * 2) / 4
"""2:4 sparse INT4: of four weights two are kept, in 4 bit, each with its place in 2 bit."""

_FORMATS: Final[Mapping[str, tuple[str, tuple[int, ...]]]] = {
    "pack-quantized": ("int", tuple(range(2, 9))),
    "marlin-24": ("int", (4, 8)),
    "int-quantized": ("int", (8,)),
    "float-quantized": ("float", (8,)),
    "nvfp4-pack-quantized": ("float", (4,)),
    "mxfp4-pack-quantized": ("float", (4,)),
    "mxfp8-quantized": ("float", (8,)),
}
"""What each format of compressed-tensors may hold: the type, and the bits."""
_ANY_FORMAT: Final = ("", "naive-quantized", "mixed-precision", "dense")


def compressed_tensors(section: Section) -> Scheme | None:
    """compressed-tensors, all formats: each group of modules by name, expression or class, less what ``ignore`` names."""
    groups = section.section("config_groups")
    ignore = section.patterns("ignore")
    rules = [Rule(field="ignore", patterns=ignore, stored=None)] if ignore else []
    defaults: dict[str, Format] = {}
    for name in groups.fields:
        group = groups.section(name)
        targets = group.patterns("targets")
        stored = _weights(group, section.text("format"))
        if stored is None:
            continue
        if not targets:
            group.fault("targets", "is missing: nothing says which modules the group is of")
        classes = tuple(target for target in targets if _is_class(target))
        named = tuple(target for target in targets if not _is_class(target))
        if named:
            rules.append(Rule(field="config_groups", patterns=named, stored=stored))
        for kinds, members in _CLASSES.items():
            if set(classes) & set(kinds):
                defaults.update(dict.fromkeys(members, stored))
    if not groups.fields:
        section.fault("config_groups", "is missing: nothing says what is quantised")
        return None
    is_sparse = section.text("format") == "marlin-24" or bool(section.section("sparsity_config").patterns("targets"))
    return Scheme(
        method="compressed-tensors-24" if is_sparse else "compressed-tensors",
        defaults=defaults,  # type: ignore[arg-type]
        rules=tuple(rules),
        cache=_cache(section, "compressed-tensors"),
    )


_CLASSES: Final[Mapping[tuple[str, ...], tuple[str, ...]]] = {
    _LINEAR_CLASSES: (*of_linear_layers(formats.BF16, output_head=True),),
    _EXPERT_CLASSES: ("routed_experts",),
    _HEAD_CLASSES: ("output_head",),
    _EMBEDDING_CLASSES: ("embedding",),
}
"""Classes of modules, and the parts of a model that are built of them."""


def _is_class(target: str) -> bool:
    """Whether a target is the name of a class: one word that begins with a capital."""
    return target[:1].isupper() and target.isalnum()


def _weights(group: Section, outer_format: str) -> Format | None:
    """The format of a group's weights; None where the group is about activations alone."""
    if group.fields.get("weights") is None:
        return None
    weights = group.section("weights")
    bits, kind = weights.integer("num_bits"), weights.text("type") or "int"
    name = group.text("format") or outer_format
    if name not in _FORMATS and name not in _ANY_FORMAT:
        group.fault("format", f"{name!r} is unknown: {', '.join(sorted(_FORMATS))} are read")
        return None
    if name in _FORMATS and (kind, bits) not in [(_FORMATS[name][0], width) for width in _FORMATS[name][1]]:
        weights.fault("num_bits", f"contradicts the format {name!r}: it does not hold the type {kind!r} of {bits} bits")
        return None
    return _format(weights, kind, bits, name)


def _format(weights: Section, kind: str, bits: int | None, name: str) -> Format | None:
    if kind == "int" and bits in range(2, 9):
        return _integers(weights, bits or 0, name)
    group = weights.integer("group_size", default=-1)
    if kind == "float" and bits == 8:
        is_microscaled = name == "mxfp8-quantized" or group == formats.MICROSCALE_GROUP
        return formats.mxfp8() if is_microscaled else _fp8(weights)
    if kind == "float" and bits == 4:
        if name == "mxfp4-pack-quantized" or (name in _ANY_FORMAT and group == formats.MICROSCALE_GROUP):
            return formats.mxfp4()
        if group in (-1, formats.NVFP4_GROUP):
            return formats.nvfp4()
        weights.fault("group_size", f"is {group}: floats of 4 bits come in groups of 16 (NVFP4) or 32 (MXFP4)")
        return None
    weights.fault("num_bits", f"the type {kind!r} of {bits} bits is unknown")
    return None


def _integers(weights: Section, bits: int, name: str) -> Format | None:
    size = weights.integer("group_size", default=-1)
    if size is None or size == 0 or size < -1:
        weights.fault("group_size", f"is {size}: a positive number of weights, or -1 for a whole row")
        return None
    stored = formats.integers(bits, size, zero_points=not weights.flag("symmetric", default=True))
    if name == "marlin-24":
        return replace(stored, bits=_SPARSE_BITS + stored.bits - bits)
    return stored


def _fp8(weights: Section) -> Format:
    return formats.fp8(weights.pair("block_structure") if is_list(weights.fields.get("block_structure")) else None)


_ALGORITHMS: Final[Mapping[str, tuple[str, Format]]] = {
    "FP8": ("modelopt", formats.fp8()),
    "FP8_PER_CHANNEL_PER_TOKEN": ("modelopt", formats.fp8()),
    "FP8_PB_WO": ("modelopt", formats.fp8((128, 128))),
    "FP8_BLOCK_SCALES": ("modelopt", formats.fp8((128, 128))),
    "NVFP4": ("modelopt-nvfp4", formats.nvfp4()),
    "NVFP4_AWQ": ("modelopt-nvfp4", formats.nvfp4()),
    "W4A16_NVFP4": ("modelopt-nvfp4", formats.nvfp4()),
    "MXFP4": ("modelopt-integers", formats.mxfp4()),
    "MXFP8": ("modelopt-mxfp8", formats.mxfp8()),
    "W4A16_AWQ": ("modelopt-integers", formats.integers(4, 128, zero_points=False)),
    "W4A8_AWQ": ("modelopt-integers", formats.integers(4, 128, zero_points=False)),
    "W8A16": ("modelopt-integers", formats.plain("int8")),
    "W8A8_SQ_PER_CHANNEL": ("modelopt-integers", formats.plain("int8")),
    "INT8_SQ": ("modelopt-integers", formats.plain("int8")),
}
"""Algorithms of ModelOpt: what an engine must know, and how weights are stored. Those with integers are TensorRT-LLM's."""
_MIXED: Final = "MIXED_PRECISION"


def modelopt(section: Section) -> Scheme | None:
    """ModelOpt: one algorithm for all linear layers and the output head, or one by module under MIXED_PRECISION."""
    inner = section.section("quantization") if is_object(section.fields.get("quantization")) else section
    algorithm = inner.text("quant_algo").upper()
    excluded = inner.patterns("ignore", "exclude_modules")
    field = "ignore" if inner.fields.get("ignore") else "exclude_modules"
    rules = [Rule(field=field, patterns=excluded, stored=None)] if excluded else []
    cache = _cache(inner, "modelopt")
    if algorithm == _MIXED:
        return _mixed(inner, rules, cache)
    if not algorithm:
        inner.fault("quant_algo", "is missing")
        return None
    stored = _algorithm(inner, algorithm)
    if stored is None:
        return None
    method, form = stored
    _refuse_other_bits(inner, algorithm, form)
    return Scheme(method=method, defaults=of_linear_layers(form, output_head=True), rules=tuple(rules), cache=cache)


def _algorithm(section: Section, name: str) -> tuple[str, Format] | None:
    found = _ALGORITHMS.get(name.upper())
    if found is None:
        section.fault("quant_algo", f"{name!r} is unknown: {', '.join((*_ALGORITHMS, _MIXED))} are read")
        return None
    method, form = found
    group = section.integer("group_size")
    if group is not None and group > 0 and form.precision == "nvfp4":
        form = formats.nvfp4(group)
    elif group is not None and group > 0 and form.precision == "int4":
        form = formats.integers(4, group, zero_points=False)
    return method, form


def _refuse_other_bits(section: Section, algorithm: str, form: Format) -> None:
    """A fault where ``config_groups`` beside an algorithm has weights of another width."""
    for name, group in section.section("config_groups").fields.items():
        weights = group.get("weights") if is_object(group) else None
        bits = weights.get("num_bits") if is_object(weights) else None
        if isinstance(bits, int) and bits != int(form.bits):
            section.fault(f"config_groups.{name}.weights.num_bits", f"is {bits}, and quant_algo is {algorithm}")


def _mixed(section: Section, rules: list[Rule], cache: CheckpointCache | None) -> Scheme | None:
    layers = section.section("quantized_layers")
    by_format: dict[Format, list[str]] = {}
    for name, value in layers.fields.items():
        if name != (first := as_first_expert(name)) and layers.fields.get(first) == value:
            continue
        own = layers.section(name)
        found = _algorithm(own, own.text("quant_algo"))
        if found is None:
            return None
        by_format.setdefault(found[1], []).append(name)
    if not by_format:
        return _mixed_groups(section, rules, cache)
    named = [Rule(field="quantized_layers", patterns=tuple(names), stored=form) for form, names in by_format.items()]
    return Scheme(method="modelopt-mixed", defaults={}, rules=(*rules, *named), cache=cache)


def _mixed_groups(section: Section, rules: list[Rule], cache: CheckpointCache | None) -> Scheme | None:
    """Mixed precision that names its modules in ``config_groups`` alone."""
    if not section.section("config_groups").fields:
        section.fault("quantized_layers", "is missing or empty: MIXED_PRECISION needs an algorithm for each module")
        return None
    scheme = compressed_tensors(section)
    if scheme is None:
        return None
    return replace(scheme, method="modelopt-mixed", rules=(*rules, *scheme.rules), cache=cache)


def _cache(section: Section, method: CacheMethod) -> CheckpointCache | None:
    """The cache's format: 8-bit floats, or NVFP4; a fault where it is another."""
    for name in ("kv_cache_scheme", "kv_cache_quant_algo"):
        value = section.fields.get(name)
        if value is None:
            continue
        if is_object(value):
            kind, bits = value.get("type"), value.get("num_bits")
            if kind == "float" and bits == 8:
                return CheckpointCache(precision="fp8", method=method)
            if kind == "float" and bits == 4:
                return CheckpointCache(precision="nvfp4", method=method)
            section.fault(name, f"asks for a cache of the type {kind!r} in {bits} bits: floats of 8 or 4 bits are read")
            return None
        words = {"FP8": "fp8", "NVFP4": "nvfp4", "NONE": None, "AUTO": None, "": None}
        word = str(value).upper()
        if word not in words:
            section.fault(name, f"{value!r} is unknown: FP8 and NVFP4 are read")
            return None
        precision = words[word]
        if precision is not None:
            return CheckpointCache(precision="fp8" if precision == "fp8" else "nvfp4", method=method)
    return None
