"""EKS: a cluster that is made for the stack or is there, on AWS, in one region; Karpenter or EKS makes its nodes."""

from __future__ import annotations

from typing import Final

from agentgpu_iac.sizing import starting
from agentgpu_iac.targets.port import (
    CANNOT_BE_NODES,
    HOSTS_IDLE,
    NotPriced,
    TargetPort,
    containers_left_out,
    no_choice_of_accelerator,
)

EKS: Final = TargetPort(
    name="eks",
    title="EKS",
    providers=("aws",),
    regions=("us-east-1",),
    why_no_local_zone=(
        "the cluster's subnets lie in the zones of the region itself: a local zone is opted in by hand, and EKS puts no "
        "network interface of its own there (docs.aws.amazon.com/eks/latest/userguide/local-zones.html)"
    ),
    price_cap_ratio=2.0,
    node_error_ratio=starting.NODE_ERROR_RATIO,
    why_not_shared_in_part=no_choice_of_accelerator,
    left_out=containers_left_out(CANNOT_BE_NODES),
    charges=(
        "control-plane",
        "extended-support",
        "nat-gateway",
        "public-address",
        "nat-traffic",
        "logs",
    ),
    charges_of_new_cluster=frozenset({"control-plane", "extended-support", "nat-gateway", "public-address", "logs"}),
    bills_root_volumes=True,
    not_priced=(
        NotPriced(what="traffic between zones and to callers", why="it grows with prompts and answers"),
        NotPriced(
            what="buckets, keys, load balancers and other volumes",
            why="they do not depend on the agents, or you make them",
        ),
    ),
    idle=(HOSTS_IDLE,),
)
