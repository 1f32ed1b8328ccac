"""Settings that name what is there already: a cluster, roles of nodes, Karpenter. And what does not go with them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import pulumi

from agentgpu_iac.errors import Fault
from agentgpu_iac.plan import Plan
from agentgpu_iac.plan.network_cards import network_interfaces
from agentgpu_iac.provisioning.aws.kubernetes_upgrade import OUTPUT as KUBERNETES
from agentgpu_iac.provisioning.aws.node_makers import KARPENTER
from agentgpu_iac.provisioning.faults import PLAN

CLUSTER_KEY: Final = "agentgpu:cluster"
NODE_ROLE_KEY: Final = "agentgpu:nodeRoleArn"
KARPENTER_KEY: Final = "agentgpu:karpenterVersion"
KARPENTER_ROLE_KEY: Final = "agentgpu:karpenterNodeRole"

NEW, EXISTING = "new", "existing"
WHOSE: Final = "cluster"
"""Key of the output ``kubernetes`` that says whose cluster it is."""
CLUSTER_NAME: Final = "clusterName"
"""Name of the stack output."""

_ELSEWHERE: Final = "pulumi stack select --create OTHER"
_ROLE_ARN: Final = re.compile(r"arn:aws[a-z-]*:iam::(?P<account>\d{12}):role/(?:[\w+=,.@-]+/)*(?P<name>[\w+=,.@-]+)")
_ROLE_NAME: Final = re.compile(r"[\w+=,.@-]{1,64}")
_VERSION: Final = re.compile(r"v?(?P<major>\d+)\.(?P<minor>\d+)(\.\d+)?")

_FIRST: Final = (1, 0)
_FIRST_WITH_RESERVATIONS: Final = (1, 3)
_FIRST_WITH_INTERFACES: Final = (1, 11)
"""Karpenter's releases whose EC2NodeClass knows what ours say: the API v1 itself, ``capacityReservationSelectorTerms`` and
``networkInterfaces`` (pkg/apis/crds/karpenter.k8s.aws_ec2nodeclasses.yaml of each release from 1.0.0 to 1.14.0 in
github.com/aws/karpenter-provider-aws, read 2026-11-28)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExistingSettings:
    """What there is already, as the Pulumi stack's configuration names it."""

    cluster: str | None = None
    """``agentgpu:cluster``: name of an EKS cluster."""
    node_role_arn: str | None = None
    """``agentgpu:nodeRoleArn``: the role that nodes of node groups get in it; None makes one."""
    karpenter_version: str | None = None
    """``agentgpu:karpenterVersion``: the version of a Karpenter that runs in it; None: there is none."""
    karpenter_node_role: str | None = None
    """``agentgpu:karpenterNodeRole``: name of the role that this Karpenter gives its nodes."""

    @classmethod
    def from_config(cls, config: pulumi.Config) -> ExistingSettings:
        """Read the settings of the selected Pulumi stack."""
        return cls(
            cluster=config.get("cluster") or None,
            node_role_arn=config.get("nodeRoleArn") or None,
            karpenter_version=config.get("karpenterVersion") or None,
            karpenter_node_role=config.get("karpenterNodeRole") or None,
        )

    @property
    def node_role_name(self) -> str | None:
        """The name in the ARN of the nodes' role."""
        found = _ROLE_ARN.fullmatch(self.node_role_arn or "")
        return found["name"] if found else None

    def faults(
        self, plan: Plan, *, nodes: str, chart: str, subnets: tuple[str, ...], of_new: Mapping[str, bool], source: str
    ) -> Iterator[Fault]:
        """What is wrong with them beside the plan. ``of_new``: by key, whether a setting of a new cluster says anything."""
        named = {
            CLUSTER_KEY: self.cluster,
            NODE_ROLE_KEY: self.node_role_arn,
            KARPENTER_KEY: self.karpenter_version,
            KARPENTER_ROLE_KEY: self.karpenter_node_role,
        }
        if plan.existing_cluster is None:
            for key in (key for key, value in named.items() if value):
                yield Fault(
                    source=source,
                    path=key,
                    message="names what is in a cluster that is there, but the plan makes a cluster of its own",
                    hint="write cluster: existing in the spec, or remove it",
                )
            return
        if not self.cluster:
            yield Fault(
                source=source,
                path=CLUSTER_KEY,
                message="the plan is for a cluster that is there (cluster: existing), and nothing says for which",
                hint=f"pulumi config set {CLUSTER_KEY} NAME",
            )
        if not subnets:
            yield Fault(
                source=source,
                path="agentgpu:privateSubnetIds",
                message="nothing says in which of the cluster's subnets the nodes stand",
                hint="name one private subnet of its network in each zone that nodes may stand in",
            )
        for key in (key for key, says in of_new.items() if says):
            yield Fault(
                source=source,
                path=key,
                message="is for a cluster that is made, and this one is left as it is",
                hint=f"pulumi config rm {key}, and set it where the cluster is made",
            )
        if self.node_role_arn and self.node_role_name is None:
            yield Fault(
                source=source,
                path=NODE_ROLE_KEY,
                message=f"{self.node_role_arn!r} is not the ARN of an IAM role",
                hint="write arn:aws:iam::ACCOUNT:role/NAME",
            )
        yield from self._karpenter_faults(plan, nodes, chart, source)

    def _karpenter_faults(self, plan: Plan, nodes: str, chart: str, source: str) -> Iterator[Fault]:
        version, role = self.karpenter_version, self.karpenter_node_role
        if nodes != KARPENTER:
            for key in (key for key, value in ((KARPENTER_KEY, version), (KARPENTER_ROLE_KEY, role)) if value):
                yield Fault(
                    source=source,
                    path=key,
                    message="Karpenter is there, but node groups are to make the nodes",
                    hint="pulumi config set agentgpu:nodes karpenter, or remove it",
                )
            return
        if plan.gitops is not None:
            yield Fault(
                source=source,
                path="agentgpu:nodes",
                message="what a GitOps tool applies finds subnets by the tags of a cluster that we make, not those of this one",
                hint="pulumi config set agentgpu:nodes node-groups, and gitops.overlay: node-groups in the spec",
            )
        if version is None:
            if role:
                yield Fault(
                    source=source,
                    path=KARPENTER_KEY,
                    message="a role of Karpenter's nodes is named, but not the Karpenter that runs there",
                    hint=f"pulumi config set {KARPENTER_KEY} VERSION; without it Karpenter is installed",
                )
            return
        if chart:
            yield Fault(
                source=source,
                path="agentgpu:karpenterChart",
                message=f"Karpenter {version} runs in the cluster, and a second one would make nodes beside it",
                hint=f"pulumi config rm agentgpu:karpenterChart; if none runs there, pulumi config rm {KARPENTER_KEY}",
            )
        if not role or not _ROLE_NAME.fullmatch(role):
            yield Fault(
                source=source,
                path=KARPENTER_ROLE_KEY,
                message="nothing says which role its nodes get" if not role else f"{role!r} is not the name of a role",
                hint=f"pulumi config set {KARPENTER_ROLE_KEY} NAME: the one that its controller may pass on",
            )
        yield from _version_faults(plan, version, source)


def _version_faults(plan: Plan, version: str, source: str) -> Iterator[Fault]:
    found = _VERSION.fullmatch(version)
    if found is None:
        yield Fault(
            source=source, path=KARPENTER_KEY, message=f"{version!r} is no version", hint="write it as in 1.14.1"
        )
        return
    runs = (int(found["major"]), int(found["minor"]))
    for first, why in _needs(plan):
        if runs < first:
            yield Fault(
                source=source,
                path=KARPENTER_KEY,
                message=f"Karpenter {version} does not know {why}, which takes {first[0]}.{first[1]}",
                hint="upgrade it, or pulumi config set agentgpu:nodes node-groups",
            )
            return


def _needs(plan: Plan) -> Iterator[tuple[tuple[int, int], str]]:
    """What the rendered objects say that not every Karpenter knows, the newest first."""
    if any(network_interfaces(pool) for pool in plan.karpenter_pools):
        yield _FIRST_WITH_INTERFACES, "network interfaces for EFA (EC2NodeClass networkInterfaces)"
    if any("reserved" in pool.capacity_types for pool in plan.karpenter_pools):
        yield _FIRST_WITH_RESERVATIONS, "reservations (EC2NodeClass capacityReservationSelectorTerms)"
    yield _FIRST, "the API karpenter.sh/v1"


def whose(plan: Plan) -> str:
    """Whose cluster the plan is for, as the output says it."""
    return NEW if plan.existing_cluster is None else EXISTING


def moved_faults(plan: Plan, cluster: str | None, last: Mapping[str, Any]) -> Iterator[Fault]:
    """Another cluster than the one that the Pulumi stack's agents are in. ``last``: the outputs of its last deployment."""
    there, told = last.get(CLUSTER_NAME), last.get(KUBERNETES)
    if not isinstance(there, str) or not there:
        return
    before = told.get(WHOSE, NEW) if isinstance(told, Mapping) else NEW
    after = whose(plan)
    if before == NEW and after == EXISTING:
        yield Fault(
            source=PLAN,
            path="existingCluster",
            message=f"this Pulumi stack made the cluster {there!r}; over one that is there it would delete that with all in it",
            hint=f"leave cluster: existing out of the spec; agents for another cluster go into a Pulumi stack of their own "
            f"({_ELSEWHERE})",
        )
    elif before == EXISTING and after == NEW:
        yield Fault(
            source=PLAN,
            path="existingCluster",
            message=f"this Pulumi stack put its agents into the cluster {there!r}, which is there; with one of its own it would "
            "take all of them away from there",
            hint=f"write cluster: existing in the spec; agents with a cluster of their own go into another Pulumi stack "
            f"({_ELSEWHERE})",
        )
    elif before == EXISTING and cluster and cluster != there:
        yield Fault(
            source=PLAN,
            path="existingCluster",
            message=f"this Pulumi stack put its agents into the cluster {there!r}, and would take them away from there for "
            f"{cluster!r}",
            hint=f"pulumi config set {CLUSTER_KEY} {there}; agents for another cluster go into a Pulumi stack of their own "
            f"({_ELSEWHERE})",
        )
