"""The Pulumi stack of the machines alone: who raises and lowers their number needs no right to the cluster but one ConfigMap.

It is the same program, by ``agentgpu:part``; the stack of everything else then has ``agentgpu:burstApart``.
"""

from __future__ import annotations

from collections.abc import Iterator

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

MACHINES_OUTPUT = "burstMachines"
CERTIFICATE_OUTPUT = "certificate"


def deploy(
    plan: Plan,
    files: tuple[RenderedFile, ...],
    *,
    machines: MachineSettings,
    cluster: ClusterSettings,
    way_out: str | None,
) -> None:
    """Rent the machines beside the cluster, and tell the cluster of them.

    Call it from inside a Pulumi program. Raises BadInput, before anything is made, for a plan or settings that cannot be carried
    out.
    """
    if faults := [
        *_none_beside(plan),
        *beside_faults(plan, machines, has_network=True, way_out=way_out),
        *unreachable(cluster),
        *policy_faults(plan),
    ]:
        raise BadInput(faults)
    joined = plan.joined
    assert joined is not None  # noqa: S101 - _none_beside
    inits = cloud_inits(plan, files, pools_beside(plan))
    provider = kubernetes.Provider(
        plan.stack,
        kubeconfig=None if cluster.kubeconfig is None else str(cluster.kubeconfig),
        context=cluster.context,
        enable_server_side_apply=True,
        enable_config_map_mutable=True,
    )
    beside = MachinesBeside(
        plan.stack,
        MachinesBesideArgs(
            plan=plan, joined=joined, cloud_inits=inits, settings=machines, cluster=provider, after=(), way_out=way_out
        ),
    )
    pulumi.export(MACHINES_OUTPUT, beside.seen)
    pulumi.export(CERTIFICATE_OUTPUT, beside.certificate)


def _none_beside(plan: Plan) -> Iterator[Fault]:
    if plan.joined is None:
        yield Fault(
            source=PLAN,
            path="joined",
            message="no machine stands beside the cluster, so this stack would hold nothing",
            hint=f"unset agentgpu:part in {CONFIGURATION}, or plan with capacity.machinesFrom",
        )
