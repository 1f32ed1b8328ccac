"""What changes between two plans: the cost first, then agents, node pools and the details, in that order."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from agentgpu_iac.planning.plan import Plan
from agentgpu_iac.review.blocks import Block, Heading, Listing, Paragraph, Table
from agentgpu_iac.spec.document import Document, Money


class Change(Document):
    """One value that differs. A missing side means that the thing appears or disappears."""

    where: str
    """Workload or node pool."""
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
    peak_delta_usd_per_hour: Money
    changes: tuple[Change, ...]
    new_warnings: tuple[str, ...]
    gone_warnings: tuple[str, ...]

    @property
    def is_empty(self) -> bool:
        """Nothing differs that a plan decides."""
        return not self.changes and not self.baseline_delta_usd_per_month and not self.peak_delta_usd_per_hour


_COSMETIC = frozenset({"chosenBecause", "priceSource"})


def diff(before: Plan, after: Plan) -> PlanDiff:
    """Compare two plans by their workloads and node pools, matched by name."""
    changes = [
        *_changes("workload", _by_name(before.workloads), _by_name(after.workloads)),
        *_changes("node pool", _by_name(before.node_pools), _by_name(after.node_pools)),
    ]
    old = {f"{one.code}: {one.message}" for one in before.warnings}
    new = {f"{one.code}: {one.message}" for one in after.warnings}
    return PlanDiff(
        before=before.stack,
        after=after.stack,
        baseline_usd_per_month_before=before.cost.baseline_usd_per_month,
        baseline_usd_per_month_after=after.cost.baseline_usd_per_month,
        baseline_delta_usd_per_month=after.cost.baseline_usd_per_month - before.cost.baseline_usd_per_month,
        peak_delta_usd_per_hour=after.cost.peak_usd_per_hour - before.cost.peak_usd_per_hour,
        changes=tuple(changes),
        new_warnings=tuple(sorted(new - old)),
        gone_warnings=tuple(sorted(old - new)),
    )


def _by_name(items: Any) -> dict[str, dict[str, Any]]:
    return {item.name: item.model_dump(mode="json", by_alias=True) for item in items}


def _changes(kind: str, before: dict[str, dict[str, Any]], after: dict[str, dict[str, Any]]) -> Iterator[Change]:
    for name in sorted({*before, *after}):
        if name not in after:
            yield Change(where=f"{kind} {name}", field="", before="present", after=None)
        elif name not in before:
            yield Change(where=f"{kind} {name}", field="", before=None, after="present")
        else:
            old, new = dict(_leaves(before[name])), dict(_leaves(after[name]))
            for field in dict.fromkeys([*old, *new]):
                if old.get(field) != new.get(field) and field not in _COSMETIC:
                    yield Change(where=f"{kind} {name}", field=field, before=old.get(field), after=new.get(field))


def _leaves(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _leaves(inner, f"{path}.{key}" if path else key)
    elif isinstance(value, list):
        yield path, " ".join(str(item) for item in value)
    else:
        yield path, "none" if value is None else str(value)


def diff_view(found: PlanDiff) -> tuple[Block, ...]:
    """The difference as blocks: what it costs before what it touches."""
    if found.is_empty and not found.new_warnings and not found.gone_warnings:
        return (Paragraph(text="The two plans are the same."),)
    delta = found.baseline_delta_usd_per_month
    blocks: list[Block] = [
        Paragraph(
            text=f"Baseline: USD {found.baseline_usd_per_month_before:,.2f} -> {found.baseline_usd_per_month_after:,.2f} a month "
            f"({delta:+,.2f}{_percent(found.baseline_usd_per_month_before, delta)}). "
            f"Peak: {found.peak_delta_usd_per_hour:+,.4f} USD an hour."
        )
    ]
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


def _percent(before: Decimal, delta: Decimal) -> str:
    return f", {delta / before:+.1%}" if before else ""
