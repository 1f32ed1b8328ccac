"""What scales a burst tier: every number recomputed from the plan beside it."""

from __future__ import annotations

import dataclasses
import math
import re
from functools import cache
from typing import Any

import pytest
from hypothesis import given, settings

from agentgpu_iac import plan as p
from agentgpu_iac.catalog.store import load_catalog
from agentgpu_iac.errors import BadInput
from agentgpu_iac.plan.series import decimal
from agentgpu_iac.planning.planner import NoPlan, make_plan
from agentgpu_iac.spec.loader import load_text
from tests.planning.scenes import CATALOG as SCENES
from tests.planning.scenes import make_agent, plan
from tests.planning.stacks import rules, stacks
from tests.thoroughness import examples

CATALOG = load_catalog()

STACK = """
apiVersion: agentgpu.dev/v1alpha1
kind: AgentStack
metadata: {name: peaks}
spec:
  target: eks
SCALING
  agents:
    - name: support
      model: Qwen/Qwen3-14B
      sessions: {concurrent: 100}
      traffic: {burstFactor: 10, rampS: 3600}
    - name: steady
      model: Qwen/Qwen3-8B
"""


@cache
def peaks(scaling: str = "") -> p.Plan:
    return make_plan(load_text(STACK.replace("SCALING", scaling), "peaks.yaml"), CATALOG)


def burst(made: p.Plan) -> tuple[p.Workload, p.Workload]:
    """The baseline and the burst tier of the agent with a peak."""
    warm, grown = [one for one in made.workloads if one.agent == "support"]
    return warm, grown


def codes(made: p.Plan) -> list[str]:
    return [warning.code for warning in made.warnings]


def test_the_burst_queries_are_what_exceeds_the_baseline() -> None:
    warm, grown = burst(peaks())
    scaling, pace = grown.scaling, grown.pace
    assert scaling is not None
    assert pace is not None
    assert warm.scaling is None
    requests, sessions, kv_cache = scaling.triggers
    assert grown.generating is not None
    at_once, seats = grown.generating.most * 0.8, warm.max_num_seqs * 0.8
    running, waiting, refusals = (
        f'{name}{{namespace="peaks",agentgpu_dev_agent="support"}}'
        for name in ("vllm:num_requests_running", "vllm:num_requests_waiting", "vllm:admission_rejections_total")
    )
    refused = f"(sum(irate({refusals}[60s])) or vector(0)) / clamp_max(count({running}), 3) * {decimal(pace.request_s)}"
    assert requests.threshold == pytest.approx(at_once)
    assert at_once < seats, "some of those that are held pause"
    assert requests.query == (
        f"clamp_min(sum({running}) + sum({waiting}) + {refused} - {decimal(warm.replicas.min * at_once)}, 0)"
    )
    averaged = " + ".join(f"sum(avg_over_time({one}[{scaling.averaged_s}s]))" for one in (running, waiting))
    floor = max(warm.replicas.min * seats, 1.1 * pace.normal_sessions)
    assert sessions.threshold <= seats
    assert sessions.query == (
        f"clamp_min(({averaged} + {refused}) * {decimal(pace.sessions_per_request)} - {decimal(floor)}, 0)"
    )
    memory = grown.memory
    filled = memory.kv_gib / (memory.kv_gib + memory.headroom_gib)
    assert kv_cache.threshold == pytest.approx(filled * sessions.threshold / grown.resident_sessions, abs=0.0006)


class Case:
    """A burst against the plan's own queries: what Prometheus would answer at one evaluation."""

    def __init__(self, made: p.Plan) -> None:
        self.warm, self.grown = burst(made)
        assert self.grown.scaling is not None
        assert self.grown.pace is not None
        self.scaling, self.pace = self.grown.scaling, self.grown.pace

    def wanted(self, asked: float, admitted_per_replica: float, replicas: int) -> int:
        """Burst replicas that are asked for while so many requests are wanted at once and each replica lets some in."""
        held = min(asked, replicas * admitted_per_replica)
        refused_per_s = (asked - held) / self.pace.request_s
        tries = min(3, replicas)
        found = 0
        for trigger in self.scaling.triggers:
            if trigger.name == "kv-cache":
                continue
            query = re.sub(r'\{namespace="peaks",agentgpu_dev_agent="support"\}', "", trigger.query)
            query = re.sub(r"sum\((avg_over_time\()?vllm:num_requests_running(\[\d+s\]\))?\)", f"{held:.9f}", query)
            query = re.sub(r"sum\((avg_over_time\()?vllm:num_requests_waiting(\[\d+s\]\))?\)", "0", query)
            query = query.replace(
                "(sum(irate(vllm:admission_rejections_total[60s])) or vector(0))", f"{refused_per_s * tries:.9f}"
            ).replace("clamp_max(count(vllm:num_requests_running), 3)", str(tries))
            inner = re.fullmatch(r"clamp_min\(([-+*/(). \d]+), 0\)", query)
            assert inner, query
            found = max(found, math.ceil(max(0.0, eval(inner[1])) / trigger.threshold - 1e-6))
        return min(self.scaling.max_replicas, found)


class TestBurst:
    """The case that took six cold starts, 38 minutes of refusals: sixfold sessions, a replica in six minutes."""

    @pytest.fixture(scope="class")
    @classmethod
    def sixfold(cls) -> Case:
        text = STACK.replace("SCALING", "  capacity: {fastBurst: turn-away}").replace(
            "burstFactor: 10", "burstFactor: 6"
        )
        return Case(make_plan(load_text(text, "peaks.yaml"), CATALOG))

    def test_the_first_look_asks_for_all_that_is_needed(self, sixfold: Case) -> None:
        needed = sixfold.grown.replicas.max
        assert needed > 1
        asked = sixfold.grown.sessions_peak / sixfold.pace.sessions_per_request
        limit = sixfold.warm.admission.max_queued_requests or 0
        assert sixfold.wanted(asked, limit, sixfold.warm.replicas.min) == needed

    def test_a_burst_of_requests_without_pauses_is_seen_whole(self, sixfold: Case) -> None:
        limit = sixfold.warm.admission.max_queued_requests or 0
        assert limit < sixfold.grown.sessions_peak
        assert (
            sixfold.wanted(sixfold.grown.sessions_peak, limit, sixfold.warm.replicas.min)
            == sixfold.scaling.max_replicas
        )

    def test_refusals_count_once_however_many_replicas_the_router_asked(self, sixfold: Case) -> None:
        asked = 1.5 * sixfold.grown.sessions_peak / sixfold.pace.sessions_per_request
        found = {replicas: sixfold.wanted(asked, 1.0, replicas) for replicas in (1, 2, 3, 5)}
        assert len(set(found.values())) == 1

    def test_normal_load_asks_for_none(self, sixfold: Case) -> None:
        asked = sixfold.pace.normal_sessions / sixfold.pace.sessions_per_request
        assert sixfold.wanted(asked, sixfold.warm.max_num_seqs, sixfold.warm.replicas.min) == 0

    def test_paused_sessions_are_counted_behind_those_that_ask(self, sixfold: Case) -> None:
        """Half of the users think: their seats are taken all the same."""
        pace = sixfold.pace
        assert pace.sessions_per_request == pytest.approx((pace.request_s + pace.pause_s) / pace.request_s, abs=0.001)
        assert pace.sessions_per_request > 1.5

    def test_it_goes_down_when_a_conversation_is_over(self, sixfold: Case) -> None:
        assert sixfold.scaling.scale_down_stabilization_s >= min(3600, sixfold.pace.conversation_s)


def test_an_engine_without_a_counter_of_refusals_asks_for_the_whole_burst_at_its_limit() -> None:
    agent = make_agent(engine="sglang", sessions={"concurrent": 10}, traffic={"burstFactor": 20.0, "rampS": 3600.0})
    (grown,) = [one for one in plan(agent).workloads if one.scaling is not None]
    assert grown.scaling is not None
    assert grown.scaling.counts_refused == "at-limit"
    limit = grown.most_generating + max(1, grown.admission.max_waiting_requests or 0)
    assert f">= bool {limit} * count(" in grown.scaling.triggers[0].query


def test_times_follow_from_cold_start_and_drain() -> None:
    _, grown = burst(peaks())
    scaling, cold_s = grown.scaling, grown.cold_start_s.total
    assert scaling is not None
    assert scaling.polling_interval_s == min(30, max(5, math.ceil(cold_s / 20)))
    assert scaling.cooldown_s >= max(300, cold_s, min(3600, grown.pace.conversation_s if grown.pace else 0))
    assert scaling.scale_down_stabilization_s == scaling.cooldown_s
    assert scaling.scale_down_period_s == grown.drain.grace_period_s
    assert (scaling.min_replicas, scaling.max_replicas) == (0, grown.replicas.max)
    assert scaling.fallback_replicas > 0, "with 0, KEDA takes a running burst down when Prometheus is silent"


def test_another_utilization_ratio_moves_every_threshold() -> None:
    scalings = [burst(peaks(f"  scaling: {{utilizationRatio: {ratio}}}"))[1].scaling for ratio in ("0.5", "1.0")]
    low, high = (one.triggers for one in scalings if one is not None)
    ratios = {}
    for at_half, at_full in zip(low, high, strict=True):
        ratios[at_half.name] = at_half.threshold / at_full.threshold
    assert ratios["requests"] == pytest.approx(0.5, abs=0.001)
    assert 0.5 <= ratios["sessions"] < 1  # never more a replica than the plan gives it
    assert ratios["kv-cache"] == pytest.approx(ratios["sessions"], abs=0.002)  # what those sessions hold


def test_nothing_is_said_of_unscaled_bursts_where_they_are_scaled() -> None:
    assert "burst-not-scaled" not in codes(peaks())
    unscaled = peaks("  scaling: {method: none}")
    assert burst(unscaled)[1].scaling is None
    assert "burst-not-scaled" in codes(unscaled)


def test_an_hpa_keeps_one_replica_and_the_plan_says_what_that_costs() -> None:
    made = peaks("  scaling: {method: hpa}")
    _, grown = burst(made)
    assert grown.scaling is not None
    assert grown.scaling.min_replicas == 1
    (said,) = [warning.message for warning in made.warnings if warning.code == "hpa-keeps-one"]
    assert f"{float(grown.replica_usd_per_hour) * (720 - 72):,.2f}" in said


def test_scaling_without_monitors_says_what_must_be_scraped() -> None:
    assert "metrics-not-scraped" in codes(peaks("  observability: {monitors: none}"))
    assert "metrics-not-scraped" not in codes(peaks("  observability: {monitors: none}\n  scaling: {method: none}"))


def schedule(agent: str, replicas: int, method: str = "keda", start: str = "45 7 * * 1-5") -> str:
    return (
        f"  scaling:\n    method: {method}\n    schedule:\n"
        f'      - {{agent: {agent}, start: "{start}", end: "0 18 * * mon-fri", replicas: {replicas}}}'
    )


def test_a_schedule_wants_no_more_than_there_are_nodes_for() -> None:
    made = peaks(schedule("support", 2))
    scaling = burst(made)[1].scaling
    assert scaling is not None
    assert [one.replicas for one in scaling.schedules] == [2]
    assert not {"schedule-capped", "schedule-ignored"} & set(codes(made))
    many = peaks(schedule("support", 999))
    grown = burst(many)[1]
    assert grown.scaling is not None
    assert [one.replicas for one in grown.scaling.schedules] == [grown.replicas.max]
    assert "schedule-capped" in codes(many)


@pytest.mark.parametrize(("agent", "method"), [("steady", "keda"), ("support", "hpa"), ("support", "none")])
def test_a_schedule_that_cannot_be_kept_is_named(agent: str, method: str) -> None:
    assert "schedule-ignored" in codes(peaks(schedule(agent, 1, method)))


@pytest.mark.parametrize(
    ("scaling", "message"),
    [
        (schedule("suport", 1), "did you mean 'support'"),
        (schedule("support", 1, start="60 7 * * *"), "'60' is no minute: 0 to 59"),
        (schedule("support", 1, start="0 7 * * 5-1"), "'5-1' is no weekday"),
        (schedule("support", 1, start="*/0 7 * * *"), "'*/0' is no minute"),
        (schedule("support", 1, start="0 18 * * mon-fri"), "ends when it starts"),
    ],
)
def test_a_faulty_schedule_is_refused(scaling: str, message: str) -> None:
    with pytest.raises(BadInput, match=re.escape(message)):
        peaks(scaling)


@pytest.mark.broad(every=3)
@pytest.mark.parametrize("start", ["07 07 1,15 * *", "*/15 0-6 * JAN-MAR 1", "0 0 1 1 0"])
def test_schedules_may_be_written_as_cron_writes_them(start: str) -> None:
    assert burst(peaks(schedule("support", 1, start=start)))[1].scaling is not None


@settings(deadline=None, max_examples=examples(40))
@given(stacks(), rules)
def test_bursts_that_are_scaled_reach_their_replicas_at_the_peak(
    agents: list[dict[str, Any]], spec: dict[str, Any]
) -> None:
    """At full seats everywhere the query asks for the whole burst tier, and for nothing below the baseline's share.

    Where sessions pause and tiers are on different cards, it is the sessions that ask for the whole burst.
    """
    try:
        made = plan(*agents, **spec)
    except NoPlan:
        return
    for one in made.workloads:
        if one.scaling is None:
            continue
        requests = one.scaling.triggers[0]
        free = float(re.findall(r"- ([\d.]+), 0\)$", requests.query)[0])
        warm = next(each for each in made.workloads if (each.agent, each.tier) == (one.agent, "baseline"))
        sessions = [trigger for trigger in one.scaling.triggers if trigger.name == "sessions"]
        theta, alike = one.scaling.utilization_ratio, warm.accelerator == one.accelerator
        assert free >= warm.replicas.min * theta * warm.most_generating * (1 - 1e-3)
        if warm.generating is not None and warm.generating.normal is not None:
            assert free >= warm.replicas.min * warm.generating.normal.generating
        if alike or not sessions:
            computed = warm.replicas.min * warm.most_generating + one.replicas.max * one.most_generating
            assert math.ceil((computed - free) / requests.threshold - 1e-6) >= one.replicas.max
        assert 0 < requests.threshold <= one.most_generating
        cached = one.max_num_seqs / (one.resident_sessions or one.max_num_seqs)
        for trigger in one.scaling.triggers[1:]:
            assert 0 < trigger.threshold <= (cached if trigger.name == "kv-cache" else one.max_num_seqs) * (1 + 1e-3)
        if sessions and one.pace is not None:
            carried = float(re.findall(r"- ([\d.]+), 0\)$", sessions[0].query)[0])
            at_peak = (one.pace.peak_sessions - carried) / sessions[0].threshold
            assert carried >= one.pace.normal_sessions
            assert carried >= one.pace.peak_sessions or math.ceil(at_peak - 1e-6) >= one.replicas.max


def test_no_query_counts_completed_requests() -> None:
    metrics = burst(peaks())[1].metrics
    assert metrics is not None
    assert metrics.success is not None
    for one in peaks().workloads:
        for trigger in one.scaling.triggers if one.scaling else ():
            assert metrics.success not in trigger.query
            refused = f"irate({metrics.rejections}"
            assert not re.search(r"success|rate\(|increase\(|_count|_total", trigger.query.replace(refused, ""))


def test_an_engine_without_known_series_is_not_scaled() -> None:
    agent = make_agent(sessions={"concurrent": 10}, traffic={"burstFactor": 20.0, "rampS": 3600.0})
    assert any(one.scaling is not None for one in plan(agent).workloads)
    made = plan(agent, catalog=dataclasses.replace(SCENES, metrics=()))
    assert any(one.tier == "burst" for one in made.workloads)
    assert all(one.scaling is None for one in made.workloads)
    assert any("no source names" in warning.message for warning in made.warnings if warning.code == "burst-not-scaled")
