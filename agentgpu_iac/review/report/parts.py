"""A part of the report: what stands under one heading."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from agentgpu_iac.review.blocks import Block, Heading, Listing, Paragraph, Table
from agentgpu_iac.review.report.figure import Figure
from agentgpu_iac.review.report.tables import Grid, of_block

MOST_FIGURES: Final = 8
"""Figures of one kind that are drawn, one for each deployment; the others have their tables."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A part of the page: sentences, tables and figures under a heading."""

    id: str
    title: str
    sentences: tuple[str, ...] = ()
    grids: tuple[Grid, ...] = ()
    figures: tuple[Figure, ...] = ()


def of_blocks(title: str, blocks: Iterator[Block]) -> Part:
    """What another view says, its tables under the headings above them."""
    sentences: list[str] = []
    grids: list[Grid] = []
    caption = title
    for block in blocks:
        match block:
            case Heading():
                caption = block.text
            case Paragraph():
                sentences.append(block.text)
            case Listing():
                sentences += block.items
            case Table():
                grids.append(of_block(caption, block))
            case _:
                raise AssertionError(f"a report has no place for {type(block).__name__}")
    return Part(id="", title=title, sentences=tuple(sentences), grids=tuple(grids))
