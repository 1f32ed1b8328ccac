"""Instance types that stand in for a planned one: as many of the same accelerators, on a host that holds the same pods.

A type that is sold out is no reason to have no node while its next size is there at a fifth more. Pods are sized for the
planned machine, so whatever stands in for it offers at least as much: CPU, host memory, instance store, network. What it
may cost is bounded by ``capacity.priceCapRatio``, for each way in which the pool's nodes are bought.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from agentgpu_iac.planning.choosing import caching, host_memory
from agentgpu_iac.planning.choosing.pricing import Machine
from agentgpu_iac.spec.model import Capacity, StackSpec
from agentgpu_iac.spec.vocabulary import CapacityType
from agentgpu_iac.targets import target_of
from agentgpu_iac.units import usd


def price_cap_ratio(spec: StackSpec) -> float:
    """The most that a machine may cost when it is made, as a multiple of the planned price."""
    written = spec.capacity.price_cap_ratio
    return target_of(spec).price_cap_ratio if written is None else written


def with_price_cap(spec: StackSpec) -> StackSpec:
    """The spec with the ratio that its target has where nobody wrote one; it stays a field that nobody wrote."""
    values = {**dict(spec.capacity), "price_cap_ratio": price_cap_ratio(spec)}
    capacity = Capacity.model_construct(spec.capacity.model_fields_set, **values)
    return StackSpec.model_construct(spec.model_fields_set, **{**dict(spec), "capacity": capacity})


def siblings(
    machine: Machine,
    ways: Sequence[CapacityType],
    on_offer: Sequence[Machine],
    models_gib: float,
    spec: StackSpec,
    *,
    joined: bool = False,
) -> tuple[Machine, ...]:
    """The planned machine, then what may stand in for it, cheapest first.

    None does where the target's nodes are made by somebody else, or where a Capacity Block is one type by nature.
    ``joined`` says that a replica goes over several nodes, whose interfaces must be as many as the plan gives its pods.
    """
    provider = machine.instance.provider
    if not target_of(spec).makes_nodes_of(provider) or spec.capacity.reservation == "capacity-block":
        return (machine,)
    found = [
        other
        for other in on_offer
        if other.id != machine.id
        and (other.instance.provider, other.region) == (provider, machine.region)
        and (other.accelerator, other.accelerators) == (machine.accelerator, machine.accelerators)
        and _holds_as_much(other, machine, models_gib, spec, joined=joined)
        and _within_cap(other, machine, ways, usd(price_cap_ratio(spec)))
    ]
    return (machine, *sorted(found, key=lambda other: (most_usd_per_hour(other, ways), other.id)))


def _holds_as_much(other: Machine, machine: Machine, models_gib: float, spec: StackSpec, *, joined: bool) -> bool:
    """Whether a node of the other type takes the very pods of a planned node, and fills as fast."""
    mine, its = machine.instance, other.instance
    return (
        its.architecture == mine.architecture
        and host_memory.cpu_milli(other, other.accelerators) >= host_memory.cpu_milli(machine, machine.accelerators)
        and host_memory.memory_mib(other, other.accelerators) >= host_memory.memory_mib(machine, machine.accelerators)
        and caching.storage(other, models_gib, spec) == caching.storage(machine, models_gib, spec)
        and its.nvme_total_gb >= mine.nvme_total_gb
        and (its.network_baseline_gbps or 0.0) >= (mine.network_baseline_gbps or 0.0)
        and (not joined or (its.efa_interfaces, its.first_efa_card) == (mine.efa_interfaces, mine.first_efa_card))
    )


def _within_cap(other: Machine, machine: Machine, ways: Sequence[CapacityType], ratio: Decimal) -> bool:
    """Whether the other type costs no more than the cap, bought in any of the pool's ways in which its price is known.

    Where nobody knows its spot price, its on-demand price is held against the planned on-demand price instead: EC2 takes
    no more than that for a machine on spot.
    """
    known = [way for way in ways if way != "reserved" and machine.usd_per_hour(way) is not None]
    held = {"on-demand" if way == "spot" and other.usd_per_hour(way) is None else way for way in known}
    pairs = [(other.usd_per_hour(way), machine.usd_per_hour(way)) for way in sorted(held)]
    return bool(pairs) and all(
        its is not None and planned is not None and its <= planned * ratio for its, planned in pairs
    )


def most_usd_per_hour(machine: Machine, ways: Sequence[CapacityType]) -> Decimal:
    """The most that one costs in any of these ways; on spot no more than on-demand, where nobody knows a spot price."""
    prices = [machine.usd_per_hour(way) for way in ways if way != "reserved"]
    if not prices or None in prices:
        prices.append(machine.usd_per_hour("on-demand"))
    return max((price for price in prices if price is not None), default=Decimal(0))
