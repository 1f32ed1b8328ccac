"""Spheron: virtual machines rented on a marketplace, offer by offer, which one of them stands in front of."""

from __future__ import annotations

from typing import Final

from agentgpu_iac.catalog.marketplace import MARKETPLACE
from agentgpu_iac.sizing import starting
from agentgpu_iac.targets import machines
from agentgpu_iac.targets.port import NotPriced, TargetPort

SPHERON: Final = TargetPort(
    name="spheron",
    title="Spheron",
    providers=(MARKETPLACE,),
    node_error_ratio=starting.NODE_ERROR_RATIO_ELSEWHERE,
    why_not_over_nodes=machines.NOT_OVER_NODES,
    why_not_shared_in_part=machines.shared_on_small_machines,
    why_not_scaled=machines.NOT_SCALED,
    left_out=machines.without_containers,
    not_priced=(
        NotPriced(what="taxes, and what Spheron may bill beside the machines", why="an offer names one price an hour"),
    ),
    idle=machines.IDLE,
)
