"""Karpenter, which makes the nodes of pools whose size may change."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pulumi
import pulumi_aws as aws
import pulumi_kubernetes as kubernetes

from agentgpu_iac.plan.nodes import karpenter_node_role
from agentgpu_iac.provisioning.aws.cluster import node_policies
from agentgpu_iac.provisioning.aws.interruption_queue import InterruptionQueue, InterruptionQueueArgs
from agentgpu_iac.provisioning.aws.karpenter_policy import ControllerScope
from agentgpu_iac.provisioning.aws.naming import stack_tags
from agentgpu_iac.provisioning.aws.pod_role import PodRole, PodRoleArgs
from agentgpu_iac.provisioning.aws.roles import EC2_SERVICE, ServiceRole, ServiceRoleArgs
from agentgpu_iac.provisioning.manifests import Manifest

KARPENTER_VERSION = "1.14.1"
"""The version that the rendered NodePools and EC2NodeClasses are for, and that they are tried with."""

KARPENTER_GROUPS = frozenset({"karpenter.sh", "karpenter.k8s.aws"})
"""API groups that come with Karpenter's chart."""

_NAMESPACE = "kube-system"
"""Where Karpenter's guide installs it: the API server never starves requests from there."""

_SERVICE_ACCOUNT = "karpenter"
_NODE_CLASS = "EC2NodeClass"

_SHUTDOWN_S = 600
"""What a node may take to go after its pods went: for EC2, and for the loops that watch it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KarpenterArgs:
    """What Karpenter needs to know."""

    stack: str
    """Name of the stack, and of its cluster."""
    region: str
    cluster_name: pulumi.Input[str]
    kubeconfig: pulumi.Input[str]
    chart: str
    """Where Helm finds Karpenter's chart."""
    requests: tuple[int, int]
    """CPU in millicores and memory in MiB of a replica of the controller, as the system nodes were sized for it; the memory is
    its limit too."""
    manifests: tuple[Manifest, ...]
    """The rendered NodePools and EC2NodeClasses; none where a GitOps tool applies them."""
    session_manager: bool = False
    """Whether a shell on a node may be opened by Systems Manager."""
    networking: bool = False
    """Whether the VPC CNI acts as the nodes do."""
    repairs_nodes: bool = False
    """Whether nodes that EKS' node monitoring agent finds ill are replaced."""


class Karpenter(pulumi.ComponentResource):
    """The controller with its role, the nodes' role, the interruption queue, and then what tells it which nodes to make.

    **Where it runs.** On the system nodes: accelerator nodes are tainted, and the chart keeps the controller off nodes
    that Karpenter made. Its two replicas stand on two nodes in two zones.

    **How it goes.** Deleting a NodePool, ``pulumi destroy`` waits until Karpenter has drained and ended the nodes of
    that pool; then goes the EC2NodeClass, and only then the controller. The other way round, instances would stay
    and nobody would know of them.

    **What it must be told.** Its region: instance metadata answer one network hop deep, so a pod cannot ask there.

    Helm makes the custom resource definitions with the first installation and never changes them after that.
    """

    def __init__(self, name: str, args: KarpenterArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("agentgpu:aws:Karpenter", name, None, opts)
        self._logical_name = f"{name}-karpenter"
        self._args = args
        self._tags = stack_tags(args.stack)

        queue = InterruptionQueue(self._logical_name, InterruptionQueueArgs(stack=args.stack), self._child())
        node_role = self._node_role()
        controller_role = self._controller_role(node_role, queue)
        provider = kubernetes.Provider(self._logical_name, kubeconfig=args.kubeconfig, opts=self._child())
        release = self._release(queue, provider, after=[controller_role, queue, node_role])
        _apply(args.manifests, self, provider, after=[release])
        self.register_outputs({"queueName": queue.queue_name})

    def _child(self, after: list[pulumi.Resource] | None = None) -> pulumi.ResourceOptions:
        return pulumi.ResourceOptions(parent=self, depends_on=after)

    def _node_role(self) -> ServiceRole:
        """The nodes' role, and their way into the cluster: EKS makes that by itself for managed node groups only."""
        name = f"{self._logical_name}-nodes"
        role = ServiceRole(
            name,
            ServiceRoleArgs(
                service=EC2_SERVICE,
                policies=node_policies(session_manager=self._args.session_manager, networking=self._args.networking),
                tags=self._tags,
                role_name=karpenter_node_role(self._args.stack),
            ),
            self._child(),
        )
        aws.eks.AccessEntry(
            name,
            cluster_name=self._args.cluster_name,
            principal_arn=role.arn,
            type="EC2_LINUX",
            tags=self._tags,
            opts=pulumi.ResourceOptions(parent=role),
        )
        return role

    def _controller_role(self, node_role: ServiceRole, queue: InterruptionQueue) -> PodRole:
        args = self._args
        scope = pulumi.Output.all(node_role.arn, queue.queue_arn, args.cluster_name).apply(
            lambda known: ControllerScope(
                cluster=known[2],
                region=args.region,
                account=known[0].split(":")[4],
                node_role_arn=known[0],
                queue_arn=known[1],
            )
        )
        return PodRole(
            self._logical_name,
            PodRoleArgs(
                cluster_name=args.cluster_name,
                namespace=_NAMESPACE,
                service_account=_SERVICE_ACCOUNT,
                policies={
                    "nodes": scope.apply(ControllerScope.nodes_policy),
                    "profiles": scope.apply(ControllerScope.profiles_policy),
                    "reading": scope.apply(ControllerScope.reading_policy),
                },
                tags=self._tags,
            ),
            self._child(),
        )

    def _release(
        self, queue: InterruptionQueue, provider: kubernetes.Provider, *, after: list[pulumi.Resource]
    ) -> kubernetes.helm.v3.Release:
        return kubernetes.helm.v3.Release(
            self._logical_name,
            name="karpenter",
            namespace=_NAMESPACE,
            chart=self._args.chart,
            version=KARPENTER_VERSION,
            values={
                "settings": {
                    "clusterName": self._args.cluster_name,
                    "interruptionQueue": queue.queue_name,
                    **({"featureGates": {"nodeRepair": True}} if self._args.repairs_nodes else {}),
                },
                "serviceAccount": {"name": _SERVICE_ACCOUNT},
                "controller": {
                    "env": [{"name": "AWS_REGION", "value": self._args.region}],
                    "resources": _resources(*self._args.requests),
                },
            },
            opts=pulumi.ResourceOptions(parent=self, provider=provider, depends_on=after),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ExistingKarpenterArgs:
    """What a Karpenter that runs already needs to know."""

    kubeconfig: pulumi.Input[str]
    manifests: tuple[Manifest, ...]
    """NodePools and EC2NodeClasses for its cluster."""


class ExistingKarpenter(pulumi.ComponentResource):
    """The NodePools and EC2NodeClasses of the stack, for a Karpenter that runs already: it, its roles and its queue stay as they
    are. Deleting a NodePool, ``pulumi destroy`` waits until that Karpenter has ended the pool's nodes.
    """

    def __init__(self, name: str, args: ExistingKarpenterArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("agentgpu:aws:ExistingKarpenter", name, None, opts)
        provider = kubernetes.Provider(
            f"{name}-karpenter", kubeconfig=args.kubeconfig, opts=pulumi.ResourceOptions(parent=self)
        )
        _apply(args.manifests, self, provider, after=[])
        self.register_outputs({})


def for_cluster(
    manifests: tuple[Manifest, ...], *, role: str, subnet_ids: tuple[str, ...], security_group_id: str
) -> tuple[Manifest, ...]:
    """The same objects for a cluster that is there: by the role's name, the subnets and the group that it has, since those carry
    no tag of the stack.
    """
    places = {
        "role": role,
        "subnetSelectorTerms": [{"id": subnet_id} for subnet_id in subnet_ids],
        "securityGroupSelectorTerms": [{"id": security_group_id}],
    }
    return tuple(
        replace(manifest, content={**manifest.content, "spec": {**manifest.content["spec"], **places}})
        if manifest.kind == _NODE_CLASS
        else manifest
        for manifest in manifests
    )


def _apply(
    manifests: tuple[Manifest, ...],
    parent: pulumi.Resource,
    provider: kubernetes.Provider,
    *,
    after: list[pulumi.Resource],
) -> None:
    """The objects as they are, each NodePool after all that it may refer to."""
    classes = [
        _object(manifest, parent, provider, after=after) for manifest in manifests if manifest.kind != "NodePool"
    ]
    for manifest in manifests:
        if manifest.kind == "NodePool":
            _object(manifest, parent, provider, after=[*after, *classes], gone_in_s=_longest_drain_s(manifest))


def _object(
    manifest: Manifest,
    parent: pulumi.Resource,
    provider: kubernetes.Provider,
    *,
    after: list[pulumi.Resource],
    gone_in_s: int = 0,
) -> kubernetes.apiextensions.CustomResource:
    content = manifest.content
    return kubernetes.apiextensions.CustomResource(
        manifest.name,
        api_version=content["apiVersion"],
        kind=content["kind"],
        metadata=content["metadata"],
        spec=content["spec"],
        opts=pulumi.ResourceOptions(
            parent=parent,
            provider=provider,
            depends_on=after,
            custom_timeouts=pulumi.CustomTimeouts(delete=f"{gone_in_s + _SHUTDOWN_S}s"),
        ),
    )


def _resources(cpu_milli: int, memory_mib: int) -> dict[str, dict[str, str]]:
    """No limit of CPU: what is free on a system node may be used."""
    return {"requests": {"cpu": f"{cpu_milli}m", "memory": f"{memory_mib}Mi"}, "limits": {"memory": f"{memory_mib}Mi"}}


def _longest_drain_s(node_pool: Manifest) -> int:
    """Seconds after which Karpenter ends a node of the pool, whatever still runs there."""
    return int(node_pool.content["spec"]["template"]["spec"]["terminationGracePeriod"].removesuffix("s"))
