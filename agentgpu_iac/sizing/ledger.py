"""A number with its sum: how it is made, with which figures, and where the formula or its constant is from.

What computes a number also writes its line, from the very terms that it used, so that an explanation never derives it again.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One number of a plan, with its sum."""

    name: str
    """What the number is, as the plan calls it."""
    formula: str
    """How it is made, in words."""
    inputs: str
    """The formula with its figures: where it is arithmetic, it evaluates to ``value``."""
    value: float
    """What comes out, unrounded."""
    result: str
    """The same as people read it, with its unit."""
    unit: str
    """Unit of ``value``: GiB, B, ms, s, tokens, tokens/s, USD ...; empty for a ratio or a count."""
    source: str
    """Where the formula or its constant is from."""
