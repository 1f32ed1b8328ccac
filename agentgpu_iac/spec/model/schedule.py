"""When an agent runs, and what it must have done by then."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, StringConstraints

from agentgpu_iac.spec.document import Document
from agentgpu_iac.spec.model.fields import Count, PositiveCount, TimeZone

ClockTime = Annotated[str, StringConstraints(pattern=r"^(([01][0-9]|2[0-3]):[0-5][0-9]|24:00)$")]
_DAY = "(sun|mon|tue|wed|thu|fri|sat)"
Weekdays = Annotated[str, StringConstraints(pattern=rf"^{_DAY}(-{_DAY})?(,{_DAY}(-{_DAY})?)*$", max_length=64)]


class OpenWindow(Document):
    """Hours of some days of the week."""

    days: Weekdays = "mon-sun"
    """Weekdays on which it opens: a range such as ``mon-fri``, or a list such as ``mon,wed,fri``."""
    opens: ClockTime
    """When it opens, in quotes: "08:00". The agent is warm then: its nodes are started a cold start earlier."""
    closes: ClockTime
    """When it closes, in quotes: "18:00". Earlier than ``opens``: on the next day. "24:00": at midnight."""


class AgentSchedule(Document):
    """The hours in which an agent runs."""

    windows: Annotated[tuple[OpenWindow, ...], Field(min_length=1, max_length=64)]
    """When it runs; windows may overlap."""
    timezone: TimeZone = "UTC"
    """IANA time zone of all its times, with its summer time, such as Europe/Berlin."""
    replicas_outside: Count | None = None
    """Replicas that stay warm outside the windows. Unset: none of a background agent, one of another. 0 for an agent that
    somebody waits for: nobody is answered outside."""


class Work(Document):
    """A batch that is done in each window of the schedule, by a deadline. Its rate follows, and from that replicas and seats."""

    requests: PositiveCount | None = None
    """Requests to the engine in each window; or write ``tokens``."""
    tokens: PositiveCount | None = None
    """Tokens that are generated in each window, reasoning included; of a model that generates nothing, tokens that are read."""
    by: ClockTime | None = None
    """When the last one is answered, in quotes: "06:00". Unset: when the window closes."""
