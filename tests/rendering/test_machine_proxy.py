"""LiteLLM on a virtual machine: what leads to it, what it knows, where its keys are, and what several machines cannot do."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml

from agentgpu_iac import plan as p
from agentgpu_iac.errors import BadInput, Infeasible
from agentgpu_iac.plan.endpoints import endpoints
from agentgpu_iac.plan.names import PROXY_NAME
from agentgpu_iac.planning.running.proxying import LOOPBACK_PORT, PROXY_PORT
from agentgpu_iac.rendering.validate_hosts import machine_faults
from tests.planning.scenes import codes, make_agent, plan
from tests.rendered import rendered_once

TEAMS = [{"name": "desk", "keySecret": "desk-key", "agents": ["planner"], "requestsPerMinute": 60}]
PAID = {
    "apiModel": "openai/gpt-5-mini",
    "keySecret": "seller-key",
    "usdPerDay": 20,
    "usdPerMillionInput": 1,
    "usdPerMillionOutput": 4,
}
REDIS = {"redisSecret": "redis"}
KEY = {"security": {"apiKeySecret": "stack-key"}}
CALLERS = {"hosts": {"callerRanges": ["10.0.0.0/8"]}}


def agents(**of_each: Any) -> tuple[dict[str, Any], ...]:
    planner = make_agent("planner", sessions={"concurrent": 4}, fallback="coder", paidFallback=PAID, **of_each)
    return planner, make_agent("coder", isolation="dedicated", **of_each)


TINY = {"model": "test/tiny", "latencyClass": "background"}
"""Several of them stay on one card."""


def on_machines(*of: dict[str, Any], **spec: Any) -> p.Plan:
    return plan(*of, **{"target": "compose", **KEY, **CALLERS, **spec})


@pytest.fixture(scope="module")
def office() -> p.Plan:
    """On one machine."""
    found = on_machines(*agents(**TINY), teams=TEAMS, proxy=REDIS, capacity={"spot": "never"})
    assert [pool.max for pool in found.node_pools] == [1]
    return found


@pytest.fixture(scope="module")
def apart() -> p.Plan:
    """Each agent on a machine of its own."""
    found = on_machines(*agents(), teams=TEAMS, proxy=REDIS)
    assert len(found.hosts) == 2
    return found


def files(found: p.Plan, host: p.HostPlan) -> dict[str, str]:
    start = f"hosts/{host.node_pool}/"
    every = {file.path: file.content.decode() for file in rendered_once(found)}
    return {path.removeprefix(start): text for path, text in every.items() if path.startswith(start)}


def proxied(found: p.Plan) -> list[tuple[p.HostPlan, p.HostProxyPlan]]:
    pairs = [(host, host.proxy) for host in found.hosts if host.proxy is not None]
    assert pairs
    return pairs


def test_callers_reach_the_agents_through_the_proxy_alone(office: p.Plan) -> None:
    for host, proxy in proxied(office):
        assert {route.agent for route in proxy.routes} == {route.agent for route in host.routes}
        nginx, firewall = (files(office, host)[name] for name in ("nginx.conf", "firewall.nft"))
        outside = [line.split()[1] for line in nginx.splitlines() if line.strip().startswith("listen 0.0.0.0")]
        assert outside == [f"0.0.0.0:{PROXY_PORT}"]
        assert f"server 127.0.0.1:{LOOPBACK_PORT} max_fails=0;" in nginx
        assert all(f"listen 127.0.0.1:{route.port} backlog" in nginx for route in host.routes)
        assert f"ip saddr 10.0.0.0/8 tcp dport {{ {PROXY_PORT} }} accept" in firewall


def test_it_asks_each_agent_at_nginx_on_the_loopback_and_knows_the_seats_of_the_machine(office: p.Plan) -> None:
    tiers = {workload.name: workload for workload in office.workloads}
    for host, proxy in proxied(office):
        config = yaml.safe_load(files(office, host)[f"{PROXY_NAME}/config.yaml"])
        ports = {route.agent: route.port for route in host.routes}
        for route, told in zip(proxy.routes, config["model_list"], strict=False):
            assert told["litellm_params"]["api_base"] == f"http://127.0.0.1:{ports[route.agent]}/v1"
            seats = sum(
                tiers[engine.workload].max_num_seqs
                for engine in host.engines
                if route.agent in tiers[engine.workload].served
            )
            assert not route.fallbacks or told["litellm_params"]["max_parallel_requests"] == seats


def test_its_container_is_bounded_pinned_watched_and_reads_no_secret_from_a_file(office: p.Plan) -> None:
    assert office.proxy is not None
    for host, _ in proxied(office):
        tree = files(office, host)
        service = yaml.safe_load(tree["docker-compose.yaml"])["services"][PROXY_NAME]
        assert service["image"] == office.proxy.image
        assert service["mem_limit"] == f"{office.proxy.memory_mib + 256}m"
        assert service["cpus"] == 1
        assert service["user"] == "65534:65534" and service["read_only"] and service["cap_drop"] == ["ALL"]
        assert f"http://127.0.0.1:{LOOPBACK_PORT}/health/liveliness" in service["healthcheck"]["test"][-1]
        assert {mount["source"] for mount in service["volumes"]} == {
            f"./{PROXY_NAME}/{name}" for name in ("config.yaml", "teams.json", "team_keys.py")
        }
        variables = {secret.variable for secret in host.secrets}
        asked = {text[2:].split(":")[0] for text in service["environment"].values() if text.startswith("${")}
        assert asked <= variables
        assert {"TEAM_KEY_1", "PAID_KEY_1", "REDIS_URL"} <= asked
        named = [(secret.secret, secret.key) for secret in host.secrets]
        assert len(named) == len(set(named)), "a secret is asked for once"


def test_a_change_of_what_it_reads_starts_it_anew(office: p.Plan) -> None:
    assert office.proxy is not None
    team = office.proxy.teams[0].model_copy(update={"requests_per_minute": 61})
    other = office.model_copy(update={"proxy": office.proxy.model_copy(update={"teams": (team,)})})

    def digest(found: p.Plan) -> str:
        ((host, _),) = proxied(found)
        services = yaml.safe_load(files(found, host)["docker-compose.yaml"])["services"]
        return str(services[PROXY_NAME]["labels"]["agentgpu.dev/content-sha256"])

    assert digest(office) != digest(other)


def test_its_files_are_whole(office: p.Plan) -> None:
    assert machine_faults(rendered_once(office)) == ()
    for host, _ in proxied(office):
        known = json.loads(files(office, host)[f"{PROXY_NAME}/teams.json"])
        assert [team["name"] for team in known["teams"]] == ["desk"]


def test_callers_are_told_its_port_and_no_fallback_that_it_asks_itself(office: p.Plan) -> None:
    found = {endpoint.agent: endpoint for endpoint in endpoints(office)}
    assert found["planner"].base_url == f"https://ADDRESS:{PROXY_PORT}/v1"
    assert found["planner"].model == "planner"
    assert found["planner"].fallback is None
    assert found["planner"].team_key_secrets == {"desk": "desk-key"}


def test_limits_that_each_of_several_machines_would_allow_in_full_are_refused() -> None:
    many = make_agent("planner", sessions={"concurrent": 600})
    team = [{"name": "desk", "keySecret": "desk-key", "requestsPerMinute": 60}]
    with pytest.raises(Infeasible, match=r"machines has a LiteLLM of its own.*proxy\.redisSecret"):
        on_machines(many, teams=team)
    found = on_machines(many, teams=team, proxy=REDIS)
    assert found.proxy is not None and found.proxy.replicas == sum(pool.max for pool in found.node_pools) > 1


def test_a_fallback_on_another_machine_is_left_to_callers(office: p.Plan, apart: p.Plan) -> None:
    """The proxy of a machine knows no address of another."""
    assert "fallback-elsewhere" in codes(apart, "planner")
    (found,) = (each for each in endpoints(apart) if each.agent == "planner")
    assert found.fallback == "coder"
    asked = {route.agent: route.fallbacks for _, proxy in proxied(apart) for route in proxy.routes}
    assert asked == {"planner": ("planner-paid",), "coder": ()}
    assert {proxy.routes[0].agent: len(proxy.paid) for _, proxy in proxied(apart)} == {"planner": 1, "coder": 0}
    assert "fallback-elsewhere" not in codes(office, "planner")


@pytest.mark.parametrize(("target", "why"), [("spheron", "past every team's key"), ("skyserve", "only once they run")])
def test_where_it_cannot_stand_the_refusal_says_why_and_what_to_do(target: str, why: str) -> None:
    with pytest.raises(BadInput) as refused:
        on_machines(*agents(), teams=TEAMS, target=target)
    (fault,) = (each for each in refused.value.faults if each.path == "spec.teams")
    assert why in fault.message
    assert "target: eks, kubernetes or compose" in fault.hint
