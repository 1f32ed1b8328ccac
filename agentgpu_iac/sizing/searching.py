"""Searches over whole numbers, of what holds up to somewhere and not beyond."""

from __future__ import annotations

import math
from collections.abc import Callable


def largest_within(value: Callable[[int], float], limit: float, most: int, about: int | None = None) -> int:
    """The largest number from 1 to ``most`` whose value is at most ``limit``, of a value that never falls; 0: not even 1.

    The next number that is tried is read off the line between the two nearest values, and is the middle wherever the last one
    left more than half of what there was. ``about`` it the answer is thought to be, so that ``most`` need not be tried where it
    is far beyond.
    """
    if most < 1:
        return 0
    at_low = value(1)
    if not at_low <= limit:
        return 0
    low = (1, at_low)
    if about is not None and 1 < about < most:
        there = (about, value(about))
        if there[1] > limit:
            return between(value, limit, low, there)
        low = there
    at_high = at_low if most == 1 else value(most)
    return between(value, limit, low, (most, at_high))


def between(value: Callable[[int], float], limit: float, below: tuple[int, float], above: tuple[int, float]) -> int:
    """The same where a number within the limit is known with its value, and the largest that is asked for."""
    (low, at_low), (high, at_high) = below, above
    if at_high <= limit:
        return high
    halve = False
    while high - low > 1:
        before, middle = high - low, (low + high) // 2
        if not halve and math.isfinite(at_high):
            on_line = low + (high - low) * (limit - at_low) / (at_high - at_low)
            middle = max(low + 1, min(high - 1, math.floor(on_line)))
        found = value(middle)
        if found <= limit:
            low, at_low = middle, found
        else:
            high, at_high = middle, found
        halve = high - low > before / 2
    return low
