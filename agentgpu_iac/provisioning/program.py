"""Which program carries out a plan: one for each target that Pulumi provisions."""

from __future__ import annotations

from collections.abc import Callable

import pulumi

from agentgpu_iac.errors import BadInput
from agentgpu_iac.plan import Plan, RenderedFile
from agentgpu_iac.provisioning.aws.program import Settings
from agentgpu_iac.provisioning.aws.program import deploy as deploy_on_aws
from agentgpu_iac.provisioning.burst.program import deploy as deploy_burst
from agentgpu_iac.provisioning.faults import CONFIGURATION, PLAN
from agentgpu_iac.provisioning.kubernetes.program import Settings as ClusterSettings
from agentgpu_iac.provisioning.kubernetes.program import deploy as deploy_on_kubernetes
from agentgpu_iac.provisioning.spheron.program import Settings as MachineSettings
from agentgpu_iac.provisioning.spheron.program import deploy as deploy_on_spheron
from agentgpu_iac.spec.vocabulary import Target

BURST = "burst"

Program = Callable[[Plan, tuple[RenderedFile, ...], pulumi.Config], None]


def deploy(plan: Plan, files: tuple[RenderedFile, ...], config: pulumi.Config) -> None:
    """Carry a plan out: make what it needs and export what its users need.

    Call it from inside a Pulumi program. ``files`` are the rendered files of the same plan, ``config`` the settings of
    the selected Pulumi stack. Raises BadInput, before anything is made, for a plan that cannot be carried out.
    """
    if (part := config.get("part")) is not None:
        _part(part, plan, files, config)
        return
    program = PROGRAMS.get(plan.target)
    if program is None:
        raise BadInput.one(
            PLAN,
            f"there is no Pulumi program for {plan.target!r}",
            path="target",
            hint="use the files that agentgpu render writes",
        )
    program(plan, files, config)


def _part(part: str, plan: Plan, files: tuple[RenderedFile, ...], config: pulumi.Config) -> None:
    """One part of a plan in a Pulumi stack of its own."""
    if part != BURST:
        raise BadInput.one(
            CONFIGURATION,
            f"{part!r} is no part of a plan",
            path="agentgpu:part",
            hint=f"{BURST}: the machines beside the cluster; unset: everything",
        )
    deploy_burst(
        plan,
        files,
        machines=MachineSettings.from_config(config),
        cluster=ClusterSettings.from_config(config),
        way_out=config.get("wayOut") or None,
    )


def _eks(plan: Plan, files: tuple[RenderedFile, ...], config: pulumi.Config) -> None:
    deploy_on_aws(plan, files, Settings.from_config(config))


def _kubernetes(plan: Plan, files: tuple[RenderedFile, ...], config: pulumi.Config) -> None:
    deploy_on_kubernetes(plan, files, ClusterSettings.from_config(config))


def _spheron(plan: Plan, files: tuple[RenderedFile, ...], config: pulumi.Config) -> None:
    deploy_on_spheron(plan, files, MachineSettings.from_config(config))


PROGRAMS: dict[Target, Program] = {"eks": _eks, "kubernetes": _kubernetes, "spheron": _spheron}
