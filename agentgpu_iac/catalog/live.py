"""Prices of today: who can be asked for them, and what is made of the answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from agentgpu_iac.catalog.marketplace import MARKETPLACE
from agentgpu_iac.catalog.overlay import CatalogOverlay

AMAZON: Final = "aws"
"""Its Price List names what is on demand, EC2 the history of spot prices; both want credentials."""

LIVE_PROVIDERS: Final = (AMAZON, MARKETPLACE)
"""Providers that ``agentgpu catalog update`` can ask."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Update:
    """Rows for a catalog overlay, and the offers that gave none."""

    provider: str
    overlay: CatalogOverlay
    offers_used: int
    not_mapped: tuple[str, ...]
    """What the catalog cannot name, each once, and why."""
    not_usable: int
    """Offers that no plan could use now; ``not_usable_since`` says why."""
    not_usable_since: str
    """The end of a sentence: what those lack."""
    not_readable: tuple[str, ...]
    """What was not answered, or not understood."""
