"""What a marketplace's offer must be to become a node: the ways to buy it, the most it may cost, what else would serve."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Final

from agentgpu_iac.catalog.marketplace import MARKETPLACE, SOLD_AS
from agentgpu_iac.plan import MarketPlan, MarketWay
from agentgpu_iac.planning.choosing import caching, host_memory
from agentgpu_iac.planning.choosing.option import Option
from agentgpu_iac.planning.choosing.siblings import price_cap_ratio
from agentgpu_iac.planning.pools import Placed, Pool
from agentgpu_iac.spec.model import StackSpec
from agentgpu_iac.spec.vocabulary import Tier
from agentgpu_iac.units import ceil_div, usd, usd_per_hour

START_TIMEOUT_S: Final = 1_800
"""How long a machine may take until it runs (an assumption: virtual machines take minutes, bare metal longer)."""
SYSTEM_DISK_GIB: Final = 60
"""Operating system, driver, the engine's image unpacked, logs (a judgement)."""
_MOST_FALLBACKS: Final = 3


def market_plan(pool: Pool, spec: StackSpec, options: Sequence[Sequence[Option]]) -> MarketPlan | None:
    """What to look for on the marketplace; None where the pool's machines come from elsewhere.

    ``options`` is everything that would serve each agent, in the order of the agents.
    """
    machine = pool.machine
    if machine.instance.provider != MARKETPLACE:
        return None
    candidates = [member.candidate for member in pool.members]
    models_gib = sum(model.gib for model in caching.cached_models(candidates, spec))
    engines = pool.engines_per_accelerator
    cpu_milli = max(host_memory.cpu_milli(machine, candidate.accelerators_per_pod, engines) for candidate in candidates)
    return MarketPlan(
        ways=tuple(_ways(pool, spec)),
        accelerators=(machine.accelerator, *_fallbacks(pool, options)),
        regions=spec.regions,
        gpu_memory_gb=candidates[0].accelerator.memory_gb,
        vcpus=ceil_div(cpu_milli, 1000),
        host_memory_gib=ceil_div(
            max(host_memory.machine_mib(candidate, machine, engines) for candidate in candidates), 1024
        ),
        disk_gib=SYSTEM_DISK_GIB + caching.room_gib(models_gib),
        start_timeout_s=START_TIMEOUT_S,
    )


def _ways(pool: Pool, spec: StackSpec) -> Iterator[MarketWay]:
    ratio = usd(price_cap_ratio(spec))
    for capacity_type in pool.purchase.capacity_types:
        planned = pool.machine.usd_per_hour(capacity_type)
        if planned is None:
            continue
        for instance_type in SOLD_AS[capacity_type]:
            yield MarketWay(
                instance_type=instance_type,
                capacity_type=capacity_type,
                usd_per_hour=usd_per_hour(planned),
                price_cap_usd_per_hour=usd_per_hour(planned * ratio),
            )


def _fallbacks(pool: Pool, options: Sequence[Sequence[Option]]) -> tuple[str, ...]:
    """Other accelerators that carry the same engine, with the same words and as many sessions, on as many cards a machine.

    A pool of several agents has none: each would have to agree.
    """
    if len(pool.members) != 1 or pool.shared:
        return ()
    (member,) = pool.members
    found: dict[str, Decimal] = {}
    for option in options[member.position]:
        price = _price(option, pool.tier)
        if price is not None and _stands_in(option, member, pool):
            accelerator = option.machine.accelerator
            found[accelerator] = min(price, found.get(accelerator, price))
    return tuple(sorted(found, key=lambda accelerator_id: (found[accelerator_id], accelerator_id))[:_MOST_FALLBACKS])


def _price(option: Option, tier: Tier) -> Decimal | None:
    purchase = option.baseline if tier == "baseline" else option.burst
    return None if purchase is None else purchase.usd_per_hour


def _stands_in(option: Option, member: Placed, pool: Pool) -> bool:
    if option.is_shared or option.spans_nodes or option.machine.instance.provider != MARKETPLACE:
        return False
    (other,), chosen = option.candidates, member.candidate
    return (
        option.machine.accelerator != pool.machine.accelerator
        and option.machine.accelerators == pool.machine.accelerators
        and other.sizes == chosen.sizes
        and other.max_num_batched_tokens == chosen.max_num_batched_tokens
        and other.most_sessions >= chosen.max_num_seqs
        and other.accelerator.memory_gb >= chosen.accelerator.memory_gb
    )
