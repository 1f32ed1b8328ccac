"""What is looked up before anything is made: where the nodes stand, and what is held for them there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from agentgpu_iac.plan import NodePool, Plan
from agentgpu_iac.provisioning.aws.existing_network import SUBNETS_KEY, find_subnets
from agentgpu_iac.provisioning.aws.held_capacity import HeldCapacity, find_held_capacity
from agentgpu_iac.provisioning.aws.node_updates import what_updates_cost
from agentgpu_iac.provisioning.aws.reserved_capacity import nodes_to_reserve, what_it_costs
from agentgpu_iac.provisioning.aws.system_nodes import SystemPlace, system_place
from agentgpu_iac.provisioning.aws.zones import find_zones, offers_in, sold_in, with_offers, zones_for
from agentgpu_iac.provisioning.faults import CONFIGURATION


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """What was looked up before anything is made: where the nodes stand, and what is held for them there."""

    zones: tuple[str, ...]
    zones_of_pool: Mapping[str, tuple[str, ...]]
    types_of_pool: Mapping[str, tuple[str, ...]]
    """Instance types that all of a pool's zones sell."""
    subnets: Mapping[str, str]
    """Of an existing network, by zone."""
    system: SystemPlace | None
    """None: the cluster has nodes for what needs no accelerator."""
    held: Mapping[str, HeldCapacity]
    """By pool."""
    reserve: Mapping[str, int]
    """Nodes to reserve, by pool."""

    def told(self, plan: Plan, grouped: tuple[NodePool, ...]) -> Iterator[str]:
        """What is billed, or will be, and stands in no table."""
        yield from (f"agentgpu:reserve holds {sentence}" for sentence in self.reservations(plan))
        for pool in grouped:
            if (sentence := what_updates_cost(pool, len(self.zones_of_pool[pool.name]))) is not None:
                yield sentence

    def reservations(self, plan: Plan) -> tuple[str, ...]:
        """What is reserved, and what that costs."""
        return tuple(
            what_it_costs(pool, self.reserve[pool.name], self.zones_of_pool[pool.name][0])
            for pool in plan.node_pools
            if pool.name in self.reserve
        )


def find_site(
    plan: Plan,
    grouped: tuple[NodePool, ...],
    *,
    vpc_id: str | None,
    private_subnet_ids: tuple[str, ...],
    reservation_ids: Mapping[str, str],
    reservation_zones: Mapping[str, str],
    reserves: bool,
) -> Site:
    """Look up where the nodes of a plan stand. ``grouped`` are the pools that become node groups."""
    held = find_held_capacity(grouped, reservation_ids, reservation_zones, CONFIGURATION)
    reserve = nodes_to_reserve(plan, held) if reserves else {}
    is_there = plan.existing_cluster is not None
    subnets = find_subnets(vpc_id, private_subnet_ids, CONFIGURATION, for_control_plane=not is_there) if vpc_id else {}
    zones = with_offers(offers_in(subnets, plan), plan, CONFIGURATION, SUBNETS_KEY) if subnets else find_zones(plan)
    zones_of_pool = {
        pool.name: zones_for(
            pool, zones, single=pool.name in reserve, at=held[pool.name].zone if pool.name in held else None
        )
        for pool in plan.node_pools
    }
    return Site(
        zones=tuple(zone.name for zone in zones),
        zones_of_pool=zones_of_pool,
        types_of_pool={pool.name: sold_in(pool, zones, zones_of_pool[pool.name]) for pool in plan.node_pools},
        subnets=subnets,
        system=None if is_there else system_place(plan, zones),
        held=held,
        reserve=reserve,
    )
