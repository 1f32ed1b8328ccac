"""Scalars of rows: counts, amounts, dates and sources."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

Sources = Annotated[tuple[str, ...], Field(min_length=1)]
Float = Annotated[float, Field(ge=0)]
Integer = Annotated[int, Field(ge=0)]
Count = Annotated[int, Field(ge=1)]
ReadOn = Annotated[str, Field(pattern=r"^[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])$")]
"""A day, YYYY-MM-DD: when the source said so."""
