"""Capacity that you hold on EC2: which reservation the nodes of a pool are launched into."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import pulumi_aws as aws

from agentgpu_iac.errors import BadInput, Fault, did_you_mean
from agentgpu_iac.plan import NodePool
from agentgpu_iac.units import counted

IDS_KEY = "agentgpu:capacityReservationIds"
ZONES_KEY = "agentgpu:capacityReservationZones"

_RESERVATION_ID = re.compile(r"cr-[0-9a-f]+")
_GROUP_ARN = re.compile(r"arn:aws[a-z-]*:resource-groups:[a-z0-9-]+:\d{12}:group/[\w.-]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldCapacity:
    """What the launch template of a pool's preferred node group targets."""

    reservation: str
    """The id of a reservation, or the ARN of a resource group of reservations."""
    is_block: bool
    """A Capacity Block: paid when it was bought, ends on its date."""
    zone: str | None
    """None: a resource group, whose reservations may lie in several zones."""

    @property
    def is_group(self) -> bool:
        """For a group, EC2 launches on demand what does not fit; for a single reservation, the launch fails."""
        return self.reservation.startswith("arn:")


def held_capacity_faults(
    pools: tuple[NodePool, ...], ids: Mapping[str, str], zones: Mapping[str, str], source: str
) -> Iterator[Fault]:
    """Reservations that are missing, misspelt, or named for a pool that holds none."""
    for name in sorted({*ids, *zones} - {pool.name for pool in pools}):
        yield Fault(
            source=source,
            path=f"{IDS_KEY if name in ids else ZONES_KEY}.{name}",
            message="the plan has no such node pool",
            hint=did_you_mean(name, [pool.name for pool in pools]) or "agentgpu plan names the pools",
        )
    for pool in pools:
        yield from _faults_of(pool, ids.get(pool.name), zones.get(pool.name), source)


def _faults_of(pool: NodePool, reservation: str | None, zone: str | None, source: str) -> Iterator[Fault]:
    path, zone_path = f"{IDS_KEY}.{pool.name}", f"{ZONES_KEY}.{pool.name}"
    is_block = pool.reservation == "capacity-block"
    if reservation is None:
        if is_block:
            yield Fault(
                source=source,
                path=path,
                message="the plan takes this pool's nodes from a Capacity Block, and none is named",
                hint=f"pulumi config set --path '{path}' cr-...",
            )
        if zone is not None:
            yield Fault(
                source=source, path=zone_path, message="no reservation is named for this pool", hint="remove it"
            )
        return
    if pool.reservation == "none":
        yield Fault(
            source=source,
            path=path,
            message="the plan holds no capacity for this pool",
            hint="set spec.capacity.reservation to on-demand or capacity-block, or remove it",
        )
        return
    is_group = _GROUP_ARN.fullmatch(reservation) is not None
    if not is_group and not _RESERVATION_ID.fullmatch(reservation):
        yield Fault(
            source=source,
            path=path,
            message=f"{reservation!r} is neither the id of a reservation nor the ARN of a resource group of them",
            hint="write cr-..., or arn:aws:resource-groups:REGION:ACCOUNT:group/NAME",
        )
        return
    if is_block and is_group:
        yield Fault(
            source=source,
            path=path,
            message="a Capacity Block is named by its own id: EC2 takes none into a resource group",
            hint="write cr-...",
        )
    if is_block and len(pool.instance_types) > 1:
        yield Fault(
            source=source, path=path, message=f"one Capacity Block cannot be {' and '.join(pool.instance_types)}"
        )
    if not is_block and not is_group and zone is None:
        yield Fault(
            source=source,
            path=zone_path,
            message=f"in which zone {reservation} lies is not said, and nodes elsewhere could not use it",
            hint=f"pulumi config set --path '{zone_path}' ZONE",
        )
    if zone is not None and (is_block or is_group):
        yield Fault(
            source=source,
            path=zone_path,
            message="only a single on-demand reservation has its zone said here",
            hint="remove it: the zone of a Capacity Block is looked up, and a resource group may span zones",
        )


def find_held_capacity(
    pools: tuple[NodePool, ...], ids: Mapping[str, str], zones: Mapping[str, str], source: str
) -> dict[str, HeldCapacity]:
    """The reservations by pool, Capacity Blocks looked up. Raises BadInput for a block that is of no use to its pool."""
    found: dict[str, HeldCapacity] = {}
    for pool in pools:
        reservation = ids.get(pool.name)
        if reservation is None:
            continue
        is_block = pool.reservation == "capacity-block"
        zone = _zone_of_block(pool, reservation, source) if is_block else zones.get(pool.name)
        found[pool.name] = HeldCapacity(reservation=reservation, is_block=is_block, zone=zone)
    return found


def _zone_of_block(pool: NodePool, reservation: str, source: str) -> str:
    block = aws.ec2.get_capacity_block_reservation(id=reservation)
    wanted = pool.instance_types[0]
    problem = ""
    if block.instance_type != wanted:
        problem = f"{reservation} holds {block.instance_type}, but the pool needs {wanted}"
    elif block.instance_count < pool.min:
        problem = f"{reservation} holds {counted(block.instance_count, 'node')}, but the pool needs {pool.min}"
    if problem:
        raise BadInput.one(source, problem, path=f"{IDS_KEY}.{pool.name}", hint="name another Capacity Block")
    return block.availability_zone
