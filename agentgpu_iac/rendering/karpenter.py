"""Nodes that Karpenter makes: a NodePool and an EC2NodeClass per pool, in the fields of their v1 APIs."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import ClassVar

from agentgpu_iac.errors import BadInput, Fault
from agentgpu_iac.plan import NodePool, Plan
from agentgpu_iac.plan.network_cards import NetworkInterface, network_interfaces
from agentgpu_iac.plan.nodes import (
    ACCELERATOR_RESOURCE,
    KARPENTER_DISCOVERY_TAG,
    PARALLEL_PULL_GATE,
    STACK_LABEL,
    STARTUP_TAINT,
    STARTUP_TAINT_EFFECT,
    STARTUP_TAINT_VALUE,
    cache_directory_script,
    karpenter_node_role,
)
from agentgpu_iac.rendering.context import Context, Draft, Pairs
from agentgpu_iac.rendering.names import KARPENTER, labels, pool_labels
from agentgpu_iac.rendering.templates import filled

_COMPONENT = "node-pool"

_UNPINNED_AMI = "al2023@latest"
_AMI_FAMILY = "al2023@"
"""User data and root device below are those of Amazon Linux 2023."""

_PLAIN_PATH = re.compile(r"(/[A-Za-z0-9][A-Za-z0-9._-]*)+")
"""Absolute, and nothing that a shell or systemd could take for something else."""

_ARCHITECTURES = {"x86_64": "amd64", "arm64": "arm64"}

_LIFETIME = {"baseline": "Never", "burst": "720h"}
"""Expiry does not wait for a replacement, so baseline nodes are renewed by changing the AMI, one at a time. It asks no budget
either, so no node of a stack with a maintenance window expires."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NodePoolContext(Context):
    """Which nodes Karpenter may make for a pool, how many, and when they may go."""

    template: ClassVar[str] = "karpenter-node-pool.yaml.j2"
    name: str
    labels: Pairs
    node_labels: Pairs
    node_class: str
    instance_types: tuple[str, ...]
    capacity_types: tuple[str, ...]
    architecture: str
    taint_key: str
    taint_value: str
    has_startup_taint: bool
    startup_taint: tuple[tuple[str, str, str], ...]
    """Nothing, or key, value and effect of the one that the filler takes off."""
    expire_after: str
    termination_grace_period: str
    consolidate_after: str
    renewed_at_once: str
    """Nodes that drift may take at once: those of one replica."""
    closed_hours: Pairs
    """Schedules from which on nothing is renewed, and for how long."""
    accelerator_resource: str
    accelerators_limit: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeClassContext(Context):
    """What such a node is made of."""

    template: ClassVar[str] = "karpenter-node-class.yaml.j2"
    name: str
    labels: Pairs
    annotations: Pairs
    ami_alias: str
    role: str
    discovery: Pairs
    """Tag that subnets, security groups and capacity reservations of the stack carry."""
    has_reservations: bool
    has_interfaces: bool
    interfaces: tuple[NetworkInterface, ...]
    """Of nodes that share a replica; Karpenter would put EFA onto cards that take none."""
    has_instance_store: bool
    root_volume_size: str
    root_volume_iops: int
    root_volume_mib_per_s: int
    user_data: str
    tags: Pairs


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeUserDataContext(Context):
    """What a node does before its kubelet starts."""

    template: ClassVar[str] = "node-user-data.mime.j2"
    script: str
    gates: tuple[str, ...]
    """Features of nodeadm that are switched on."""


def karpenter_drafts(plan: Plan) -> tuple[Draft, ...]:
    """The pools that Karpenter makes nodes for. Raises BadInput for pools that it could not make well."""
    pools = plan.karpenter_pools
    faults = [fault for pool in pools for fault in _faults(pool)]
    if faults:
        raise BadInput(faults)
    return tuple(
        Draft(folder=KARPENTER, context=context)
        for pool in pools
        for context in (_node_pool(plan, pool), _node_class(plan, pool))
    )


def _faults(pool: NodePool) -> tuple[Fault, ...]:
    found: list[Fault] = []
    if pool.ami_alias is not None and not pool.ami_alias.startswith(_AMI_FAMILY):
        hint = "Karpenter nodes are rendered for Amazon Linux 2023: al2023@vYYYYMMDD"
        found.append(_fault(pool, "amiAlias", f"{pool.ami_alias!r} is of another family", hint))
    if not _PLAIN_PATH.fullmatch(pool.cache_path):
        hint = "an absolute path of letters, digits, dots, hyphens and underscores"
        found.append(_fault(pool, "cachePath", f"{pool.cache_path!r} cannot be put into user data", hint))
    return tuple(found)


def _fault(pool: NodePool, path: str, message: str, hint: str) -> Fault:
    return Fault(source="plan", path=f"nodePools.{pool.name}.{path}", message=message, hint=hint)


def _node_pool(plan: Plan, pool: NodePool) -> NodePoolContext:
    return NodePoolContext(
        name=pool.name,
        labels=_labels(plan, pool),
        node_labels=_node_labels(plan, pool),
        node_class=pool.name,
        instance_types=pool.instance_types,
        capacity_types=pool.capacity_types,
        architecture=_ARCHITECTURES[pool.architecture],
        taint_key=ACCELERATOR_RESOURCE,
        taint_value="present",
        has_startup_taint=pool.startup_taint is not None,
        startup_taint=()
        if pool.startup_taint is None
        else ((STARTUP_TAINT, STARTUP_TAINT_VALUE, STARTUP_TAINT_EFFECT),),
        expire_after="Never" if pool.closed_hours else _LIFETIME[pool.tier],
        termination_grace_period=f"{pool.termination_grace_s}s",
        consolidate_after=_hours_and_minutes(pool.idle_s // 60),
        renewed_at_once=str(pool.nodes_per_replica),
        closed_hours=tuple((hours.schedule, _hours_and_minutes(hours.minutes)) for hours in pool.closed_hours),
        accelerator_resource=ACCELERATOR_RESOURCE,
        accelerators_limit=str((pool.max + pool.surge_nodes) * pool.accelerators_per_node),
    )


def _hours_and_minutes(minutes: int) -> str:
    """A duration as Karpenter's budgets take it, which know no seconds."""
    hours, rest = divmod(minutes, 60)
    return f"{hours}h{rest}m" if hours and rest else f"{hours}h" if hours else f"{rest}m"


def _labels(plan: Plan, pool: NodePool) -> Pairs:
    return labels(plan.stack, _COMPONENT, name=_COMPONENT, more=pool_labels(pool))


def _node_labels(plan: Plan, pool: NodePool) -> Pairs:
    return ((STACK_LABEL, plan.stack), *pool_labels(pool))


def _node_class(plan: Plan, pool: NodePool) -> NodeClassContext:
    interfaces = network_interfaces(pool)
    return NodeClassContext(
        name=pool.name,
        labels=_labels(plan, pool),
        annotations=(("agentgpu.dev/ami", "pinned" if pool.ami_alias else "unpinned"),),
        ami_alias=pool.ami_alias or _UNPINNED_AMI,
        role=karpenter_node_role(plan.stack),
        discovery=((KARPENTER_DISCOVERY_TAG, plan.stack),),
        has_reservations="reserved" in pool.capacity_types,
        has_interfaces=bool(interfaces),
        interfaces=interfaces,
        has_instance_store=pool.nvme_gb > 0,
        root_volume_size=f"{pool.root_volume_gib}Gi",
        root_volume_iops=pool.root_volume_iops,
        root_volume_mib_per_s=pool.root_volume_mib_per_s,
        user_data=filled(
            NodeUserDataContext(
                script=cache_directory_script(pool.cache_path),
                gates=(PARALLEL_PULL_GATE,) if pool.image_pull == "parallel" else (),
            )
        ),
        tags=_node_labels(plan, pool),
    )
