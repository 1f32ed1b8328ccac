"""How a stack is watched: bucket edges at the budgets, thresholds and waiting times from the plan."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest

from agentgpu_iac import plan as p
from agentgpu_iac.plan import ALERTS, watching
from agentgpu_iac.planning.running.watching import watching_plan
from agentgpu_iac.spec.model import Agent, StackSpec
from tests.planning.scenes import make_agent, plan, workload

BURST = make_agent(sessions={"concurrent": 10}, traffic={"burstFactor": 20.0, "rampS": 3600.0})


def edges_given(one: p.Workload) -> dict[str, list[float]]:
    """What the engine is told about its buckets."""
    args = list(one.engine.args)
    if "--custom-histogram-buckets" not in args:
        return {}
    given: dict[str, list[float]] = json.loads(args[args.index("--custom-histogram-buckets") + 1])
    return given


@pytest.mark.parametrize(("ttft_ms", "tpot_ms"), [(500.0, 50.0), (2000.0, 33.0), (350.0, 12.5)])
def test_the_budgets_are_bucket_edges(ttft_ms: float, tpot_ms: float) -> None:
    one = workload(plan(make_agent(ttftMs=ttft_ms, tpotMs=tpot_ms)))
    assert one.metrics is not None
    assert one.metrics.ttft_edge_s == pytest.approx((ttft_ms - one.latency.network_ms) / 1000)
    assert one.metrics.tpot_edge_s == pytest.approx(tpot_ms / 1000)
    given = edges_given(one)
    assert ttft_ms / 1000 in given["time_to_first_token"]
    assert one.metrics.ttft_edge_s in given["time_to_first_token"]
    assert given.get("inter_token_latency", [0.05]).count(one.metrics.tpot_edge_s) == 1
    for values in given.values():
        assert values == sorted(set(values))
        assert all(value > 0 for value in values)


def test_edges_that_are_there_by_default_are_not_given() -> None:
    given = edges_given(workload(plan(make_agent(ttftMs=520.0, tpotMs=50.0))))
    assert "inter_token_latency" not in given
    assert edges_given(workload(plan(make_agent(latencyClass="background")))) == {}


def test_an_engine_that_takes_no_edges_is_held_against_the_next_above() -> None:
    one = workload(plan(make_agent(engineVersion="0.31.0", ttftMs=800.0, tpotMs=60.0)))
    assert edges_given(one) == {}
    assert one.metrics is not None
    assert (one.metrics.ttft_edge_s, one.metrics.tpot_edge_s) == (1.0, 0.075)


def of(made: p.Plan) -> dict[str, p.AlertPlan]:
    return {alert.name: alert for alert in made.watching.alerts}


def test_a_plan_with_everything_has_every_alert() -> None:
    assert set(of(plan(BURST))) == set(ALERTS) - {watching.PICKER_DOWN}
    gateway = of(plan(BURST, network={"router": "gateway", "gateway": {"name": "g", "namespace": "n"}}))
    assert set(ALERTS) - set(gateway) == {
        watching.ROUTER_DOWN, watching.ROUTER_NEARLY_FULL, watching.REQUESTS_REJECTED,
    }  # fmt: skip
    assert len(ALERTS) == len(set(ALERTS))


def test_what_a_plan_lacks_has_no_alert() -> None:
    lone = of(plan(make_agent(latencyClass="background", sessions={"concurrent": 1}), capacity={"spot": "never"}))
    assert not {watching.TTFT_OVER_BUDGET, watching.TPOT_OVER_BUDGET, watching.SCALER_FAILING} & set(lone)
    assert watching.SPOT_NODE_LOST not in lone
    assert watching.REQUESTS_REJECTED not in of(plan(make_agent(engineVersion="0.31.0")))


def test_a_target_has_the_alerts_that_something_there_can_fire() -> None:
    """Machines have no pods to wait and no spot nodes of Karpenter; nothing watches what SkyServe runs."""
    lone = make_agent(sessions={"concurrent": 4})
    machine = set(of(plan(lone, target="compose")))
    assert not {watching.GPU_PODS_PENDING, watching.MODEL_CACHE_NOT_FILLED, watching.SPOT_NODE_LOST} & machine
    assert {watching.ROUTER_DOWN, watching.ACCELERATOR_ERRORS, watching.ENGINE_RESTARTS} <= machine
    sky = StackSpec(target="skyserve", agents=(Agent(name="support", model="Qwen/Qwen3-8B"),))
    watched = plan(lone)
    assert watching_plan(sky, watched.workloads, watched.node_pools, None).alerts == ()


def test_who_has_no_exporter_is_not_alerted_on_it() -> None:
    without = of(plan(make_agent(), observability={"accelerators": "none"}))
    assert not {watching.ACCELERATOR_ERRORS, watching.ACCELERATOR_MEMORY, watching.ACCELERATOR_HOT} & set(without)
    assert watching.EXPORTER_MISSING in without, "kube-state-metrics"


def test_a_share_of_requests_needs_two_windows_and_enough_of_them() -> None:
    found = of(plan(BURST))
    for name in (watching.TTFT_OVER_BUDGET, watching.TPOT_OVER_BUDGET, watching.ERRORS):
        alert = found[name]
        assert (alert.window_s, alert.long_window_s) == (300, 3600)
        assert alert.least_requests >= max(20, 1 / alert.threshold)
        assert alert.least_over == 5
    assert watching.ERRORS not in of(plan(make_agent(engineVersion="0.31.0"))), "its answers are not known by status"


def test_waiting_times_and_thresholds_follow_from_the_plan() -> None:
    made = plan(BURST)
    alerts = of(made)
    colds = [one.cold_start_s.upper.total for one in made.workloads]
    fills = [one.cold_start_s.upper.cache_fill for one in made.workloads]
    assert alerts[watching.REPLICAS_BELOW_PLAN].threshold == workload(made).replicas.min
    for name in (watching.REPLICAS_BELOW_PLAN, watching.REQUESTS_REJECTED, watching.GPU_PODS_PENDING):
        assert alerts[name].for_s == max(300, math.ceil(max(colds)))
    assert alerts[watching.MODEL_CACHE_NOT_FILLED].for_s == max(300, math.ceil(max(fills)))
    assert alerts[watching.KV_CACHE_FULL].threshold == 0.8
    assert alerts[watching.TTFT_OVER_BUDGET].severity == "critical"


@pytest.mark.parametrize("observability", [{"alerts": False}, {"monitors": "none"}])
def test_alerts_can_be_left_out(observability: dict[str, Any]) -> None:
    assert plan(BURST, observability=observability).watching.alerts == ()


def test_a_replica_costs_its_part_of_the_node() -> None:
    made = plan(make_agent(sessions={"concurrent": 400, "peak": 400}))
    one = workload(made)
    pool = made.pool(one.node_pool)
    part = one.accelerators_per_replica / pool.accelerators_per_node
    assert float(one.replica_usd_per_hour) == pytest.approx(float(pool.usd_per_hour) * part)
