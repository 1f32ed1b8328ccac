"""Every rule and query under the real promtool: well formed, fires, stays silent, asks for the right number of replicas."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import yaml

from agentgpu_iac import plan as p
from agentgpu_iac.catalog.store import load_catalog
from agentgpu_iac.plan import ALERTS
from agentgpu_iac.plan.watching import TTFT_OVER_BUDGET
from agentgpu_iac.planning.planner import make_plan
from agentgpu_iac.rendering.render import render
from agentgpu_iac.spec.loader import load, load_text
from tests.e2e.rules.promtool import check_rules, test_rules
from tests.e2e.rules.scenes import LONG, STEP_S, expanded, of_agent, scene, series, steady
from tests.e2e.rules.worlds import HOURS_S, quiet_night, rollout
from tests.examples import ON_A_CLUSTER
from tests.plans import make_machines_plan, make_route, make_router, make_watched_plan

BURSTS = """
apiVersion: agentgpu.dev/v1alpha1
kind: AgentStack
metadata: {name: peaks}
spec:
  target: eks
  accelerators: {allow: [rtx-pro-6000-blackwell-server]}
  agents:
    - name: support
      model: Qwen/Qwen3-14B
      sessions: {concurrent: 100}
      conversation: {thinkTimeS: 0}
      traffic: {burstFactor: 10, rampS: 3600}
    - name: voice
      model: Qwen/Qwen3-8B
      latencyClass: voice
      engineVersion: VERSION
      sessions: {concurrent: 40, peak: 250}
      conversation: {thinkTimeS: 0}
      traffic: {rampS: 900}
    - name: digest
      model: Qwen/Qwen3-8B
      latencyClass: background
      conversation: {thinkTimeS: 0}
      traffic: {conversationsPerDay: 200000, burstFactor: 4}
"""


def planned(version: str, method: str) -> p.Plan:
    text = BURSTS.replace("VERSION", version).replace("target: eks", f"target: eks\n  scaling: {{method: {method}}}")
    return make_plan(load_text(text, "peaks.yaml"), load_catalog())


def behind_a_gateway() -> p.RouterPlan:
    gateway = p.GatewayPlan(name="g", namespace="n", hostname=None, scheme="https")
    return make_router(kind="gateway", exporter=None, gateway=gateway, routes=(make_route(port=None),))


PLANS = {
    "keda": lambda: make_watched_plan("keda", router=make_router()),
    "hpa": lambda: make_watched_plan("hpa", cluster="eu.prod-1"),
    "gateway": lambda: make_watched_plan("keda", router=behind_a_gateway()),
    "peaks": lambda: planned("0.33.0", "keda"),
    "peaks-old-engine": lambda: planned("0.19.0", "hpa"),
}
"""Plans whose alerts and queries are tried one by one."""


def objects(plan: p.Plan, kind: str) -> list[dict[str, Any]]:
    made = [yaml.safe_load(file.content) for file in render(plan)]
    return [body for body in made if body["kind"] == kind]


def rule_files(plan: p.Plan) -> list[dict[str, Any]]:
    return [body["spec"] for body in objects(plan, "PrometheusRule")]


def rule_file(plan: p.Plan, agent: str | None) -> dict[str, Any]:
    """The rules of one agent, or of the stack."""
    name = "stack" if agent is None else f"agent-{agent}"
    (found,) = [body for body in objects(plan, "PrometheusRule") if body["metadata"]["name"] == name]
    return dict(found["spec"])


@pytest.mark.parametrize("path", ON_A_CLUSTER, ids=lambda path: path.stem)
def test_rules_of_every_example_are_well_formed(path: Path, tmp_path: Path) -> None:
    plan = make_plan(load(path), load_catalog(base_directory=path.parent))
    files = rule_files(plan)
    assert files
    for number, file in enumerate(files):
        (tmp_path / str(number)).mkdir()
        check_rules(file, tmp_path / str(number))


@pytest.mark.parametrize("name", PLANS)
def test_each_alert_fires_when_it_should_and_not_before_and_not_otherwise(name: str, tmp_path: Path) -> None:
    plan = PLANS[name]()
    for agent in {alert.agent: None for alert in plan.watching.alerts}:
        rules = [rule_file(plan, agent)]
        tests = [
            test
            for alert in plan.watching.alerts
            if alert.agent == agent
            for test in alert_tests(plan, alert, rules[0])
        ]
        folder = tmp_path / str(agent)
        folder.mkdir()
        test_rules(tests, rules, folder)


def alert_tests(plan: p.Plan, alert: p.AlertPlan, rules: dict[str, Any]) -> list[dict[str, Any]]:
    """Not yet, then firing with the plan's words; and silent throughout."""
    (rule,) = [rule for rule in rules["groups"][0]["rules"] if rule.get("alert") == alert.name]
    shown = scene(plan, alert)
    labels = {**rule["labels"], **shown.labels}
    annotations = {key: expanded(text, shown.value, labels) for key, text in rule["annotations"].items()}
    counted_s = max(alert.window_s, alert.long_window_s)
    seen_s = shown.starts_s + (counted_s + alert.for_s + 60 if alert.for_s else 60)
    tests = [
        alert_test(shown.fires, alert.name, seen_s, [{"exp_labels": labels, "exp_annotations": annotations}]),
        alert_test(shown.silent, alert.name, seen_s + 2 * counted_s, []),
    ]
    if alert.for_s:
        tests.append(alert_test(shown.fires, alert.name, shown.starts_s + alert.for_s // 2, []))
    return tests


def alert_test(given: dict[str, str], name: str, at_s: int, expected: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "interval": f"{STEP_S}s",
        "input_series": [{"series": key, "values": values} for key, values in given.items()],
        "alert_rule_test": [{"eval_time": f"{at_s}s", "alertname": name, "exp_alerts": expected}],
    }


def test_the_plans_try_every_alert() -> None:
    assert {alert.name for name in PLANS for alert in PLANS[name]().watching.alerts} == set(ALERTS)


@pytest.mark.parametrize("world", [quiet_night, rollout])
@pytest.mark.parametrize("name", PLANS)
def test_no_alert_fires_on_a_quiet_night_or_while_a_rollout_goes_well(name: str, world: Any, tmp_path: Path) -> None:
    """Asked over two hours, every minute around the rollout.

    Not in the first minutes of a Prometheus, which takes a counter of losses for new: the runbook says so.
    """
    plan = PLANS[name]()
    asked = [
        {"eval_time": f"{at_s}s", "alertname": alert.name, "exp_alerts": []}
        for alert in plan.watching.alerts
        for at_s in (*range(720, HOURS_S, 480), *range(HOURS_S // 2, HOURS_S // 2 + 900, 60))
    ]
    given = [{"series": key, "values": values} for key, values in world(plan).items()]
    tests = [{"interval": f"{STEP_S}s", "input_series": given, "alert_rule_test": asked}]
    test_rules(tests, rule_files(plan), tmp_path)


def test_the_rules_of_a_machine_are_about_what_it_runs(tmp_path: Path) -> None:
    """One of its two engines does not answer; NGINX is away; a card fell off the bus. Nothing of a cluster is asked for."""
    plan = make_machines_plan(observability={"grafana": True})
    files = {file.path: file.content.decode() for file in render(plan)}
    host = plan.hosts[0]
    rules = yaml.safe_load(files[f"hosts/{host.node_pool}/rules.yml"])
    check_rules(rules, tmp_path)
    assert "kube_" not in files[f"hosts/{host.node_pool}/rules.yml"]
    labels = [of_agent(plan, "support", agentgpu_dev_tier="baseline", pod=engine.name) for engine in host.engines]
    answering = {series("up", **each): steady(1) for each in labels}
    for name, given in (
        ("AgentReplicasBelowPlan", {**answering, series("up", **labels[0]): steady(0)}),
        ("AgentRouterDown", {series("nginx_up", namespace=plan.stack, pod="nginx"): steady(0)}),
        ("AgentAcceleratorErrors", {series("DCGM_FI_DEV_XID_ERRORS", Hostname="x", gpu="1"): steady(79)}),
    ):
        (rule,) = [each for group in rules["groups"] for each in group["rules"] if each["alert"] == name]
        more = {"Hostname": "x", "gpu": "1"} if name == "AgentAcceleratorErrors" else {}
        value = {"AgentReplicasBelowPlan": 1.0, "AgentRouterDown": 0.0, "AgentAcceleratorErrors": 79.0}[name]
        expected = {
            "exp_labels": {**rule["labels"], **more},
            "exp_annotations": {key: expanded(text, value, more) for key, text in rule["annotations"].items()},
        }
        test_rules([alert_test(given, name, 3_600, [expected])], [rules], tmp_path)
    well = {**answering, series("nginx_up", namespace=plan.stack, pod="nginx"): steady(1)}
    well[series("DCGM_FI_DEV_GPU_TEMP", Hostname="x", gpu="1")] = steady(40)
    for alert in {rule["alert"] for group in rules["groups"] for rule in group["rules"]} - {"AgentMetricsMissing"}:
        test_rules([alert_test(well, alert, 3_600, [])], [rules], tmp_path)


def test_behind_thanos_the_rules_ask_for_one_cluster(tmp_path: Path) -> None:
    """Series of the other cluster, alike but for the label, and series without one, as the cluster's own Prometheus has them."""
    plan = PLANS["hpa"]()
    (rule,) = [
        rule for rule in rule_file(plan, "support")["groups"][0]["rules"] if rule.get("alert") == "AgentKvCacheFull"
    ]
    assert rule["labels"]["cluster"] == "eu.prod-1"
    labels = of_agent(plan, "support", agentgpu_dev_tier="baseline", pod="one")
    name = "vllm:kv_cache_usage_perc"
    for cluster, fires in ((None, True), ("eu.prod-1", True), ("eu-prod-1", False), ("us.prod-1", False)):
        given = {series(name, **labels, **({} if cluster is None else {"cluster": cluster})): steady(0.9)}
        query = {"expr": f"count({rule['expr']}) or vector(0)", "eval_time": "5m"}
        asked = {**query, "exp_samples": [{"labels": "{}", "value": float(fires)}]}
        inputs = [{"series": key, "values": values} for key, values in given.items()]
        test_rules([{"interval": "15s", "input_series": inputs, "promql_expr_test": [asked]}], [], tmp_path)


def loaded(plan: p.Plan, burst: p.Workload, sessions: float, burst_replicas: int) -> dict[str, str]:
    """Sessions at work, spread over the running replicas; whoever finds no seat waits at the baseline."""
    scaling, metrics = burst.scaling, burst.metrics
    assert scaling is not None
    assert metrics is not None
    pods = [("baseline", f"warm-{n}") for n in range(scaling.baseline_replicas)]
    pods += [("burst", f"burst-{n}") for n in range(burst_replicas)]
    each = min(float(scaling.seats_per_replica), sessions / len(pods))
    cache_gib, shared_gib = burst.memory.kv_gib + burst.memory.headroom_gib, burst.memory.shared_kv_gib
    given: dict[str, str] = {}
    for number, (tier, pod) in enumerate(pods):
        labels = of_agent(plan, burst.agent, agentgpu_dev_tier=tier, pod=pod)
        waiting = sessions - each * len(pods) if number == 0 else 0.0
        given[series(str(metrics.running), **labels)] = steady(each)
        given[series(str(metrics.waiting), **labels)] = steady(waiting)
        given[series(str(metrics.kv_usage), **labels)] = steady(
            min(1.0, (shared_gib + each * (burst.memory.kv_per_session_gib - shared_gib)) / cache_gib)
        )
    return given


def peak_requests(burst: p.Workload) -> float:
    """The sessions of the peak; every seat, where not they but tokens/s decide how many replicas there are."""
    assert burst.scaling is not None
    replicas, seats = burst.scaling.baseline_replicas + burst.replicas.max, burst.max_num_seqs
    return float(burst.sessions_peak if burst.sessions_peak > (replicas - 1) * seats else replicas * seats)


def value_test(query: str, given: dict[str, str], value: float) -> dict[str, Any]:
    return {
        "interval": f"{STEP_S}s",
        "input_series": [{"series": key, "values": values} for key, values in given.items()],
        "promql_expr_test": [
            {
                "expr": f"round({query}, 0.001)",
                "eval_time": "10m",
                "exp_samples": [{"labels": "{}", "value": round(value, 3) or 0}],
            }
        ],
    }


@pytest.mark.parametrize("name", PLANS)
def test_the_queries_are_0_at_normal_load_and_ask_for_the_whole_burst_tier_at_the_peak(
    name: str, tmp_path: Path
) -> None:
    plan = PLANS[name]()
    bursts = [one for one in plan.workloads if one.scaling is not None]
    assert bursts
    tests: list[dict[str, Any]] = []
    for burst in bursts:
        scaling = burst.scaling
        assert scaling is not None
        triggers, pace = {trigger.name: trigger for trigger in scaling.triggers}, burst.pace
        requests, kv_cache = triggers["requests"], triggers["kv-cache"]
        seats = scaling.seats_per_replica * scaling.utilization_ratio
        (warm,) = (one for one in plan.workloads if (one.agent, one.tier) == (burst.agent, "baseline"))
        at_rest = None if warm.generating is None else warm.generating.normal
        free = scaling.baseline_replicas * max(seats, 0 if at_rest is None else at_rest.generating)
        peak = peak_requests(burst)
        normal = math.floor(free)
        tests.append(value_test(requests.query, loaded(plan, burst, normal, 0), 0))
        for running in (0, scaling.max_replicas):
            tests.append(value_test(requests.query, loaded(plan, burst, peak, running), peak - free))
        wanted = math.ceil((peak - free) / requests.threshold - 1e-9)
        assert min(scaling.max_replicas, wanted) == burst.replicas.max
        quiet = normal * 0.99
        if pace is not None and "sessions" in triggers:
            quiet = pace.normal_sessions / pace.sessions_per_request
            tests.append(value_test(triggers["sessions"].query, loaded(plan, burst, quiet, 0), 0))
        tests.append(value_test(kv_cache.query, loaded(plan, burst, quiet * 0.99, 0), 0))
    test_rules(tests, [], tmp_path)


def test_refused_requests_are_seats_that_are_missing(tmp_path: Path) -> None:
    """Sixfold load from one minute on: the baseline is at its limit, and 15 s later the whole burst is asked for."""
    plan = PLANS["peaks"]()
    burst = next(one for one in plan.workloads if one.agent == "support" and one.scaling is not None)
    scaling, pace, metrics = burst.scaling, burst.pace, burst.metrics
    assert scaling is not None
    assert pace is not None
    assert metrics is not None
    tries = min(3, scaling.baseline_replicas)
    held = scaling.baseline_replicas * (burst.admission.max_queued_requests or 0)
    refused_per_s = 6 * held / pace.request_s
    given = loaded(plan, burst, held, 0)
    labels = of_agent(plan, burst.agent, agentgpu_dev_tier="baseline", pod="warm-0", reason="max_num_queued_reqs")
    growth = refused_per_s * tries * STEP_S
    given[series(str(metrics.rejections), **labels)] = f"0+0x3 {growth!r}+{growth!r}x{LONG}"
    seats = scaling.seats_per_replica * scaling.utilization_ratio
    test = value_test(scaling.triggers[0].query, given, 7 * held - scaling.baseline_replicas * seats)
    test["promql_expr_test"][0]["eval_time"] = "1m"
    test_rules([test], [], tmp_path)
    assert 7 * held - scaling.baseline_replicas * seats > scaling.max_replicas * seats


def test_a_query_without_series_has_no_value(tmp_path: Path) -> None:
    """So that KEDA, told not to ignore that, counts it as a failure."""
    burst = next(one for one in make_watched_plan().workloads if one.scaling is not None)
    assert burst.scaling is not None
    tests = [
        {
            "interval": "15s",
            "input_series": [],
            "promql_expr_test": [{"expr": trigger.query, "eval_time": "5m", "exp_samples": []}],
        }
        for trigger in burst.scaling.triggers
    ]
    test_rules(tests, [], tmp_path)


def test_the_series_that_an_adapter_serves_are_the_queries(tmp_path: Path) -> None:
    plan = make_watched_plan("hpa")
    burst = next(one for one in plan.workloads if one.scaling is not None)
    assert burst.scaling is not None
    (autoscaler,) = objects(plan, "HorizontalPodAutoscaler")
    names = [metric["external"]["metric"]["name"] for metric in autoscaler["spec"]["metrics"]]
    matched = autoscaler["spec"]["metrics"][0]["external"]["metric"]["selector"]["matchLabels"]
    given = loaded(plan, burst, burst.sessions_peak, 0)
    selected = ",".join(f'{key}="{value}"' for key, value in matched.items())
    free = burst.scaling.baseline_replicas * burst.scaling.seats_per_replica * burst.scaling.utilization_ratio
    tests = [value_test(f"sum({names[0]}{{{selected}}})", given, burst.sessions_peak - free)]
    test_rules(tests, rule_files(plan), tmp_path)


@pytest.mark.parametrize("name", PLANS)
def test_every_line_of_the_dashboards_is_a_query(name: str, tmp_path: Path) -> None:
    plan = PLANS[name]()
    dashboards = [
        json.loads(text)
        for body in objects(plan, "ConfigMap")
        if body["metadata"]["labels"].get("grafana_dashboard")
        for text in body["data"].values()
    ]
    queries = [
        target["expr"].replace("$__rate_interval", "5m").replace("$cluster", "x").replace("$agent", ".+")
        for dashboard in dashboards
        for panel in dashboard["panels"]
        for target in panel.get("targets", ())
    ]
    rules = [{"record": f"line_{number}", "expr": query} for number, query in enumerate(queries)]
    check_rules({"groups": [{"name": "dashboard", "rules": rules}]}, tmp_path)


def test_the_dashboard_shows_the_cost_of_what_runs(tmp_path: Path) -> None:
    """Two replicas of a tier at the plan's price each, and a conversation every 36 s an agent's hour long."""
    plan = make_watched_plan()
    warm, burst = plan.workloads
    (text,) = [
        text
        for body in objects(plan, "ConfigMap")
        if body["metadata"]["labels"].get("grafana_dashboard")
        for text in body["data"].values()
    ]
    cost, session = (
        panel["targets"][0]["expr"] for panel in json.loads(text)["panels"] if panel["title"].startswith("Cost")
    )
    given = {
        series("up", **of_agent(plan, "support", agentgpu_dev_tier=tier, pod=f"{tier}-{n}")): steady(1)
        for tier, replicas in (("baseline", 1), ("burst", 2))
        for n in range(replicas)
    }
    hourly = float(warm.replica_usd_per_hour + 2 * burst.replica_usd_per_hour)
    labels = of_agent(plan, "support", agentgpu_dev_tier="baseline", pod="baseline-0")
    given[series("vllm:request_success_total", **labels)] = f"0+5x{4_000}"
    per_hour = 3600 / STEP_S * 5 / warm.requests_per_session
    tests = [value_test(cost, given, hourly), value_test(session, given, hourly / per_hour)]
    for test in tests:
        test["promql_expr_test"][0]["eval_time"] = "3h"
    test_rules(tests, [], tmp_path)


@pytest.mark.parametrize(
    ("percentile", "late_percent", "fires"), [(90, 8, False), (90, 12, True), (95, 8, True), (95, 4, False)]
)
def test_a_slow_alert_fires_where_the_promised_percentile_is_over_the_budget(
    percentile: int, late_percent: int, fires: bool, tmp_path: Path
) -> None:
    """It counts requests above the budget's edge; histogram_quantile of the same percentile says the same."""
    text = BURSTS.replace("VERSION", "0.33.0").replace(
        "target: eks", f"target: eks\n  latency: {{percentile: {percentile}}}"
    )
    plan = make_plan(load_text(text, "peaks.yaml"), load_catalog())
    (alert,) = [each for each in plan.watching.alerts if each.agent == "support" and each.name == TTFT_OVER_BUDGET]
    metrics = next(each.metrics for each in plan.workloads if each.agent == "support")
    assert metrics is not None and metrics.ttft_edge_s is not None
    chosen = of_agent(plan, "support", agentgpu_dev_tier="baseline", pod="one")
    buckets = {
        series(f"{metrics.ttft}_bucket", **chosen, le=str(metrics.ttft_edge_s)): f"0+{100 - late_percent}x400",
        series(f"{metrics.ttft}_bucket", **chosen, le=str(10 * metrics.ttft_edge_s)): "0+100x400",
        series(f"{metrics.ttft}_bucket", **chosen, le="+Inf"): "0+100x400",
        series(f"{metrics.ttft}_count", **chosen): "0+100x400",
    }
    seen_s = alert.window_s + alert.for_s + 120
    quantile = f"histogram_quantile({percentile / 100:g}, sum by (le) (rate({metrics.ttft}_bucket[{alert.window_s}s])))"
    test = alert_test(buckets, alert.name, seen_s, [])
    test["promql_expr_test"] = [
        {
            "expr": f"count({quantile} > {metrics.ttft_edge_s}) or vector(0)",
            "eval_time": f"{seen_s}s",
            "exp_samples": [{"labels": "{}", "value": int(fires)}],
        },
        {
            "expr": f'count(ALERTS{{alertname="{alert.name}", alertstate="firing"}}) or vector(0)',
            "eval_time": f"{seen_s}s",
            "exp_samples": [{"labels": "{}", "value": int(fires)}],
        },
    ]
    del test["alert_rule_test"]
    test_rules([test], [rule_file(plan, "support")], tmp_path)


def test_a_burst_is_not_asked_for_while_the_schedule_leaves_no_replica_and_a_missing_series_is_still_missed(
    tmp_path: Path,
) -> None:
    """Outside the windows nothing answers and the queries are 0; in them nothing that answers is no value, which KEDA takes
    for a failure. Who is away by the schedule is not missed, and who should be there is.
    """
    night = 'schedule: {replicasOutside: 0, windows: [{opens: "08:00", closes: "20:00"}]}'
    text = BURSTS.replace("VERSION", "0.33.0").replace(
        "sessions: {concurrent: 100}", f"sessions: {{concurrent: 100}}\n      {night}"
    )
    plan = make_plan(load_text(text, "peaks.yaml"), load_catalog())
    burst = next(one for one in plan.workloads if (one.agent, one.tier) == ("support", "burst"))
    assert burst.scaling is not None
    told = series("kube_deployment_spec_replicas", namespace=plan.stack, deployment="support")
    for trigger in burst.scaling.triggers:
        counted = {"expr": f"count({trigger.query}) or vector(0)", "eval_time": "10m"}
        for replicas, found in ((0, 1), (2, 0)):
            given = [{"series": told, "values": steady(replicas)}]
            asked = {**counted, "exp_samples": [{"labels": "{}", "value": found}]}
            test_rules([{"interval": f"{STEP_S}s", "input_series": given, "promql_expr_test": [asked]}], [], tmp_path)
        test_rules([value_test(trigger.query, {told: steady(0)}, 0.0)], [], tmp_path)
    (rule,) = [
        each
        for each in rule_file(plan, "support")["groups"][0]["rules"]
        if each.get("alert") == "AgentReplicasBelowPlan"
    ]
    for replicas, missing in ((0, 0), (1, 1)):
        asked = {
            "expr": f"count({rule['expr']}) or vector(0)",
            "eval_time": "10m",
            "exp_samples": [{"labels": "{}", "value": missing}],
        }
        given = [{"series": told, "values": steady(replicas)}]
        test_rules([{"interval": f"{STEP_S}s", "input_series": given, "promql_expr_test": [asked]}], [], tmp_path)
