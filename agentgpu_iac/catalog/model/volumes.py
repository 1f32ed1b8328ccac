"""Block storage: what a volume type gives and costs."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from agentgpu_iac.catalog.model.scalars import Count, Integer, ReadOn, Sources
from agentgpu_iac.spec.document import Document, Money

VolumeId = Literal["ebs-gp3", "ebs-io2"]
"""Volume types, as plans name them."""


class VolumeType(Document):
    """A type of network volume: its price, and how fast it can be provisioned.

    AWS writes its throughput prices for MB/s and provisions MiB/s; the figures are taken as MiB/s.
    """

    id: VolumeId
    """As plans name it."""
    name: str
    """The provider's name."""
    provider: str
    """Provider id."""
    region: str
    """Region that the prices are from."""
    usd_per_gb_month: Money
    """Price of the size."""
    included_mib_per_s: Integer = 0
    """Throughput that is in the price of the size."""
    usd_per_mib_per_s_month: Money | None = None
    """Price of throughput beyond that; unset: throughput follows from the IOPS and is not sold by itself."""
    max_mib_per_s: Count
    """Most throughput of a volume that a node is started with."""
    included_iops: Integer = 0
    """IOPS that are in the price of the size."""
    usd_per_iops_month: Money
    """Price of IOPS beyond that."""
    mib_per_s_per_iops: Annotated[float, Field(gt=0)]
    """Throughput that one IOPS carries."""
    date: ReadOn
    """When the prices were read."""
    sources: Sources
    """Where the figures are from."""
    note: str | None = None
    """What a reader should know about them."""
