"""The warnings of a plan, by how they matter."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from agentgpu_iac.plan import Plan
from agentgpu_iac.plan.meanings import RANK_ORDER
from agentgpu_iac.review.warning_groups import RANK_TITLES, WarningGroup, grouped


@dataclass(frozen=True, slots=True, kw_only=True)
class Word:
    """A piece of a sentence."""

    text: str
    is_code: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class WarningItem:
    """Warnings of one kind."""

    code: str
    count: int
    is_several: bool
    messages: tuple[str, ...]
    remedy: tuple[Word, ...]
    """What a reader can do about them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WarningRank:
    """Warnings that matter alike."""

    title: str
    style: str
    """The rank, which is its class in the style sheet."""
    items: tuple[WarningItem, ...]


def warning_ranks(plan: Plan) -> Iterator[WarningRank]:
    """The warnings by how they matter, the worst first, those of one kind together."""
    groups = grouped(plan)
    for rank in RANK_ORDER:
        items = tuple(_item(group) for group in groups if group.rank == rank)
        if items:
            yield WarningRank(title=RANK_TITLES[rank], style=rank, items=items)


def _item(group: WarningGroup) -> WarningItem:
    return WarningItem(
        code=group.code,
        count=len(group.warnings),
        is_several=len(group.warnings) > 1,
        messages=tuple(f"{each.agent + ': ' if each.agent else ''}{each.message}" for each in group.warnings),
        remedy=_words(group.remedy),
    )


def _words(sentence: str) -> tuple[Word, ...]:
    """A sentence of ours, of which every second piece between backticks is code."""
    return tuple(Word(text=text, is_code=at % 2 == 1) for at, text in enumerate(sentence.split("`")) if text)
