"""Settings of one deployment that say how its cluster and nodes are kept."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import pulumi

from agentgpu_iac.errors import Fault
from agentgpu_iac.plan import NodePool
from agentgpu_iac.provisioning.aws.network import LARGEST_PREFIX, SMALLEST_PREFIX, VPC_CIDR
from agentgpu_iac.provisioning.aws.node_updates import generation_faults

EXTENDED, STANDARD = "extended", "standard"


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterSettings:
    """How cluster and nodes are kept."""

    node_group_generations: Mapping[str, int] = field(default_factory=dict)
    """``agentgpu:nodeGroupGenerations``: by pool, 2 for new node groups in place of the first, then 3."""
    kubernetes_support: str = EXTENDED
    """``agentgpu:kubernetesSupport``: what EKS does at the end of a version's standard support: extended (it bills more) or
    standard (it upgrades the control plane by itself)."""
    vpc_cidr: str = VPC_CIDR
    """``agentgpu:vpcCidr``: addresses of a new network."""
    deletion_protection: bool = False
    """``agentgpu:deletionProtection``: whether AWS refuses to delete the cluster."""
    protect: bool = False
    """``agentgpu:protect``: whether Pulumi refuses to delete the cluster."""
    session_manager: bool = False
    """``agentgpu:sessionManager``: whether people with the right to may open a shell on nodes, by Systems Manager."""

    @classmethod
    def from_config(cls, config: pulumi.Config) -> ClusterSettings:
        """Read the settings of the selected Pulumi stack."""
        default = cls()
        return cls(
            node_group_generations=config.get_object("nodeGroupGenerations") or {},
            kubernetes_support=config.get("kubernetesSupport") or default.kubernetes_support,
            vpc_cidr=config.get("vpcCidr") or default.vpc_cidr,
            deletion_protection=config.get_bool("deletionProtection") or False,
            protect=config.get_bool("protect") or False,
            session_manager=config.get_bool("sessionManager") or False,
        )

    def faults(self, grouped: tuple[NodePool, ...], source: str) -> Iterator[Fault]:
        """What is wrong with them beside the pools that become node groups."""
        yield from generation_faults(self.node_group_generations, grouped, source)
        if self.kubernetes_support not in (EXTENDED, STANDARD):
            yield Fault(
                source=source,
                path="agentgpu:kubernetesSupport",
                message=f"there is no {self.kubernetes_support!r}",
                hint=f"set it to {EXTENDED} or {STANDARD}",
            )
        yield from _range_faults(self.vpc_cidr, source)


def _range_faults(cidr: str, source: str) -> Iterator[Fault]:
    hint = f"write a private range such as {VPC_CIDR}, from /{LARGEST_PREFIX} to /{SMALLEST_PREFIX}"
    try:
        network = ipaddress.IPv4Network(cidr)
    except ValueError:
        yield Fault(source=source, path="agentgpu:vpcCidr", message=f"{cidr!r} is no range of addresses", hint=hint)
        return
    if not LARGEST_PREFIX <= network.prefixlen <= SMALLEST_PREFIX:
        message = f"{cidr} is not of a size that subnets for eight zones can be cut from in a VPC"
        yield Fault(source=source, path="agentgpu:vpcCidr", message=message, hint=hint)
    elif not network.is_private:
        yield Fault(source=source, path="agentgpu:vpcCidr", message=f"{cidr} is on the internet", hint=hint)
