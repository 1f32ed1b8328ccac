"""One replica, step by step: arrivals in, first and last tokens out. Deterministic; chance comes in with the arrivals.

What a scheduler does in a step, from the engines' sources (vLLM 0.32 ``v1/core/sched/scheduler.py``, SGLang
``managers/schedule_policy.py``, TensorRT-LLM ``_torch/pyexecutor/scheduler.py``):

* running requests come first, each with one token; prompts fill what is left of the step's tokens, first come, first served;
* a request is let in while there is a seat and room in the KV cache for its prompt (vLLM: blocks are handed out as it
  grows, and the youngest starts again when none is left), or for its prompt and answer (the others);
* SGLang reads prompts in steps of their own, while decoding stands still; TensorRT-LLM reads a prompt whole if it can;
* a pipeline has a batch under way for each stage. A step is then a round of them all, as long as its slowest batch: the others
  wait behind it in every stage. What waits goes into the next batch with room; chunks of one prompt follow one another.

Between events (an arrival, a first token, a last one, a full cache) steps differ by their contexts alone, and their sum is
closed. A fleet steps the same code: ``push`` what a router sends here, ``advance`` to the next event.
"""

from __future__ import annotations

import heapq
import math
from collections import deque
from dataclasses import dataclass
from typing import Protocol

_EPSILON = 1e-9


class StepTimes(Protocol):
    """How long steps take: ``sizing.speed.Speed``."""

    @property
    def attention_groups(self) -> int:
        """Groups with requests of their own (attention data parallelism)."""
        ...

    @property
    def accepted_tokens(self) -> float:
        """Tokens that a step yields for a running request."""
        ...

    @property
    def stages(self) -> int:
        """Pipeline stages: as many batches follow one another through them."""
        ...

    def decode_ms(self, requests: float, context_tokens: float) -> float:
        """A step that gives each running request one token, at their mean context."""
        ...

    def stretch_ms(self, requests: float, context_tokens: float, tokens: float, steps: int) -> tuple[float, float]:
        """(the first of so many decode steps, growth from one to the next), where each gives a request so many tokens."""
        ...

    def step_ms(self, requests: float, context_tokens: float, prompt_tokens: float, token_pairs: float) -> float:
        """A step that also reads ``prompt_tokens`` of prompts, which attend to ``token_pairs`` in all."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Scheduling:
    """How a replica fills its steps; all sizes are of the whole replica."""

    seats: int
    """Most requests that run at once."""
    step_tokens: int
    """Most tokens in one step."""
    cache_tokens: float = math.inf
    """Tokens that the KV cache holds."""
    fixed_tokens: float = 0.0
    """What a request holds besides its tokens (windows, states), as tokens of the cache."""
    keeps_room_for_output: bool = False
    """A request is let in only with room for all of its answer; else blocks are handed out as it grows."""
    prompts_apart: bool = False
    """Prompts are read in steps of their own, and decoding waits."""
    whole_prompts: bool = False
    """A prompt that fits into a step is not cut."""
    receive_every: int = 1
    """Steps without prompts after which the engine looks for new requests (SGLang's ``--scheduler-recv-interval``): after a step
    with prompts, and when it is idle, it does at once (``managers/scheduler_recv_skipper.py``)."""


class Asked:
    """A request on its way: what it asks, and what became of it."""

    __slots__ = (
        "arrives_ms",
        "cached_tokens",
        "ends_at",
        "first_ms",
        "held",
        "last_ms",
        "output_tokens",
        "prompt_tokens",
        "read_tokens",
        "sent_ms",
        "shared_tokens",
        "slot",
        "to_read",
    )

    def __init__(
        self,
        *,
        arrives_ms: float,
        prompt_tokens: int,
        output_tokens: int,
        cached_tokens: int = 0,
        shared_tokens: int = 0,
        sent_ms: float = 0.0,
        slot: int = 0,
    ) -> None:
        self.sent_ms = sent_ms
        """When the client sent it."""
        self.arrives_ms = arrives_ms
        """When the engine's scheduler gets it."""
        self.prompt_tokens = max(1, prompt_tokens)
        """To be read, the cached prefix left out."""
        self.cached_tokens = cached_tokens
        self.shared_tokens = shared_tokens
        """Of both, what lies in the cache once for several requests: it takes no more room for this one (``Steps.hold``)."""
        self.output_tokens = max(1, output_tokens)
        self.slot = slot
        """Which of the client's slots asked."""
        self.first_ms = math.nan
        """When the step of its first token ended."""
        self.last_ms = math.nan
        self.to_read = self.prompt_tokens
        """Tokens that its prefill reads: more than the prompt after it had to start again."""
        self.read_tokens = 0
        self.held = 0.0
        """Tokens of the cache that it took when it was let in."""
        self.ends_at = math.inf
        """Where the count of decode steps stands at its last token."""


class Steps:
    """The state of one replica in time."""

    __slots__ = (
        "_coming",
        "_contexts",
        "_count",
        "_decoding",
        "_engine",
        "_order",
        "_passing",
        "_prompts",
        "_round_ms",
        "_rules",
        "_sequence",
        "_stretch",
        "_targets",
        "_unseen",
        "_waiting",
        "cache_used_tokens",
        "now_ms",
        "preempted",
        "running",
    )

    def __init__(self, engine: StepTimes, scheduling: Scheduling) -> None:
        self._engine = engine
        self._rules = scheduling
        self.now_ms = 0.0
        """End of the last step."""
        self._coming: deque[Asked] = deque()
        """Sent, and not yet looked for."""
        self._unseen = 0
        """Steps since the engine looked for new requests."""
        self._waiting: deque[Asked] = deque()
        self._prompts: deque[Asked] = deque()
        """Let in, not yet read to their end."""
        self._passing: deque[tuple[float, Asked]] = deque()
        """(when, request): read, and on their way through the later stages of a pipeline."""
        self.running = 0
        """Requests that have a seat."""
        self._decoding = 0
        self._contexts = 0.0
        """Sum of the contexts of the decoding requests."""
        self._count = 0.0
        """Tokens that a request would have got, had it decoded from the start: finishing is a place on this line."""
        self._targets: list[tuple[float, int, Asked]] = []
        self._order: list[Asked] = []
        """Let in, oldest first; those that finished are dropped when they are met."""
        self._sequence = 0
        self._round_ms = 0.0
        """The last step: of a pipeline, the round of its batches."""
        self.cache_used_tokens = 0.0
        """Tokens of the KV cache that running requests hold."""
        self.preempted = 0
        """How often a request had to give its blocks back and start again."""
        self._stretch: tuple[int, float, float, float] | None = None
        """(steps, first one's time, growth from one to the next, time of all) up to the next event among those that run, once
        asked for."""

    @property
    def idle(self) -> bool:
        """Nothing runs and nothing waits."""
        return not self.running and not self._waiting and not self._coming

    @property
    def requests(self) -> int:
        """Running and waiting."""
        return self.running + len(self._waiting) + len(self._coming)

    def next_ms(self) -> float:
        """When something may happen next if nothing comes: ``now_ms`` if a prompt is to be read, infinite if all is idle.

        Until then ``advance`` does nothing but decode, so a fleet need not ask sooner.
        """
        if self._prompts or self._passing or (self._coming and not self._unseen):
            return self.now_ms
        if not self._decoding:
            return self.now_ms if self.running or self._waiting or self._coming else math.inf
        if self._waiting and self.running < self._rules.seats and not self._is_full_for(self._waiting[0]):
            return self.now_ms
        return self.now_ms + (self._stretch or self._next_stretch())[3]

    def repaced(self) -> None:
        """Steps take another time from now on: what was known of the next ones is forgotten."""
        self._stretch = None

    def hold(self, tokens: int) -> None:
        """So many tokens of the cache are held for several requests together from now on; fewer, where it is below nothing."""
        self.cache_used_tokens += tokens
        self._stretch = None

    def unfinished(self) -> list[Asked]:
        """All that runs and waits here: what is lost when the replica is."""
        return [*(asked for asked in self._order if asked.ends_at >= 0), *self._waiting, *self._coming]

    def push(self, asked: Asked) -> None:
        """Put a request at the end of the queue; to be called in the order of arrival, not before its time is reached."""
        if not self.running and not self._waiting and not self._coming:
            self.now_ms = max(self.now_ms, asked.arrives_ms)
            self._round_ms = 0.0
        self._coming.append(asked)
        self._stretch = None

    def advance(self, until_ms: float = math.inf) -> list[Asked]:
        """Step until requests finish (they are returned), or the step that runs at ``until_ms`` is over, or all is idle."""
        while self.now_ms < until_ms and (self.running or self._waiting or self._coming):
            if self._coming and (not self.running or not self._unseen):
                self._waiting += self._coming
                self._coming.clear()
            if self._waiting:
                self._let_in()
            if self._passing and (finished := self._passed()):
                return finished
            if self._prompts:
                finished = self._prompt_step()
            elif self._decoding:
                finished = self._decode_steps(min(until_ms, self._passing[0][0]) if self._passing else until_ms)
            elif self._passing:
                self.now_ms = max(self.now_ms, self._passing[0][0])
                continue
            else:
                raise AssertionError("nothing runs, and nothing could be let in")
            if finished:
                return finished
        return []

    def _let_in(self) -> None:
        """First come, first served, while there are tokens in the step, seats, and room in the cache."""
        rules = self._rules
        budget = rules.step_tokens * self._engine.stages
        for each in self._prompts:
            budget -= each.to_read - each.read_tokens
        if not rules.prompts_apart:
            budget -= self._decoding
        while self._waiting and budget > 0 and self.running < rules.seats:
            asked = self._waiting[0]
            need = asked.cached_tokens + asked.to_read - asked.shared_tokens + rules.fixed_tokens
            if rules.keeps_room_for_output:
                need += asked.output_tokens
            if self.running and self.cache_used_tokens + need > rules.cache_tokens:
                return
            whole = rules.whole_prompts and asked.to_read <= rules.step_tokens - self._decoding / self._engine.stages
            if whole and asked.to_read > budget:
                return
            self._waiting.popleft()
            asked.held = need
            self.cache_used_tokens += need
            self.running += 1
            self._prompts.append(asked)
            self._order.append(asked)
            budget -= asked.to_read

    def _need(self, asked: Asked) -> float:
        """Tokens of the cache that a request takes when it is let in."""
        rules = self._rules
        answer = asked.output_tokens if rules.keeps_room_for_output else 0
        return asked.cached_tokens + asked.to_read - asked.shared_tokens + rules.fixed_tokens + answer

    def _is_full_for(self, asked: Asked) -> bool:
        """Whether the cache has no room for one more; a request that is alone is let in whatever it takes."""
        return bool(self.running) and self.cache_used_tokens + self._need(asked) > self._rules.cache_tokens

    def _prompt_step(self) -> list[Asked]:
        """One step with prompts in it; of a pipeline, a round of its batches."""
        engine, decoding = self._engine, 0 if self._rules.prompts_apart else self._decoding
        mean = self._contexts / decoding if decoding else 0.0
        if engine.stages == 1:
            return self._plain_prompt_step(decoding, mean)
        longest = 0.0
        done: list[tuple[float, Asked]] = []
        read_ms = span = ahead = 0.0
        for number in range(engine.stages):
            going_on = bool(self._prompts) and self._prompts[0].read_tokens > 0
            tokens, pairs, read = self._fill(decoding, behind_ms=self._round_ms * (1 - (number + 1) / engine.stages))
            if not tokens:
                continue
            ahead = ahead + span / engine.stages if going_on and longest else 0.0
            span = engine.step_ms(decoding, mean, tokens, pairs)
            longest = max(longest, span)
            read_ms = max(read_ms, self.now_ms + ahead + span)
            done += [(read_ms, asked) for asked in read]
        self.now_ms += longest
        self._unseen = 0
        self._round_ms = longest
        finished = self._decoded(engine.accepted_tokens) if decoding else []
        self._passing += done
        self._make_room()
        return finished

    def _plain_prompt_step(self, decoding: int, mean: float) -> list[Asked]:
        """The same without a pipeline: one batch, whose prompts have their first tokens at its end."""
        engine = self._engine
        tokens, pairs, read = self._fill(decoding, behind_ms=0.0)
        span = engine.step_ms(decoding, mean, tokens, pairs)
        self.now_ms += span
        self._unseen = 0
        self._round_ms = span
        finished = self._decoded(engine.accepted_tokens) if decoding else []
        for asked in read:
            if (answered := self._first_token(asked)) is not None:
                finished.append(answered)
        if self.cache_used_tokens > self._rules.cache_tokens or (self._order and self._order[-1].ends_at < 0):
            self._make_room()
        return finished

    def _fill(self, decoding: int, behind_ms: float) -> tuple[float, float, list[Asked]]:
        """(prompt tokens, token pairs, prompts read to their end) of one batch of a round, scheduled so long before the last."""
        budget = max(1, self._rules.step_tokens - math.ceil(decoding / self._engine.stages))
        tokens = pairs = 0.0
        done = []
        while self._prompts and budget:
            asked = self._prompts[0]
            if behind_ms and asked.arrives_ms > self.now_ms - behind_ms:
                break  # for a later batch
            take = min(budget, asked.to_read - asked.read_tokens)
            before = asked.cached_tokens + asked.read_tokens
            tokens += take
            pairs += take * (before + take / 2)
            budget -= take
            asked.read_tokens += take
            if asked.read_tokens >= asked.to_read:
                done.append(self._prompts.popleft())
        return tokens, pairs, done

    def _passed(self) -> list[Asked]:
        """Prompts whose last chunk has left the pipeline."""
        finished = []
        while self._passing and self._passing[0][0] <= self.now_ms + _EPSILON:
            if (answered := self._first_token(self._passing.popleft()[1])) is not None:
                finished.append(answered)
        return finished

    def _first_token(self, asked: Asked) -> Asked | None:
        """A prompt is read: its request has a first token, and decodes from now on unless that was all (it is returned)."""
        if asked.first_ms != asked.first_ms:
            asked.first_ms = self.now_ms
        got = asked.to_read - asked.prompt_tokens + 1
        if got >= asked.output_tokens:
            return self._finish(asked)
        asked.ends_at = self._count + asked.output_tokens - got
        self._stretch = None
        self._decoding += 1
        self._contexts += asked.cached_tokens + asked.to_read + 1
        self._sequence += 1
        heapq.heappush(self._targets, (asked.ends_at, self._sequence, asked))
        if not self._rules.keeps_room_for_output:
            asked.held += 1
            self.cache_used_tokens += 1
        return None

    def _finish(self, asked: Asked) -> Asked:
        asked.last_ms = self.now_ms
        asked.ends_at = -1.0
        self._stretch = None
        self.running -= 1
        self.cache_used_tokens -= asked.held
        return asked

    def _decoded(self, tokens: float) -> list[Asked]:
        """Each decoding request got so many tokens; those that have all of theirs leave."""
        self._stretch = None
        self._count = count = self._count + tokens
        self._contexts += tokens * self._decoding
        grows = not self._rules.keeps_room_for_output
        if grows:
            self.cache_used_tokens += tokens * self._decoding
        finished: list[Asked] = []
        targets, until = self._targets, count + _EPSILON
        while targets and targets[0][0] <= until:
            target, _, asked = heapq.heappop(targets)
            if asked.ends_at != target:
                continue
            self._decoding -= 1
            context = asked.cached_tokens + asked.prompt_tokens + asked.output_tokens + (count - target)
            self._contexts -= context
            if grows:
                asked.held = context - asked.shared_tokens + self._rules.fixed_tokens
            finished.append(self._finish(asked))
        return finished

    def _decode_steps(self, until_ms: float) -> list[Asked]:
        """As many steps as pass without an event: no prompt is read, and each request's context grows by one a step."""
        each, rules = self._engine.accepted_tokens, self._rules
        steps, first, growth, span = self._stretch or self._next_stretch()
        if self.now_ms + span > until_ms:
            steps = min(steps, _steps_until(until_ms - self.now_ms, first, growth))
            span = steps * (first + growth * (steps - 1) / 2)
        self.now_ms += span
        self._unseen = (self._unseen + steps) % rules.receive_every
        self._round_ms = first
        finished = self._decoded(steps * each)
        if self.cache_used_tokens > rules.cache_tokens or (self._order and self._order[-1].ends_at < 0):
            self._make_room()
        return finished

    def _next_stretch(self) -> tuple[int, float, float, float]:
        engine, decoding, rules = self._engine, self._decoding, self._rules
        each = engine.accepted_tokens
        targets = self._targets
        while targets[0][2].ends_at != targets[0][0]:
            heapq.heappop(targets)
        steps = math.ceil((targets[0][0] - self._count - _EPSILON) / each) or 1
        if self._coming:
            steps = min(steps, rules.receive_every - self._unseen)
        if not rules.keeps_room_for_output:
            room = rules.cache_tokens - self.cache_used_tokens
            if room < steps * each * decoding:
                steps = max(1, int(room / (each * decoding)))
        first, growth = engine.stretch_ms(decoding, self._contexts / decoding, each, steps)
        self._stretch = (steps, first, growth, steps * (first + growth * (steps - 1) / 2))
        return self._stretch

    def _make_room(self) -> None:
        """When the cache is full the youngest gives its blocks back, and reads its prompt and answer again later."""
        while self.cache_used_tokens > self._rules.cache_tokens and self.running > 1:
            asked = self._order.pop()
            if asked.ends_at < 0:
                continue
            if any(asked is each for _, each in self._passing):
                self._passing = deque(pair for pair in self._passing if pair[1] is not asked)
            elif asked in self._prompts:
                self._prompts.remove(asked)
            else:
                left = asked.ends_at - self._count
                got = max(1, round(asked.output_tokens - left))
                self._decoding -= 1
                held = asked.cached_tokens + asked.prompt_tokens + asked.output_tokens - left
                self._contexts -= held
                asked.held = held - asked.shared_tokens + self._rules.fixed_tokens
                asked.to_read = asked.prompt_tokens + got
            asked.read_tokens = 0
            asked.ends_at = math.inf
            self._stretch = None
            self.preempted += 1
            self.running -= 1
            self.cache_used_tokens -= asked.held
            self._waiting.appendleft(asked)
        while self._order and self._order[-1].ends_at < 0:
            self._order.pop()


def _steps_until(span_ms: float, first_ms: float, growth_ms: float) -> int:
    """Steps that begin before ``span_ms`` is over: the last of them is still running then."""
    if growth_ms <= _EPSILON * first_ms:
        return max(1, math.ceil(span_ms / first_ms - _EPSILON))
    half = growth_ms / 2
    linear = first_ms - half
    root = (math.sqrt(linear * linear + 4 * half * span_ms) - linear) / (2 * half)
    return max(1, math.ceil(root - _EPSILON))
