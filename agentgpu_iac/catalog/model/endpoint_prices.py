"""What a dedicated endpoint costs: a seller's machine that runs one customer's model alone, by the hour."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from agentgpu_iac.catalog.model.scalars import ReadOn
from agentgpu_iac.spec.document import Document, Money


class EndpointPrice(Document):
    """A seller's price of one accelerator of a dedicated endpoint.

    Which engine runs there, at which precision and how fast, the row does not say.
    """

    seller: Annotated[str, Field(min_length=1)]
    """Who runs the endpoint."""
    accelerator: str
    """Id of the accelerator, as the catalog has it."""
    usd_per_accelerator_hour: Annotated[Money, Field(gt=0)]
    """While the endpoint is up, asked or not."""
    date: ReadOn
    """When the source had it."""
    source: Annotated[str, Field(min_length=1)]
    """Where it is from."""
