"""Commitments: bounded columns of the program against brute force, and what a plan says of them."""

from __future__ import annotations

import itertools
import math
from collections import defaultdict
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentgpu_iac.errors import BadInput
from agentgpu_iac.plan import Plan
from agentgpu_iac.planning.choosing.commitments import committed, meter
from agentgpu_iac.planning.choosing.limits import Terms
from agentgpu_iac.planning.choosing.option import Option
from agentgpu_iac.planning.choosing.placement import place
from agentgpu_iac.spec.model import Commitment, SavingsRate
from tests.planning.scenes import codes, make_agent, make_catalog, offerings, plan
from tests.planning.test_placement import machine, option
from tests.thoroughness import examples

MACHINES = (machine("one", 1, "1.00"), machine("four", 4, "3.40"), machine("other", 4, "3.10"))
MONTH = Decimal(720)


@st.composite
def markets(draw):
    """Two or three agents on machines of one to three kinds, reserved machines of one kind, and a savings plan."""
    by_agent: list[list[Option]] = []
    for position in range(draw(st.integers(2, 3))):
        options = [
            option(position, where, draw(st.integers(1, 5)), draw(st.integers(0, 3)), draw(st.integers(1, 2)))
            for where in MACHINES
            if where.accelerators > 1 or draw(st.booleans())
        ]
        by_agent.append(
            [each for each in options if each.candidates[0].accelerators_per_replica <= each.machine.accelerators]
        )
    where = draw(st.sampled_from(MACHINES))
    stated = [
        Commitment(
            kind="reserved",
            machine=where.instance.name,
            count=draw(st.integers(1, 4)),
            usd_per_hour=Decimal(draw(st.sampled_from(["0.70", "1.90", "3.30"]))),
            signed=draw(st.booleans()),
        ),
        Commitment(
            kind="savings-plan",
            usd_per_hour=Decimal(draw(st.sampled_from(["0.5", "2.2", "9"]))),
            rates=(
                SavingsRate(machine="four", usd_per_hour=Decimal("2.10")),
                SavingsRate(machine="other", usd_per_hour=Decimal("2.05")),
            ),
            signed=draw(st.booleans()),
        ),
    ]
    return by_agent, stated[: draw(st.integers(1, 2))]


def nodes(chosen: tuple[Option, ...]) -> dict[tuple[Any, str], int]:
    taken: defaultdict[tuple[Any, str], int] = defaultdict(int)
    sizes = {each.machine.id: each.machine.accelerators for each in chosen}
    for each in chosen:
        for tier in ("baseline", "burst"):
            taken[each.machine.id, tier] += each.accelerators(tier)  # type: ignore[arg-type]
    return {key: math.ceil(count / sizes[key[0]]) for key, count in taken.items()}


def cost(chosen: tuple[Option, ...], stated: list[Commitment], burst_hours: Decimal) -> Decimal:
    """What a choice costs with the best use of what is committed."""
    count = nodes(chosen)
    prices = {each.machine.id: each.baseline.usd_per_hour for each in chosen}
    hours = {"baseline": MONTH, "burst": burst_hours}
    full = sum((prices[kind] * n * hours[tier] for (kind, tier), n in count.items()), Decimal(0))
    reserved = stated[0]
    places = [key for key in count if key[0][1] == reserved.machine and (key[1] == "baseline" or reserved.signed)]
    ways = itertools.product(*(range(min(count[key], reserved.count or 0) + 1) for key in places))
    best = None
    for way in ways:
        used = sum(way)
        if used > (reserved.count or 0):
            continue
        usd = full + reserved.usd_per_hour * MONTH * (reserved.count or 0 if reserved.signed else used)
        left = dict(count)
        for key, covered in zip(places, way, strict=True):
            usd -= prices[key[0]] * covered * hours[key[1]]
            left[key] -= covered
        if len(stated) > 1:
            usd += saved_by_a_plan(left, stated[1], prices, hours)
        best = usd if best is None else min(best, usd)
    assert best is not None
    return best


def saved_by_a_plan(
    left: dict[tuple[Any, str], int], stated: Commitment, prices: dict[Any, Decimal], hours: dict[str, Decimal]
) -> Decimal:
    """What a savings plan adds to the cost: used up first where an hour of it saves most."""
    rates = {rate.machine: rate.usd_per_hour for rate in stated.rates}
    usd = stated.usd_per_hour * MONTH if stated.signed else Decimal(0)
    found = []
    for (kind, tier), n in left.items():
        if kind[1] not in rates or (tier == "burst" and not stated.signed):
            continue
        rate = rates[kind[1]]
        worth = prices[kind] * hours[tier] - (Decimal(0) if stated.signed else rate * MONTH)
        found.append((worth / rate, rate * n))
    room = stated.usd_per_hour
    for worth, most in sorted(found, reverse=True):
        taken = min(room, most)
        if worth > 0:
            usd -= worth * taken
            room -= taken
    return usd


@settings(derandomize=True, deadline=None, database=None, max_examples=examples(150))
@given(markets(), st.sampled_from([36, 300]))
def test_commitments_against_brute_force(market, burst_hours):
    by_agent, stated = market
    terms = Terms(burst_hours=Decimal(burst_hours), commitments=committed(stated, MACHINES, "2026-11-27"))
    found = place(by_agent, (), True, terms)
    least = min(cost(chosen, stated, terms.burst_hours) for chosen in itertools.product(*by_agent))
    assert abs(found.usd - least) < Decimal("0.005")
    assert abs(cost(found.options, stated, terms.burst_hours) - least) < Decimal("0.005")
    dearer = [each.model_copy(update={"usd_per_hour": each.usd_per_hour * 2}) for each in stated if each.rates == ()]
    if dearer and not stated[0].signed:
        worse = Terms(burst_hours=terms.burst_hours, commitments=committed(dearer, MACHINES, "2026-11-27"))
        assert place(by_agent, (), True, worse).usd >= place(
            by_agent, (), True, Terms(burst_hours=terms.burst_hours, commitments=committed(stated[:1], MACHINES, ""))
        ).usd - Decimal("0.005")


CATALOG = make_catalog(
    (*offerings("s1", "small-40", on_demand="1.00", spot="0.40"), *offerings("l1", "large-80", on_demand="1.10"))
)
RESERVED = {"kind": "reserved", "machine": "s1", "count": 4, "usdPerHour": 0.5}


def with_commitments(*stated: dict[str, Any], replicas: int = 2, **spec: Any) -> Plan:
    agent = make_agent(overrides={"baselineReplicas": replicas})
    return plan(agent, catalog=CATALOG, capacity={"commitments": list(stated)}, **spec)


def test_as_many_are_signed_as_the_baseline_uses() -> None:
    found = with_commitments(RESERVED)
    (bound,) = found.cost.commitments
    assert (bound.committed, bound.most) == (2, 4)
    assert found.cost.baseline_usd_per_month == Decimal("720.00")
    assert found.cost.by_agent[0].usd_per_month == Decimal("720.00")
    assert [(pair.machine, pair.hours_per_month) for pair in bound.break_even] == [("s1", 360.0)]
    assert {"commitment-beyond-baseline", "commitment-on-a-forecast"} <= codes(found)


def test_what_is_signed_is_paid_though_nothing_uses_it() -> None:
    found = with_commitments({**RESERVED, "signed": True})
    (bound,) = found.cost.commitments
    assert (bound.usd_per_month, bound.unused_ratio) == (Decimal("1440.00"), 0.5)
    assert found.cost.baseline_usd_per_month == Decimal("1440.00")
    assert found.cost.peak_usd_per_hour == 2
    message = next(each.message for each in found.warnings if each.code == "commitment-beyond-baseline")
    assert message.startswith("4 x s1 are signed (capacity.commitments[0]), and the baseline uses 2 x s1: USD 720.00")


def test_another_machine_is_chosen_where_a_commitment_makes_it_cheaper() -> None:
    assert {item.instance_type for item in with_commitments().cost.line_items} == {"s1"}
    found = with_commitments({**RESERVED, "machine": "l1"}, replicas=1)
    assert {item.instance_type for item in found.cost.line_items} == {"l1"}


def test_what_is_paid_at_once_is_spread_over_the_term() -> None:
    found = with_commitments({**RESERVED, "usdPerHour": 0, "upfrontUsd": 4380, "termMonths": 12})
    (bound,) = found.cost.commitments
    assert (bound.usd_per_hour, bound.upfront_usd) == (Decimal("0.5"), Decimal("8760.00"))


def test_one_that_never_pays_is_not_signed() -> None:
    found = with_commitments({**RESERVED, "usdPerHour": 1.5})
    assert found.cost.commitments[0].committed == 0
    assert "on demand is no dearer in the 720 h" in " ".join(each.message for each in found.warnings)


def test_a_block_covers_the_hours_between_its_days() -> None:
    block = {**RESERVED, "kind": "capacity-block", "count": 1, "starts": "2027-01-04", "ends": "2027-01-19"}
    (bound,) = with_commitments(block, replicas=1).cost.commitments
    assert (bound.hours_per_month, bound.covers_usd_per_month) == (360.0, Decimal("360.00"))


def test_one_that_has_ended_is_not_counted() -> None:
    found = with_commitments({**RESERVED, "signed": True, "ends": "2026-09-01"})
    assert not found.cost.commitments
    assert "commitment-ended" in codes(found)


def test_the_sums_are_told() -> None:
    found = with_commitments(RESERVED)
    lines = {entry.name: entry for entry in found.ledger}
    assert lines["commitment 1 (reserved) covers"].value == 1440.0
    assert lines["commitment 1 (reserved) costs"].value == 720.0
    assert lines["commitment 1 (reserved) pays from, for s1 in us-east-1"].value == 360.0


@pytest.mark.parametrize(
    ("stated", "spec", "message"),
    [
        ({**RESERVED, "machine": "s2"}, {}, "unknown instance type 's2'"),
        (RESERVED, {"accelerators": {"deny": ["small-40"]}}, "the stack may use no s1"),
        ({**RESERVED, "region": "eu-west-1"}, {}, "the stack may use no s1 in eu-west-1"),
    ],
)
def test_a_commitment_over_machines_that_may_not_be_used_is_a_fault(
    stated: dict[str, Any], spec: dict[str, Any], message: str
) -> None:
    with pytest.raises(BadInput, match=message) as caught:
        with_commitments(stated, **spec)
    assert "capacity.commitments[0].machine" in str(caught.value)


def test_nodes_are_counted_by_kind_and_tier() -> None:
    assert meter(MACHINES[0].id, "baseline") != meter(MACHINES[0].id, "burst")
