"""What follows the clock in a rendered tree: a ScaledObject for the baseline, and alerts that do not miss who is away."""

from __future__ import annotations

from typing import Any

import pytest

from agentgpu_iac.plan import Plan
from tests.planning.scenes import make_agent, plan, workload
from tests.rendering.trees import of_kind

NIGHT = {"timezone": "Europe/Berlin", "windows": [{"opens": "22:00", "closes": "06:00", "days": "mon-fri"}]}


@pytest.fixture(scope="module")
def night() -> Plan:
    return plan(make_agent(latencyClass="background", interruptible=True, schedule=NIGHT))


@pytest.fixture(scope="module")
def office() -> Plan:
    """Warm by day for four sessions, with a burst; nobody outside."""
    busy = {"sessions": {"concurrent": 40, "peak": 4_000}, "traffic": {"rampS": 3600}}
    return plan(make_agent(**busy, schedule={**NIGHT, "replicasOutside": 0}), make_agent("other", **busy))


def scaler(found: Plan, name: str = "support") -> dict[str, Any]:
    return next(each for each in of_kind(found, "ScaledObject").values() if each["metadata"]["name"] == name)


def rules(found: Plan) -> dict[str, str]:
    return {
        f"{rule['labels'].get('agent', '')}/{rule['alert']}": rule["expr"]
        for each in of_kind(found, "PrometheusRule").values()
        for group in each["spec"]["groups"]
        for rule in group["rules"]
        if "alert" in rule
    }


def test_the_baseline_has_a_scaler_of_its_own_and_its_deployment_no_count(night: Plan) -> None:
    found = workload(night)
    spec = scaler(night)["spec"]
    assert spec["scaleTargetRef"] == {"apiVersion": "apps/v1", "kind": "Deployment", "name": "support"}
    assert (spec["minReplicaCount"], spec["maxReplicaCount"]) == (0, found.replicas.max)
    assert (found.replicas.min, spec["cooldownPeriod"]) == (0, 0)
    assert "fallback" not in spec, "a clock does not fail as Prometheus does"
    (trigger,) = spec["triggers"]
    (window,) = found.open_hours.windows
    assert trigger["type"] == "cron"
    assert trigger["metadata"] == {
        "timezone": "Europe/Berlin",
        "start": window.start,
        "end": "0 6 * * 2,3,4,5,6",
        "desiredReplicas": str(found.replicas.max),
    }
    (deployment,) = [each for each in of_kind(night, "Deployment").values() if each["metadata"]["name"] == "support"]
    assert "replicas" not in deployment["spec"]


def test_a_replica_that_is_away_by_its_schedule_is_not_missed(night: Plan) -> None:
    (expression,) = [text for name, text in rules(night).items() if name.endswith("/AgentReplicasBelowPlan")]
    told = 'kube_deployment_spec_replicas{namespace="demo",deployment="support"}'
    assert expression.endswith(f"< clamp_max(sum({told}), {workload(night).replicas.max})")


def test_a_clock_that_fails_is_said(night: Plan) -> None:
    (expression,) = [text for name, text in rules(night).items() if name.endswith("/AgentScalerFailing")]
    assert 'scaledObject="support"' in expression


def test_a_burst_asks_for_nothing_while_its_baseline_is_away(office: Plan) -> None:
    away, others = (
        [trigger.query for trigger in workload(office, agent, "burst").scaling.triggers]
        for agent in ("support", "other")
    )
    told = 'kube_deployment_spec_replicas{namespace="demo",deployment="support"}'
    for query, always in zip(away, others, strict=True):
        assert query == f"({always.replace('other', 'support')}) or sum({told} == 0)"
    assert {each["metadata"]["name"] for each in of_kind(office, "ScaledObject").values()} == {
        "support", "support-burst", "other-burst",
    }  # fmt: skip


def test_both_scalers_of_an_agent_are_watched(office: Plan) -> None:
    failing = [text for name, text in rules(office).items() if name.endswith("/AgentScalerFailing")]
    assert any('scaledObject=~"support|support-burst"' in text for text in failing)
