"""How each tier is bought: spot, on-demand, reserved; and how many replicas are always warm."""

from __future__ import annotations

from decimal import Decimal
from typing import ClassVar

import pytest
from hypothesis import given, settings

from agentgpu_iac.planning.choosing import tiers
from agentgpu_iac.planning.demand import demand
from agentgpu_iac.planning.planner import NoPlan
from agentgpu_iac.spec.model import Capacity, Observed
from tests.planning.scenes import DENSE, codes, load, make_agent, make_catalog, offerings, plan, workload
from tests.planning.stacks import rules, stacks
from tests.thoroughness import examples

ONE_CARD = make_catalog(offerings("s1", "small-40", on_demand="1.00", spot="0.40", reserved="0.60"))
BURSTY = make_agent(
    sessions={"concurrent": 20, "peak": 100},
    traffic={"rampS": 5000.0},
    conversation={"thinkTimeS": 60.0},
    pausedCache="keep",
)
"""Needs a burst tier on the small card, which holds them all; the ramp is slower than any cold start."""


def bought(found, tier="baseline", agent="support"):
    return found.pool(workload(found, agent, tier).node_pool).capacity_types


class TestSpot:
    @settings(derandomize=True, deadline=None, database=None, max_examples=examples(40))
    @given(stacks(), rules)
    def test_a_user_facing_baseline_is_never_on_spot(self, stack, spec):
        try:
            found = plan(*stack, **spec)
        except NoPlan:
            return
        for one in found.workloads:
            ways = found.pool(one.node_pool).capacity_types
            if one.tier == "baseline" and one.user_facing:
                assert "spot" not in ways
                assert one.replicas.min >= 1  # and nothing user-facing scales to zero
            if "spot" in ways:
                assert ways == ("spot", "on-demand")  # one pool with both, not two pools
            if spec["capacity"]["spot"] == "never":
                assert "spot" not in ways

    def test_the_baseline_says_why_not(self):
        assert ("small-40", "spot-baseline") in {
            (one.accelerator, one.constraint) for one in plan(catalog=ONE_CARD).rejections
        }

    def test_a_burst_that_drains_in_time(self):
        found = plan(BURSTY, catalog=ONE_CARD)
        burst = workload(found, tier="burst")
        assert bought(found) == ("on-demand",)
        assert bought(found, "burst") == ("spot", "on-demand")
        assert burst.drain.notice_s == 120
        assert burst.drain.grace_period_s <= 120 - tiers.NOTICE_DETECTION_S
        pool = found.pool(burst.node_pool)
        assert (pool.usd_per_hour, pool.fallback_usd_per_hour) == (Decimal("0.40"), Decimal("1.00"))

    def test_a_burst_of_long_answers_is_on_demand(self):
        conversation = {"turns": 1, "outputTokensPerTurn": 4000, "thinkTimeS": 600.0}
        found = plan({**BURSTY, "conversation": conversation}, catalog=ONE_CARD)
        assert bought(found, "burst") == ("on-demand",)
        refusal = next(one for one in found.rejections if one.constraint == "spot-drain")
        assert refusal.limit == 115
        assert refusal.need == workload(found, tier="burst").drain.grace_period_s > 115

    def test_never_means_never(self):
        found = plan(BURSTY, make_agent("job", latencyClass="background"), catalog=ONE_CARD, capacity={"spot": "never"})
        assert all(pool.capacity_types == ("on-demand",) for pool in found.node_pools)

    def test_a_provider_without_notice(self):
        catalog = make_catalog(offerings("v1", "small-40", on_demand="1.00", spot="0.40", provider="silent"))
        place = {"target": "kubernetes", "providers": ["silent"]}
        refused = plan(BURSTY, catalog=catalog, **place)
        assert bought(refused, "burst") == ("on-demand",)
        assert "spot-notice" in {one.constraint for one in refused.rejections}
        accepted = plan(BURSTY, catalog=catalog, capacity={"burstWithoutNotice": "accept"}, **place)
        assert bought(accepted, "burst") == ("spot", "on-demand")
        assert "spot-without-notice" in codes(accepted, "support")

    def test_spot_at_more_than_on_demand_is_not_taken(self):
        found = plan(BURSTY, catalog=make_catalog(offerings("s1", "small-40", on_demand="1.00", spot="1.10")))
        assert bought(found, "burst") == ("on-demand",)

    def test_no_spot_on_sale(self):
        found = plan(BURSTY, catalog=make_catalog(offerings("s1", "small-40", on_demand="1.00")))
        assert bought(found, "burst") == ("on-demand",)

    def test_only_spot_on_sale(self):
        catalog = make_catalog(offerings("s1", "small-40", spot="0.40"))
        with pytest.raises(NoPlan, match="has a price for spot only"):
            plan(catalog=catalog)
        found = plan(make_agent(latencyClass="background"), catalog=catalog)
        assert bought(found) == ("spot",)
        assert found.node_pools[0].fallback_usd_per_hour is None


class TestBackground:
    def test_spot_with_on_demand_behind_it_in_one_pool(self):
        found = plan(make_agent(latencyClass="background"), catalog=ONE_CARD)
        (pool,) = found.node_pools
        assert pool.capacity_types == ("spot", "on-demand")
        assert (pool.usd_per_hour, pool.fallback_usd_per_hour) == (Decimal("0.40"), Decimal("1.00"))
        assert found.cost.baseline_usd_per_month == Decimal("288.00")

    def test_a_checkpointed_agent_is_bought_the_same_way(self):
        found = plan(make_agent(interruptible=True), catalog=ONE_CARD)
        assert bought(found) == ("spot", "on-demand")

    def test_the_on_demand_floor(self):
        """Half of four replicas stay on-demand; warm are only as many as normal load needs where that is cheaper."""
        agent = make_agent(
            latencyClass="background",
            sessions={"concurrent": 1, "peak": 4},
            overrides={"maxNumSeqs": 1},
        )
        assert bought(plan(agent, catalog=ONE_CARD)) == ("spot", "on-demand")
        found = plan(agent, catalog=ONE_CARD, capacity={"onDemandFloorRatio": 0.5})
        assert bought(found) == ("on-demand",)
        assert bought(found, "burst") == ("on-demand",)
        assert workload(found).replicas.min == 1
        assert workload(found, tier="burst").replicas.max == 3
        whole = plan(agent, catalog=ONE_CARD, capacity={"onDemandFloorRatio": 1.0})
        assert {one.capacity_types for one in whole.node_pools} == {("on-demand",)}
        assert workload(whole).replicas.min == 1

    def test_the_least_floor_takes_a_whole_baseline_off_spot(self):
        """As the field says: however small the share."""
        agent = make_agent(latencyClass="background", sessions={"concurrent": 9}, overrides={"maxNumSeqs": 1})
        free, floored = (plan(agent, catalog=ONE_CARD, capacity={"onDemandFloorRatio": share}) for share in (0.0, 0.01))
        assert (bought(free), bought(floored)) == (("spot", "on-demand"), ("on-demand",))
        assert workload(free).replicas.min == workload(floored).replicas.min == 9

    def test_a_baseline_that_is_set_by_hand_is_below_the_floor_if_it_says_so(self):
        by_hand = {"maxNumSeqs": 1, "baselineReplicas": 1, "burstReplicas": 3}
        agent = make_agent(latencyClass="background", sessions={"concurrent": 1, "peak": 4}, overrides=by_hand)
        found = plan(agent, catalog=ONE_CARD, capacity={"onDemandFloorRatio": 0.5})
        assert workload(found).replicas.min == 1

    def test_the_on_demand_floor_is_warm_where_the_burst_runs_all_month(self):
        agent = make_agent(
            latencyClass="background",
            sessions={"concurrent": 1, "peak": 4},
            overrides={"maxNumSeqs": 1},
        )
        always = {"onDemandFloorRatio": 0.5, "burstHoursPerMonth": 720}
        found = plan(agent, catalog=ONE_CARD, capacity=always)
        assert bought(found, "burst") == ("spot", "on-demand")
        assert workload(found).replicas.min == 2


class TestLosses:
    """What may be lost while normal load is carried."""

    ROWS = make_catalog(
        (*offerings("s1", "small-40", on_demand="1.00"), *offerings("s8", "small-40", 8, on_demand="1.50"))
    )

    @pytest.mark.parametrize(
        ("survive", "machine", "warm"), [("nothing", "s1", 1), ("replica", "s8", 2), ("node", "s1", 2)]
    )
    def test_warm_replicas_carry_normal_load_after_it(self, survive, machine, warm):
        capacity = {"survive": survive, "shareAccelerators": "never"}
        found = plan(make_agent(), catalog=self.ROWS, capacity=capacity)
        assert (workload(found).replicas.min, found.node_pools[0].instance_types[0]) == (warm, machine)

    def test_a_background_agent_waits(self):
        capacity = {"survive": "node", "shareAccelerators": "never"}
        found = plan(make_agent(latencyClass="background"), catalog=self.ROWS, capacity=capacity)
        assert workload(found).replicas.min == 1


class TestReserved:
    STABLE: ClassVar = {"days": 30, "baselineRatio": 0.8, "baselineSessions": 4}

    def test_after_30_stable_days(self):
        found = plan(catalog=ONE_CARD, observed=self.STABLE)
        assert bought(found) == ("reserved", "on-demand")
        assert [(item.capacity_type, item.nodes) for item in found.cost.line_items] == [("reserved", 1)]
        assert found.cost.baseline_usd_per_month == Decimal("432.00")

    @pytest.mark.parametrize(
        ("changes", "constraint", "need", "limit"),
        [
            ({"days": 29}, "reserved-days", 30, 29),
            ({"baselineRatio": 0.79}, "reserved-stability", 0.8, 0.79),
            ({"days": 0, "baselineRatio": 0.0, "baselineSessions": 0}, "reserved-days", 30, 0),
        ],
    )
    def test_not_before(self, changes, constraint, need, limit):
        found = plan(catalog=ONE_CARD, observed={**self.STABLE, **changes})
        assert bought(found) == ("on-demand",)
        refusal = next(one for one in found.rejections if one.constraint == constraint)
        assert (refusal.need, refusal.limit) == (need, limit)

    def test_only_up_to_the_observed_baseline(self):
        """10 nodes; a quarter of the sessions was observed, so 2 whole nodes are reserved and 8 are not."""
        agent = make_agent(sessions={"concurrent": 40}, overrides={"maxNumSeqs": 4})
        found = plan(agent, catalog=ONE_CARD, observed={**self.STABLE, "baselineSessions": 10})
        assert bought(found) == ("reserved", "on-demand")
        split = [(item.capacity_type, item.nodes, item.usd_per_month) for item in found.cost.line_items]
        assert split == [("reserved", 2, Decimal("864.00")), ("on-demand", 8, Decimal("5760.00"))]
        assert found.cost.baseline_usd_per_month == Decimal("6624.00")

    def test_not_half_a_node(self):
        """One node carries 4 sessions of which 2 were observed: nothing is reserved, and nothing is blended."""
        found = plan(catalog=ONE_CARD, observed={**self.STABLE, "baselineSessions": 2})
        assert bought(found) == ("on-demand",)
        assert found.cost.baseline_usd_per_month == Decimal("720.00")

    def test_not_at_more_than_on_demand(self):
        catalog = make_catalog(offerings("s1", "small-40", on_demand="1.00", reserved="1.00"))
        assert bought(plan(catalog=catalog, observed=self.STABLE)) == ("on-demand",)

    def test_a_background_agent_is_not_reserved(self):
        found = plan(make_agent(latencyClass="background"), catalog=ONE_CARD, observed=self.STABLE)
        assert bought(found) == ("spot", "on-demand")

    def test_sessions_are_summed_over_the_user_facing_agents(self):
        catalog = make_catalog(offerings("s1", "small-40", on_demand="1.00", reserved="0.60"))
        agents = [make_agent(f"agent-{one}", sessions={"concurrent": 10}) for one in range(4)]
        found = plan(
            *agents,
            catalog=catalog,
            observed={**self.STABLE, "baselineSessions": 20},
            capacity={"shareAccelerators": "never"},
        )
        split = {(item.capacity_type, item.nodes) for item in found.cost.line_items}
        assert split == {("reserved", 2), ("on-demand", 2)}

    def test_nodes_that_only_wait_for_a_burst_are_not_reserved(self):
        agent = make_agent(sessions={"concurrent": 4, "peak": 20}, overrides={"maxNumSeqs": 4}, traffic={"rampS": 0.0})
        found = plan(agent, catalog=ONE_CARD, observed={**self.STABLE, "baselineSessions": 4})
        assert workload(found).replicas.min == 5
        reserved = sum(item.nodes for item in found.cost.line_items if item.capacity_type == "reserved")
        assert reserved == 1

    @pytest.mark.parametrize(
        ("days", "ratio", "observed", "sessions", "share"),
        [
            (30, 0.8, 5, 10, 0.5),
            (30, 0.8, 50, 10, 1.0),
            (29, 1.0, 10, 10, 0.0),
            (90, 0.5, 10, 10, 0.0),
            (90, 0.9, 10, 0, 0.0),
        ],
    )
    def test_the_share(self, days, ratio, observed, sessions, share):
        seen = Observed(days=days, baseline_ratio=ratio, baseline_sessions=observed)
        assert tiers.reserved_ratio(seen, sessions) == share


class TestFastBursts:
    AGENT = make_agent(
        sessions={"concurrent": 10, "peak": 40},
        overrides={"maxNumSeqs": 10, "coldStartS": 300.0},
        conversation={"thinkTimeS": 60.0},
    )

    def ramp(self, seconds: float, **capacity):
        agent = {**self.AGENT, "traffic": {"rampS": seconds}}
        return plan(agent, catalog=ONE_CARD, capacity=capacity)

    def test_a_ramp_shorter_than_the_cold_start_is_absorbed(self):
        found = self.ramp(60.0)
        assert workload(found).replicas.min == 4
        assert [one.tier for one in found.workloads] == ["baseline"]
        assert "burst-absorbed" in codes(found, "support")
        assert "burst-outruns-cold-start" not in codes(found)

    def test_a_longer_ramp_needs_fewer_warm_replicas(self):
        """By 300 s of a ramp of 1,000 s, 10 + 0.3 x 30 = 19 sessions are there: 2 replicas of 10."""
        found = self.ramp(1000.0)
        assert workload(found).replicas.min == 2
        assert workload(found, tier="burst").replicas.max == 2
        assert {"burst-absorbed", "burst-outruns-cold-start"}.isdisjoint(codes(found))

    def test_a_warm_replica_is_filled_to_what_it_can_carry(self):
        """100 to 129 at the peak, 75% of them before anybody is ready: more sessions never need fewer warm replicas."""
        catalog = make_catalog(offerings("s1", "small-40", on_demand="1.00"))
        warm = []
        for peak in range(100, 130):
            agent = make_agent(
                sessions={"concurrent": 1, "peak": peak}, overrides={"coldStartS": 300.0}, traffic={"rampS": 400.0}
            )
            one = workload(plan(agent, catalog=catalog))
            early = tiers.sessions_before_ready(demand(load(agent).stack.spec.agents[0], DENSE), 300.0)
            assert one.replicas.min * one.max_num_seqs >= early
            warm.append(one.replicas.min)
        assert warm == sorted(warm)

    def test_or_is_turned_away(self):
        found = self.ramp(60.0, fastBurst="turn-away")
        assert workload(found).replicas.min == 1
        assert workload(found, tier="burst").replicas.max == 3
        (warning,) = [one for one in found.warnings if one.code == "burst-outruns-cold-start"]
        assert "75% are turned away" in warning.message
        assert "burst-outruns-cold-start" not in codes(self.ramp(1000.0, fastBurst="turn-away"))

    def test_a_background_burst_may_wait(self):
        agent = {**self.AGENT, "latencyClass": "background", "traffic": {"rampS": 0.0}}
        found = plan(agent, catalog=ONE_CARD)
        assert workload(found).replicas.min == 1

    @pytest.mark.parametrize(
        ("ramp", "cold", "expected"), [(60.0, 300.0, 40), (300.0, 300.0, 40), (600.0, 300.0, 25), (0.0, 1.0, 40)]
    )
    def test_sessions_that_come_too_early(self, ramp, cold, expected):
        agent = load({**self.AGENT, "traffic": {"rampS": ramp}}).stack.spec.agents[0]
        assert tiers.sessions_before_ready(demand(agent, DENSE), cold) == expected


class TestDrain:
    @staticmethod
    def answering(tokens: int, **conversation):
        agent = make_agent(conversation={"outputTokensPerTurn": tokens, **conversation})
        return demand(load(agent).stack.spec.agents[0], DENSE)

    def test_exactly_the_notice(self):
        one = self.answering(150)
        assert tiers.spot_refusal(one, Capacity(), 120, 115) is None
        refusal = tiers.spot_refusal(one, Capacity(), 120, 116)
        assert (refusal.constraint, refusal.need, refusal.limit) == ("spot-drain", 116, 115)
