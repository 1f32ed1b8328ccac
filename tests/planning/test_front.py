"""Which machine is in front of the others, and by which ports it reaches them."""

from __future__ import annotations

from typing import Any

import pytest

from agentgpu_iac import plan as p
from agentgpu_iac.catalog.store import load_catalog
from agentgpu_iac.planning.finishing.front import front_plan
from agentgpu_iac.planning.planner import make_plan as planned
from agentgpu_iac.planning.running.machines import host_plans
from agentgpu_iac.spec.loader import load_text
from agentgpu_iac.spec.model import Agent, Hosts, StackSpec
from tests.plans import make_machines_plan, make_plan, make_pool, make_route, make_router, make_workload

CATALOG = load_catalog()


def test_every_machine_that_may_run_beside_the_first_has_ports_of_its_own() -> None:
    front = make_machines_plan("spheron").front
    assert front is not None
    assert front.node_pool == "demo-baseline"
    assert [one.name for one in front.others] == ["demo-burst-0", "demo-burst-1"]
    assert [one.routes for one in front.others] == [
        (p.MachineRoute(agent="support", port=22_000 + number, target_port=10_000, engines=2),) for number in (0, 1)
    ]


def test_the_front_machine_has_the_limits_of_all_machines() -> None:
    plan = make_machines_plan("spheron")
    assert plan.front is not None
    assert plan.router is not None
    assert plan.front.routes == plan.router.routes
    assert plan.front.routes[0].max_tries > plan.hosts[0].routes[0].max_tries
    assert plan.front.worker_connections == 2 * plan.router.worker_connections
    assert plan.front.idle_timeout_s > plan.front.routes[0].answer_timeout_s


@pytest.mark.parametrize("changes", [{"target": "compose"}, {"target": "spheron", "callers": ()}])
def test_machines_that_cannot_be_told_of_each_other_stand_for_themselves(changes: dict[str, Any]) -> None:
    assert make_machines_plan(**changes).front is None


def front_of(*pools: p.NodePool, agents: tuple[str, ...] = ("support",)) -> p.FrontPlan | None:
    spec = StackSpec(
        target="spheron",
        hosts=Hosts(caller_ranges=("10.0.0.0/8",)),
        agents=tuple(Agent(name=one, model="Qwen/Qwen3-8B") for one in agents),
    )
    homes = zip(agents, pools, strict=True)
    workloads = tuple(make_workload(agent=agent, name=agent, node_pool=pool.name) for agent, pool in homes)
    router = make_router(routes=tuple(make_route(agent=one, port=10_000 + n) for n, one in enumerate(agents)))
    served = make_plan(workloads=workloads, node_pools=pools).served_agents
    return front_plan(
        spec, "demo", workloads, pools, host_plans(spec, CATALOG, workloads, pools, router, served), router
    )


def test_one_machine_is_in_front_of_nobody() -> None:
    assert front_of(make_pool(min=1, max=1)) is None


def test_the_first_baseline_pool_s_first_machine_is_in_front_and_not_behind_itself() -> None:
    burst, first = make_pool(name="a-burst", tier="burst", min=0, max=1), make_pool(name="b", min=2, max=2)
    front = front_of(burst, first, agents=("one", "two"))
    assert front is not None
    assert front.node_pool == "b"
    assert [one.name for one in front.others] == ["a-burst-0", "b-1"]
    assert [way.target_port for one in front.others for way in one.routes] == [10_000, 10_001]
    assert [route.agent for route in front.routes] == ["one", "two"]


def test_a_burst_alone_has_nobody_in_front() -> None:
    assert front_of(make_pool(tier="burst", min=0, max=3)) is None


STACK = """\
apiVersion: agentgpu.dev/v1alpha1
kind: AgentStack
metadata: {name: desk}
spec:
  target: spheron
  accelerators: {allow: [h100-sxm]}
  security: {apiKeySecret: callers}
  hosts: {callerRanges: [10.0.0.0/8]}
  agents:
    - name: support
      model: mistralai/Mistral-7B-Instruct-v0.3
      sessions: {concurrent: 100}
      pausedCache: keep
      conversation: {maxContextTokens: 4096}
"""


def test_a_planned_stack_of_several_machines_has_one_in_front() -> None:
    plan = planned(load_text(STACK, "stack.yaml"), CATALOG)
    assert plan.front is not None
    assert plan.front.server_name == "machines.desk.internal"
    assert len(plan.front.others) == sum(pool.max for pool in plan.node_pools) - 1
    assert "several-machines" not in {one.code for one in plan.warnings}
