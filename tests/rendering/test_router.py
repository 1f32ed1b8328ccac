"""NGINX and the Gateway's objects, as they are rendered. Real NGINX runs the configuration in tests/e2e/traffic."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml

from agentgpu_iac import plan as p
from agentgpu_iac.errors import BadInput
from agentgpu_iac.rendering.router import port_name
from tests.plans import (
    make_gateway_plan,
    make_plan,
    make_route,
    make_routed_plan,
    make_router,
    make_workload,
)
from tests.rendering.trees import of_kind, tree


def config(plan: p.Plan) -> str:
    return str(of_kind(plan, "ConfigMap")["traffic-router"]["data"]["nginx.conf"])


def block(text: str, opening: str) -> str:
    """From an opening line to the brace that closes it."""
    start = text.index(f"    {opening} {{\n")
    return text[start : text.index("\n    }\n", start)]


def router_pod(plan: p.Plan) -> dict[str, Any]:
    return dict(of_kind(plan, "Deployment")["traffic-router"]["spec"]["template"]["spec"])


def test_callers_keep_their_address_and_nginx_finds_the_engines_by_another() -> None:
    services = of_kind(make_routed_plan(), "Service")
    assert set(services) == {"support", "support-engines", "batch", "batch-engines"}
    public, engines = services["support"]["spec"], services["support-engines"]["spec"]
    assert public["selector"] == {"app.kubernetes.io/component": "router"}
    assert (public["ports"][0]["port"], public["ports"][0]["targetPort"]) == (8000, "support")
    assert "clusterIP" not in public
    assert engines["clusterIP"] == "None"
    assert engines["selector"] == {"app.kubernetes.io/component": "engine", "agentgpu.dev/agent": "support"}
    assert (engines["ports"][0]["name"], engines["ports"][0]["targetPort"]) == ("http", "http")


def test_each_agent_has_a_port_that_its_service_names() -> None:
    plan = make_routed_plan()
    container, _ = router_pod(plan)["containers"]
    ports = {each["name"]: each["containerPort"] for each in container["ports"]}
    assert ports == {"router-health": 8080, "support": 10_000, "batch": 10_001}
    for agent, port in (("support", 10_000), ("batch", 10_001)):
        assert of_kind(plan, "Service")[agent]["spec"]["ports"][0]["targetPort"] in ports
        assert re.search(rf"listen {port};\n        server_name {agent};", config(plan))


@pytest.mark.parametrize(
    "agent", ["a", "support", "a" * 15, "a" * 16, "a-b", "a--b", "router-health", "metrics", "x" * 40]
)
def test_names_of_ports_are_names_of_ports(agent: str) -> None:
    name = port_name(agent)
    assert re.fullmatch(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?", name)
    assert len(name) <= 15
    assert "--" not in name
    assert name not in ("router-health", "metrics")
    assert (name == agent) == (agent in ("a", "support", "a" * 15, "a-b"))


def test_an_agent_without_a_route_is_reached_directly() -> None:
    plan = make_routed_plan(routes=(make_route(),))
    assert of_kind(plan, "Service")["batch"]["spec"]["selector"]["agentgpu.dev/agent"] == "batch"
    assert "batch-engines" not in of_kind(plan, "Service")
    assert "batch" not in config(plan)


def test_sessions_are_hashed_and_requests_without_one_spread() -> None:
    text = config(make_routed_plan(session_header="x-conversation"))
    assert "default $http_x_conversation;" in text
    assert '""      $request_id;' in text
    assert "hash $session consistent;" in block(text, "upstream support")
    assert "hash" not in block(text, "upstream batch")
    for agent in ("support", "batch"):
        server = f"server {agent}-engines.demo.svc.cluster.local service=http resolve max_fails=0;"
        assert server in block(text, f"upstream {agent}")


def test_limits_and_times_are_the_plans() -> None:
    text = config(make_routed_plan(max_request_mib=3))
    support, batch = text.split("server_name support;")[1], text.split("server_name batch;")[1]
    assert "client_max_body_size 3m;" in text
    assert "limit_conn requests_in_flight 24;" in support.split("server_name")[0]
    assert "limit_conn requests" not in batch
    for line in (
        "proxy_read_timeout 205s;",
        "proxy_send_timeout 205s;",
        " send_timeout 205s;",
        "proxy_connect_timeout 1000ms;",
        "proxy_next_upstream_tries 2;",
        "proxy_next_upstream_timeout 1500ms;",
    ):
        assert line in support
    assert "worker_shutdown_timeout 30s;" in text
    assert "worker_connections 1024;" in text


def test_a_changed_configuration_starts_the_routers_anew() -> None:
    hashes = {
        of_kind(plan, "Deployment")["traffic-router"]["spec"]["template"]["metadata"]["annotations"][
            "agentgpu.dev/content-sha256"
        ]
        for plan in (make_routed_plan(), make_routed_plan(max_request_mib=3))
    }
    assert len(hashes) == 2


def test_routers_end_as_slowly_as_engines_and_never_both_at_once() -> None:
    plan = make_routed_plan()
    pod = router_pod(plan)
    container, _ = pod["containers"]
    assert pod["terminationGracePeriodSeconds"] == 50
    assert container["lifecycle"]["preStop"]["sleep"]["seconds"] == 15
    assert of_kind(plan, "Deployment")["traffic-router"]["spec"]["strategy"]["rollingUpdate"]["maxUnavailable"] == 0
    budget = of_kind(plan, "PodDisruptionBudget")["traffic-router"]["spec"]
    assert budget["maxUnavailable"] == 1
    assert budget["selector"]["matchLabels"] == {"app.kubernetes.io/component": "router"}
    assert {each["topologyKey"] for each in pod["topologySpreadConstraints"]} == {
        "kubernetes.io/hostname",
        "topology.kubernetes.io/zone",
    }


def test_nothing_is_written_outside_the_volumes() -> None:
    pod = router_pod(make_routed_plan())
    for container in (*pod["containers"], *pod["initContainers"]):
        assert container["securityContext"]["readOnlyRootFilesystem"] is True
    mounts = {mount["mountPath"] for mount in pod["containers"][0]["volumeMounts"] if not mount.get("readOnly")}
    written = re.findall(r"(?:_temp_path|pid) (/\w+)/", config(make_routed_plan()))
    assert set(written) == mounts == {"/tmp"}


def test_an_agent_may_be_called_router() -> None:
    router = make_workload(agent="router", name="router", served_model_name="router")
    routes = (make_route(agent="router"),)
    plan = make_plan(workloads=(router,), router=make_router(routes=routes))
    assert set(of_kind(plan, "Deployment")) == {"router", "traffic-router"}


def test_an_agent_with_the_name_of_anothers_engines_is_refused() -> None:
    other = make_workload(agent="support-engines", name="support-engines", served_model_name="support-engines")
    with pytest.raises(BadInput, match="support-engines"):
        tree(make_plan(workloads=(make_workload(), other), router=make_router()))


def test_behind_a_gateway_each_agent_has_a_path() -> None:
    made = tree(make_gateway_plan())
    spec = made["gateway/httproute-support.yaml"]["spec"]
    assert spec["parentRefs"][0]["name"] == "agents"
    assert spec["parentRefs"][0]["namespace"] == "gateways"
    assert spec["hostnames"] == ["agents.example.org"]
    (rule,) = spec["rules"]
    assert rule["matches"] == [{"path": {"type": "PathPrefix", "value": "/demo/support/v1"}}]
    assert rule["filters"][0]["urlRewrite"]["path"] == {"type": "ReplacePrefixMatch", "replacePrefixMatch": "/v1"}
    assert rule["backendRefs"] == [
        {"group": "inference.networking.k8s.io", "kind": "InferencePool", "name": "support", "weight": 1}
    ]
    assert rule["timeouts"] == {"request": "205s"}
    for overlay in ("karpenter", "node-groups"):
        assert "../../gateway" in made[f"overlays/{overlay}/kustomization.yaml"]["resources"]


def test_a_gateway_without_a_host_name_takes_any() -> None:
    gateway = p.GatewayPlan(name="agents", namespace="gateways", hostname=None, scheme="https")
    assert "hostnames" not in tree(make_gateway_plan(gateway=gateway))["gateway/httproute-support.yaml"]["spec"]


def test_the_pool_names_its_picker_and_the_picker_its_pool() -> None:
    made = tree(make_gateway_plan())
    pool = made["gateway/inferencepool-support.yaml"]["spec"]
    assert pool["selector"]["matchLabels"] == {"app.kubernetes.io/component": "engine", "agentgpu.dev/agent": "support"}
    assert pool["targetPorts"] == [{"number": 8000}]
    service = made[f"gateway/service-{pool['endpointPickerRef']['name']}.yaml"]["spec"]
    assert service["ports"][0]["port"] == pool["endpointPickerRef"]["port"]["number"]
    assert service["ports"][0]["appProtocol"] == "kubernetes.io/h2c"
    picker = made["gateway/deployment-support-picker.yaml"]["spec"]
    (container,) = picker["template"]["spec"]["containers"]
    assert service["selector"].items() <= picker["template"]["metadata"]["labels"].items()
    assert {"--pool-name=support", "--pool-namespace=demo"} <= set(container["args"])
    ports = {each["name"]: each["containerPort"] for each in container["ports"]}
    assert ports[service["ports"][0]["targetPort"]] == 9002
    assert container["readinessProbe"]["grpc"]["port"] == ports["grpc-health"]


def test_pickers_may_read_their_namespace_and_nothing_else() -> None:
    made = tree(make_gateway_plan())
    role = made["gateway/role-support-picker.yaml"]
    assert {verb for rule in role["rules"] for verb in rule["verbs"]} == {"get", "list", "watch"}
    binding = made["gateway/rolebinding-support-picker.yaml"]
    assert binding["roleRef"]["name"] == role["metadata"]["name"]
    assert binding["subjects"] == [{"kind": "ServiceAccount", "name": "support-picker", "namespace": "demo"}]
    assert not [body["kind"] for body in made.values() if body["kind"].startswith("ClusterRole")]


@pytest.mark.parametrize(("policy", "weighed"), [("session-affine", True), ("round-robin", False)])
def test_pickers_weigh_prefixes_where_sessions_have_a_home(policy: Any, weighed: bool) -> None:
    plan = make_gateway_plan(routes=(make_route(port=None, policy=policy),))
    made = yaml.safe_load(of_kind(plan, "ConfigMap")["support-picker"]["data"]["config.yaml"])
    scorers = [each["pluginRef"] for each in made["schedulingProfiles"][0]["plugins"]]
    assert ("prefix-cache-scorer" in scorers) == weighed
    assert [each["type"] for each in made["plugins"]] == scorers


def test_a_picker_holds_what_must_wait_as_the_plan_says() -> None:
    """Keys as the picker's release has them: apix/config/v1alpha1 of llm-d router 0.10.0."""
    flow = p.FlowControlPlan(queue_depth=3, kv_cache_ratio=0.9, queue_s=4, max_mib=512)
    plan = make_gateway_plan(routes=(make_route(port=None, flow_control=flow),))
    made = yaml.safe_load(of_kind(plan, "ConfigMap")["support-picker"]["data"]["config.yaml"])
    assert made["featureGates"] == ["flowControl"]
    (detector,) = [one for one in made["plugins"] if one["type"] == "utilization-detector"]
    assert detector["parameters"] == {"queueDepthThreshold": 3, "kvCacheUtilThreshold": 0.9}
    assert made["flowControl"] == {
        "maxBytes": "512Mi",
        "defaultRequestTTL": "4s",
        "saturationDetector": {"pluginRef": "utilization-detector"},
    }


def test_pickers_are_scraped_on_a_port_that_they_have_and_that_is_open() -> None:
    plan = make_gateway_plan()
    watching = plan.watching.model_copy(update={"monitors": "prometheus-operator"})
    plan = plan.model_copy(update={"watching": watching})
    monitor = of_kind(plan, "PodMonitor")["endpoint-pickers"]["spec"]
    picker = of_kind(plan, "Deployment")["support-picker"]["spec"]["template"]
    assert monitor["selector"]["matchLabels"].items() <= picker["metadata"]["labels"].items()
    (endpoint,) = monitor["podMetricsEndpoints"]
    (port,) = [
        one["containerPort"] for one in picker["spec"]["containers"][0]["ports"] if one["name"] == endpoint["port"]
    ]
    opened = of_kind(plan, "NetworkPolicy")["endpoint-picker"]["spec"]["ingress"]
    assert port in {one["port"] for rule in opened for one in rule["ports"]}
    assert "agentgpu.dev/agent" in monitor["podTargetLabels"]
