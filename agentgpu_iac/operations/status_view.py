"""How a report reads: the findings before the workloads, what to do beside what is wrong."""

from __future__ import annotations

from collections import Counter

from agentgpu_iac.operations.findings import KIND_ORDER, PERMANENT, Finding, FindingKind
from agentgpu_iac.operations.progress import WorkloadProgress
from agentgpu_iac.operations.report import Report
from agentgpu_iac.review.blocks import Block, Heading, Listing, Paragraph, Table
from agentgpu_iac.units import counted

_TITLES: dict[FindingKind, str] = {
    "forbidden": "May not be read",
    "foreign": "Of somebody else",
    "not-installed": "Not installed",
    "missing": "Missing",
    "changed": "Changed",
    "pending": "Pending",
    "unhealthy": "Unhealthy",
    "orphan": "Left over",
}

_PODS_SHOWN = 3
_DETAIL_START, _DETAIL_END = 160, 240
"""Of a long text, both ends: a scheduler says what matters first, an engine last."""


def status_view(report: Report) -> tuple[Block, ...]:
    """A report as blocks."""
    blocks: list[Block] = [Paragraph(text=_summary(report))]
    for kind in KIND_ORDER:
        found = tuple(each for each in report.findings if each.kind == kind)
        if found:
            hints = {each.hint for each in found}
            shared = hints.pop() if len(found) > 1 and len(hints) == 1 else None
            sentences = tuple(_sentence(each, with_hint=shared is None) for each in found)
            blocks += [Heading(text=_TITLES[kind]), Listing(items=sentences)]
            blocks += [Paragraph(text=f"What to do: {shared}.")] if shared else []
    blocks += [Heading(text="Workloads"), progress_table(report.workloads)]
    if report.notes:
        blocks += [Heading(text="Notes"), Listing(items=report.notes)]
    return tuple(blocks)


def _summary(report: Report) -> str:
    if report.in_line:
        there = f"{counted(report.objects, 'object')} {'is' if report.objects == 1 else 'are'} there as planned"
        return f"{report.stack}: in line with the plan. {there}, and all are well."
    counts = Counter(each.kind for each in report.findings)
    told = ", ".join(f"{counts[kind]} {_TITLES[kind].lower()}" for kind in KIND_ORDER if counts[kind])
    return f"{report.stack}: not in line with the plan ({told}; {counted(report.objects, 'object')} planned)."


def _sentence(found: Finding, *, with_hint: bool) -> str:
    pods = ", ".join(found.pods[:_PODS_SHOWN]) + (
        f" and {len(found.pods) - _PODS_SHOWN} more" if found.pods[_PODS_SHOWN:] else ""
    )
    reason = f" [{found.reason}]" if found.reason else ""
    return "".join(
        (
            f"{found.object}{reason}: {found.message}.",
            f" Pods: {pods}." if pods else "",
            f" The cluster says: {_ended(_shortened(found.detail))}" if found.detail else "",
            f" What to do: {found.hint}." if with_hint else "",
        )
    )


def _ended(text: str) -> str:
    """Words of somebody else as a sentence, so that ours begin after its end."""
    return text if text.endswith((".", "!", "?")) else f"{text}."


def _shortened(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _DETAIL_START + _DETAIL_END else f"{line[:_DETAIL_START]} ... {line[-_DETAIL_END:]}"


def progress_table(workloads: tuple[WorkloadProgress, ...]) -> Table:
    """How far each workload is."""
    return Table(
        columns=("workload", "serves", "planned", "wanted", "ready", "stage", "for s", "plan s", "waiting for"),
        rows=tuple(
            (
                each.name,
                ", ".join(each.agents),
                str(each.min) if each.min == each.max else f"{each.min}..{each.max}",
                str(each.wanted),
                str(each.ready),
                each.stage,
                _seconds(each.since_s),
                _seconds(each.planned_s),
                each.waiting_for or "-",
            )
            for each in workloads
        ),
        right=frozenset({2, 3, 4, 6, 7}),
    )


def rest_line(report: Report) -> str:
    """What else is waited for, in one line; empty where nothing is. Workloads have lines of their own."""
    names = {each.name for each in report.workloads}
    rest = tuple(
        each
        for each in report.findings
        if each.kind not in PERMANENT and not (each.kind == "pending" and each.object.rpartition("/")[2] in names)
    )
    more = f" (and {len(rest) - 1} more)" if rest[1:] else ""
    return f"{_TITLES[rest[0].kind].lower()}: {rest[0].object}: {rest[0].message}{more}" if rest else ""


def progress_line(each: WorkloadProgress) -> str:
    """One workload's progress in one line, where there is no terminal."""
    since = f" for {_seconds(each.since_s)} s" if each.since_s is not None else ""
    planned = f" (plan: {_seconds(each.planned_s)} s)" if each.planned_s is not None else ""
    waiting = f": {each.waiting_for}" if each.waiting_for else ""
    return f"{each.name}: {each.stage}{since}{planned}, {each.ready} of {each.wanted} ready{waiting}"


def _seconds(value: float | None) -> str:
    return "-" if value is None else f"{value:.0f}"
