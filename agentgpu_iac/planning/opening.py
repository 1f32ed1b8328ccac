"""In which hours a deployment runs, and for how many its nodes are there and paid.

Replicas are started a cold start before a window opens, so that they are warm when it does; a node is paid from then on, and
until it has drained and stood empty for as long as an autoscaler waits. What a shared deployment runs is the union of its
agents' windows, at the most of the year where these are on the clocks of several zones.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from agentgpu_iac.spec.hours import (
    DAY,
    WEEK,
    OpenHours,
    clock,
    length,
    most_minutes,
    open_hours,
    together,
    weekdays,
)
from agentgpu_iac.spec.model import Agent, AgentSchedule
from agentgpu_iac.units import HOURS_PER_MONTH

POLLING_S: Final = 30
"""Between two looks of KEDA at the clock; the HPA that it makes looks every 15 s."""
HPA_S: Final = 15
"""Between two looks of an HPA."""
EMPTY_S: Final = 600
"""How long a node of a pool that follows a schedule stays empty: Cluster Autoscaler's default too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """The hours of a deployment; no two of one zone."""

    hours: tuple[OpenHours, ...]
    replicas_outside: int
    """Replicas that stay warm outside."""

    @property
    def open_minutes(self) -> int:
        """Minutes of a week in which it is to answer."""
        return most_minutes(self.hours)

    def running(self, lead_minutes: int) -> tuple[OpenHours, ...]:
        """When its replicas are wanted: from so long before each window on, at times that every clock has once."""
        return tuple(each.widened(lead_minutes, 0).clear_of_jumps() for each in self.hours)

    def node_hours(self, lead_minutes: int, tail_minutes: int) -> Decimal:
        """Hours of a month of 720 h in which a node of its windows is there."""
        there = [each.widened(0, tail_minutes) for each in self.running(lead_minutes)]
        return per_month(most_minutes(there))


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeHours:
    """For how long nodes that a deployment has for itself are there, where they come and go with its windows."""

    lead_minutes: int
    """How long before a window they are asked for."""
    tail_minutes: int
    """How long after it they are still there."""
    hours: Decimal
    """In a month."""
    replicas_outside: int
    """Replicas that stay outside; each may hold a node."""

    def kept(self, nodes: int, nodes_per_replica: int) -> int:
        """Of so many nodes those that stay all month."""
        return min(nodes, self.replicas_outside * nodes_per_replica)

    def node_hours(self, nodes: int, nodes_per_replica: int) -> Decimal:
        """Hours of so many nodes in a month, all together."""
        kept = self.kept(nodes, nodes_per_replica)
        return Decimal(HOURS_PER_MONTH) * kept + self.hours * (nodes - kept)


def per_month(minutes_per_week: int) -> Decimal:
    """Hours of a month of 720 h, of so many minutes a week."""
    return Decimal(HOURS_PER_MONTH) * minutes_per_week / WEEK


def lead_minutes(cold_start_s: float) -> int:
    """How long before a window its replicas are asked for: a cold start at worst, and until KEDA and its HPA have looked."""
    return math.ceil((cold_start_s + POLLING_S + HPA_S) / 60)


def tail_minutes(grace_period_s: float) -> int:
    """How long after a window its nodes are still there: until KEDA looks, pods are gone and the node has been empty."""
    return math.ceil((POLLING_S + grace_period_s + EMPTY_S) / 60)


def opening_of(agent: Agent) -> Opening | None:
    """The hours in which an agent runs; None: around the clock."""
    schedule = agent.schedule
    if schedule is None:
        return None
    hours = _hours(schedule)
    outside = schedule.replicas_outside
    if outside is None:
        outside = 0 if agent.latency_class == "background" else 1
    return None if hours.is_always else Opening(hours=(hours,), replicas_outside=outside)


def joined(openings: Iterable[Opening | None]) -> Opening | None:
    """The hours of a deployment that serves several agents; None where one of them is always there."""
    found: list[Opening] = []
    for each in openings:
        if each is None:
            return None
        found.append(each)
    hours = together(hours for each in found for hours in each.hours)
    outside = max((each.replicas_outside for each in found), default=0)
    return None if any(each.is_always for each in hours) else Opening(hours=hours, replicas_outside=outside)


def open_days(agent: Agent) -> int:
    """Days of a week on which some window opens: all of them without a schedule."""
    schedule = agent.schedule
    if schedule is None:
        return 7
    return len({day for window in schedule.windows for day in weekdays(window.days) or ()})


def seconds_of_a_day(agent: Agent) -> float:
    """Over which the volume of a day on which it runs is spread: the open hours of the week, by those days."""
    opening = opening_of(agent)
    if opening is None:
        return DAY * 60.0 * 7 / open_days(agent)
    return opening.open_minutes * 60.0 / open_days(agent)


def windows_per_month(agent: Agent) -> float:
    """How often in 30 days a window of its schedule opens: as often has it work to do."""
    schedule = agent.schedule
    each = 0 if schedule is None else sum(len(weekdays(window.days) or ()) for window in schedule.windows)
    return each * HOURS_PER_MONTH / 24 / 7


def work_seconds(agent: Agent) -> float:
    """The time that its work has: from the opening of the shortest window to the deadline.

    On the day on which the clock leaves an hour out within a window it has that hour less, and is late by as much at most.
    """
    schedule, work = agent.schedule, agent.work
    if schedule is None or work is None:
        return DAY * 60.0
    least = DAY
    for window in schedule.windows:
        opens, closes = clock(window.opens) or 0, clock(window.closes) or 0
        by = closes if work.by is None else clock(work.by) or 0
        least = min(least, length(opens, by) or DAY)
    return least * 60.0


def _hours(schedule: AgentSchedule) -> OpenHours:
    windows = (
        (weekdays(window.days) or (), clock(window.opens) or 0, clock(window.closes) or 0)
        for window in schedule.windows
    )
    return open_hours(schedule.timezone, windows)
