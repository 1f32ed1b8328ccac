"""Screens that pages are held against."""

from __future__ import annotations

from collections.abc import Iterable

from agentgpu_iac.review.blocks import Block, laid_out

WIDTHS = (80, 100, 120)
FOUR_AGENTS = 45
"""Lines of the screen for a stack of four agents, at most."""


def lines_of(blocks: Iterable[Block], width: int) -> list[str]:
    """What a terminal of a width shows."""
    return ["".join(span.text for span in line).rstrip() for line in laid_out(blocks, width)]
