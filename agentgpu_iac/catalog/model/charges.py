"""What a provider bills for a cluster beside the machines with accelerators."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from agentgpu_iac.catalog.model.scalars import Count, ReadOn, Sources
from agentgpu_iac.spec.document import Document, Money

ChargeId = Literal["control-plane", "extended-support", "nat-gateway", "public-address", "nat-traffic", "logs"]
"""Charges, as plans name them."""


class Charge(Document):
    """A price for something that runs, or is used, beside the nodes of a plan."""

    id: ChargeId
    """As plans name it."""
    provider: str
    """Provider id."""
    region: str
    """Region that the price is from; it stands for the others, and plans say so."""
    what: str
    """In words, for people."""
    usd: Annotated[Money, Field(gt=0)]
    """Price of one, for an hour or for a GB."""
    per: Literal["hour", "gb"]
    """hour: of each that is there, used or not. gb: of what goes through, which no plan knows."""
    count: Count = 1
    """How many of it the program of the target makes."""
    date: ReadOn
    """When the price was read."""
    sources: Sources
    """Where it is from."""
