"""Choosing, pooling and seating agree: callers who come before the planned cold start is over have a seat."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from agentgpu_iac.errors import Infeasible
from agentgpu_iac.plan import Plan, Workload, tiers_by_agent
from agentgpu_iac.planning import settling
from agentgpu_iac.planning.choosing import tiers
from agentgpu_iac.planning.demand import demand
from agentgpu_iac.planning.deployments import together
from tests.planning.scenes import MODELS, load, make_agent, make_catalog, offerings, plan, workload
from tests.thoroughness import examples

EIGHTS = make_catalog(offerings("l8", "large-80", 8, on_demand="22.00", spot="8.00"))
MIXED = make_catalog(
    (
        *offerings("l8", "large-80", 8, on_demand="22.00", spot="8.00"),
        *offerings("l4", "large-80", 4, on_demand="11.50"),
        *offerings("l1", "large-80", on_demand="3.00", spot="1.20"),
        *offerings("s4", "small-40", 4, on_demand="4.20"),
    )
)
RUSH = make_agent(
    "rush",
    sessions={"concurrent": 40, "peak": 1200},
    conversation={"thinkTimeS": 60.0},
    traffic={"rampS": 1200.0},
)
NEIGHBOUR = make_agent("neighbour", "test/big", sessions={"concurrent": 4}, conversation={"thinkTimeS": 60.0})


def early(agents: list[dict[str, Any]], tier: Workload) -> int:
    """Sessions that come before a replica of the tier, started with the burst, is ready."""
    model = next(one for one in MODELS if one.id == tier.model)
    asked = [demand(one, model) for one in load(*agents).stack.spec.agents]
    whole = asked[0] if len(asked) == 1 else together("all", asked)
    return tiers.sessions_before_ready(whole, tier.cold_start_s.upper.alone_total)


def come(tiers_of_it: Sequence[Workload], agents: list[dict[str, Any]]) -> int:
    """Sessions that come before the last replica is ready that starts with a burst: all of the peak's where none does.

    Of a tier whose replicas all run at normal load none starts then, however long it would take one to.
    """
    starting = [one for one in tiers_of_it if one.replicas.max > one.replicas.min]
    if not starting:
        return tiers_of_it[0].sessions_peak
    return max(early(agents, one) for one in starting)


def turned_away(found: Plan, agents: list[dict[str, Any]]) -> dict[str, int]:
    """Callers of each user-facing deployment who come before the planned cold start is over and find no warm seat."""
    by_name = {agent["name"]: agent for agent in agents}
    away: dict[str, int] = {}
    for name, its_tiers in tiers_by_agent(found.workloads).items():
        baseline = its_tiers[0]
        if baseline.user_facing:
            seats = baseline.replicas.min * baseline.max_num_seqs
            away[name] = max(0, come(its_tiers, [by_name[agent] for agent in baseline.served]) - seats)
    return away


class TestOneColdStart:
    def test_a_neighbour_that_shares_the_nodes_makes_more_replicas_warm(self):
        alone, together = plan(RUSH, catalog=EIGHTS), plan(RUSH, NEIGHBOUR, catalog=EIGHTS)
        cold = [workload(found, "rush").cold_start_s.upper.total for found in (alone, together)]
        assert cold[0] < cold[1]
        seats = [
            one.replicas.min * one.max_num_seqs for one in (workload(found, "rush") for found in (alone, together))
        ]
        assert seats[0] < seats[1]
        assert turned_away(together, [RUSH, NEIGHBOUR]) == {"rush": 0, "neighbour": 0}

    def test_one_set_by_hand_rules(self):
        by_hand = {**RUSH, "overrides": {"coldStartS": 100.0}}
        alone, together = plan(by_hand, catalog=EIGHTS), plan(by_hand, NEIGHBOUR, catalog=EIGHTS)
        assert workload(together, "rush").cold_start_s.total == 100.0
        assert workload(together, "rush").replicas == workload(alone, "rush").replicas

    def test_replicas_set_by_hand_stay(self):
        by_hand = {**RUSH, "overrides": {"baselineReplicas": 1}}
        assert workload(plan(by_hand, NEIGHBOUR, catalog=EIGHTS), "rush").replicas.min == 1

    def test_nobody_is_seated_for_it_where_callers_may_be_turned_away(self):
        capacity = {"fastBurst": "turn-away"}
        alone, together = (plan(*stack, catalog=EIGHTS, capacity=capacity) for stack in ([RUSH], [RUSH, NEIGHBOUR]))
        assert workload(together, "rush").replicas.min == workload(alone, "rush").replicas.min

    def test_adapters_are_downloaded_too(self):
        """On a node of its own an agent waits for its adapters as well as for its model."""
        adapters = [{"name": f"a{one}", "source": f"org/adapter-{one}", "rank": 256} for one in range(8)]
        agent = {**RUSH, "loraAdapters": adapters, "overrides": {"maxNumSeqs": 4}}
        found = plan(agent, catalog=EIGHTS)
        assert turned_away(found, [agent]) == {"rush": 0}

    def test_of_a_mix_the_start_of_the_burst_counts(self):
        """A warm replica on another machine would take longer, but none is started there with a burst."""
        crowd = make_agent(
            "crowd",
            "test/big",
            sessions={"concurrent": 60, "peak": 2400},
            conversation={"thinkTimeS": 10.0},
            traffic={"rampS": 1500.0},
        )
        found = plan(crowd, catalog=MIXED, target="compose", capacity={"burstHoursPerMonth": 0.0})
        warm, burst = found.workloads
        assert warm.cold_start_s.upper.total > burst.cold_start_s.upper.total
        assert early([crowd], burst) <= warm.replicas.min * warm.max_num_seqs < early([crowd], warm)
        assert turned_away(found, [crowd]) == {"crowd": 0}

    def test_it_ends_though_every_round_finds_longer_starts(self, monkeypatch: pytest.MonkeyPatch):
        """After the last round everyone is counted with all models of the stack."""
        stack = [{**RUSH, "name": f"rush-{one}", "model": model.id} for one, model in enumerate(MODELS)]
        for rounds in (1, 2):
            monkeypatch.setattr(settling, "_ROUNDS", rounds)
            assert set(turned_away(plan(*stack, catalog=MIXED), stack).values()) == {0}


@st.composite
def crowds(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Two to four agents with bursts that come within minutes."""
    count = draw(st.integers(2, 4))
    return [
        make_agent(
            f"agent-{number}",
            draw(st.sampled_from(["test/tiny", "test/dense", "test/big"])),
            latencyClass=draw(st.sampled_from(["chat", "chat", "voice", "background"])),
            sessions={
                "concurrent": (concurrent := draw(st.sampled_from([1, 5, 20, 60]))),
                "peak": concurrent * draw(st.sampled_from([1, 3, 10, 40])),
            },
            conversation={"thinkTimeS": draw(st.sampled_from([10.0, 60.0]))},
            traffic={"rampS": draw(st.sampled_from([0.0, 150.0, 300.0, 400.0, 600.0, 1500.0]))},
        )
        for number in range(count)
    ]


@settings(derandomize=True, deadline=None, database=None, max_examples=examples(60))
@given(
    crowds(),
    st.sampled_from(["eks", "compose"]),
    st.fixed_dictionaries(
        {
            "burstHoursPerMonth": st.sampled_from([0.0, 72.0, 720.0]),
            "onDemandFloorRatio": st.sampled_from([0.0, 0.0, 0.5]),
            "shareAccelerators": st.sampled_from(["auto", "never"]),
        }
    ),
)
def test_nobody_is_turned_away_before_the_planned_cold_start_is_over(stack, target, capacity):
    try:
        found = plan(*stack, catalog=MIXED, target=target, capacity=capacity)
    except Infeasible:
        assume(False)
    assert set(turned_away(found, stack).values()) <= {0}


@settings(derandomize=True, deadline=None, database=None, max_examples=examples(30))
@given(crowds())
def test_a_burst_on_spot_drains_within_the_notice_that_is_planned(stack):
    try:
        found = plan(*stack, catalog=MIXED)
    except Infeasible:
        assume(False)
    for one in found.workloads:
        if one.tier == "burst" and one.user_facing and "spot" in found.pool(one.node_pool).capacity_types:
            assert one.drain.notice_s is not None
            assert one.drain.grace_period_s <= one.drain.notice_s - tiers.NOTICE_DETECTION_S
