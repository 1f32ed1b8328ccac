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
import operator
from collections.abc import Callable
from dataclasses import dataclass

_NEGLIGIBLE = 1e-13
"""Where shares of the time, against the largest one, are no longer counted."""
_ROUNDING = 1e-9


class RequestTime:
    """What a request takes by how many are computed at once: asked at a few numbers, and straight between them.

    The numbers are the same for every S, so that sessions are compared on one curve. It never falls, nor does the rate.
    """

    __slots__ = ("_at", "_known", "_numbers", "_rates", "_times", "_whole")

    def __init__(self, at: Callable[[int], float]) -> None:
        self._at = at
        self._numbers = [1]
        self._times = [at(1)]
        self._rates = [1 / self._times[0] if self._times[0] else math.inf]
        self._whole = [self._times[0]]
        """By number of requests, without gaps; as for one below one."""
        self._known: tuple[int, float, Generating] | None = None
        """Sessions, pause and what ``generating`` last said of them."""

    def __call__(self, requests: float) -> float:
        """In the unit of what was asked; below one request as for one."""
        while self._numbers[-1] < requests:
            self._append(_next(self._numbers[-1]))
        place = bisect.bisect_left(self._numbers, requests)
        return self._within(place, requests) if place else self._times[0]

    def _within(self, place: int, requests: float) -> float:
        """Between the number of that place and the one before."""
        low, high = self._numbers[place - 1], self._numbers[place]
        below, above = self._times[place - 1], self._times[place]
        return below + (above - below) * (requests - low) / (high - low)

    def _append(self, requests: int) -> None:
        last, before = self._times[-1], self._numbers[-1]
        self._numbers.append(requests)
        self._times.append(min(max(self._at(requests), last), last * requests / before))
        self._rates.append(requests / self._times[-1] if self._times[-1] else math.inf)

    def whole_to(self, requests: int) -> list[float]:
        """The time at each whole number, at least up to that one."""
        whole = self._whole
        while len(whole) <= requests:
            place = bisect.bisect_left(self._numbers, len(whole))
            if place == len(self._numbers):
                self._append(_next(self._numbers[-1]))
            last = min(self._numbers[place], max(requests, 2 * len(whole)))
            whole.extend(
                self._within(place, number) if place else self._times[0] for number in range(len(whole), last + 1)
            )
        return whole

    def law(self, sessions: int, pause: float) -> Generating:
        """How many of so many sessions are computed: asked several times in a row, and worked out once."""
        if self._known is None or self._known[:2] != (sessions, pause):
            self._known = (sessions, pause, _law(sessions, pause, self))
        return self._known[2]

    def rate(self, requests: float) -> float:
        """Requests answered in a unit of time while so many are computed."""
        return requests / self(requests)

    def requests_at(self, rate: float, most: float) -> float:
        """How many are computed on average where so many come in a unit of time (Little: rate x time); ``most`` if more."""
        while self._rates[-1] <= rate and self._numbers[-1] < most:
            self._append(_next(self._numbers[-1]))
        place = bisect.bisect_right(self._rates, rate)
        if not place:
            return min(most, rate * self._times[0])
        if place == len(self._rates):
            return most
        low, time = self._numbers[place - 1], self._times[place - 1]
        slope = (self._times[place] - time) / (self._numbers[place] - low)
        return min(most, rate * (time - slope * low) / (1 - rate * slope))


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
        return math.fsum(map(operator.mul, range(self.first, self.first + len(self.shares)), self.shares))

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
    return time.law(sessions, pause)


def _likeliest(sessions: int, pause: float, time: RequestTime) -> int:
    """P grows up to this number: what it is multiplied by from one number to the next never grows."""
    low, high = 0, 1
    while high <= sessions and (sessions - high + 1) * time(high) >= high * pause:
        low, high = high, 2 * high
    high = min(high, sessions + 1)
    while high - low > 1:
        middle = (low + high) // 2
        if (sessions - middle + 1) * time(middle) >= middle * pause:
            low = middle
        else:
            high = middle
    return low


def _law(sessions: int, pause: float, time: RequestTime) -> Generating:
    """From the likeliest number outwards, as long as the weights count."""
    likeliest = _likeliest(sessions, pause, time)
    whole = time.whole_to(likeliest)
    after = sessions + 1
    below, weight = [], 1.0
    for number in range(likeliest, 0, -1):
        weight *= number * pause / ((after - number) * whole[number])
        if weight < _NEGLIGIBLE:
            break
        below.append(weight)
    above, weight = [], 1.0
    for number in range(likeliest + 1, sessions + 1):
        if number == len(whole):
            time.whole_to(number)
        weight *= (after - number) * whole[number] / (number * pause)
        if weight < _NEGLIGIBLE:
            break
        above.append(weight)
    weights = [*reversed(below), 1.0, *above]
    total = math.fsum(weights)
    return Generating(first=likeliest - len(below), shares=tuple([weight / total for weight in weights]))


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
