"""What would shorten the start of an agent's burst replicas, and what that would save."""

from __future__ import annotations

from typing import Literal

from agentgpu_iac.catalog.model import ShortcutId
from agentgpu_iac.spec.document import Document, Money


class StartChoice(Document):
    """One way to start sooner: what it would buy in replicas that need not be warm, whether the plan can do it or not."""

    agent: str
    """Agent, one whose burst is absorbed by warm replicas."""
    choice: ShortcutId
    """Which."""
    title: str
    """What it is, in a few words."""
    status: Literal["taken", "offered", "not-here"]
    """taken: the plan counts it already. offered: the spec can ask for it. not-here: ``whyNot`` says why no plan does it."""
    setting: str
    """What the spec says for it; empty where nothing does."""
    why_not: str
    """Why it is not taken; empty where it is."""
    measured: bool
    """False: nobody published seconds of it, and none are counted in place of what it spares: the figures are the best that
    it could do."""
    cold_start_s: float
    """The cold start with it, at worst, by which replicas are made warm."""
    warm_replicas: int
    """Replicas that must then be warm, all else alike."""
    usd_per_month: Money
    """The agent's baseline then, on nodes of its own, over 720 h."""
    delta_usd_per_month: Money
    """Compared with the agent's baseline on nodes of its own as planned."""
    source: str
    """Where its figures are from."""


class StartTarget(Document):
    """How short a start must be for fewer warm replicas to do, whatever makes it so."""

    agent: str
    """Agent."""
    warm_replicas: int
    """Replicas that are warm."""
    cold_start_s: float
    """The longest cold start, at worst, with which so many hold all who come before it is over."""
    usd_per_month: Money
    """The agent's baseline with them, on nodes of its own, over 720 h."""
    delta_usd_per_month: Money
    """Compared with the agent's baseline on nodes of its own as planned."""
