"""Attention groups of a replica: how its sessions fall on them.

With attention data parallelism each group of accelerators has its own scheduler, seats and KV cache, and a request is in
one of them from its first token to its last. So a group needs more seats than its even part of the sessions: by how much
depends on who chooses the group.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

from agentgpu_iac.spec.vocabulary import GroupChoice
from agentgpu_iac.units import ceil_div

_BALANCER_SPREAD = 0.5
"""Sessions that the fullest group has more than the mean, in roots of the mean, under the engine's own balancer.

Found by stepping the rule of vLLM 0.33.0 (each of as many API servers as groups takes the group with the least of its own
requests and of a count that is up to 100 ms old): 95 % of the time no group is more than 1, 1, 2 and 3 above a mean of 1,
4, 12 and 100 where answers take 10 s (2 to 8 groups), 2, 2, 3 and 5 where they take 1 s."""
_CERTAINTY = 0.95
"""How likely no group has more sessions than it has seats, where sessions are spread by a hash."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Groups:
    """The attention groups of one replica."""

    count: int = 1
    choice: GroupChoice = "balanced"

    def seats(self, sessions: int) -> int:
        """Seats that each group needs, so that one hardly ever waits while another has room."""
        if self.count == 1 or sessions <= 1:
            return sessions
        mean = sessions / self.count
        return min(sessions, ceil_div(sessions, self.count) + math.ceil(self._spread * math.sqrt(mean) - 1e-9))

    def sessions(self, seats: int) -> int:
        """The most sessions of the replica for which that many seats in each group suffice."""
        low, high = 0, seats * self.count
        while low < high:
            middle = (low + high + 1) // 2
            if self.seats(middle) <= seats:
                low = middle
            else:
                high = middle - 1
        return low

    def fullness(self, sessions: int) -> float:
        """Sessions of the fullest group over those of a mean one: all groups wait for it in each layer."""
        return 1.0 if self.count == 1 or sessions <= 1 else self.count * self.seats(sessions) / sessions

    @property
    def _spread(self) -> float:
        """Roots of the mean by which the fullest group is above it."""
        if self.choice == "balanced":
            return _BALANCER_SPREAD
        share = math.sqrt(1 - 1 / self.count)
        return NormalDist().inv_cdf(_CERTAINTY ** (1 / self.count)) * share
