"""How EKS renews the nodes of a managed node group, and which image release they are told.

What AWS does (docs.aws.amazon.com/eks/latest/userguide/managed-node-update-behavior.html and UpdateNodegroupVersion in its
API reference, read 2026-11-27), and what the provider sends (internal/service/eks/node_group.go of terraform-provider-aws,
read 2026-11-27):

- With the strategy ``DEFAULT`` a group first grows, by twice its zones or by the nodes that may be away at once, whichever is
  more; with ``MINIMAL`` the old nodes go first.
- Any change of the launch template is an update to the newest image release of the Kubernetes version, unless a release is
  sent, and the provider sends one only where it changed too.
- A group never goes back to an older release.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any, Final

import pulumi_aws as aws

from agentgpu_iac.errors import Fault
from agentgpu_iac.plan import NodePool
from agentgpu_iac.units import counted

OUTPUT: Final = "nodeReleases"
"""Name of the stack output that tells which image release each node group runs."""

GENERATIONS_KEY: Final = "agentgpu:nodeGroupGenerations"
_PER_ZONE: Final = 2


def update_config(pool: NodePool, *, nothing_to_spare: bool) -> aws.eks.NodeGroupUpdateConfigArgs:
    """``nothing_to_spare``: its nodes are held one by one, so that none can come before one goes."""
    minimal = nothing_to_spare or pool.node_updates == "minimal"
    return aws.eks.NodeGroupUpdateConfigArgs(
        max_unavailable=pool.nodes_per_replica, update_strategy="MINIMAL" if minimal else "DEFAULT"
    )


def extra_nodes(pool: NodePool, zones: int) -> int:
    """Nodes that an update starts before old ones go."""
    return 0 if pool.node_updates == "minimal" else max(_PER_ZONE * zones, pool.nodes_per_replica)


def what_updates_cost(pool: NodePool, zones: int) -> str | None:
    """A sentence on the nodes that an update of the pool's group starts beside the old ones; None where it starts none."""
    more = extra_nodes(pool, zones)
    if not more:
        return None
    usd = pool.usd_per_hour * Decimal(more)
    return (
        f"{pool.name}: an update of its nodes starts up to {more} more of them, two in each of {counted(zones, 'zone')}, for USD "
        f"{usd:,.2f} an hour while it lasts, and your quota must allow them (capacity.nodeUpdates: minimal starts none)"
    )


def releases_of(last: Mapping[str, Any]) -> Mapping[str, str]:
    """The release of each node group after the last deployment, by its logical name; empty where its outputs tell none."""
    found = last.get(OUTPUT)
    return {group: str(release) for group, release in found.items()} if isinstance(found, Mapping) else {}


def release_to_send(pinned: str, last: str | None) -> str:
    """The release that a group is told: the pinned one, or the one that it runs where that is newer.

    A changed launch template moved it there, and EKS does not go back.
    """
    return last if last is not None and _is_newer(last, pinned) else pinned


def moved_on(group: str, pinned: str, last: str | None) -> str | None:
    """A sentence where a group runs a newer release than the pinned one."""
    if last is None or not _is_newer(last, pinned):
        return None
    return (
        f"the node group {group} runs the image release {last}, newer than the pinned {pinned}: a change of its launch template "
        f"took it there, and EKS never goes back. Pin al2023@v{_day(last)}, or have a new group made at the pinned release: "
        f"pulumi config set --path '{GENERATIONS_KEY}.POOL' 2"
    )


def generation_faults(generations: Mapping[str, Any], pools: tuple[NodePool, ...], source: str) -> Iterator[Fault]:
    """Pools that are not there, and generations that are no number."""
    known = [pool.name for pool in pools]
    for name, generation in sorted(generations.items()):
        if name not in known:
            yield Fault(
                source=source,
                path=f"{GENERATIONS_KEY}.{name}",
                message=f"no node group is made for a pool {name!r}",
                hint=f"it is one of {', '.join(known)}" if known else "unset it: no pool has node groups",
            )
        elif not isinstance(generation, int) or isinstance(generation, bool) or generation < 1:
            yield Fault(
                source=source,
                path=f"{GENERATIONS_KEY}.{name}",
                message=f"{generation!r} is no generation",
                hint="write 2 for a new node group in place of the first, then 3",
            )


def generation_suffix(generation: int) -> str:
    """What tells a later group of a pool from the one that it replaces."""
    return "" if generation == 1 else f"-g{generation}"


def _is_newer(release: str, than: str) -> bool:
    """Releases are ``<Kubernetes version>-<day>``; one of another minor version is none to compare."""
    (version, day), (other, other_day) = (each.rpartition("-")[::2] for each in (release, than))
    same_minor = version.split(".")[:2] == other.split(".")[:2]
    return same_minor and bool(version) and day > other_day


def _day(release: str) -> str:
    return release.rpartition("-")[2]
