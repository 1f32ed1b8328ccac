"""Offerings whose price nobody knows: left out, or counted at the dearest known price of their accelerators."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from agentgpu_iac.catalog.model import Offering
from agentgpu_iac.plan import Plan
from agentgpu_iac.planning.choosing.remembering import Evaluators
from agentgpu_iac.planning.planner import NoPlan
from tests.planning.scenes import OFFERINGS, UNKNOWN, codes, make_agent, make_catalog, offerings, plan
from tests.planning.stacks import stacks, unreserved
from tests.thoroughness import examples

ALLOWED = {"policy": {"allowUnpriced": True}}
DEAREST = offerings("dear", "small-40", 4, on_demand="8.00", region="eu-west-1")
"""Out of the stack's regions, and dearer by the accelerator than anything in them."""
ONLY_UNPRICED = make_catalog(offerings("u1", "small-40", on_demand=UNKNOWN, spot=UNKNOWN) + DEAREST)
LAWS = settings(derandomize=True, deadline=None, database=None, max_examples=examples(40))


def test_left_out_unless_the_spec_allows_it() -> None:
    with pytest.raises(NoPlan, match=r"u1 .* on offer on-demand and spot, but nobody's price") as refusal:
        plan(catalog=ONLY_UNPRICED)
    (only,) = refusal.value.rejections
    assert (only.constraint, only.accelerator, only.instance_type) == ("unpriced", "small-40", "u1")
    assert "policy.allowUnpriced: true" in only.message


def test_left_out_beside_a_priced_one_is_said() -> None:
    found = plan(catalog=make_catalog(OFFERINGS + offerings("u1", "small-40", on_demand=UNKNOWN)))
    assert [one.instance_type for one in found.rejections if one.constraint == "unpriced"] == ["u1"]
    assert all(pool.price_known for pool in found.node_pools)
    assert "unpriced" not in codes(found)


def test_counts_at_the_dearest_known_price_of_as_many_accelerators() -> None:
    found = plan(catalog=ONLY_UNPRICED, **ALLOWED)
    (pool,) = found.node_pools
    (item,) = found.cost.line_items
    assert (pool.usd_per_hour, pool.price_known, item.price_known) == (Decimal("2.00"), False, False)
    assert item.price_source.startswith("price unknown; small-40 at its dearest: aws dear eu-west-1 on-demand")
    (warning,) = (one for one in found.warnings if one.code == "unpriced")
    assert "USD 2.0000 an hour, the dearest known price of 1 x small-40" in warning.message
    assert not [one for one in found.rejections if one.constraint == "unpriced"]


def test_what_no_price_could_stand_for_stays_left_out() -> None:
    with pytest.raises(NoPlan) as refusal:
        plan(catalog=make_catalog(offerings("u1", "small-40", on_demand=UNKNOWN)), **ALLOWED)
    (only,) = refusal.value.rejections
    assert only.message.endswith("no price of small-40 is known that could stand for it")


def test_a_fallback_without_a_price_makes_the_pool_unpriced() -> None:
    agent = make_agent(latencyClass="background")
    found = plan(agent, catalog=make_catalog(offerings("s1", "small-40", spot="0.40", on_demand=UNKNOWN)), **ALLOWED)
    (pool,) = found.node_pools
    (item,) = found.cost.line_items
    assert pool.capacity_types == ("spot", "on-demand")
    assert (pool.price_known, item.price_known) == (False, True)
    (warning,) = (one for one in found.warnings if one.code == "unpriced")
    assert "(aws, on-demand)" in warning.message


def expected(found: Plan) -> Decimal:
    return found.cost.expected_usd_per_month


def planned(
    stack: list[dict[str, Any]], rows: tuple[Offering, ...], spec: dict[str, Any], known: Evaluators
) -> Plan | None:
    """``known``: what the other plans of an example have evaluated; no price is in it."""
    try:
        return plan(*stack, catalog=make_catalog(rows), evaluators=known, **spec)
    except NoPlan:
        return None


def with_price(row: Offering, ratio: Decimal) -> Offering:
    """The offering at a part of the dearest known price: 3.00 and 1.125 an hour for one of each accelerator."""
    most = {"small-40": Decimal("1.125"), "large-80": Decimal("3.00")}[row.accelerator]
    return row.model_copy(update={"usd_per_hour": most * row.accelerator_count * ratio})


unknown_rows = st.sets(st.sampled_from(["s1", "s8", "l1", "l8"]), min_size=1, max_size=2)


class TestLaws:
    @LAWS
    @given(stacks(most=2), unreserved)
    def test_allowing_it_changes_nothing_where_all_prices_are_known(self, stack, spec):
        first = planned(stack, OFFERINGS, spec, known := Evaluators())
        assume(first is not None)
        both = [
            one.model_dump(exclude={"provenance", "policy", "assumptions", "written"})
            for one in (first, planned(stack, OFFERINGS, {**spec, **ALLOWED}, known))
        ]
        assert both[0] == both[1]

    @LAWS
    @given(stacks(most=2), unreserved, unknown_rows)
    def test_allowing_it_never_makes_a_plan_dearer(self, stack, spec, names):
        """The dearest price stands for the unknown one, and a plan takes it only where that is still the cheapest."""
        rows = OFFERINGS + tuple(
            row.model_copy(
                update={
                    "usd_per_hour": None,
                    "instance_type": row.instance_type.model_copy(update={"name": f"u-{row.instance_type.name}"}),
                }
            )
            for row in OFFERINGS
            if row.instance_type.name in names
        )
        without = planned(stack, rows, spec, known := Evaluators())
        assume(without is not None)
        with_them = planned(stack, rows, {**spec, **ALLOWED}, known)
        assert with_them is not None
        assert expected(with_them) <= expected(without) + Decimal("0.02") + expected(without) / 1_000_000

    @pytest.mark.broad(every=0)
    @LAWS
    @given(stacks(most=2), unreserved, st.sampled_from(["s1", "s8"]), st.sampled_from(["0.1", "0.5", "1"]))
    def test_no_price_up_to_the_dearest_makes_it_dearer_than_was_said(self, stack, spec, name, ratio):
        """What the plan says it costs is a bound over all prices that the unknown one may turn out to be, up to it."""
        known = tuple(row for row in OFFERINGS if row.instance_type.name != name)
        hidden = tuple(row for row in OFFERINGS if row.instance_type.name == name and row.capacity_type == "on-demand")
        unknown = tuple(row.model_copy(update={"usd_per_hour": None}) for row in hidden)
        dearest = offerings("dear", "small-40", 8, on_demand="9.00", region="eu-west-1")
        said = planned(stack, (*known, *unknown, *dearest), {**spec, **ALLOWED}, evaluated := Evaluators())
        assume(said is not None)
        revealed = tuple(with_price(row, Decimal(ratio)) for row in hidden)
        turned_out = planned(stack, (*known, *revealed, *dearest), spec, evaluated)
        assert turned_out is not None
        assert expected(turned_out) <= expected(said) + Decimal("0.02") + expected(said) / 1_000_000
