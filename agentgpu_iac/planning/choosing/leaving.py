"""How a replica leaves: the one drain that everything on the path of an answer follows.

Engines, routers, the machines below them and whoever takes nodes back are each told how long to wait. All of it is decided
here, from the longest answer that is promised an end: nothing on the path of a stream may end it before.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

from agentgpu_iac.catalog.model import EngineRelease
from agentgpu_iac.plan import DrainPlan, Workload
from agentgpu_iac.planning.choosing.candidates import Candidate
from agentgpu_iac.planning.choosing.known import Itself
from agentgpu_iac.planning.demand import Demand, wanted_model_len
from agentgpu_iac.planning.engines import PORTS

PRE_STOP_S = 15
"""Time for load balancers to forget a replica that ends (llm-d and KServe use 15 s)."""
STOP_MARGIN_S = 15
"""Time for the engine to close down after the last answer."""
NOTICE_DETECTION_S = 5
"""Time until an interruption notice has reached the node and its pods are being evicted."""
SLOWEST_TPOT_MS = 50.0
"""Time per output token that a drain allows for, at least: the budget of the voice and chat classes."""
LEAST_SHUTDOWN_S = 45
"""What a replica is given to finish its answers at least, off spot (llm-d's guides: 45 s, and 75 s of grace)."""
LONGEST_ANSWER_S = 3_600
"""The longest answer that anything waits for."""

ANSWER_QUANTILE = 0.99
"""Of the answers, how many end by themselves within the drain (llm-d: roughly the p99 of the request's time)."""
ANSWER_TAIL = math.log(1 / (1 - ANSWER_QUANTILE))
"""Tokens of the longest of a hundred answers over those of the mean one, 4.6: a spec gives a mean, and answers that may end
at each token alike are spread geometrically about it. Public traces: 2.9 (Azure, chat), 3.3 (Mooncake), 9.0 (Azure, code
completion, whose 251 tokens are far below the least drain)."""


def longest_answer_tokens(demand: Demand) -> float:
    """Output and reasoning tokens of the longest of a hundred answers; no more than the context has room for."""
    return _longest_answer_tokens(Itself(demand))  # asked for every candidate


@lru_cache(maxsize=8192)
def _longest_answer_tokens(itself: Itself[Demand]) -> float:
    demand = itself.thing
    mean = demand.shape.output_tokens_per_request
    room = wanted_model_len(demand) - demand.shape.first_prompt_tokens
    return max(mean, min(mean * ANSWER_TAIL, float(room)))


def longest_answer_s(demand: Demand, tpot_ms: float | None) -> float:
    """Time of the longest of a hundred answers, from its first token on.

    A token is counted at 50 ms at least, however fast the engine is: a drain that depended on the speed would let a stricter
    latency budget buy cheaper capacity. A model that generates nothing streams nothing: it ends with the step that runs.
    """
    if demand.load is not None:
        return 0.0
    seconds = longest_answer_tokens(demand) * max(SLOWEST_TPOT_MS, tpot_ms or 0.0) / 1000
    return min(float(LONGEST_ANSWER_S), seconds)


def drain(
    demand: Demand, tpot_ms: float | None, ttft_ms: float | None = None, *, engine_waits: bool = True
) -> DrainPlan:
    """Time that a replica needs to leave, to finish the longest answer it may be generating, and to stop.

    An engine that ends at once on SIGTERM is sent it only after the time for the answers: the pod waits before, while
    the engine works on and nothing new reaches it.
    """
    shutdown = _shutdown_s(demand, tpot_ms, ttft_ms)
    return _drain(PRE_STOP_S, shutdown, STOP_MARGIN_S, answer_s=shutdown, notice_s=None, engine_waits=engine_waits)


def _shutdown_s(demand: Demand, tpot_ms: float | None, ttft_ms: float | None = None) -> int:
    """What the engine is given to finish its answers."""
    seconds = longest_answer_s(demand, tpot_ms) + (ttft_ms or 0.0) / 1000
    return max(LEAST_SHUTDOWN_S, min(LONGEST_ANSWER_S, math.ceil(seconds)))


def spot_grace_s(demand: Demand, tpot_ms: float | None) -> int:
    """The grace period that a notice must leave room for, for a user-facing replica to be on spot.

    The time to the first token is left out: it gets shorter with a stricter budget, which must not buy cheaper capacity.
    """
    return PRE_STOP_S + _shutdown_s(demand, tpot_ms) + STOP_MARGIN_S


def replica_drain(candidate: Candidate, release: EngineRelease) -> DrainPlan:
    """How a replica of the candidate leaves; what takes its node back may give it less time."""
    waits = PORTS[release.engine].drains(release.version)
    return drain(candidate.demand, candidate.service.tpot_ms, candidate.service.ttft_at_ms, engine_waits=waits)


def on_spot(whole: DrainPlan, notice_s: int) -> DrainPlan:
    """What an interruption notice leaves of a drain; all of it where none is documented, since nothing is known then."""
    if notice_s == 0:
        return whole.model_copy(update={"notice_s": 0})
    left = max(3, notice_s - NOTICE_DETECTION_S)
    pre_stop, margin = min(PRE_STOP_S, left // 3), min(STOP_MARGIN_S, left // 3)
    shutdown = min(whole.answer_s, left - pre_stop - margin)
    waits = whole.shutdown_timeout_s > 0
    return _drain(pre_stop, shutdown, margin, answer_s=whole.answer_s, notice_s=notice_s, engine_waits=waits)


def behind(workloads: Sequence[Workload], stop_margin_s: int) -> DrainPlan:
    """How what hands out the answers of those workloads leaves: it waits for the longest that any of them may be giving."""
    longest = max(workload.drain.answer_s for workload in workloads)
    return _drain(PRE_STOP_S, longest, stop_margin_s, answer_s=longest, notice_s=None, engine_waits=True)


def node_s(workloads: Sequence[Workload], pods_per_node: int) -> int:
    """Seconds that a node may take until its pods have left, one after another, each when its replacement serves.

    The first replacement may need a node of its own, on which the others then start; each may take all that its own rollout
    and its startup probe allow.
    """
    others = max(0, pods_per_node - 1)
    return max(
        (
            workload.rollout.progress_deadline_s
            + others * workload.probes.startup_s
            + pods_per_node * workload.drain.grace_period_s
            for workload in workloads
        ),
        default=0,
    )


def _drain(
    pre_stop_s: int, shutdown_s: int, margin_s: int, *, answer_s: int, notice_s: int | None, engine_waits: bool
) -> DrainPlan:
    return DrainPlan(
        pre_stop_s=pre_stop_s if engine_waits else pre_stop_s + shutdown_s,
        shutdown_timeout_s=shutdown_s if engine_waits else 0,
        grace_period_s=pre_stop_s + shutdown_s + margin_s,
        answer_s=answer_s,
        notice_s=notice_s,
    )
