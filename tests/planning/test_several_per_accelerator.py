"""Replicas of one agent on one accelerator: on virtual machines, where each fits with a KV budget of its own."""

from __future__ import annotations

from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from agentgpu_iac.plan import Plan
from agentgpu_iac.planning.planner import NoPlan
from agentgpu_iac.planning.pools import Pool
from tests.planning.scenes import OFFERINGS, make_agent, make_catalog, offerings, only, plan, workload
from tests.thoroughness import examples

LAWS = settings(derandomize=True, deadline=None, database=None, max_examples=examples(40))
ONE_A_MACHINE = make_catalog(offerings("s1", "small-40", on_demand="1.00"))


def replicas(number: int, target: str = "compose", **changes: object) -> Plan:
    agent = make_agent(model="test/tiny", overrides={"baselineReplicas": number}, sessions={"concurrent": 6})
    return plan(agent, catalog=ONE_A_MACHINE, target=target, **changes)


def test_they_share_one_machine_and_each_has_its_own_budget() -> None:
    found = replicas(2)
    (pool,), one = found.node_pools, workload(found)
    assert (pool.max, pool.sharing, pool.slots_per_accelerator) == (1, "time-slicing", 2)
    assert one.replicas.max == 2
    assert one.share_group is not None
    assert 2 * one.memory.total_gib <= 0.8 * one.memory.capacity_gib
    budget = one.engine.args.index("--kv-cache-memory-bytes") + 1
    assert one.engine.args[budget] == str(one.kv_cache_memory_bytes)
    (host,) = found.hosts
    assert [(engine.accelerators, engine.port) for engine in host.engines] == [((0,), 20_000), ((0,), 20_001)]
    assert one.engine.name == "vllm"
    assert "with 1 other engine on one" in one.chosen_because


def test_normal_load_fills_as_many_nodes_as_it_takes_together() -> None:
    """Two of four replicas carry it: on one node, where two share each. Reserved capacity counts those nodes alone."""
    member: Any = SimpleNamespace(
        candidate=SimpleNamespace(normal_replicas=2, accelerators_per_replica=1),
        option=SimpleNamespace(engines_per_accelerator=2, normal_replicas=lambda candidate: candidate.normal_replicas),
    )
    machine: Any = SimpleNamespace(accelerators=1, accelerators_taken=lambda each: each)
    purchase: Any = None
    pool = Pool(
        name="pool", tier="baseline", machine=machine, purchase=purchase, members=(member,), shared=True,
        nodes=2, accelerators_taken=2, free_accelerators=0,
    )  # fmt: skip
    assert pool.normal_nodes == 1


def test_they_take_turns_in_the_latency() -> None:
    alone, together = workload(replicas(2, capacity={"shareAccelerators": "never"})), workload(replicas(2))
    assert together.latency.tpot_ms == pytest.approx(2 * (alone.latency.tpot_ms or 0), rel=0.01)
    assert together.latency.budget_tpot_ms is not None
    assert (together.latency.tpot_ms or 0) <= together.latency.budget_tpot_ms


@pytest.mark.parametrize("target", ["eks", "kubernetes"])
def test_in_a_cluster_each_has_an_accelerator(target: str) -> None:
    found = replicas(2, target)
    assert found.node_pools[0].max == 2
    assert workload(found).share_group is None


def test_each_has_an_accelerator_where_nothing_may_be_shared() -> None:
    assert replicas(2, capacity={"shareAccelerators": "never"}).node_pools[0].max == 2


@LAWS
@given(
    st.sampled_from(["test/tiny", "test/dense"]),
    st.integers(2, 9),
    st.integers(1, 60),
    st.sampled_from(["voice", "chat", "background"]),
)
def test_no_accelerator_is_overfull_and_no_plan_is_dearer(model: str, number: int, sessions: int, kind: str) -> None:
    agent = make_agent(
        model=model,
        latencyClass=kind,
        sessions={"concurrent": sessions},
        overrides={"baselineReplicas": number},
    )

    def made(share: str) -> Plan | None:
        try:
            return plan(
                agent,
                catalog=make_catalog(OFFERINGS),
                target="compose",
                accelerators=only("small-40", "large-80"),
                capacity={"shareAccelerators": share, "spot": "never"},
            )
        except NoPlan:
            return None

    alone, together = made("never"), made("auto")
    assume(alone is not None)
    assert alone is not None
    assert together is not None
    assert together.cost.expected_usd_per_month <= alone.cost.expected_usd_per_month + Decimal("0.02")
    one = workload(together)
    slots = together.pool(one.node_pool).slots_per_accelerator
    assert slots * one.memory.utilization_ratio <= 0.8001
    assert sum(len(host.engines) for host in together.hosts) * together.node_pools[0].max >= number
