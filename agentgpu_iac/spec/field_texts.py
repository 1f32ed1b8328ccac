"""What the fields of a document mean: the text that stands below each of them in the source.

Pydantic reads these texts too (``use_attribute_docstrings``), of every class as it is made: a sixth of what a plan of one agent
takes, and only a schema shows them. So they are read when one is made.
"""

from __future__ import annotations

import ast
import inspect
import sys
from collections.abc import Iterator, Mapping
from functools import cache


@cache
def field_texts(document: type) -> Mapping[str, str]:
    """By the name of each field, its own text or that of the class it is inherited from; fields without one are left out."""
    found: dict[str, str] = {}
    for each in reversed(document.__mro__):
        found |= _texts_in(each.__module__).get(each.__qualname__, {})
    return found


@cache
def _texts_in(module: str) -> dict[str, dict[str, str]]:
    """Of each class at the top of a module; nothing where its source is not there."""
    try:
        tree = ast.parse(inspect.getsource(sys.modules[module]))
    except (OSError, TypeError, KeyError):
        return {}
    return {each.name: dict(_below_fields(each)) for each in tree.body if isinstance(each, ast.ClassDef)}


def _below_fields(of: ast.ClassDef) -> Iterator[tuple[str, str]]:
    for field, text in zip(of.body, of.body[1:], strict=False):
        if not isinstance(field, ast.AnnAssign) or not isinstance(field.target, ast.Name):
            continue
        if isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant) and isinstance(text.value.value, str):
            yield field.target.id, inspect.cleandoc(text.value.value)
