"""A difference by depth: a page that fits a screen, then one agent or one side of it; ``diff_view`` is all of it at once."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final

from agentgpu_iac.errors import BadInput, did_you_mean
from agentgpu_iac.review.blocks import Block, Commands, Heading, Listing, Paragraph, Table
from agentgpu_iac.review.causes import Cause
from agentgpu_iac.review.change_view import (
    SAME,
    cause_words,
    chain_steps,
    costs,
    field_blocks,
    file_blocks,
    fit_blocks,
    headline,
    is_flag,
    money_blocks,
    money_table,
    says_nothing,
    security_blocks,
    security_words,
    warning_blocks,
    why_blocks,
)
from agentgpu_iac.review.diff import FitChange, PlanDiff, SecurityChange
from agentgpu_iac.units import counted

_FEW: Final = 3
"""Items of each kind on the page."""
_SHOWN_CHAINS: Final = 2
_STEPS: Final = 3
"""Terms of a chain on the page."""


def _flags(found: PlanDiff) -> Iterator[Block]:
    yield from field_blocks(found.model_copy(update={"changes": tuple(filter(is_flag, found.changes))}))


TOPICS: Final[Mapping[str, Callable[[PlanDiff], Iterator[Block]]]] = {
    "security": security_blocks,
    "why": why_blocks,
    "money": money_blocks,
    "promises": fit_blocks,
    "warnings": warning_blocks,
    "flags": _flags,
    "fields": field_blocks,
    "files": file_blocks,
}
"""What may stand in an agent's place; an agent of that name goes first."""


def diff_page(found: PlanDiff, before: str, after: str) -> tuple[Block, ...]:
    """The difference for a reader in a hurry: what comes first, the money, why, the risk, and how to go on.

    Args:
        found: The difference.
        before: What the first side was called.
        after: The second.
    """
    return tuple(_page(found, before, after))


def _page(found: PlanDiff, before: str, after: str) -> Iterator[Block]:
    if says_nothing(found):
        yield Paragraph(text=SAME)
        return
    yield Heading(text=f"{found.after}: {headline(found)}")
    yield Listing(items=tuple(costs(found)))
    there = [*_there(found)]
    if found.security:
        yield from _few("Look at these first", tuple(_together(found.security)), "security")
    yield from _why(found)
    if found.agents:
        shown = _room(len(found.agents))
        yield Heading(text=_titled("Cost by agent", shown, len(found.agents), "money"))
        yield money_table("agent", found.agents[:shown])
    yield from _risk(found)
    yield Heading(text="Deeper")
    yield Paragraph(text=f"{'; '.join(f'{topic}: {count}' for topic, count in there)}.")
    sides = f"agentgpu diff {shlex.quote(before)} {shlex.quote(after)}"
    agent = next((chain.deployment for chain in found.chains), None)
    words = [*([] if agent is None else [agent]), *(topic for topic, _ in there[:1]), "--all"]
    yield Commands(lines=tuple(f"{sides} {word}" for word in words))


def _room(count: int) -> int:
    """How many of so many items are shown: one that alone is left takes no more than the words that it is left."""
    return count if count <= _FEW + 1 else _FEW


def _titled(title: str, shown: int, count: int, topic: str) -> str:
    """A title that says how many there are, and what to type for the others."""
    return title if shown >= count else f"{title} ({shown} of {count}; the others: {topic})"


def _few(title: str, items: tuple[str, ...], topic: str) -> Iterator[Block]:
    """The first items, each in a line, under a title that says where the others are."""
    shown = _room(len(items))
    yield Heading(text=_titled(title, shown, len(items), topic))
    yield Listing(items=items[:shown], one_line=True)


def _together(changes: Sequence[SecurityChange]) -> Iterator[str]:
    """A line for what changes alike in several parts of the plan, with how many more those are."""
    alike: dict[tuple[str, str, str | None, str | None], list[SecurityChange]] = {}
    for each in changes:
        part = next((part for part in ("workload", "node pool") if each.where.startswith(f"{part} ")), each.where)
        alike.setdefault((part, each.field, each.before, each.after), []).append(each)
    for same in alike.values():
        where = same[0].where if len(same) == 1 else f"{same[0].where} and {len(same) - 1} more"
        yield security_words(same[0].model_copy(update={"where": where}))


def _caused(causes: Sequence[Cause]) -> Iterator[str]:
    """A line for what was written alike for several agents."""
    alike: dict[tuple[str, str | None, str | None], list[Cause]] = {}
    for each in causes:
        alike.setdefault((_NAMED.sub("[]", each.what, count=1), each.before, each.after), []).append(each)
    for same in alike.values():
        names = ", ".join(found.group(1) for found in (_NAMED.search(each.what) for each in same) if found)
        yield cause_words(same[0].model_copy(update={"what": _NAMED.sub(f"[{names}]", same[0].what, count=1)}))


_NAMED: Final = re.compile(r"(?<=^spec\.agents)\[([a-z0-9-]+)\]")
"""The agent whose value it is."""


def _why(found: PlanDiff) -> Iterator[Block]:
    """What was changed, and what followed for the deployments that moved most; what it costs has a table of its own."""
    if not found.causes and not found.chains:
        return
    causes = tuple(_caused(found.causes)) or ("nothing that is written, and no fact, is another",)
    yield from _few("Why", causes, "why")
    for chain in found.chains[:_SHOWN_CHAINS]:
        yield Paragraph(text=f"{chain.deployment}: {chain_steps(chain, _STEPS, money=not found.agents)}.")
    if left := [chain.deployment for chain in found.chains[_SHOWN_CHAINS:]]:
        yield Listing(items=(f"and {', '.join(left)}: why",), tones=("quiet",), one_line=True)


def _risk(found: PlanDiff) -> Iterator[Block]:
    """The promises that change most for the worse, and the warnings that come and go."""
    worse = sorted(found.fit, key=lambda each: -_worse(each))
    if worse:
        shown = _room(len(worse))
        yield Heading(text=_titled("Against the budgets", shown, len(worse), "promises"))
        yield _promises(worse[:shown])
    if found.new_warnings or found.gone_warnings:
        old, new = set(map(_subject, found.gone_warnings)), set(map(_subject, found.new_warnings))
        come = [f"new: {each}" for each in found.new_warnings if _subject(each) not in old]
        go = [f"gone: {each}" for each in found.gone_warnings if _subject(each) not in new]
        stay = len(found.new_warnings) - len(come)
        counts = ((len(come), "come"), (len(go), "go"), (stay, "in other words"))
        title = f"Warnings: {', '.join(f'{count} {verb}' for count, verb in counts if count)}"
        if come or go:
            yield from _few(title, (*come, *go), "warnings")
        else:
            yield Heading(text=f"{title} (which: warnings)")


_SUBJECT: Final = re.compile(r"\[[^\]]+\](?: [a-z0-9-]+:)?")


def _subject(warning: str) -> str:
    """What a warning is of: its code and agent."""
    found = _SUBJECT.match(warning)
    return "" if found is None else found.group()


def _promises(items: Sequence[FitChange]) -> Table:
    """A promise in a line: milliseconds, the budget, and how likely the real figure is over it."""
    return Table(
        columns=("workload", "promise", "ms", "budget", "likely over it"),
        rows=tuple(
            (
                each.workload,
                each.what,
                _sides(each.before_ms, each.after_ms, ",.0f"),
                _sides(each.before_budget_ms, each.after_budget_ms, ",.0f"),
                _sides(each.before_miss_ratio, each.after_miss_ratio, ".0%"),
            )
            for each in items
        ),
        right=frozenset({2, 3, 4}),
        whole=frozenset({2, 3, 4}),
        cuttable=frozenset({0}),
    )


def _sides(before: float | None, after: float | None, form: str) -> str:
    """Both sides of a figure, or the one of both."""
    was, becomes = ("-" if value is None else format(value, form) for value in (before, after))
    return was if was == becomes else f"{was} -> {becomes}"


def _worse(each: FitChange) -> float:
    """How much likelier a miss is; without an error, by how much more of the budget is taken."""
    if each.before_miss_ratio is not None and each.after_miss_ratio is not None:
        return each.after_miss_ratio - each.before_miss_ratio
    sides = ((each.before_ms, each.before_budget_ms), (each.after_ms, each.after_budget_ms))
    before, after = (value / budget if value and budget else 0.0 for value, budget in sides)
    return after - before


def _there(found: PlanDiff) -> Iterator[tuple[str, str]]:
    """The topics that have something to say, and how much."""
    flags = sum(map(is_flag, found.changes))
    parts = len({change.where for change in found.changes})
    if flags:
        yield "flags", str(flags)
    if found.changes:
        yield "fields", f"{len(found.changes)} in {counted(parts, 'part')} of the plan"
    if found.files is not None and not found.files.is_empty:
        counts = ((found.files.added, "new"), (found.files.changed, "changed"), (found.files.deleted, "deleted"))
        yield "files", ", ".join(f"{len(paths)} {verb}" for paths, verb in counts if paths)


def topic_view(found: PlanDiff, topic: str, agents: Mapping[str, str]) -> tuple[Block, ...]:
    """One agent, or one side of the difference, in full.

    Args:
        found: The difference.
        topic: An agent, or a word of ``TOPICS``.
        agents: Every agent of both plans, and the deployment that serves it.

    Raises:
        BadInput: it is neither.
    """
    deployments = {name: name for name in agents.values()}
    if topic in {**agents, **deployments}:
        return tuple(_agent(found, topic, agents.get(topic, topic)))
    if topic in TOPICS:
        return tuple(TOPICS[topic](found)) or (Paragraph(text=f"Nothing changes about {topic}."),)
    known = (*agents, *TOPICS)
    hint = did_you_mean(topic, known) or f"agents: {', '.join([*agents][:10])}; else {', '.join(TOPICS)}"
    raise BadInput.one(
        "diff", f"there is no agent {topic!r} in either plan, and no such side of a difference", hint=hint
    )


def _agent(found: PlanDiff, name: str, deployment: str) -> Iterator[Block]:
    """Everything that changes for an agent and the deployment that serves it."""
    names = {name, deployment}
    whose = found.model_copy(
        update={
            "security": tuple(each for each in found.security if _words_of(each.where) & names),
            "causes": tuple(
                cause for chain in found.chains if chain.deployment == deployment for cause in chain.causes
            ),
            "chains": tuple(chain for chain in found.chains if chain.deployment == deployment),
            "agents": tuple(each for each in found.agents if each.name in names),
            "pools": (),
            "fit": tuple(each for each in found.fit if each.workload in {deployment, f"{deployment}-burst"}),
            "changes": tuple(
                change
                for change in found.changes
                if change.deployment == deployment or any(f"[{each}]" in change.field for each in names)
            ),
            "files": None,
            "new_warnings": tuple(
                each for each in found.new_warnings if any(f"] {agent}: " in each for agent in names)
            ),
            "gone_warnings": tuple(
                each for each in found.gone_warnings if any(f"] {agent}: " in each for agent in names)
            ),
        }
    )
    blocks = tuple(block for part in TOPICS.values() if part is not _flags for block in part(whose))
    yield Heading(text=name if name == deployment else f"{name}, served by {deployment}")
    yield from blocks or (Paragraph(text=f"Nothing changes about {name}."),)


def _words_of(where: str) -> set[str]:
    name = where.partition(" ")[2]
    return {name, name.removesuffix("-burst")}
