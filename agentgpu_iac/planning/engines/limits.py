"""Limits of requests by what they count: the plan has one figure for seats and one for who may wait behind them, and an
engine's limit holds the waiting alone, or both together.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from agentgpu_iac.catalog.model import EngineLimit
from agentgpu_iac.plan import AdmissionPlan


def limit_arguments(limits: Iterable[EngineLimit], seats: int, admission: AdmissionPlan) -> tuple[str, ...]:
    """The arguments by which an engine turns away what the plan does not let in; nothing where the plan lets in all."""
    return tuple(word for setting, value in _values(limits, seats, admission) for word in (setting, str(value)))


def _values(limits: Iterable[EngineLimit], seats: int, admission: AdmissionPlan) -> Iterator[tuple[str, int]]:
    for limit in limits:
        if limit.status is None:
            continue
        value = limited(limit, seats, admission)
        if value is not None:
            yield limit.setting, value


def limited(limit: EngineLimit, seats: int, admission: AdmissionPlan) -> int | None:
    """The plan's figure as this limit counts it; None: the plan has none."""
    waiting = admission.max_waiting_requests
    if waiting is None:
        return None
    match limit.counts:
        case "waiting":
            figure: int | None = waiting
        case "in-flight":
            figure = seats + waiting
        case "prompt-tokens":
            figure = admission.max_queued_tokens
        case "running":
            figure = seats
    return None if figure is None else max(limit.least, figure)
