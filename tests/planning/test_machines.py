"""What each virtual machine of a pool runs."""

from __future__ import annotations

from typing import Any

import pytest

from agentgpu_iac import plan as p
from agentgpu_iac.catalog.store import load_catalog
from agentgpu_iac.errors import Infeasible
from agentgpu_iac.planning.planner import make_plan as planned
from agentgpu_iac.planning.running.machines import host_plans
from agentgpu_iac.spec.loader import load_text
from agentgpu_iac.spec.model import Agent, Hosts, StackSpec
from tests.plans import make_machines_plan, make_pool, make_route, make_router, make_workload

CATALOG = load_catalog()


def spec(target: Any = "compose", **hosts: Any) -> StackSpec:
    return StackSpec(target=target, hosts=Hosts(**hosts), agents=(Agent(name="support", model="Qwen/Qwen3-8B"),))


def hosts(pool: p.NodePool, *workloads: p.Workload) -> tuple[p.HostPlan, ...]:
    here = tuple(one.model_copy(update={"node_pool": pool.name}) for one in workloads)
    routes = tuple(make_route(agent=one.agent, port=10_000 + number) for number, one in enumerate(here))
    return host_plans(spec(), CATALOG, here, (pool,), make_router(routes=routes))


def workload(name: str, replicas: int, accelerators: int = 1, **changes: Any) -> p.Workload:
    counts = p.ReplicaRange(min=replicas, max=replicas)
    return make_workload(agent=name, name=name, replicas=counts, accelerators_per_replica=accelerators, **changes)


def test_replicas_get_accelerators_and_ports_of_their_own() -> None:
    (host,) = hosts(make_pool(accelerators_per_node=4), workload("wide", 1, 2), workload("narrow", 2))
    assert [(one.name, one.accelerators, one.port) for one in host.engines] == [
        ("wide-1", (0, 1), 20_000),
        ("narrow-1", (2,), 20_001),
        ("narrow-2", (3,), 20_002),
    ]


@pytest.mark.parametrize("target", ["eks", "kubernetes", "compose"])
def test_an_engine_is_given_as_long_to_start_as_the_plan_says_that_it_may_take(target: str) -> None:
    stack = f"""
apiVersion: agentgpu.dev/v1alpha1
kind: AgentStack
metadata: {{name: slow}}
spec:
  target: {target}
  agents: [{{name: support, model: Qwen/Qwen3-14B}}]
"""
    (one,) = planned(load_text(stack, "slow.yaml"), CATALOG).workloads
    longest_s = one.cold_start_s.warm_node_total * (1 + one.cold_start_s.error_ratio)
    assert one.probes.startup_period_s * one.probes.startup_failure_threshold >= longest_s


@pytest.mark.parametrize(("target", "told"), [("kubernetes", True), ("compose", False)])
def test_a_machine_is_not_refused_for_a_reason_of_clusters(target: str, told: bool) -> None:
    stack = f"""
apiVersion: agentgpu.dev/v1alpha1
kind: AgentStack
metadata: {{name: two}}
spec:
  target: {target}
  agents: [{{name: front, model: Qwen/Qwen3-0.6B}}, {{name: support, model: Qwen/Qwen3-8B}}]
"""
    found = planned(load_text(stack, "two.yaml"), CATALOG).rejections
    messages = [one.message for one in found if one.constraint == "sharing"]
    assert messages
    assert {"the device plugin" in message for message in messages} == {told}


@pytest.mark.parametrize("target", ["compose", "kubernetes"])
def test_agents_that_fill_machines_have_machines_of_their_own(target: str) -> None:
    """Two that share nothing, each on a machine with one accelerator."""
    stack = f"""
apiVersion: agentgpu.dev/v1alpha1
kind: AgentStack
metadata: {{name: two}}
spec:
  target: {target}
  capacity: {{shareAccelerators: never}}
  accelerators: {{allow: [rtx-5090]}}
  agents: [{{name: front, model: Qwen/Qwen3-0.6B}}, {{name: support, model: Qwen/Qwen3-8B}}]
"""
    plan = planned(load_text(stack, "two.yaml"), CATALOG)
    assert sum(pool.max for pool in plan.node_pools) == 2
    assert [[one.name for one in host.engines] for host in plan.hosts] == (
        [["front-1"], ["support-1"]] if target == "compose" else []
    )
    assert len(plan.node_pools) == (2 if target == "compose" else 1)
    assert all(pool.name.startswith("two-baseline-") for pool in plan.node_pools)


def test_replicas_are_spread_evenly_since_machines_are_alike() -> None:
    (host,) = hosts(make_pool(accelerators_per_node=2, max=3), workload("support", 5))
    assert [one.name for one in host.engines] == ["support-1", "support-2"]


def test_engines_of_a_share_group_use_one_accelerator() -> None:
    pool = make_pool(sharing="time-slicing", slots_per_accelerator=2, fixed_size=True)
    (host,) = hosts(pool, workload("router", 1, share_group="g"), workload("support", 1, share_group="g"))
    assert [one.accelerators for one in host.engines] == [(0,), (0,)]


def test_machines_that_cannot_be_alike_are_refused() -> None:
    with pytest.raises(Infeasible, match=r"cannot be alike: 3 accelerators for 1 x wide, 1 x narrow on a machine of 2"):
        hosts(make_pool(accelerators_per_node=2, max=2), workload("wide", 1, 2), workload("narrow", 2))


def test_a_route_has_the_limits_of_the_machine_s_own_engines() -> None:
    admission = p.AdmissionPlan(max_queued_requests=8, max_queued_tokens=4000)
    (host,) = hosts(make_pool(accelerators_per_node=2), workload("support", 2, admission=admission))
    (route,) = host.routes
    assert (route.max_connections, route.max_tries, route.port) == (16, 2, 10_000)
    unlimited = p.AdmissionPlan(max_queued_requests=None, max_queued_tokens=None)
    (host,) = hosts(make_pool(), workload("support", 1, admission=unlimited))
    assert (host.routes[0].max_connections, host.routes[0].max_tries) == (None, 1)


@pytest.mark.parametrize(
    ("callers", "listen", "tls"),
    [
        ((), ("127.0.0.1",), False),
        (("10.0.0.0/8",), ("0.0.0.0",), True),
        (("2001:db8::/32",), ("0.0.0.0", "[::]"), True),
    ],
)
def test_who_may_call_decides_where_nginx_listens(callers: tuple[str, ...], listen: tuple[str, ...], tls: bool) -> None:
    host = make_machines_plan(callers=callers).hosts[0]
    assert (host.listen, host.tls) == (listen, tls)


def test_targets_with_a_cluster_have_no_machines() -> None:
    assert host_plans(spec("kubernetes"), CATALOG, (make_workload(),), (make_pool(),), make_router()) == ()


def test_ollama_is_for_the_target_whose_machine_may_be_a_developer_s() -> None:
    assert make_machines_plan("compose").hosts[0].ollama is not None
    assert make_machines_plan("spheron").hosts[0].ollama is None


STACK = """\
apiVersion: agentgpu.dev/v1alpha1
kind: AgentStack
metadata: {{name: desk}}
spec:
  target: {target}
  accelerators: {{allow: [l40s]}}
  modelCache: {{tokenSecret: hub}}
  security: {{apiKeySecret: callers}}
  hosts: {hosts}
  agents:
    - name: support
      model: Qwen/Qwen3-8B
      sessions: {{concurrent: 10}}
"""


def plan_of(target: str, hosts: str = "{}") -> p.Plan:
    return planned(load_text(STACK.format(target=target, hosts=hosts), "stack.yaml"), CATALOG)


@pytest.mark.parametrize("target", ["compose", "spheron"])
def test_a_planned_stack_has_what_its_machines_run(target: str) -> None:
    plan = plan_of(target, "{callerRanges: [10.0.0.0/8]}")
    assert [one.node_pool for one in plan.hosts] == [pool.name for pool in plan.node_pools]
    assert {one.cache_path for one in plan.node_pools} == {"/var/lib/agentgpu/models"}
    assert plan.router is not None
    assert plan.router.replicas == 1
    secrets = {one.variable: one.secret for one in plan.hosts[0].secrets}
    assert secrets == {"VLLM_API_KEY": "callers", "MODEL_TOKEN_1": "hub"}


def test_the_plan_says_what_machines_leave_open() -> None:
    codes = {one.code for one in plan_of("compose").warnings}
    assert {"callers-on-the-machine", "nobody-logs-in"} <= codes
    open_to = "{callerRanges: [10.0.0.0/8], adminRanges: [10.0.0.0/8]}"
    named = plan_of("compose", open_to)
    assert {"callers-on-the-machine", "nobody-logs-in", "callers-not-asked"}.isdisjoint(
        one.code for one in named.warnings
    )
    assert "several-machines" not in {one.code for one in plan_of("compose").warnings}
    apart = "  capacity: {shareAccelerators: never}\n  agents:"  # else both replicas may be on one card
    many = STACK.format(target="compose", hosts="{}").replace("  agents:", apart)
    many += "      overrides: {baselineReplicas: 2}\n"
    assert "several-machines" in {one.code for one in planned(load_text(many, "stack.yaml"), CATALOG).warnings}
    keyless = STACK.format(target="compose", hosts=open_to).replace("  security: {apiKeySecret: callers}\n", "")
    codes = {one.code for one in planned(load_text(keyless, "stack.yaml"), CATALOG).warnings}
    assert "callers-not-asked" in codes
