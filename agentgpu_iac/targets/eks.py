"""EKS: a cluster that is made for the stack on AWS, in one region; Karpenter or EKS makes its nodes."""

from __future__ import annotations

from typing import Final

from agentgpu_iac.sizing import loading
from agentgpu_iac.targets.port import (
    CANNOT_BE_NODES,
    HOSTS_IDLE,
    TargetPort,
    containers_left_out,
    no_choice_of_accelerator,
)

EKS: Final = TargetPort(
    name="eks",
    title="EKS",
    providers=("aws",),
    regions=("us-east-1",),
    price_cap_ratio=2.0,
    cold_start_error_ratio=loading.ERROR_RATIO,
    why_not_shared_in_part=no_choice_of_accelerator,
    left_out=containers_left_out(CANNOT_BE_NODES),
    idle=(HOSTS_IDLE,),
)
