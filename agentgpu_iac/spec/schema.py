"""The agent stack as a JSON Schema, for editors and for other tools."""

from __future__ import annotations

import json
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from agentgpu_iac.spec.document import Document
from agentgpu_iac.spec.model import AgentStack
from agentgpu_iac.spec.pages import schema_name
from agentgpu_iac.spec.schema_examples import with_examples

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
SCHEMA_ID: Final = schema_name("agentstack")
TITLE = "agentgpu agent stack, v1alpha1"


class _FileSchema(GenerateJsonSchema):
    """The schema of what stands in a file: money is a number there, and titles that repeat the key are noise."""

    def decimal_schema(self, schema: core_schema.DecimalSchema) -> JsonSchemaValue:
        limits = {"gt": "exclusiveMinimum", "ge": "minimum", "lt": "exclusiveMaximum", "le": "maximum"}
        bounds = {word: float(schema[key]) for key, word in limits.items() if key in schema}  # type: ignore[literal-required]
        return {"type": "number", **bounds}

    def encode_default(self, dft: Any) -> Any:
        """A default as a file spells it: money as a number there too."""
        if isinstance(dft, Decimal):
            return int(dft) if dft == int(dft) else float(dft)
        return super().encode_default(dft)

    def field_title_should_be_set(self, schema: object) -> bool:  # noqa: ARG002 - the signature is pydantic's
        return False


def json_schema() -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of an agent stack as files spell it.

    The rules that join several fields (see ``rules``) are beyond it: a file that passes the schema can still hold
    faults, but a file without faults always passes the schema.
    """
    return with_examples(file_schema(AgentStack, SCHEMA_ID, TITLE), AgentStack.__name__)


def file_schema(document: type[Document], schema_id: str, title: str) -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of a document as files spell it."""
    schema = document.model_json_schema(by_alias=True, schema_generator=_FileSchema)
    return {"$schema": DIALECT, "$id": schema_id, **schema, "title": title}


def schema_text(schema: Mapping[str, Any] | None = None) -> str:
    """A schema, by itself that of the stack, as it is written to a file: indented, and the same bytes every time."""
    return json.dumps(json_schema() if schema is None else schema, indent=2, ensure_ascii=False) + "\n"
