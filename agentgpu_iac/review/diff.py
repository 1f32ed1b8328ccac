"""What changes between two plans: the cost first, then the stack, its agents, node pools and machines, in that order."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Final

from agentgpu_iac.plan import Plan
from agentgpu_iac.review.blocks import Block, Heading, Listing, Paragraph, Table
from agentgpu_iac.review.comparing import PRESENT, differences, named, orders
from agentgpu_iac.review.plan_view import sentence
from agentgpu_iac.spec.document import Document, Money, camel


class Change(Document):
    """One value that differs. A missing side means that the thing appears or disappears."""

    where: str
    """The stack, or a workload, service, node pool or machines of it by name."""
    field: str
    """Path of the field, in the plan's words."""
    before: str | None
    after: str | None


class PlanDiff(Document):
    """The difference of two plans."""

    before: str
    """Stack of the first plan."""
    after: str
    """Stack of the second plan."""
    baseline_usd_per_month_before: Money
    baseline_usd_per_month_after: Money
    baseline_delta_usd_per_month: Money
    peak_usd_per_hour_before: Money
    peak_usd_per_hour_after: Money
    peak_delta_usd_per_hour: Money
    expected_delta_usd_per_month: Money
    """Of the baseline and the expected burst hours together."""
    changes: tuple[Change, ...]
    new_warnings: tuple[str, ...]
    gone_warnings: tuple[str, ...]

    @property
    def is_empty(self) -> bool:
        """Nothing differs that a plan decides."""
        deltas = (self.baseline_delta_usd_per_month, self.peak_delta_usd_per_hour, self.expected_delta_usd_per_month)
        return not self.changes and not any(deltas)


_PARTS: Final = (
    ("workload", "workloads"),
    ("service", "sky_services"),
    ("node pool", "node_pools"),
    ("machines of", "hosts"),
)
"""Parts of a plan that a reader looks for by name; everything else is told of the stack."""


def diff(before: Plan, after: Plan) -> PlanDiff:
    """Compare two plans in everything that is not excepted, parts and items of lists matched by name."""
    changes = [*_of_the_stack(before, after)]
    for kind, field in _PARTS:
        changes += _of_parts(kind, field, getattr(before, field), getattr(after, field))
    old, new = set(map(sentence, before.warnings)), set(map(sentence, after.warnings))
    return PlanDiff(
        before=before.stack,
        after=after.stack,
        baseline_usd_per_month_before=before.cost.baseline_usd_per_month,
        baseline_usd_per_month_after=after.cost.baseline_usd_per_month,
        baseline_delta_usd_per_month=after.cost.baseline_usd_per_month - before.cost.baseline_usd_per_month,
        peak_usd_per_hour_before=before.cost.peak_usd_per_hour,
        peak_usd_per_hour_after=after.cost.peak_usd_per_hour,
        peak_delta_usd_per_hour=after.cost.peak_usd_per_hour - before.cost.peak_usd_per_hour,
        expected_delta_usd_per_month=after.cost.expected_usd_per_month - before.cost.expected_usd_per_month,
        changes=tuple(changes),
        new_warnings=tuple(sorted(new - old)),
        gone_warnings=tuple(sorted(old - new)),
    )


def _of_the_stack(before: Plan, after: Plan) -> Iterator[Change]:
    """Whatever no part of the plan holds, and the order of the parts where only that changed."""
    told = {camel(field) for _, field in _PARTS}
    for field, old, new in differences(before, after):
        if field.partition("[")[0] not in told:
            yield Change(where="stack", field=field, before=old, after=new)
    for _, field in _PARTS:
        for old, new in orders(named(getattr(before, field)), named(getattr(after, field))):
            yield Change(where="stack", field=camel(field), before=old, after=new)


def _of_parts(kind: str, field: str, before: tuple[Document, ...], after: tuple[Document, ...]) -> Iterator[Change]:
    old, new = named(before), named(after)
    for name in sorted({*old, *new}):
        where = f"{kind} {name}"
        if name not in new:
            yield Change(where=where, field="", before=PRESENT, after=None)
        elif name not in old:
            yield Change(where=where, field="", before=None, after=PRESENT)
        else:
            for path, was, becomes in differences(old[name], new[name], camel(field)):
                yield Change(where=where, field=path, before=was, after=becomes)


def diff_view(found: PlanDiff) -> tuple[Block, ...]:
    """The difference as blocks: what it costs before what it touches."""
    if found.is_empty and not found.new_warnings and not found.gone_warnings:
        return (Paragraph(text="The two plans are the same."),)
    blocks: list[Block] = [Paragraph(text=" ".join(_costs(found)))]
    for where in dict.fromkeys(change.where for change in found.changes):
        rows = tuple(
            (change.field or "(all of it)", change.before or "-", change.after or "-")
            for change in found.changes
            if change.where == where
        )
        blocks += [Heading(text=where), Table(columns=("field", "before", "after"), rows=rows)]
    if found.new_warnings:
        blocks += [Heading(text="New warnings"), Listing(items=found.new_warnings)]
    if found.gone_warnings:
        blocks += [Heading(text="Warnings that go"), Listing(items=found.gone_warnings)]
    return tuple(blocks)


def _costs(found: PlanDiff) -> Iterator[str]:
    month, hour = found.baseline_delta_usd_per_month, found.peak_delta_usd_per_hour
    before, after = found.baseline_usd_per_month_before, found.baseline_usd_per_month_after
    yield f"Baseline: USD {_change(before, after, month, 'a month')}."
    yield f"Peak: USD {_change(found.peak_usd_per_hour_before, found.peak_usd_per_hour_after, hour, 'an hour')}."
    if found.expected_delta_usd_per_month != month:
        yield f"With the expected burst hours: {found.expected_delta_usd_per_month:+,.2f} USD a month."


def _change(before: Decimal, after: Decimal, delta: Decimal, time: str) -> str:
    if not delta:
        return f"{after:,.2f} {time}, as before"
    ratio = f", {delta / before:+.1%}" if before else ""
    return f"{before:,.2f} -> {after:,.2f} {time} ({delta:+,.2f}{ratio})"
