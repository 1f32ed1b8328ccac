"""How often Python looks for objects that hold nothing but each other."""

from __future__ import annotations

import gc
from typing import Final

_NEW_OBJECTS: Final = 50_000
"""Objects made, beyond those dropped, before the newest are looked through; Python's own figure is 700."""


def collect_rarely() -> None:
    """Look rarely: a plan keeps nearly all that it makes until it is told, and a tenth of its time went into looking."""
    gc.set_threshold(_NEW_OBJECTS, 20, 20)
