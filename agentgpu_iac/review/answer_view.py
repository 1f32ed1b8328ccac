"""The answer of a calculator, or its rejection, as a table of names and figures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from agentgpu_iac.review.blocks import Block, Listing, Paragraph, Table


def answer_view(answer: Mapping[str, Any]) -> tuple[Block, ...]:
    """Figures with their names, then the warnings; a rejection is said in its own words."""
    rejection = answer.get("rejection")
    if rejection is not None:
        return (Paragraph(text=f"Does not fit ({rejection['constraint']}): {rejection['message']}"),)
    rows = tuple((name, _shown(value)) for name, value in answer.items() if name != "warnings" and value is not None)
    table = Table(columns=("figure", "value"), rows=rows, right=frozenset({1}))
    return (table, Listing(items=tuple(answer["warnings"]))) if answer["warnings"] else (table,)


def _shown(value: object) -> str:
    """A figure, or several under one name: ``mean 98.9, p50 84.9``."""
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_shown(each)}" for name, each in value.items() if each is not None)
    return f"{value:,}" if isinstance(value, (int, float)) else str(value)
