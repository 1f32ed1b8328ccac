"""Baseline and burst of one agent on different machines, where that is cheaper."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

import pytest

from agentgpu_iac.plan import Plan
from agentgpu_iac.rendering.render import render
from tests.planning.scenes import make_agent, make_catalog, offerings, plan, workload

SLOW = {
    "sessions": {"concurrent": 20},
    "conversation": {"thinkTimeS": 0},
    "traffic": {"burstFactor": 5, "rampS": 7200},
}
"""All sessions generate; a burst that climbs so slowly that nobody comes before a new replica is ready."""
ROWS = (
    *offerings("g6e.xlarge", "small-40", on_demand="1.00"),
    *offerings("p5.48xlarge", "large-80", on_demand="3.00", spot="0.20"),
)
"""The small card is cheap to keep, the large one cheap to borrow."""


def both(**spec: Any) -> Plan:
    return plan(make_agent(ttftMs=3000, **SLOW), catalog=make_catalog(ROWS), **spec)


@pytest.fixture(scope="module")
def mixed() -> Plan:
    return both()


def test_each_tier_is_where_it_is_cheapest(mixed: Plan) -> None:
    baseline, burst = workload(mixed), workload(mixed, tier="burst")
    assert (baseline.accelerator, burst.accelerator) == ("small-40", "large-80")
    pools = {pool.name: pool for pool in mixed.node_pools}
    assert pools[baseline.node_pool].capacity_types == ("on-demand",)
    assert pools[burst.node_pool].capacity_types[0] == "spot"


def test_it_costs_less_than_one_kind_for_both(mixed: Plan) -> None:
    alone = [both(accelerators={"allow": [card]}) for card in ("small-40", "large-80")]
    assert mixed.cost.expected_usd_per_month < min(each.cost.expected_usd_per_month for each in alone)


def test_every_replica_carries_its_even_part_of_the_peak(mixed: Plan) -> None:
    tiers = mixed.workloads
    replicas = sum(tier.replicas.max for tier in tiers)
    assert all(tier.max_num_seqs * replicas >= 100 for tier in tiers)
    assert all(
        (tier.throughput.output_tokens_per_s or 0) >= tier.throughput.required_output_tokens_per_s for tier in tiers
    )


def test_the_burst_has_lines_of_its_own_and_files_of_its_own(mixed: Plan) -> None:
    baseline, burst = mixed.workloads
    sections = [{entry.section for entry in mixed.ledger if entry.workload == tier.name} for tier in (baseline, burst)]
    assert {name for name in sections[0] - sections[1] if not name.startswith("Cost of ")} == set()
    assert sections[1] <= sections[0]
    files = {file.path: file.content.decode() for file in render(mixed)}
    for tier in (baseline, burst):
        manifest = files[f"base/deployment-{tier.name}.yaml"]
        seats = re.search(r"--max-num-seqs\s+- '?\"?(\d+)", manifest)
        assert seats is not None
        assert int(seats[1]) == tier.max_num_seqs
        assert tier.node_pool in manifest


def test_a_burst_is_wanted_only_above_normal_load(mixed: Plan) -> None:
    scaling = workload(mixed, tier="burst").scaling
    assert scaling is not None
    requests = next(trigger for trigger in scaling.triggers if trigger.name == "requests")
    floor = float(requests.query.rsplit(" - ", 1)[1].split(",")[0])
    assert floor >= 20
    assert floor + requests.threshold * workload(mixed, tier="burst").replicas.max <= 100 + 1e-6


def test_whoever_comes_before_the_slower_machine_has_started_finds_a_warm_seat() -> None:
    agent = make_agent(
        ttftMs=3000, **SLOW | {"sessions": {"concurrent": 40}, "traffic": {"burstFactor": 5, "rampS": 900}}
    )
    rows = (*ROWS[:1], *offerings("p5.48xlarge", "large-80", on_demand="9.00", spot="0.20"))
    found = plan(agent, catalog=make_catalog(rows))
    baseline, burst = workload(found), workload(found, tier="burst")
    assert burst.accelerator != baseline.accelerator
    early = 40 + 160 * min(1.0, burst.cold_start_s.upper.total / 900)
    assert baseline.replicas.min * baseline.max_num_seqs >= early


def test_an_added_machine_never_raises_the_cost() -> None:
    agents = [make_agent(f"agent-{number}", ttftMs=3000, **SLOW) for number in range(2)]
    rows = ROWS[:1]
    last = Decimal("Infinity")
    for more in (
        (),
        offerings("s8", "small-40", 8, on_demand="7.00", spot="2.00"),
        offerings("l1", "large-80", on_demand="3.00", spot="0.20"),
        offerings("l8", "large-80", 8, on_demand="22.00", spot="1.20"),
    ):
        rows = (*rows, *more)
        cost = plan(*agents, catalog=make_catalog(rows)).cost.expected_usd_per_month
        assert cost <= last
        last = cost


def test_all_prices_times_a_factor_keep_the_choice(mixed: Plan) -> None:
    rows = tuple(row.model_copy(update={"usd_per_hour": (row.usd_per_hour or 0) * 7}) for row in ROWS)
    dearer = plan(make_agent(ttftMs=3000, **SLOW), catalog=make_catalog(rows))
    assert [pool.instance_types for pool in dearer.node_pools] == [pool.instance_types for pool in mixed.node_pools]
    assert [tier.replicas for tier in dearer.workloads] == [tier.replicas for tier in mixed.workloads]
