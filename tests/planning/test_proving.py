"""Plans that are simulated until they hold."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentgpu_iac.planning import proving
from agentgpu_iac.planning.proving import NINES, Progressed, Question, proven
from agentgpu_iac.review.blocks import plain_text
from agentgpu_iac.review.proof_view import proof_blocks
from agentgpu_iac.simulation.outcome import AgentOutcome, DeploymentOutcome, Percentiles, SimulationAnswer, TurnOutcome
from tests.planning import scenes

QUICK = Question(traffic="ramp", hours=0.01, seeds=(1, 2))
SEATS = {"overrides": {"maxNumSeqs": 4}}
FIXED = scenes.load(scenes.make_agent(sessions={"concurrent": 12}, **SEATS))
"""Three warm replicas of four seats each."""
WIDE = scenes.load(scenes.make_agent(sessions={"concurrent": 12}, overrides={"maxNumSeqs": 8}))
"""Two warm replicas of eight seats each."""
BURSTING = scenes.load(
    scenes.make_agent(
        latencyClass="background",
        sessions={"concurrent": 4, "peak": 24},
        traffic={"rampS": 900},
        ttftMs=2000,
        **SEATS,
    )
)
"""One warm replica, and a burst tier."""

_NONE = Percentiles(mean=None, p50=None, p90=None, p95=None, p99=None)
UNANSWERED = TurnOutcome(turn="all", requests=0, ttft_ms=_NONE, tpot_ms=_NONE, e2e_ms=_NONE)


def faked(share: Callable[..., float], *, refused: int = 0, lost: Callable[..., int] | int = 0, requests: int = 10_000):
    """A simulation whose share of requests inside the budgets follows from what is planned."""

    def run(plan, asked, progress) -> SimulationAnswer:
        warm = plan.workloads[0]
        burst = next((each for each in plan.workloads if each.tier == "burst"), None)
        knobs: dict[str, Any] = {
            "warm": warm.replicas.max,
            "burst": 0 if burst is None else burst.replicas.max,
            "queue": warm.admission.max_waiting_requests,
            "ratio": None if burst is None or burst.scaling is None else burst.scaling.utilization_ratio,
        }
        run.seen.append((knobs, asked))
        progress(0.5)
        agents = tuple(
            AgentOutcome.model_construct(
                agent=each.name,
                deployment=each.deployment,
                requests=requests,
                refused=refused,
                retried=refused,
                lost=lost(**knobs) if callable(lost) else lost,
                percentile=95.0,
                inside_ttft_ratio=share(**knobs),
                inside_tpot_ratio=None,
                turns=(UNANSWERED,),
            )
            for each in plan.served_agents
        )
        deployments = (
            DeploymentOutcome.model_construct(
                deployment=warm.agent,
                most_burst_replicas=knobs["burst"],
                usd=Decimal(knobs["warm"] + knobs["burst"]),
                moments=(),
            ),
        )
        return SimulationAnswer.model_construct(hours=asked.hours, agents=agents, deployments=deployments)

    run.seen = []
    return run


def test_a_plan_that_holds_carries_its_proof():
    loaded = scenes.load(scenes.make_agent(sessions={"concurrent": 6}))
    plan = proven(loaded, scenes.CATALOG, QUICK)
    (proof,) = plan.proof
    assert proof.holds
    assert proof.low_ratio is not None
    assert proof.wanted_ratio == 0.95 <= proof.low_ratio <= (proof.inside_ttft_ratio or 0)
    assert proof.warm_replicas == proof.warm_replicas_before == 1
    assert proof.requests > 0
    assert (proof.plans, proof.is_cut_short, proof.shortened_from_hours) == (1, False, None)
    assert proof.waits is not None
    assert 0 < proof.waits.p50_ms <= proof.waits.p95_ms <= proof.waits.p99_ms
    assert proof.course is not None
    assert proof.course.seed in QUICK.seeds
    assert proof.course.minutes[-1] == pytest.approx(QUICK.hours * 60, abs=0.1)
    assert set(proof.course.warm_replicas) == {1}
    assert max(proof.course.sessions) == pytest.approx(6, abs=1)


def test_a_plan_that_flatters_itself_breaks_and_what_the_spec_sets_stays():
    """Its measured figures say that one replica carries in time what it cannot."""
    overrides = {
        "tpotMs": 10,
        "ttftMs": 50,
        "maxNumSeqs": 60,
        "outputTokensPerS": 20000,
        "prefillTokensPerS": 200000,
        "baselineReplicas": 1,
    }
    flattered = scenes.make_agent(
        sessions={"concurrent": 60},
        conversation={"thinkTimeS": 0, "outputTokensPerTurn": 100},
        tpotMs=32,
        overrides=overrides,
    )
    (proof,) = proven(scenes.load(flattered), scenes.CATALOG, QUICK).proof
    assert (proof.holds, proof.warm_replicas, proof.constraint) == (False, 1, "inside-tpot")


@pytest.mark.parametrize("needed", [4, 5, 7])
def test_as_few_warm_replicas_as_hold(needed):
    """A quarter more until it holds, then by halves between those that broke and those that hold."""
    run = faked(lambda warm, **_: 0.99 if warm >= needed else 0.9)
    plan = proven(FIXED, scenes.CATALOG, QUICK, run=run)
    (proof,) = plan.proof
    assert proof.holds
    assert (proof.warm_replicas_before, proof.warm_replicas, plan.workloads[0].replicas.max) == (3, needed, needed)
    assert f"baselineReplicas: {needed}" in proof.written
    seen = Counter(knobs["warm"] for knobs, _ in run.seen)
    assert len(seen) == proof.plans
    assert seen == {warm: 2 if warm >= needed or warm == 3 else 1 for warm in seen}, "one seed tells that a plan breaks"


@pytest.mark.parametrize(("needed", "plans"), [(97, 8), (80, 8), (30, 9)])
def test_the_search_for_fewer_begins_near_the_formula(needed, plans):
    """A hundred warm replicas: 5 go first, then twice as many; it ends at 2 of what is needed, with few plans tried."""
    run = faked(lambda warm, **_: 0.99 if warm >= needed else 0.9)
    loaded = scenes.load(scenes.make_agent(sessions={"concurrent": 400}, **SEATS))
    (proof,) = proven(loaded, scenes.CATALOG, QUICK, run=run).proof
    assert proof.warm_replicas_before == 100
    assert needed <= proof.warm_replicas <= needed + 2
    assert proof.plans <= plans


@given(shares=st.lists(st.floats(0, 1), min_size=1, max_size=4))
def test_one_seed_below_takes_the_interval_below_it(shares):
    """Why one seed tells: up to four of them, the lower end is never above the least."""
    low, _ = proving._interval(shares)
    assert low is not None
    assert low <= min(shares) + 1e-5  # the end is rounded


def test_a_plan_that_was_left_early_is_simulated_whole_before_it_is_the_best():
    """None holds; with more replicas the first seed is better and the second one worse: the proof has both."""
    shares = {(3, 1): 0.5, (3, 2): 0.5}

    def run(plan, asked, progress):
        warm = plan.workloads[0].replicas.max
        return faked(lambda **_: shares.get((warm, asked.seed), 0.9 if asked.seed == 1 else 0.1))(plan, asked, progress)

    (proof,) = proven(FIXED, scenes.CATALOG, QUICK, run=run).proof
    assert (proof.holds, proof.requests) == (False, 20_000)


def test_a_queue_that_costs_nothing_comes_before_replicas_that_do():
    for needed in (2, 4):  # none may wait as planned: a quarter and half of eight seats

        def share(warm, queue, needed=needed, **_):
            return 0.99 if warm > 1 and queue >= needed else 0.9 + queue / 10_000

        run = faked(share, refused=3)
        (proof,) = proven(WIDE, scenes.CATALOG, QUICK, run=run).proof
        assert (proof.holds, proof.waiting_requests_before, proof.waiting_requests) == (True, 0, needed)
        assert proof.warm_replicas == proof.warm_replicas_before == 2
    run = faked(lambda warm, **_: 0.99 if warm > 2 else 0.9)
    proven(WIDE, scenes.CATALOG, QUICK, run=run)
    assert {seen[0]["queue"] for seen in run.seen} == {0}, "nothing was refused, so no queue is longer"


@pytest.mark.parametrize("needed", [0.5, 0.3])
def test_an_earlier_call_for_replicas_comes_before_more_of_them(needed):
    run = faked(lambda ratio, **_: 0.99 if ratio <= needed else 0.9 + (1 - ratio) / 100)
    (proof,) = proven(BURSTING, scenes.CATALOG, QUICK, run=run).proof
    assert proof.holds
    assert (proof.utilization_ratio, proof.warm_replicas) == (needed, proof.warm_replicas_before)
    assert proof.written == f"scaling: {{utilizationRatio: {needed}}}"


def test_what_the_spec_says_of_queue_and_threshold_stays():
    agent = scenes.make_agent(
        latencyClass="background",
        sessions={"concurrent": 4, "peak": 24},
        traffic={"rampS": 900},
        ttftMs=2000,
        overrides={"maxNumSeqs": 4, "baselineReplicas": 1, "burstReplicas": 5, "maxWaitingRequests": 2},
    )
    run = faked(lambda **_: 0.5, refused=3)
    plan = proven(scenes.load(agent, scaling={"utilizationRatio": 0.9}), scenes.CATALOG, QUICK, run=run)
    assert (plan.proof[0].holds, plan.proof[0].plans, plan.proof[0].written) == (False, 1, "")


def test_where_none_holds_the_nearest_and_cheapest_is_kept(monkeypatch):
    """More replicas than four make it worse (as they do to a cache that follows its session): the last one is not the best."""
    monkeypatch.setattr(proving, "_MOST_PLANS", 4)
    run = faked(lambda warm, **_: 0.94 if warm == 4 else 0.9)
    (proof,) = proven(FIXED, scenes.CATALOG, QUICK, run=run).proof
    assert (proof.holds, proof.warm_replicas, proof.low_ratio) == (False, 4, 0.94)
    assert (proof.constraint, proof.need, proof.limit) == ("inside-ttft", 0.95, 0.94)
    run = faked(lambda **_: 0.9)
    (proof,) = proven(FIXED, scenes.CATALOG, QUICK, run=run).proof
    assert (proof.warm_replicas, proof.written) == (3, "")


def test_what_to_write_names_each_place_once():
    """A queue and more replicas: both stand below the one ``overrides`` of their agent."""
    run = faked(lambda warm, queue, **_: 0.99 if warm > 2 and queue else 0.9 + (queue + warm) / 1000, refused=1)
    (proof,) = proven(WIDE, scenes.CATALOG, QUICK, run=run).proof
    assert proof.holds
    assert proof.written == "agent support: overrides: {maxWaitingRequests: 4, baselineReplicas: 3}"


def test_requests_that_are_lost_break_it():
    run = faked(lambda **_: 1.0, lost=lambda warm, **_: int(warm < 4))
    (proof,) = proven(FIXED, scenes.CATALOG, QUICK, run=run).proof
    assert (proof.holds, proof.lost, proof.warm_replicas) == (True, 0, 4)


def test_what_each_further_nine_costs():
    """Each is looked for from the start, and one that holds for more of the requests holds for fewer."""
    shares = {3: 0.95, 4: 0.992, 5: 0.9995, 7: 0.99995}
    run = faked(lambda warm, **_: shares.get(warm, 0.9992), requests=100_000)
    plan = proven(FIXED, scenes.CATALOG, Question(traffic="ramp", hours=0.01, seeds=(1, 2), nines=NINES), run=run)
    assert [each.wanted_ratio for each in plan.nines] == list(NINES)
    assert all(each.holds and each.low_ratio >= each.wanted_ratio for each in plan.nines)
    assert plan.nines[-1].warm_replicas == 7
    costs = [each.usd_per_month for each in plan.nines]
    assert costs == sorted(costs)
    assert [each.more_usd_per_month for each in plan.nines] == [
        0,
        *(after - before for before, after in pairwise(costs)),
    ]
    assert plan.proof[0].plans < len(run.seen) / 2, "plans that the nines needed are not counted as the plan's own"
    text = plain_text(list(proof_blocks(plan)))
    assert "What each further nine costs" in text
    assert "too few" not in text


def test_nines_that_so_few_requests_cannot_show(monkeypatch):
    """None of 2 x 1,000 outside says nothing of one in 10,000 (rule of three), and a share that was lost is never negative."""
    monkeypatch.setattr(proving, "_MOST_PLANS", 3)
    question = Question(traffic="ramp", hours=0.01, seeds=(1, 2), nines=(0.99, 0.9999))
    plan = proven(FIXED, scenes.CATALOG, question, run=faked(lambda **_: 1.0, requests=1_000))
    assert [(each.holds, each.has_enough_requests, each.low_ratio) for each in plan.nines] == [
        (True, True, 1.0),
        (False, False, 1.0),
    ]
    assert "too few requests to tell" in plain_text(list(proof_blocks(plan)))
    lost = proven(FIXED, scenes.CATALOG, question, run=faked(lambda **_: 0.97, lost=2))
    assert [each.low_ratio for each in lost.nines] == [0.97, 0.97]


def test_nines_on_a_real_fleet():
    question = Question(traffic="ramp", hours=0.02, seeds=(1, 2), nines=(0.9, 0.9999))
    plan = proven(scenes.load(scenes.make_agent(sessions={"concurrent": 6})), scenes.CATALOG, question)
    assert [each.has_enough_requests for each in plan.nines] == [True, False]
    assert plan.nines[0].holds


# --- the search comes to an end


def test_a_search_ends_with_the_requests_that_it_may_simulate(monkeypatch):
    monkeypatch.setattr(proving, "_MOST_SIMULATED", 90_000)
    run = faked(lambda **_: 0.5)
    plan = proven(FIXED, scenes.CATALOG, QUICK, run=run)
    (proof,) = plan.proof
    assert (proof.is_cut_short, proof.plans, len(run.seen)) == (True, 10, 11), (
        "the first with both seeds, and nine with one until there are as many"
    )
    assert "--hours" in plain_text(list(proof_blocks(plan)))


def test_a_large_fleet_is_simulated_for_less_time(monkeypatch):
    asked = Question(traffic="bursty", seeds=(1,))
    run = faked(lambda **_: 1.0)
    (whole,) = proven(BURSTING, scenes.CATALOG, asked, run=run).proof
    assert (whole.hours, whole.shortened_from_hours) == (1.0, None)
    monkeypatch.setattr(proving, "_MOST_REQUESTS", 1)
    plan = proven(BURSTING, scenes.CATALOG, asked, run=run)
    (proof,) = plan.proof
    assert (proof.hours, proof.shortened_from_hours) == (0.45, 1.0), "ten minutes of calm, 15 of ramp, two at the peak"
    assert run.seen[-1][1].hours == proof.hours
    assert "bursty has 1 h of its own" in plain_text(list(proof_blocks(plan)))
    by_hand = Question(traffic="bursty", hours=0.7, seeds=(1,))
    (proof,) = proven(BURSTING, scenes.CATALOG, by_hand, run=run).proof
    assert (proof.hours, proof.shortened_from_hours) == (0.7, None)


def test_progress_never_passes_its_end():
    told: list[Progressed] = []
    proven(FIXED, scenes.CATALOG, QUICK, told.append, faked(lambda warm, **_: 0.99 if warm > 5 else 0.5))
    assert [each.simulations for each in told] == sorted(each.simulations for each in told)
    assert all(each.simulations <= each.most for each in told)
    assert told[0].most == 2 * 25, "the first, and 24 beside it"
