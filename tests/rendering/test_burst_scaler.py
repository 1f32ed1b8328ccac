"""The CronJob that follows the load with machines beside the cluster: what it may, and what it is told."""

from __future__ import annotations

from typing import Any

import pytest

from agentgpu_iac import plan as p
from agentgpu_iac.provisioning.spheron.machine_files import Login
from tests.plans import make_joined_plan
from tests.rendering.test_network_policy import COMPONENT, End, may
from tests.rendering.trees import of_kind

AUTH = p.PrometheusAuthPlan(
    mode="bearer",
    parameters=(p.SecretParameter(parameter="bearerToken", secret="prometheus", key="token"),),
    aws_region=None,
)


def scaled_plan(*, scaler: bool = True, logs_in: bool = False, auth: p.PrometheusAuthPlan | None = None) -> p.Plan:
    joined = make_joined_plan()
    assert joined.joined is not None
    cron = p.MachineScalerPlan(
        image="registry.example/agents:1",
        secret="pulumi",
        pulumi_stack="acme/agents/burst",
        every_minutes=2,
        cpu_milli=500,
        memory_mib=1024,
        scratch_mib=512,
        deadline_s=3_720,
        logs_in=logs_in,
    )
    scaling = p.MachineScalingPlan(
        prometheus_url="http://prometheus.monitoring.svc:9090",
        prometheus_auth=auth,
        step_s=60,
        pools=(),
        scaler=cron if scaler else None,
    )
    return joined.model_copy(update={"joined": joined.joined.model_copy(update={"scaling": scaling})})


@pytest.fixture(scope="module")
def plan() -> p.Plan:
    return scaled_plan(auth=AUTH)


def test_one_look_at_a_time_and_none_longer_than_two_starts(plan: p.Plan) -> None:
    spec = of_kind(plan, "CronJob")["burst-scaler"]["spec"]
    assert (spec["schedule"], spec["concurrencyPolicy"]) == ("*/2 * * * *", "Forbid")
    job = spec["jobTemplate"]["spec"]
    assert (job["backoffLimit"], job["activeDeadlineSeconds"]) == (0, 3_720)


def test_it_is_told_secrets_by_name_alone(plan: p.Plan) -> None:
    (container,) = containers(plan)
    assert container["envFrom"] == [{"secretRef": {"name": "pulumi"}}]
    assert container["command"][-2:] == ["--stack", "acme/agents/burst"]
    (token,) = [each for each in container["env"] if "valueFrom" in each]
    assert token == {
        "name": "AGENTGPU_PROMETHEUS_TOKEN",
        "valueFrom": {"secretKeyRef": {"name": "prometheus", "key": "token"}},
    }


def test_it_may_write_one_config_map_and_nothing_else(plan: p.Plan) -> None:
    (rule,) = of_kind(plan, "Role")["burst-scaler"]["rules"]
    assert rule["resources"] == ["configmaps"]
    assert rule["resourceNames"] == ["traffic-router-machines"]
    (binding,) = [each for name, each in of_kind(plan, "RoleBinding").items() if name == "burst-scaler"]
    assert binding["subjects"] == [{"kind": "ServiceAccount", "name": "burst-scaler", "namespace": "demo"}]


def test_its_pod_keeps_to_the_restricted_standard(plan: p.Plan) -> None:
    pod = of_kind(plan, "CronJob")["burst-scaler"]["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert pod["serviceAccountName"] == "burst-scaler"


def test_it_reaches_prometheus_the_machines_and_https(plan: p.Plan) -> None:
    egress = of_kind(plan, "NetworkPolicy")["burst-scaler"]["spec"]["egress"]
    ports = {port["port"] for rule in egress for port in rule.get("ports", ())}
    assert plan.joined is not None
    assert ports == {443, 6443} | {way.target_port for each in plan.joined.machines for way in each.routes}
    assert any("namespaceSelector" in to for rule in egress for to in rule["to"])


SCALER = End("demo", {COMPONENT: "burst-scaler"})
LOGINS = ("ssh ubuntu@18.154.227.7", "ssh root@18.154.227.7 -p 40022", "ssh -p 222 root@2600:9000:2000::1")


@pytest.mark.parametrize("command", LOGINS)
def test_it_logs_in_on_whatever_port_a_machine_has_where_somebody_may_and_else_nowhere(command: str) -> None:
    login = Login.of(command)
    machine = End(address=login.host)
    assert may(scaled_plan(logs_in=True), SCALER, machine, login.port)
    assert not may(scaled_plan(), SCALER, machine, login.port)


@pytest.mark.parametrize("address", ["10.0.0.9", "169.254.169.254", "fd00:ec2::254"])
def test_by_no_login_it_reaches_the_network_that_it_is_in(address: str) -> None:
    assert not may(scaled_plan(logs_in=True), SCALER, End(address=address), 22)


def test_without_an_image_nothing_of_it_is_rendered() -> None:
    bare = scaled_plan(scaler=False)
    assert "CronJob" not in {kind for kind in ("CronJob",) if of_kind(bare, kind)}
    assert "burst-scaler" not in of_kind(bare, "NetworkPolicy")


def containers(plan: p.Plan) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = of_kind(plan, "CronJob")["burst-scaler"]["spec"]["jobTemplate"]["spec"]["template"][
        "spec"
    ]["containers"]
    return found
