"""The pace of an agent's sessions: how many are behind each request that an engine sees, and how long one lasts.

A replica is bought by its sessions, and its engine sees requests: while the user thinks or a tool runs, a session holds its
seat and asks for nothing (``sizing.generating``). On a replica whose seats all have a session, seats / generating sessions
stand behind each request, which by Little's law takes generating / (requests a second).
"""

from __future__ import annotations

from collections.abc import Iterator

from agentgpu_iac.plan import PacePlan
from agentgpu_iac.planning.choosing.candidates import Candidate, replica_service
from agentgpu_iac.planning.running.answering import pace_of_requests
from agentgpu_iac.sizing.generating import generating
from agentgpu_iac.sizing.ledger import Line
from agentgpu_iac.units import counted, rounded


def pace_plan(candidate: Candidate) -> PacePlan | None:
    """The pace at which the sessions of a full replica ask; None where no time of a request is known."""
    demand = candidate.demand
    if demand.load is not None:
        return pace_of_requests(candidate)
    seats, pause_s = candidate.max_num_seqs, demand.pause_s
    time = replica_service(candidate, 0.0).asking.time
    if time is None:
        return None
    generating_s = time(seats) / 1000
    if pause_s:
        computed = generating(seats, pause_s * 1000, time).mean
        generating_s = computed * pause_s / (seats - computed)
    request_s, pause_s = rounded(generating_s, 3), rounded(pause_s, 3)
    cycle_s = request_s + pause_s
    return PacePlan(
        request_s=request_s,
        pause_s=pause_s,
        sessions_per_request=rounded(cycle_s / request_s, 3) if request_s else 1.0,
        conversation_s=rounded(demand.most_requests_per_conversation * cycle_s, 1),
        normal_sessions=rounded(max(demand.concurrent, demand.requests_per_s(peak=False) * cycle_s), 3),
        peak_sessions=rounded(max(demand.peak, demand.requests_per_s(peak=True) * cycle_s), 3),
    )


def lines(pace: PacePlan) -> Iterator[Line]:
    """How many sessions stand behind a request, and how long a conversation lasts."""
    yield Line(
        name="sessionsPerRequest",
        formula="(time of a request + pause before the next one) / time of a request",
        inputs=f"({pace.request_s:g} + {pace.pause_s:g}) / {pace.request_s:g}",
        value=pace.sessions_per_request,
        result=f"{counted(pace.sessions_per_request, 'session', 'g')} behind each request that is generated",
        unit="",
        source="a mean request on a replica whose seats all have a session; thinkTimeS and the tools' time",
    )
