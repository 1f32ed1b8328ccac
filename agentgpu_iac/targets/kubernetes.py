"""Kubernetes: a cluster that is there, with nodes of any provider that someone joins to it."""

from __future__ import annotations

from typing import Final

from agentgpu_iac.sizing import starting
from agentgpu_iac.targets.port import (
    CANNOT_BE_NODES,
    HELD_CAPACITY_IDLE,
    HOSTS_IDLE,
    NODE_IMAGE_IDLE,
    RENEWAL_IDLE,
    Idle,
    NotPriced,
    TargetPort,
    containers_left_out,
    no_choice_of_accelerator,
)

KUBERNETES: Final = TargetPort(
    name="kubernetes",
    title="Kubernetes",
    node_error_ratio=starting.NODE_ERROR_RATIO_ELSEWHERE,
    why_not_shared_in_part=no_choice_of_accelerator,
    left_out=containers_left_out(CANNOT_BE_NODES),
    not_priced=(
        NotPriced(
            what="everything else of your cluster: control plane, other nodes, disks, traffic, logs",
            why="it is there, and no part of the plan",
        ),
    ),
    idle=(
        HOSTS_IDLE,
        NODE_IMAGE_IDLE,
        HELD_CAPACITY_IDLE,
        RENEWAL_IDLE,
        Idle(keys=("capacity.priceCapRatio",), reason="its nodes are made, and paid, by somebody else"),
    ),
)
