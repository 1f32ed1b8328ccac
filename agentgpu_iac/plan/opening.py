"""The lines that a rendered file opens with: who reads a file for what it does leaves them out.

They hold a digest of the plan, which is new with every new figure; what the file does is the same.
"""

from __future__ import annotations

from typing import Final

MADE_BY: Final = "# Made by agentgpu from the agent stack "
"""How the first of the two begins."""
_LINES: Final = 2


def without_opening(text: str) -> str:
    """A file's text without its opening, which stands first, or after the line that names its interpreter."""
    lines = text.split("\n")
    start = next((number for number, line in enumerate(lines[:2]) if line.startswith(MADE_BY)), None)
    return text if start is None else "\n".join(lines[:start] + lines[start + _LINES :])
