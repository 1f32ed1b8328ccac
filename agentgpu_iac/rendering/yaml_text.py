"""YAML as text: one scalar for a template, one document read back, one document printed.

Manifests are read by YAML 1.1 and YAML 1.2 parsers alike, and those disagree on ``on``, ``1e3``, ``0o10`` and more.
So a string that any of them could take for something else is always quoted.
"""

from __future__ import annotations

import re
from collections.abc import Hashable
from functools import lru_cache
from typing import TypeAlias, cast

import yaml

Value: TypeAlias = "str | int | float | bool | list[Value] | dict[str, Value] | None"
Mapping: TypeAlias = "dict[str, Value]"

_UNPRINTABLE = re.compile(r"[^ -~]")
"""Characters that a double-quoted scalar must escape beside quote and backslash: all but printable ASCII."""

_SURROGATE = re.compile("[\ud800-\udfff]")

_AMBIGUOUS = re.compile(
    r"""(?ix:
      y|n|yes|no|on|off|true|false|null|~          # truth and nothing, in either version
    | [-+]?\.?[0-9][0-9a-f_,.:exot+-]*             # numbers in any base, 1:30 (base 60), 1e3, dates
    | [-+]?\.(?:inf|nan)
    | [-=<]|<<
    )"""
)
"""Strings that some parser reads as something else when they stand unquoted."""

_SHORT = 100
"""Characters of a text that may come many times."""
_NO_FOLDING = 2**30
"""Line width at which nothing is ever broken into two lines."""


def scalar(value: str | int | float | bool) -> str:
    """Print one value so that every YAML parser reads the same value back. This is the templates' ``yaml`` filter.

    Raises TypeError for what is no scalar (None among it), ValueError for what YAML cannot carry.
    """
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            return _quoted(value)
        case int():
            return str(value)
        case float():
            return _decimal(value)
        case _:
            raise TypeError(f"not a YAML scalar: {value!r}")


def load(text: str) -> Value:
    """Read one document. Raises yaml.YAMLError, also where a mapping names a key twice."""
    return cast(Value, yaml.load(text, Loader=_Loader))  # noqa: S506 - a safe loader


def dump(value: Value) -> bytes:
    """Print one document: block style, keys in the order given, no aliases, long lines unbroken."""
    text: str = yaml.dump(
        value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, default_flow_style=False, width=_NO_FOLDING
    )
    return text.encode()


def _quoted(text: str) -> str:
    if _SURROGATE.search(text):
        raise ValueError(f"not Unicode text (a lone surrogate): {text!r}")
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\x0a")
    return f'"{_UNPRINTABLE.sub(_escaped, escaped)}"'


def _escaped(match: re.Match[str]) -> str:
    code = ord(match[0])
    if code <= 0xFF:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"


def _decimal(number: float) -> str:
    """A float as YAML 1.1 wants it: with a point in the mantissa, or it would be text."""
    text = repr(number)
    if text in ("inf", "-inf", "nan"):
        raise ValueError(f"not a finite number: {text}")
    mantissa, exponent, power = text.partition("e")
    return text if "." in mantissa else f"{mantissa}.0{exponent}{power}"


class _Loader(yaml.CSafeLoader):
    """The C loader, which also refuses a key that stands twice in one mapping."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, object]:
        made: dict[Hashable, object] = super().construct_mapping(node, deep)
        if len(made) != len(node.value):
            raise yaml.constructor.ConstructorError(None, None, "a key stands twice in one mapping", node.start_mark)
        return made


class Dumper(yaml.CSafeDumper):
    """The C dumper without aliases, for whoever writes YAML: what a text would be read as unquoted is known here alone."""

    def ignore_aliases(self, data: object) -> bool:
        """What comes twice is written twice."""
        del data
        return True

    def resolve(self, kind: type[yaml.Node], value: str, implicit: tuple[bool, bool]) -> str:
        """What a scalar would be read as unquoted: of each short text once, since most come many times."""
        if kind is yaml.ScalarNode and len(value) <= _SHORT:
            return _resolved(value, implicit)
        return str(super().resolve(kind, value, implicit))  # type: ignore[no-untyped-call]


@lru_cache(maxsize=16384)
def _resolved(value: str, implicit: tuple[bool, bool]) -> str:
    resolver = yaml.resolver.Resolver()
    return str(resolver.resolve(yaml.ScalarNode, value, implicit))  # type: ignore[no-untyped-call]


class _Dumper(Dumper):
    """The dumper of manifests."""


def _represented(dumper: _Dumper, text: str) -> yaml.ScalarNode:
    style = "|" if "\n" in text else "'" if _AMBIGUOUS.fullmatch(text) else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _represented)
