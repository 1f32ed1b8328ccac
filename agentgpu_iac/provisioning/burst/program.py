"""The Pulumi stack of the machines alone: who raises and lowers their number needs no right to the cluster but one ConfigMap.

It is the same program, by ``agentgpu:part``; the stack of everything else then has ``agentgpu:burstApart``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_kubernetes as kubernetes

from agentgpu_iac.errors import BadInput, Fault
from agentgpu_iac.plan import Plan, RenderedFile
from agentgpu_iac.provisioning.faults import CONFIGURATION, PLAN
from agentgpu_iac.provisioning.kubernetes.program import Settings as ClusterSettings
from agentgpu_iac.provisioning.kubernetes.program import unreachable
from agentgpu_iac.provisioning.policy import policy_faults
from agentgpu_iac.provisioning.spheron.beside import (
    MachinesBeside,
    MachinesBesideArgs,
    beside_faults,
    pools_beside,
)
from agentgpu_iac.provisioning.spheron.program import Settings as MachineSettings
from agentgpu_iac.provisioning.spheron.program import cloud_inits
from agentgpu_iac.provisioning.within import within

MACHINES_OUTPUT = "burstMachines"
CERTIFICATE_OUTPUT = "certificate"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How machines are rented, and which cluster is told of them."""

    machines: MachineSettings
    cluster: ClusterSettings
    way_out: str | None = None
    """``agentgpu:wayOut``: the public address by which the cluster asks the machines."""

    @classmethod
    def from_config(cls, config: pulumi.Config) -> Settings:
        """Read the settings of the selected Pulumi stack."""
        return cls(
            machines=MachineSettings.from_config(config),
            cluster=ClusterSettings.from_config(config),
            way_out=config.get("wayOut") or None,
        )


def check(plan: Plan, settings: Settings) -> None:
    """Raise BadInput for a plan or settings that cannot be carried out."""
    if faults := [
        *_none_beside(plan),
        *beside_faults(plan, settings.machines, has_network=True, way_out=settings.way_out),
        *unreachable(settings.cluster),
        *policy_faults(plan),
    ]:
        raise BadInput(faults)


def make(
    plan: Plan, files: tuple[RenderedFile, ...], settings: Settings, parent: pulumi.Resource | None = None
) -> dict[str, Any]:
    """Rent the machines beside the cluster of a plan that was checked, and tell the cluster of them."""
    joined, cluster = plan.joined, settings.cluster
    assert joined is not None  # noqa: S101 - _none_beside
    inits = cloud_inits(plan, files, pools_beside(plan))
    provider = kubernetes.Provider(
        plan.stack,
        kubeconfig=None if cluster.kubeconfig is None else str(cluster.kubeconfig),
        context=cluster.context,
        enable_server_side_apply=True,
        enable_config_map_mutable=True,
        opts=within(parent),
    )
    beside = MachinesBeside(
        plan.stack,
        MachinesBesideArgs(
            plan=plan,
            joined=joined,
            cloud_inits=inits,
            settings=settings.machines,
            cluster=provider,
            after=(),
            way_out=settings.way_out,
        ),
        within(parent),
    )
    return {MACHINES_OUTPUT: beside.seen, CERTIFICATE_OUTPUT: beside.certificate}


def _none_beside(plan: Plan) -> Iterator[Fault]:
    if plan.joined is None:
        yield Fault(
            source=PLAN,
            path="joined",
            message="no machine stands beside the cluster, so this stack would hold nothing",
            hint=f"unset agentgpu:part in {CONFIGURATION}, or plan with capacity.machinesFrom",
        )
