"""Files made from a plan."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class RenderedFile:
    """A file that was made but not yet written: its path below the output folder, and its bytes."""

    path: str
    content: bytes
