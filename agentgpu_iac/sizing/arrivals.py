"""Requests as clients send them to one replica, and what becomes of them: closed loops, Poisson, bursts.

A benchmark's answer depends on how its client asks. A closed loop whose slots all start at once makes each first prompt wait
for all the others, and with fixed lengths for ever; arrivals of their own, as users' are, wait for what happens to run.
Chance is a seeded sequence of numbers: the same question has the same answer.
"""

from __future__ import annotations

import heapq
import math
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from agentgpu_iac.sizing.stepping import Asked, Scheduling, Steps, StepTimes

Arrivals = Literal["closed", "poisson", "burst"]
_WORD = 1 << 64
_MASK = _WORD - 1
_MOST_REQUESTS = 240
"""A closed loop of more requests is stepped through some of its rounds, and the later of them stand for the rest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lengths:
    """Tokens of the requests."""

    prompt_tokens: float
    """To be read, the cached prefix left out."""
    output_tokens: float
    cached_tokens: float = 0.0
    low: float = 1.0
    """Lengths are spread evenly from this share of them to the whole."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """What the server does beside the steps."""

    request_ms: float
    """On the way of a request to its first token: server, tokeniser, scheduler, detokeniser."""
    serial_ms: float
    """Of that, what one process does for one request after another."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """How a client sends its requests."""

    arrivals: Arrivals
    requests: int
    """In all; of a closed loop, a whole number of rounds of all slots."""
    slots: int = 0
    """Closed loop: requests that are out at once. Poisson: the most that the client sends at once; 0: no limit. Bursts:
    requests of one burst."""
    requests_per_s: float = 0.0
    """Poisson: arrivals. Bursts: requests of all bursts together; 0: one burst."""
    pause_s: float = 0.0
    """Closed loop: from an answer to the slot's next request on average, each a random part of the mean (exponential)."""
    together: bool = False
    """A closed loop's slots all start at once, and what they wait for then counts; else the loop has run for a while."""
    seed: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of the requests, in ms; in the order in which they finished."""

    ttft_ms: tuple[float, ...]
    tpot_ms: tuple[float, ...]
    """Of requests with more than one token."""
    e2e_ms: tuple[float, ...]
    output_tokens: tuple[float, ...]
    output_tokens_per_s: float
    prompt_tokens_per_s: float
    spans_ms: tuple[tuple[float, float], ...] = ()
    """(sent, last token) of each."""


def mean(values: Sequence[float]) -> float:
    """The mean; 0 of nothing."""
    return math.fsum(values) / len(values) if values else 0.0


def percentile(values: Sequence[float], percent: float) -> float:
    """The value that so many percent do not exceed, between neighbours in proportion; 0 of nothing."""
    if not values:
        return 0.0
    ordered = sorted(values)
    place = (len(ordered) - 1) * percent / 100
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)


def even(seed: int) -> Iterator[float]:
    """Numbers evenly spread over 0 to 1: the SplitMix64 sequence."""
    state = seed & _MASK
    while True:
        state = (state + 0x9E3779B97F4A7C15) & _MASK
        word = state
        word = ((word ^ (word >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        word = ((word ^ (word >> 27)) * 0x94D049BB133111EB) & _MASK
        yield ((word ^ (word >> 31)) + 0.5) / _WORD


def run(engine: StepTimes, scheduling: Scheduling, host: Host, lengths: Lengths, load: Load) -> Outcome:
    """Send the load to a replica that was idle, and wait for the last answer."""
    return _Client(engine, scheduling, host, lengths, load).outcome()


class _Client:
    """Sends, and takes the times."""

    def __init__(self, engine: StepTimes, scheduling: Scheduling, host: Host, lengths: Lengths, load: Load) -> None:
        self._steps = Steps(engine, scheduling)
        self._host = host
        self._lengths = lengths
        self._load = load
        self._numbers = even(load.seed)
        self._coming: list[tuple[float, int, Asked]] = []
        """(when the scheduler gets it, number, request)."""
        self._pausing: list[tuple[float, int]] = []
        """(when it sends again, slot)."""
        self._server_free_ms = -math.inf
        self._number = 0

    def outcome(self) -> Outcome:
        return self._closed() if self._load.arrivals == "closed" else self._open()

    def _closed(self) -> Outcome:
        """Every slot sends its next request when it has its answer."""
        load = self._load
        slots = max(1, load.slots)
        rounds = max(1, round(load.requests / slots))
        stepped, times = (rounds, 1) if load.pause_s else _stepped(slots, rounds, together=load.together)
        last = stepped if load.together else stepped + 1
        done = [0] * slots
        for slot in range(slots):
            self._send(0.0, slot, share=1.0 if load.together else next(self._numbers))
        samples: list[Asked] = []
        while self._on_the_way():
            for asked in self._advance():
                number = done[asked.slot]
                done[asked.slot] += 1
                if number or load.together:
                    samples.extend([asked] * (times if number else 1))
                if number + 1 < last:
                    self._pause(asked.last_ms + self._host.request_ms / 2, asked.slot)
        if not load.together:
            return self._result(samples, math.fsum(asked.last_ms - asked.sent_ms for asked in samples) / slots)
        return self._result(samples, max(asked.last_ms for asked in samples) * len(samples) / (stepped * slots))

    def _open(self) -> Outcome:
        """Requests come by themselves; a client that limits how many are out holds the others back."""
        load = self._load
        limit = load.slots if load.arrivals == "poisson" and load.slots else load.requests
        out = 0
        held: deque[float] = deque(self._open_loop())
        samples: list[Asked] = []
        while held or self._on_the_way():
            while held and out < limit:
                self._send(max(held.popleft(), self._steps.now_ms if limit < load.requests else 0.0), 0)
                out += 1
            for asked in self._advance():
                out -= 1
                samples.append(asked)
        return self._result(samples, max(asked.last_ms for asked in samples))

    def _on_the_way(self) -> bool:
        return bool(self._coming or self._pausing) or not self._steps.idle

    def _pause(self, at_ms: float, slot: int) -> None:
        """A slot has its answer, and sends again at once or after a pause of its own."""
        if not self._load.pause_s:
            self._send(at_ms, slot)
            return
        heapq.heappush(self._pausing, (at_ms - math.log(next(self._numbers)) * self._load.pause_s * 1000, slot))

    def _advance(self) -> list[Asked]:
        """To the next finished requests, or the next arrival."""
        steps, coming, pausing = self._steps, self._coming, self._pausing
        while coming or pausing:
            sent = bool(coming) and not (pausing and pausing[0][0] <= coming[0][0])
            if not steps.idle and (coming[0][0] if sent else pausing[0][0]) > steps.now_ms:
                break
            if sent:
                steps.push(heapq.heappop(coming)[2])
            else:
                self._send(*heapq.heappop(pausing))
        return steps.advance(min(coming[0][0] if coming else math.inf, pausing[0][0] if pausing else math.inf))

    def _open_loop(self) -> Iterator[float]:
        load = self._load
        if load.arrivals == "burst":
            size = max(1, load.slots) if load.requests_per_s else load.requests
            pause_ms = 1000 * size / load.requests_per_s if load.requests_per_s else 0.0
            yield from (number // size * pause_ms for number in range(load.requests))
            return
        gaps = [-math.log(next(self._numbers)) for _ in range(load.requests)]
        scale = 1000 * load.requests / load.requests_per_s / math.fsum(gaps)
        at_ms = 0.0
        for gap in gaps:
            at_ms += gap * scale
            yield at_ms

    def _send(self, at_ms: float, slot: int, share: float = 1.0) -> None:
        """The server's process takes one request after another to the scheduler."""
        host, lengths = self._host, self._lengths
        ready = max(at_ms, self._server_free_ms) + host.serial_ms
        self._server_free_ms = ready
        prompt = answer = 1.0
        if lengths.low < 1:
            prompt = lengths.low + (1 - lengths.low) * next(self._numbers)
            answer = lengths.low + (1 - lengths.low) * next(self._numbers)
        asked = Asked(
            arrives_ms=ready + host.request_ms / 2,
            prompt_tokens=round(lengths.prompt_tokens * prompt),
            cached_tokens=round(lengths.cached_tokens * prompt),
            output_tokens=round(lengths.output_tokens * answer * share),
            sent_ms=at_ms,
            slot=slot,
        )
        self._number += 1
        heapq.heappush(self._coming, (asked.arrives_ms, self._number, asked))

    def _result(self, samples: list[Asked], span_ms: float) -> Outcome:
        """``span_ms``: the time that all of them took together, but for the host's."""
        after = self._host.request_ms / 2
        span_s = (span_ms + after) / 1000
        return Outcome(
            ttft_ms=tuple(asked.first_ms + after - asked.sent_ms for asked in samples),
            tpot_ms=tuple(
                (asked.last_ms - asked.first_ms) / (asked.output_tokens - 1)
                for asked in samples
                if asked.output_tokens > 1
            ),
            e2e_ms=tuple(asked.last_ms + after - asked.sent_ms for asked in samples),
            output_tokens=tuple(float(asked.output_tokens) for asked in samples),
            output_tokens_per_s=sum(asked.output_tokens for asked in samples) / span_s,
            prompt_tokens_per_s=sum(asked.prompt_tokens for asked in samples) / span_s,
            spans_ms=tuple((asked.sent_ms, asked.last_ms) for asked in samples),
        )


def _stepped(slots: int, rounds: int, *, together: bool) -> tuple[int, int]:
    """(rounds that are stepped, how many rounds each but the first of a start together stands for)."""
    later = rounds - 1 if together else rounds
    wanted = max(2, math.ceil(_MOST_REQUESTS / slots))
    if later <= wanted:
        return rounds, 1
    fewer = next(number for number in range(wanted, later + 1) if later % number == 0)
    return (fewer + 1 if together else fewer), later // fewer
