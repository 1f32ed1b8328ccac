"""What the targets of virtual machines have in common: each machine runs Docker Compose, and nothing runs over several."""

from __future__ import annotations

from typing import Final

from agentgpu_iac.spec.model import StackSpec
from agentgpu_iac.targets.port import (
    CLUSTER_IDLE,
    HELD_CAPACITY_IDLE,
    NODE_IMAGE_IDLE,
    RENEWAL_IDLE,
    ROLLOUT_IDLE,
    Idle,
    containers_left_out,
)

NOT_OVER_NODES: Final = "and a replica over several machines needs a cluster"
NOT_SCALED: Final = "virtual machines are started and ended by whoever runs the stack"

without_containers = containers_left_out("in which neither systemd nor Docker runs")

IDLE: Final = (
    CLUSTER_IDLE,
    NODE_IMAGE_IDLE,
    HELD_CAPACITY_IDLE,
    RENEWAL_IDLE,
    ROLLOUT_IDLE,
    Idle(keys=("pins.kubernetesVersion",), reason="only a cluster has it"),
    Idle(keys=("observability.labels",), reason="only the Prometheus operator selects by labels"),
)


def shared_on_small_machines(_spec: StackSpec) -> str:
    """A container is told its accelerator by number, but placement counts no parts of machines."""
    return "sharing is planned on machines of one accelerator alone"
