"""What no program carries out, whoever made the plan."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pulumi
import pytest

from agentgpu_iac.errors import BadInput
from agentgpu_iac.plan import Plan, PolicyPlan
from agentgpu_iac.provisioning.deployed import LAST_OUTPUTS
from agentgpu_iac.provisioning.policy import policy_faults
from agentgpu_iac.provisioning.program import PROGRAMS, deploy
from agentgpu_iac.spec.vocabulary import Target
from tests.plans import make_plan, make_pool, make_workload
from tests.provisioning.recording import record

UNPRICED = make_plan(node_pools=(make_pool(price_known=False),))
DEAR = make_plan(policy=PolicyPlan(budget_usd_per_month=Decimal("1339.91")))


def on_spot(**agent: Any) -> Plan:
    """A plan whose only pool may be on spot."""
    pool = make_pool(capacity_types=("on-demand", "spot"))
    return make_plan(node_pools=(pool,), workloads=(make_workload(**agent),))


@pytest.mark.parametrize(
    ("plan", "path", "words"),
    [
        (UNPRICED, "nodePools.demo-baseline-g6e-xlarge.priceKnown", "nobody knows what g6e.xlarge of aws costs"),
        (DEAR, "cost.baselineUsdPerMonth", "USD 1,339.92 a month, over the budget of USD 1,339.91"),
        (on_spot(), "nodePools.demo-baseline-g6e-xlarge.capacityTypes", "people wait for support"),
    ],
    ids=["unpriced", "budget", "spot"],
)
def test_a_plan_that_breaks_a_rule_has_that_fault(plan: Plan, path: str, words: str) -> None:
    (fault,) = policy_faults(plan)
    assert fault.path == path
    assert words in fault.message
    assert fault.hint


@pytest.mark.parametrize(
    "plan",
    [
        UNPRICED.model_copy(update={"policy": PolicyPlan(allow_unpriced=True)}),
        DEAR.model_copy(update={"policy": PolicyPlan(budget_usd_per_month=Decimal("1339.92"))}),
        on_spot(interruptible=True),
        on_spot(user_facing=False, latency_class="background"),
        on_spot(tier="burst", name="support-burst"),
    ],
    ids=["allowed", "within", "interruptible", "background", "burst"],
)
def test_a_plan_within_the_rules_has_none(plan: Plan) -> None:
    assert policy_faults(plan) == ()


@pytest.mark.parametrize("target", PROGRAMS)
def test_every_program_refuses_before_anything_is_made_and_tells_all(target: Target) -> None:
    broken = on_spot().model_copy(
        update={
            "target": target,
            "node_pools": (make_pool(capacity_types=("spot",), price_known=False),),
            "policy": PolicyPlan(budget_usd_per_month=Decimal(10)),
        }
    )
    told: list[str] = []

    def program() -> None:
        with pytest.raises(BadInput) as refusal:
            deploy(broken, (), pulumi.Config("agentgpu"))
        told.extend(str(fault) for fault in refusal.value.faults)

    recording = record(program)
    assert recording.resources == []
    assert {token for token, _ in recording.calls} <= {LAST_OUTPUTS}
    assert set(map(str, policy_faults(broken))) <= set(told)
    assert len(policy_faults(broken)) == 3
