"""What drives the price of a deployment: the limit that, if it were looser, fewer or cheaper machines would do."""

from __future__ import annotations

from agentgpu_iac.plan.codes import Constraint, DriverConstraint
from agentgpu_iac.spec.document import Document, Money


class Driver(Document):
    """A limit that a deployment stands at."""

    agent: str
    """Deployment: the ``agent`` of its workloads."""
    agents: tuple[str, ...]
    """Agents that it serves."""
    usd_per_month: Money
    """What it causes of the nodes' expected cost."""
    share_ratio: float
    """Its part of the stack's."""
    constraint: DriverConstraint
    """What it stands at: a code of [What drives the price](#what-drives-the-price)."""
    refused: Constraint | DriverConstraint | None = None
    """For ``card``: what turns a cheaper machine away, or makes it take more replicas; null elsewhere."""
    need: float | None
    """With one session, replica or machine less, or the next cheaper one; null: there is no figure."""
    limit: float | None
    """What there may be."""
    unit: str
    """Unit of both; empty where there are no figures."""
    message: str
    """The same as a sentence."""
