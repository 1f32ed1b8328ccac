"""The proxy in front: whom it asks, how long it waits, what a cap leaves, and what is said of it."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
import yaml

from agentgpu_iac.errors import Infeasible
from agentgpu_iac.plan import Plan
from agentgpu_iac.plan.endpoints import endpoints
from agentgpu_iac.planning.running.proxying import has_proxy
from agentgpu_iac.rendering.render import render
from tests.planning.scenes import codes, load, make_agent, plan, workload

PAID = {
    "apiModel": "openai/gpt-5-mini",
    "keySecret": "seller-key",
    "usdPerDay": 20,
    "usdPerMillionInput": 1,
    "usdPerMillionOutput": 4,
}
TEAMS = [
    {"name": "desk", "keySecret": "desk-key", "agents": ["planner"], "requestsPerMinute": 60, "usdPerDay": 5},
    {"name": "lab", "keySecret": "lab-key", "tokensPerMinute": 1000},
]


def agents(**of_planner: Any) -> list[dict[str, Any]]:
    few, all_day = {"concurrent": 4}, {"conversationsPerDay": 400}
    return [
        make_agent(
            "planner", sessions=few, traffic=all_day, **{"fallback": "coder", "paidFallback": PAID, **of_planner}
        ),
        make_agent("coder", fallback="clerk", isolation="dedicated"),
        make_agent("clerk", isolation="dedicated"),
    ]


def planned(*of: dict[str, Any], **spec: Any) -> Plan:
    return plan(*(of or agents()), **{"target": "kubernetes", "proxy": {"redisSecret": "redis"}, **spec})


@pytest.fixture(scope="module")
def office() -> Plan:
    return planned(teams=TEAMS)


def test_fallbacks_follow_one_another_and_what_is_paid_comes_last(office: Plan) -> None:
    assert office.proxy is not None
    assert {route.model: route.fallbacks for route in office.proxy.routes} == {
        "planner": ("coder", "clerk", "planner-paid"),
        "coder": ("clerk",),
        "clerk": (),
    }


def test_an_agent_with_a_fallback_lets_its_seats_fill_and_no_queue(office: Plan) -> None:
    assert office.proxy is not None
    first = workload(office, "planner")
    assert office.proxy.routes[0].max_parallel_requests == first.replicas.max * first.max_num_seqs
    assert office.proxy.routes[-1].max_parallel_requests != first.replicas.max * first.max_num_seqs


def test_a_first_token_may_take_what_is_still_well(office: Plan) -> None:
    """The budget, within which the router tries others, and then the slow side of the slowest prompt."""
    assert office.proxy is not None
    latency = workload(office, "planner").latency
    assert latency.budget_ttft_ms is not None and latency.uncached_ttft_ms is not None
    assert latency.ttft_at_percentile_ms is not None and latency.ttft_error_ratio is not None
    slowest = max(latency.uncached_ttft_ms, latency.ttft_at_percentile_ms) * (1 + latency.ttft_error_ratio)
    waits_ms = office.proxy.routes[0].first_token_timeout_s * 1000
    assert latency.budget_ttft_ms + slowest < waits_ms <= max(2000, latency.budget_ttft_ms + slowest + 2001)


@pytest.mark.parametrize("cap", [0.2, 1, 20, 100_000])
def test_what_may_be_under_way_is_set_aside_from_the_cap(cap: float) -> None:
    found = planned(*agents(paidFallback={**PAID, "usdPerDay": cap})).proxy
    assert found is not None
    (paid,) = found.paid
    under_way = paid.dearest_request_usd * paid.max_parallel_requests * found.replicas
    assert paid.dearest_request_usd == Decimal(5) * paid.max_tokens / 1_000_000
    assert Decimal(0) < paid.budget_usd <= paid.cap_usd - under_way
    assert under_way <= paid.cap_usd / 2


def test_a_cap_that_pays_for_no_request_is_refused_with_one_that_does() -> None:
    with pytest.raises(Infeasible, match=r"planner.*USD 0\.01 a day, is too small") as refused:
        planned(*agents(paidFallback={**PAID, "usdPerDay": 0.01}))
    enough = float(str(refused.value).split("; USD ")[1].split(" would")[0])
    assert planned(*agents(paidFallback={**PAID, "usdPerDay": enough})).proxy is not None


def test_callers_are_led_to_the_proxy_by_the_name_of_the_agent(office: Plan) -> None:
    found = {endpoint.agent: endpoint for endpoint in endpoints(office)}
    address = f"http://model-proxy.{office.stack}.svc.cluster.local:4000/v1"
    assert {each.base_url for each in found.values()} == {address}
    assert found["planner"].model == "planner"
    assert found["planner"].fallback is None
    assert found["planner"].team_key_secrets == {"desk": "desk-key", "lab": "lab-key"}
    assert found["coder"].team_key_secrets == {"lab": "lab-key"}


def test_only_names_of_secrets_are_rendered(office: Plan) -> None:
    objects = {file.path: yaml.safe_load(file.content) for file in render(office) if file.path.startswith("base/")}
    (container,) = objects["base/deployment-model-proxy.yaml"]["spec"]["template"]["spec"]["containers"]
    read = {each["name"]: each["valueFrom"]["secretKeyRef"] for each in container["env"] if "valueFrom" in each}
    assert read == {
        "TEAM_KEY_1": {"name": "desk-key", "key": "key"},
        "TEAM_KEY_2": {"name": "lab-key", "key": "key"},
        "PAID_KEY_1": {"name": "seller-key", "key": "key"},
        "REDIS_URL": {"name": "redis", "key": "url"},
    }
    assert {secret.name for secret in office.security.secrets} == {"desk-key", "lab-key", "seller-key", "redis"}


@pytest.mark.parametrize("apart", [True, False])
def test_callers_pass_by_the_proxy_only_where_it_tells_nobody_apart(apart: bool, office: Plan) -> None:
    found = office if apart else planned()
    objects = {file.path: yaml.safe_load(file.content) for file in render(found) if file.path.startswith("base/")}
    policies = [
        each["spec"]["ingress"]
        for path, each in objects.items()
        if path.startswith(("base/networkpolicy-engine-", "base/networkpolicy-router"))
    ]
    assert policies
    peers = [peer for rules in policies for rule in rules for peer in rule["from"]]
    assert {"podSelector": {"matchLabels": {"app.kubernetes.io/component": "model-proxy"}}} in peers
    everybody = [
        peer
        for peer in peers
        if "Exists" in [each["operator"] for each in peer.get("namespaceSelector", {}).get("matchExpressions", ())]
    ]
    assert bool(everybody) is not apart


def test_what_an_outage_brings_to_a_fallback_is_said_and_not_planned(office: Plan) -> None:
    (said,) = (each for each in office.warnings if each.code == "fallback-demand" and each.agent == "planner")
    coder = workload(office, "coder")
    assert f"{coder.replicas.max * coder.max_num_seqs} seats" in said.message
    roomy = planned(*(agents()[0], make_agent("coder", isolation="dedicated", sessions={"concurrent": 1, "peak": 64})))
    assert "fallback-demand" in codes(office, "planner")
    seats = sum(each.replicas.max * each.max_num_seqs for each in roomy.workloads if each.agent == "coder")
    assert ("fallback-demand" in codes(roomy, "planner")) is (seats < 64 + 4)


def test_one_proxy_is_said_to_be_alone_and_a_redis_lets_more_run(office: Plan) -> None:
    lone = planned(make_agent(), proxy={}, teams=[{"name": "desk", "keySecret": "k", "usdPerDay": 5}])
    assert lone.proxy is not None and lone.proxy.replicas == 1
    assert {"proxy-alone", "budget-not-counted"} <= codes(lone)
    assert office.proxy is not None and office.proxy.replicas >= 2
    assert "proxy-alone" not in codes(office)


def test_where_nothing_is_counted_several_run_without_a_redis() -> None:
    found = plan(make_agent("coder", fallback="chat"), make_agent("chat"))
    assert found.proxy is not None and found.proxy.redis_secret is None
    assert found.proxy.replicas >= 2
    assert not {"proxy-alone", "budget-not-counted"} & codes(found)
    (file,) = (file for file in render(found) if file.path == "base/deployment-model-proxy.yaml")
    assert yaml.safe_load(file.content)["spec"]["strategy"]["type"] == "RollingUpdate"


def test_there_is_none_where_nobody_needs_it_or_it_is_not_wanted() -> None:
    assert not has_proxy(load(make_agent(), target="kubernetes").stack.spec)
    pair = (make_agent("one", fallback="two"), make_agent("two"))
    assert has_proxy(load(*pair, target="kubernetes").stack.spec)
    assert not has_proxy(load(*pair, target="kubernetes", proxy={"use": "none"}).stack.spec)
    assert not has_proxy(load(*pair, target="skyserve").stack.spec)
