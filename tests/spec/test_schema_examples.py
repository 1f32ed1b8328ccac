"""What an editor shows of a field: a sentence and an example, on every one of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import jsonschema

from agentgpu_iac.spec.schema import json_schema
from agentgpu_iac.spec.starter import starter

SCHEMA = json_schema()
PARTS: dict[str, dict[str, Any]] = {**SCHEMA["$defs"], "AgentStack": SCHEMA}


def fields() -> Iterator[tuple[str, dict[str, Any]]]:
    for name, part in PARTS.items():
        for key, field in part.get("properties", {}).items():
            yield f"{name}.{key}", field


def kind(field: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = next(each for each in field.get("anyOf", [field]) if each.get("type") != "null")
    return found


def reference(field: dict[str, Any]) -> str:
    inner = kind(field)
    inner = inner.get("items", inner)
    return str(inner.get("$ref", "")).rpartition("/")[2]


FIELDS = dict(fields())
SCALARS = {
    name: field
    for name, field in FIELDS.items()
    if "$ref" not in kind(field) and kind(field).get("type") not in ("array", "object")
}


def test_every_field_is_told_in_a_sentence() -> None:
    said = {name: field.get("description") or PARTS[reference(field)]["description"] for name, field in FIELDS.items()}
    assert [name for name, text in said.items() if len(text.split()) < 3] == []
    assert [name for name, text in said.items() if not text.rstrip().endswith((".", ")"))] == []


def test_every_value_has_an_example_that_is_valid() -> None:
    assert len(SCALARS) > 200
    assert [name for name, field in SCALARS.items() if not field.get("examples")] == []
    wrong = [
        f"{name}: {error.message}"
        for name, field in SCALARS.items()
        for example in field["examples"]
        for error in jsonschema.Draft202012Validator(field).iter_errors(example)
    ]
    assert wrong == []


def test_what_init_writes_names_its_schema_in_the_first_line() -> None:
    first, second, *_ = starter("demo", "Qwen/Qwen3-8B").splitlines()
    assert first == "# yaml-language-server: $schema=agentstack.schema.json"
    assert "agentgpu schema > agentstack.schema.json" in second
