"""Which agents get a router, and the limits that it keeps."""

from __future__ import annotations

import re
from typing import Any

import pytest

from agentgpu_iac.plan import Plan, RoutePlan, RouterPlan
from agentgpu_iac.plan.addresses import base_url
from agentgpu_iac.planning.running.routing import CONNECT_TIMEOUT_MS
from tests.planning.scenes import codes, make_agent, plan, workload

CROWD = make_agent("crowd", sessions={"concurrent": 400}, conversation={"thinkTimeS": 0})
"""All of them ask at once, which takes several replicas."""
ALONE = make_agent("alone", sessions={"concurrent": 1})
GATEWAY = {"router": "gateway", "gateway": {"name": "agents", "namespace": "gateways"}}
NAMED = {"router": "gateway", "gateway": {"name": "agents", "namespace": "gateways", "hostname": "agents.example.org"}}


def router(found: Plan) -> RouterPlan:
    assert found.router is not None
    return found.router


def route(found: Plan, agent: str = "crowd") -> RoutePlan:
    (made,) = (one for one in router(found).routes if one.agent == agent)
    return made


def replicas(found: Plan, agent: str) -> int:
    return sum(one.replicas.max for one in found.workloads if one.agent == agent)


def test_agents_with_several_replicas_are_behind_nginx() -> None:
    found = plan(CROWD, ALONE)
    assert (replicas(found, "alone"), replicas(found, "crowd") > 1) == (1, True)
    assert router(found).kind == "nginx"
    assert [one.agent for one in router(found).routes] == ["crowd"]
    assert router(found).image == "example/nginx:1.30.4"
    assert "router-needed" not in codes(found)


def test_lone_replicas_need_no_router() -> None:
    assert plan(ALONE).router is None


def test_an_api_key_puts_nginx_before_every_agent_since_engines_leave_paths_open() -> None:
    key = {"apiKeySecret": "front-door"}
    found = plan(ALONE, security=key)
    assert [one.agent for one in router(found).routes] == ["alone"]
    assert "key-not-everywhere" not in codes(found)
    for network in ({"router": "none"}, GATEWAY):
        assert "key-not-everywhere" in codes(plan(ALONE, security=key, network=network))
    assert "key-not-everywhere" not in codes(plan(ALONE, network={"router": "none"}))


@pytest.mark.parametrize(
    ("network", "agents"), [({"router": "nginx"}, ["crowd", "alone"]), (GATEWAY, ["crowd", "alone"])]
)
def test_a_router_that_is_asked_for_has_every_agent(network: dict[str, Any], agents: list[str]) -> None:
    found = plan(CROWD, ALONE, network=network)
    assert [one.agent for one in router(found).routes] == agents
    assert ("gateway-address" in codes(found)) == (network is GATEWAY)


def test_a_gateway_with_a_name_is_the_address_of_its_agents() -> None:
    found = plan(CROWD, network=NAMED)
    assert "gateway-address" not in codes(found)
    assert base_url(found, "crowd") == f"https://agents.example.org/{found.stack}/crowd/v1"
    plain = plan(CROWD, network=GATEWAY)
    assert base_url(plain, "crowd") == f"http://crowd.{plain.stack}.svc.cluster.local:8000/v1"


def test_without_a_router_the_plan_says_what_it_counts_on() -> None:
    found = plan(CROWD, network={"router": "none", "sessionHeader": "x-conversation"})
    assert found.router is None
    (warning,) = (one.message for one in found.warnings if one.code == "router-needed")
    assert "x-conversation" in warning
    assert f"falls to about {1 / replicas(found, 'crowd'):.2f}" in warning
    assert "router-needed" not in codes(plan(CROWD, network={"router": "none", "routing": "round-robin"}))


def test_a_router_lets_through_what_the_replicas_take() -> None:
    found = plan(CROWD)
    one = workload(found, "crowd")
    assert one.admission.max_queued_requests is not None
    assert one.admission.max_queued_requests >= one.generating.most
    assert route(found).max_connections == replicas(found, "crowd") * one.admission.max_queued_requests
    assert router(found).worker_connections > 2 * replicas(found, "crowd") * one.admission.max_queued_requests


def test_engines_without_a_limit_get_none_from_the_router() -> None:
    busy = make_agent("crowd", latencyClass="background", overrides={"baselineReplicas": 3})
    assert route(plan(busy)).max_connections is None


def test_a_request_is_retried_within_the_budget_and_read_for_the_longest_answer() -> None:
    found = plan(CROWD)
    one = workload(found, "crowd")
    assert route(found).retry_window_ms == CONNECT_TIMEOUT_MS + 500
    assert route(found).retry_window_ms < 1000 * route(found).answer_timeout_s
    assert route(found).answer_timeout_s >= one.max_model_len * 50 / 1000
    assert 1 < route(found).max_tries <= min(3, replicas(found, "crowd"))


def test_routers_grow_with_the_tokens_that_pass_them() -> None:
    small = router(plan(CROWD))
    large = router(plan({**CROWD, "sessions": {"concurrent": 100_000}}))
    assert small.replicas == 2
    assert large.replicas * large.cpu_milli > small.replicas * small.cpu_milli
    assert large.memory_mib > small.memory_mib
    assert large.cpu_milli <= 4_000


def test_the_router_image_is_pinned_or_the_plan_says_so() -> None:
    image = "example/nginx@sha256:" + "0" * 64
    pinned = plan(CROWD, pins={"routerImage": image})
    assert router(pinned).image == image
    told = [one.message for one in plan(CROWD).warnings if "pins.routerImage" in one.message]
    assert told == ["image example/nginx:1.30.4 is named by tag; pin its digest with pins.routerImage"]
    assert not [one for one in pinned.warnings if "pins.routerImage" in one.message]


def test_both_admission_limits_take_the_same_burst() -> None:
    """The engine counts whole prompts until their first token: as many planned ones as requests may be in flight."""
    one = workload(plan(CROWD), "crowd")
    requests, tokens = one.admission.max_queued_requests, one.admission.max_queued_tokens
    assert requests is not None
    assert tokens is not None
    assert (requests - 1) * one.memory.context_tokens < tokens <= requests * one.memory.context_tokens
    args = " ".join(one.engine.args)
    assert re.findall(r"--max-num-queued-(\w+) (\d+)", args) == [("reqs", str(requests)), ("tokens", str(tokens))]


def test_older_engines_have_no_admission_limits() -> None:
    args = workload(plan({**CROWD, "engineVersion": "0.19.0"}), "crowd").engine.args
    assert not [word for word in args if word.startswith("--max-num-queued")]


class TestGateway:
    """Behind a Gateway nobody asks a second engine: engines refuse nothing, and the picker holds what must wait."""

    @pytest.fixture(scope="class")
    @classmethod
    def found(cls) -> Plan:
        agent = make_agent(
            sessions={"concurrent": 10}, traffic={"burstFactor": 20.0, "rampS": 3600.0}, ttftMs=4_000.0, name="crowd"
        )
        return plan(agent, network=GATEWAY)

    def test_engines_have_no_limit_of_their_own(self, found: Plan) -> None:
        for one in found.workloads:
            assert one.admission.max_queued_requests is None
            assert not [word for word in one.engine.args if word.startswith("--max-num-queued")]

    def test_the_picker_holds_requests_for_as_long_as_the_budget(self, found: Plan) -> None:
        flow, one = route(found).flow_control, found.workloads[0]
        assert flow is not None
        assert one.waiting_room
        assert flow.queue_depth == one.waiting_room
        assert flow.queue_s == 4
        assert flow.kv_cache_ratio >= min(0.98, one.memory.planned_kv_ratio - 0.01)
        assert 2 * flow.max_mib <= router(found).memory_mib

    def test_what_it_holds_is_what_a_burst_is_scaled_on(self, found: Plan) -> None:
        (scaling,) = [one.scaling for one in found.workloads if one.scaling is not None]
        assert scaling.counts_refused == "queue"
        assert "llm_d_epp_flow_control_queue_size" in scaling.triggers[0].query

    def test_nginx_holds_nothing(self) -> None:
        agent = make_agent(sessions={"concurrent": 10}, traffic={"burstFactor": 20.0, "rampS": 3600.0})
        routed = plan(agent)
        assert routed.router is not None
        assert all(each.flow_control is None for each in routed.router.routes)
