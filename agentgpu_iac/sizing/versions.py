"""Versions as numbers, for comparison."""

from __future__ import annotations

import itertools
from functools import cache


@cache
def version_tuple(version: str) -> tuple[int, ...]:
    """``0.33.0`` as (0, 33, 0), for comparison; what follows the first part that is no number does not count."""
    parts = itertools.takewhile(str.isdecimal, version.split("."))
    return tuple(int(part) for part in parts)
