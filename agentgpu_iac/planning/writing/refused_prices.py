"""What those that do not serve would cost at least, so that price and latency of all candidates stand beside each other."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from agentgpu_iac.plan import Rejection
from agentgpu_iac.planning.choosing.pricing import Machine
from agentgpu_iac.planning.pools import Placed
from agentgpu_iac.spec.vocabulary import CapacityType
from agentgpu_iac.units import HOURS_PER_MONTH

_CENT = Decimal("0.01")


def with_prices(
    rejections: Sequence[Rejection], placed: Sequence[Placed], on_offer: Sequence[Machine]
) -> tuple[Rejection, ...]:
    """The same rejections, each with what one replica would cost, bought as its deployment's baseline is.

    What is refused to share an accelerator has none: it would cost a part of a replica's, and nobody says which.
    """
    bought = {member.candidate.demand.name: member.option.baseline.price_of for member in placed}
    return tuple(
        each.model_copy(update={"usd_per_month": _least(each, bought.get(each.agent), on_offer)}) for each in rejections
    )


def _least(refused: Rejection, bought: CapacityType | None, on_offer: Sequence[Machine]) -> Decimal | None:
    if bought is None or refused.tensor_parallel_size is None or refused.constraint == "sharing":
        return None
    groups = refused.attention_data_parallel_size or 1
    inside = refused.tensor_parallel_size * groups
    count = inside * (refused.pipeline_parallel_size or 1)
    sold = [
        (machine, usd_per_hour)
        for machine in on_offer
        if machine.accelerator == refused.accelerator
        and refused.instance_type in (None, machine.instance.name)
        and machine.accelerators >= inside  # a pipeline may go over several machines; what is inside a stage may not
        and (usd_per_hour := machine.usd_per_hour(bought)) is not None
    ]
    on_one = [each for each in sold if each[0].accelerators >= count] or sold
    prices = [
        usd_per_hour * machine.accelerators_taken(count) / machine.accelerators for machine, usd_per_hour in on_one
    ]
    return (min(prices) * HOURS_PER_MONTH).quantize(_CENT) if prices else None
