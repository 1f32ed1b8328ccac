"""Machines that there are: the plan uses these alone, and no more of them than there are."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from agentgpu_iac.catalog.model import VcpuQuota
from agentgpu_iac.errors import BadInput
from agentgpu_iac.plan import Plan
from agentgpu_iac.planning.planner import NoPlan
from tests.planning.scenes import SOURCES, codes, make_agent, make_catalog, offerings, plan

CATALOG = make_catalog(
    (
        *offerings("s1", "small-40", on_demand="1.00", spot="0.40"),
        *offerings("s4", "small-40", 4, on_demand="3.00"),
        *offerings("l1", "large-80", on_demand="3.00", spot="1.20"),
    )
)
ALONE = {"shareAccelerators": "never"}


def owned(*agents: dict[str, Any], machines: list[dict[str, Any]], target: str = "kubernetes", **capacity: Any) -> Plan:
    return plan(*agents, catalog=CATALOG, target=target, capacity={**ALONE, **capacity, "inventory": machines})


def nodes(found: Plan) -> dict[str, int]:
    counted: dict[str, int] = {}
    for pool in found.node_pools:
        counted[pool.instance_types[0]] = counted.get(pool.instance_types[0], 0) + pool.max
    return counted


def agents(count: int, replicas: int = 1) -> list[dict[str, Any]]:
    return [make_agent(f"agent-{number}", overrides={"baselineReplicas": replicas}) for number in range(count)]


@pytest.mark.parametrize("target", ["kubernetes", "compose"])
def test_one_machine_never_plans_two(target: str) -> None:
    found = owned(*agents(3), machines=[{"machine": "s4", "count": 1}], target=target)
    assert nodes(found) == {"s4": 1}
    assert found.cost.expected_usd_per_month == 0


def test_what_is_dearer_carries_what_the_cheaper_ones_have_no_room_for() -> None:
    machines = [{"machine": "s1", "count": 1}, {"machine": "l1", "count": 5, "usdPerHour": 2.0}]
    found = owned(*agents(3), machines=machines)
    assert nodes(found) == {"s1": 1, "l1": 2}
    assert found.cost.baseline_usd_per_month == Decimal("2880.00")


@pytest.mark.parametrize("target", ["kubernetes", "compose"])
def test_too_few_are_named(target: str) -> None:
    machines = [{"machine": "s1", "count": 1}]
    with pytest.raises(NoPlan, match=r"all agents together: 1 x s1 is too few \(capacity.inventory\)"):
        owned(*agents(2), machines=machines, target=target)


def test_only_those_that_stand_in_the_way_are_named() -> None:
    big = make_agent("big", "test/big", ttftMs=20000, tpotMs=500)
    machines = [{"machine": "s1", "count": 9}, {"machine": "s4", "count": 1}]
    with pytest.raises(NoPlan, match=r"together: 1 x s4 is too few"):
        owned(big, {**big, "name": "other"}, machines=machines, memoryReserveRatio=0.1)


def test_a_machine_that_nothing_describes_is_a_fault() -> None:
    with pytest.raises(BadInput, match=r"unknown instance type 's2'") as caught:
        owned(*agents(1), machines=[{"machine": "s2", "count": 1}])
    assert "capacity.inventory[0].machine" in str(caught.value)


@pytest.mark.parametrize("target", ["eks", "spheron", "skyserve"])
def test_targets_that_make_their_machines_have_none_before(target: str) -> None:
    with pytest.raises(BadInput, match="machines are made here when the stack is deployed"):
        owned(*agents(1), machines=[{"machine": "s1", "count": 1}], target=target)


ON_AWS = replace(
    CATALOG,
    quotas=(
        VcpuQuota(
            provider="aws",
            families=("s",),
            capacity_type="on-demand",
            name="Running On-Demand S instances",
            code="L-DB2E81BA",
            date="2026-11-01",
            sources=SOURCES,
        ),
    ),
)


def test_of_what_is_yours_a_plan_says_nothing_of_a_seller() -> None:
    """It named the region where such machines are first sold, its quotas, and prices without a date."""
    machines = [{"machine": "s1", "count": 4, "usdPerHour": 0.4}]
    found = plan(
        *agents(1),
        catalog=ON_AWS,
        target="kubernetes",
        capacity={**ALONE, "inventory": machines},
        policy={"allowUnpriced": False},
    )
    (pool,) = found.node_pools
    assert (pool.region, pool.owned) == ("any", True)
    assert found.vcpu_quotas == ()
    assert not {"undated-price", "old-prices"} & codes(found)
    assert found.cost.price_age is None or found.cost.price_age.undated == 0
    assert not [each for each in found.rejections if each.constraint in ("spot-baseline", "reserved")]
    bought = plan(*agents(1), catalog=ON_AWS, target="kubernetes", capacity=ALONE)
    assert bought.vcpu_quotas, "the same machine, bought, is counted"


def test_a_quota_counts_none_that_is_yours() -> None:
    machines = [{"machine": "s1", "count": 1}]
    found = plan(
        *agents(1),
        catalog=ON_AWS,
        target="kubernetes",
        capacity={**ALONE, "inventory": machines, "quotas": [{"code": "L-DB2E81BA", "vcpus": 0}]},
    )
    assert nodes(found) == {"s1": 1}


def test_they_stand_where_you_say_or_in_the_one_region_of_the_stack() -> None:
    here = [{"machine": "s1", "count": 1, "region": "cellar"}]
    said = owned(*agents(1), machines=here)
    one = plan(
        *agents(1),
        catalog=CATALOG,
        target="kubernetes",
        regions=["us-east-1"],
        capacity={**ALONE, "inventory": [{"machine": "s1", "count": 1}]},
    )
    assert [each.node_pools[0].region for each in (said, one)] == ["cellar", "us-east-1"]


def test_a_cheaper_machine_that_a_quota_forbids_is_told_so_and_is_no_alternative() -> None:
    rows = (*offerings("s1", "small-40", on_demand="1.00"), *offerings("l1", "large-80", on_demand="3.00"))
    catalog = replace(ON_AWS, offerings=rows)
    vcpus = next(each.instance_type.vcpu for each in rows if each.instance_type.name == "s1") or 0
    free, bound = (
        plan(*agents(1, 2), catalog=catalog, target="kubernetes", capacity={**ALONE, "quotas": quotas})
        for quotas in ([], [{"code": "L-DB2E81BA", "vcpus": vcpus}])
    )
    assert (nodes(free), nodes(bound)) == ({"s1": 2}, {"l1": 2})
    (driver,) = (each for each in bound.drivers if each.refused == "quota")
    assert (driver.need, driver.limit, driver.unit) == (2 * vcpus, vcpus, "vCPUs")
    assert "(capacity.quotas) are too few" in driver.message
    assert "s1" not in {each.instance_type for each in bound.cost.alternatives}
