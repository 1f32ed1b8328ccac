"""Which matrices a pattern of a quantisation names.

Engines and tools write patterns in four ways: a name or a part of one (``lm_head``, ``mlp.gate``), a glob
(``model.layers.0*``), a regular expression (``re:.*self_attn.*``) and, for AutoGPTQ, an expression without its mark. A
part of a name counts from dot to dot: ``mlp.gate`` is the router, and not ``mlp.gate_proj``.
"""

from __future__ import annotations

import fnmatch
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from agentgpu_iac.catalog.quantisation.linears import DRAFT, NOT_COUNTED, OUTPUT_HEAD, TOWERS, Linear
from agentgpu_iac.units import counted

EXPRESSION = "re:"
"""What a regular expression begins with."""

_PREFIXES = ("model.language_model.", "language_model.model.", "model.", "", "backbone.", "language_model.")
"""What stands before the names of the text model."""
_PREFIX = re.compile(
    r"^(?:model\.language_model\.|language_model\.model\.|model\.text_model\.|language_model\.|text_model\.|model\.|"
    r"backbone\.|transformer\.|module\.)+"
)
_LONGEST = 1_000
"""Longest pattern that is read, in characters."""
_MOST_EXPRESSIONS = 300
"""Most globs and expressions that are read of one list; names may be as many as a model has matrices."""
_BROAD_REPETITION = re.compile(r"(?:\.|\\[wWSD]|\])[*+]")
"""A repetition of almost anything."""
_MOST_BROAD_REPETITIONS = 4
"""With more of them in one expression the time to tell that a name does not fit grows beyond bounds."""
_NESTED_REPETITION = re.compile(r"[+*}]\)?[^|()]*\)[+*{]")
"""A repetition of what itself repeats: such an expression may take for ever."""
_LAYERS = "layers"
_LONGEST_NUMBER = 9
_LAYER = re.compile(r"\blayers\.(\d{1,8})\b")
_EXPERT = re.compile(r"\.experts\.(\d+)\.")


class PatternError(Exception):
    """A pattern that cannot be read. The message says which and why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Names:
    """The matrices of a model by every part of their names, less the number of the layer."""

    linears: tuple[Linear, ...]
    alike: tuple[tuple[int, ...], ...]
    """Matrices whose names differ by the number of the layer alone."""
    by_part: Mapping[str, frozenset[int]]
    """Each run of whole words of their names, and which of ``alike`` have it."""
    layers: int
    """How many layers there are."""

    @classmethod
    def of(cls, linears: Sequence[Linear]) -> Names:
        """Make the index."""
        alike: defaultdict[tuple[bool, tuple[str, ...]], list[int]] = defaultdict(list)
        for index, linear in enumerate(linears):
            start = f"{_LAYERS}.{linear.layer}."
            names = tuple(name.removeprefix(start) for name in linear.names)
            alike[linear.layer is not None, names].append(index)
        found: defaultdict[str, set[int]] = defaultdict(set)
        for number, (_, names) in enumerate(alike):
            for words in (name.split(".") for name in names):
                for start_at in range(len(words)):
                    for end in range(start_at + 1, len(words) + 1):
                        found[".".join(words[start_at:end])].add(number)
        return cls(
            linears=tuple(linears),
            alike=tuple(map(tuple, alike.values())),
            by_part={part: frozenset(which) for part, which in found.items()},
            layers=len({linear.layer for linear in linears} - {None}),
        )

    def named(self, literal: str, *, is_beginning: bool = False) -> frozenset[int]:
        """The matrices that have a run of words in their name; the last word may be the beginning of one."""
        words = literal.split(".")
        if words[0] != _LAYERS:
            return self._members(self._with(literal, is_beginning=is_beginning), None)
        if len(words) > 1 and not (words[1].isdecimal() and len(words[1]) <= _LONGEST_NUMBER):
            return frozenset()
        layer = int(words[1]) if len(words) > 1 else None
        inside = frozenset(
            number for number, members in enumerate(self.alike) if self.linears[members[0]].layer is not None
        )
        rest = ".".join(words[2:])
        return self._members(self._with(rest, is_beginning=is_beginning) & inside if rest else inside, layer)

    def _with(self, part: str, *, is_beginning: bool) -> frozenset[int]:
        """Which of ``alike`` have a run of words in their names."""
        if part in self.by_part or not is_beginning:
            return self.by_part.get(part, frozenset())
        return frozenset(number for known, found in self.by_part.items() if known.startswith(part) for number in found)

    def _members(self, alike: Iterable[int], layer: int | None) -> frozenset[int]:
        members = (index for number in alike for index in self.alike[number])
        return frozenset(index for index in members if layer is None or self.linears[index].layer == layer)


def matches(patterns: Iterable[str], names: Names) -> Mapping[str, frozenset[int]]:
    """For each pattern the matrices that it names, by their number; empty where it names none.

    Raises:
        PatternError: one is no pattern, or there are too many.
    """
    found: dict[str, frozenset[int]] = {}
    expressions = 0
    for pattern in dict.fromkeys(patterns):
        if len(pattern) > _LONGEST:
            raise PatternError(
                f"holds a pattern of {counted(len(pattern), 'character')}: none is longer than {_LONGEST:,}"
            )
        literal = _literal(pattern)
        if literal is not None:
            found[pattern] = names.named(literal, is_beginning=pattern.endswith("*") and not pattern.endswith(".*"))
            continue
        expressions += 1
        if expressions > _MOST_EXPRESSIONS:
            raise PatternError(f"holds more than {_MOST_EXPRESSIONS:,} globs and expressions")
        by = _by_expression if pattern.startswith(EXPRESSION) else _by_glob
        found[pattern] = by(pattern, names)
    return found


def says_nothing(pattern: str, layers: int) -> bool:
    """Whether a pattern names what is not counted, or not there: norms, towers, layers for speculation.

    Layers for speculation stand behind the ``layers`` of the model, or under a name of their own.
    """
    words = set(re.split(r"[^a-z0-9_]+", pattern.lower().removeprefix(EXPRESSION)))
    if words & {*NOT_COUNTED, *DRAFT, *TOWERS, *OUTPUT_HEAD, "language_model"} or any("norm" in word for word in words):
        return True
    layer = _LAYER.search(pattern)
    return layer is not None and int(layer[1]) >= layers


def as_first_expert(pattern: str) -> str:
    """The same pattern for the first expert, which stands for all of its layer; itself where it names none."""
    return _EXPERT.sub(".experts.0.", pattern)


def _literal(pattern: str) -> str | None:
    """The run of words that a pattern means, where it is no expression: a name, or a glob of a whole subtree."""
    if pattern.startswith(EXPRESSION):
        return None
    text = pattern.removeprefix("*.").strip(".")
    text = text.removesuffix(".*") if text.endswith(".*") else text.removesuffix("*")
    if not text or any(mark in text for mark in "*?[]()^$+|\\"):
        return None
    return _PREFIX.sub("", f"{text}.").strip(".") or None


def _by_glob(pattern: str, names: Names) -> frozenset[int]:
    """What a glob names: a name, whatever stands before it, and all that stands under it."""
    glob = _PREFIX.sub("", pattern)
    forms = (glob, f"{glob}.*", f"*.{glob}", f"*.{glob}.*")
    return _named(tuple(re.compile(fnmatch.translate(form)) for form in forms), ("",), names, by_layer=_tells(pattern))


def _by_expression(pattern: str, names: Names) -> frozenset[int]:
    text = pattern.removeprefix(EXPRESSION)
    if _NESTED_REPETITION.search(text) or len(_BROAD_REPETITION.findall(text)) > _MOST_BROAD_REPETITIONS:
        raise PatternError(f"{pattern!r} holds too many repetitions: it is not read, since it may take for ever")
    try:
        expression = re.compile(text)
    except (re.error, OverflowError, RecursionError) as error:
        raise PatternError(f"{pattern!r} is no regular expression: {error}") from error
    prefixes = ("model.",) if text.startswith(".*") else _PREFIXES
    return _named((expression,), prefixes, names, by_layer=_tells(pattern))


def _tells(pattern: str) -> bool:
    """Whether a pattern can tell one layer from another: it holds a digit."""
    return any(mark.isdigit() for mark in pattern)


def _named(
    expressions: Sequence[re.Pattern[str]], prefixes: Sequence[str], names: Names, *, by_layer: bool
) -> frozenset[int]:
    """The matrices with a name that fits; layers of one make are tried once where no expression tells them apart."""
    found: set[int] = set()
    for alike in names.alike:
        for group in ((index,) for index in alike) if by_layer else (alike,):
            tried = names.linears[group[0]].names
            if any(form.match(f"{prefix}{name}") for form in expressions for name in tried for prefix in prefixes):
                found.update(group)
    return frozenset(found)
