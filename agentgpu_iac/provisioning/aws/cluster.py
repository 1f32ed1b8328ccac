"""The EKS cluster, its add-ons, and the nodes that the add-ons run on."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

import pulumi
import pulumi_aws as aws

from agentgpu_iac.plan.nodes import KARPENTER_DISCOVERY_TAG
from agentgpu_iac.provisioning.aws.administrators import Administrators, AdministratorsArgs
from agentgpu_iac.provisioning.aws.api_endpoint import ApiEndpoint
from agentgpu_iac.provisioning.aws.health import Part, working_name
from agentgpu_iac.provisioning.aws.identity import acting_role
from agentgpu_iac.provisioning.aws.kubeconfig import kubeconfig
from agentgpu_iac.provisioning.aws.naming import stack_tags
from agentgpu_iac.provisioning.aws.roles import (
    EC2_SERVICE,
    EKS_SERVICE,
    POD_IDENTITY_SERVICE,
    ServiceRole,
    ServiceRoleArgs,
    policy_document,
)
from agentgpu_iac.provisioning.aws.system_nodes import SystemNodes, SystemNodesArgs, SystemPlace

_LOG_TYPES = ("api", "audit", "authenticator", "controllerManager", "scheduler")
_KEY_USE = "use-secrets-key"
"""A name of our own: to put a policy twice under one name makes one policy, so none is left over when ``up`` is cut off."""

_CREATION_ONLY = ("accessConfig.bootstrapClusterCreatorAdminPermissions", "bootstrapSelfManagedAddons")
"""What AWS takes when it makes a cluster and never tells again: to a cluster that was imported after an ``up`` that was
cut off, they would look like changes that replace it."""

_LOG_DAYS = 30
"""Enough to look into last month's incident; EKS itself would keep the logs, and bill them, for ever."""

NODE_POLICIES = ("AmazonEKSWorkerNodePolicy", "AmazonEC2ContainerRegistryPullOnly")
"""What a node needs: to join, and to pull add-on images. Pod networking has a role of its own. The smaller policy for
worker nodes is for EKS Auto Mode: under it an AL2023 node may not ask EC2 for its own name, and never joins."""

_NAMED_ONCE = pulumi.ResourceOptions(delete_before_replace=True)
"""For what has a fixed name, of which EKS takes no second one: what failed goes before it comes anew."""

_SESSION_MANAGER = "AmazonSSMManagedInstanceCore"
"""Lets the agent of Systems Manager, which Amazon Linux 2023 brings, report the node and open sessions on it."""

_NETWORKING = "AmazonEKS_CNI_Policy"
"""Lets the VPC CNI give addresses to pods."""

_HTTPS = 443

ADDONS = (
    "vpc-cni",
    "kube-proxy",
    "eks-pod-identity-agent",
    "coredns",
    "aws-ebs-csi-driver",
    "eks-node-monitoring-agent",
)
"""Those that are made, the last only where nodes are watched."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterArgs:
    """What the cluster needs to know."""

    name: str
    """Name of the cluster: the stack's."""
    region: str
    kubernetes_version: str
    subnet_ids: tuple[pulumi.Input[str], ...]
    """Private subnets. EKS never lets a cluster change the zones that it was created in."""
    system: SystemPlace
    """Nodes for the add-ons, the router and operators."""
    system_subnet_ids: tuple[pulumi.Input[str], ...]
    """Those of ``subnet_ids`` that these nodes may stand in."""
    api_endpoint: ApiEndpoint
    admin_role_arns: tuple[str, ...] = ()
    """Roles that administer the cluster besides whoever makes it."""
    has_fabric: bool
    """Whether nodes share a replica, and so reach one another by EFA."""
    support: str = "extended"
    """What EKS does at the end of a version's standard support: extended or standard."""
    deletion_protection: bool = False
    """Whether AWS refuses to delete it."""
    session_manager: bool = False
    """Whether a shell on a node may be opened by Systems Manager."""
    addon_versions: Mapping[str, str] = field(default_factory=dict)
    """The version of an add-on, where it is told one; others are EKS's default of the day when they are made."""
    watches_nodes: bool = False
    """Whether EKS' node monitoring agent runs, which says of a node that its hardware is ill."""


class Cluster(pulumi.ComponentResource):
    """EKS cluster with API access entries, encrypted Secrets, control-plane logs and the five basic add-ons.

    Whoever runs the first ``pulumi up`` becomes its administrator, and so do the roles in ``agentgpu:adminRoleArns``.
    Pulumi must reach the API from where you run it, which ``agentgpu:apiAllowedCidrs`` must hold: of a public endpoint
    they are ranges of the internet, of a private one those of the network and what is joined to it. Authentication always
    applies.

    Order: networking add-ons before any node, so that nodes become ready; CoreDNS and the EBS driver's controller
    after the system nodes, as they have nowhere else to run (accelerator nodes are tainted). Add-on versions are
    EKS's default for the Kubernetes version, and go up with it.
    """

    name: pulumi.Output[str]
    kubeconfig: pulumi.Output[str]
    """A secret, though it holds no token: it says where the API is."""
    node_role_arn: pulumi.Output[str]
    security_group_id: pulumi.Output[str]
    """The group that EKS puts all nodes into; inside it, everything may reach everything."""
    parts: list[Part]
    """What EKS makes of the cluster beside its control plane, and may fail to: system nodes and add-ons."""

    def __init__(self, name: str, args: ClusterArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("agentgpu:aws:Cluster", name, None, opts)
        self._logical_name = name
        self._args = args
        self._tags = stack_tags(args.name)

        cluster = self._control_plane()
        self.parts = []
        self.name = working_name(cluster)
        self.security_group_id = cluster.vpc_config.cluster_security_group_id
        self.kubeconfig = pulumi.Output.secret(
            pulumi.Output.all(cluster.name, cluster.endpoint, cluster.certificate_authority.data).apply(
                lambda known: kubeconfig(
                    cluster=known[0],
                    region=args.region,
                    endpoint=known[1],
                    certificate_authority=known[2],
                    profile=aws.config.profile,
                    role_arn=acting_role(),
                )
            )
        )
        aws.ec2.Tag(
            f"{name}-discovery",
            resource_id=self.security_group_id,
            key=KARPENTER_DISCOVERY_TAG,
            value=args.name,
            opts=self._child(),
        )

        if args.has_fabric:
            fabric_rule(f"{name}-fabric", self.security_group_id, self._tags, self._child())
        if not args.api_endpoint.is_public:
            self._open_private_api()
        node_role = self._role("nodes", EC2_SERVICE, node_policies(session_manager=args.session_manager))
        self.node_role_arn = node_role.arn
        system_nodes = SystemNodes(
            f"{name}-system",
            SystemNodesArgs(
                cluster_name=self.name,
                kubernetes_version=args.kubernetes_version,
                node_role_arn=self.node_role_arn,
                subnet_ids=args.system_subnet_ids,
                place=args.system,
                tags=self._tags,
            ),
            self._child([*self._networking_addons(), node_role]),
        ).node_group
        self.parts.append(system_nodes)
        self._addon("coredns", after=[system_nodes])
        self._volumes_addon(after=system_nodes)
        if args.watches_nodes:
            self._addon("eks-node-monitoring-agent", after=[system_nodes])
        if args.admin_role_arns:
            Administrators(
                f"{name}-admin",
                AdministratorsArgs(cluster_name=cluster.name, role_arns=args.admin_role_arns, tags=self._tags),
                self._child(),
            )
        self.register_outputs({"name": self.name, "kubeconfig": self.kubeconfig, "nodeRoleArn": self.node_role_arn})

    def _open_private_api(self) -> None:
        """Let in who may reach the private endpoint: the group that guards it knows nodes only."""
        for cidr in self._args.api_endpoint.allowed_cidrs:
            aws.vpc.SecurityGroupIngressRule(
                f"{self._logical_name}-api-{cidr.replace('/', '-')}",
                security_group_id=self.security_group_id,
                cidr_ipv4=cidr,
                ip_protocol="tcp",
                from_port=_HTTPS,
                to_port=_HTTPS,
                description="The private API endpoint",
                tags=self._tags,
                opts=self._child(),
            )

    def _child(self, after: list[pulumi.Resource] | None = None) -> pulumi.ResourceOptions:
        return pulumi.ResourceOptions(parent=self, depends_on=after)

    def _role(self, purpose: str, service: str, policies: tuple[str, ...]) -> ServiceRole:
        arguments = ServiceRoleArgs(service=service, policies=policies, tags=self._tags)
        return ServiceRole(f"{self._logical_name}-{purpose}", arguments, self._child())

    def _control_plane(self) -> aws.eks.Cluster:
        args, name = self._args, self._logical_name
        role = self._role("control-plane", EKS_SERVICE, ("AmazonEKSClusterPolicy",))
        key = aws.kms.Key(
            f"{name}-secrets",
            description=f"Secrets of the EKS cluster {args.name}",
            enable_key_rotation=True,
            tags=self._tags,
            opts=self._child(),
        )
        key_use = aws.iam.RolePolicy(
            f"{name}-secrets",
            role=role.role_name,
            name=_KEY_USE,
            policy=key.arn.apply(_may_use_key),
            opts=self._child(),
        )
        logs = aws.cloudwatch.LogGroup(
            f"{name}-logs",
            name=f"/aws/eks/{args.name}/cluster",
            retention_in_days=_LOG_DAYS,
            tags=self._tags,
            opts=self._child(),
        )
        return aws.eks.Cluster(
            name,
            name=args.name,
            version=args.kubernetes_version,
            role_arn=role.arn,
            access_config=aws.eks.ClusterAccessConfigArgs(
                authentication_mode="API", bootstrap_cluster_creator_admin_permissions=True
            ),
            bootstrap_self_managed_addons=False,
            deletion_protection=args.deletion_protection or None,
            upgrade_policy=aws.eks.ClusterUpgradePolicyArgs(support_type=args.support.upper()),
            enabled_cluster_log_types=list(_LOG_TYPES),
            encryption_config=aws.eks.ClusterEncryptionConfigArgs(
                provider=aws.eks.ClusterEncryptionConfigProviderArgs(key_arn=key.arn), resources=["secrets"]
            ),
            vpc_config=aws.eks.ClusterVpcConfigArgs(
                subnet_ids=list(args.subnet_ids),
                endpoint_private_access=True,
                endpoint_public_access=args.api_endpoint.is_public,
                public_access_cidrs=list(args.api_endpoint.allowed_cidrs) if args.api_endpoint.is_public else None,
            ),
            tags=self._tags,
            opts=pulumi.ResourceOptions.merge(
                self._child([role, key_use, logs]),
                pulumi.ResourceOptions.merge(_NAMED_ONCE, pulumi.ResourceOptions(ignore_changes=list(_CREATION_ONLY))),
            ),
        )

    def _networking_addons(self) -> list[pulumi.Resource]:
        """The add-ons that a node needs to become ready. Pod networking gets its permissions by Pod Identity.

        It enforces network policies only where it is told to; without that the rendered ones would close nothing.
        """
        cni_role = self._role("cni", POD_IDENTITY_SERVICE, (_NETWORKING,))
        agent = self._addon("eks-pod-identity-agent", after=[])
        cni = self._addon(
            "vpc-cni",
            after=[agent, cni_role],
            pod_identity=aws.eks.AddonPodIdentityAssociationArgs(role_arn=cni_role.arn, service_account="aws-node"),
            configuration={"enableNetworkPolicy": "true"},
        )
        return [agent, cni, self._addon("kube-proxy", after=[])]

    def _volumes_addon(self, *, after: aws.eks.NodeGroup) -> None:
        """The EBS driver, for volumes that you or your operators claim: they carry the stack's tag too."""
        role = self._role("ebs-csi", POD_IDENTITY_SERVICE, ("service-role/AmazonEBSCSIDriverPolicy",))
        self._addon(
            "aws-ebs-csi-driver",
            after=[after, role],
            pod_identity=aws.eks.AddonPodIdentityAssociationArgs(
                role_arn=role.arn, service_account="ebs-csi-controller-sa"
            ),
            configuration={"controller": {"extraVolumeTags": self._tags}},
        )

    def _addon(
        self,
        addon: str,
        *,
        after: list[pulumi.Resource],
        pod_identity: aws.eks.AddonPodIdentityAssociationArgs | None = None,
        configuration: dict[str, object] | None = None,
    ) -> aws.eks.Addon:
        made = aws.eks.Addon(
            f"{self._logical_name}-{addon}",
            cluster_name=self.name,
            addon_name=addon,
            addon_version=self._args.addon_versions.get(addon),
            pod_identity_associations=[pod_identity] if pod_identity else None,
            configuration_values=json.dumps(configuration, sort_keys=True) if configuration else None,
            resolve_conflicts_on_create="OVERWRITE",
            resolve_conflicts_on_update="OVERWRITE",
            tags=self._tags,
            opts=pulumi.ResourceOptions.merge(self._child(after), _NAMED_ONCE),
        )
        self.parts.append(made)
        return made


def fabric_rule(
    name: str, security_group_id: pulumi.Output[str], tags: dict[str, str], opts: pulumi.ResourceOptions
) -> None:
    """Let EFA out to the group itself: a rule for addresses does not, since it is no IP traffic."""
    aws.vpc.SecurityGroupEgressRule(
        name,
        security_group_id=security_group_id,
        referenced_security_group_id=security_group_id,
        ip_protocol="-1",
        description="EFA between the nodes of a replica",
        tags=tags,
        opts=opts,
    )


def node_policies(*, session_manager: bool, networking: bool = False) -> tuple[str, ...]:
    """What a node's role may do. ``networking``: the VPC CNI may act as the node does, having no role of its own."""
    return (
        *NODE_POLICIES,
        *((_NETWORKING,) if networking else ()),
        *((_SESSION_MANAGER,) if session_manager else ()),
    )


def _may_use_key(arn: str) -> str:
    """What EKS must be allowed to do with the key that encrypts Secrets."""
    return policy_document(
        {
            "Effect": "Allow",
            "Action": ["kms:Encrypt", "kms:Decrypt", "kms:ListGrants", "kms:DescribeKey"],
            "Resource": arn,
        }
    )
