"""Callers of a real engine: each asks what it was told to, turn by turn, and notes when its tokens came.

The same callers meet the simulated engine (``simulated``): nothing of what they ask, or when, depends on an answer but for the
time that it took.
"""

from __future__ import annotations

import asyncio
import itertools
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from random import Random

import httpx

from agentgpu_iac.plan import Plan
from agentgpu_iac.simulation.deployment import Deployment
from agentgpu_iac.simulation.fleet import Fleet
from agentgpu_iac.simulation.measures import AgentMeasures
from agentgpu_iac.simulation.mishaps import Mishaps, Run
from agentgpu_iac.simulation.sessions import Ask, Session
from agentgpu_iac.simulation.sketch import Sketch, merged

_BACKOFF_S = 0.5
"""First wait of the OpenAI and Anthropic SDKs; it doubles. What a server asks for comes first."""
_VOCABULARY = 500
"""Token numbers from 10 on are words of the tiny models."""
_PATIENCE_S = 300.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """One request of a caller."""

    prompt_tokens: int
    output_tokens: int
    pause_s: float = 0.0
    """From its answer to the caller's next request."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """A user, or a program: its requests come one after another."""

    begins_s: float
    turns: tuple[Turn, ...]


@dataclass(slots=True, kw_only=True)
class Answers:
    """What callers saw."""

    ttft_ms: list[float] = field(default_factory=list)
    """From the first time that a request was sent, refusals and waits in it."""
    tpot_ms: list[float] = field(default_factory=list)
    gaps_ms: list[float] = field(default_factory=list)
    """From token to token, of all requests."""
    refusals: int = 0
    """Answers with 503, each try counted."""
    late_refusals: int = 0
    """Of these, those that stood in a stream that had begun with 200: requests that came within the same moment."""
    given_up: int = 0
    """Requests that no try was answered of."""


def together(answers: Sequence[Answers]) -> Answers:
    """Several runs as one."""
    whole = Answers()
    for each in answers:
        whole.ttft_ms += each.ttft_ms
        whole.tpot_ms += each.tpot_ms
        whole.gaps_ms += each.gaps_ms
        whole.refusals += each.refusals
        whole.late_refusals += each.late_refusals
        whole.given_up += each.given_up
    return whole


def at(values: Sequence[float], percent: float) -> float:
    """The value that so many percent do not exceed: as the simulator's own sketches count."""
    return sorted(values)[max(1, math.ceil(len(values) * percent / 100 - 1e-9)) - 1]


def bursts(
    chance: Random, *, seconds: float, calm_per_s: float, burst_per_s: float, every_s: float, for_s: float
) -> list[float]:
    """Times of arrivals by chance: calm, and in each ``every_s`` a burst of ``for_s``."""
    found, now_s = [], 0.0
    while True:
        rate = burst_per_s if now_s % every_s >= every_s - for_s else calm_per_s
        step_s = -math.log(1 - chance.random()) / rate
        edge_s = every_s - now_s % every_s - (for_s if rate == calm_per_s else 0.0)
        if step_s > edge_s:  # the rate is another from there on; chance has no memory
            now_s += edge_s + 1e-9
        else:
            now_s += step_s
            found.append(now_s)
        if now_s >= seconds:
            return [each for each in found if each < seconds]


class Client:
    """Asks one address."""

    def __init__(self, url: str, model: str, *, tries: int = 1, headers: Mapping[str, str] | None = None) -> None:
        self._url, self._model, self._tries = url, model, tries
        self._headers = dict(headers or {})
        self._words = itertools.count()
        self.answers = Answers()

    def run(self, callers: Sequence[Caller]) -> Answers:
        """Let all callers ask, and wait for their last answers."""
        asyncio.run(self._run(callers))
        return self.answers

    async def _run(self, callers: Sequence[Caller]) -> None:
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=64)
        async with httpx.AsyncClient(timeout=_PATIENCE_S, limits=limits, trust_env=False) as http:
            start_s = time.perf_counter()
            await asyncio.gather(
                *(self._call(http, start_s, each, number) for number, each in enumerate(callers)),
            )

    async def _call(self, http: httpx.AsyncClient, start_s: float, caller: Caller, number: int) -> None:
        await asyncio.sleep(max(0.0, start_s + caller.begins_s - time.perf_counter()))
        for turn in caller.turns:
            if not await self._ask(http, turn, number):
                return  # as the simulated one does
            await asyncio.sleep(turn.pause_s)

    async def _ask(self, http: httpx.AsyncClient, turn: Turn, number: int) -> bool:
        """Whether a try was answered."""
        sent_s = time.perf_counter()
        for tried in range(self._tries):
            wait_s = await self._try(http, turn, number, sent_s)
            if wait_s is None:
                return True
            self.answers.refusals += 1
            if tried + 1 < self._tries:
                await asyncio.sleep(wait_s or _BACKOFF_S * 2**tried)
        self.answers.given_up += 1
        return False

    async def _try(self, http: httpx.AsyncClient, turn: Turn, number: int, sent_s: float) -> float | None:
        """None where it was answered; else for how long it is to wait (0: the server did not say)."""
        body = {
            "model": self._model,
            "prompt": self._prompt(turn.prompt_tokens),
            "max_tokens": turn.output_tokens,
            "ignore_eos": True,
            "stream": True,
        }
        headers = {**self._headers, "X-Session-Id": f"caller-{number}"}
        times: list[float] = []
        text = b""
        async with http.stream("POST", f"{self._url}/v1/completions", json=body, headers=headers) as answer:
            if answer.status_code == 503:
                return float(answer.headers.get("retry-after", 0))
            answer.raise_for_status()
            async for piece in answer.aiter_raw():
                text += piece  # which may end in the middle of a token's first bytes
                times += [time.perf_counter()] * (text.count(b"data: {") - len(times))
        if b'"code": 503' in text:
            self.answers.late_refusals += 1
            return 0.0
        if len(times) != turn.output_tokens:
            raise AssertionError(f"{len(times)} tokens came, and {turn.output_tokens} were asked for: {text[-600:]!r}")
        self.answers.ttft_ms.append((times[0] - sent_s) * 1000)
        self.answers.gaps_ms += [(after - before) * 1000 for before, after in itertools.pairwise(times)]
        if len(times) > 1:
            self.answers.tpot_ms.append((times[-1] - times[0]) * 1000 / (len(times) - 1))
        return None

    def _prompt(self, tokens: int) -> list[int]:
        """Words that no prompt before began with."""
        chance = Random(f"prompt/{next(self._words)}")
        return [10 + chance.randrange(_VOCABULARY - 10) for _ in range(tokens)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Simulated:
    """The same as ``Answers``, of a simulated engine."""

    ttft: Sketch
    """In ms."""
    tpot: Sketch
    refusals: int
    late_refusals: int
    given_up: int
    answered: int


def together_simulated(found: Sequence[Simulated]) -> Simulated:
    """Several simulations as one."""
    return Simulated(
        ttft=merged(each.ttft for each in found),
        tpot=merged(each.tpot for each in found),
        refusals=sum(each.refusals for each in found),
        late_refusals=sum(each.late_refusals for each in found),
        given_up=sum(each.given_up for each in found),
        answered=sum(each.answered for each in found),
    )


def simulated(plan: Plan, callers: Sequence[Caller], *, tries: int = 1) -> Simulated:
    """What the same callers see of the plan's replicas: they read what stands in a stream, and try again."""
    (agent,) = plan.served_agents
    deployment = Deployment(plan, plan.workloads, 1, shared={})
    measures = AgentMeasures(agent)
    sessions = [(caller.begins_s * 1000, _session(agent.name, caller, key)) for key, caller in enumerate(callers)]
    ends_ms = 1000 * sum(each.begins_s + sum(turn.pause_s + _PATIENCE_S for turn in each.turns) for each in callers)
    fleet = Fleet(
        plan,
        {agent.deployment: deployment},
        {agent.name: measures},
        Run(warm_ms=0.0, end_ms=ends_ms, seed=1, mishaps=Mishaps(client_tries=tries, clients_read_streams=True)),
    )
    fleet.run(sorted(sessions, key=lambda each: each[0]))
    ttft, tpot = (
        merged(sketch for (_, figure), sketch in measures.sketches.items() if figure == wanted)
        for wanted in ("ttft", "tpot")
    )
    return Simulated(
        ttft=ttft,
        tpot=tpot,
        refusals=measures.retried + measures.refused,
        late_refusals=measures.refused_in_stream,
        given_up=measures.refused,
        answered=measures.answered,
    )


def _session(agent: str, caller: Caller, key: int) -> Session:
    asks = tuple(Ask("first", turn.prompt_tokens, turn.output_tokens, 0, turn.pause_s * 1000) for turn in caller.turns)
    return Session(agent, asks, key)
