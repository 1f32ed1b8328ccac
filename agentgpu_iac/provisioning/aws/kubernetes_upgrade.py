"""From one Kubernetes version to the next: what EKS allows, and the add-ons that go with it.

A control plane goes up one minor version at a time and never back (docs.aws.amazon.com/eks/latest/userguide/update-cluster.html,
read 2026-11-27), and EKS moves no add-on by itself. So a cluster keeps the add-ons that it was made with until its version
changes; then each is told the default of the new version, and keeps that.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import pulumi_aws as aws

from agentgpu_iac.errors import Fault
from agentgpu_iac.plan import Plan
from agentgpu_iac.provisioning.faults import PLAN

OUTPUT: Final = "kubernetes"
"""Name of the stack output that tells the version of the cluster, and the add-ons that were told one."""

_PIN: Final = 'pins: {{kubernetesVersion: "{}"}}'


def upgrade_faults(plan: Plan, last: Mapping[str, Any]) -> Iterator[Fault]:
    """A version that EKS does not take the cluster to. ``last`` is what the last deployment told; empty before the first."""
    runs, wanted = str(last.get("version", "")), plan.node_pools[0].kubernetes_version if plan.node_pools else ""
    if not runs or not wanted or plan.existing_cluster is not None:
        return  # of a cluster that is there, its owner decides
    before, after = minor_version(runs), minor_version(wanted)
    if after < before:
        yield Fault(
            source=PLAN,
            path="nodePools.kubernetesVersion",
            message=f"the cluster runs Kubernetes {runs}, and EKS never goes back to {wanted}",
            hint=f"write {_PIN.format(runs)} in the spec",
        )
    elif after > before + 1:
        yield Fault(
            source=PLAN,
            path="nodePools.kubernetesVersion",
            message=f"the cluster runs Kubernetes {runs}, and EKS goes up one minor version at a time, not to {wanted}",
            hint=f"write {_PIN.format(f'1.{before + 1}')} in the spec, run pulumi up, and go on from there",
        )


def addon_versions(addons: tuple[str, ...], version: str, last: Mapping[str, Any]) -> dict[str, str]:
    """The version that each add-on is told; none for one that was made with the cluster and stays so."""
    told = {name: str(each) for name, each in (last.get("addons") or {}).items()}
    if not last.get("version") or last["version"] == version:
        return told
    return {name: aws.eks.get_addon_version(addon_name=name, kubernetes_version=version).version for name in addons}


def told_of(last: Mapping[str, Any]) -> Mapping[str, Any]:
    """What the last deployment's outputs say of the cluster's version."""
    found = last.get(OUTPUT)
    return found if isinstance(found, Mapping) else {}


def minor_version(version: str) -> int:
    """The second number of a Kubernetes version such as 1.34."""
    return int(version.partition(".")[2])
