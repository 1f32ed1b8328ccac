"""In which hours a deployment's warm replicas run, and what an agent must have done by then."""

from __future__ import annotations

from agentgpu_iac.plan.scaling import Schedule
from agentgpu_iac.spec.document import Document


class OpenHoursPlan(Document):
    """Hours in which a baseline is warm, and what raises and lowers it by the clock; see docs/schedules.md."""

    open_hours_per_week: float
    """Hours of a week in which it answers: those of the windows of all agents that it serves, together."""
    node_hours_per_month: float | None
    """Hours of a month of 720 h in which a node of its windows is there and paid; null: its nodes are there around the clock,
    for others or since they are held."""
    lead_s: int
    """How long before a window its replicas are asked for: the cold start at worst, KEDA's polling and its HPA's, in whole
    minutes."""
    replicas_outside: int
    """Replicas that stay outside the windows."""
    windows: tuple[Schedule, ...]
    """Starts, ``leadS`` before the windows, and ends, each with all replicas of the baseline; the one that asks for most
    counts. No start lies in an hour that a change of the clock leaves out or has twice, no end in one that it leaves out."""
    polling_interval_s: int
    """Time between two looks at the clock."""


class WorkPlan(Document):
    """A batch that is done in each window."""

    requests_per_window: float
    """Requests to the engine in one window."""
    seconds: float
    """Time that they have: from the opening of the shortest window to the deadline. Where the clock leaves an hour out in
    between, they are late by that hour at most, once a year."""
    requests_per_s: float
    """The rate that is planned for."""
    sessions: int
    """Requests that its caller keeps open at once, so that the rate comes about with answers at 50 ms a token, or at the
    agent's TPOT budget; of a model that generates nothing as many as all seats."""
