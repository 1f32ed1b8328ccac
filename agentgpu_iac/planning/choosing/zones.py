"""Zones: how replicas are spread over them, how many survive the loss of one, and how many a burst must be in.

The spread is even: no zone has more than one replica more than another. So the loss of a zone takes the fullest one's.
"""

from __future__ import annotations

from agentgpu_iac.planning.demand import Demand
from agentgpu_iac.spec.model import Capacity
from agentgpu_iac.units import ceil_div

_ROUNDING = 1e-9


def in_zones(replicas: int, zones: int) -> tuple[int, ...]:
    """Replicas in each zone, the fullest first."""
    if zones == 1:
        return (replicas,)
    each, more = divmod(replicas, zones)
    return tuple(each + (zone < more) for zone in range(zones))


def surviving(normal: int, zones: int) -> int:
    """Replicas, as many in each zone, of which so many are left when a zone is lost."""
    return zones * ceil_div(normal, zones - 1)


def baseline_zones(demand: Demand, capacity: Capacity) -> int:
    """Zones that an agent's warm replicas are spread over; 1: wherever there is room."""
    return capacity.zones if capacity.survive == "zone" and demand.user_facing else 1


def burst_zones(replicas: int, capacity: Capacity, *, on_spot: bool) -> int | None:
    """The fewest zones over which no pool of spot has more of a burst than it may; None where there are not so many.

    EC2 takes spot machines back by pool, and a pool is one instance type in one zone.
    """
    share = capacity.max_share_per_pool
    if share is None or not on_spot or not replicas:
        return 1
    most = int(share * replicas + _ROUNDING)
    if not most:
        return None
    zones = ceil_div(replicas, most)
    return zones if zones <= capacity.zones else None
