"""The base of everything that is read from or written to a file."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated

from pydantic import BaseModel, ConfigDict, PlainSerializer, Strict
from pydantic.alias_generators import to_camel


class Document(BaseModel):
    """Frozen, closed and strict: an unknown key, a number in quotes or a ``yes`` for a count is a fault.

    Files spell their keys in camelCase; Python code uses snake_case.
    """

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        strict=True,
        allow_inf_nan=False,
        alias_generator=to_camel,
        populate_by_name=True,
        use_attribute_docstrings=True,
    )


Money = Annotated[Decimal, Strict(False), PlainSerializer(float, return_type=float, when_used="json")]
"""US dollars. Decimal in Python; a plain number, shortest decimal form, in JSON and YAML."""
