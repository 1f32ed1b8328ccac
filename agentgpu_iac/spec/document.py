"""The base of everything that is read from or written to a file."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated

from pydantic import BaseModel, ConfigDict, PlainSerializer, Strict


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
        use_attribute_docstrings=True,
    )


Money = Annotated[Decimal, Strict(False), PlainSerializer(float, return_type=float, when_used="json")]
"""US dollars. Decimal in Python; a plain number, shortest decimal form, in JSON and YAML."""
