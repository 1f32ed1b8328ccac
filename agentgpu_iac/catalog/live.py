"""Who answers for prices of today."""

from __future__ import annotations

from typing import Final

from agentgpu_iac.catalog.marketplace import MARKETPLACE

AMAZON: Final = "aws"
"""Its Price List names what is on demand, EC2 the history of spot prices; both want credentials."""

LIVE_PROVIDERS: Final = (AMAZON, MARKETPLACE)
"""Providers that ``agentgpu catalog update`` can ask."""
