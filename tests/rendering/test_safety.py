"""What keeps a stack safe beside its network: disruption, priority, spread, identities, Secrets and quota."""

from __future__ import annotations

import json
from typing import Any

import pytest

from agentgpu_iac import plan as p
from tests.plans import make_plan, make_security, make_tiered_plan, make_workload
from tests.rendering.trees import PLANS, make_gated_plan, of_kind, pod_specs, tree


def pod_of(plan: p.Plan, name: str) -> dict[str, Any]:
    pod = of_kind(plan, "Deployment")[name]["spec"]["template"]["spec"]
    assert isinstance(pod, dict)
    return pod


def keyed_plan() -> p.Plan:
    engine = make_workload().engine.model_copy(
        update={"secret_environment": (p.SecretVariable(variable="VLLM_API_KEY", secret="front-door", key="key"),)}
    )
    secrets = (p.NamedSecret(name="front-door", key="key", purpose="is asked for", store_key="prod/front-door"),)
    security = make_security(
        api_key_secret="front-door",
        secrets=secrets,
        secret_store=p.SecretStorePlan(name="vault", kind="ClusterSecretStore"),
    )
    return make_plan(workloads=(make_workload(engine=engine),), security=security)


def test_one_budget_covers_all_tiers_and_lets_a_lone_replica_move() -> None:
    plan = make_tiered_plan()
    (budget,) = of_kind(plan, "PodDisruptionBudget").values()
    assert budget["spec"]["maxUnavailable"] == 1
    assert budget["spec"]["unhealthyPodEvictionPolicy"] == "AlwaysAllow"
    for deployment in of_kind(plan, "Deployment").values():
        labels = deployment["spec"]["template"]["metadata"]["labels"]
        assert budget["spec"]["selector"]["matchLabels"].items() <= labels.items()
    for filler in of_kind(plan, "DaemonSet").values():
        labels = filler["spec"]["template"]["metadata"]["labels"]
        assert not budget["spec"]["selector"]["matchLabels"].items() <= labels.items()


@pytest.mark.broad(every=4)
@pytest.mark.parametrize("plan", PLANS)
def test_every_pod_has_a_priority_class_of_the_stack(plan: str) -> None:
    classes = of_kind(PLANS[plan](), "PriorityClass")
    assert all(name.startswith("demo-") for name in classes)
    assert {pod["priorityClassName"] for pod in pod_specs(PLANS[plan]()).values()} <= set(classes)
    assert not any("globalDefault" in body for body in classes.values())


def test_replicas_are_spread_as_the_plan_says() -> None:
    plan = make_tiered_plan()
    assert "topologySpreadConstraints" not in pod_of(plan, "support")
    burst = of_kind(plan, "Deployment")["support-burst"]
    constraints = pod_of(plan, "support-burst")["topologySpreadConstraints"]
    assert [each["topologyKey"] for each in constraints] == ["topology.kubernetes.io/zone", "kubernetes.io/hostname"]
    for each in constraints:
        assert each["whenUnsatisfiable"] == "ScheduleAnyway"
        assert each["matchLabelKeys"] == ["pod-template-hash"]
        assert each["labelSelector"] == burst["spec"]["selector"]


def test_fillers_have_an_identity_of_their_own_and_no_pod_a_token() -> None:
    plan = make_tiered_plan()
    accounts = of_kind(plan, "ServiceAccount")
    assert set(accounts) == {"engine", "model-cache"}
    assert not any(account["automountServiceAccountToken"] for account in accounts.values())
    for path, pod in pod_specs(plan).items():
        assert pod["serviceAccountName"] == ("model-cache" if "daemonset" in path else "engine")
        assert pod["automountServiceAccountToken"] is False
    assert not any(body["kind"] in ("Role", "ClusterRole", "RoleBinding") for body in tree(plan).values())


def test_the_api_key_is_read_from_its_secret_and_never_an_argument() -> None:
    container = pod_of(keyed_plan(), "support")["containers"][0]
    (entry,) = (each for each in container["env"] if "valueFrom" in each)
    assert entry == {
        "name": "VLLM_API_KEY",
        "valueFrom": {"secretKeyRef": {"name": "front-door", "key": "key"}},
    }
    assert not any("api-key" in word for word in container["args"])


def test_callers_are_told_which_secret_holds_the_key() -> None:
    data = of_kind(keyed_plan(), "ConfigMap")["endpoints"]["data"]
    assert json.loads(data["endpoints.json"])["support"]["apiKeySecret"] == "front-door"
    assert data["SUPPORT_API_KEY_SECRET"] == "front-door"


def test_secrets_are_made_from_the_store() -> None:
    made = tree(keyed_plan())
    spec = made["secrets/externalsecret-front-door.yaml"]["spec"]
    assert spec["secretStoreRef"] == {"name": "vault", "kind": "ClusterSecretStore"}
    assert spec["target"] == {"name": "front-door", "creationPolicy": "Owner", "deletionPolicy": "Retain"}
    (entry,) = spec["data"]
    assert entry["secretKey"] == "key"
    assert (entry["remoteRef"]["key"], entry["remoteRef"]["property"]) == ("prod/front-door", "key")
    assert "../../secrets" in made["overlays/karpenter/kustomization.yaml"]["resources"]


def test_without_a_store_nothing_makes_secrets() -> None:
    assert of_kind(make_gated_plan(), "ExternalSecret") == {}


def test_the_quota_limits_what_the_plan_counts() -> None:
    (quota,) = of_kind(make_plan(), "ResourceQuota").values()
    assert quota["spec"]["hard"] == {
        "pods": "4",
        "requests.cpu": "6200m",
        "requests.memory": "49Gi",
        "limits.memory": "56Gi",
        "requests.nvidia.com/gpu": "2",
    }


def test_without_a_quota_there_is_none() -> None:
    assert of_kind(make_plan(quota=None), "ResourceQuota") == {}
