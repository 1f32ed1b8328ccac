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
from tests.plans import make_metrics, make_plan, make_watched_plan, make_workload
from tests.rendering.trees import of_kind, tree

ROOT = Path(__file__).resolve().parents[2]
RUNBOOK = ROOT / "docs" / "runbook.md"

OURS = {"up", "agentgpu_burst_requests", "agentgpu_burst_kv_cache"}
CLUSTER = {
    "kube_pod_status_phase", "kube_pod_container_resource_requests", "kube_pod_info", "kube_node_status_condition",
    "kube_daemonset_status_desired_number_scheduled", "kube_daemonset_status_number_ready",
    "kube_horizontalpodautoscaler_status_condition", "karpenter_nodeclaims_disrupted_total",
    "keda_scaler_detail_errors_total", "kube_deployment_status_replicas_ready",
}  # fmt: skip
"""Series that are not the engines'."""


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


def series_in(query: str) -> set[str]:
    """Names that stand before a selector or a range."""
    return set(re.findall(r"([a-zA-Z_:][a-zA-Z0-9_:]*)\{", query))


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
    allowed = {name for name in names.values() if name}
    histograms = {names["ttft"], names["tpot"]}
    allowed |= {f"{name}{suffix}" for name in histograms for suffix in ("_bucket", "_count")}
    made = plan.model_copy(update={"workloads": workloads, "watching": without_unknown(plan.watching, names)})
    made = made.model_copy(update={"workloads": tuple(one.model_copy(update={"scaling": None}) for one in workloads)})
    used = {name for query in queries(made) for name in series_in(query)}
    assert used <= allowed | OURS | CLUSTER
    assert names["running"] in used


def without_unknown(watching: p.WatchingPlan, names: dict[str, Any]) -> p.WatchingPlan:
    """Alerts on series that the version does not have are not in its plan."""
    absent = {"AgentScalerFailing", *(() if names["rejections"] else ("AgentRequestsRejected",))}
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
    assert set(found) == {alert.name for alert in plan.watching.alerts} == set(ALERTS)
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
    own = alerts(make_watched_plan(runbook_base_url="https://acme.example/runbook"))
    ours = alerts(make_watched_plan())
    for name in ALERTS:
        assert own[name]["annotations"]["runbook_url"] == f"https://acme.example/runbook#{name.lower()}"
        assert ours[name]["annotations"]["runbook"] == f"docs/runbook.md#{name.lower()}"
        assert "runbook_url" not in ours[name]["annotations"], "no address is made up"


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
    assert dashboard["templating"]["list"][0]["type"] == "datasource"
    assert len({panel["id"] for panel in dashboard["panels"]}) == len(dashboard["panels"])
    places = [(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in dashboard["panels"]]
    assert len(set(places)) == len(places)
    assert all(panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24 for panel in dashboard["panels"])


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
    assert used <= OURS | CLUSTER
    assert "up" not in used
    assert not of_kind(made, "PodMonitor")
