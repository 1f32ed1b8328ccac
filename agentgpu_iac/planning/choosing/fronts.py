"""Fronts: of what costs several things at once, that which nothing else undercuts or equals in all of them."""

from __future__ import annotations

from decimal import Decimal


class Front:
    """What was taken so far, by what it costs."""

    __slots__ = ("_taken",)

    def __init__(self) -> None:
        self._taken: list[tuple[Decimal | float, ...]] = []

    def takes(self, costs: tuple[Decimal | float, ...]) -> bool:
        """Whether nothing taken before costs as little in all; then it is taken too."""
        if any(all(theirs <= mine for theirs, mine in zip(other, costs, strict=True)) for other in self._taken):
            return False
        self._taken.append(costs)
        return True
