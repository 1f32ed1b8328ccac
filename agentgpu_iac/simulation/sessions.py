"""Agents' sessions: what each asks, and how long it pauses. All chance of a session is drawn when it begins, from its own
seed, so that the same sessions meet every fleet.
"""

from __future__ import annotations

from random import Random
from typing import Final, Literal, NamedTuple

from agentgpu_iac.plan import AgentPlan
from agentgpu_iac.sizing.conversation import session_shape
from agentgpu_iac.sizing.pauses import tool_points, user_points

TurnClass = Literal["first", "later", "tool"]
CLASSES: Final[tuple[TurnClass, ...]] = ("first", "later", "tool")
"""The first request of a session, later ones of its user, and those that bring a tool's result."""


class Ask(NamedTuple):
    """One request of a session."""

    kind: TurnClass
    new_tokens: int
    """Beyond what the session asked and was answered before."""
    output_tokens: int
    kept_tokens: int
    """What of this request and its answer stays in the context."""
    pause_ms: float
    """From its answer to the next request."""
    starts: tuple[tuple[str, int, int], ...] = ()
    """(sub-agent, turns, seed) that its answer starts; 0 turns: as many as the sub-agent's conversations have."""


class Session:
    """A conversation on its way."""

    __slots__ = ("agent", "asks", "context_tokens", "key", "place", "slot")

    def __init__(self, agent: str, asks: tuple[Ask, ...], key: int, slot: int = -1) -> None:
        self.agent = agent
        self.asks = asks
        self.key = key
        """Number that the router hashes."""
        self.slot = slot
        """Which slot it fills, whose next session follows; -1: none."""
        self.place = 0
        self.context_tokens = 0

    @property
    def ask(self) -> Ask:
        """What it asks now."""
        return self.asks[self.place]


class Talk:
    """Draws the sessions of one agent."""

    __slots__ = ("_agent", "_conversation", "_fan_out", "_shared", "_tool_s", "_user_s")

    def __init__(self, agent: AgentPlan) -> None:
        assert agent.talk is not None  # noqa: S101 - asked before
        self._agent = agent.name
        self._conversation = agent.talk.conversation
        self._fan_out = agent.talk.fan_out
        self._shared = session_shape(agent.talk.conversation).shared_tokens
        self._user_s = user_points(self._conversation)
        calls = self._conversation.tool_calls
        self._tool_s = tool_points(calls) if calls.per_turn else ()

    @property
    def shared_tokens(self) -> int:
        """Prefix that all of its sessions share."""
        return self._shared

    def session(self, seed: str, slot: int = -1, turns: int = 0) -> Session:
        """A whole session; ``turns`` where it has fewer than the agent's conversations."""
        chance = Random(seed)
        talk = self._conversation
        asks: list[Ask] = []
        for turn in range(turns or talk.turns):
            asks += self._turn(chance, first=turn == 0)
        return Session(self._agent, tuple(asks), chance.getrandbits(32), slot)

    def _turn(self, chance: Random, *, first: bool) -> list[Ask]:
        talk = self._conversation
        calls = _count(talk.tool_calls.per_turn, chance) if self._tool_s else 0
        generated = talk.output_tokens_per_turn + (talk.reasoning_tokens_per_turn or 0)
        parts, answers = _split(generated, calls + 1), _split(talk.output_tokens_per_turn, calls + 1)
        asks = []
        for number, (part, answer) in enumerate(zip(parts, answers, strict=True)):
            new = talk.input_tokens_per_turn if number == 0 else talk.tool_calls.result_tokens
            if first and number == 0:
                new += talk.system_prompt_tokens
            last = number == calls
            pause_s = _drawn(self._user_s if last else self._tool_s, chance)
            kind: TurnClass = "tool" if number else "first" if first else "later"
            starts = self._starts(chance) if number == 0 and self._fan_out else ()
            asks.append(Ask(kind, new, max(1, part), new + answer, pause_s * 1000, starts))
        return asks

    def _starts(self, chance: Random) -> tuple[tuple[str, int, int], ...]:
        found: list[tuple[str, int, int]] = []
        for each in self._fan_out:
            for _ in range(_count(each.per_turn, chance) * each.count):
                found.append((each.agent, 0 if each.fresh_context else 1, chance.getrandbits(48)))
        return tuple(found)


def _count(mean: float, chance: Random) -> int:
    """A whole number whose mean is that one."""
    return int(mean) + (chance.random() < mean - int(mean))


def _split(tokens: int, parts: int) -> list[int]:
    return [tokens * (number + 1) // parts - tokens * number // parts for number in range(parts)]


def _drawn(points: tuple[float, ...], chance: Random) -> float:
    return points[int(chance.random() * len(points))]
