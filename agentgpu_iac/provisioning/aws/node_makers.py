"""Who makes the nodes of a plan: managed node groups make all of them, or Karpenter those that it can."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from agentgpu_iac.errors import Fault
from agentgpu_iac.plan import NodePool, Plan
from agentgpu_iac.plan.nodes import KARPENTER_DISCOVERY_TAG
from agentgpu_iac.provisioning.aws.held_capacity import IDS_KEY
from agentgpu_iac.provisioning.manifests import KARPENTER_OVERLAY, NODE_GROUPS_OVERLAY

NODE_GROUPS = "node-groups"
KARPENTER = "karpenter"
OVERLAYS = {NODE_GROUPS: NODE_GROUPS_OVERLAY, KARPENTER: KARPENTER_OVERLAY}
"""What can make nodes, and the folder of the tree that goes with it."""


def grouped_pools(plan: Plan, nodes: str) -> tuple[NodePool, ...]:
    """The pools that become managed node groups: with Karpenter, those of fixed size alone."""
    made = plan.karpenter_pools if nodes == KARPENTER else ()
    return tuple(pool for pool in plan.node_pools if pool not in made)


def node_maker_faults(plan: Plan, nodes: str, chart: str, source: str) -> Iterator[Fault]:
    """Why this plan's nodes cannot be made as configured."""
    if nodes not in OVERLAYS:
        yield Fault(
            source=source,
            path="agentgpu:nodes",
            message=f"there is no {nodes!r}",
            hint=f"set it to {' or '.join(OVERLAYS)}",
        )
        return
    if nodes == KARPENTER and not chart:
        yield Fault(
            source=source,
            path="agentgpu:karpenterChart",
            message="Karpenter makes the nodes, but nothing says where its Helm chart is",
            hint="pulumi config set agentgpu:karpenterChart oci://<registry>/karpenter/karpenter, or a folder or file",
        )
    if nodes == KARPENTER and plan.node_pools and all(pool.fixed_size for pool in plan.node_pools):
        yield Fault(
            source=source,
            path="agentgpu:nodes",
            message="Karpenter makes none of this plan's nodes: every pool has a fixed size",
            hint=f"pulumi config set agentgpu:nodes {NODE_GROUPS}",
        )
    if plan.gitops is not None and not plan.gitops.path.endswith(f"/{OVERLAYS[nodes]}"):
        overlay = plan.gitops.path.rpartition("/")[2]
        yield Fault(
            source=source,
            path="agentgpu:nodes",
            message=f"{nodes} is to make the nodes, but the GitOps tool is told to apply overlays/{overlay}",
            hint=f"pulumi config set agentgpu:nodes {overlay}, or set spec.gitops.overlay to {nodes}",
        )


def karpenter_reservation_faults(stack: str, pools: Collection[str], source: str) -> Iterator[Fault]:
    """Reservations named for pools whose nodes Karpenter makes."""
    for name in sorted(pools):
        yield Fault(
            source=source,
            path=f"{IDS_KEY}.{name}",
            message="Karpenter makes this pool's nodes, and finds what you hold by its tag, not by a name",
            hint=f"tag the reservation {KARPENTER_DISCOVERY_TAG}={stack} and remove it here",
        )
