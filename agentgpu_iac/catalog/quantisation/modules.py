"""The parts of a model in the formats that its checkpoint stores them in, and what could not be told."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from agentgpu_iac.catalog.model.modules import Module, ModuleKind
from agentgpu_iac.catalog.quantisation.formats import BF16, Format
from agentgpu_iac.catalog.quantisation.linears import Linear
from agentgpu_iac.catalog.quantisation.patterns import Names, PatternError, as_first_expert, matches, says_nothing
from agentgpu_iac.catalog.quantisation.scheme import Scheme
from agentgpu_iac.spec.vocabulary import Precision
from agentgpu_iac.units import GIB, counted

_LAYER = re.compile(r"layers\.(\d+)")
_MOST_NAMED = 3
"""Patterns that a warning names; the others it counts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Quantised:
    """What came of a quantisation and a shape."""

    modules: tuple[Module, ...]
    native: Precision
    """The precision that most of the quantised weights have."""
    warnings: tuple[str, ...]


def quantised(
    scheme: Scheme, modules: Sequence[Module], linears: Sequence[Linear], faults: list[tuple[str, str]]
) -> Quantised:
    """Give each part of a model its formats: a part is split where its matrices have several.

    Args:
        scheme: What the files say.
        modules: The parts, counted from the shape.
        linears: The matrices that they are made of.
        faults: Where faults are noted: (path, message).
    """
    names = Names.of(linears)
    try:
        named = [(rule, matches(rule.patterns, names)) for rule in scheme.rules]
    except PatternError as error:
        faults.append(("quantization_config", str(error)))
        named = []
    stored: dict[int, Format] = {}
    for rule, found in named:
        for indices in found.values():
            for index in indices:
                stored.setdefault(index, rule.stored or BF16)
    by_part = _shares(scheme, linears, stored)
    _refuse_odd_groups(linears, scheme, stored, faults)
    split = tuple(part for module in modules for part in _split(module, by_part.get(module.kind), scheme))
    unmatched = [
        (rule.field, pattern)
        for rule, found in named
        for pattern, indices in found.items()
        if not indices
        and not says_nothing(pattern, names.layers)
        and as_first_expert(pattern) not in (found.keys() - {pattern})
    ]
    warnings = tuple(_warnings(unmatched, split, linears))
    return Quantised(modules=split, native=_native(split), warnings=warnings)


def _shares(
    scheme: Scheme, linears: Sequence[Linear], stored: Mapping[int, Format]
) -> Mapping[ModuleKind, Mapping[Format, int]]:
    """Parameters of each part by format, as far as its matrices are known."""
    shares: defaultdict[ModuleKind, defaultdict[Format, int]] = defaultdict(lambda: defaultdict(int))
    for index, linear in enumerate(linears):
        form = stored.get(index) or scheme.defaults.get(linear.kind, BF16)
        shares[linear.kind][form] += linear.parameters
    return shares


def _split(module: Module, shares: Mapping[Format, int] | None, scheme: Scheme) -> Iterator[Module]:
    """A part by format, each with its share of the parameters that were counted for the whole."""
    if not shares:
        yield _module(module, scheme.defaults.get(module.kind, BF16), module.parameters)
        return
    total, left = sum(shares.values()), module.parameters
    ordered = sorted(shares.items(), key=lambda share: (share[1], share[0].bits))
    for form, part in ordered[:-1]:
        share = module.parameters * part // total
        left -= share
        yield _module(module, form, share)
    yield _module(module, ordered[-1][0], left)


def _module(module: Module, form: Format, parameters: int) -> Module:
    return Module(kind=module.kind, parameters=parameters, precision=form.precision, bits=form.bits)


def _native(modules: Sequence[Module]) -> Precision:
    counts: defaultdict[Precision, int] = defaultdict(int)
    for module in modules:
        if (module.bits or BF16.bits) < BF16.bits and module.kind != "draft":
            counts[module.precision] += module.parameters
    return max(counts, key=lambda precision: counts[precision]) if counts else "bf16"


def _refuse_odd_groups(
    linears: Sequence[Linear], scheme: Scheme, stored: Mapping[int, Format], faults: list[tuple[str, str]]
) -> None:
    """A fault for each part with rows that the groups of its format do not divide."""
    odd: dict[tuple[str, int, int], None] = {}
    for index, linear in enumerate(linears):
        form = stored.get(index) or scheme.defaults.get(linear.kind, BF16)
        if form.group and linear.columns and linear.columns % form.group:
            odd[linear.names[0].rsplit(".", 1)[-1], linear.columns, form.group] = None
    for name, columns, group in odd:
        faults.append(
            (
                "quantization_config",
                f"groups of {group} weights do not divide the {counted(columns, 'input')} of {name}",
            )
        )


def _warnings(
    unmatched: Sequence[tuple[str, str]], modules: Sequence[Module], linears: Sequence[Linear]
) -> Iterator[str]:
    """A sentence for each field with patterns that name nothing that is known, with the bytes that they could move."""
    by_field: defaultdict[str, list[str]] = defaultdict(list)
    for field, pattern in unmatched:
        by_field[field].append(pattern)
    saved = sum(module.parameters * (BF16.bits - (module.bits or BF16.bits)) / 8 for module in modules)
    layers = len({linear.layer for linear in linears if linear.layer is not None}) or 1
    for field, patterns in by_field.items():
        touched = {int(found[1]) for pattern in patterns if (found := _LAYER.search(pattern))}
        is_bounded = all(_LAYER.search(pattern) for pattern in patterns)
        share = min(1.0, len(touched) / layers) if is_bounded else 1.0
        shown = ", ".join(repr(pattern) for pattern in patterns[:_MOST_NAMED])
        more = f" and {len(patterns) - _MOST_NAMED:,} more" if len(patterns) > _MOST_NAMED else ""
        yield (
            f"{field} of its quantisation names {shown}{more}, which is no part of this model that is known: up to "
            f"{saved * share / GIB:.1f} GiB of weights could be stored otherwise"
        )
