"""Tiers and capacity types: what is always warm, what comes with a burst, and how each may be bought.

* A user-facing baseline is never on spot.
* A burst may be on spot only where the drain fits the provider's interruption notice; else it is on-demand.
* Background and interruptible agents default to spot, with on-demand behind it in the same pool.
* Reserved capacity is bought only after 30 days of a stable, measured baseline, and only up to that baseline.
* Nothing user-facing scales to zero: the baseline has at least one replica.
* A user-facing burst that outruns the cold start is carried by warm replicas, unless the spec says otherwise.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import lru_cache
from typing import Literal

from agentgpu_iac.plan import Constraint, RejectionUnit
from agentgpu_iac.planning.choosing.candidates import Candidate, asking_of
from agentgpu_iac.planning.choosing.known import Itself
from agentgpu_iac.planning.choosing.leaving import NOTICE_DETECTION_S
from agentgpu_iac.planning.choosing.pricing import Machine
from agentgpu_iac.planning.choosing.zones import baseline_zones, surviving
from agentgpu_iac.planning.demand import Demand
from agentgpu_iac.spec.model import Capacity, Observed
from agentgpu_iac.spec.vocabulary import CapacityType
from agentgpu_iac.units import ceil_div, ceil_ratio

Second = Literal["replica", "machine"]
"""What a second warm replica is for: to serve while the first is replaced, or while its machine is away."""
RESERVE_AFTER_DAYS = 30
RESERVE_STABILITY_RATIO = 0.8
"""Lowest daily load over mean daily load from which a baseline counts as stable."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Purchase:
    """How the nodes of a tier are bought: capacity types in order of preference, and their prices."""

    capacity_types: tuple[CapacityType, ...]
    usd_per_hour: Decimal
    """One node at the price that it is billed at."""
    fallback_usd_per_hour: Decimal | None
    billed_as: CapacityType | None = None
    """The way by whose price nodes are billed, where it is not the preferred one: capacity that is held is billed on
    demand, whoever runs on it."""

    @property
    def price_of(self) -> CapacityType:
        """The way whose price counts."""
        return self.billed_as or self.capacity_types[0]

    @property
    def next_usd_per_hour(self) -> Decimal:
        """One node more than planned: reserved capacity carries the planned ones alone."""
        reserved = self.price_of == "reserved" and self.fallback_usd_per_hour is not None
        return self.fallback_usd_per_hour if reserved and self.fallback_usd_per_hour is not None else self.usd_per_hour


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """A way to buy capacity that was looked at and refused, with its numbers."""

    constraint: Constraint
    need: float
    limit: float
    unit: RejectionUnit
    message: str


def sessions_before_ready(demand: Demand, cold_start_s: float) -> int:
    """Sessions held by the time that a replica started with the burst is ready: the load climbs evenly over the ramp."""
    return _sessions_before_ready(Itself(demand), cold_start_s)  # asked for every way to make up a deployment


@lru_cache(maxsize=8192)
def _sessions_before_ready(itself: Itself[Demand], cold_start_s: float) -> int:
    demand = itself.thing
    climbed = demand.climbed(cold_start_s)
    return math.ceil(demand.concurrent + (demand.peak - demand.concurrent) * climbed - 1e-6)


def replicas_before_ready(candidate: Candidate, cold_start_s: float) -> int:
    """Replicas that carry what is asked by then: by seats, or by rate where nobody keeps a seat."""
    demand, each = candidate.demand, candidate.service.prefill_tokens_per_s
    if demand.load is None or not each:
        return _replicas_for_early(candidate, cold_start_s)
    normal, peak = (demand.prefill_tokens_per_s(0.0, peak=is_peak) for is_peak in (False, True))
    return ceil_ratio(normal + (peak - normal) * demand.climbed(cold_start_s), each)


def _replicas_for_early(candidate: Candidate, cold_start_s: float) -> int:
    """Replicas that hold whoever comes before others are ready, and answer them in time: each takes a larger part of those that
    arrive than at the peak, and who arrives asks at once. All of the peak's are enough by how they were found.
    """
    demand = candidate.demand
    early = sessions_before_ready(demand, cold_start_s)
    by_seats, most = ceil_div(early, candidate.most_sessions), candidate.peak_replicas
    asking = asking_of(candidate)
    new, within_s = early - demand.concurrent, min(demand.ramp_s, cold_start_s)
    if asking.time is None or new <= 0:
        return by_seats

    def in_time(replicas: int) -> bool:
        held = ceil_div(early, replicas)
        generating = asking.while_starting(held, new=new / replicas, within_s=within_s)
        room = candidate.away is None or candidate.away.held(held, generating) <= candidate.away.resident
        return room and generating <= candidate.most_generating

    low = by_seats
    while low < most:
        middle = (low + most) // 2
        if in_time(middle):
            most = middle
        else:
            low = middle + 1
    return low


def spare_replicas(candidate: Candidate, machine: Machine, capacity: Capacity) -> int:
    """Warm replicas beyond those of normal load, so that they carry it after a loss (``capacity.survive``).

    A node may hold as many of one agent's replicas as have room there, so that its loss may take them all.
    """
    demand = candidate.demand
    if capacity.survive == "nothing" or not demand.user_facing or demand.agent.overrides.baseline_replicas is not None:
        return 0
    if capacity.survive == "replica":
        return 1
    if capacity.survive == "zone":
        return surviving(candidate.baseline_replicas, capacity.zones) - candidate.baseline_replicas
    return max(1, machine.accelerators // machine.accelerators_taken(candidate.accelerators_per_replica))


def spare_for_second(candidate: Candidate, machine: Machine, second: Second) -> int:
    """Warm replicas beyond those of normal load where two at least are asked for; on machines that fail apart, if so."""
    least = 2
    if second == "machine":
        least = 1 + max(1, machine.accelerators // machine.accelerators_taken(candidate.accelerators_per_replica))
    return max(0, least - candidate.baseline_replicas)


def warm_replicas(
    candidate: Candidate, cold_start_s: float, capacity: Capacity, *, on_spot: bool = True, spare: int = 0
) -> int:
    """Replicas that must always run: those for normal load with ``spare`` ones and, user-facing, those for whoever comes too
    early.

    They are as many in each zone where they are spread over zones. Where the burst is ``on_spot``, the share of the replicas
    that stays on-demand (onDemandFloorRatio) is warm too.
    """
    demand, warm = candidate.demand, candidate.baseline_replicas
    if demand.agent.overrides.baseline_replicas is not None or not candidate.burst_replicas:
        return warm + spare
    zones = baseline_zones(demand, capacity)
    after_a_loss = warm + spare
    if demand.user_facing and capacity.fast_burst == "absorb":
        warm = max(warm, replicas_before_ready(candidate, cold_start_s))
    floor = math.ceil(capacity.on_demand_floor_ratio * candidate.peak_replicas - 1e-6) if on_spot else 0
    return zones * ceil_div(max(after_a_loss, min(candidate.peak_replicas, max(warm, floor))), zones)


def seats_in_time(candidate: Candidate, cold_start_s: float, capacity: Capacity) -> bool:
    """Whether the warm replicas hold whoever comes before a cold start is over, as far as they are meant to."""
    demand = candidate.demand
    if (
        not demand.user_facing
        or not candidate.burst_replicas
        or capacity.fast_burst != "absorb"
        or demand.agent.overrides.baseline_replicas is not None
    ):
        return True
    if demand.load is not None:
        return candidate.baseline_replicas >= min(
            candidate.peak_replicas, replicas_before_ready(candidate, cold_start_s)
        )
    enough = candidate.baseline_replicas * candidate.max_num_seqs >= sessions_before_ready(demand, cold_start_s)
    return enough and candidate.baseline_replicas >= min(
        candidate.peak_replicas, replicas_before_ready(candidate, cold_start_s)
    )


def seats_for_warm(candidate: Candidate, warm: int, cold_start_s: float, capacity: Capacity) -> int:
    """Seats of a replica so that the warm ones hold whoever comes before the burst tier is ready."""
    demand = candidate.demand
    if (
        demand.load is not None
        or not demand.user_facing
        or capacity.fast_burst != "absorb"
        or demand.agent.overrides.baseline_replicas is not None
    ):
        return candidate.max_num_seqs
    early = ceil_div(sessions_before_ready(demand, cold_start_s), warm)
    return max(candidate.max_num_seqs, min(candidate.most_sessions, early))


def reserved_ratio(observed: Observed, sessions: int) -> float:
    """Share of the baseline that reserved capacity may carry: none before 30 stable days, else what was observed."""
    if observed.days < RESERVE_AFTER_DAYS or observed.baseline_ratio < RESERVE_STABILITY_RATIO or sessions <= 0:
        return 0.0
    return min(1.0, observed.baseline_sessions / sessions)


def baseline_purchases(
    demand: Demand, machine: Machine, capacity: Capacity, *, held: bool = False
) -> tuple[Purchase, ...]:
    """Every way in which this agent's baseline may be bought on this machine; none where it is not offered so.

    Reserved capacity is no choice of its own: it lowers the price of on-demand nodes that were chosen anyway. ``held``:
    its nodes go into capacity that is held, where they are billed on demand whatever finds no room there is bought as.
    """
    on_demand, spot = machine.usd_per_hour("on-demand"), machine.usd_per_hour("spot")
    ways: list[Purchase] = []
    if is_spot_eligible(demand, capacity) and capacity.on_demand_floor_ratio == 0 and spot is not None:
        first = _spot_first(spot, on_demand)
        if held and on_demand is not None:
            first = replace(first, usd_per_hour=on_demand, billed_as="on-demand")
        ways.append(first)
    if on_demand is not None:
        ways.append(_only_on_demand(on_demand))
    return tuple(ways)


def burst_purchases(
    demand: Demand, machine: Machine, capacity: Capacity, notice_s: int, drain_s: int
) -> tuple[Purchase, ...]:
    """How this agent's burst may be bought on this machine: on spot where it is safe, else on-demand.

    Where a share of its replicas stays on-demand, it is bought either way: on spot beside enough warm replicas that are
    not, or on-demand beside no more than must be warm anyway. The same holds where its share of a pool of spot is limited.
    """
    on_demand, spot = machine.usd_per_hour("on-demand"), machine.usd_per_hour("spot")
    safe = is_spot_eligible(demand, capacity) or (
        capacity.spot == "auto" and spot_refusal(demand, capacity, notice_s, drain_s) is None
    )
    if safe and spot is not None and (on_demand is None or spot <= on_demand):
        first = _spot_first(spot, on_demand)
        either = capacity.on_demand_floor_ratio or capacity.max_share_per_pool is not None
        if on_demand is None or not either:
            return (first,)
        return first, _only_on_demand(on_demand)
    return () if on_demand is None else (_only_on_demand(on_demand),)


def is_spot_eligible(demand: Demand, capacity: Capacity) -> bool:
    """Whether losing a replica costs this agent time and not an answer."""
    return capacity.spot == "auto" and (not demand.user_facing or demand.agent.interruptible)


def spot_refusal(demand: Demand, capacity: Capacity, notice_s: int, drain_s: int) -> Refusal | None:
    """Why a user-facing burst may not be on this provider's spot, if it may not."""
    if is_spot_eligible(demand, capacity):
        return None
    if notice_s == 0:
        if capacity.burst_without_notice == "accept":
            return None
        message = "the provider documents no interruption notice; capacity.burstWithoutNotice: accept takes the risk"
        return Refusal(constraint="spot-notice", need=drain_s, limit=0, unit="s", message=message)
    limit = notice_s - NOTICE_DETECTION_S
    if drain_s > limit:
        message = (
            f"a drain of {drain_s} s does not fit the interruption notice of {notice_s} s less {NOTICE_DETECTION_S} s"
        )
        return Refusal(constraint="spot-drain", need=drain_s, limit=limit, unit="s", message=message)
    return None


def reserved_refusal(observed: Observed) -> Refusal:
    """Why reserved capacity is not bought yet."""
    if observed.days < RESERVE_AFTER_DAYS:
        message = f"reserved capacity needs {RESERVE_AFTER_DAYS} days of measured production traffic; {observed.days} are stated"
        return Refusal(
            constraint="reserved-days", need=RESERVE_AFTER_DAYS, limit=observed.days, unit="days", message=message
        )
    message = (
        f"reserved capacity needs a stable baseline: lowest / mean daily load of {RESERVE_STABILITY_RATIO} at least; "
        f"{observed.baseline_ratio} is stated"
    )
    return Refusal(
        constraint="reserved-stability",
        need=RESERVE_STABILITY_RATIO,
        limit=observed.baseline_ratio,
        unit="ratio",
        message=message,
    )


def _only_on_demand(price: Decimal) -> Purchase:
    return Purchase(capacity_types=("on-demand",), usd_per_hour=price, fallback_usd_per_hour=None)


def _spot_first(spot: Decimal, on_demand: Decimal | None) -> Purchase:
    ways: tuple[CapacityType, ...] = ("spot",) if on_demand is None else ("spot", "on-demand")
    return Purchase(capacity_types=ways, usd_per_hour=spot, fallback_usd_per_hour=on_demand)
