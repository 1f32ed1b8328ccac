"""What the target cannot do, as rejections: each says who is turned away from what, and why."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from agentgpu_iac.plan import Rejection
from agentgpu_iac.planning.choosing.candidates import Candidate
from agentgpu_iac.planning.choosing.option import Option
from agentgpu_iac.planning.choosing.pricing import Machine
from agentgpu_iac.planning.choosing.rejections import candidate_rejection, demand_rejection
from agentgpu_iac.planning.demand import Demand
from agentgpu_iac.targets import TargetPort
from agentgpu_iac.units import counted


def bar(candidate: Candidate, machine: Machine, target: TargetPort) -> Rejection | None:
    """Why no replica of the candidate is started on such a machine, if none is."""
    need, has = candidate.accelerators_per_replica, machine.accelerators
    if not target.can.replica_fills_machine or need == has:
        return None
    message = (
        f"a {target.title} replica is a machine of its own: one of {counted(need, 'accelerator')} would leave "
        f"{has - need} of the {has} on {machine.instance.name} idle and paid for"
    )
    return candidate_rejection(
        candidate, machine, "whole-machine", message, need=float(need), limit=float(has), unit="accelerators"
    )


def bar_over_nodes(demand: Demand, machine: Machine, target: TargetPort) -> Rejection | None:
    """Why no replica goes over several such machines, if none may."""
    if target.can.spans_nodes:
        return None
    message = f"one {machine.instance.name} does not hold the model, {target.why_not_over_nodes}"
    return demand_rejection(demand, machine, "several-nodes", message)


def not_shared(groups: Sequence[Option], target: TargetPort) -> Iterator[Rejection]:
    """Agents that would fit together on one accelerator, where each gets one of its own; none where they may share."""
    if target.can.shares_accelerators:
        return
    seen: set[int] = set()
    for option in groups:
        for position, candidate in zip(option.deployments, option.candidates, strict=True):
            if position in seen:
                continue
            seen.add(position)
            message = f"it could share one {candidate.accelerator.name} with others, {target.why_not_shared}"
            yield candidate_rejection(candidate, option.machine, "sharing", message)
