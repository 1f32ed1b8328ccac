"""What changes between two plans: the cost first, then agents, node pools and the details, in that order."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from agentgpu_iac.plan import Plan
from agentgpu_iac.review.blocks import Block, Heading, Listing, Paragraph, Table
from agentgpu_iac.review.plan_view import sentence
from agentgpu_iac.spec.document import Document, Money


class Change(Document):
    """One value that differs. A missing side means that the thing appears or disappears."""

    where: str
    """The stack, a workload or a node pool."""
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


_COSMETIC = ("chosenBecause", "priceSource", "modelCache.choices")
"""Fields that follow from others: what changed shows there."""
_OF_THE_STACK = ("stack", "target", "pattern", "architecture", "security", "quota", "gitops", "clusterObjects")


def diff(before: Plan, after: Plan) -> PlanDiff:
    """Compare two plans by their workloads, services and node pools, matched by name."""
    changes = [
        *_changes("stack", {"": _of_the_stack(before)}, {"": _of_the_stack(after)}),
        *_changes("workload", _by_name(before.workloads), _by_name(after.workloads)),
        *_changes("service", _by_name(before.sky_services), _by_name(after.sky_services)),
        *_changes("node pool", _by_name(before.node_pools), _by_name(after.node_pools)),
    ]
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


def _of_the_stack(plan: Plan) -> dict[str, Any]:
    return plan.model_dump(mode="json", by_alias=True, include=set(_OF_THE_STACK))


def _by_name(items: Any) -> dict[str, dict[str, Any]]:
    return {item.name: item.model_dump(mode="json", by_alias=True) for item in items}


def _changes(kind: str, before: dict[str, dict[str, Any]], after: dict[str, dict[str, Any]]) -> Iterator[Change]:
    for name in sorted({*before, *after}):
        where = f"{kind} {name}".rstrip()
        if name not in after:
            yield Change(where=where, field="", before="present", after=None)
        elif name not in before:
            yield Change(where=where, field="", before=None, after="present")
        else:
            old, new = dict(_leaves(before[name])), dict(_leaves(after[name]))
            for field in dict.fromkeys([*old, *new]):
                if old.get(field) != new.get(field) and not field.startswith(_COSMETIC):
                    yield Change(where=where, field=field, before=old.get(field), after=new.get(field))


def _leaves(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _leaves(inner, f"{path}.{key}" if path else key)
    elif isinstance(value, list) and any(isinstance(item, dict) for item in value):
        for position, item in enumerate(value):
            yield from _leaves(item, f"{path}[{position}]")
    elif isinstance(value, list):
        yield path, " ".join(str(item) for item in value)
    else:
        yield path, "none" if value is None else str(value)


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
