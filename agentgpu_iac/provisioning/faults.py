"""Where a fault lies that a program finds before it makes anything, and the faults that every program finds alike."""

from __future__ import annotations

from collections.abc import Iterator

from agentgpu_iac.errors import Fault
from agentgpu_iac.plan import Plan
from agentgpu_iac.spec.vocabulary import Target
from agentgpu_iac.targets import TARGETS

PLAN = "plan"
CONFIGURATION = "configuration of the Pulumi stack"


def target_faults(plan: Plan, target: Target, program: str) -> Iterator[Fault]:
    """A plan for another target; ``program`` names what the program is for."""
    if not TARGETS[target].is_target_of(plan):
        yield Fault(
            source=PLAN,
            path="target",
            message=f"the Pulumi program for {program} carries out plans for {target!r}, not for {plan.target!r}",
            hint=f"set spec.target to {target}, or use the rendered files of that target",
        )


def node_pool_faults(plan: Plan) -> Iterator[Fault]:
    """A plan that asks for no nodes."""
    if not plan.node_pools:
        yield Fault(source=PLAN, path="nodePools", message="the plan has no node pool")
