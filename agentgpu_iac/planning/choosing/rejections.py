"""What a rejection says of whom it turns away, filled in from what was at hand when it was found."""

from __future__ import annotations

from agentgpu_iac.plan import Constraint, Rejection, RejectionUnit
from agentgpu_iac.planning.choosing.candidates import Candidate
from agentgpu_iac.planning.choosing.pricing import Machine, Unpriced
from agentgpu_iac.planning.demand import Demand
from agentgpu_iac.targets import LeftOut


def demand_rejection(
    demand: Demand,
    machine: Machine | None,
    constraint: Constraint,
    message: str,
    *,
    need: float | None = None,
    limit: float | None = None,
    unit: RejectionUnit = "",
) -> Rejection:
    """An agent is turned away before any parallelism is tried: from a machine, or from all of them."""
    return Rejection(
        agent=demand.name,
        accelerator="any" if machine is None else machine.accelerator,
        instance_type=None if machine is None else machine.instance.name,
        tensor_parallel_size=None,
        pipeline_parallel_size=None,
        precision=demand.precision,
        constraint=constraint,
        need=need,
        limit=limit,
        unit=unit,
        message=message,
    )


def candidate_rejection(
    candidate: Candidate,
    machine: Machine,
    constraint: Constraint,
    message: str,
    *,
    need: float | None = None,
    limit: float | None = None,
    unit: RejectionUnit = "",
) -> Rejection:
    """A candidate that serves is turned away from a machine."""
    found = demand_rejection(candidate.demand, machine, constraint, message, need=need, limit=limit, unit=unit)
    sizes = candidate.sizes
    shape = {
        "tensor_parallel_size": sizes.tensor,
        "pipeline_parallel_size": sizes.pipeline,
        "attention_data_parallel_size": sizes.attention_dp if sizes.attention_dp > 1 else None,
    }
    return found.model_copy(update=shape)


def left_out_rejection(demand: Demand, left_out: LeftOut) -> Rejection:
    """An agent is not offered what its target cannot use."""
    return demand_rejection(demand, None, left_out.constraint, left_out.message)


def unpriced_rejection(demand: Demand, sold: Unpriced) -> Rejection:
    """An agent is not offered what has no price."""
    ways = " and ".join(sold.capacity_types)
    message = (
        f"{sold.instance_type} ({sold.provider}) is on offer {ways}, but nobody's price for it is known; {sold.reason}"
    )
    found = demand_rejection(demand, None, "unpriced", message)
    return found.model_copy(update={"accelerator": sold.accelerator, "instance_type": sold.instance_type})
