"""Replicas over several nodes: planned only where one node is too small, and priced as what they take."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from agentgpu_iac.catalog.model import LayerCounts
from agentgpu_iac.catalog.store import Catalog
from agentgpu_iac.plan import Plan
from agentgpu_iac.planning.choosing.parallelism import Sizes, parallelism_over_nodes
from agentgpu_iac.planning.demand import demand
from agentgpu_iac.planning.planner import NoPlan
from tests.planning.flags import FlagList
from tests.planning.scenes import (
    MODELS,
    codes,
    load,
    make_agent,
    make_catalog,
    make_model,
    offerings,
    plan,
    workload,
)

HUGE = make_model("test/huge", 300, layers=LayerCounts(full=96), hidden_size=8192, attention_heads=64)
"""600 GB of weights: 70 GiB on each of 8 accelerators, 35 on each of 16."""
FABRIC: dict[str, Any] = {"efa_interfaces": 32, "network_baseline_gbps": 3200.0}
LARGE_8 = offerings("l8", "large-80", 8, on_demand="22.00", spot="8.00", reserved="12.00", **FABRIC)


def catalog(*rows: Any) -> Catalog:
    return make_catalog(rows or LARGE_8, models=(*MODELS, HUGE))


def huge(**changes: Any) -> dict[str, Any]:
    return make_agent(model="test/huge", ttftMs=5000, **changes)


def planned(*agents: dict[str, Any], rows: tuple[Any, ...] = LARGE_8, **spec: Any) -> Plan:
    return plan(*(agents or (huge(),)), catalog=catalog(*rows), **spec)


class TestPlanned:
    def test_on_as_many_whole_nodes_as_hold_the_model(self) -> None:
        found = planned()
        one, (pool,) = workload(found), found.node_pools
        assert (one.tensor_parallel_size, one.pipeline_parallel_size, one.nodes_per_replica) == (8, 2, 2)
        assert (one.kind, one.accelerators_per_replica, one.pod.accelerators) == ("LeaderWorkerSet", 16, 8)
        assert (pool.min, pool.max, pool.nodes_per_replica) == (2, 2, 2)
        assert one.pod.efa_interfaces == 32

    def test_priced_as_all_of_them(self) -> None:
        found = planned()
        assert found.cost.baseline_usd_per_month == Decimal("22.00") * 2 * 720
        assert [item.nodes for item in found.cost.line_items] == [2]

    def test_more_sessions_take_more_groups(self) -> None:
        counts = []
        for concurrent in (4, 400, 1600):
            found = planned(huge(sessions={"concurrent": concurrent}))
            one, (pool,) = workload(found), found.node_pools
            counts.append(one.replicas.max)
            assert pool.max == one.replicas.max * one.nodes_per_replica
            assert one.replicas.max * one.max_num_seqs >= concurrent
        assert counts == sorted(counts)
        assert counts[-1] > 1

    def test_a_model_that_one_node_holds_stays_on_it(self) -> None:
        found = planned(make_agent(model="test/big", ttftMs=5000, sessions={"concurrent": 4000}))
        assert workload(found).nodes_per_replica == 1
        assert workload(found).pod.efa_interfaces == 0

    def test_a_parallelism_set_by_hand_may_ask_for_two_nodes(self) -> None:
        by_hand = make_agent(
            model="test/big", ttftMs=5000, overrides={"tensorParallelSize": 8, "pipelineParallelSize": 2}
        )
        assert workload(planned(by_hand)).nodes_per_replica == 2

    def test_burst_groups_come_in_whole_nodes(self) -> None:
        agent = huge(sessions={"concurrent": 4, "peak": 1600}, traffic={"rampS": 86_400})
        found = planned(agent, capacity={"fastBurst": "turn-away", "burstHoursPerMonth": 10})
        burst = workload(found, tier="burst")
        pool = found.pool(burst.node_pool)
        assert (burst.name, burst.kind, burst.replicas.min) == ("support-burst", "LeaderWorkerSet", 0)
        assert (pool.min, pool.max) == (0, burst.replicas.max * 2)

    def test_no_other_replica_takes_a_part_of_a_groups_nodes(self) -> None:
        found = planned(huge(), make_agent("small", "test/tiny"))
        assert workload(found).node_pool != workload(found, "small").node_pool
        assert len({pool.name for pool in found.node_pools}) == 2

    def test_a_rollout_replaces_the_group_in_place(self) -> None:
        rollout = workload(planned()).rollout
        assert (rollout.max_surge, rollout.max_unavailable) == (0, 1)
        assert rollout.outage_s > 0

    def test_a_rollout_brings_a_group_of_nodes_where_the_spec_says_so(self) -> None:
        found = planned(capacity={"rollout": "surge-node"})
        rollout, pool = workload(found).rollout, found.pool(workload(found).node_pool)
        assert (rollout.max_surge, rollout.max_unavailable) == (1, 0)
        assert pool.surge_nodes == workload(found).nodes_per_replica
        assert rollout.fixed_nodes is not None

    def test_reservations_carry_whole_nodes(self) -> None:
        observed = {"days": 60, "baselineRatio": 1.0, "baselineSessions": 4}
        items = planned(observed=observed).cost.line_items
        assert sum(item.nodes for item in items) == 2
        assert all(isinstance(item.nodes, int) for item in items)

    def test_its_latency_is_marked_as_never_measured(self) -> None:
        catalogued = planned()
        assert "efa-image" in codes(catalogued)
        assert not workload(catalogued).latency.calibrated
        warning = next(one for one in catalogued.warnings if one.code == "uncalibrated")
        assert "several nodes" in warning.message

    def test_engine_words(self) -> None:
        engine = workload(planned()).engine
        shared = engine.args[: engine.args.index("--node-rank")]
        assert engine.args[engine.args.index("--nnodes") + 1] == "2"
        assert engine.args[engine.args.index("--node-rank") + 1] == "0"
        assert engine.worker_args[: len(shared)] == shared
        assert engine.worker_args[engine.worker_args.index("--node-rank") + 1] == "$(LWS_WORKER_INDEX)"
        assert engine.worker_args[-1] == "--headless"
        index = "$(LWS_WORKER_INDEX)"
        known = FlagList.read("vllm_0_33_0_flags.json")
        assert known.faults(engine.args) == []
        assert known.faults(tuple("1" if word == index else word for word in engine.worker_args)) == []
        assert "--headless" not in engine.args


class TestRefused:
    @pytest.mark.parametrize("fabric", [{}, {"efa_interfaces": 1, "network_baseline_gbps": 100.0}])
    def test_without_a_fast_fabric(self, fabric: dict[str, Any]) -> None:
        with pytest.raises(NoPlan) as caught:
            planned(rows=offerings("l8", "large-80", 8, on_demand="22.00", **fabric))
        found = {one.constraint: one for one in caught.value.rejections}
        assert set(found) == {"memory", "no-fabric"}
        limit = fabric.get("network_baseline_gbps", 0.0)
        assert (found["no-fabric"].need, found["no-fabric"].limit, found["no-fabric"].unit) == (400.0, limit, "Gbps")
        assert found["no-fabric"].instance_type == "l8"

    def test_by_an_engine_that_cannot(self) -> None:
        with pytest.raises(NoPlan) as caught:
            planned(huge(engineVersion="0.11.0"))
        (one,) = [one for one in caught.value.rejections if one.constraint == "engine-version"]
        assert "0.11.1" in one.message

    def test_on_machines_smaller_than_the_largest(self) -> None:
        with pytest.raises(NoPlan) as caught:
            planned(rows=offerings("l4", "large-80", 4, on_demand="11.00", **FABRIC))
        assert {one.constraint for one in caught.value.rejections} == {"memory"}

    def test_for_a_model_that_is_only_too_slow(self) -> None:
        """Stages work one after another: two nodes are no faster than one."""
        with pytest.raises(NoPlan) as caught:
            planned(make_agent(model="test/big", ttftMs=21), rows=offerings("l8", "large-80", 8, on_demand="22.00"))
        assert "no-fabric" not in {one.constraint for one in caught.value.rejections}


class TestHeldCapacity:
    def test_comes_first_and_costs_what_it_replaces(self) -> None:
        free, held = planned(), planned(capacity={"reservation": "on-demand"})
        (pool,) = held.node_pools
        assert (pool.capacity_types, pool.reservation) == (("reserved", "on-demand"), "on-demand")
        assert held.cost.baseline_usd_per_month == free.cost.baseline_usd_per_month
        assert "held-capacity" in codes(held)
        assert "held-capacity" not in codes(free)

    def test_is_nothing_that_other_targets_know(self) -> None:
        (pool,) = planned(target="kubernetes", capacity={"reservation": "capacity-block"}).node_pools
        assert (pool.capacity_types, pool.reservation) == (("on-demand",), "none")


class TestSharingIsRefused:
    """On machines of several accelerators: no pod chooses which of them it shares."""

    AGENTS = (make_agent("one", "test/tiny"), make_agent("two", "test/tiny"))

    def test_with_its_reason(self) -> None:
        found = plan(*self.AGENTS, catalog=catalog(*offerings("s8", "small-40", 8, on_demand="9.00")))
        refused = [one for one in found.rejections if one.constraint == "sharing"]
        assert [(one.agent, one.instance_type, one.need, one.limit) for one in refused] == [
            ("one", "s8", 1.0, 8.0),
            ("two", "s8", 1.0, 8.0),
        ]
        assert all("DRA" in one.message and "1.36" in one.message for one in refused)

    def test_but_not_where_one_accelerator_is_sold_by_itself(self) -> None:
        rows = (
            *offerings("s1", "small-40", on_demand="1.00"),
            *offerings("s8", "small-40", 8, on_demand="9.00"),
        )
        found = plan(*self.AGENTS, catalog=catalog(*rows))
        assert "sharing" not in {one.constraint for one in found.rejections}

    def test_nor_for_one_agent_alone_or_where_nobody_wants_it(self) -> None:
        rows = catalog(*offerings("s8", "small-40", 8, on_demand="9.00"))
        for found in (
            plan(self.AGENTS[0], catalog=rows),
            plan(*self.AGENTS, catalog=rows, capacity={"shareAccelerators": "never"}),
        ):
            assert "sharing" not in {one.constraint for one in found.rejections}


def test_a_layer_for_each_stage_is_enough():
    """16 layers on two nodes of eight accelerators: 16 stages of one layer; three such nodes would have stages without one."""
    model = make_model("test/flat", 8, layers=LayerCounts(full=16))
    found = parallelism_over_nodes(demand(load(make_agent(model=model.id)).stack.spec.agents[0], model), 8)
    assert (2, Sizes(tensor=1, pipeline=16)) in found
    assert all(sizes.pipeline <= 16 for _, sizes in found)
