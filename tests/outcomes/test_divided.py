"""A deployment whose baseline has two workloads: whoever counts its replicas counts both, and nobody takes one for the other."""

from __future__ import annotations

from decimal import Decimal
from functools import cache
from typing import Any

import pytest
import yaml

from agentgpu_iac.catalog.store import load_catalog
from agentgpu_iac.plan import Plan, baselines, warm_replicas
from agentgpu_iac.plan.endpoints import endpoints
from agentgpu_iac.planning.planner import make_plan
from agentgpu_iac.rendering.render import render
from agentgpu_iac.review.blocks import plain_text
from agentgpu_iac.review.diff import diff
from agentgpu_iac.review.explain_page import agent_page
from agentgpu_iac.review.plan_page import plan_page
from agentgpu_iac.review.plan_view import plan_view
from agentgpu_iac.review.report.page import report_page
from agentgpu_iac.simulation.mishaps import Mishaps
from agentgpu_iac.simulation.simulate import Simulation, simulate
from agentgpu_iac.spec.loader import load_text
from tests.planning import scenes

SPEC = """\
apiVersion: agentgpu.dev/v1alpha1
kind: AgentStack
metadata: {name: demo}
spec:
  target: kubernetes
  providers: [aws]
  regions: [us-east-1]
  scaling: {prometheusUrl: "http://prometheus.monitoring:9090"}
  accelerators: {allow: [l40s]}
  capacity: {inventory: [{machine: g6e.xlarge, count: 2}], beyondInventory: rent, spot: never}
  agents:
    - name: support
      model: Qwen/Qwen3-8B
      thinking: off
      sessions: {concurrent: %d, peak: %d}
      traffic: {rampS: 3600}
"""


@cache
def planned(normal: int = 300, peak: int = 600) -> Plan:
    return make_plan(load_text(SPEC % (normal, peak), "spec.yaml"), load_catalog())


def objects(plan: Plan, kind: str) -> list[dict[str, Any]]:
    found = (yaml.safe_load(file.content.decode()) for file in render(plan) if file.path.endswith(".yaml"))
    return [each for each in found if isinstance(each, dict) and each.get("kind") == kind]


def takes(selector: dict[str, str], labels: dict[str, str]) -> bool:
    return selector.items() <= labels.items()


def test_both_parts_and_the_burst_are_planned() -> None:
    plan = planned()
    assert [each.name for each in plan.workloads] == ["support", "support-rest", "support-burst"]
    assert len({each.node_pool for each in plan.workloads}) == 3


def test_each_deployment_selects_its_own_pods_alone_and_the_service_all() -> None:
    plan = planned()
    engines = [each for each in objects(plan, "Deployment") if each["metadata"]["name"].startswith("support")]
    assert len(engines) == 3
    for each in engines:
        selector = each["spec"]["selector"]["matchLabels"]
        chosen = [one for one in engines if takes(selector, one["spec"]["template"]["metadata"]["labels"])]
        assert chosen == [each]
    (service,) = (each for each in objects(plan, "Service") if each["metadata"]["name"] == "support-engines")
    assert all(takes(service["spec"]["selector"], each["spec"]["template"]["metadata"]["labels"]) for each in engines)


def test_whoever_counts_warm_replicas_counts_those_of_both_parts() -> None:
    plan = planned()
    first, rest, burst = plan.workloads
    warm = first.replicas.max + rest.replicas.max
    assert warm_replicas(plan.workloads) == warm
    assert [each.name for each in baselines(plan.workloads)] == ["support", "support-rest"]
    assert burst.scaling is not None
    assert burst.scaling.baseline_replicas == warm
    below = next(each for each in plan.watching.alerts if each.name == "AgentReplicasBelowPlan")
    assert below.threshold == warm
    deployed = {each["metadata"]["name"]: each["spec"].get("replicas") for each in objects(plan, "Deployment")}
    assert deployed["support"] + deployed["support-rest"] == warm
    assert len(endpoints(plan)) == 1


def test_the_rules_watch_the_series_of_both() -> None:
    text = "\n".join(file.content.decode() for file in render(planned()) if "/prometheusrule-" in f"/{file.path}")
    assert 'agentgpu_dev_tier="baseline"' in text
    assert 'agentgpu_dev_tier="baseline-rest"' in text


def test_the_simulation_starts_both_and_bills_each_at_its_price() -> None:
    plan = planned(peak=300)
    first, rest = plan.workloads
    answer = simulate(plan, Simulation(traffic="ramp", hours=0.2))
    (found,) = answer.deployments
    assert {moment.warm_replicas for moment in found.moments} == {first.replicas.max + rest.replicas.max}
    assert first.replica_usd_per_hour == 0
    assert found.usd == pytest.approx(rest.replica_usd_per_hour * rest.replicas.max / 5, abs=Decimal("0.01"))


@pytest.mark.broad(every=0)
def test_a_failed_replica_comes_back_where_it_was() -> None:
    plan = planned(peak=300)
    first, rest = plan.workloads
    calm, failing = (
        simulate(plan, Simulation(traffic="ramp", hours=1.0, mishaps=Mishaps(failures_per_hour=rate)))
        for rate in (0.0, 1.0)
    )
    assert failing.deployments[0].failed > 0
    most = first.replicas.max + rest.replicas.max
    assert max(moment.warm_replicas for moment in failing.deployments[0].moments) <= most
    assert failing.deployments[0].usd <= calm.deployments[0].usd


def test_every_view_tells_of_both() -> None:
    plan = planned()
    for blocks in (
        plan_page(plan, "spec.yaml"),
        plan_view(plan, "spec.yaml"),
        agent_page(plan, "spec.yaml", "support"),
    ):
        assert "on your g6e.xlarge" in plain_text(blocks)
    assert "support-rest" in report_page(plan)


def test_a_diff_names_the_part_that_comes() -> None:
    found = diff(planned(normal=80, peak=160), planned())
    assert "support-rest" in str(found)


SESSIONS = 1200


@cache
def of_two_sizes() -> Plan:
    """Two large cards of yours, and small ones that are rented."""
    rows = (
        *scenes.offerings("s1", "small-40", on_demand="1.00"),
        *scenes.offerings("s4", "small-40", 4, on_demand="3.00"),
        *scenes.offerings("l1", "large-80", on_demand="3.00"),
    )
    own = [{"machine": "l1", "count": 2}]
    capacity = {"inventory": own, "beyondInventory": "rent", "shareAccelerators": "never"}
    agent = scenes.make_agent(sessions={"concurrent": SESSIONS})
    return scenes.plan(
        agent,
        catalog=scenes.make_catalog(rows),
        target="kubernetes",
        capacity=capacity,
        accelerators={"deny": ["large-80"]},
    )


def test_replicas_of_two_sizes_get_sessions_by_their_seats() -> None:
    plan = of_two_sizes()
    first, rest = plan.workloads
    assert first.max_num_seqs > rest.max_num_seqs
    assert plan.router is not None
    assert {each.workload: each.weight for each in plan.router.weights} == {
        "support": 10 * first.max_num_seqs // rest.max_num_seqs,
        "support-rest": 10,
    }
    seats = sum(each.replicas.max * each.max_num_seqs for each in plan.workloads)
    for each in plan.workloads:
        weight = plan.router.weight_of[each.name]
        part = weight / sum(other.replicas.max * plan.router.weight_of[other.name] for other in plan.workloads)
        assert part * SESSIONS <= each.max_num_seqs, "dealt by weights, none gets more than it has seats for"
    assert seats >= SESSIONS


def test_replicas_of_one_size_have_no_weights() -> None:
    router = planned().router
    assert router is not None
    assert router.weights == ()


def test_nginx_finds_each_part_by_a_service_of_its_own_and_weighs_it() -> None:
    plan = of_two_sizes()
    assert plan.router is not None
    config = next(each for each in objects(plan, "ConfigMap") if each["metadata"]["name"] == "traffic-router")
    engines = [each for each in objects(plan, "Deployment") if each["metadata"]["name"].startswith("support")]
    services = {each["metadata"]["name"]: each for each in objects(plan, "Service")}
    for each in plan.workloads:
        name = f"support-{each.tier_label}-engines"
        found, weight = f"{name}.{plan.stack}.svc.cluster.local service=http resolve", plan.router.weight_of[each.name]
        assert f"server {found} weight={weight} max_fails=0;" in config["data"]["nginx.conf"]
        selector = services[name]["spec"]["selector"]
        chosen = [one for one in engines if takes(selector, one["spec"]["template"]["metadata"]["labels"])]
        assert [one["metadata"]["name"] for one in chosen] == [each.name]
        assert services[name]["spec"]["clusterIP"] == "None"
    assert "server support-engines." not in config["data"]["nginx.conf"]
