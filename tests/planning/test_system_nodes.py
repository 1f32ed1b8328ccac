"""Nodes without accelerators: every pod that a plan renders fits a node that the plan provides."""

from __future__ import annotations

import pytest

from agentgpu_iac.catalog.model import SystemMachine
from agentgpu_iac.catalog.packaged import packaged_rows
from agentgpu_iac.catalog.store import load_catalog
from agentgpu_iac.errors import BadInput
from agentgpu_iac.plan import Plan, SystemPod
from agentgpu_iac.planning.choosing.host_memory import cpu_milli, memory_mib
from agentgpu_iac.planning.choosing.pricing import Machine
from agentgpu_iac.planning.finishing.system_nodes import fits
from tests.planning.scenes import make_agent, plan

MACHINES = {row.name: row for row in packaged_rows().system_machines}
FILLER_AND_LIFTER = (100 + 10, 512 + 64)
"""CPU and memory of the pod that fills a node's model cache, with what lifts its startup taint."""


def pod(cpu: int, memory: int = 64, pods: int = 1, placed: str = "anywhere") -> SystemPod:
    return SystemPod(name="router", pods=pods, placed=placed, cpu_milli=cpu, memory_mib=memory)


@pytest.fixture(scope="module")
def small() -> Plan:
    return plan()


@pytest.fixture(scope="module")
def busy() -> Plan:
    """Enough sessions that the way into the stack asks for more than two cores."""
    return plan(make_agent(sessions={"concurrent": 12_000}), network={"router": "nginx"})


def test_a_router_of_more_than_two_cores_does_not_go_onto_machines_of_two() -> None:
    assert not fits(MACHINES["m7i.large"], 20, [pod(2_550)])
    assert fits(MACHINES["m7i.xlarge"], 2, [pod(2_550, pods=2)])
    assert not fits(MACHINES["m7i.xlarge"], 2, [pod(2_550, pods=3)]), "in a rollout a third one is there"


def test_daemons_are_counted_on_every_node() -> None:
    alone = [pod(1_500, pods=2)]
    assert fits(MACHINES["m7i.large"], 2, alone)
    assert not fits(MACHINES["m7i.large"], 2, [*alone, pod(300, placed="each-node")])


def test_memory_counts_as_cpu_does() -> None:
    assert not fits(MACHINES["m7i.large"], 2, [pod(100, memory=7_000)])


def test_the_way_into_a_busy_stack_has_a_node(busy: Plan) -> None:
    router, nodes = busy.router, busy.system_nodes
    assert router is not None
    assert nodes is not None
    assert router.cpu_milli > 2_000
    assert nodes.allocatable_cpu_milli > router.cpu_milli


@pytest.mark.parametrize("scene", ["small", "busy"])
def test_every_pod_that_is_counted_fits(scene: str, request: pytest.FixtureRequest) -> None:
    assert_every_pod_fits(request.getfixturevalue(scene))


def assert_every_pod_fits(found: Plan) -> None:
    """All pods that ask for no accelerator, placed one after another on what the planned nodes have."""
    nodes = found.system_nodes
    assert nodes is not None
    free = [[nodes.allocatable_cpu_milli, nodes.allocatable_memory_mib] for _ in range(nodes.count)]
    for each in sorted(nodes.pods, key=lambda pod: pod.placed == "anywhere"):
        for number in range(nodes.count if each.placed == "each-node" else each.pods):
            node = free[number] if each.placed == "each-node" else max(free)
            node[0] -= each.cpu_milli
            node[1] -= each.memory_mib
            assert min(node) >= 0, each.name


@pytest.mark.parametrize("scene", ["small", "busy"])
def test_what_is_rendered_is_what_was_counted(scene: str, request: pytest.FixtureRequest) -> None:
    found: Plan = request.getfixturevalue(scene)
    assert found.system_nodes is not None
    counted = {each.name: each for each in found.system_nodes.pods}
    assert ("router" in counted) == (found.router is not None)
    if found.router is not None:
        assert counted["router"].pods > found.router.replicas, "a rollout adds one"
        assert counted["router"].cpu_milli >= found.router.cpu_milli


def test_the_cheapest_that_holds_them_is_taken_and_priced(small: Plan, busy: Plan) -> None:
    for found in (small, busy):
        nodes = found.system_nodes
        assert nodes is not None
        (item,) = [each for each in found.cost.beside if "system nodes" in each.what]
        assert nodes.instance_type in item.what
        assert item.usd_per_month == nodes.usd_per_month
        row = MACHINES[nodes.instance_type]
        assert all(
            other.usd_per_hour * 2 >= row.usd_per_hour * nodes.count
            for other in MACHINES.values()
            if other.allocatable_memory_mib >= 6_144 and fits(other, 2, nodes.pods)
        )


def test_what_stands_in_holds_as_much(busy: Plan) -> None:
    nodes = busy.system_nodes
    assert nodes is not None
    assert nodes.instance_types[0] == nodes.instance_type
    assert len(nodes.instance_types) > 1
    for name in nodes.instance_types:
        assert MACHINES[name].allocatable_cpu_milli >= nodes.allocatable_cpu_milli
        assert MACHINES[name].allocatable_memory_mib >= nodes.allocatable_memory_mib


def test_machine_and_number_are_settings() -> None:
    nodes = plan(capacity={"systemNodes": {"machine": "m7i.2xlarge", "count": 3}}).system_nodes
    assert nodes is not None
    assert (nodes.instance_type, nodes.count, nodes.chosen_by) == ("m7i.2xlarge", 3, "spec")


def test_a_machine_that_does_not_hold_them_is_refused_with_the_numbers() -> None:
    stack = make_agent(sessions={"concurrent": 12_000})
    with pytest.raises(BadInput, match=r"capacity\.systemNodes: .*2 x m7i\.large plan for 1,737 m of CPU") as refused:
        plan(stack, network={"router": "nginx"}, capacity={"systemNodes": {"machine": "m7i.large", "count": 2}})
    assert "(router) for" in str(refused.value)


def test_a_machine_that_nobody_knows_is_refused() -> None:
    with pytest.raises(BadInput, match=r"capacity\.systemNodes\.machine: there is no system machine 'm7i\.lrage'"):
        plan(capacity={"systemNodes": {"machine": "m7i.lrage"}})


def test_where_the_cluster_is_yours_there_are_none() -> None:
    assert plan(target="kubernetes").system_nodes is None


def test_beside_engines_every_machine_has_room_for_the_daemons_of_its_node() -> None:
    """Engines take most of a node; what is left must hold every DaemonSet, or a filler stays pending and no engine starts."""
    daemons = [row for row in packaged_rows().cluster_pods if row.on != "system-nodes"]
    cpu = sum(row.cpu_milli for row in daemons) + FILLER_AND_LIFTER[0]
    memory = sum(row.memory_mib for row in daemons) + FILLER_AND_LIFTER[1]
    seen = 0
    for offering in {each.instance_type.name: each for each in load_catalog().offerings}.values():
        row = offering.instance_type
        if row.allocatable_cpu_milli is None or row.allocatable_memory_mib is None:
            continue
        machine = Machine(
            instance=row,
            accelerator=offering.accelerator,
            accelerators=offering.accelerator_count,
            region=offering.region,
            ways=(),
        )
        engines_cpu, engines_memory = (
            cpu_milli(machine, machine.accelerators),
            memory_mib(machine, machine.accelerators),
        )
        assert row.allocatable_cpu_milli - engines_cpu >= cpu, row.name
        assert row.allocatable_memory_mib - engines_memory >= memory, row.name
        seen += 1
    assert seen > 40


def test_rooms_of_machines_are_what_kubelet_leaves() -> None:
    """As Karpenter counts: 6 % of the first core, 1 % of the second, 0.5 % of the next two, 0.25 % of others are kept."""
    kept = {2: 70, 4: 80, 8: 90, 16: 110, 32: 150}
    row: SystemMachine
    for row in MACHINES.values():
        assert row.vcpu * 1_000 - row.allocatable_cpu_milli == kept[row.vcpu], row.name
