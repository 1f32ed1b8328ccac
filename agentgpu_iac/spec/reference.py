"""A document field by field, as a page for people: the same source as its JSON Schema, so neither can lag."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from agentgpu_iac.spec.model import MAX_COUNT
from agentgpu_iac.spec.schema import json_schema
from agentgpu_iac.spec.wording import NAME_KEYS, PATTERN_WORDS

_NAME_WORDS = "name (a-z, 0-9, hyphens; a letter first; 40 at most)"
_PAGE: Final = re.compile(r"\bdocs/([a-z-]+)\.md\b")
_KINDS = {"object": "labels", "boolean": "true or false", "integer": "whole number", "number": "number"}
_PREFACE = """\
# The agent stack: every field

Made by `make schema` from the models; what the demand means and how a file is read is told in [spec.md](spec.md).
"""


def reference_text() -> str:
    """The page of the agent stack, in Markdown."""
    return "\n".join((_PREFACE, *parts_text(json_schema(), "AgentStack")))


def parts_text(schema: Mapping[str, Any], root: str, *, has_defaults: bool = True) -> Iterator[str]:
    """One table for each part of the document ``root``, in the order in which a reader meets them.

    ``has_defaults``: whether readers write such documents, and so need to know what they may leave out.
    """
    parts = {**schema["$defs"], root: schema}
    for name, places in _places(parts, root).items():
        where = f"At {', '.join(f'`{place}`' for place in places)}." if all(places) else "The file itself."
        columns = ("field", "type", "default", "meaning") if has_defaults else ("field", "type", "meaning")
        head = (f"| {' | '.join(columns)} |", "|---" * len(columns) + "|")
        rows = _rows(parts[name], parts, has_defaults=has_defaults)
        yield "\n".join((f"## {name}\n", f"{_line(parts[name]['description'])} {where}\n", *head, *rows, ""))


def _places(parts: Mapping[str, Any], root: str) -> dict[str, list[str]]:
    """Where each part stands in a file, breadth first; below a part that stands in several places, the first of them."""
    found: dict[str, list[str]] = {root: [""]}
    queue = [root]
    while queue:
        name = queue.pop(0)
        for key, field in parts[name]["properties"].items():
            part, many = _reference(field)
            if part:
                place = f"{found[name][0]}.{key}".lstrip(".") + ("[]" if many else "")
                if part not in found:
                    queue.append(part)
                found.setdefault(part, []).append(place)
    return found


def _reference(field: Mapping[str, Any]) -> tuple[str, bool]:
    """The part that a field holds, if any, and whether it holds a list of them."""
    if "$ref" in field:
        return field["$ref"].rpartition("/")[2], False
    if "items" in field:
        return _reference(field["items"])[0], True
    return next((found for found in map(_reference, field.get("anyOf", ())) if found[0]), ("", False))


def _rows(part: Mapping[str, Any], parts: Mapping[str, Any], *, has_defaults: bool) -> Iterator[str]:
    required = part.get("required", ())
    for key, field in part["properties"].items():
        if has_defaults:
            default = "required" if key in required else _default(field)
            yield f"| `{key}` | {_kind(key, field)} | {default} | {_meaning(field, parts)} |"
        else:
            yield f"| `{key}` | {_kind(key, field)}{_or_null(field)} | {_meaning(field, parts)} |"


def _or_null(field: Mapping[str, Any]) -> str:
    return " or null" if any(kind.get("type") == "null" for kind in field.get("anyOf", ())) else ""


def _meaning(field: Mapping[str, Any], parts: Mapping[str, Any]) -> str:
    """What the field's docstring says; pydantic leaves it out where it is that of the part which the field holds."""
    part, _ = _reference(field)
    return _line(field.get("description") or parts[part]["description"])


def _line(text: str) -> str:
    """A docstring as one line of a table. Pages of ``docs`` that it names become links."""
    plain = " ".join(text.replace("``", "`").split()).replace("|", "\\|").replace("<=", "&lt;=")
    return _PAGE.sub(r"[\1](\1.md)", plain)


def _default(field: Mapping[str, Any]) -> str:
    value = field.get("default")
    if isinstance(value, dict):
        return "defaults of its fields"
    if isinstance(value, str):
        return f"`{value}`"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return f"{value:g}"
    return "unset" if value is None and "default" in field else "empty"


def _kind(key: str, field: Mapping[str, Any]) -> str:
    part, many = _reference(field)
    if part:
        return f"{'list of ' if many else ''}[{part}](#{part.lower()})"
    choices = [choice for choice in field.get("anyOf", (field,)) if choice.get("type") != "null"]
    return " or ".join(_plain_kind(key, choice) for choice in choices)


def _plain_kind(key: str, field: Mapping[str, Any]) -> str:
    words = field.get("enum", [field["const"]] if "const" in field else [])
    if words := [word for word in words if not isinstance(word, bool)]:  # YAML has two words for a boolean
        return " ".join(f"`{word}`" for word in words)
    kind = field.get("type")
    if kind == "array":
        return f"list of {_plain_kind(key, field['items'])}"
    if kind in _KINDS:
        return f"{_KINDS[kind]}{_bounds(field)}"
    if "pattern" not in field:
        return "text"
    return _NAME_WORDS if key in NAME_KEYS else PATTERN_WORDS.get(key, "text")


def _bounds(field: Mapping[str, Any]) -> str:
    low, high = field.get("minimum"), field.get("maximum")
    if "exclusiveMinimum" in field:
        over = f", over {_figure(field['exclusiveMinimum'])}"
        return over if high is None else f"{over}, at most {_figure(high)}"
    if low is None or high is None:
        return ""
    return f", {_figure(low)} to {_figure(high)}"


def _figure(value: float) -> str:
    return "10^9" if value == MAX_COUNT else f"{value:,g}"
