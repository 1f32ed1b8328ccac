"""Kubernetes: a cluster that is there, with nodes of any provider that someone joins to it."""

from __future__ import annotations

from typing import Final

from agentgpu_iac.sizing import loading
from agentgpu_iac.targets.port import (
    CANNOT_BE_NODES,
    HELD_CAPACITY_IDLE,
    HOSTS_IDLE,
    NODE_IMAGE_IDLE,
    RENEWAL_IDLE,
    Idle,
    TargetPort,
    containers_left_out,
    no_choice_of_accelerator,
)

KUBERNETES: Final = TargetPort(
    name="kubernetes",
    title="Kubernetes",
    cold_start_error_ratio=loading.ERROR_RATIO_ELSEWHERE,
    why_not_shared_in_part=no_choice_of_accelerator,
    left_out=containers_left_out(CANNOT_BE_NODES),
    idle=(
        HOSTS_IDLE,
        NODE_IMAGE_IDLE,
        HELD_CAPACITY_IDLE,
        RENEWAL_IDLE,
        Idle(keys=("capacity.priceCapRatio",), reason="its nodes are made, and paid, by somebody else"),
    ),
)
