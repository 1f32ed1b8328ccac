"""How far a search by simulations is, and how long it may still take."""

from __future__ import annotations

import math
from collections.abc import Callable
from time import monotonic
from typing import TYPE_CHECKING

from agentgpu_iac.errors import BadInput

if TYPE_CHECKING:
    from agentgpu_iac.planning.proving import Progressed

_MINUTE_S = 60


def check_hours(hours: float | None) -> None:
    """Refuse hours that nothing simulates."""
    from agentgpu_iac.simulation.simulate import MOST_HOURS  # noqa: PLC0415 - only where it is asked

    if hours is not None and not (math.isfinite(hours) and 0 < hours <= MOST_HOURS):
        raise BadInput.one("--hours", f"is no number above 0, {MOST_HOURS:,g} at most")


def simulating(show: Callable[[str], None], clock: Callable[[], float] = monotonic) -> Callable[[Progressed], None]:
    """Shows how many simulations were made, and from what they cost how long the others take at most."""
    began_s = clock()

    def tell(progressed: Progressed) -> None:
        show(how_far(progressed, clock() - began_s))

    return tell


def how_far(progressed: Progressed, passed_s: float) -> str:
    """In words; nothing is foretold before the first simulation is over."""
    text = f"({progressed.simulations:.1f} of {progressed.most} simulations at most"
    if progressed.simulations < 1:
        return f"{text})"
    left_s = passed_s / progressed.simulations * (progressed.most - progressed.simulations)
    minutes = math.ceil(left_s / _MINUTE_S)
    return f"{text}, {minutes} min more at most; --hours shortens each)" if minutes > 1 else f"{text})"
