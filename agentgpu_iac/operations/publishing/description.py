"""What a published change says: the title, the commit's message, and the description of the request."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from agentgpu_iac.operations.publishing.forge import MOST_BODY
from agentgpu_iac.review.blocks import Heading, Listing, Paragraph, Table, markdown
from agentgpu_iac.review.change_view import diff_comment
from agentgpu_iac.review.diff import PlanDiff
from agentgpu_iac.review.policies import Violation
from agentgpu_iac.units import counted

_MOST_ROWS: Final = 30
_MOST_TITLE: Final = 72


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """A folder that changes."""

    title: str
    """Stack and environment."""
    usd_per_month: Decimal | None
    """What it costs now; None: it goes."""
    difference: PlanDiff | None
    """From what was published; None: nothing was, or it goes."""
    violations: tuple[Violation, ...] = ()


def title_of(changed: Sequence[Published], reason: str) -> str:
    """One line of at most 72 characters."""
    first = changed[0].title
    more = f" and {len(changed) - 1} more" if changed[1:] else ""
    verb = "Refresh" if reason else "Publish"
    whole = f"{verb} {first}{more}"
    return whole if len(whole) <= _MOST_TITLE else f"{verb} {counted(len(changed), 'folder')} of agent stacks"


def message_of(changed: Sequence[Published], reason: str) -> str:
    """The commit's message: what changes, and for how much."""
    lines = [title_of(changed, reason), ""]
    if reason:
        lines += [reason, ""]
    lines += [f"- {each.title}: {_cost(each)}" for each in changed[:_MOST_ROWS]]
    if len(changed) > _MOST_ROWS:
        lines.append(f"- and {len(changed) - _MOST_ROWS} more")
    return "\n".join(lines)


def description_of(changed: Sequence[Published], reason: str) -> str:
    """The request's description: the whole first, then each folder as far as there is room."""
    deltas = [each.difference.expected_delta_usd_per_month for each in changed if each.difference is not None]
    new = [each for each in changed if each.difference is None and each.usd_per_month is not None]
    gone = [each for each in changed if each.usd_per_month is None]
    said = [f"{len(deltas)} changed: {sum(deltas, Decimal(0)):+,.2f} USD a month"] if deltas else []
    said += (
        [f"{len(new)} new: {sum((each.usd_per_month or Decimal(0) for each in new), Decimal(0)):,.2f} USD a month"]
        if new
        else []
    )
    said += [f"{len(gone)} removed"] if gone else []
    rows = tuple((each.title, _cost(each)) for each in changed)
    blocks = [
        Heading(text=title_of(changed, reason)),
        *((Paragraph(text=reason),) if reason else ()),
        Paragraph(text="; ".join(said)),
        Table(columns=("stack and environment", "cost"), rows=rows[:_MOST_ROWS]),
        *((Paragraph(text=f"and {len(rows) - _MOST_ROWS} more"),) if len(rows) > _MOST_ROWS else ()),
    ]
    broken = tuple(f"{each.title}: {found.sentence}" for each in changed for found in each.violations)
    if broken:
        blocks += [Paragraph(text="Policies that are waived here:"), Listing(items=broken[:_MOST_ROWS])]
    text = markdown(tuple(blocks))
    for each in changed:
        if each.difference is None:
            continue
        comment = diff_comment(each.difference, name=each.title)
        if len(text) + len(comment) > MOST_BODY:
            return f"{text}\nMore is in the plans: there is no room for all of it here.\n"
        text = f"{text}\n{comment}"
    return text


def _cost(each: Published) -> str:
    if each.usd_per_month is None:
        return "is removed"
    if each.difference is None:
        return f"new, USD {each.usd_per_month:,.2f} a month"
    delta = each.difference.expected_delta_usd_per_month
    return f"USD {each.usd_per_month:,.2f} a month" + (f" ({delta:+,.2f})" if delta else ", as before")
