from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentgpu_iac import plan as p
from agentgpu_iac.plan.series import decimal
from agentgpu_iac.rendering.scaling import _quantity
from tests.planning.scenes import make_agent
from tests.planning.scenes import plan as planned
from tests.plans import make_watched_plan
from tests.rendering.trees import of_kind, tree


def scaled(plan: p.Plan) -> tuple[p.Workload, p.ScalingPlan]:
    (workload,) = [one for one in plan.workloads if one.scaling is not None]
    assert workload.scaling is not None
    return workload, workload.scaling


def scaled_object() -> dict[str, Any]:
    (found,) = of_kind(make_watched_plan(), "ScaledObject").values()
    return found


def test_a_scaled_object_has_the_plans_numbers() -> None:
    workload, scaling = scaled(make_watched_plan())
    spec = scaled_object()["spec"]
    assert spec["scaleTargetRef"] == {"apiVersion": "apps/v1", "kind": "Deployment", "name": workload.name}
    assert (spec["minReplicaCount"], spec["maxReplicaCount"]) == (0, workload.replicas.max)
    assert (spec["pollingInterval"], spec["cooldownPeriod"]) == (scaling.polling_interval_s, scaling.cooldown_s)
    assert spec["fallback"] == {"behavior": "currentReplicasIfHigher", "failureThreshold": 3, "replicas": 1}
    down = spec["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]["scaleDown"]
    assert down["stabilizationWindowSeconds"] == scaling.scale_down_stabilization_s
    assert down["policies"] == [{"type": "Pods", "value": 1, "periodSeconds": workload.drain.grace_period_s}]


def test_prometheus_triggers_are_the_plans_and_a_missing_series_is_a_failure() -> None:
    _, scaling = scaled(make_watched_plan())
    triggers = [one for one in scaled_object()["spec"]["triggers"] if one["type"] == "prometheus"]
    assert [one["metadata"]["query"] for one in triggers] == [one.query for one in scaling.triggers]
    assert [float(one["metadata"]["threshold"]) for one in triggers] == [one.threshold for one in scaling.triggers]
    for one in triggers:
        assert one["metricType"] == "AverageValue"
        assert one["metadata"]["ignoreNullValues"] == "false"
        assert one["metadata"]["activationThreshold"] == "0"
        assert all(isinstance(value, str) for value in one["metadata"].values()), "KEDA takes text only"


def test_known_peaks_are_cron_triggers() -> None:
    (cron,) = [one for one in scaled_object()["spec"]["triggers"] if one["type"] == "cron"]
    assert cron["metadata"] == {
        "timezone": "UTC", "start": "45 7 * * 1-5", "end": "0 18 * * 1-5", "desiredReplicas": "2",
    }  # fmt: skip


@pytest.mark.parametrize("method", ["keda", "hpa"])
def test_a_workload_has_one_scaler_and_nobody_else_sets_its_replicas(method: str) -> None:
    plan = make_watched_plan(method)
    workload, _ = scaled(plan)
    scalers = [*of_kind(plan, "ScaledObject").values(), *of_kind(plan, "HorizontalPodAutoscaler").values()]
    assert [one["spec"]["scaleTargetRef"]["name"] for one in scalers] == [workload.name]
    deployments = of_kind(plan, "Deployment")
    assert "replicas" not in deployments[workload.name]["spec"]
    assert deployments["support"]["spec"]["replicas"] == 1


def test_the_target_is_of_the_plans_kind() -> None:
    plan = make_watched_plan()
    group = {"target_api_version": "leaderworkerset.x-k8s.io/v1", "target_kind": "LeaderWorkerSet"}
    workloads = tuple(
        one.model_copy(update={"scaling": one.scaling.model_copy(update=group)}) if one.scaling else one
        for one in plan.workloads
    )
    (found,) = of_kind(plan.model_copy(update={"workloads": workloads}), "ScaledObject").values()
    assert found["spec"]["scaleTargetRef"]["kind"] == "LeaderWorkerSet"
    assert found["spec"]["scaleTargetRef"]["apiVersion"] == "leaderworkerset.x-k8s.io/v1"


def test_an_hpa_asks_for_the_series_that_the_rules_record() -> None:
    plan = make_watched_plan("hpa")
    _, scaling = scaled(plan)
    (autoscaler,) = of_kind(plan, "HorizontalPodAutoscaler").values()
    assert (autoscaler["spec"]["minReplicas"], autoscaler["spec"]["maxReplicas"]) == (1, 3)
    rules = of_kind(plan, "PrometheusRule")["agent-support"]["spec"]["groups"][0]["rules"]
    recorded = {rule["record"]: rule for rule in rules if "record" in rule}
    for metric, trigger in zip(autoscaler["spec"]["metrics"], scaling.triggers, strict=True):
        external = metric["external"]
        rule = recorded[external["metric"]["name"]]
        assert rule["expr"] == trigger.query
        assert external["metric"]["selector"]["matchLabels"].items() <= rule["labels"].items()
        assert external["target"] == {"type": "AverageValue", "averageValue": _quantity(trigger.threshold)}


def test_nothing_scales_what_the_plan_does_not_scale() -> None:
    assert not [path for path in tree(make_watched_plan("none")) if path.startswith("scaling/")]
    assert of_kind(make_watched_plan("none"), "Deployment")["support-burst"]["spec"]["replicas"] == 0


@settings(deadline=None)
@given(st.integers(0, 10**9).map(lambda milli: milli / 1000))
def test_numbers_are_plain_and_exact(value: float) -> None:
    assert re.fullmatch(r"\d+(\.\d*[1-9])?", decimal(value))
    assert float(decimal(value)) == value
    quantity = _quantity(value)
    assert (int(quantity[:-1]) / 1000 if quantity.endswith("m") else float(quantity)) == value


AUTH = {
    "bearer": ({"secret": "prometheus"}, "bearer", {"bearerToken": "token"}),
    "basic": ({"secret": "prometheus"}, "basic", {"username": "username", "password": "password"}),
    "header": ({"secret": "prometheus"}, "custom", {"customAuthHeader": "header", "customAuthValue": "value"}),
}


def authenticated(**auth: str) -> p.Plan:
    agent = make_agent(sessions={"concurrent": 10}, traffic={"burstFactor": 20.0, "rampS": 3600.0})
    return planned(agent, scaling={"prometheusAuth": auth})


@pytest.mark.broad(every=3)
@pytest.mark.parametrize("method", AUTH)
def test_keda_reads_who_it_is_from_a_secret(method: str) -> None:
    given, mode, wanted = AUTH[method]
    plan = authenticated(method=method, **given)
    spec = of_kind(plan, "TriggerAuthentication")["prometheus"]["spec"]
    assert {one["parameter"]: one["key"] for one in spec["secretTargetRef"]} == wanted
    assert {one["name"] for one in spec["secretTargetRef"]} == {"prometheus"}
    for body in of_kind(plan, "ScaledObject").values():
        for trigger in body["spec"]["triggers"]:
            assert trigger["authenticationRef"] == {"name": "prometheus"}
            assert trigger["metadata"]["authModes"] == mode


def test_keda_signs_for_amazon_s_prometheus_by_its_own_identity() -> None:
    plan = authenticated(method="aws-sigv4", awsRegion="eu-central-1")
    assert of_kind(plan, "TriggerAuthentication")["prometheus"]["spec"] == {"podIdentity": {"provider": "aws"}}
    for body in of_kind(plan, "ScaledObject").values():
        for trigger in body["spec"]["triggers"]:
            assert trigger["metadata"]["awsRegion"] == "eu-central-1"
            assert "authModes" not in trigger["metadata"]
