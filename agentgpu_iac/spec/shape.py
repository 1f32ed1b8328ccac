"""What a document allows at a place: its keys, its words, its kinds of value; all read from the models.

The document is the agent stack unless another is named.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from functools import cache
from typing import Literal, get_args, get_origin

from pydantic.fields import FieldInfo

from agentgpu_iac.spec.document import Document
from agentgpu_iac.spec.model import AgentStack
from agentgpu_iac.spec.yaml_tree import Steps


@cache
def fields_of(document: type[Document]) -> Mapping[str, FieldInfo]:
    """The keys of a document as files spell them."""
    return {field.alias or name: field for name, field in document.model_fields.items()}


@cache
def parts_of(document: type[Document]) -> Mapping[str, type[Document]]:
    """The keys of a document that hold another document, or a list of them."""
    parts = {key: _document_in(field.annotation) for key, field in fields_of(document).items()}
    return {key: part for key, part in parts.items() if part is not None}


@cache
def fractional_keys(document: type[Document]) -> frozenset[str]:
    """The keys of a document that hold a number with decimals."""
    return frozenset(key for key, field in fields_of(document).items() if _is_fractional(field.annotation))


def document_at(steps: Steps, root: type[Document] = AgentStack) -> type[Document] | None:
    """The document that stands at the end of these steps; None where there is no such key or it holds no document."""
    document: type[Document] | None = root
    for step in steps:
        if isinstance(step, str):
            document = parts_of(document).get(step) if document else None
    return document


def field_at(steps: Steps, root: type[Document] = AgentStack) -> FieldInfo | None:
    """The field that the last key among these steps names."""
    keys = [index for index, step in enumerate(steps) if isinstance(step, str)]
    parent = document_at(steps[: keys[-1]], root) if keys else None
    return fields_of(parent).get(str(steps[keys[-1]])) if parent else None


def words_at(steps: Steps, root: type[Document] = AgentStack) -> tuple[str, ...]:
    """The words that may stand at the end of these steps; none where any text may."""
    field = field_at(steps, root)
    return _words_in(field.annotation) if field else ()


def _document_in(annotation: object) -> type[Document] | None:
    if isinstance(annotation, type) and get_origin(annotation) is None and issubclass(annotation, Document):
        return annotation
    found = (_document_in(part) for part in get_args(annotation))
    return next((document for document in found if document), None)


def _words_in(annotation: object) -> tuple[str, ...]:
    if get_origin(annotation) is Literal:
        return tuple(str(word) for word in get_args(annotation))
    return tuple(word for part in get_args(annotation) for word in _words_in(part))


def _is_fractional(annotation: object) -> bool:
    return annotation in (float, Decimal) or any(_is_fractional(part) for part in get_args(annotation))
