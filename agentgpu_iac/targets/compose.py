"""Compose: virtual machines of your own, each set up by hand or by cloud-init; with Ollama one is a developer's machine."""

from __future__ import annotations

from typing import Final

from agentgpu_iac.sizing import starting
from agentgpu_iac.targets import machines
from agentgpu_iac.targets.port import NotPriced, TargetPort

COMPOSE: Final = TargetPort(
    name="compose",
    title="Docker Compose",
    node_error_ratio=starting.NODE_ERROR_RATIO_ELSEWHERE,
    why_not_over_nodes=machines.NOT_OVER_NODES,
    why_not_shared_in_part=machines.shared_on_small_machines,
    why_not_scaled=machines.NOT_SCALED,
    left_out=machines.without_containers,
    not_priced=(
        NotPriced(
            what="disks, traffic and addresses", why="whoever rents out the machines bills them in their own way"
        ),
    ),
    idle=machines.IDLE,
)
