"""What it costs to call a model at somebody who runs it, by the token."""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator, Field

from agentgpu_iac.catalog.model.scalars import ReadOn
from agentgpu_iac.spec.document import Document, Money

_Price = Annotated[Annotated[Money, Field(ge=0)] | None, BeforeValidator(lambda value: None if value == "" else value)]


class TokenPrice(Document):
    """A seller's price of one model, for a million tokens.

    What the seller serves under that name, at which precision, with which limits and how fast, the row does not say.
    """

    seller: Annotated[str, Field(min_length=1)]
    """Who runs the model."""
    via: str = ""
    """Whose router passes the calls on, at this price; empty: the seller is called."""
    model: str
    """Id of the model, as the catalog has it."""
    usd_per_million_input: Annotated[Money, Field(gt=0)]
    """Of a prompt, as far as none of it is cached."""
    usd_per_million_cached: _Price = None
    """Of what the seller has in its prefix cache; empty: it grants nothing for that."""
    usd_per_million_output: _Price = None
    """Generated; empty for a model that generates nothing."""
    date: ReadOn
    """When the source had it."""
    source: Annotated[str, Field(min_length=1)]
    """Where it is from."""
