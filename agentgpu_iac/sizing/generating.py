"""How many of the sessions that a replica holds generate at once: a closed queue.

A session asks, pauses once it is answered (its user thinks, its tool runs), and asks again. Of S sessions n generate::

    a pause ends        (S - n) / pause
    a request ends      n / time(n)

time(n) is what a request takes while n are computed at once, and n / time(n) so the replica's rate: a flow-equivalent server
(Chandy, Herzog and Woo, 1975). The share of the time in which n generate is then

    P(n) ~ product over i = 1 .. n of (S - i + 1) x time(i) / (i x pause)

An engine gives each request that it runs the same part of itself, so the means of pauses and lengths decide and not how they
are spread (Baskett, Chandy, Muntz and Palacios, 1975). Without a pause all generate. More sessions, slower answers and
shorter pauses each move P to the right, so no number below is ever less for them.

``tests/sizing/test_generating.py`` holds it against stepping a replica whose sessions pause.
"""

from __future__ import annotations

import bisect
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

_NEGLIGIBLE = 1e-13
"""Where shares of the time, against the largest one, are no longer counted."""
_HALVINGS = 60
_ROUNDING = 1e-9


class RequestTime:
    """What a request takes by how many are computed at once: asked at a few numbers, and straight between them.

    The numbers are the same for every S, so that sessions are compared on one curve. It never falls, nor does the rate.
    """

    __slots__ = ("_at", "_numbers", "_times")

    def __init__(self, at: Callable[[int], float]) -> None:
        self._at = at
        self._numbers = [1]
        self._times = [at(1)]

    def __call__(self, requests: float) -> float:
        """In the unit of what was asked; below one request as for one."""
        while self._numbers[-1] < requests:
            self._append(_next(self._numbers[-1]))
        place = bisect.bisect_left(self._numbers, requests)
        if not place:
            return self._times[0]
        low, high = self._numbers[place - 1], self._numbers[place]
        below, above = self._times[place - 1], self._times[place]
        return below + (above - below) * (requests - low) / (high - low)

    def _append(self, requests: int) -> None:
        last, before = self._times[-1], self._numbers[-1]
        self._numbers.append(requests)
        self._times.append(min(max(self._at(requests), last), last * requests / before))

    def rate(self, requests: float) -> float:
        """Requests answered in a unit of time while so many are computed."""
        return requests / self(requests)

    def requests_at(self, rate: float, most: float) -> float:
        """How many are computed on average where so many come in a unit of time (Little: rate x time); ``most`` if more."""
        if self.rate(most) <= rate:
            return most
        low, high = 0.0, most
        for _ in range(_HALVINGS):
            middle = (low + high) / 2
            if middle > rate * self(middle):
                high = middle
            else:
                low = middle
        return high


def _next(requests: int) -> int:
    """1, 2, 3, 4, 6, 8, 12, 16, ...: two in each doubling."""
    power = 1 << (requests.bit_length() - 1)
    return requests + 1 if requests < 4 else (power + power // 2 if requests == power else 2 * power)


@dataclass(frozen=True, slots=True, kw_only=True)
class Generating:
    """Shares of the time by how many generate; the numbers outside have none that counts."""

    first: int
    shares: tuple[float, ...]
    """Of ``first``, ``first`` + 1 and so on; 1 in all."""

    @property
    def mean(self) -> float:
        """On average over time."""
        return math.fsum((self.first + number) * share for number, share in enumerate(self.shares))

    @property
    def busy_ratio(self) -> float:
        """Share of the time in which at least one generates."""
        return 1.0 if self.first else 1 - self.shares[0]

    def at(self, quantile: float) -> int:
        """The fewest that are not exceeded for that share of the time."""
        total = 0.0
        for number, share in enumerate(self.shares):
            total += share
            if total >= quantile - _ROUNDING:
                return self.first + number
        return self.first + len(self.shares) - 1


def generating(sessions: int, pause: float, time: RequestTime) -> Generating:
    """How many of ``sessions`` generate, that pause for so long between two requests, in the unit of ``time``."""
    if not sessions or pause <= 0 or not time(1):
        return Generating(first=sessions if pause <= 0 else 0, shares=(1.0,))

    def grows(number: int) -> float:
        return (sessions - number + 1) * time(number) / (number * pause)

    low, high = 0, sessions
    while low < high:  # the likeliest number: P grows up to it
        middle = (low + high + 1) // 2
        if grows(middle) >= 1:
            low = middle
        else:
            high = middle - 1
    below = list(_falling(low, -1, lambda number: 1 / grows(number), last=0))
    above = list(_falling(low, 1, lambda number: grows(number + 1), last=sessions))
    weights = (*reversed(below), 1.0, *above)
    total = math.fsum(weights)
    return Generating(first=low - len(below), shares=tuple(weight / total for weight in weights))


def _falling(start: int, step: int, ratio: Callable[[int], float], *, last: int) -> Iterator[float]:
    """Weights from the likeliest number outwards, as long as they count."""
    weight, number = 1.0, start
    while number != last:
        weight *= ratio(number)
        if weight < _NEGLIGIBLE:
            return
        number += step
        yield weight


def pause_at_rate(sessions: int, rate: float, time: RequestTime) -> float:
    """The pause with which ``sessions`` ask ``rate`` times in a unit of time, all together; 0: not even without one."""
    if rate <= 0:
        return math.inf
    computed = time.requests_at(rate, sessions)
    return 0.0 if computed >= sessions else sessions / rate - time(computed)


def with_arrivals(sessions: int, pause: float, time: RequestTime, quantile: float, *, new: float, within: float) -> int:
    """How many generate while ``new`` of them arrive evenly ``within`` a time: who asks first, and others at the quantile.

    Sessions that arrive do not come at any point of their cycle: each generates as soon as it is there. With nothing to
    arrive within, all of them do at once. What they ask first is counted as a mean request.
    """
    asking = 0
    while True:
        computed = asking + generating(sessions - asking, pause, time).at(quantile)
        share = 1.0 if within <= 0 else min(1.0, time(computed) / within)
        more = min(sessions, math.ceil(new * share - _ROUNDING))
        if more <= asking:
            return computed
        asking = more
