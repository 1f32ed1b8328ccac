"""Nodes as a fleet: what may stand in for a planned type, what a rollout brings, when nodes go, and what quotas count."""

from __future__ import annotations

import functools
from decimal import Decimal
from typing import Any

import pytest

from agentgpu_iac import plan as p
from agentgpu_iac.catalog.store import load_catalog
from agentgpu_iac.planning.choosing.on_offer import offers
from agentgpu_iac.planning.choosing.pricing import Machine
from agentgpu_iac.planning.choosing.siblings import siblings, with_price_cap
from agentgpu_iac.planning.planner import make_plan
from agentgpu_iac.spec.loader import load_text
from agentgpu_iac.spec.model import StackSpec
from agentgpu_iac.spec.vocabulary import CapacityType

EDGE = """\
apiVersion: agentgpu.dev/v1alpha1
kind: AgentStack
metadata: {{name: edge}}
spec:
  {more}
  agents:
    - name: vllm
      model: Qwen/Qwen3-14B
      sessions: {{concurrent: 30, peak: 120}}
      traffic: {{burstFactor: 4, rampS: 900}}
      ttftMs: 5000
      tpotMs: 200
      overrides: {{maxNumSeqs: 100}}
"""
"""100 seats hold those who come before a second replica is ready (about 85), not the peak; budgets are far from binding."""
ON_DEMAND: tuple[CapacityType, ...] = ("on-demand",)
SPOT_FIRST: tuple[CapacityType, ...] = ("spot", "on-demand")


@functools.cache
def edge(more: str = "regions: [us-east-1]") -> p.Plan:
    return make_plan(load_text(EDGE.format(more=more), "spec.yaml"), load_catalog())


def spec_with(more: str = "regions: [us-east-1]") -> StackSpec:
    return load_text(EDGE.format(more=more), "spec.yaml").stack.spec


def names(
    machine: str, ways: tuple[CapacityType, ...] = ON_DEMAND, more: str = "regions: [us-east-1]", **options: Any
) -> tuple[str, ...]:
    """What may stand in for a machine of the packaged catalog in us-east-1."""
    spec = with_price_cap(spec_with(more))
    machines = offers(spec, load_catalog()).machines
    (planned,) = (each for each in machines if each.instance.name == machine)
    found = siblings(planned, ways, machines, options.pop("models_gib", 28.0), spec, **options)
    assert found[0] == planned
    return tuple(each.instance.name for each in found)


def test_every_size_with_as_many_of_the_same_card_is_named_cheapest_first() -> None:
    for pool in edge().node_pools:
        assert pool.instance_types == ("g7e.2xlarge", "g7e.4xlarge", "g7e.8xlarge")
        assert [each.vcpus for each in pool.types] == [8, 16, 32]
    burst = next(pool for pool in edge().node_pools if pool.tier == "burst")
    assert burst.capacity_types == ("spot", "on-demand")


def test_what_stands_in_may_cost_what_the_ratio_says() -> None:
    at = "capacity: {{priceCapRatio: {}}}"
    assert names("g7e.2xlarge", more=at.format(1)) == ("g7e.2xlarge",)
    assert names("g7e.2xlarge", more=at.format(1.2)) == ("g7e.2xlarge", "g7e.4xlarge")
    assert names("g7e.2xlarge", more=at.format(1.6)) == ("g7e.2xlarge", "g7e.4xlarge", "g7e.8xlarge")


def test_a_spot_price_that_nobody_knows_is_bounded_by_the_on_demand_price() -> None:
    assert names("g7e.2xlarge", SPOT_FIRST) == ("g7e.2xlarge", "g7e.4xlarge", "g7e.8xlarge")


@pytest.mark.parametrize(
    ("machine", "ways"),
    [
        (name, ways)
        for name in ("g6.xlarge", "g6e.xlarge", "g5.xlarge", "g6.12xlarge", "p5en.48xlarge")
        for ways in (ON_DEMAND, SPOT_FIRST)
    ],
)
def test_whatever_stands_in_holds_the_same_pods_and_stays_below_the_cap(
    machine: str, ways: tuple[CapacityType, ...]
) -> None:
    spec = with_price_cap(spec_with())
    machines = {each.instance.name: each for each in offers(spec, load_catalog()).machines}
    if machine not in machines:
        pytest.fail(f"{machine} is not on offer")
    planned = machines[machine]
    for name in names(machine, ways)[1:]:
        other: Machine = machines[name]
        assert (other.accelerator, other.accelerators) == (planned.accelerator, planned.accelerators)
        assert other.instance.allocatable_cpu_milli >= planned.instance.allocatable_cpu_milli
        assert other.instance.allocatable_memory_mib >= planned.instance.allocatable_memory_mib
        assert other.instance.nvme_total_gb >= planned.instance.nvme_total_gb
        for way in ways:
            price, cap = other.usd_per_hour(way), planned.usd_per_hour(way)
            assert price is None or cap is None or price <= 2 * cap


def test_one_card_families_have_three_sizes_by_default() -> None:
    for smallest in ("g5.xlarge", "g6.xlarge", "g6e.xlarge", "g7e.2xlarge"):
        assert len(names(smallest)) >= 3, smallest


def test_a_block_of_capacity_and_nodes_of_others_are_of_one_type() -> None:
    assert names("g7e.2xlarge", more="capacity: {reservation: capacity-block}") == ("g7e.2xlarge",)
    assert names("g7e.2xlarge", more="target: kubernetes\n  providers: [aws]\n  regions: [us-east-1]") == (
        "g7e.2xlarge",
    )


def test_the_cost_says_what_the_dearest_would_cost() -> None:
    cost, pools = edge().cost, edge().node_pools
    assert all(pool.dearest_usd_per_hour == Decimal("5.26824") for pool in pools)
    assert cost.dearest_baseline_usd_per_month == Decimal("3793.13")
    assert cost.dearest_peak_usd_per_hour == Decimal("10.53648")
    assert cost.dearest_baseline_usd_per_month > cost.baseline_usd_per_month
    (told,) = (each for each in edge().warnings if each.code == "other-instance-types")
    assert "g7e.4xlarge or g7e.8xlarge" in told.message
    assert "5.27" in told.message


def test_quotas_count_vcpus_at_the_peak_in_a_rollout_and_at_most() -> None:
    on_demand, spot = edge().vcpu_quotas
    assert (on_demand.code, spot.code) == ("L-DB2E81BA", "L-3819A6DF")
    assert (on_demand.vcpus, spot.vcpus) == (8, 8)
    assert (on_demand.rollout_vcpus, spot.rollout_vcpus) == (16, 16)
    assert (on_demand.most_vcpus, spot.most_vcpus) == (2 * 32 + 2 * 32, 2 * 32)


@pytest.mark.parametrize(
    ("machine", "way", "code"),
    [
        ("g6e.xlarge", "on-demand", "L-DB2E81BA"),
        ("gr6.4xlarge", "reserved", "L-DB2E81BA"),
        ("p5.48xlarge", "on-demand", "L-417A185B"),
        ("p4de.24xlarge", "spot", "L-7212CCBC"),
        ("p5en.48xlarge", "spot", "L-C4BD4855"),
        ("p6-b200.48xlarge", "on-demand", "L-417A185B"),
        ("p6-b200.48xlarge", "spot", None),
    ],
)
def test_a_machine_counts_for_the_quota_of_its_family_and_way(
    machine: str, way: CapacityType, code: str | None
) -> None:
    found = load_catalog().quota("aws", machine, way)
    assert (None if found is None else found.code) == code


def test_a_rollout_brings_its_own_node_where_nodes_come_on_demand() -> None:
    for workload in edge().workloads:
        pool = edge().pool(workload.node_pool)
        assert (workload.rollout.max_surge, workload.rollout.max_unavailable) == (1, 0)
        assert workload.rollout.fixed_nodes == p.RolloutSteps(max_surge=0, max_unavailable=1)
        assert pool.surge_nodes == 1
        assert workload.rollout.outages == p.RolloutOutages(same_weights_s=0, new_revision_s=0, new_pool_s=0)
        assert Decimal(0) < workload.rollout.surge_usd < Decimal(2)


def test_the_outage_of_a_lone_replica_is_by_what_is_changed() -> None:
    baseline = edge("capacity: {rollout: in-place}").workloads[0]
    start, found = baseline.cold_start_s, baseline.rollout.outages
    assert found is not None
    assert (baseline.rollout.max_surge, baseline.rollout.max_unavailable) == (0, 1)
    assert baseline.rollout.fixed_nodes is None
    assert found.same_weights_s == start.warm_node_total == baseline.rollout.outage_s
    assert found.new_revision_s == pytest.approx(start.cache_fill + start.warm_node_total, abs=0.11)
    assert found.new_pool_s == start.total
    (told,) = (each for each in edge("capacity: {rollout: in-place}").warnings if each.code == "single-replica")
    for _, seconds in found.by_change:
        assert f"{seconds:,.0f} s" in told.message


def test_rollouts_are_in_place_where_nobody_makes_nodes() -> None:
    found = edge("target: kubernetes\n  providers: [aws]\n  regions: [us-east-1]")
    assert {each.rollout.max_surge for each in found.workloads} == {0}
    assert {pool.surge_nodes for pool in found.node_pools} == {0}


def test_a_window_closes_the_other_hours_and_silences_the_warning() -> None:
    with_window = edge('capacity: {maintenanceWindow: {start: "0 2 * * *", hours: 4}}')
    for pool in with_window.node_pools:
        assert [(hours.schedule, hours.minutes) for hours in pool.closed_hours] == [("0 6 * * *", 1200)]
    assert "renewed-at-any-hour" not in {each.code for each in with_window.warnings}
    assert "renewed-at-any-hour" in {each.code for each in edge().warnings}
