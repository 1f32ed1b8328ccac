"""Which availability zones there are, and which of them sell the accelerators of the plan.

GPU instance types are sold in some zones of a region only, and a node group whose subnets lie in the wrong zone
cannot start. So each pool gets the subnets of the zones that sell its planned instance type, and a node group those of the
others that all of its zones sell: a type that may stand in must take no zone away.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import pulumi_aws as aws

from agentgpu_iac.errors import BadInput, Fault
from agentgpu_iac.plan import NodePool, Plan
from agentgpu_iac.provisioning.faults import PLAN
from agentgpu_iac.units import counted

WITHOUT_CONTROL_PLANE = ("use1-az3", "usw1-az2", "cac1-az3")
"""Zone ids in which EKS does not place control planes; a cluster subnet there fails the creation."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Zone:
    """An availability zone and those of the plan's instance types that it sells."""

    name: str
    instance_types: frozenset[str]


def find_zones(plan: Plan) -> tuple[Zone, ...]:
    """Ask AWS for the zones of the region in which EKS runs, in alphabetical order.

    The state of a zone is not asked for: an impaired zone must not make ``pulumi up`` delete its subnets.
    """
    names = aws.get_availability_zones(
        exclude_zone_ids=list(WITHOUT_CONTROL_PLANE),
        filters=[aws.GetAvailabilityZonesFilterArgs(name="opt-in-status", values=["opt-in-not-required"])],
    ).names
    return offers_in(names, plan)


def offers_in(names: Iterable[str], plan: Plan) -> tuple[Zone, ...]:
    """Ask AWS which of the plan's instance types these zones sell; in alphabetical order."""
    system = () if plan.system_nodes is None else plan.system_nodes.instance_types
    wanted = sorted({*system, *(kind for pool in plan.node_pools for kind in pool.instance_types)})
    offered = aws.ec2.get_instance_type_offerings(
        location_type="availability-zone",
        filters=[aws.ec2.GetInstanceTypeOfferingsFilterArgs(name="instance-type", values=wanted)],
    )
    pairs = set(zip(offered.locations, offered.instance_types, strict=True))
    return tuple(
        Zone(name=name, instance_types=frozenset(kind for kind in wanted if (name, kind) in pairs))
        for name in sorted(names)
    )


def with_offers(zones: tuple[Zone, ...], plan: Plan, source: str, key: str) -> tuple[Zone, ...]:
    """The zones of subnets that somebody named, where each pool's planned type is sold in one of them.

    Raises:
        BadInput: a pool's type is sold in none; ``source`` and ``key`` say where the subnets are named.
    """
    faults: list[Fault] = []
    for kind in dict.fromkeys(pool.instance_types[0] for pool in plan.node_pools):
        if any(kind in zone.instance_types for zone in zones):
            continue
        offered = aws.ec2.get_instance_type_offerings(
            location_type="availability-zone",
            filters=[aws.ec2.GetInstanceTypeOfferingsFilterArgs(name="instance-type", values=[kind])],
        )
        others = sorted(set(offered.locations))
        faults.append(
            Fault(
                source=source,
                path=key,
                message=f"the subnets lie in {', '.join(zone.name for zone in zones)}, where nobody sells {kind}",
                hint=f"name a subnet in {' or '.join(others)} too" if others else "deny this accelerator in the spec",
            )
        )
    if faults:
        raise BadInput(faults)
    return zones


def zones_for(
    pool: NodePool, zones: tuple[Zone, ...], *, single: bool = False, at: str | None = None
) -> tuple[str, ...]:
    """The zones that sell the planned instance type of the pool. Raises BadInput where none does.

    Only one of them where replicas go over several nodes (no fabric reaches from zone to zone, and a node group spreads
    its nodes over all its zones) or where a ``single`` one is asked for; ``at``, where capacity is held, if that is known.
    """
    found = tuple(zone.name for zone in zones if pool.instance_types[0] in zone.instance_types)
    if not found:
        raise BadInput.one(
            PLAN,
            f"no availability zone of {pool.region} with EKS sells {pool.instance_types[0]}",
            path=f"nodePools.{pool.name}",
            hint="choose another region or deny this accelerator",
        )
    if at is not None and at not in found:
        raise BadInput.one(
            PLAN,
            f"{pool.name} holds capacity in {at}, but its nodes may only stand in {', '.join(found)}",
            path=f"nodePools.{pool.name}",
            hint="name a reservation in one of these zones",
        )
    if pool.zones > 1 and (single or at is not None or len(found) < pool.zones):
        where = f"{at or found[0]} alone" if single or at is not None else " and ".join(found)
        raise BadInput.one(
            PLAN,
            f"{pool.name} is spread over {counted(pool.zones, 'zone')}, but its nodes may stand in {where}",
            path=f"nodePools.{pool.name}",
            hint="choose another region or accelerator, hold no capacity for it, or take capacity.survive: node",
        )
    if pool.nodes_per_replica > 1 or single:
        return (at or found[0],)
    return found if pool.zones == 1 else found[: pool.zones]


def sold_in(pool: NodePool, zones: tuple[Zone, ...], names: tuple[str, ...]) -> tuple[str, ...]:
    """The pool's instance types that each of some zones sells, in the pool's order."""
    there = [zone.instance_types for zone in zones if zone.name in names]
    return tuple(kind for kind in pool.instance_types if all(kind in sold for sold in there))
