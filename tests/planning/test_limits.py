"""Limits of the whole market: quotas of the account and the budget as rows of the program, and what cannot be kept."""

from __future__ import annotations

import itertools
import math
from collections import defaultdict
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from agentgpu_iac.errors import BadInput
from agentgpu_iac.planning.choosing.limits import Quota, Terms
from agentgpu_iac.planning.choosing.mixes import mixed_options
from agentgpu_iac.planning.choosing.placement import place
from agentgpu_iac.planning.choosing.program import Conflict
from agentgpu_iac.planning.planner import NoPlan, OverBudget
from tests.planning.scenes import make_agent, make_catalog, offerings, plan
from tests.planning.test_mixes_exactly import MACHINES, cost, everything, markets, on_one_machine, paid
from tests.planning.test_placement import machine, option
from tests.thoroughness import examples

VCPUS = {each.id: 8 * each.accelerators for each in MACHINES}


@st.composite
def limited(draw):
    """A market, quotas over some of its machines, and a budget of some share of what is cheapest."""
    parts, terms = draw(markets())
    every = [everything(each) for each in parts]
    assume(all(every))
    cheapest = min(itertools.product(*every), key=lambda chosen: cost(chosen, terms))
    spot = draw(st.booleans())
    counted = {part[spot].machine.id for part in cheapest} | {draw(st.sampled_from(MACHINES)).id}
    quota = Quota(name="quota", most=0, vcpus={(each, spot): VCPUS[each] for each in counted})
    most = vcpus(cheapest, quota) * draw(st.sampled_from([2, 3, 4])) // 4
    quota = Quota(name="quota", most=most, vcpus=quota.vcpus)
    share = draw(st.sampled_from([None, None, Decimal("0.7"), Decimal("0.9")]))
    return parts, terms, cheapest, quota, share


def vcpus(chosen: Any, quota: Quota) -> int:
    taken: defaultdict[Any, int] = defaultdict(int)
    sizes: dict[Any, int] = {}
    for first, second, there, peak in chosen:
        for tier, each, count, spot in (("baseline", first, there, False), ("burst", second, peak - there, True)):
            key = (tier, each.machine.id, spot)
            taken[key] += count * each.machine.accelerators_taken(each.candidate.accelerators_per_replica)
            sizes[key] = each.machine.accelerators
    return sum(math.ceil(count / sizes[key]) * quota.vcpus.get((key[1], key[2]), 0) for key, count in taken.items())


@settings(derandomize=True, deadline=None, database=None, max_examples=examples(240))
@given(limited())
def test_quota_and_budget_against_brute_force(market):
    parts, terms, cheapest, quota, share = market
    choices = list(itertools.product(*(everything(each) for each in parts)))
    only_baseline = Terms(burst_hours=Decimal(0))
    budget = None if share is None else (cost(cheapest, only_baseline) * share).quantize(Decimal("0.01"))
    kept = [
        chosen
        for chosen in choices
        if vcpus(chosen, quota) <= quota.most and (budget is None or cost(chosen, only_baseline) <= budget)
    ]
    stated = Terms(burst_hours=terms.burst_hours, quotas=(quota,), budget_usd=budget)
    mixes = mixed_options(parts, stated)
    options = [[*on_one_machine(each), *mixed] for each, mixed in zip(parts, mixes, strict=True)]
    if not kept:
        with pytest.raises(Conflict):
            place(options, (), True, stated)
        return
    found = place(options, (), True, stated)
    chosen = [paid(option, terms) for option in found.options]
    assert cost(chosen, terms) == min(cost(each, terms) for each in kept)
    assert vcpus(chosen, quota) <= quota.most
    assert budget is None or cost(chosen, only_baseline) <= budget + Decimal("0.01")


PLAIN = (
    machine("one", 1, "0.60"),
    machine("four", 4, "2.60"),
    machine("other", 4, "3.10"),
    machine("eight", 8, "5.00"),
)


@st.composite
def plain(draw):
    """Two or three agents, each with both tiers on one machine; a quota over what is cheapest, and perhaps a budget."""
    by_agent = [
        [
            option(position, where, draw(st.integers(1, 5)), draw(st.integers(0, 3)), size, spot=draw(st.booleans()))
            for where in PLAIN
            for size in (1, 2)
            if size <= where.accelerators and draw(st.booleans())
        ]
        or [option(position, PLAIN[1], 2)]
        for position in range(draw(st.integers(2, 3)))
    ]
    hours = Decimal(draw(st.sampled_from([36, 360, 720])))
    cheapest = min(itertools.product(*by_agent), key=lambda chosen: plain_cost(chosen, hours))
    counted = {cheapest[0].machine.id, draw(st.sampled_from(PLAIN)).id}
    quota = Quota(name="quota", most=0, vcpus={(each, False): 8 for each in counted})
    most = plain_vcpus(cheapest, quota) * draw(st.sampled_from([2, 3, 4])) // 4
    share = draw(st.sampled_from([None, Decimal("0.75"), Decimal("0.95")]))
    return by_agent, hours, cheapest, Quota(name="quota", most=most, vcpus=quota.vcpus), share


def plain_nodes(chosen: Any) -> dict[Any, int]:
    taken: defaultdict[Any, int] = defaultdict(int)
    sizes: dict[Any, int] = {}
    for each in chosen:
        for tier, bought in (("baseline", each.baseline), ("burst", each.burst)):
            if bought is not None:
                key = (tier, each.machine.id, bought.capacity_types[0], bought.usd_per_hour)
                taken[key] += each.accelerators(tier)
                sizes[key] = each.machine.accelerators
    return {key: math.ceil(count / sizes[key]) for key, count in taken.items()}


def plain_cost(chosen: Any, burst_hours: Decimal) -> Decimal:
    hours = {"baseline": Decimal(720), "burst": burst_hours}
    return sum((key[3] * hours[key[0]] * count for key, count in plain_nodes(chosen).items()), Decimal(0))


def plain_vcpus(chosen: Any, quota: Quota) -> int:
    return sum(count * quota.vcpus.get((key[1], key[2] == "spot"), 0) for key, count in plain_nodes(chosen).items())


@settings(derandomize=True, deadline=None, database=None, max_examples=examples(240))
@given(plain())
def test_limits_of_plain_options_against_brute_force(market):
    by_agent, hours, cheapest, quota, share = market
    budget = None if share is None else (plain_cost(cheapest, Decimal(0)) * share).quantize(Decimal("0.01"))
    kept = [
        plain_cost(chosen, hours)
        for chosen in itertools.product(*by_agent)
        if plain_vcpus(chosen, quota) <= quota.most and (budget is None or plain_cost(chosen, Decimal(0)) <= budget)
    ]
    stated = Terms(burst_hours=hours, quotas=(quota,), budget_usd=budget)
    if not kept:
        with pytest.raises(Conflict):
            place(by_agent, (), True, stated)
        return
    found = place(by_agent, (), True, stated)
    assert plain_cost(found.options, hours) == min(kept)
    assert found.usd == min(kept)
    without_quota = Terms(burst_hours=hours, budget_usd=budget)
    assert place(by_agent, (), True, without_quota).usd <= found.usd


def test_what_is_cheapest_drops_nothing_where_a_quota_counts_it() -> None:
    quota = Quota(name="quota", most=8, vcpus={(PLAIN[0].id, False): 8})
    by_agent = [[option(agent, PLAIN[0], count), option(agent, PLAIN[1], count)] for agent, count in ((0, 3), (1, 2))]
    assert place(by_agent, (), True, Terms(burst_hours=Decimal(36))).usd == Decimal("2160.00")
    assert place(by_agent, (), True, Terms(burst_hours=Decimal(36), quotas=(quota,))).usd == Decimal("3744.00")


def test_what_is_cheapest_drops_nothing_whose_baseline_costs_less() -> None:
    by_agent = [[option(agent, PLAIN[0], 3), option(agent, PLAIN[1], 1, 3)] for agent in range(4)]
    assert place(by_agent, (), True, Terms(burst_hours=Decimal(720))).usd == Decimal("5184.00")
    limited = Terms(burst_hours=Decimal(720), budget_usd=Decimal(1872))
    assert place(by_agent, (), True, limited).usd == Decimal("7488.00")


CATALOG = make_catalog(
    (
        *offerings("g6.small", "small-40", on_demand="1.00", spot="0.40", vcpu=16),
        *offerings("p5.large", "large-80", on_demand="3.00", spot="1.20", vcpu=24),
    )
)
G, P = "L-DB2E81BA", "L-417A185B"
ALONE = {"shareAccelerators": "never"}


def quoted(*quotas: dict[str, Any], agents: int = 2, **capacity: Any) -> Any:
    stack = [make_agent(f"agent-{number}", overrides={"baselineReplicas": 1}) for number in range(agents)]
    return plan(*stack, catalog=CATALOG, capacity={**ALONE, **capacity, "quotas": list(quotas)})


def types(found: Any) -> list[str]:
    return sorted(item.instance_type for item in found.cost.line_items for _ in range(item.nodes))


def test_a_quota_is_kept_by_dearer_machines() -> None:
    assert types(quoted()) == ["g6.small"] * 2
    found = quoted({"code": G, "vcpus": 16})
    assert types(found) == ["g6.small", "p5.large"]
    assert all(need.vcpus <= 16 for need in found.vcpu_quotas if need.code == G)


def test_stricter_is_never_cheaper() -> None:
    costs = [quoted({"code": G, "vcpus": most}).cost.expected_usd_per_month for most in (64, 32, 16, 0)]
    assert costs == sorted(costs)


def test_a_smallest_set_that_cannot_be_kept_is_named_with_quota_and_budget() -> None:
    with pytest.raises(NoPlan) as caught:
        quoted({"code": G, "vcpus": 16}, {"code": P, "vcpus": 480}, budgetUsdPerMonth=1500)
    told = str(caught.value)
    assert "16 vCPUs of Running On-Demand G and VT instances (L-DB2E81BA) in us-east-1 (capacity.quotas)" in told
    assert "a baseline of at most USD 1,500.00 a month (capacity.budgetUsdPerMonth)" in told
    assert P not in told
    with pytest.raises(NoPlan, match=r"16 vCPUs of .* and 0 vCPUs of"):
        quoted({"code": G, "vcpus": 16}, {"code": P, "vcpus": 0})


def test_a_budget_alone_says_what_the_cheapest_baseline_needs() -> None:
    with pytest.raises(OverBudget, match=r"needs USD 1,440.00 a month, over the budget of USD 1,000.00"):
        quoted(budgetUsdPerMonth=1000)


def test_a_quota_that_nobody_knows_is_a_fault() -> None:
    with pytest.raises(BadInput, match=r"capacity.quotas\[0\].code: no quota of vCPUs with the code 'L-00000000'"):
        quoted({"code": "L-00000000", "vcpus": 1})
