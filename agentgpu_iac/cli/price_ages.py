"""Prices that have grown old since the catalog was made. The clock is read here; a plan holds no day that nobody gave it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from agentgpu_iac.catalog.days import days_between
from agentgpu_iac.units import counted

if TYPE_CHECKING:
    from agentgpu_iac.plan import PriceAge


def since_then(age: PriceAge | None) -> str:
    """A sentence where prices are too old today that were not on the day that the plan counts to; empty elsewhere."""
    if age is None or age.is_over or not age.oldest_date:
        return ""
    days = days_between(age.oldest_date, today := datetime.now(UTC).date().isoformat())
    if days <= age.limit_days:
        return ""
    return (
        f"Prices are up to {counted(days, 'day')} old today, and the plan counts to {age.day}: --today {today} plans "
        "with their age, "
        "and agentgpu catalog update asks for new ones."
    )
