"""Names say what a thing is: ``workload``, ``pool``, ``agent``; never ``one`` for everything."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from tests.house.sources import in_modules

VAGUE = "one"


def bound(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Names that a module binds: (line, name)."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.lineno, node.id
        elif isinstance(node, ast.arg):
            yield node.lineno, node.arg


def test_no_name_says_nothing() -> None:
    assert in_modules(lambda tree: (line for line, name in bound(tree) if name == VAGUE)) == {}


def test_every_way_to_bind_a_name_is_seen() -> None:
    code = (
        "one = 1\none: int = 1\nfor one in x: pass\n[one for one in x]\nlambda one: 1\ndef f(*, one): pass\n(one := 1)\n"
        "with x as (a, one): pass\n"
    )
    assert sorted(line for line, name in bound(ast.parse(code)) if name == VAGUE) == [1, 2, 3, 4, 5, 6, 7, 8]
    assert [name for _, name in bound(ast.parse("BadInput.one(x)\nf(one=1)\nx.one = 2\n"))] == []
