"""Whose the machines of a pool are, where they stand and how they were come by, in words.

Machines of the inventory borrow the name and the size of a seller's instance type, and no more: no view says that seller,
its region or its ways to buy of them. So every view asks here.
"""

from __future__ import annotations

from agentgpu_iac.catalog.join import ANY_REGION
from agentgpu_iac.plan.node_pool import NodePool

OWN_MACHINES = "your own machines"
OWNED = "owned"
"""How they were come by, as the cost's lines have it."""


def place_words(pool: NodePool) -> str:
    """The seller and its region, such as ``aws us-east-1``; of your own machines, where you say that they stand."""
    if pool.owned:
        return OWN_MACHINES if pool.region == ANY_REGION else f"{OWN_MACHINES}, {pool.region}"
    return f"{pool.provider}, any region" if pool.region == ANY_REGION else f"{pool.provider} {pool.region}"


def in_place_words(pool: NodePool) -> str:
    """The same behind a count of machines: `` in us-east-1``; empty where nobody says where they stand."""
    return "" if pool.region == ANY_REGION else f" in {pool.region}"


def ways_words(pool: NodePool, between: str) -> str:
    """The ways in which they are bought, the preferred first."""
    return OWNED if pool.owned else between.join(pool.capacity_types)


def dated(date: str, bought: str) -> str:
    """When a price was read; what your own machines cost is what the spec says, whenever it is read."""
    return "the spec" if bought == OWNED else date or "undated"
