"""What is committed to a provider, or may be: paid for whether it is used or not."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from agentgpu_iac.spec.document import Document, Money
from agentgpu_iac.spec.model.fields import LISTED, PositiveCount, Text

Day = Annotated[str, StringConstraints(pattern=r"^[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])$")]
"""A day, YYYY-MM-DD."""


class SavingsRate(Document):
    """What a savings plan asks for one kind of machine."""

    machine: Text
    """Instance type that the rate is of."""
    usd_per_hour: Annotated[Money, Field(gt=0)]
    """What an hour of one takes of the commitment."""


class Commitment(Document):
    """Capacity that is paid for whether it is used or not: reserved instances, a savings plan or a capacity block."""

    kind: Literal["reserved", "savings-plan", "capacity-block"]
    """reserved: machines of one kind, over a term. savings-plan: USD an hour, used up at the rates of its machines.
    capacity-block: machines of one kind, between two days."""
    machine: Text | None = None
    """Instance type; a savings plan names its own in ``rates``."""
    provider: Text | None = None
    """Whose; unset: of whoever sells a machine of that name."""
    region: Text | None = None
    """Where it holds; unset: everywhere."""
    count: PositiveCount | None = None
    """Machines that are committed, or may be at most."""
    usd_per_hour: Annotated[Money, Field(ge=0)]
    """What one machine costs in an hour beside ``upfrontUsd``; of a savings plan what is committed in an hour, or may be at
    most."""
    upfront_usd: Annotated[Money, Field(ge=0)] = Decimal(0)
    """What is paid at once for each machine, for the whole term. It is counted spread over the term's hours."""
    term_months: Annotated[int, Field(ge=1, le=120)] | None = None
    """How long it binds."""
    rates: Annotated[tuple[SavingsRate, ...], LISTED] = ()
    """What a savings plan covers, and what an hour of that takes of it."""
    signed: bool = False
    """true: it is signed, and paid in any case. false: the plan signs as much of it as pays, for nodes of the baseline."""
    starts: Day | None = None
    """First day of a capacity block."""
    ends: Day | None = None
    """The day on which it ends: that one is not covered any more. One that has ended by the day of the plan is not counted."""
