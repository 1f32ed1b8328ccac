"""On-demand capacity reserved for the baseline by this program, where you ask for it: paid for from that moment on."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from decimal import Decimal

import pulumi
import pulumi_aws as aws

from agentgpu_iac.errors import Fault
from agentgpu_iac.plan import NodePool, Plan
from agentgpu_iac.plan.nodes import KARPENTER_DISCOVERY_TAG
from agentgpu_iac.provisioning.aws.naming import pool_tags

_KEY = "agentgpu:reserve"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReservedCapacityArgs:
    """What a reservation needs to know."""

    stack: str
    pool: NodePool
    nodes: int
    zone: str
    placement_group_arn: pulumi.Input[str] | None
    """Where replicas go over several nodes: AWS advises to reserve inside of the group that the nodes are put into."""


class ReservedCapacity(pulumi.ComponentResource):
    """An on-demand capacity reservation for the nodes that a pool always runs, without an end.

    AWS bills it at the on-demand price from its creation to its deletion, whether nodes run in it or not. In return a
    node that is replaced finds its machine again. It is open: nodes of its type in its zone use it by themselves, and
    so does any other instance of the account that matches. The pool's nodes stand in that zone alone.
    """

    def __init__(self, name: str, args: ReservedCapacityArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("agentgpu:aws:ReservedCapacity", name, None, opts)
        aws.ec2.CapacityReservation(
            name,
            instance_type=args.pool.instance_types[0],
            instance_platform="Linux/UNIX",
            availability_zone=args.zone,
            instance_count=args.nodes,
            instance_match_criteria="open",
            end_date_type="unlimited",
            placement_group_arn=args.placement_group_arn,
            tags={
                **pool_tags(args.stack, args.pool),
                "Name": args.pool.name,
                KARPENTER_DISCOVERY_TAG: args.stack,
            },
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.register_outputs({})


def nodes_to_reserve(plan: Plan, held: Collection[str]) -> dict[str, int]:
    """How many nodes to reserve for which pool: those of the baseline that the plan counts as reserved.

    ``held`` are the pools whose reservation you named: they hold theirs already.
    """
    priced: dict[str, int] = {}
    for item in plan.cost.line_items:
        if item.tier == "baseline" and item.capacity_type == "reserved":
            priced[item.node_pool] = priced.get(item.node_pool, 0) + item.nodes
    wanted = {
        pool.name: pool.min if pool.reservation == "on-demand" else priced.get(pool.name, 0)
        for pool in plan.node_pools
        if pool.tier == "baseline" and pool.reservation != "capacity-block" and pool.name not in held
    }
    return {name: nodes for name, nodes in wanted.items() if nodes}


def reserve_faults(plan: Plan, held: Collection[str], source: str) -> Iterator[Fault]:
    """Faults of a request to reserve when there is nothing to reserve."""
    if not nodes_to_reserve(plan, held):
        yield Fault(
            source=source,
            path=_KEY,
            message="the plan reserves no node of the baseline, so there is nothing to hold",
            hint="set spec.capacity.reservation to on-demand, or remove it",
        )


def what_it_costs(pool: NodePool, nodes: int, zone: str) -> str:
    """What a preview must state before the reservation is paid for."""
    each: Decimal = pool.usd_per_hour if pool.fallback_usd_per_hour is None else pool.fallback_usd_per_hour
    return (
        f"{nodes} x {pool.instance_types[0]} in {zone} for {pool.name}: billed from its creation to its deletion, used or "
        f"not, USD {each * nodes} an hour on demand"
    )
