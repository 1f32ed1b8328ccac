"""Who may talk to whom, by an evaluator of the rendered policies: no network plugin is at hand, so the API's documented
semantics stand in for one. A connection needs the sender's leave and the receiver's."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from agentgpu_iac import plan as p
from agentgpu_iac.plan.endpoints import endpoints
from tests.plans import (
    make_gateway_plan,
    make_plan,
    make_pool,
    make_routed_plan,
    make_security,
    make_tiered_plan,
    make_workload,
)
from tests.rendering.trees import of_kind, tree

COMPONENT = "app.kubernetes.io/component"
CALLS = "agentgpu.dev/calls"


@dataclass(frozen=True)
class End:
    """One end of a connection: a pod of a namespace, or an address outside the cluster."""

    namespace: str = ""
    labels: dict[str, str] = field(default_factory=dict)
    address: str = ""


ENGINE = End("demo", {COMPONENT: "engine", "agentgpu.dev/agent": "support"})
FILLER = End("demo", {COMPONENT: "model-cache"})
STRANGER = End("demo", {"app": "debug"})
APP, OTHER_APP, PROMETHEUS = End("web"), End("batch"), End("monitoring")
DNS = End("kube-system", {"k8s-app": "kube-dns"})
API_SERVER, INTERNET, IMDS = End(address="10.0.0.1"), End(address="18.154.227.7"), End(address="169.254.169.254")
POD_IDENTITY, NODE_DNS = End(address="169.254.170.23"), End(address="169.254.20.10")


def selects(selector: dict[str, Any], labels: dict[str, str]) -> bool:
    for wanted in selector.get("matchExpressions", []):
        value = labels.get(wanted["key"])
        if wanted["operator"] not in ("In", "Exists"):
            raise NotImplementedError(wanted["operator"])
        if value is None or (wanted["operator"] == "In" and value not in wanted["values"]):
            return False
    return bool(selector.get("matchLabels", {}).items() <= labels.items())


def holds(block: dict[str, Any], address: str) -> bool:
    def inside(cidr: str) -> bool:
        network, host = ipaddress.ip_network(cidr), ipaddress.ip_address(address)
        return network.version == host.version and host in network

    return inside(block["cidr"]) and not any(inside(cidr) for cidr in block.get("except", []))


def is_peer(peer: dict[str, Any], own_namespace: str, end: End) -> bool:
    if "ipBlock" in peer:
        return bool(end.address) and holds(peer["ipBlock"], end.address)
    if end.address:
        return False
    if "namespaceSelector" in peer:
        name = {"kubernetes.io/metadata.name": end.namespace}
        return selects(peer["namespaceSelector"], name) and selects(peer.get("podSelector", {}), end.labels)
    return end.namespace == own_namespace and selects(peer["podSelector"], end.labels)


def is_among(ports: dict[str, Any], protocol: str, port: int) -> bool:
    """Whether an entry of a rule has a port: its one, or one of its range."""
    return bool(ports["protocol"] == protocol and ports["port"] <= port <= ports.get("endPort", ports["port"]))


def permits(policies: list[dict[str, Any]], direction: str, own: End, other: End, port: int, protocol: str) -> bool:
    if own.address:
        return True
    ours = [
        each
        for each in policies
        if each["metadata"]["namespace"] == own.namespace
        and direction in each["spec"]["policyTypes"]
        and selects(each["spec"]["podSelector"], own.labels)
    ]
    key, word = ("ingress", "from") if direction == "Ingress" else ("egress", "to")
    return not ours or any(
        ("ports" not in rule or any(is_among(each, protocol, port) for each in rule["ports"]))
        and any(is_peer(peer, own.namespace, other) for peer in rule[word])
        for each in ours
        for rule in each["spec"].get(key, [])
    )


def may(plan: p.Plan, sender: End, receiver: End, port: int, protocol: str = "TCP") -> bool:
    policies = [body for body in tree(plan).values() if body["kind"] == "NetworkPolicy"]
    return permits(policies, "Egress", sender, receiver, port, protocol) and permits(
        policies, "Ingress", receiver, sender, port, protocol
    )


OPEN = make_tiered_plan()
NAMED = make_plan(security=make_security(callers=("web",), monitoring_namespace="watch"))


@pytest.mark.broad(every=5)
@pytest.mark.parametrize(
    ("plan", "sender", "receiver", "port", "allowed"),
    [
        (OPEN, APP, ENGINE, 8000, True),
        (OPEN, OTHER_APP, ENGINE, 8000, True),
        (OPEN, PROMETHEUS, ENGINE, 8000, True),
        (OPEN, INTERNET, ENGINE, 8000, False),
        (OPEN, API_SERVER, ENGINE, 8000, False),
        (OPEN, APP, ENGINE, 22, False),
        (OPEN, APP, FILLER, 8000, False),
        (OPEN, APP, STRANGER, 8000, False),
        (OPEN, STRANGER, INTERNET, 443, False),
        (NAMED, APP, ENGINE, 8000, True),
        (NAMED, OTHER_APP, ENGINE, 8000, False),
        (NAMED, PROMETHEUS, ENGINE, 8000, False),
        (NAMED, End("watch"), ENGINE, 8000, True),
        (NAMED, STRANGER, ENGINE, 8000, False),
    ],
)
def test_engines_are_reached_by_callers_and_monitoring_alone(
    plan: p.Plan, sender: End, receiver: End, port: int, allowed: bool
) -> None:
    assert may(plan, sender, receiver, port) is allowed


@pytest.mark.broad(every=5)
@pytest.mark.parametrize("receiver", [INTERNET, API_SERVER, IMDS, POD_IDENTITY, APP, ENGINE, FILLER])
@pytest.mark.parametrize("port", [80, 443, 8000])
def test_engines_reach_nothing(receiver: End, port: int) -> None:
    assert not may(OPEN, ENGINE, receiver, port)


@pytest.mark.parametrize("sender", [ENGINE, FILLER, STRANGER])
def test_every_pod_may_ask_for_names(sender: End) -> None:
    for protocol in ("UDP", "TCP"):
        assert may(OPEN, sender, DNS, 53, protocol)
        assert may(OPEN, sender, NODE_DNS, 53, protocol)
        assert not may(OPEN, sender, INTERNET, 53, protocol)
    assert not may(OPEN, sender, DNS, 443)


@pytest.mark.broad(every=5)
@pytest.mark.parametrize(
    ("receiver", "port", "allowed"),
    [
        (INTERNET, 443, True),
        (End(address="2600:9000:2000::1"), 443, True),
        (INTERNET, 80, False),
        (API_SERVER, 443, False),
        (End(address="172.20.0.1"), 443, False),
        (End(address="100.64.3.4"), 443, False),
        (IMDS, 443, False),
        (IMDS, 80, False),
        (End(address="fd00:ec2::254"), 80, False),
        (End(address="fd00:ec2::254"), 443, False),
        (POD_IDENTITY, 80, False),
        (APP, 443, False),
        (ENGINE, 8000, False),
    ],
)
def test_fillers_reach_the_hub_alone(receiver: End, port: int, allowed: bool) -> None:
    assert may(OPEN, FILLER, receiver, port) is allowed


def test_a_port_of_the_plan_is_the_port_that_is_open() -> None:
    plan = make_plan(workloads=(make_workload(port=9000),))
    assert may(plan, APP, ENGINE, 9000)
    assert not may(plan, APP, ENGINE, 8000)


@pytest.mark.parametrize(
    ("callers", "sender", "allowed"),
    [
        ((), OTHER_APP, False),
        ((), replace(OTHER_APP, labels={CALLS: "demo"}), True),
        ((), replace(OTHER_APP, labels={CALLS: "another-stack"}), False),
        (("web",), APP, False),
        (("web",), replace(APP, labels={CALLS: "demo"}), True),
        (("web",), replace(OTHER_APP, labels={CALLS: "demo"}), False),
        (("web",), PROMETHEUS, True),
    ],
)
def test_callers_that_need_the_label_carry_it_in_the_namespaces_of_callers(
    callers: tuple[str, ...], sender: End, allowed: bool
) -> None:
    plan = make_plan(security=make_security(callers=callers, callers_need_label=True))
    assert may(plan, sender, ENGINE, 8000) is allowed


def test_the_label_is_written_as_it_is_told_to_callers() -> None:
    plan = make_plan(security=make_security(callers_need_label=True))
    policies = of_kind(plan, "NetworkPolicy").values()
    asked = [
        peer["podSelector"]
        for policy in policies
        for rule in policy["spec"].get("ingress", [])
        for peer in rule["from"]
        if "namespaceSelector" in peer and "podSelector" in peer
    ]
    assert {"matchLabels": {CALLS: "demo"}} in asked
    assert {endpoint.caller_label for endpoint in endpoints(plan)} == {f"{CALLS}=demo"}


def test_a_stack_that_leaves_the_network_alone_has_no_policies() -> None:
    assert of_kind(make_plan(security=make_security(network_policies=False)), "NetworkPolicy") == {}


def test_a_stack_without_fillers_opens_nothing_for_them() -> None:
    policies = of_kind(make_plan(node_pools=(make_pool(filler=None),)), "NetworkPolicy")
    assert set(policies) == {"default-deny", "allow-dns", "engine-support"}


ROUTER = End("demo", {COMPONENT: "router"})
PICKER = End("demo", {COMPONENT: "endpoint-picker", "agentgpu.dev/agent": "support"})
ROUTED, GATED = make_routed_plan(), make_gateway_plan()


@pytest.mark.broad(every=5)
@pytest.mark.parametrize(
    ("plan", "sender", "receiver", "port", "allowed"),
    [
        (ROUTED, APP, ROUTER, 10_000, True),
        (ROUTED, APP, ROUTER, 10_001, True),
        (ROUTED, APP, ROUTER, 8081, False),
        (ROUTED, APP, ENGINE, 8000, False),
        (ROUTED, ROUTER, ENGINE, 8000, True),
        (ROUTED, PROMETHEUS, ENGINE, 8000, True),
        (ROUTED, ROUTER, INTERNET, 443, False),
        (ROUTED, ENGINE, ROUTER, 10_000, False),
        (GATED, End("gateways"), PICKER, 9002, True),
        (GATED, End("gateways"), ENGINE, 8000, True),
        (GATED, APP, PICKER, 9002, False),
        (GATED, PICKER, ENGINE, 8000, True),
        (GATED, PICKER, API_SERVER, 443, True),
        (GATED, PICKER, API_SERVER, 6443, True),
        (GATED, PICKER, IMDS, 443, False),
        (GATED, PICKER, INTERNET, 80, False),
        (GATED, PROMETHEUS, PICKER, 9090, True),
        (OPEN, ROUTER, ENGINE, 8000, False),
    ],
)
def test_what_stands_before_the_engines_is_asked_by_callers_and_asks_engines(
    plan: p.Plan, sender: End, receiver: End, port: int, allowed: bool
) -> None:
    assert may(plan, sender, receiver, port) is allowed


def test_pods_of_one_replica_reach_one_another_and_no_others() -> None:
    engine = make_workload().engine.model_copy(update={"worker_args": ("--headless",)})
    big = make_workload(nodes_per_replica=2, engine=engine)
    other = make_workload(agent="other", name="other", served_model_name="other")
    plan = make_plan(workloads=(big, other))
    worker = End("demo", {COMPONENT: "engine-worker", "agentgpu.dev/agent": "support"})
    stranger = End("demo", {COMPONENT: "engine", "agentgpu.dev/agent": "other"})
    for port in (29_501, 41_234):
        assert may(plan, ENGINE, worker, port)
        assert may(plan, worker, ENGINE, port)
        assert may(plan, worker, worker, port)
        assert not may(plan, stranger, worker, port)
        assert not may(plan, worker, stranger, port)
        assert not may(plan, APP, worker, port)
    assert not may(plan, APP, worker, 8000)


def test_the_components_in_the_policies_are_those_of_the_pods() -> None:
    made = tree(OPEN)
    components = {
        body["spec"]["template"]["metadata"]["labels"][COMPONENT]
        for body in made.values()
        if body["kind"] in ("Deployment", "DaemonSet")
    }
    selected = {
        body["spec"]["podSelector"].get("matchLabels", {}).get(COMPONENT)
        for body in made.values()
        if body["kind"] == "NetworkPolicy"
    }
    assert components == selected - {None}
