"""What the plan says of an agent whose model generates nothing: what it is asked, where, and how much a replica holds of it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final

from agentgpu_iac.plan import PacePlan, PoolingPlan
from agentgpu_iac.planning.choosing.candidates import Candidate
from agentgpu_iac.planning.demand import Demand
from agentgpu_iac.sizing import pooling
from agentgpu_iac.spec.vocabulary import PoolingKind
from agentgpu_iac.units import rounded

_ROUTES: Final[Mapping[PoolingKind, tuple[str, ...]]] = {
    "embedding": ("/embeddings",),
    "reranker": ("/rerank", "/score"),
    "classifier": (),
}
"""Paths below /v1, which routers lead to and keys guard (vLLM 0.32.0: entrypoints/pooling; SGLang has the first)."""


def pooling_plan(candidate: Candidate) -> PoolingPlan | None:
    """What is asked of the agent; nothing where its model chats."""
    demand, pooled = candidate.demand, candidate.demand.model.pooling
    if demand.load is None or pooled is None or demand.agent.requests is None:
        return None
    held = in_flight(candidate)
    rate = _inputs_per_s(candidate)
    return PoolingPlan(
        kind=pooled.kind,
        routes=_ROUTES[pooled.kind],
        requests_per_s=demand.requests_per_s(peak=False),
        requests_per_s_peak=demand.requests_per_s(peak=True),
        inputs_per_request=demand.agent.requests.inputs_per_request,
        input_tokens=demand.agent.requests.input_tokens,
        longest_input_tokens=demand.longest_input_tokens,
        inputs_per_s=None if rate is None else rounded(rate, 1),
        inputs_in_flight=None if held is None else rounded(held, 1),
    )


def _inputs_per_s(candidate: Candidate) -> float | None:
    load, tokens_per_s = candidate.demand.load, candidate.service.prefill_tokens_per_s
    return None if load is None or tokens_per_s is None else tokens_per_s / load.input_tokens


def _held_ms(candidate: Candidate) -> float | None:
    """Time that an input is in the engine: the network left out."""
    load, service = candidate.demand.load, candidate.service
    if load is None or service.e2e_ms is None or candidate.speed is None:
        return None
    return pooling.answering(candidate.speed, load, service.sessions, candidate.demand.percentile).mean_ms


def in_flight(candidate: Candidate) -> float | None:
    """Inputs that a replica holds, running and waiting, at the rate that it is bought for (Little); one at least."""
    rate, held_ms = _inputs_per_s(candidate), _held_ms(candidate)
    return None if rate is None or held_ms is None else max(1.0, rate * held_ms / 1000)


def pace_of_requests(candidate: Candidate) -> PacePlan | None:
    """Requests stand for themselves: nobody pauses, and what an engine counts of them are their inputs."""
    demand, held_ms = candidate.demand, _held_ms(candidate)
    if demand.load is None or held_ms is None:
        return None
    request_s = rounded(held_ms / 1000, 3)
    inputs = [demand.requests_per_s(peak=peak) * demand.load.inputs_per_request * request_s for peak in (False, True)]
    return PacePlan(
        request_s=request_s,
        pause_s=0.0,
        sessions_per_request=1.0,
        conversation_s=request_s,
        normal_sessions=rounded(inputs[0], 3),
        peak_sessions=rounded(inputs[1], 3),
    )


def waiting_room(candidate: Candidate, demand: Demand) -> int | None:
    """Inputs that may wait beyond a full step and still be answered in time: what is left of the budget x their rate.

    No less than two requests' worth, so that one alone is never turned away.
    """
    rate, at_ms = _inputs_per_s(candidate), candidate.service.e2e_at_ms
    if demand.load is None or demand.budget_e2e_ms is None or rate is None or at_ms is None:
        return None
    spare_ms = max(0.0, demand.budget_e2e_ms - at_ms)
    return max(math.floor(spare_ms * rate / 1000), 2 * math.ceil(demand.load.inputs_per_request))
