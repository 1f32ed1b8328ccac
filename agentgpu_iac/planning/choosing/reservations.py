"""Reserved capacity: which pools it may carry, how many of their nodes, and what each saves.

Reserved capacity carries whole nodes of a baseline that is user-facing and on-demand, and of those only as many as the
observed load always filled. The placement prices a pool by this rule before it chooses, and the pool is bought by it.
"""

from __future__ import annotations

import math
from decimal import Decimal

from agentgpu_iac.planning.choosing.pricing import Machine
from agentgpu_iac.planning.choosing.tiers import Purchase
from agentgpu_iac.units import ceil_div

ROUNDING = 1e-9
"""A share of nodes that is a whole number up to this is one."""


def saved_usd_per_hour(machine: Machine, purchase: Purchase) -> Decimal:
    """What one reserved node costs less than one bought as the baseline is; 0 where none is sold, or none is cheaper."""
    reserved = machine.usd_per_hour("reserved")
    if reserved is None or purchase.capacity_types != ("on-demand",):
        return Decimal(0)
    return max(Decimal(0), purchase.usd_per_hour - reserved)


def most_reserved(normal_nodes: int, ratio: float) -> int:
    """Whole nodes that the observed load always filled, of those that normal load needs."""
    return math.floor(normal_nodes * ratio + ROUNDING)


def normal_nodes(nodes: int, normal_slots: int, slots_per_node: int) -> int:
    """Nodes of a baseline that normal load needs: the others only stand by for a burst.

    ``normal_slots`` is what the replicas of normal load take, of the ``slots_per_node`` that engines have on a node.
    """
    return min(nodes, ceil_div(normal_slots, slots_per_node))
