"""Policies that every program enforces, whoever made the plan: breaking one costs money or callers.

The planner keeps them too. They are held again here because a plan is a file: it may be older than the spec, or edited.
Every program asks before anything is made, and tells these faults together with its own.
"""

from __future__ import annotations

from collections.abc import Iterator

from agentgpu_iac.errors import Fault
from agentgpu_iac.plan import Plan, Workload
from agentgpu_iac.provisioning.faults import PLAN


def policy_faults(plan: Plan) -> tuple[Fault, ...]:
    """Every rule that the plan breaks."""
    return (*_unpriced(plan), *_over_budget(plan), *_baselines_on_spot(plan))


def _unpriced(plan: Plan) -> Iterator[Fault]:
    if plan.policy.allow_unpriced:
        return
    for pool in plan.node_pools:
        if not pool.price_known:
            yield Fault(
                source=PLAN,
                path=f"nodePools.{pool.name}.priceKnown",
                message=f"nobody knows what {' or '.join(pool.instance_types)} of {pool.provider} costs here",
                hint="set spec.policy.allowUnpriced to true, or add the price to your catalog rows",
            )


def _over_budget(plan: Plan) -> Iterator[Fault]:
    budget, need = plan.policy.budget_usd_per_month, plan.cost.baseline_usd_per_month
    if budget is not None and need > budget:
        yield Fault(
            source=PLAN,
            path="cost.baselineUsdPerMonth",
            message=f"the baseline costs USD {need:,.2f} a month, over the budget of USD {budget:,.2f}",
            hint="raise spec.capacity.budgetUsdPerMonth, or plan again",
        )


def _baselines_on_spot(plan: Plan) -> Iterator[Fault]:
    for pool in plan.node_pools:
        agents = [
            workload.agent for workload in plan.workloads if workload.node_pool == pool.name and _must_stay(workload)
        ]
        if agents and "spot" in pool.capacity_types:
            yield Fault(
                source=PLAN,
                path=f"nodePools.{pool.name}.capacityTypes",
                message=f"people wait for {' and '.join(agents)}, and spot nodes under a baseline may go at any time",
                hint="buy the baseline on-demand, or set interruptible of agents whose state is checkpointed",
            )


def _must_stay(workload: Workload) -> bool:
    """Whether the workload is the warm part of an agent that people wait for."""
    return workload.tier == "baseline" and workload.user_facing and not workload.interruptible
