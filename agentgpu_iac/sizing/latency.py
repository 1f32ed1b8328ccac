"""Latency and throughput of one replica in a steady load: what stepping it for a long time would show, in closed form.

The step model (``stepping``) is the truth; planning asks for thousands of loads, so it asks this, whose error against the
step model is held by ``tests/sizing/test_closed_form.py``. With C requests that each ask again when they are answered::

    cycle = TTFT + (output tokens - 1) x TPOT                 one request after another in each slot
    TPOT  = step / (1 - others' prompts per ms x what a prompt adds to the steps), at most a step full of prompts
    TTFT  = host + half the step that runs + own prompt in steps that decode too + prompts that came with it in its step

The mean is that of a closed loop, whose prompts come as regularly as its answers end. Once prompts alone fill the cycle, it is
as long as all of them. Percentiles (``tails``) count the others as users who come by themselves: Poisson.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from agentgpu_iac.sizing.speed import Speed, fullest

CACHE_ERROR_RATIO = 0.05
"""How far off the seats are that a cache holds: a plan's stated error of its KV cache. The wait for one moves by much more."""

_SEARCHES = 40
"""Most rounds of the search for the cycle; it ends when the cycle is known."""
_PRECISION = 1e-8
_MOST_LOAD = 0.999
_MOST_GROWTH = 0.95
_FEW = 1e-9
"""Prompts in a step: next to none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What one request asks of the engine."""

    prompt_tokens: float
    """Prompt tokens to be read, the cached prefix left out."""
    context_tokens: float
    """Mean context while it generates."""
    output_tokens: float
    prompt_spread: float = 1.0
    """Mean square of the prompts over the square of their mean: 1 where all are alike, more where agents with short prompts and
    agents with long ones ask one engine."""

    @property
    def prompt_end_tokens(self) -> float:
        """Context at the end of the prompt, the cached prefix included."""
        return max(self.prompt_tokens, self.context_tokens - self.output_tokens / 2)


class Reading(NamedTuple):
    """One prompt read beside running requests, in steps that decode too."""

    chunks: int
    chunk_ms: float
    """One of these steps."""
    beside_ms: float
    """The decode step that each of them is as well; 0 where prompts are read apart."""
    stages: int
    """Pipeline stages: one chunk follows the other through them, and so do the batches of the others."""

    @property
    def reading_ms(self) -> float:
        """All of its steps."""
        return self.chunk_ms * (1 + (self.chunks - 1) / self.stages)

    @property
    def added_ms(self) -> float:
        """What it adds to steps that run anyway.

        A pipeline's round is as long as its slowest batch: a chunk delays all of them by all that it adds, unless chunks in
        the other batches do so at the same time.
        """
        return max(1.0, self.chunks / self.stages) * max(0.0, self.chunk_ms - self.beside_ms)

    @property
    def slots(self) -> float:
        """Batches of a round on which prompts fall by chance: all of a pipeline's, unless one prompt's chunks fill them."""
        return max(1.0, self.stages / self.chunks)


class Steady(NamedTuple):
    """A replica in a steady load, in ms, before the ratios of a run of the user's own."""

    others: float
    """Requests beside one's own."""
    host_ms: float
    decode_ms: float
    """A step without prompts."""
    reading: Reading
    """One's own prompt."""
    further_ms: float
    """What one more prompt adds to a step that has one already."""
    served_ms: float
    """Time of a prompt when prompts fill the steps."""
    prompts_in_a_step: float
    """Prompts that fit into one step, at least 1."""
    cycle_ms: float
    """From one request of a slot to the next."""
    step_ms: float
    """A mean step, others' prompts included: one's time per token."""
    longest_ms: float
    """A step full of prompts, which no mean step exceeds; infinite where prompts are read apart."""
    spread_ms2: float
    """Variance of the steps: they have more or fewer prompts."""
    wait_ms: float
    """Mean wait for the running step, for prompts of the same step, and where prompts fill the cycle for those before."""
    accepted_tokens: float

    @property
    def widest_ms(self) -> float:
        """A step full of prompts, or all steps of one prompt that fills several."""
        return max(self.longest_ms, self.reading.reading_ms)

    @property
    def met_ms(self) -> float:
        """Mean step among those that a request meets which comes by itself: a longer one is met more often."""
        return self.step_ms + self.spread_ms2 / self.step_ms

    @property
    def prompts_per_ms(self) -> float:
        """Prompts of the others."""
        return self.others / self.cycle_ms

    @property
    def shares_step(self) -> float:
        """How far prompts share steps: 0 where one fills a step, towards 1 where many fit."""
        return 1 - 1 / self.prompts_in_a_step

    @property
    def queue_ms_per_prompt(self) -> float:
        """Time of one of the prompts that wait for the same batch, when prompts fill the steps."""
        return self.served_ms * self.reading.slots

    @property
    def ttft_ms(self) -> float:
        """Mean time to the first token of a request that has a seat."""
        return self.host_ms + self.wait_ms + self.reading.reading_ms

    @property
    def tpot_ms(self) -> float:
        """Mean time per output token."""
        return self.step_ms / self.accepted_tokens


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """Steady state of a closed loop, in ms and tokens/s of one replica."""

    ttft_ms: float
    """The sum of the four terms below."""
    queue_ms: float
    """Host time, and the wait for the running step and behind other requests' prompts."""
    seat_ms: float
    """The wait for one of the replica's seats, where fewer requests run than ask."""
    prefill_ms: float
    """The steps of the prompt, but for one decode step."""
    first_step_ms: float
    """A decode step, which the prompt's last step is as well."""
    tpot_ms: float
    output_tokens_per_s: float
    prefill_tokens_per_s: float
    ttft_error_ratio: float
    tpot_error_ratio: float


def read_prompt(
    engine: Speed, tokens: float, end_tokens: float, requests: float, context_tokens: float, *, decode_ms: float
) -> Reading:
    """Read one prompt of ``tokens`` that ends at ``end_tokens`` of context while ``requests`` run, in as few steps as it fits.

    One attention group reads it, in chunks of its own limit.
    """
    if tokens <= 0:
        beside_ms = 0.0 if engine.prompts_apart else decode_ms
        return Reading(chunks=1, chunk_ms=decode_ms, beside_ms=beside_ms, stages=engine.stages)
    running = 0.0 if engine.prompts_apart else requests
    chunks = math.ceil(tokens / engine.max_batched_tokens)
    pairs = tokens * (max(0.0, end_tokens - tokens) + tokens / 2)
    return Reading(
        chunks=chunks,
        chunk_ms=engine.step_ms(running, context_tokens, tokens / chunks, pairs / chunks, of_one_group=True),
        beside_ms=0.0 if engine.prompts_apart else decode_ms,
        stages=engine.stages,
    )


def most_variance(least: float, mean: float, most: float) -> float:
    """The variance that nothing exceeds which lies between two limits and has such a mean (Bhatia and Davis)."""
    above, below = most - mean, mean - least
    return (above if above > 0 else 0.0) * (below if below > 0 else 0.0)


def way_ms(engine: Speed, decode_ms: float) -> float:
    """The server's part of a TTFT but for the process that takes one request after another: its way, and lagging steps."""
    return engine.first_token_ms + engine.first_token_steps * decode_ms


def step_room(engine: Speed) -> float:
    """Prompt tokens that a step of the replica has room for; the few that running requests take of it are left out."""
    return float(engine.max_batched_tokens * engine.attention_groups)


@lru_cache(maxsize=32768)
def steady(engine: Speed, request: Request, concurrency: float) -> Steady:
    """The steady state of ``concurrency`` requests that all have a seat."""
    return _Loop(engine, request, max(1.0, concurrency)).steady()


@lru_cache(maxsize=2048)
def _by_itself(engine: Speed, request: Request) -> tuple[float, float]:
    """A prompt that nothing runs beside: (its steps' time, what it takes where prompts fill the steps), whatever the load."""
    tokens, end, context = request.prompt_tokens, request.prompt_end_tokens, request.context_tokens
    alone = read_prompt(engine, tokens, end, 1, context, decode_ms=engine.decode_ms(1, context))
    room = step_room(engine)
    many = max(1.0, room / max(1.0, tokens))
    if many <= 1 or tokens <= 0:
        return alone.chunk_ms, alone.chunks * alone.chunk_ms / engine.stages
    earlier = max(0.0, end - tokens) + tokens / 2
    least_ms = engine.step_ms(0.0 if engine.prompts_apart else 1.0, context, room, room * earlier)
    return least_ms, least_ms / many / engine.stages


class _Loop:
    """The equations of a steady load, with what the search for the cycle does not change computed once."""

    __slots__ = (
        "accepted",
        "added_ms",
        "apart",
        "decode_ms",
        "further_ms",
        "generated",
        "host_ms",
        "least_ms",
        "longest_ms",
        "many",
        "most_ms",
        "others",
        "reading",
        "requests",
        "served_ms",
        "shares",
        "slots",
        "widest_ms",
    )

    def __init__(self, engine: Speed, request: Request, requests: float) -> None:
        tokens, end, context = request.prompt_tokens, request.prompt_end_tokens, request.context_tokens
        self.requests = requests
        self.others = requests - 1
        self.apart = engine.prompts_apart
        self.accepted = engine.accepted_tokens
        self.generated = max(0.0, request.output_tokens - 1) / engine.accepted_tokens
        self.decode_ms = engine.decode_ms(requests, context)
        self.host_ms = way_ms(engine, self.decode_ms) + engine.host_ms_per_request
        self.reading = read_prompt(engine, tokens, end, requests, context, decode_ms=self.decode_ms)
        self.added_ms = self.reading.added_ms
        room = step_room(engine)
        self.many = max(1.0, room / max(1.0, tokens))
        self.shares = 1 - 1 / self.many
        full = self.reading.chunk_ms
        self.least_ms, self.served_ms = _by_itself(engine, request)
        if tokens > 0:  # prompts fill steps to the brim, whole or in parts
            earlier = max(0.0, end - tokens) + tokens / 2
            full = engine.step_ms(0.0 if self.apart else requests, context, room, room * earlier)
        self.further_ms = self.added_ms
        if self.many > 1.0001:
            self.further_ms = min(self.added_ms, max(0.0, full - self.reading.chunk_ms) / (self.many - 1))
        self.longest_ms = math.inf if self.apart else max(full, self.reading.chunk_ms)
        self.slots = self.reading.slots
        self.widest_ms = max(self.longest_ms, self.reading.reading_ms)
        self.most_ms = self.longest_ms
        if self.generated:  # while one is answered, each other brings one prompt
            self.most_ms = min(self.most_ms, self.decode_ms + self.others * self.added_ms / self.generated)

    def at(self, cycle_ms: float) -> tuple[float, float, float]:
        """(mean wait, mean step, its variance) if a cycle takes so long."""
        rate, slots, decode, most = self.others / cycle_ms, self.slots, self.decode_ms, self.most_ms
        added_ms, longer = self.added_ms, self._longer_ms
        # What prompts add grows with the step, ever less: the secant of two steps too short leads just beyond the one that fits.
        first = longer(rate * decode)
        second = longer(rate * first)
        slope = (second - first) / (first - decode) if first > decode else 0.0
        step = decode + (first - decode) / (1 - (slope if slope < _MOST_LOAD else _MOST_LOAD))
        coming = rate * (step if step < most else most)
        step = longer(
            coming if coming < self.others else self.others
        )  # each other brings one prompt, however long it is
        step = step if step < most else most
        load = 1 - decode / step
        together = rate * step if slots <= 1 else fullest(rate * step, slots)
        added = (step - decode) / together if together > _FEW else added_ms
        growth = (load if load < _MOST_LOAD else _MOST_LOAD) * self.shares
        growth = growth if growth < _MOST_GROWTH else _MOST_GROWTH
        spread = added * added * together / (1 - growth * growth)
        widest = longer(self.others) if self.apart else self.widest_ms
        variance = most_variance(decode, step, widest)
        spread = variance if variance < spread else spread
        seen = step + spread * self.shares / step
        came = min(rate * seen / slots, self.many, self.others)
        return seen / 2 + self.shares * self.further_ms * came, step, spread

    def _longer_ms(self, coming: float) -> float:
        """A step by the first of so many prompts that come in one, and the others of the fullest batch."""
        some = -math.expm1(-coming)
        together = coming if self.slots <= 1 else fullest(coming, self.slots)
        more = self.further_ms * (together - some) if together > some else 0.0
        return self.decode_ms + (self.added_ms * some + more)

    def steady(self) -> Steady:
        """Find the cycle that its own prompts and steps make."""
        own = self.host_ms + self.reading.reading_ms
        if not self.others:
            return self._made(own + self.generated * self.decode_ms, wait_ms=0.0)

        def excess(cycle_ms: float) -> float:
            wait, step, _ = self.at(cycle_ms)
            return own + wait + self.generated * step - cycle_ms

        # A longer cycle asks for less: what it asks for at the shortest one is never less than the cycle that fits.
        low = own + self.generated * self.decode_ms
        above = excess(low)
        high = low + above
        below = excess(high)
        for _ in range(_SEARCHES):  # but for the spread of steps, which is greatest before they are full
            if below <= 0:
                break
            low, above, high = high, below, 2 * high
            below = excess(high)
        for _ in range(_SEARCHES):  # Ridders: false position on an exponential through the middle
            if high - low <= _PRECISION * high or not above or not below:
                break
            middle = (low + high) / 2
            found = excess(middle)
            root = math.sqrt(found * found - above * below)
            guess = middle + (middle - low) * found / root if root else middle
            if not low < guess < high:
                guess = middle
            at_guess = excess(guess) if guess != middle else found
            for place, value in ((middle, found), (guess, at_guess)):
                if value > 0 and place > low:
                    low, above = place, value
                elif value <= 0 and place < high:
                    high, below = place, value
            if abs(at_guess) <= _PRECISION * guess:
                low = high = guess
        return self._made(high if not below or above else low)

    def _made(self, cycle_ms: float, wait_ms: float | None = None) -> Steady:
        wait, step, spread = self.at(cycle_ms)
        filled = self.requests * self.served_ms
        # Within one cycle each other brings one prompt: all of them one after another are the most that it can hold.
        most = self.host_ms + self.reading.reading_ms + self.decode_ms * (1 + self.generated)
        most += self.others * self.added_ms
        if wait_ms is not None:
            wait = wait_ms
        elif not self.apart:
            wait = max(wait, filled - self.generated * self.least_ms - self.host_ms - self.reading.reading_ms)
        return Steady(
            others=self.others,
            host_ms=self.host_ms,
            decode_ms=self.decode_ms,
            reading=self.reading,
            further_ms=self.further_ms,
            served_ms=self.served_ms,
            prompts_in_a_step=self.many,
            cycle_ms=max(min(cycle_ms, most), filled),
            step_ms=step,
            longest_ms=self.longest_ms,
            spread_ms2=spread,
            wait_ms=wait,
            accepted_tokens=self.accepted,
        )


def predict(engine: Speed, request: Request, concurrency: float, seats: float = math.inf) -> Prediction:
    """Latency and throughput of one replica in a steady closed loop of ``concurrency`` requests.

    No more than ``seats`` run at once (KV cache or the engine's limit); by Little's law each of the others waits
    (asked - seats) / seats cycles of those that run.
    """
    running = min(concurrency, max(1.0, seats))
    return answer(engine, request, steady(engine, request, running), concurrency, running)


def answer(engine: Speed, request: Request, state: Steady, concurrency: float, running: float) -> Prediction:
    """What a steady state of ``running`` requests says where ``concurrency`` are asked for."""
    first_step = engine.decode_ms(running, request.context_tokens)
    prefill = max(0.0, state.reading.reading_ms - first_step)
    queue = state.host_ms + state.wait_ms
    waiting = max(0.0, concurrency - running) / running * state.cycle_ms
    ttft = queue + waiting + prefill + first_step
    error = engine.ttft_error_ratio
    if waiting:
        error += waiting / ttft * CACHE_ERROR_RATIO * concurrency / (concurrency - running)
    first = engine.measured_ttft_ratio
    requests_per_s = running * 1000 / state.cycle_ms / engine.measured_tpot_ratio
    return Prediction(
        ttft_ms=ttft * first,
        queue_ms=queue * first,
        seat_ms=waiting * first,
        prefill_ms=prefill * first,
        first_step_ms=first_step * first,
        tpot_ms=state.tpot_ms * engine.measured_tpot_ratio,
        output_tokens_per_s=requests_per_s * request.output_tokens,
        prefill_tokens_per_s=requests_per_s * request.prompt_tokens,
        ttft_error_ratio=error,
        tpot_error_ratio=engine.tpot_error_ratio,
    )
