"""The base of everything that is read from or written to a file."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated

from pydantic import BaseModel, ConfigDict, GetJsonSchemaHandler, PlainSerializer, Strict
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from agentgpu_iac.spec.field_texts import field_texts


def camel(name: str) -> str:
    """``ttft_ms`` as ``ttftMs`` and ``e2e_ms`` as ``e2eMs``: the spelling of keys in files."""
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)


class Document(BaseModel):
    """Frozen, closed and strict: an unknown key, a number in quotes or a ``yes`` for a count is a fault.

    Files spell their keys in camelCase; Python code uses snake_case.
    """

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        strict=True,
        allow_inf_nan=False,
        alias_generator=camel,
        populate_by_name=True,
    )

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """The schema, in which each field has the text below it as its description."""
        schema = handler(core_schema)
        properties = handler.resolve_ref_schema(schema).get("properties", {})
        for name, text in field_texts(cls).items():
            field = cls.model_fields.get(name)
            if field is None or field.description is not None:
                continue
            for key in {name, field.alias} & properties.keys():
                if handler.resolve_ref_schema(properties[key]).get("description") != text:
                    properties[key] = {**properties[key], "description": text}
        return schema


Money = Annotated[Decimal, Strict(False), PlainSerializer(float, return_type=float, when_used="json")]
"""US dollars. Decimal in Python; a plain number, shortest decimal form, in JSON and YAML."""
