"""An EKS cluster that is there: looked up and used, never changed. Nodes and agents go into it, and go again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import pulumi
import pulumi_aws as aws

from agentgpu_iac.errors import BadInput, Fault
from agentgpu_iac.plan import Plan
from agentgpu_iac.plan.nodes import STACK_LABEL
from agentgpu_iac.provisioning.aws.cluster import fabric_rule, node_policies
from agentgpu_iac.provisioning.aws.existing_settings import (
    CLUSTER_KEY,
    KARPENTER_ROLE_KEY,
    NODE_ROLE_KEY,
    ExistingSettings,
)
from agentgpu_iac.provisioning.aws.health import Part
from agentgpu_iac.provisioning.aws.identity import Unanswered, acting_role
from agentgpu_iac.provisioning.aws.kubeconfig import kubeconfig
from agentgpu_iac.provisioning.aws.kubernetes_upgrade import minor_version
from agentgpu_iac.provisioning.aws.lookups import LookUps, asking
from agentgpu_iac.provisioning.aws.model_bucket import planned_bucket
from agentgpu_iac.provisioning.aws.naming import stack_tags
from agentgpu_iac.provisioning.aws.node_makers import KARPENTER
from agentgpu_iac.provisioning.aws.roles import EC2_SERVICE, ServiceRole, ServiceRoleArgs
from agentgpu_iac.provisioning.faults import CONFIGURATION, PLAN

_POD_IDENTITY_AGENT: Final = "eks-pod-identity-agent"
_NODE_MONITORING_AGENT: Final = "eks-node-monitoring-agent"

_SKEW: Final = 3
"""Minor versions that a kubelet may be behind the API server (kubernetes.io/releases/version-skew-policy, read 2026-11-28)."""

_VPC_KEY: Final = "agentgpu:vpcId"
_CONFIG_MAP: Final = "CONFIG_MAP"
_ENTRIES_ALONE: Final = "API"
_ACTIVE: Final = frozenset({"ACTIVE", "UPDATING"})


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownCluster:
    """What AWS says of a cluster that is there."""

    name: str
    region: str
    arn: str
    vpc_id: str
    endpoint: str
    certificate_authority: str
    """Base64."""
    security_group_id: str
    """The group that EKS puts all nodes into."""
    mode: str
    """How it lets people and nodes in: by access entries, by its ConfigMap, or both."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExistingClusterArgs:
    """What an existing cluster needs to know."""

    stack: str
    known: KnownCluster
    node_role_arn: str | None = None
    """The role of nodes in node groups; None makes one."""
    has_node_groups: bool
    """Whether node groups are made at all, or Karpenter makes all nodes."""
    has_fabric: bool
    """Whether nodes share a replica, and so reach one another by EFA."""
    session_manager: bool = False
    """Whether a shell on a node may be opened by Systems Manager."""


class ExistingCluster(pulumi.ComponentResource):
    """Your EKS cluster. Its control plane, add-ons, network and nodes stay as they are, also when the stack is destroyed.

    Made beside it: a role for nodes unless you name one, which may also assign addresses to pods (the VPC CNI of such a cluster
    may act as its nodes do), and for replicas over several nodes a rule that lets EFA out of the cluster's security group.
    """

    name: pulumi.Output[str]
    kubeconfig: pulumi.Output[str]
    """A secret, though it holds no token: it says where the API is."""
    security_group_id: pulumi.Output[str]
    parts: list[Part]
    """What EKS was asked for: nothing."""

    def __init__(self, name: str, args: ExistingClusterArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("agentgpu:aws:ExistingCluster", name, None, opts)
        known, tags = args.known, stack_tags(args.stack)
        child = pulumi.ResourceOptions(parent=self)
        self.parts = []
        self.name = pulumi.Output.from_input(known.name)
        self.security_group_id = pulumi.Output.from_input(known.security_group_id)
        self.kubeconfig = pulumi.Output.secret(
            kubeconfig(
                cluster=known.name,
                region=known.region,
                endpoint=known.endpoint,
                certificate_authority=known.certificate_authority,
                profile=aws.config.profile,
                role_arn=acting_role(),
            )
        )
        if args.has_fabric:
            fabric_rule(f"{name}-fabric", self.security_group_id, tags, child)
        self._node_role_arn = None if args.node_role_arn is None else pulumi.Output.from_input(args.node_role_arn)
        if args.node_role_arn is None and args.has_node_groups:
            policies = node_policies(session_manager=args.session_manager, networking=True)
            role = ServiceRole(
                f"{name}-nodes", ServiceRoleArgs(service=EC2_SERVICE, policies=policies, tags=tags), child
            )
            self._node_role_arn = role.arn
        self.register_outputs({"name": self.name, "kubeconfig": self.kubeconfig, "nodeRoleArn": self._node_role_arn})

    @property
    def node_role_arn(self) -> pulumi.Output[str]:
        """The role of nodes in node groups."""
        if self._node_role_arn is None:
            raise ValueError("there are no node groups, so nobody asks for the role of their nodes")
        return self._node_role_arn


def find_cluster(plan: Plan, settings: ExistingSettings, *, nodes: str, vpc_id: str | None) -> KnownCluster:
    """Look the cluster up, with what the plan needs in it. Nothing is made yet.

    Raises:
        BadInput: it is not there, or cannot carry the plan; each fault in a sentence.
    """
    name, region = settings.cluster or "", plan.node_pools[0].region
    try:
        look = asking(region)
        found = look.cluster(name)
    except Unanswered as error:
        hint = "it takes credentials that may eks:DescribeCluster; aws:profile says whose"
        said = f"the EKS cluster {name!r} in {region} could not be looked up: {_first_line(error)}"
        raise BadInput([_fault(CLUSTER_KEY, said, hint)]) from None
    if found is None:
        hint = f"aws eks list-clusters --region {region} names those of the account; aws:profile says whose it is"
        raise BadInput([_fault(CLUSTER_KEY, f"there is no EKS cluster {name!r} in {region}", hint)])
    place = found.get("resourcesVpcConfig", {})
    known = KnownCluster(
        name=name,
        region=region,
        arn=found["arn"],
        vpc_id=place.get("vpcId", ""),
        endpoint=found.get("endpoint", ""),
        certificate_authority=found.get("certificateAuthority", {}).get("data", ""),
        security_group_id=place.get("clusterSecurityGroupId", ""),
        mode=found.get("accessConfig", {}).get("authenticationMode", _CONFIG_MAP),
    )
    faults = [
        *_state_faults(plan, known, str(found.get("status", "")), found.get("tags") or {}),
        *_version_faults(plan, str(found.get("version", ""))),
        *_access_faults(known, look),
        *_network_faults(known, vpc_id),
        *_role_faults(known, settings, look),
        *_karpenter_role_faults(known, settings, look),
        *_addon_faults(plan, known, look, installs_karpenter=nodes == KARPENTER and not settings.karpenter_version),
    ]
    if faults:
        raise BadInput(faults)
    return known


def _state_faults(plan: Plan, known: KnownCluster, status: str, tags: Mapping[str, str]) -> Iterator[Fault]:
    if status not in _ACTIVE:
        yield _fault(CLUSTER_KEY, f"the cluster {known.name!r} is {status}, not ACTIVE", "wait until it is, or mend it")
    if tags.get(STACK_LABEL) == plan.stack:
        yield _fault(
            CLUSTER_KEY,
            f"the cluster {known.name!r} was made for the agents {plan.stack!r} (tag {STACK_LABEL}), so their own Pulumi stack "
            "has it",
            "give these agents another name, or deploy them with cluster: new from the Pulumi stack that made it",
        )


def _version_faults(plan: Plan, runs: str) -> Iterator[Fault]:
    wanted = plan.node_pools[0].kubernetes_version
    behind = minor_version(runs) - minor_version(wanted)
    if 0 <= behind <= _SKEW:
        return
    why = "nodes may not be newer than it" if behind < 0 else f"nodes may be {_SKEW} minor versions older at most"
    yield Fault(
        source=PLAN,
        path="nodePools.kubernetesVersion",
        message=f"the plan is for Kubernetes {wanted}, but the cluster runs {runs}, and {why}",
        hint=f'write pins: {{kubernetesVersion: "{runs}"}} in the spec; where the catalog does not know that version, upgrade '
        "the cluster first",
    )


def _access_faults(known: KnownCluster, look: LookUps) -> Iterator[Fault]:
    if known.mode == _CONFIG_MAP:
        yield _fault(
            CLUSTER_KEY,
            f"the cluster {known.name!r} lets people and nodes in by its ConfigMap aws-auth alone, and knows no access entries",
            f"aws eks update-cluster-config --region {known.region} --name {known.name} --access-config "
            "authenticationMode=API_AND_CONFIG_MAP; what the ConfigMap lets in stays",
        )
    if known.mode != _ENTRIES_ALONE:
        return
    who = _acting_principal(look)
    if who is not None and not _may_enter(known, look, who):
        yield _fault(
            CLUSTER_KEY,
            f"the cluster {known.name!r} does not let {who} in, as whom Pulumi acts",
            f"aws eks create-access-entry --region {known.region} --cluster-name {known.name} --principal-arn {who}, and aws "
            "eks associate-access-policy with AmazonEKSClusterAdminPolicy; or set aws:profile",
        )


def _acting_principal(look: LookUps) -> str | None:
    """The role or user as whom Pulumi acts; None where that is not to be had."""
    try:
        arn = look.caller()
        if ":assumed-role/" in arn:
            role = look.role(arn.split("/")[1])
            return None if role is None else str(role["Arn"])
    except Unanswered:
        return None
    return arn if ":iam::" in arn and ":user/" in arn else None


def _may_enter(known: KnownCluster, look: LookUps, principal: str) -> bool:
    """Whether the cluster lets it in; yes where that may not be asked."""
    try:
        return look.entry(known.name, principal) is not None
    except Unanswered:
        return True


def _network_faults(known: KnownCluster, vpc_id: str | None) -> Iterator[Fault]:
    if vpc_id and vpc_id != known.vpc_id:
        yield _fault(
            _VPC_KEY,
            f"the cluster {known.name!r} is in {known.vpc_id}, not in {vpc_id}",
            f"pulumi config rm {_VPC_KEY}: the cluster says where it is",
        )


def _role_faults(known: KnownCluster, settings: ExistingSettings, look: LookUps) -> Iterator[Fault]:
    arn, name = settings.node_role_arn, settings.node_role_name
    if arn is None or name is None:
        return
    account = known.arn.split(":")[4]
    if (other := arn.split(":")[4]) != account:
        said = f"the role is in the account {other}, the cluster in {account}"
        yield _fault(NODE_ROLE_KEY, said, "name a role of the cluster's account")
        return
    _, faults = _trusted(NODE_ROLE_KEY, name, look)
    yield from faults


def _karpenter_role_faults(known: KnownCluster, settings: ExistingSettings, look: LookUps) -> Iterator[Fault]:
    name = settings.karpenter_node_role
    if not settings.karpenter_version or not name:
        return
    arn, faults = _trusted(KARPENTER_ROLE_KEY, name, look)
    yield from faults
    if arn is not None and known.mode == _ENTRIES_ALONE and not _may_enter(known, look, arn):
        yield _fault(
            KARPENTER_ROLE_KEY,
            f"nodes of the role {name!r} cannot join the cluster {known.name!r}: it has no access entry",
            f"aws eks create-access-entry --region {known.region} --cluster-name {known.name} --principal-arn {arn} --type "
            "EC2_LINUX",
        )


def _trusted(key: str, name: str, look: LookUps) -> tuple[str | None, tuple[Fault, ...]]:
    """The ARN of a role that EC2 may give to machines; or why it is none. Neither, where it may not be read."""
    try:
        found = look.role(name)
    except Unanswered as error:
        pulumi.log.warn(f"nobody looked whether machines may get the role {name}: {_first_line(error)}")
        return None, ()
    if found is None:
        hint = "name a role of nodes of the cluster"
        return None, (_fault(key, f"there is no role {name!r}", hint),)
    if not _trusts(found.get("AssumeRolePolicyDocument"), EC2_SERVICE):
        said = f"the role {name!r} does not trust {EC2_SERVICE}, so no machine gets it"
        hint = "name a role of nodes, or add that service to its trust policy with the action sts:AssumeRole"
        return None, (_fault(key, said, hint),)
    return str(found["Arn"]), ()


def _trusts(policy: Any, service: str) -> bool:
    """Whether a trust policy lets a service assume the role."""
    statements = _listed(policy.get("Statement")) if isinstance(policy, Mapping) else []
    return any(
        each.get("Effect") == "Allow"
        and isinstance(each.get("Principal"), Mapping)
        and service in _listed(each["Principal"].get("Service"))
        and {"sts:AssumeRole", "sts:*", "*"}.intersection(_listed(each.get("Action")))
        for each in statements
    )


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]


def _addon_faults(plan: Plan, known: KnownCluster, look: LookUps, *, installs_karpenter: bool) -> Iterator[Fault]:
    """Add-ons that the plan leans on. They are the cluster's: what is made here would be taken away by ``destroy``."""
    wanted: dict[str, str] = {}
    if planned_bucket(plan) is not None:
        wanted[_POD_IDENTITY_AGENT] = "no pod may read the bucket of models"
    if installs_karpenter:
        wanted[_POD_IDENTITY_AGENT] = "Karpenter may make no node"
    if plan.watching.node_health == "eks-agent":
        wanted[_NODE_MONITORING_AGENT] = "nobody says of a node that it is ill (observability.nodeHealth)"
    for addon, without in wanted.items():
        try:
            if look.addon(known.name, addon) is not None:
                continue
        except Unanswered as error:
            pulumi.log.warn(f"nobody looked whether the add-on {addon} is there: {_first_line(error)}")
            continue
        yield _fault(
            CLUSTER_KEY,
            f"the cluster {known.name!r} has no add-on {addon}; without it {without}",
            f"aws eks create-addon --region {known.region} --cluster-name {known.name} --addon-name {addon}",
        )


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [""])[0]


def _fault(path: str, message: str, hint: str) -> Fault:
    return Fault(source=CONFIGURATION, path=path, message=message, hint=hint)
