"""While a burst's replicas start, the warm ones take who arrives: planned so, and held against stepping one of them."""

from __future__ import annotations

import heapq
import math
import random

import pytest

from agentgpu_iac.planning.choosing import tiers
from agentgpu_iac.planning.choosing.candidates import replica_service
from agentgpu_iac.planning.choosing.requests import mean_request
from agentgpu_iac.sizing.engines import SIZING_PORTS
from agentgpu_iac.sizing.stepping import Asked, Steps
from tests.planning.scenes import make_agent, make_catalog, offerings, plan, workload

pytestmark = pytest.mark.usefixtures("monkeypatch")  # what is planned is looked at while it is: it must be planned anew

CARD = make_catalog(offerings("l1", "large-80", on_demand="3.00", spot="1.00", memory_gib=1024.0))
COLD_S = 500.0
REPEATS = 150
SLOW = make_agent(
    sessions={"concurrent": 10},
    conversation={"turns": 6, "inputTokensPerTurn": 200, "outputTokensPerTurn": 4000, "thinkTimeS": 120},
    traffic={"burstFactor": 40, "rampS": 1500},
    ttftMs=1500,
    tpotMs=20,
    pausedCache="keep",
)
"""Answers of more than a minute, in a burst that takes three cold starts."""


@pytest.fixture(scope="module")
def slow():
    """The plan, and the candidate that it was made of."""
    with pytest.MonkeyPatch.context() as patched:
        found = []
        warm = tiers.warm_replicas
        patched.setattr(
            "agentgpu_iac.planning.choosing.options.warm_replicas",
            lambda candidate, *rest, **more: found.append(candidate) or warm(candidate, *rest, **more),
        )
        planned = plan(SLOW, catalog=CARD)
    return planned, found[0]


def stepped(candidate, sessions: float, new: float, within_s: float, seed: int) -> tuple[int, list[float], list[float]]:
    """(requests that are computed at the end, TTFT and TPOT in ms of those asked meanwhile) of one replica on which ``new``
    sessions arrive, each at a time of its own, beside those that are there already.
    """
    draw, request = random.Random(seed), mean_request(candidate.demand, candidate.prefix_hit_ratio)
    engine, port = candidate.speed, SIZING_PORTS["vllm"]
    steps = Steps(engine, port.scheduling(seats=10_000, step_tokens=engine.max_batched_tokens, cache_tokens=math.inf))
    pause_ms, start_ms, end_ms = candidate.demand.pause_s * 1000, 1e6, 1e6 + within_s * 1000

    def some(mean: float) -> int:  # a session and a half is one, or two as often
        return math.floor(mean) + (draw.random() < mean % 1)

    due = [draw.expovariate(1 / pause_ms) for _ in range(some(sessions - new))]
    due += [draw.uniform(start_ms, end_ms) for _ in range(some(new))]
    heapq.heapify(due)
    done = []
    while True:
        if due and (steps.idle or due[0] <= steps.now_ms):
            at_ms = heapq.heappop(due)
            if at_ms > end_ms:
                break
            steps.push(
                Asked(
                    arrives_ms=at_ms,
                    sent_ms=at_ms,
                    prompt_tokens=round(request.prompt_tokens),
                    cached_tokens=round(request.context_tokens - request.prompt_tokens - request.output_tokens / 2),
                    output_tokens=round(request.output_tokens),
                )
            )
            continue
        for asked in steps.advance(min(due[0] if due else math.inf, end_ms)):
            heapq.heappush(due, asked.last_ms + draw.expovariate(1 / pause_ms))
            done.append(asked)
        if steps.now_ms >= end_ms:
            break
    asked = [each for each in done if each.sent_ms >= start_ms]
    ttft = [each.first_ms - each.sent_ms for each in asked]
    tpot = [(each.last_ms - each.first_ms) / (each.output_tokens - 1) for each in asked]
    return steps.requests, ttft, tpot


def at(values, quantile: float) -> float:
    return sorted(values)[math.ceil(quantile * len(values)) - 1]


def outcomes(candidate, replicas: int):
    early = tiers.sessions_before_ready(candidate.demand, COLD_S)
    new = (early - candidate.demand.concurrent) / replicas
    return [stepped(candidate, early / replicas, new, COLD_S, seed) for seed in range(REPEATS)]


def test_more_is_warm_than_seats_alone_would_have_it(slow):
    _, candidate = slow
    early = tiers.sessions_before_ready(candidate.demand, COLD_S)
    by_seats = math.ceil(early / candidate.most_sessions)
    assert by_seats < tiers.replicas_before_ready(candidate, COLD_S) < candidate.peak_replicas


def test_the_plan_keeps_them_warm(slow):
    planned, candidate = slow
    cold_s = workload(planned, tier="burst").cold_start_s.upper.alone_total
    assert workload(planned).replicas.min >= tiers.replicas_before_ready(candidate, cold_s)


@pytest.mark.parametrize("replicas", [8, 12, 20])
def test_as_many_generate_as_a_stepped_replica_has(slow, replicas):
    """The step model in a closed loop with thought, on which sessions arrive: within two requests of what is planned."""
    _, candidate = slow
    early = tiers.sessions_before_ready(candidate.demand, COLD_S)
    new = (early - candidate.demand.concurrent) / replicas
    asking = replica_service(candidate, 0.0).asking
    planned = asking.while_starting(math.ceil(early / replicas), new=new, within_s=COLD_S)
    seen = at([computed for computed, _, _ in outcomes(candidate, replicas)], 0.99)
    assert seen - 1 <= planned <= seen + 2


def test_and_the_budgets_hold_there(slow):
    _, candidate = slow
    found = outcomes(candidate, tiers.replicas_before_ready(candidate, COLD_S))
    assert at([ttft for _, times, _ in found for ttft in times], 0.95) <= 1500
    assert at([tpot for _, _, times in found for tpot in times], 0.95) <= 20


def test_and_no_longer_where_half_as_many_are_warm(slow):
    _, candidate = slow
    found = outcomes(candidate, tiers.replicas_before_ready(candidate, COLD_S) // 2)
    assert at([tpot for _, _, times in found for tpot in times], 0.95) > 20


def test_a_slower_start_never_needs_fewer(slow):
    _, candidate = slow
    needed = [tiers.replicas_before_ready(candidate, cold_s) for cold_s in (1, 60, 200, 500, 1000, 1499, 1501)]
    assert needed == sorted(needed)
    assert needed[-1] == candidate.peak_replicas
