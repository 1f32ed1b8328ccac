"""The modules of the package as the house's checks look through them: each is parsed once in a process, and only ever read."""

from __future__ import annotations

import ast
import gc
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import TypeVar

PACKAGE = Path(__file__).parents[2] / "agentgpu_iac"

Found = TypeVar("Found")


@cache
def modules() -> Mapping[str, ast.Module]:
    """Path within the package -> what stands there."""
    parsed = {
        path.relative_to(PACKAGE).as_posix(): ast.parse(path.read_text(encoding="utf-8"))
        for path in sorted(PACKAGE.rglob("*.py"))
    }
    assert len(parsed) > 500
    gc.collect()
    gc.freeze()  # six hundred thousand nodes that stay: the collector need not look through them again
    return MappingProxyType(parsed)


def in_modules(look: Callable[[ast.Module], Iterable[Found]]) -> dict[str, list[Found]]:
    """Path within the package -> what ``look`` finds there, where it finds anything."""
    found = {name: list(look(tree)) for name, tree in modules().items()}
    return {name: things for name, things in found.items() if things}
