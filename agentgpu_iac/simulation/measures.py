"""What is counted while a fleet runs: times of requests in sketches, ends of requests, and the fleet over time."""

from __future__ import annotations

import math

from agentgpu_iac.plan import AgentPlan
from agentgpu_iac.simulation.sessions import CLASSES, TurnClass
from agentgpu_iac.simulation.sketch import Sketch

FIGURES = ("ttft", "tpot", "e2e")


class AgentMeasures:
    """One agent's requests."""

    __slots__ = (
        "_adds",
        "_budget_tpot_ms",
        "_budget_ttft_ms",
        "agent",
        "answered",
        "inside_tpot",
        "inside_ttft",
        "lost",
        "refused",
        "refused_in_stream",
        "requests",
        "retried",
        "sketches",
    )

    def __init__(self, agent: AgentPlan) -> None:
        self.agent = agent
        self.requests = 0
        self.answered = 0
        self.refused = 0
        self.refused_in_stream = 0
        self.lost = 0
        self.retried = 0
        self.inside_ttft = 0
        self.inside_tpot = 0
        self.sketches: dict[tuple[TurnClass, str], Sketch] = {
            (kind, figure): Sketch() for kind in CLASSES for figure in FIGURES
        }
        self._adds = {kind: tuple(self.sketches[kind, figure].add for figure in FIGURES) for kind in CLASSES}
        self._budget_ttft_ms = -math.inf if agent.budget_ttft_ms is None else agent.budget_ttft_ms
        self._budget_tpot_ms = agent.budget_tpot_ms

    def answer(self, kind: TurnClass, ttft_ms: float, tpot_ms: float | None, e2e_ms: float) -> None:
        """A request got its last token."""
        self.answered += 1
        add_ttft, add_tpot, add_e2e = self._adds[kind]
        add_ttft(ttft_ms)
        add_e2e(e2e_ms)
        if ttft_ms <= self._budget_ttft_ms:
            self.inside_ttft += 1
        if tpot_ms is not None:
            add_tpot(tpot_ms)
        budget = self._budget_tpot_ms
        if budget is not None and (tpot_ms is None or tpot_ms <= budget):
            self.inside_tpot += 1

    def inside_at_most(self, requests: float) -> float:
        """The share within its budgets that it can have in the end, of so many requests at most: that of the budget with less."""
        ended = self.answered + self.refused + self.lost
        outside = 0 if self.agent.budget_ttft_ms is None else ended - self.inside_ttft
        if self._budget_tpot_ms is not None:
            outside = max(outside, self.answered - self.inside_tpot)
        return 1 - min(1.0, outside / max(1.0, requests, self.requests))


class Series:
    """A deployment over time, in a bounded number of parts: when there are too many, two become one."""

    __slots__ = ("_each", "_most", "_now", "parts")

    def __init__(self, most: int = 240) -> None:
        self.parts: list[list[float]] = []
        """(looks, end, sums of what is averaged ..., replicas at the end ...)."""
        self._most = 2 * most
        self._each = 1
        self._now: list[float] | None = None

    def look(self, at_s: float, means: tuple[float, ...], ends: tuple[int, ...]) -> None:
        """Note the state of the deployment."""
        now = self._now
        if now is None:
            self._now = now = [0.0, at_s, *(0.0 for _ in means), *map(float, ends)]
        now[0] += 1
        now[1] = at_s
        for number, value in enumerate(means):
            now[2 + number] += value
        now[2 + len(means) :] = map(float, ends)
        if now[0] >= self._each:
            self.parts.append(now)
            self._now = None
            if len(self.parts) >= self._most:
                self._halve(len(means))

    def _halve(self, means: int) -> None:
        pairs = zip(self.parts[::2], self.parts[1::2], strict=False)
        self.parts = [
            [a[0] + b[0], b[1], *(a[2 + i] + b[2 + i] for i in range(means)), *b[2 + means :]] for a, b in pairs
        ]
        self._each *= 2
