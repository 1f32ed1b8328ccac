"""Network interfaces of nodes that share a replica: which kind on which card, for launch templates and for Karpenter.

AWS's guide (AWSEC2/latest/UserGuide/efa-acc-inst-types.html, read 2026-11-27): the primary interface, device 0 of card 0, is an
ENA one, which carries IP; an EFA-only interface is device 1 of card 0 where that card takes one, and device 0 of each further
card. EFA-only interfaces take no address of the subnet. Karpenter asks for the same (EC2NodeClass networkInterfaces).
"""

from __future__ import annotations

from typing import Literal, NamedTuple

from agentgpu_iac.plan.node_pool import NodePool


class NetworkInterface(NamedTuple):
    """One interface of a node."""

    card: int
    device: int
    kind: Literal["interface", "efa-only"]


def network_interfaces(pool: NodePool) -> tuple[NetworkInterface, ...]:
    """Interfaces of a pool's nodes; none where no replica goes over several of them, and EKS or Karpenter choose."""
    if pool.nodes_per_replica == 1 or not pool.efa_interfaces:
        return ()
    cards = range(pool.first_efa_card, pool.first_efa_card + pool.efa_interfaces)
    return (
        NetworkInterface(0, 0, "interface"),
        *(NetworkInterface(card, 1 if card == 0 else 0, "efa-only") for card in cards),
    )
