"""Zones: what is left when one is lost, how much of a burst one pool of spot has, and what that costs."""

from __future__ import annotations

import itertools
import math
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentgpu_iac.plan import Plan
from agentgpu_iac.planning.choosing.program import Column, Rules, Take, choose
from agentgpu_iac.planning.choosing.zones import in_zones, surviving
from agentgpu_iac.rendering.render import render
from tests.planning.scenes import make_agent, make_catalog, offerings, plan, workload
from tests.thoroughness import examples

CATALOG = make_catalog(
    (
        *offerings("s1", "small-40", on_demand="1.00", spot="0.40"),
        *offerings("s4", "small-40", 4, on_demand="2.40", spot="1.00"),
    )
)
BURST = {"overrides": {"baselineReplicas": 1, "burstReplicas": 4}, "traffic": {"burstFactor": 10, "rampS": 3600}}


def spread(survive: str = "zone", catalog: Any = CATALOG, agent: dict[str, Any] | None = None, **capacity: Any) -> Plan:
    stated = {"survive": survive, "shareAccelerators": "never", **capacity}
    return plan(agent or make_agent(), catalog=catalog, capacity=stated)


@given(st.integers(1, 60), st.integers(2, 6))
@settings(derandomize=True, deadline=None, database=None, max_examples=examples(200))
def test_the_fewest_that_are_as_many_in_each_zone_and_survive(normal, zones):
    found = surviving(normal, zones)
    assert found % zones == 0
    assert found - max(in_zones(found, zones)) >= normal
    fewer = found - zones
    assert fewer <= 0 or fewer - max(in_zones(fewer, zones)) < normal


@st.composite
def problems(draw):
    """Two or three agents whose replicas are spread over two or three zones of either pool."""
    zones = draw(st.integers(1, 3))
    agents = draw(st.integers(2, 3))
    columns = []
    for agent in range(agents):
        for pool, price in (("a", "10"), ("b", "7")):
            take = Take(
                pool=pool,
                replicas=draw(st.integers(1, 9)),
                slots_each=draw(st.sampled_from([1, 2, 4])),
                per_node=8 if pool == "a" else 4,
                node_usd=Decimal(price),
                zones=zones,
            )
            least = take.node_usd * take.slots / take.per_node
            columns.append(Column(agents=(agent,), direct_usd=Decimal(0), takes=(take,), least_usd=least))
    return agents, zones, columns


@settings(derandomize=True, deadline=None, database=None, max_examples=examples(80))
@given(problems())
def test_nodes_by_zone_against_brute_force(problem):
    agents, zones, columns = problem
    best = None
    for chosen in itertools.product(*([each for each in columns if each.agents == (a,)] for a in range(agents))):
        usd = Decimal(0)
        for pool in ("a", "b"):
            takes = [take for each in chosen for take in each.takes if take.pool == pool]
            for zone in range(zones):
                taken = sum(in_zones(take.replicas, zones)[zone] * take.slots_each for take in takes)
                usd += (takes[0].node_usd * math.ceil(taken / takes[0].per_node)) if takes else 0
        best = usd if best is None else min(best, usd)
    assert choose(columns, range(len(columns)), Rules(agents=agents), None).usd == best


@pytest.mark.parametrize(("zones", "warm", "nodes"), [(2, 2, 2), (3, 3, 3)])
def test_a_zone_that_is_lost_leaves_normal_load(zones: int, warm: int, nodes: int) -> None:
    found = spread(zones=zones)
    (pool,) = found.node_pools
    assert workload(found).replicas.max == warm
    assert (pool.max, pool.zones, workload(found).pod.zones) == (nodes, zones, zones)


def test_two_replicas_of_one_machine_stand_on_two() -> None:
    large = make_catalog(offerings("s4", "small-40", 4, on_demand="2.40", spot="1.00"))
    assert spread(survive="replica", catalog=large).node_pools[0].max == 1
    found = spread(catalog=large)
    assert found.node_pools[0].max == 2
    assert found.cost.baseline_usd_per_month == Decimal("3456.00")


def test_stricter_is_never_cheaper() -> None:
    costs = [spread(survive=what).cost.expected_usd_per_month for what in ("nothing", "replica", "zone")]
    assert costs == sorted(costs)


def test_the_scheduler_is_told_and_rollouts_keep_the_spread() -> None:
    found = spread()
    text = next(file.content.decode() for file in render(found) if file.path.endswith("deployment-support.yaml"))
    assert "minDomains: 2" in text
    assert "whenUnsatisfiable: DoNotSchedule" in text
    rollout = workload(found).rollout
    assert (rollout.max_surge, rollout.max_unavailable) == (0, 1)


def test_no_pool_of_spot_has_more_of_a_burst_than_it_may() -> None:
    agent = make_agent(**BURST)
    free = spread(survive="nothing", agent=agent)
    burst = workload(free, tier="burst")
    assert free.pool(burst.node_pool).capacity_types[0] == "spot"
    halves = spread(survive="nothing", agent=agent, maxSharePerPool=0.5)
    quarters = spread(survive="nothing", agent=agent, maxSharePerPool=0.25, zones=4)
    for found, zones in ((halves, 2), (quarters, 4)):
        pool = found.pool(workload(found, tier="burst").node_pool)
        assert (pool.capacity_types[0], pool.zones, workload(found, tier="burst").pod.zones) == ("spot", zones, zones)
    costs = [each.cost.expected_usd_per_month for each in (free, halves, quarters)]
    assert costs == sorted(costs)


def test_a_share_that_the_zones_do_not_allow_is_bought_on_demand() -> None:
    found = spread(survive="nothing", agent=make_agent(**BURST), maxSharePerPool=0.01)
    assert all("spot" not in pool.capacity_types for pool in found.node_pools)
