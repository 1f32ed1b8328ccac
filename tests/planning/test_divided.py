"""Baselines on two kinds of machine: those that there are first, and the rest on others."""

from __future__ import annotations

import re
from typing import Any

import pytest

from agentgpu_iac.errors import BadInput
from agentgpu_iac.plan import Driver, Plan, baselines, tiers_by_agent, warm_replicas
from agentgpu_iac.planning.planner import NoPlan
from tests.planning.scenes import make_agent, make_catalog, offerings, plan

ROWS = (
    *offerings("s1", "small-40", on_demand="1.00", spot="0.40"),
    *offerings("s4", "small-40", 4, on_demand="3.00"),
    *offerings("l1", "large-80", on_demand="3.00", spot="1.20"),
)
CATALOG = make_catalog(ROWS)
ALONE = {"shareAccelerators": "never"}


def own(machines: list[dict[str, Any]], *agents: dict[str, Any], rent: bool = True, **spec: Any) -> Plan:
    beyond = {"beyondInventory": "rent"} if rent else {}
    capacity = {**ALONE, "inventory": machines, **beyond, **spec.pop("capacity", {})}
    return plan(*agents, catalog=spec.pop("catalog", CATALOG), target="kubernetes", capacity=capacity, **spec)


def always(replicas: int, **agent: Any) -> dict[str, Any]:
    return make_agent(overrides={"baselineReplicas": replicas}, **agent)


def bursting(**agent: Any) -> dict[str, Any]:
    """Three replicas at normal load, and more later."""
    return make_agent(sessions={"concurrent": 200, "peak": 600}, traffic={"rampS": 3600}, **agent)


def nodes(found: Plan) -> dict[tuple[str, bool], int]:
    """By instance type and whether they are one's own."""
    counted: dict[tuple[str, bool], int] = {}
    for pool in found.node_pools:
        key = (pool.instance_types[0], pool.owned)
        counted[key] = counted.get(key, 0) + pool.max
    return counted


def test_the_own_ones_come_first_and_the_rest_is_rented() -> None:
    found = own([{"machine": "s1", "count": 2}], always(5))
    assert nodes(found) == {("s1", True): 2, ("s1", False): 3}
    assert found.cost.baseline_usd_per_month == 3 * 720
    first, rest = found.workloads
    assert [(each.name, each.tier, each.replicas.max) for each in (first, rest)] == [
        ("support", "baseline", 2),
        ("support-rest", "baseline", 3),
    ]
    assert (first.tier_label, rest.tier_label) == ("baseline", "baseline-rest")
    assert first.node_pool != rest.node_pool
    assert found.pool(first.node_pool).name.endswith("-own")


def test_without_a_word_nothing_is_rented() -> None:
    with pytest.raises(NoPlan, match=r"2 x s1 is too few"):
        own([{"machine": "s1", "count": 2}], always(5), rent=False)


def test_two_kinds_that_there_are_carry_one_agent() -> None:
    machines = [{"machine": "s1", "count": 2}, {"machine": "l1", "count": 3, "usdPerHour": 2.0}]
    found = own(machines, always(5), rent=False)
    assert nodes(found) == {("s1", True): 2, ("l1", True): 3}
    assert found.cost.baseline_usd_per_month == 3 * 2 * 720


def test_each_kind_keeps_the_budgets_by_itself() -> None:
    machines = [{"machine": "l1", "count": 2}]
    found = own(machines, always(5), accelerators={"deny": ["large-80"]})
    assert {(each.accelerator, each.replicas.max) for each in found.workloads} == {("large-80", 2), ("small-40", 3)}
    for each in found.workloads:
        for planned, budget in (
            (each.latency.ttft_at_percentile_ms, each.latency.budget_ttft_ms),
            (each.latency.tpot_at_percentile_ms, each.latency.budget_tpot_ms),
        ):
            assert planned is not None
            assert budget is not None
            assert planned <= budget
    (agent,) = found.agents
    slower = max(each.latency.tpot_at_percentile_ms or 0.0 for each in found.workloads)
    assert agent.tpot_at_percentile_ms == pytest.approx(slower, abs=0.01)


def test_own_machines_that_cost_more_than_rented_ones_stay_unused() -> None:
    found = own([{"machine": "s1", "count": 2, "usdPerHour": 1.5}], always(5))
    assert nodes(found) == {("s1", False): 5}


def test_two_agents_do_not_get_the_same_machine() -> None:
    found = own([{"machine": "s1", "count": 3}], always(2, name="one"), always(3, name="two"))
    assert nodes(found) == {("s1", True): 3, ("s1", False): 2}
    assert found.cost.baseline_usd_per_month == 2 * 720


def test_a_node_of_several_accelerators_is_shared_by_parts_of_two_agents() -> None:
    found = own([{"machine": "s4", "count": 1}], always(3, name="one"), always(3, name="two"))
    assert nodes(found) == {("s4", True): 1, ("s1", False): 2}
    shared = next(pool for pool in found.node_pools if pool.owned)
    here = [each for each in found.workloads if each.node_pool == shared.name]
    assert sum(each.replicas.max for each in here) == 4


def test_the_burst_counts_what_both_parts_carry() -> None:
    found = own([{"machine": "s1", "count": 2}], bursting())
    *always_there, burst = tiers_by_agent(found.workloads)["support"]
    assert burst.tier == "burst"
    assert len(always_there) == 2
    assert burst.scaling is not None
    assert burst.scaling.baseline_replicas == sum(each.replicas.max for each in always_there) > 2
    alike = own([{"machine": "s1", "count": 99}], bursting())
    assert warm_replicas(alike.workloads) == burst.scaling.baseline_replicas


def test_one_more_survives_the_loss_of_a_replica() -> None:
    machines, agent = [{"machine": "s1", "count": 2}], make_agent(sessions={"concurrent": 200, "peak": 200})
    small = {"allow": ["small-40"]}
    some, more = (
        own(machines, agent, capacity={"survive": each}, accelerators=small) for each in ("nothing", "replica")
    )
    assert warm_replicas(more.workloads) == warm_replicas(some.workloads) + 1
    assert len(baselines(more.workloads)) == 2


def test_the_cost_is_the_sum_of_the_parts() -> None:
    found = own([{"machine": "s1", "count": 2, "usdPerHour": 0.25}], bursting(), always(3, name="other"))
    (each_usd, burst_usd) = (
        sum(each.usd_per_month for each in found.cost.by_agent),
        sum(each.burst_usd_per_month for each in found.cost.by_agent),
    )
    assert abs(each_usd - found.cost.expected_usd_per_month) <= 1
    assert abs(each_usd - burst_usd - found.cost.baseline_usd_per_month) <= 1


@pytest.mark.parametrize("agents", [[always(5)], [bursting()], [always(3, name="one"), bursting(name="two")]])
def test_a_machine_more_at_no_rate_is_never_dearer(agents: list[dict[str, Any]]) -> None:
    none = plan(*agents, catalog=CATALOG, target="kubernetes", capacity=ALONE)
    sums = [none.cost.expected_usd_per_month]
    for count in range(1, 8):
        sums.append(own([{"machine": "s1", "count": count}], *agents).cost.expected_usd_per_month)
    assert sums == sorted(sums, reverse=True)
    assert sums[0] > sums[1]


@pytest.mark.parametrize("agent", [always(5), bursting()])
def test_something_more_to_rent_is_never_dearer(agent: dict[str, Any]) -> None:
    machines = [{"machine": "s1", "count": 2}]
    sums = [
        own(machines, agent, catalog=make_catalog(ROWS[:count])).cost.expected_usd_per_month
        for count in range(2, len(ROWS) + 1)
    ]
    assert sums == sorted(sums, reverse=True)


def test_renting_besides_is_never_dearer_than_not() -> None:
    machines = [{"machine": "s4", "count": 2, "usdPerHour": 8.0}]
    alone, besides = (own(machines, bursting(), rent=rent).cost.expected_usd_per_month for rent in (False, True))
    assert besides < alone


def test_only_where_something_leads_callers_to_both() -> None:
    capacity = {"inventory": [{"machine": "s1", "count": 2}], "beyondInventory": "rent"}
    with pytest.raises(BadInput, match="nothing leads callers on to rented ones"):
        plan(make_agent(), catalog=CATALOG, target="compose", capacity=capacity)


def test_an_agent_that_is_called_like_a_part_is_told_to_be_renamed() -> None:
    with pytest.raises(BadInput, match="would both be the workload 'support-rest'"):
        own([{"machine": "s1", "count": 2}], always(5), make_agent("support-rest"))


TWO_SIGNED = {"kind": "reserved", "machine": "l1", "count": 2, "usdPerHour": 0.5, "termMonths": 12, "signed": True}


def committed(agent: dict[str, Any], **commitment: Any) -> Plan:
    capacity = {**ALONE, "commitments": [{**TWO_SIGNED, **commitment}]}
    single = make_catalog(tuple(row for row in ROWS if row.accelerator_count == 1))
    return plan(agent, catalog=single, target="eks", regions=["us-east-1"], providers=["aws"], capacity=capacity)


def test_what_a_commitment_covers_comes_first_and_the_rest_is_the_cheapest() -> None:
    found = committed(always(5))
    assert nodes(found) == {("l1", False): 2, ("s1", False): 3}
    assert found.cost.baseline_usd_per_month == 3 * 720 + 2 * 720 / 2
    assert [each.name for each in found.workloads] == ["support", "support-rest"]


def test_what_is_not_signed_is_signed_only_where_that_is_cheaper() -> None:
    sums = {usd: committed(always(5), signed=False, usdPerHour=usd).cost for usd in (0.5, 1.5)}
    assert sums[0.5].baseline_usd_per_month == 3 * 720 + 2 * 720 / 2
    assert sums[1.5].baseline_usd_per_month == 5 * 720


@pytest.mark.parametrize("agent", [always(5), bursting()])
def test_more_that_may_be_signed_is_never_dearer(agent: dict[str, Any]) -> None:
    sums = [
        committed(agent, signed=False, usdPerHour=0.5, count=count).cost.expected_usd_per_month for count in range(1, 6)
    ]
    assert sums == sorted(sums, reverse=True)


def test_what_the_warm_replicas_carry_is_summed_over_both_parts() -> None:
    some, alike = (own([{"machine": "s1", "count": count}], always(5)) for count in (2, 5))
    (replicas,) = (each for each in some.ledger if each.workload == "support" and each.name == "replicas")
    assert replicas.value == 5
    assert replicas.result == "5 warm, 2 of them here, 0 more in a burst"
    carried, whole = (
        sum(each.throughput.output_tokens_per_s or 0 for each in baselines(found.workloads)) for found in (some, alike)
    )
    assert carried == pytest.approx(whole, abs=0.15 + 1e-9)  # each of the three is rounded to a tenth


def idle(found: Plan) -> list[str]:
    return [each.message for each in found.warnings if each.code == "inventory-idle"]


def test_machines_of_yours_that_stand_idle_beside_rented_ones_are_told() -> None:
    dear = own([{"machine": "s1", "count": 2, "usdPerHour": 9}], always(5))
    assert nodes(dear) == {("s1", False): 5}
    (told,) = idle(dear)
    assert told.startswith("2 x s1 of yours (capacity.inventory) carry nothing")
    assert idle(own([{"machine": "s1", "count": 7}], always(5))) == [], "nothing is rented"
    assert idle(own([{"machine": "s1", "count": 2}], always(5))) == [], "they are used"


def test_no_alternative_takes_more_machines_than_there_are() -> None:
    """Once six of two machines were a way that is cheaper alone."""
    rows = (*offerings("s1", "small-40", on_demand="1.00"), *offerings("l1", "large-80", on_demand="3.00"))
    for count, wanted in ((2, False), (9, True)):
        found = own([{"machine": "l1", "count": count, "usdPerHour": 2}], always(5), catalog=make_catalog(rows))
        assert nodes(found) == {("s1", False): 5}
        cheapest = {each.instance_type: each.usd_per_month for each in found.cost.alternatives}
        assert (cheapest["l1"] == 5 * 2 * 720) is wanted, cheapest


def why_no_cheaper_card(found: Plan, refused: str) -> list[Driver]:
    return [each for each in found.drivers if (each.constraint, each.refused) == ("card", refused)]


def test_a_cheaper_machine_of_yours_of_which_there_are_too_few_is_told_so() -> None:
    """It was said to take five replicas, as if there were as many machines."""
    rows = (*offerings("s1", "small-40", on_demand="1.00"), *offerings("l1", "large-80", on_demand="3.00"))
    some, enough = (
        own([{"machine": "l1", "count": count, "usdPerHour": 0.5}], always(5), catalog=make_catalog(rows))
        for count in (2, 5)
    )
    assert nodes(some) == {("l1", True): 2, ("s1", False): 3}
    (driver,) = why_no_cheaper_card(some, "inventory")
    assert (driver.need, driver.limit, driver.unit) == (5, 2, "machines")
    assert driver.message == (
        "l1, USD 0.50 an hour where its part of the planned machine costs 1.00, would take 5: "
        "2 x l1 of yours (capacity.inventory) are too few"
    )
    assert why_no_cheaper_card(enough, "inventory") == []


def test_those_that_others_are_on_are_told_too() -> None:
    found = own([{"machine": "s1", "count": 3}], always(3, name="one"), always(3, name="two"))
    assert nodes(found) == {("s1", True): 3, ("s1", False): 3}
    told = why_no_cheaper_card(found, "inventory")
    assert told
    for each in told:
        assert (each.need, each.limit) == (3, 3)
        assert re.search(
            r"would take 3, and others take \d: 3 x s1 of yours \(capacity.inventory\) are too few", each.message
        )


def test_what_agents_cost_apart_is_told_of_machines_that_there_are() -> None:
    agents = [
        make_agent(name, isolation="shared", sessions={"concurrent": 200, "peak": 200}) for name in ("one", "two")
    ]
    small = {"allow": ["small-40"]}
    sums = []
    for count in (0, 1, 99):
        inventory = {"inventory": [{"machine": "s1", "count": count}], "beyondInventory": "rent"} if count else {}
        found = plan(*agents, catalog=CATALOG, target="kubernetes", capacity={**ALONE, **inventory}, accelerators=small)
        sums.append(next(each.apart_usd_per_month for each in found.sharing))
    assert sums[0] == sums[1] > sums[2] == 0
