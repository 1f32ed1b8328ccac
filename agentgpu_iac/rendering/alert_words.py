"""An alert in words and in PromQL, and the questions that several alerts ask alike."""

from __future__ import annotations

from dataclasses import dataclass

from agentgpu_iac.plan import AlertPlan, MetricsPlan, Workload
from agentgpu_iac.plan.series import decimal
from agentgpu_iac.units import counted


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """An alert in words and in PromQL."""

    expression: str
    summary: str
    description: str
    first: str
    """The first thing to do, in one or two sentences; the runbook has the rest."""


def metrics_of(workload: Workload) -> MetricsPlan:
    """The metrics of a workload that the plan has an alert on."""
    if workload.metrics is None:
        raise ValueError(f"{workload.name} has an alert on series that nobody knows")
    return workload.metrics


def in_both_windows(alert: AlertPlan, over: str, every: str) -> str:
    """The share that is over, where it is over in both windows and enough requests were counted.

    ``over`` and ``every`` are counts of requests, with WINDOW in the place of the range. ``and`` asks for a value on its
    right, so a window without requests says nothing.
    """

    def share(window_s: int) -> str:
        window = f"[{window_s}s]"
        return f"{over.replace('WINDOW', window)} / {every.replace('WINDOW', window)} > {decimal(alert.threshold)}"

    long = f"[{alert.long_window_s}s]"
    return (
        f"({share(alert.window_s)}) and ({share(alert.long_window_s)}) "
        f"and ({every.replace('WINDOW', long)} >= {alert.least_requests}) "
        f"and ({over.replace('WINDOW', long)} >= {alert.least_over})"
    )


def windows_in_words(alert: AlertPlan) -> str:
    """The windows and the floor, for a description."""
    return (
        f"in the last {alert.window_s // 60} min and in the last {alert.long_window_s // 60} min, of at least "
        f"{counted(alert.least_requests, 'request')}"
    )
