"""Where pipeline stages are planned: for models that no card holds by itself, not for those that one does."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from agentgpu_iac.plan import Plan
from agentgpu_iac.planning.planner import NoPlan
from tests.planning.scenes import make_accelerator, make_agent, make_catalog, offerings, plan, workload

CHEAP, DEAR = (
    make_catalog(offerings("l8", "large-80", 8, on_demand=price) + offerings("l1", "large-80", 1, on_demand="9999"))
    for price in ("22.00", "22000.00")
)
"""Machines of eight cards, so that replicas of one, two and four cards often cost the same; the dear ones test the solver's
tolerances."""


ROOMY = make_catalog(
    offerings("r8", "roomy-320", 8, on_demand="22.00"),
    accelerators=(make_accelerator("roomy-320", 320.0, 2400.0, 900.0, nvlink_gb_per_s=900.0),),
)


def planned(sessions: int, *, catalog: Any = CHEAP, tpot: float = 60.0, **overrides: int) -> Plan | None:
    agent = make_agent(
        model="test/dense",
        sessions={"concurrent": sessions},
        ttftMs=2000,
        tpotMs=tpot,
        conversation={"turns": 4, "inputTokensPerTurn": 200, "outputTokensPerTurn": 150},
        overrides=overrides,
    )
    try:
        return plan(agent, catalog=catalog)
    except NoPlan:
        return None


@pytest.mark.broad(every=3)
@pytest.mark.parametrize("tpot", [20.0, 35.0, 60.0])
@pytest.mark.parametrize("stages", [2, 4])
def test_stages_never_serve_for_less_what_a_card_holds(tpot, stages):
    """The memory of one card holds more sessions than its budget of time: only time counts."""
    one_stage = {"tensorParallelSize": 1, "pipelineParallelSize": 1}
    for sessions in (37, 839, 3001):
        alone = planned(sessions, catalog=ROOMY, tpot=tpot, **one_stage)
        piped = planned(sessions, catalog=ROOMY, tpot=tpot, tensorParallelSize=1, pipelineParallelSize=stages)
        assert alone is not None
        assert workload(alone).memory.total_gib < 0.6 * workload(alone).memory.capacity_gib
        if piped is not None:
            assert workload(alone).replicas.max <= stages * workload(piped).replicas.max
            assert alone.cost.expected_usd_per_month <= piped.cost.expected_usd_per_month


@pytest.mark.broad(every=5)
@pytest.mark.parametrize("catalog", [CHEAP, DEAR], ids=["cheap", "dear"])
@pytest.mark.parametrize("sessions", [150, 400, 900, 1500, 2600])
def test_of_equal_costs_the_smaller_replicas_are_taken(catalog, sessions):
    found = planned(sessions, catalog=catalog)
    alone = planned(sessions, catalog=catalog, tensorParallelSize=1, pipelineParallelSize=1)
    assert found is not None
    assert alone is not None
    if alone.cost.expected_usd_per_month == found.cost.expected_usd_per_month:
        assert workload(found).accelerators_per_replica == 1


@pytest.mark.parametrize("catalog", [CHEAP, DEAR], ids=["cheap", "dear"])
def test_nor_does_company_change_that(catalog):
    """Three agents in a pool of machines, where the solver decides."""
    agents = [
        make_agent(
            name,
            model="test/dense",
            sessions={"concurrent": sessions},
            ttftMs=2000,
            tpotMs=60,
            conversation={"turns": 4, "inputTokensPerTurn": 200, "outputTokensPerTurn": 150},
        )
        for name, sessions in (("first", 500), ("second", 700), ("third", 900))
    ]
    found = plan(*agents, catalog=catalog)
    alone = plan(
        *({**agent, "overrides": {"tensorParallelSize": 1, "pipelineParallelSize": 1}} for agent in agents),
        catalog=catalog,
    )
    assert found.cost.expected_usd_per_month <= alone.cost.expected_usd_per_month
    if found.cost.expected_usd_per_month == alone.cost.expected_usd_per_month:
        assert {one.accelerators_per_replica for one in found.workloads} == {1}
    assert found.cost.expected_usd_per_month > Decimal(0)
