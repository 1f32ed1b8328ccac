"""What a rejection says of whom it turns away, with its numbers, filled in from what was at hand when it was found."""

from __future__ import annotations

from agentgpu_iac.catalog.model import Accelerator, EngineRelease
from agentgpu_iac.plan import Constraint, Rejection, RejectionUnit
from agentgpu_iac.planning.choosing.candidates import Candidate
from agentgpu_iac.planning.choosing.parallelism import Sizes
from agentgpu_iac.planning.choosing.pricing import Machine, Unpriced
from agentgpu_iac.planning.choosing.service import Service, budgets, within
from agentgpu_iac.planning.demand import Demand
from agentgpu_iac.sizing.capacity import usable_words
from agentgpu_iac.sizing.memory import least_reserve_ratio
from agentgpu_iac.sizing.replica import MemoryTerms
from agentgpu_iac.targets import LeftOut
from agentgpu_iac.units import counted, rounded


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
    return found.model_copy(update=_shape(candidate.sizes))


def _shape(sizes: Sizes) -> dict[str, int | None]:
    return {
        "tensor_parallel_size": sizes.tensor,
        "pipeline_parallel_size": sizes.pipeline,
        "attention_data_parallel_size": sizes.attention_dp if sizes.attention_dp > 1 else None,
    }


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


def shortfall(rejection: Rejection) -> tuple[float, int, int]:
    """How far a rejection is from its limit; the nearest miss tells the reader most."""
    ratio = float("inf")
    if rejection.need is not None and rejection.limit:
        ratio = rejection.need / rejection.limit
    return (ratio, rejection.tensor_parallel_size or 0, rejection.pipeline_parallel_size or 0)


def sizes_rejection(
    demand: Demand,
    accelerator: Accelerator,
    sizes: Sizes | None,
    constraint: Constraint,
    message: str,
    *,
    need: float | None = None,
    limit: float | None = None,
    unit: RejectionUnit = "",
) -> Rejection:
    """One parallelism on an accelerator, or all of them, does not serve an agent."""
    need, limit = (None if value is None else rounded(value) for value in (need, limit))
    found = demand_rejection(demand, None, constraint, message, need=need, limit=limit, unit=unit)
    return found.model_copy(update={"accelerator": accelerator.id, **({} if sizes is None else _shape(sizes))})


def memory_rejection(
    demand: Demand,
    accelerator: Accelerator,
    sizes: Sizes,
    terms: MemoryTerms,
    seats: int,
    release: EngineRelease,
) -> Rejection:
    """An accelerator does not hold the fewest sessions, or inputs, that a replica must have: ``seats`` on each."""
    need, limit = terms.need_gib(seats), terms.limit_gib
    what = "session" if demand.load is None else "input"
    many = f"one {what}" if seats == 1 else f"{seats} {what}s"
    message = (
        f"{terms.loaded_gib:.2f} GiB weights + {terms.kv_gib(seats):.2f} KV cache of {many} + "
        f"{terms.overhead_gib(seats):.2f} overhead = {need:.2f} GiB per accelerator, "
        f"over {usable_words(terms.reserve_ratio)} of {terms.capacity.capacity_gib:.2f} = {limit:.2f} GiB"
    )
    enough = terms.reserve_that_admits(need)
    if enough is None or enough < least_reserve_ratio(terms, demand.agent.engine, release):
        return sizes_rejection(demand, accelerator, sizes, "memory", message, need=need, limit=limit, unit="GiB")
    message += f"; the reserve alone refuses it, capacity.memoryReserveRatio {enough:g} would not"
    refused = sizes_rejection(demand, accelerator, sizes, "memory", message, need=need, limit=limit, unit="GiB")
    return refused.model_copy(update={"reserve_ratio": enough})


def latency_rejection(
    demand: Demand, accelerator: Accelerator, sizes: Sizes, service: Service, sessions: int
) -> Rejection:
    """So many sessions on a replica miss a budget of the agent: the first one that is missed."""
    held = budgets(service, demand)
    name, need, limit = next((each for each in held if not within(each[1], each[2])), held[0])
    many = "a single session" if sessions == 1 else counted(sessions, "session")
    is_mean = name == "e2e" and demand.load is None
    which = name.upper() if is_mean else f"{name.upper()} p{demand.percentile:g}"
    room = f" with its margin of {demand.margin:.0%}" if demand.margin and not is_mean else ""
    if demand.load is not None:
        many = f"{counted(demand.load.inputs_per_request, 'input')} of {counted(demand.load.input_tokens, 'token')}"
    message = f"{which} of {many} would be {need or 0:.0f} ms{room}, over the budget of {limit or 0:.10g} ms"
    return sizes_rejection(demand, accelerator, sizes, name, message, need=need, limit=limit, unit="ms")
