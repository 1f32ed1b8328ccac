"""How old the prices are that a plan counts."""

from __future__ import annotations

from collections.abc import Sequence

from agentgpu_iac.catalog.days import days_between
from agentgpu_iac.plan import LineItem, PriceAge


def price_age(items: Sequence[LineItem], day: str, limit_days: int) -> PriceAge | None:
    """The age of the oldest price among the items on a day; None where no day is known to count to.

    A price of the future, by a clock that goes wrong or a day given by hand, is 0 days old.
    """
    if not day:
        return None
    dated = [item.price_date for item in items if item.price_date]
    oldest = max(dated, key=lambda date: days_between(date, day), default="")
    return PriceAge(
        day=day,
        oldest_date=oldest,
        days=max(0, days_between(oldest, day)) if oldest else None,
        undated=sum(not item.price_date for item in items),
        limit_days=limit_days,
    )
