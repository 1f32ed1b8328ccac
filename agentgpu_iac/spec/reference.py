"""The agent stack field by field, as a page for people: the same source as the JSON Schema, so neither can lag."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from agentgpu_iac.spec.model import MAX_COUNT
from agentgpu_iac.spec.schema import json_schema
from agentgpu_iac.spec.wording import NAME_KEYS, PATTERN_WORDS

_NAME_WORDS = "name (a-z, 0-9, hyphens; a letter first; 40 at most)"
_KINDS = {"object": "labels", "boolean": "true or false", "integer": "whole number", "number": "number"}
_PREFACE = """\
# The agent stack: every field

Made by `make schema` from the models; what the demand means and how a file is read is told in [spec.md](spec.md).
"""


def reference_text() -> str:
    """The page, in Markdown: one table for each part of the stack, in the order in which a reader meets them."""
    schema = json_schema()
    return "\n".join((_PREFACE, *(_part(name, place, schema) for name, place in _places(schema))))


def _places(schema: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """Each part's name and where it stands in a file, breadth first, each part once."""
    found: dict[str, str] = {"AgentStack": ""}
    queue = ["AgentStack"]
    while queue:
        name = queue.pop(0)
        for key, field in _properties(name, schema).items():
            part, many = _reference(field)
            if part and part not in found:
                found[part] = f"{found[name]}.{key}".lstrip(".") + ("[]" if many else "")
                queue.append(part)
    return tuple(found.items())


def _properties(name: str, schema: Mapping[str, Any]) -> Mapping[str, Any]:
    definition = schema if name == "AgentStack" else schema["$defs"][name]
    properties: Mapping[str, Any] = definition["properties"]
    return properties


def _reference(field: Mapping[str, Any]) -> tuple[str, bool]:
    """The part that a field holds, if any, and whether it holds a list of them."""
    if "$ref" in field:
        return field["$ref"].rpartition("/")[2], False
    if "items" in field:
        return _reference(field["items"])[0], True
    return next((found for found in map(_reference, field.get("anyOf", ())) if found[0]), ("", False))


def _part(name: str, place: str, schema: Mapping[str, Any]) -> str:
    definition = schema if name == "AgentStack" else schema["$defs"][name]
    where = f"At `{place}`." if place else "The file itself."
    rows = _rows(definition, schema)
    head = f"## {name}\n\n{_line(definition['description'])} {where}\n\n| field | type | default | meaning |\n|---|---|---|---|\n"
    return head + "\n".join(rows) + "\n"


def _rows(definition: Mapping[str, Any], schema: Mapping[str, Any]) -> Iterator[str]:
    required = definition.get("required", ())
    for key, field in definition["properties"].items():
        default = "required" if key in required else _default(field)
        yield f"| `{key}` | {_kind(key, field)} | {default} | {_meaning(field, schema)} |"


def _meaning(field: Mapping[str, Any], schema: Mapping[str, Any]) -> str:
    """What the field's docstring says; pydantic leaves it out where it is that of the part which the field holds."""
    part, _ = _reference(field)
    return _line(field.get("description") or schema["$defs"][part]["description"])


def _line(text: str) -> str:
    return " ".join(text.replace("``", "`").split()).replace("|", "\\|")


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
    if words := field.get("enum", [field["const"]] if "const" in field else []):
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
