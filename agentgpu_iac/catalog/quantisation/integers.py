"""Methods that store integers: AWQ, GPTQ, AutoRound, bitsandbytes, HQQ and others of their kind."""

from __future__ import annotations

from agentgpu_iac.catalog.quantisation import formats
from agentgpu_iac.catalog.quantisation.formats import Format
from agentgpu_iac.catalog.quantisation.patterns import EXPRESSION
from agentgpu_iac.catalog.quantisation.scheme import Rule, Scheme, Section, of_linear_layers

_BITS = range(2, 9)
_USUAL_GROUP = 128
_REGEX_MARKS = frozenset(r"*+?^$()[]{}|\\")
"""What makes a key of AutoRound's ``extra_config`` an expression."""
_AUTO_ROUND_16_BIT = 16


def awq(section: Section) -> Scheme | None:
    """AWQ: integers with a zero point for each group; ``modules_to_not_convert`` stays in 16 bit."""
    stored = _integers(section, zero_points=section.flag("zero_point", default=True))
    if stored is None:
        return None
    return Scheme(
        method="awq",
        defaults=of_linear_layers(stored, output_head=section.flag("lm_head", default=False)),
        rules=_left(section, "modules_to_not_convert"),
    )


def gptq(section: Section) -> Scheme | None:
    """GPTQ: symmetric integers, whose zero points engines drop; ``dynamic`` gives modules settings of their own."""
    stored = _integers(section, zero_points=not section.flag("sym", default=True))
    if stored is None:
        return None
    rules: list[Rule] = []
    dynamic = section.section("dynamic")
    for key, value in dynamic.fields.items():
        expression = f"{EXPRESSION}{key.removeprefix('+:').removeprefix('-:')}"
        own = dynamic.section(key)
        if key.startswith("-:") or value is None:
            rules.append(Rule(field="dynamic", patterns=(expression,), stored=None))
        elif own.fields:
            merged = Section({**section.fields, **own.fields}, own.path, section.faults)
            mixed = _integers(merged, zero_points=not merged.flag("sym", default=True))
            rules.append(Rule(field="dynamic", patterns=(expression,), stored=mixed))
    defaults = of_linear_layers(stored, output_head=section.flag("lm_head", default=False))
    only = section.patterns("modules_in_block_to_quantize")
    if only:
        rules.append(Rule(field="modules_in_block_to_quantize", patterns=only, stored=stored))
        defaults = {}
    return Scheme(method="gptq", defaults=defaults, rules=(*rules, *_left(section, "modules_to_not_convert")))


def auto_round(section: Section) -> Scheme | None:
    """AutoRound: integers or microscaled floats, by block, with settings of their own in ``extra_config``."""
    stored = _auto_round_format(section)
    if stored is None:
        return None
    rules: list[Rule] = []
    extra = section.section("extra_config")
    for key in extra.fields:
        own = Section({**section.fields, **extra.section(key).fields}, f"{extra.path}.{key}", section.faults)
        bits = own.integer("bits", default=_AUTO_ROUND_16_BIT) or _AUTO_ROUND_16_BIT
        pattern = f"{EXPRESSION}.*(?:{key})" if set(key) & _REGEX_MARKS else key
        kept = bits >= _AUTO_ROUND_16_BIT
        rules.append(Rule(field="extra_config", patterns=(pattern,), stored=None if kept else _auto_round_format(own)))
    defaults = of_linear_layers(stored)
    blocks = section.patterns("block_name_to_quantize", "to_quant_block_names")
    if blocks:
        rules.append(Rule(field="block_name_to_quantize", patterns=blocks, stored=stored))
        defaults = {}
    return Scheme(method="auto-round", defaults=defaults, rules=tuple(rules))


def _auto_round_format(section: Section) -> Format | None:
    kind = section.text("data_type") or "int"
    bits = section.integer("bits")
    if kind.startswith("int"):
        return _integers(section, zero_points=not section.flag("sym", default=True))
    floats = {("mx_fp", 4): formats.mxfp4(), ("mx_fp", 8): formats.mxfp8(), ("nv_fp", 4): formats.nvfp4()}
    found = next((stored for (name, width), stored in floats.items() if kind.startswith(name) and width == bits), None)
    if found is None and kind.startswith("fp") and bits == 8:
        return formats.fp8(section.pair("group_size"))
    if found is None:
        section.fault("data_type", f"{kind!r} of {bits} bits is unknown")
    return found


def bitsandbytes(section: Section) -> Scheme | None:
    """bitsandbytes: 4-bit floats with a scale for 64 weights, or 8-bit integers; ``llm_int8_skip_modules`` stays."""
    four = section.flag("load_in_4bit", "_load_in_4bit", default=False)
    eight = section.flag("load_in_8bit", "_load_in_8bit", default=False)
    if four == eight:
        section.fault("load_in_4bit", f"contradicts load_in_8bit: both are {str(four).lower()}")
        return None
    nested = section.flag("bnb_4bit_use_double_quant", default=False)
    stored = formats.normal_float(nested=nested) if four else formats.plain("int8")
    return Scheme(
        method="bitsandbytes",
        defaults=of_linear_layers(stored),
        rules=_left(section, "llm_int8_skip_modules"),
    )


def hqq(section: Section) -> Scheme | None:
    """HQQ: integers with a scale and a zero point in 16 bit each; ``skip_modules`` stays in 16 bit."""
    weights = section.section("quant_config").section("weight_quant_params")
    inner = weights if weights.fields else section
    bits, group = inner.integer("nbits", "bits"), inner.integer("group_size", default=64)
    if bits is None or bits not in _BITS or not group or group < 1:
        inner.fault("nbits", "needs a number of bits of 2 to 8, and a positive group_size")
        return None
    return Scheme(
        method="hqq",
        defaults=of_linear_layers(formats.half_quadratic(bits, group)),
        rules=_left(section, "skip_modules", "modules_to_not_convert"),
    )


def int8(section: Section) -> Scheme | None:
    """INT8 by channel or by block, as SGLang's ``w8a8_int8`` and ``blockwise_int8`` read it."""
    return Scheme(
        method=section.text("quant_method"),
        defaults=of_linear_layers(formats.plain("int8")),
        rules=_left(section, "modules_to_not_convert", "ignored_layers", "ignore"),
    )


def w4afp8(section: Section) -> Scheme | None:
    """Experts in INT4, the other linear layers in FP8, as SGLang reads it."""
    group = section.integer("group_size", default=_USUAL_GROUP) or _USUAL_GROUP
    experts = formats.integers(4, group, zero_points=False)
    defaults = {**of_linear_layers(formats.fp8(section.pair("weight_block_size"))), "routed_experts": experts}
    return Scheme(method="w4afp8", defaults=defaults, rules=_left(section, "ignored_layers", "modules_to_not_convert"))


def _integers(section: Section, *, zero_points: bool) -> Format | None:
    bits = section.integer("bits", "w_bit")
    group = section.integer("group_size", "q_group_size", default=_USUAL_GROUP)
    if bits is None or bits not in _BITS:
        section.fault("bits", "is missing" if bits is None else f"is {bits}: integers of 2 to 8 bits are read")
        return None
    if group is None or group == 0 or group < -1:
        section.fault("group_size", f"is {group}: a positive number of weights, or -1 for a whole row")
        return None
    return formats.integers(bits, group, zero_points=zero_points)


def _left(section: Section, *names: str) -> tuple[Rule, ...]:
    patterns = section.patterns(*names)
    name = next((name for name in names if section.fields.get(name)), names[0])
    return (Rule(field=name, patterns=patterns, stored=None),) if patterns else ()
