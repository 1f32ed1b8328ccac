"""The sums behind a plan's numbers, by workload and part."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from agentgpu_iac.plan import LedgerEntry, Plan
from agentgpu_iac.review.report.tables import anchor, sections


@dataclass(frozen=True, slots=True, kw_only=True)
class Sum:
    """One number with how it comes about."""

    id: str
    name: str
    result: str
    lines: tuple[tuple[str, str], ...]
    """Formula, with its figures, source: what it is and what it says."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SumSection:
    """Sums of one part of the plan."""

    title: str
    sums: tuple[Sum, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SumGroup:
    """Sums of one workload."""

    title: str
    sections: tuple[SumSection, ...]


def sum_groups(plan: Plan) -> Iterator[SumGroup]:
    """Every sum of the ledger, as it lies there."""
    owned: dict[str, list[tuple[int, LedgerEntry]]] = {}
    for position, entry in enumerate(plan.ledger):
        owned.setdefault(entry.workload, []).append((position, entry))
    for workload, entries in owned.items():
        yield SumGroup(
            title=workload,
            sections=tuple(
                SumSection(title=title, sums=tuple(_sum(position, entry) for position, entry in found))
                for title, found in sections(entries).items()
            ),
        )


def _sum(position: int, entry: LedgerEntry) -> Sum:
    lines = (("how", entry.formula), ("with", entry.inputs), ("from", entry.source))
    return Sum(
        id=anchor(position),
        name=entry.name,
        result=entry.result,
        lines=tuple((name, text) for name, text in lines if text),
    )
