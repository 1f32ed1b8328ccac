"""The pace of an agent's sessions: how many are behind each request that an engine sees, and how long one lasts.

A replica is bought by its sessions, and its engine sees requests: while the user thinks or a tool runs, a session holds its
seat and asks for nothing. On a replica whose seats all have a session so many requests are generated at once::

    n = seats x generating(n) / (generating(n) + pause)

with the time of a request at that load, so that (generating + pause) / generating sessions stand behind each of them.
"""

from __future__ import annotations

from collections.abc import Iterator

from agentgpu_iac.plan import PacePlan
from agentgpu_iac.planning.choosing.candidates import Candidate
from agentgpu_iac.planning.choosing.service import mean_request
from agentgpu_iac.planning.running.answering import pace_of_requests
from agentgpu_iac.sizing import latency
from agentgpu_iac.sizing.ledger import Line
from agentgpu_iac.units import rounded

_ROUNDS = 40
"""The load settles from below, ever closer; after so many rounds nothing moves that is written down."""


def pace_plan(candidate: Candidate) -> PacePlan | None:
    """The pace at which the sessions of a full replica ask; None where no time of a request is known."""
    demand = candidate.demand
    if demand.load is not None:
        return pace_of_requests(candidate)
    shape, seats = demand.shape, candidate.max_num_seqs
    pause_s = shape.pause_s_per_turn / shape.requests_per_turn
    generating_s = _generating_s(candidate, 1.0)
    if generating_s is None:
        return None
    for _ in range(_ROUNDS):
        load = max(1.0, seats * generating_s / (generating_s + pause_s))
        generating_s = _generating_s(candidate, load) or generating_s
    request_s, pause_s = rounded(generating_s, 3), rounded(pause_s, 3)
    cycle_s = request_s + pause_s
    return PacePlan(
        request_s=request_s,
        pause_s=pause_s,
        sessions_per_request=rounded(cycle_s / request_s, 3) if request_s else 1.0,
        conversation_s=rounded(demand.agent.conversation.turns * shape.requests_per_turn * cycle_s, 1),
        normal_sessions=rounded(max(demand.concurrent, demand.requests_per_s(peak=False) * cycle_s), 3),
        peak_sessions=rounded(max(demand.peak, demand.requests_per_s(peak=True) * cycle_s), 3),
    )


def _generating_s(candidate: Candidate, load: float) -> float | None:
    """Time that a mean request holds its seat while that many are generated, the network left out."""
    demand, given, service = candidate.demand, candidate.demand.agent.overrides, candidate.service
    ttft_ms, tpot_ms = given.ttft_ms, given.tpot_ms
    engine = candidate.full_speed
    if engine is not None and (ttft_ms is None or tpot_ms is None):
        answer = latency.predict(engine, mean_request(demand, candidate.prefix_hit_ratio), load)
        ttft_ms = answer.ttft_ms if ttft_ms is None else ttft_ms
        tpot_ms = answer.tpot_ms if tpot_ms is None else tpot_ms
    ttft_ms = service.ttft_ms if ttft_ms is None else ttft_ms
    tpot_ms = service.tpot_ms if tpot_ms is None else tpot_ms
    if ttft_ms is None or tpot_ms is None:
        return None
    return (ttft_ms + max(0.0, demand.shape.output_tokens_per_request - 1) * tpot_ms) / 1000


def lines(pace: PacePlan) -> Iterator[Line]:
    """How many sessions stand behind a request, and how long a conversation lasts."""
    yield Line(
        name="sessionsPerRequest",
        formula="(time of a request + pause before the next one) / time of a request",
        inputs=f"({pace.request_s:g} + {pace.pause_s:g}) / {pace.request_s:g}",
        value=pace.sessions_per_request,
        result=f"{pace.sessions_per_request:g} sessions behind each request that is generated",
        unit="",
        source="a mean request on a replica whose seats all have a session; thinkTimeS and the tools' time",
    )
