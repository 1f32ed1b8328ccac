"""How a pool's capacity types become EKS managed node groups. No Pulumi here: a table and two rules."""

from __future__ import annotations

from dataclasses import dataclass

from agentgpu_iac.plan import NodePool
from agentgpu_iac.plan.nodes import FALLBACK_SUFFIX, PREFERRED_SUFFIX
from agentgpu_iac.provisioning.aws.held_capacity import HeldCapacity
from agentgpu_iac.spec.vocabulary import CapacityType

EKS_CAPACITY: dict[CapacityType, str] = {"on-demand": "ON_DEMAND", "reserved": "ON_DEMAND", "spot": "SPOT"}
"""A reservation or a savings plan is a price, not a way to launch: on-demand nodes use it up by themselves as long
as it is open to any instance that matches. One that is named instead (``HeldCapacity``) has a node group of its own."""

CAPACITY_BLOCK = "CAPACITY_BLOCK"


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeGroupShape:
    """One managed node group of a pool: how its nodes are bought, and how many there are."""

    suffix: str
    """What to append to the pool's name; empty for a pool that is one group."""
    eks_capacity_type: str
    min_size: int
    max_size: int
    desired_size: int
    held: HeldCapacity | None = None
    """The reservation that its nodes are launched into."""

    @property
    def elastic(self) -> bool:
        """Whether someone else (an autoscaler, you) may choose the size between minimum and maximum."""
        return self.max_size > self.min_size


def node_group_shapes(pool: NodePool, held: HeldCapacity | None = None) -> tuple[NodeGroupShape, ...]:
    """The node groups of a pool, the preferred capacity type first.

    A managed node group buys its nodes in one way only. So a pool with a fallback becomes several groups with the
    same labels and taints: the preferred one holds the pool's minimum, and each fallback starts empty. Every group
    may grow to the pool's maximum, so that one can stand in for the other altogether; pending pods, not the groups,
    bound how many nodes there are in all.

    ``held`` is the reservation that the pool's reserved nodes are launched into, where you named one.
    """
    bought = _ways(pool, held)
    floor = pool.max if pool.fixed_size else pool.min
    if len(bought) == 1:
        return (_shape(pool, bought[0], suffix="", floor=floor),)
    preferred, *fallbacks = bought
    return (
        _shape(pool, preferred, suffix=PREFERRED_SUFFIX, floor=floor),
        *(_shape(pool, fallback, suffix=FALLBACK_SUFFIX, floor=0) for fallback in fallbacks),
    )


_Way = tuple[str, HeldCapacity | None]
"""An EKS capacity type, and the reservation to launch into."""


def _ways(pool: NodePool, held: HeldCapacity | None) -> tuple[_Way, ...]:
    """Each way to buy once.

    EC2 itself launches on demand what does not fit into a resource group of reservations, so on-demand nodes need no node
    group beside that one.
    """
    found: list[_Way] = []
    for capacity in pool.capacity_types:
        if capacity == "reserved" and held is not None:
            found.append((CAPACITY_BLOCK if held.is_block else EKS_CAPACITY[capacity], held))
        elif not (held is not None and held.is_group and capacity != "spot"):
            found.append((EKS_CAPACITY[capacity], None))
    return tuple(dict.fromkeys(found))


def _shape(pool: NodePool, way: _Way, *, suffix: str, floor: int) -> NodeGroupShape:
    """A Capacity Block ends on its date, and EKS scales its group to nothing before: an elastic one may be empty."""
    eks_capacity_type, held = way
    may_end = eks_capacity_type == CAPACITY_BLOCK and not pool.fixed_size
    return NodeGroupShape(
        suffix=suffix,
        eks_capacity_type=eks_capacity_type,
        min_size=0 if may_end else floor,
        max_size=pool.max,
        desired_size=floor,
        held=held,
    )
