"""Held and generating: the sessions that a replica keeps the context of, and the requests that it computes at once."""

from __future__ import annotations

from agentgpu_iac.spec.document import Document


class SessionLoad(Document):
    """One replica of a tier at one load."""

    held_sessions: int
    """Sessions that it holds, spread evenly over the replicas that then run; those that its daily volume makes if more."""
    pause_s: float
    """Between two requests of a session: thinking and tools, or what the daily volume leaves of it."""
    generating_mean: float
    """Requests that it computes at once, on average over time."""
    generating: int
    """Requests that it computes at once at most for the quantile of the time; at the peak those that arrive in a burst too."""
    busy_ratio: float
    """Share of the time in which its accelerators compute for anybody."""
    rate_ratio: float
    """Requests that it answers of those that it could within every budget."""


class GeneratingPlan(Document):
    """How many of the sessions of a replica generate at once: those with which its latency and throughput are planned."""

    quantile: float
    """Share of the time for which no more do (``capacity.quantile``)."""
    planned: int
    """Requests computed at once with which everything is judged: of a replica that holds ``maxNumSeqs`` sessions."""
    most: int
    """Requests computed at once with which every budget is still met, ``maxNumSeqs`` at most: what is let in."""
    normal: SessionLoad | None
    """At normal load; null for a burst tier, which then does not run."""
    peak: SessionLoad
    """At the peak."""
