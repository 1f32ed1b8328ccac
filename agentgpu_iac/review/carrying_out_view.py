"""What Pulumi would do, does and has done, for people: by kind of resource, and the outputs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from agentgpu_iac.provisioning.engine.events import CHANGES, KindProgress, Verb, Work, is_secret
from agentgpu_iac.review.blocks import Block, Heading, Listing, Paragraph, Table
from agentgpu_iac.units import counted

_TO_DO: Final[Mapping[Verb, str]] = {
    "create": "to create",
    "update": "to update",
    "replace": "to replace",
    "delete": "to delete",
    "import": "to import",
}
_DOING: Final[Mapping[Verb, str]] = {
    "create": "creating",
    "update": "updating",
    "replace": "replacing",
    "delete": "deleting",
    "import": "importing",
}
_DONE: Final[Mapping[Verb, str]] = {
    "create": "created",
    "update": "updated",
    "replace": "replaced",
    "delete": "deleted",
    "import": "imported",
}
_SHOWN_NOW: Final = 4
"""Names of a kind that are told while they are in the making; of more, how many."""


def changes_blocks(changes: Sequence[Work], unchanged: int) -> Iterator[Block]:
    """What would be changed, by kind; ``unchanged``: resources that stay as they are."""
    yield Heading(text="Changes")
    if not changes:
        stay = "stays as it is" if unchanged == 1 else "stay as they are"
        yield Paragraph(text=f"Nothing is to be done; {counted(unchanged, 'resource')} {stay}.")
        return
    counts: dict[str, Counter[Verb]] = {}
    for work in changes:
        counts.setdefault(work.kind, Counter())[work.verb] += 1
    verbs = [verb for verb in _TO_DO if any(row[verb] for row in counts.values())]
    yield Table(
        columns=("kind", *(_TO_DO[verb] for verb in verbs)),
        rows=tuple(
            (kind, *(f"{row[verb]:,}" if row[verb] else "" for verb in verbs)) for kind, row in sorted(counts.items())
        ),
        right=frozenset(range(1, len(verbs) + 1)),
    )
    yield Paragraph(text=f"{changes_sentence(changes)}; {unchanged:,} stay as they are.")
    lost = [f"{work.name} ({work.kind})" for work in changes if work.verb in ("replace", "delete")]
    if lost and len(lost) < len(changes):
        yield Listing(items=tuple(f"goes or is made anew: {each}" for each in lost), one_line=True)


def changes_sentence(changes: Sequence[Work]) -> str:
    """How many resources would be changed, and how."""
    counts = Counter(work.verb for work in changes)
    return ", ".join(f"{counts[verb]:,} {_TO_DO[verb]}" for verb in _TO_DO if counts[verb])


def done_sentence(kinds: Sequence[KindProgress]) -> str:
    """How many resources were changed, and how."""
    counts: Counter[Verb] = Counter()
    for each in kinds:
        counts[each.verb] += each.done
    return ", ".join(f"{counts[verb]:,} {_DONE[verb]}" for verb in _DONE if counts[verb]) or "nothing was changed"


def kind_line(each: KindProgress, now_s: float) -> str:
    """One kind's progress in a line."""
    failed = f", {each.failed} failed" if each.failed else ""
    if each.done == each.planned:
        return f"{each.kind}: {each.done} {_DONE[each.verb]}"
    shown = ", ".join(f"{name} {max(0.0, now_s - since):.0f} s" for name, since in each.now[:_SHOWN_NOW])
    more = f" and {len(each.now) - _SHOWN_NOW} more" if each.now[_SHOWN_NOW:] else ""
    doing = f"; {_DOING[each.verb]} {shown}{more}" if each.now else ""
    return f"{each.kind}: {each.done} of {each.planned} {_DONE[each.verb]}{failed}{doing}"


def kinds_table(kinds: Sequence[KindProgress], now_s: float) -> Table:
    """How far each kind is, those in the making with the seconds that they take already."""
    return Table(
        columns=("kind", "done", "of", "now"),
        rows=tuple(
            (
                each.kind,
                str(each.done),
                str(each.planned),
                kind_line(each, now_s).partition("; ")[2] or (f"{each.failed} failed" if each.failed else ""),
            )
            for each in kinds
            if each.verb in CHANGES
        ),
        right=frozenset({1, 2}),
        cuttable=frozenset({0, 3}),
    )


def outputs_blocks(outputs: Mapping[str, Any], stack: str) -> Iterator[Block]:
    """What the stack tells its users. A secret is named, and how to read it."""
    if not outputs:
        return
    yield Heading(text="Outputs")
    yield Table(columns=("output", "value"), rows=tuple(_output_rows(outputs, stack)), exact=frozenset({1}))
    for name, title in (("prerequisites", "Still to bring"), ("notApplied", "Not applied, as its operator is missing")):
        if items := outputs.get(name):
            yield Heading(text=title)
            yield Listing(items=tuple(map(str, items)))


_TOLD_APART: Final = frozenset({"prerequisites", "notApplied"})


def _output_rows(outputs: Mapping[str, Any], stack: str) -> Iterator[tuple[str, str]]:
    for name, value in outputs.items():
        if name in _TOLD_APART:
            continue
        if is_secret(value):
            yield name, f"a secret: pulumi stack output {name} --show-secrets --stack {stack}"
        elif isinstance(value, Mapping):
            yield from (
                (f"{name}.{key}", _text(inner)) for key, inner in value.items() if not isinstance(inner, list | dict)
            )
            yield from (
                (f"{name}.{key}", str(each))
                for key, inner in value.items()
                if isinstance(inner, list)
                for each in inner
                if isinstance(each, str)
            )
        else:
            yield name, _text(value)


def _text(value: object) -> str:
    return value if isinstance(value, str) else str(value)
