from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agentgpu_iac import plan as p
from agentgpu_iac.catalog.store import load_catalog
from agentgpu_iac.plan import ALERTS
from agentgpu_iac.rendering.dashboard import _AGENTS_ON_A_PAGE
from tests.plans import make_metrics, make_plan, make_router, make_watched_plan, make_workload
from tests.rendering.trees import of_kind, tree

ROOT = Path(__file__).resolve().parents[2]
RUNBOOK = ROOT / "docs" / "runbook.md"

OURS = {"up", "ALERTS", "agentgpu_burst_requests", "agentgpu_burst_kv_cache"}
CLUSTER = {
    "kube_pod_status_phase", "kube_pod_container_resource_requests", "kube_pod_info", "kube_node_status_condition",
    "kube_daemonset_status_desired_number_scheduled", "kube_daemonset_status_number_ready",
    "kube_horizontalpodautoscaler_status_condition", "karpenter_nodeclaims_disrupted_total",
    "keda_scaler_detail_errors_total", "kube_deployment_status_replicas_ready",
    "kube_pod_container_status_restarts_total", "kube_pod_container_status_last_terminated_reason",
}  # fmt: skip
"""Series that are not the engines'."""
NGINX = {
    "nginx_up", "nginx_connections_active", "nginx_connections_accepted", "nginx_connections_handled",
    "nginx_connections_reading", "nginx_connections_writing", "nginx_connections_waiting", "nginx_http_requests_total",
}  # fmt: skip
"""Of nginx-prometheus-exporter 1.5.1 over stub_status: tests/e2e/traffic asks the real one."""
DCGM = {
    "DCGM_FI_DEV_XID_ERRORS", "DCGM_FI_DEV_GPU_TEMP", "DCGM_FI_DEV_UNCORRECTABLE_REMAPPED_ROWS", "DCGM_FI_DEV_ROW_REMAP_FAILURE",
}  # fmt: skip
"""Among the counters that the DCGM exporter has on by default: NVIDIA/dcgm-exporter 00d6d344ea4a, etc/default-counters.csv. There
the times of throttling and the ECC totals are off."""


def rules(plan: p.Plan) -> list[dict[str, Any]]:
    return [
        rule
        for body in of_kind(plan, "PrometheusRule").values()
        for group in body["spec"]["groups"]
        for rule in group["rules"]
    ]


def alerts(plan: p.Plan) -> dict[str, dict[str, Any]]:
    return {rule["alert"]: rule for rule in rules(plan) if "alert" in rule}


def dashboards(plan: p.Plan) -> list[dict[str, Any]]:
    return [
        json.loads(text)
        for body in of_kind(plan, "ConfigMap").values()
        if body["metadata"]["labels"].get("grafana_dashboard") == "1"
        for text in body["data"].values()
    ]


def panel_queries(plan: p.Plan) -> Iterator[str]:
    for dashboard in dashboards(plan):
        for panel in dashboard["panels"]:
            yield from (target["expr"] for target in panel.get("targets", ()))


def queries(plan: p.Plan) -> Iterator[str]:
    """Every piece of PromQL in the tree."""
    yield from (rule["expr"] for rule in rules(plan))
    yield from panel_queries(plan)
    for body in of_kind(plan, "ScaledObject").values():
        yield from (one["metadata"]["query"] for one in body["spec"]["triggers"] if "query" in one["metadata"])


_KEYWORDS = {"and", "or", "unless", "bool", "offset", "by", "without", "on", "ignoring", "group_left"}


def series_in(query: str) -> set[str]:
    """Every name in a query that is no function, keyword or label."""
    bare = re.sub(r'"[^"]*"', "", query)
    bare = re.sub(r"\{[^}]*\}|\[[^\]]*\]", "", bare)
    bare = re.sub(r"\b(by|without|on|ignoring|group_left)\s*\([^)]*\)", "", bare)
    names = re.findall(r"(?<![\w:.$])([a-zA-Z_:][a-zA-Z0-9_:]*)(?!\s*\()(?![\w:])", bare)
    return set(names) - _KEYWORDS


@pytest.mark.broad(every=3)
@pytest.mark.parametrize("version", ["0.6.0", "0.10.0", "0.31.0", "0.33.0"])
@pytest.mark.parametrize("method", ["keda", "hpa"])
def test_every_series_is_in_the_table_of_the_engines_version(version: str, method: str) -> None:
    known = load_catalog().engine_metrics("vllm", version)
    assert known is not None
    roles = [role for role in p.MetricsPlan.model_fields if hasattr(known, role) and role != "path"]
    names = {role: getattr(known, role) for role in roles if not role.endswith("_edges_s")}
    plan = make_watched_plan(method)
    engine = plan.workloads[0].engine.model_copy(update={"version": version})
    workloads = tuple(
        one.model_copy(update={"engine": engine, "metrics": make_metrics(**names)}) for one in plan.workloads
    )
    allowed = {name for role, name in names.items() if name and role != "failures"}
    histograms = {names["ttft"], names["tpot"]}
    allowed |= {f"{name}{suffix}" for name in histograms for suffix in ("_bucket", "_count")}
    made = plan.model_copy(update={"workloads": workloads, "watching": without_unknown(plan.watching, names)})
    made = made.model_copy(update={"workloads": tuple(one.model_copy(update={"scaling": None}) for one in workloads)})
    used = {name for query in queries(made) for name in series_in(query)}
    assert used <= allowed | OURS | CLUSTER | NGINX | DCGM
    assert names["running"] in used
    assert used >= DCGM


def without_unknown(watching: p.WatchingPlan, names: dict[str, Any]) -> p.WatchingPlan:
    """Alerts on series that the version does not have are not in its plan."""
    absent = {
        "AgentScalerFailing",
        *(() if names["rejections"] else ("AgentRequestsRejected",)),
        *(() if names["answers"] else ("AgentErrors",)),
    }
    kept = tuple(alert for alert in watching.alerts if alert.name not in absent)
    return watching.model_copy(update={"alerts": kept})


def test_engines_are_scraped_in_both_tiers_on_their_metrics_page() -> None:
    plan = make_watched_plan(labels={"release": "prometheus"})
    (monitor,) = of_kind(plan, "PodMonitor").values()
    spec = monitor["spec"]
    assert monitor["metadata"]["labels"]["release"] == "prometheus"
    (endpoint,) = spec["podMetricsEndpoints"]
    assert (endpoint["port"], endpoint["path"]) == ("http", "/metrics")
    assert {"agentgpu.dev/agent", "agentgpu.dev/tier"} <= set(spec["podTargetLabels"])
    deployments = of_kind(plan, "Deployment")
    assert len(deployments) == 2
    for deployment in deployments.values():
        template = deployment["spec"]["template"]
        assert spec["selector"]["matchLabels"].items() <= template["metadata"]["labels"].items()
        assert endpoint["port"] in [port["name"] for port in template["spec"]["containers"][0]["ports"]]


def test_the_users_labels_win_and_stand_once() -> None:
    plan = make_watched_plan(labels={"app.kubernetes.io/part-of": "observability"})
    for kind in ("PodMonitor", "PrometheusRule"):
        for body in of_kind(plan, kind).values():
            assert body["metadata"]["labels"]["app.kubernetes.io/part-of"] == "observability"


@pytest.mark.parametrize("method", ["keda", "hpa"])
def test_every_alert_of_the_plan_is_a_rule(method: str) -> None:
    plan = make_watched_plan(method)
    found = alerts(plan)
    routers = {"AgentRouterDown", "AgentRouterNearlyFull", "AgentPickerDown"}
    assert set(found) == {alert.name for alert in plan.watching.alerts} == set(ALERTS) - routers
    for alert in plan.watching.alerts:
        rule = found[alert.name]
        assert rule["for"] == f"{alert.for_s}s"
        assert rule["labels"]["severity"] == alert.severity
        assert {"summary", "description"} <= set(rule["annotations"])


def test_slow_requests_are_counted_at_the_bucket_edge_of_the_budget() -> None:
    plan = make_watched_plan()
    metrics = plan.workloads[0].metrics
    assert metrics is not None
    assert f'le="{metrics.ttft_edge_s!r}"' in alerts(plan)["AgentTtftOverBudget"]["expr"]
    assert f'le="{metrics.tpot_edge_s!r}"' in alerts(plan)["AgentTpotOverBudget"]["expr"]


def test_alerts_say_the_plans_numbers() -> None:
    plan = make_watched_plan()
    found = {name: rule["annotations"]["description"] for name, rule in alerts(plan).items()}
    warm = plan.workloads[0]
    assert "over 80%" in found["AgentKvCacheFull"]
    assert f"{warm.max_num_seqs} sessions of {warm.memory.context_tokens:,} tokens" in found["AgentKvCacheFull"]
    assert (
        "The budget of 500 ms, for 95 % of the requests, includes the network's 20 ms; the plan predicts 130 ms"
        in found["AgentTtftOverBudget"]
    )
    assert (
        "The budget of 50 ms a token is for 95 % of the requests; the plan predicts 36 ms"
        in found["AgentTpotOverBudget"]
    )
    assert "48 seats, for 48 sessions" in found["AgentRequestsRejected"]
    assert "120 s of notice, a drain takes 60 s" in found["AgentSpotNodeLost"]
    assert "a cold start takes 348 s" in found["AgentReplicasBelowPlan"]


def test_an_alert_leads_to_its_section_of_the_runbook() -> None:
    own = alerts(make_watched_plan(router=make_router(), runbook_base_url="https://acme.example/runbook"))
    ours = alerts(make_watched_plan(router=make_router()))
    assert set(own) == set(ours) == set(ALERTS) - {"AgentPickerDown"}
    for name in own:
        assert own[name]["annotations"]["runbook_url"] == f"https://acme.example/runbook#{name.lower()}"
        assert set(ours[name]["annotations"]) == {"summary", "description"}, "no address is made up"
        assert " First: " in ours[name]["annotations"]["description"]


def test_the_runbook_has_a_section_for_every_alert_and_for_no_other() -> None:
    text = RUNBOOK.read_text(encoding="utf-8")
    sections = dict(re.findall(r"^## (Agent\w+)\n(.*?)(?=^## |\Z)", text, re.M | re.S))
    assert list(sections) == list(ALERTS)
    for name, body in sections.items():
        for part in ("What it means", "First look", "What to do"):
            assert f"**{part}.**" in body, f"{name}: {part}"


def test_the_dashboard_shows_what_the_plan_promises() -> None:
    plan = make_watched_plan()
    (dashboard,) = dashboards(plan)
    titles = [panel["title"] for panel in dashboard["panels"]]
    for wanted in (
        "Time to first token", "Time per output token", "KV cache in use", "Requests and seats",
        "Requests preempted", "Replicas that answer", "Cost per hour", "Cost per session",
    ):  # fmt: skip
        assert any(title.startswith(wanted) for title in titles), wanted
    shown = "\n".join(panel_queries(plan))
    warm = plan.workloads[0]
    assert f"vector({0.48})" in shown
    assert f"vector({0.05})" in shown
    assert f"{warm.max_num_seqs} * sum(up{{" in shown
    assert f"{warm.replica_usd_per_hour} * " in shown
    assert [variable["name"] for variable in dashboard["templating"]["list"]] == ["datasource", "agent"]
    agents = dashboard["templating"]["list"][1]
    assert (agents["multi"], agents["includeAll"], agents["query"]) == (True, True, "support")
    assert len({panel["id"] for panel in dashboard["panels"]}) == len(dashboard["panels"])
    places = [(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in dashboard["panels"]]
    assert len(set(places)) == len(places)
    assert all(panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24 for panel in dashboard["panels"])


def test_the_dashboard_opens_with_single_figures_and_each_panel_says_what_it_means() -> None:
    (dashboard,) = dashboards(make_watched_plan(cluster="eu-1"))
    panels = dashboard["panels"]
    figures = [panel for panel in panels if panel["type"] == "stat"]
    assert [panel["title"] for panel in figures] == [
        "Seats in use", "TTFT p95 of its budget", "Answers that are errors", "Fullest KV cache",
        "Replicas of the warm ones planned", "Refused in 5 min", "USD an hour", "Alerts that fire",
    ]  # fmt: skip
    assert panels[: len(figures)] == figures
    assert {panel["gridPos"]["y"] for panel in figures} == {0}
    for panel in figures:
        steps = panel["fieldConfig"]["defaults"]["thresholds"]["steps"]
        assert steps[0]["value"] is None
        assert len(steps) > 1
        if panel["title"] != "Alerts that fire":
            assert 'agentgpu_dev_agent=~"$agent"' in panel["targets"][0]["expr"]
    for panel in panels:
        if panel["type"] != "row":
            assert panel["description"].endswith(".")
            assert panel["fieldConfig"]["defaults"]["unit"]
            assert all(
                'cluster=~"($cluster)|"' in target["expr"] or "vector(" in target["expr"] for target in panel["targets"]
            )
    errors = next(panel for panel in figures if panel["title"] == "Answers that are errors")
    assert errors["fieldConfig"]["defaults"]["thresholds"]["steps"][-1]["value"] == 0.02


def test_routers_are_scraped_at_their_exporter_and_prometheus_alone_may_ask_it() -> None:
    plan = make_watched_plan(router=make_router(), cluster="eu-1")
    monitor = of_kind(plan, "PodMonitor")["router"]["spec"]
    (endpoint,) = monitor["podMetricsEndpoints"]
    assert (endpoint["port"], endpoint["path"]) == ("metrics", "/metrics")
    assert endpoint["relabelings"] == [{"action": "replace", "targetLabel": "cluster", "replacement": "eu-1"}]
    template = of_kind(plan, "Deployment")["traffic-router"]["spec"]["template"]
    assert monitor["selector"]["matchLabels"].items() <= template["metadata"]["labels"].items()
    nginx, exporter = template["spec"]["containers"]
    assert exporter["ports"] == [{"name": "metrics", "containerPort": 9113, "protocol": "TCP"}]
    assert exporter["args"][0] == "--nginx.scrape-uri=http://127.0.0.1:8081/status"
    policy = of_kind(plan, "NetworkPolicy")["router"]["spec"]["ingress"]
    (asking,) = [rule for rule in policy if rule["ports"] == [{"protocol": "TCP", "port": 9113}]]
    assert "podSelector" not in asking["from"][0]
    unwatched = make_watched_plan(router=make_router(exporter=None))
    assert len(of_kind(unwatched, "Deployment")["traffic-router"]["spec"]["template"]["spec"]["containers"]) == 1
    assert nginx["name"] == "nginx"


def test_many_agents_get_several_dashboards_and_rules_of_their_own() -> None:
    agents = tuple(make_workload(agent=f"a{n}", name=f"a{n}", served_model_name=f"a{n}") for n in range(20))
    watching = make_watched_plan().watching.model_copy(update={"alerts": ()})
    plan = make_plan(workloads=agents, watching=watching)
    pages = dashboards(plan)
    assert len(pages) == -(-20 // _AGENTS_ON_A_PAGE)
    assert len({page["uid"] for page in pages}) == len(pages)
    assert sum(panel["type"] == "row" for page in pages for panel in page["panels"]) == 20


def test_what_is_not_wanted_is_not_rendered() -> None:
    assert not [path for path in tree(make_plan()) if path.startswith(("monitoring/", "scaling/"))]
    quiet = tree(make_watched_plan(dashboard=False, alerts=False))
    assert {body["kind"] for path, body in quiet.items() if path.startswith("monitoring/")} == {
        "PodMonitor", "Kustomization",
    }  # fmt: skip


def test_an_engine_that_nobody_knows_is_watched_from_outside() -> None:
    plan = make_watched_plan()
    unknown = tuple(one.model_copy(update={"metrics": None, "scaling": None}) for one in plan.workloads)
    kept = tuple(
        alert for alert in plan.watching.alerts if alert.agent is None or alert.name == "AgentReplicasBelowPlan"
    )
    made = plan.model_copy(update={"workloads": unknown, "watching": plan.watching.model_copy(update={"alerts": kept})})
    used = {name for query in queries(made) for name in series_in(query)}
    assert used <= OURS | CLUSTER | DCGM
    assert "up" not in used
    assert not of_kind(made, "PodMonitor")
