"""What a proof keeps of its simulations: how long users waited, and how each deployment went, in few numbers."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Final

from agentgpu_iac.plan import ProofCourse, ProofWaits
from agentgpu_iac.simulation.outcome import AgentOutcome, DeploymentOutcome, Moment
from agentgpu_iac.units import rounded

MOST_MOMENTS: Final = 60
"""Parts of the time that a course has at most: as many as a figure shows, and a plan is not made long by."""


def course(found: DeploymentOutcome, seed: int) -> ProofCourse:
    """A deployment over time, neighbouring moments put together until few enough are left."""
    parts = tuple(_parts(found.moments))
    ends = tuple(part[-1] for part in parts)
    return ProofCourse(
        seed=seed,
        minutes=tuple(rounded(each.at_s / 60, 2) for each in ends),
        sessions=tuple(_mean([each.sessions for each in part]) for part in parts),
        running=tuple(_mean([each.running for each in part]) for part in parts),
        waiting=tuple(_mean([each.waiting for each in part]) for part in parts),
        warm_replicas=tuple(each.warm_replicas for each in ends),
        burst_replicas=tuple(each.burst_replicas for each in ends),
        starting_replicas=tuple(each.starting_replicas for each in ends),
    )


def waits(found: Sequence[AgentOutcome]) -> ProofWaits | None:
    """An agent's TTFT, the seeds' mean of each percentile; None where nothing was answered."""
    figures = [each.turns[0].ttft_ms for each in found]
    p50, p95, p99 = (
        [value for value in values if value is not None]
        for values in (
            [each.p50 for each in figures],
            [each.p95 for each in figures],
            [each.p99 for each in figures],
        )
    )
    if not (p50 and p95 and p99):
        return None
    return ProofWaits(p50_ms=_mean(p50), p95_ms=_mean(p95), p99_ms=_mean(p99))


def worst(answers: Sequence[Sequence[AgentOutcome]]) -> int:
    """Of simulations that differ in their seed, the place of the one that went worst: by what was lost, then by the
    smallest share of an agent's requests within a budget.
    """

    def goodness(at: int) -> tuple[int, float]:
        shares = [
            share
            for each in answers[at]
            for share in (each.inside_ttft_ratio, each.inside_tpot_ratio)
            if share is not None
        ]
        return -sum(each.lost for each in answers[at]), min(shares, default=1.0)

    return min(range(len(answers)), key=goodness)


def _parts(moments: Sequence[Moment]) -> Iterator[Sequence[Moment]]:
    each = max(1, math.ceil(len(moments) / MOST_MOMENTS))
    for at in range(0, len(moments), each):
        yield moments[at : at + each]


def _mean(values: Sequence[float]) -> float:
    return rounded(math.fsum(values) / len(values), 2)
