"""What a cost says of itself: how old its prices are, and that each node is counted as it is bought."""

from __future__ import annotations

import dataclasses
from decimal import Decimal
from typing import Any

import pytest

from agentgpu_iac.catalog.store import Catalog
from agentgpu_iac.plan import Plan
from tests.planning.scenes import NEWEST_DATE, codes, make_agent, make_catalog, offerings, only, plan

SMALL = offerings("s1", "small-40", on_demand="1.00", spot="0.40", reserved="0.60")
BURST: dict[str, Any] = {"burstFactor": 20.0, "rampS": 3000.0}


def dated(date: str, asked_on: str = "") -> Catalog:
    rows = tuple(row.model_copy(update={"price_date": date}) for row in SMALL)
    return dataclasses.replace(make_catalog(rows), asked_on=asked_on)


def said(found: Plan, code: str) -> str:
    (one,) = (warning for warning in found.warnings if warning.code == code)
    return one.message


class TestAges:
    """Days count to the catalog's newest one, 2026-09-01, unless somebody gives another."""

    @pytest.mark.parametrize(
        ("date", "days"), [("2026-06-03", 90), ("2026-06-02", 91), ("2026-06", 92), ("2026-10-01", 0)]
    )
    def test_an_old_price_is_said_beside_the_cost(self, date: str, days: int) -> None:
        found = plan(catalog=dated(date))
        age = found.cost.price_age
        assert age is not None
        assert (age.day, age.oldest_date, age.days, age.limit_days) == (NEWEST_DATE, date, days, 90)
        assert ("old-prices" in codes(found)) is (days > 90)
        assert (f"Prices are up to {days} days old." in found.facts) is (days > 90)

    def test_a_day_that_is_given_counts(self) -> None:
        found = plan(catalog=dated("2026-08-20", asked_on="2027-01-01"))
        assert found.cost.price_age is not None
        assert (found.cost.price_age.day, found.cost.price_age.days) == ("2027-01-01", 134)
        assert "134 days old, 90 at most are wanted (capacity.maxPriceAgeDays), and today is 2027-01-01" in said(
            found, "old-prices"
        )
        assert "s1 (aws, us-east-1, on-demand) of 2026-08-20" in said(found, "old-prices")

    def test_without_one_the_plan_is_the_same_on_every_day(self) -> None:
        assert plan(catalog=dated("2026-06-01")) == plan(catalog=dated("2026-06-01"))

    def test_the_limit_is_yours(self) -> None:
        assert "old-prices" not in codes(plan(catalog=dated("2026-06-01"), capacity={"maxPriceAgeDays": 92}))
        assert "old-prices" in codes(plan(catalog=dated("2026-08-31", "2026-09-02"), capacity={"maxPriceAgeDays": 1}))

    def test_a_price_without_a_date_is_no_young_one(self) -> None:
        found = plan(catalog=dated(""))
        assert found.cost.price_age is not None
        assert (found.cost.price_age.days, found.cost.price_age.undated) == (None, 1)
        assert found.facts[-1] == "Prices are without a date."
        assert found.headline == " ".join(found.facts)


class TestHeldCapacity:
    """A reservation is billed on demand, whatever finds no room in it is bought as."""

    def test_a_background_baseline_is_counted_on_demand(self) -> None:
        """Once the sentence said so while the sum had the spot price."""
        job = make_agent(latencyClass="background")
        free, held = (
            plan(job, catalog=make_catalog(SMALL), capacity={"reservation": kind}) for kind in ("none", "on-demand")
        )
        assert [item.capacity_type for item in free.cost.line_items] == ["spot"]
        assert [(item.capacity_type, item.usd_per_hour) for item in held.cost.line_items] == [("on-demand", 1)]
        assert held.cost.baseline_usd_per_month == Decimal("720.00")
        assert (held.node_pools[0].capacity_types, held.node_pools[0].usd_per_hour) == (
            ("reserved", "spot", "on-demand"),
            1,
        )
        assert "the cost counts those of the baseline at the on-demand price" in said(held, "held-capacity")

    def test_a_burst_is_counted_as_what_finds_no_room_is_bought(self) -> None:
        found = plan(
            make_agent(traffic=BURST, overrides={"maxNumSeqs": 4}),
            catalog=make_catalog(SMALL),
            accelerators=only("small-40"),
            capacity={"reservation": "on-demand"},
        )
        assert {item.tier: item.capacity_type for item in found.cost.line_items} == {
            "baseline": "on-demand",
            "burst": "spot",
        }
        assert "those of the baseline at the on-demand price, those of the burst at the spot price" in said(
            found, "held-capacity"
        )

    def test_a_block_was_paid_when_it_was_bought(self) -> None:
        job = make_agent(latencyClass="background")
        found = plan(job, catalog=make_catalog(SMALL), capacity={"reservation": "capacity-block"})
        assert [item.capacity_type for item in found.cost.line_items] == ["spot"]
        assert "at the price that they have without it" in said(found, "held-capacity")


OBSERVED = {"days": 60, "baselineRatio": 0.9, "baselineSessions": 4}


class TestReserved:
    def test_one_node_more_is_not_reserved(self) -> None:
        """What is there is reserved at 0.60 an hour; the second replica's node and a rollout's are bought on demand."""
        found = plan(make_agent(sessions={"concurrent": 4}), catalog=make_catalog(SMALL), observed=OBSERVED)
        assert [(item.capacity_type, item.usd_per_hour) for item in found.cost.line_items] == [
            ("reserved", Decimal("0.60"))
        ]
        (second,) = (other for other in found.cost.alternatives if "second warm replica" in other.description)
        assert (second.delta_usd_per_month, second.usd_per_month) == (Decimal("720.00"), Decimal("1152.00"))
        assert "(1 x SMALL-40, reserved)" in found.headline

    def test_a_headline_tells_reserved_nodes_from_the_others(self) -> None:
        agent = make_agent(sessions={"concurrent": 8}, overrides={"maxNumSeqs": 4})
        found = plan(agent, catalog=make_catalog(SMALL), observed=OBSERVED)
        assert [(item.capacity_type, item.nodes) for item in found.cost.line_items] == [
            ("reserved", 1),
            ("on-demand", 1),
        ]
        assert found.facts[0] == "1 x s1 (1 x SMALL-40, reserved) + 1 x s1 (1 x SMALL-40)."
        assert found.workloads[0].replica_usd_per_hour == Decimal("0.8")


class TestByAgent:
    def test_parts_add_up_and_are_told_by_the_thousand(self) -> None:
        found = plan(
            make_agent("busy", traffic={"conversationsPerDay": 100}),
            make_agent("idle"),
            catalog=make_catalog(offerings("s8", "small-40", 8, on_demand="9.00")),
            capacity={"shareAccelerators": "never"},
        )
        busy, idle = found.cost.by_agent
        assert busy.usd_per_month + idle.usd_per_month == found.cost.expected_usd_per_month
        assert (busy.asked_per_month, busy.asked) == (3000, "conversations")
        assert busy.usd_per_1000 == busy.usd_per_month / 3
        assert (idle.asked_per_month, idle.usd_per_1000) == (None, None)
        names = {one.name: one.agent for one in found.workloads}
        lines = {(names[one.workload], one.name): one for one in found.ledger if one.section.startswith("Cost of ")}
        assert lines["busy", "usdPerMonth"].value == float(busy.usd_per_month)
        assert lines["busy", "usdPer1000"].value == float(busy.usd_per_1000)
        assert ("idle", "usdPer1000") not in lines


def beside(found: Plan) -> dict[str, Decimal | None]:
    return {item.what: item.usd_per_month for item in found.cost.beside}


class TestBeside:
    """What no sum holds is listed with what is known of it."""

    def test_a_cluster_on_aws(self) -> None:
        found = plan(make_agent(traffic=BURST, overrides={"maxNumSeqs": 4}), catalog=make_catalog(SMALL))
        known = beside(found)
        assert known["the EKS control plane"] == Decimal("72.00")
        assert known["the NAT gateway"] == Decimal("32.40")
        assert known["logs that are taken into CloudWatch"] is None
        assert known["traffic between zones and to callers"] is None
        assert found.cost.beside_usd_per_month == sum(usd for usd in known.values() if usd is not None)
        assert all(item.formula and bool(item.price_date) is bool(item.price_source) for item in found.cost.beside)
        warm, burst = found.node_pools
        volumes = next(item for item in found.cost.beside if item.what == "root volumes of the nodes")
        assert f"{warm.max} x USD 27.00 (gp3, 100 GiB, 600 MiB/s) + {burst.max} x USD 27.00" in volumes.formula
        system = found.system_nodes
        assert system is not None
        each = Decimal("0.08") * system.root_volume_gib
        assert volumes.formula.endswith(
            f"+ {system.count} x USD {each} (gp3, {system.root_volume_gib} GiB, system nodes)"
        )
        accelerated = 27 * (warm.max + burst.max * Decimal(72) / 720)
        assert volumes.usd_per_month == accelerated + system.count * each

    @pytest.mark.parametrize(("day", "usd"), [("2026-09-01", "0.00"), ("2026-12-02", "0.00"), ("2026-12-03", "360.00")])
    def test_extended_support_costs_from_the_day_after(self, day: str, usd: str) -> None:
        found = plan(catalog=dated("2026-08-01", asked_on=day), pins={"kubernetesVersion": "1.34"})
        item = next(item for item in found.cost.beside if item.what.startswith("extended support"))
        assert item.usd_per_month == Decimal(usd)
        assert "2026-12-02" in item.formula

    def test_another_region_is_told_whose_prices_these_are(self) -> None:
        rows = offerings("s1", "small-40", on_demand="1.00", region="eu-west-1")
        found = plan(catalog=make_catalog(rows), regions=["eu-west-1"])
        formulas = {item.what: item.formula for item in found.cost.beside}
        assert formulas["the NAT gateway"].endswith("at the price of us-east-1")
        assert "us-east-1" not in formulas["the EKS control plane"]

    @pytest.mark.parametrize("target", ["kubernetes", "compose"])
    def test_elsewhere_nothing_is_known_and_that_is_said(self, target: str) -> None:
        found = plan(catalog=make_catalog(SMALL), target=target)
        assert found.cost.beside
        assert set(beside(found).values()) == {None}
        assert found.cost.beside_usd_per_month is None


class TestSecondReplica:
    """What another warm replica costs is asked of the planner: two small ones may cost less than one more large one."""

    CARDS = (
        *offerings("s1", "small-40", on_demand="1.00"),
        *offerings("l1", "large-80", on_demand="1.90"),
    )
    AGENT = make_agent(sessions={"concurrent": 22}, conversation={"maxContextTokens": 8192}, pausedCache="keep")

    def test_two_small_ones_in_place_of_another_large_one(self) -> None:
        catalog = make_catalog(self.CARDS)
        found = plan(self.AGENT, catalog=catalog)
        assert [item.instance_type for item in found.cost.line_items] == ["l1"]
        (second,) = (other for other in found.cost.alternatives if "second warm replica" in other.description)
        doubled = plan({**self.AGENT, "overrides": {"baselineReplicas": 2}}, catalog=catalog)
        more = doubled.cost.expected_usd_per_month - found.cost.expected_usd_per_month
        assert (
            second.delta_usd_per_month == more == Decimal("72.00")
        )  # 2 x 720 in place of 1,368; another large one: 1,368
        assert second.description == "a second warm replica: 2 x 1 SMALL-40 on s1"
        assert second.replicas == 2
        (told,) = (each.message for each in found.warnings if each.code == "single-replica")
        assert told.endswith("a second warm replica: 2 x 1 SMALL-40 on s1 costs USD 72.00 a month more")

    def test_nobody_else_gets_one(self) -> None:
        other = make_agent("other", "test/tiny", sessions={"concurrent": 1})
        found = plan(self.AGENT, other, catalog=make_catalog(self.CARDS))
        seconds = {
            each.agent: each.delta_usd_per_month
            for each in found.cost.alternatives
            if "second warm replica" in each.description
        }
        both = plan(self.AGENT, other, catalog=make_catalog(self.CARDS), capacity={"survive": "replica"})
        more = both.cost.expected_usd_per_month - found.cost.expected_usd_per_month
        assert seconds
        assert all(0 < each <= more for each in seconds.values())

    def test_engines_on_one_accelerator_do_not_survive_its_node(self) -> None:
        small = make_agent(model="test/tiny", sessions={"concurrent": 1}, conversation={"maxContextTokens": 4096})
        nodes = {
            survive: sum(
                item.nodes
                for item in plan(
                    small, target="compose", catalog=make_catalog(self.CARDS), capacity={"survive": survive}
                ).cost.line_items
            )
            for survive in ("replica", "node")
        }
        assert nodes == {"replica": 1, "node": 2}
