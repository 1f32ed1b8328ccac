"""The components as programs in other languages see them: plain arguments, a saved plan by its path, and outputs.

Annotations are evaluated here, since Pulumi reads the schema from them. Each class stands for the component of its name and
makes it; none is a resource itself.
"""

from pathlib import Path
from typing import NotRequired, Optional, TypedDict

import pulumi

from agentgpu_iac.errors import BadInput
from agentgpu_iac.plan import Plan
from agentgpu_iac.plan.reading import load_plan
from agentgpu_iac.provisioning import serving
from agentgpu_iac.provisioning.aws import (
    cluster,
    karpenter,
    model_bucket,
    network,
    node_makers,
    node_pool,
    objects,
    system_nodes,
    zones,
)
from agentgpu_iac.provisioning.aws.api_endpoint import ApiEndpoint
from agentgpu_iac.provisioning.manifests import read_manifests
from agentgpu_iac.rendering.render import render

_ARGUMENTS = "arguments of the component"


class NetworkInputs(TypedDict):
    """What a network needs to know."""

    plan: str
    """Path of a saved plan: its stack's name and region."""
    zones: list[str]
    """Availability zones, two at least."""


class Network:
    """A VPC of two layers: private subnets for nodes, one in each zone, behind a NAT gateway."""

    vpc_id: pulumi.Output[str]
    """Its id."""
    private_subnet_ids: pulumi.Output[dict[str, str]]
    """Private subnets by zone."""

    def __init__(self, name: str, args: NetworkInputs, opts: Optional[pulumi.ResourceOptions] = None) -> None:  # noqa: UP045
        plan = _plan(args["plan"])
        made = network.Network(
            name,
            network.NetworkArgs(stack=plan.stack, region=plan.node_pools[0].region, zones=tuple(args["zones"])),
            opts,
        )
        self.urn = made.urn
        self.vpc_id = made.vpc_id
        self.private_subnet_ids = pulumi.Output.all(**made.private_subnet_ids)


class ClusterInputs(TypedDict):
    """What a cluster needs to know."""

    plan: str
    """Path of a saved plan: name, region, version of Kubernetes, and what its nodes need."""
    subnet_ids: dict[str, pulumi.Input[str]]
    """Private subnets by zone, in two zones at least."""
    api_allowed_cidrs: list[str]
    """Address ranges that may reach the API endpoint."""
    api_endpoint: NotRequired[str]
    """public-and-private, or private."""
    admin_role_arns: NotRequired[list[str]]
    """Roles that administer the cluster besides whoever makes it."""


class Cluster:
    """An EKS cluster with access entries, encrypted Secrets, logs, basic add-ons and two small nodes for them."""

    cluster_name: pulumi.Output[str]
    """Its name."""
    kubeconfig: pulumi.Output[str]
    """A secret, though it holds no token."""
    node_role_arn: pulumi.Output[str]
    """The role of its nodes."""
    security_group_id: pulumi.Output[str]
    """The group that EKS puts all nodes into."""

    def __init__(self, name: str, args: ClusterInputs, opts: Optional[pulumi.ResourceOptions] = None) -> None:  # noqa: UP045
        plan = _plan(args["plan"]).in_cluster
        subnet_ids = _by_zone(args["subnet_ids"])
        endpoint = ApiEndpoint(
            kind=args.get("api_endpoint") or ApiEndpoint().kind, allowed_cidrs=tuple(args["api_allowed_cidrs"])
        )
        if faults := tuple(endpoint.faults(_ARGUMENTS)):
            raise BadInput(faults)
        system = system_nodes.system_place(plan, zones.offers_in(subnet_ids, plan))
        made = cluster.Cluster(
            name,
            cluster.ClusterArgs(
                name=plan.stack,
                region=plan.node_pools[0].region,
                kubernetes_version=plan.node_pools[0].kubernetes_version,
                subnet_ids=tuple(subnet_ids.values()),
                system=system,
                system_subnet_ids=tuple(subnet_ids[zone] for zone in system.zones),
                api_endpoint=endpoint,
                admin_role_arns=tuple(args.get("admin_role_arns") or ()),
                has_fabric=any(pool.nodes_per_replica > 1 for pool in plan.node_pools),
                watches_nodes=plan.watching.node_health == "eks-agent",
            ),
            opts,
        )
        self.urn = made.urn
        self.cluster_name = made.name
        self.kubeconfig = made.kubeconfig
        self.node_role_arn = made.node_role_arn
        self.security_group_id = made.security_group_id


class GpuNodePoolInputs(TypedDict):
    """What a pool of GPU nodes needs to know."""

    plan: str
    """Path of a saved plan."""
    pool: str
    """Name of one of its node pools."""
    cluster_name: pulumi.Input[str]
    """The cluster that the nodes join."""
    node_role_arn: pulumi.Input[str]
    """Their role."""
    subnet_ids: dict[str, pulumi.Input[str]]
    """Private subnets by zone."""
    cluster_security_group_id: pulumi.Input[str]
    """The group of the cluster's nodes."""


class GpuNodePool:
    """A node pool of a plan as EKS managed node groups, in a cluster of anybody's."""

    node_group_arns: pulumi.Output[list[str]]
    """One for each way of buying its nodes."""

    def __init__(self, name: str, args: GpuNodePoolInputs, opts: Optional[pulumi.ResourceOptions] = None) -> None:  # noqa: UP045
        plan = _plan(args["plan"])
        known = {pool.name: pool for pool in plan.in_cluster.node_pools}
        if args["pool"] not in known:
            hint = f"it has {', '.join(known)}"
            raise BadInput.one(args["plan"], f"has no node pool {args['pool']!r}", path="nodePools", hint=hint)
        pool = known[args["pool"]]
        made = node_pool.AcceleratorNodePool(
            name,
            node_pool.NodePoolArgs(
                stack=plan.stack,
                pool=pool,
                cluster_name=args["cluster_name"],
                node_role_arn=args["node_role_arn"],
                subnet_ids=_by_zone(args["subnet_ids"]),
                cluster_security_group_id=args["cluster_security_group_id"],
                instance_types=pool.instance_types,
            ),
            opts,
        )
        self.urn = made.urn
        self.node_group_arns = pulumi.Output.all(*(group.arn for group in made.node_groups))


class KarpenterInputs(TypedDict):
    """What Karpenter needs to know."""

    plan: str
    """Path of a saved plan."""
    cluster_name: pulumi.Input[str]
    """The cluster whose nodes it makes."""
    kubeconfig: pulumi.Input[str]
    """Of that cluster."""
    chart: str
    """Where Helm finds Karpenter's chart."""


class Karpenter:
    """Karpenter with its roles and queue, and the plan's NodePools and EC2NodeClasses."""

    def __init__(self, name: str, args: KarpenterInputs, opts: Optional[pulumi.ResourceOptions] = None) -> None:  # noqa: UP045
        plan = _plan(args["plan"]).in_cluster
        sorted_objects = objects.sort_objects(
            plan, render(plan), nodes=node_makers.KARPENTER, installed_groups=frozenset()
        )
        made = karpenter.Karpenter(
            name,
            karpenter.KarpenterArgs(
                stack=plan.stack,
                region=plan.node_pools[0].region,
                cluster_name=args["cluster_name"],
                kubeconfig=args["kubeconfig"],
                chart=args["chart"],
                requests=system_nodes.karpenter_requests(plan),
                manifests=sorted_objects.karpenter,
                repairs_nodes=plan.watching.node_health == "eks-agent",
            ),
            opts,
        )
        self.urn = made.urn


class ModelCacheBucketInputs(TypedDict):
    """What the bucket of models needs to know."""

    plan: str
    """Path of a saved plan whose modelCache.source is s3."""
    cluster_name: pulumi.Input[str]
    """The cluster whose pods read it."""
    create: NotRequired[bool]
    """Whether to make the bucket; else it is there already."""
    delete_with_stack: NotRequired[bool]
    """Whether pulumi destroy deletes the bucket that it made, with every model in it."""


class ModelCacheBucket:
    """Read access to the models for the pods that read them, and the bucket where it is to be made."""

    def __init__(self, name: str, args: ModelCacheBucketInputs, opts: Optional[pulumi.ResourceOptions] = None) -> None:  # noqa: UP045
        plan = _plan(args["plan"])
        url = model_bucket.planned_bucket(plan)
        if url is None:
            raise BadInput.one(args["plan"], "names no bucket of models", hint="set spec.modelCache.source to s3")
        made = model_bucket.ModelBucket(
            name,
            model_bucket.ModelBucketArgs(
                stack=plan.stack,
                url=url,
                readers=model_bucket.bucket_readers(plan),
                cluster_name=args["cluster_name"],
                is_made=bool(args.get("create")),
                goes_with_stack=bool(args.get("delete_with_stack")),
            ),
            opts,
        )
        self.urn = made.urn


class ServingInputs(TypedDict):
    """What serving needs to know."""

    plan: str
    """Path of a saved plan."""
    kubeconfig: NotRequired[pulumi.Input[str]]
    """Content or path; left out, what kubectl would use."""
    context: NotRequired[str]
    """Context of the kubeconfig; left out, its current one."""
    installed_api_groups: NotRequired[list[str]]
    """API groups of operators that are installed; their objects are applied too."""


class Serving:
    """The rendered objects of a plan in a cluster of anybody's."""

    not_applied: pulumi.Output[list[str]]
    """Objects whose operator is not installed."""

    def __init__(self, name: str, args: ServingInputs, opts: Optional[pulumi.ResourceOptions] = None) -> None:  # noqa: UP045
        plan = _plan(args["plan"])
        manifests = read_manifests(render(plan), frozenset(args.get("installed_api_groups") or ()))
        made = serving.Serving(
            name,
            serving.ServingArgs(
                manifests=manifests,
                kubeconfig=args.get("kubeconfig"),
                context=args.get("context"),
                scaled=serving.scaled_by_others(plan.in_cluster),
            ),
            opts,
        )
        self.urn = made.urn
        self.not_applied = pulumi.Output.from_input([str(manifest) for manifest in manifests.waiting])


PARTS = (Network, Cluster, GpuNodePool, Karpenter, ModelCacheBucket, Serving)


def _plan(path: str) -> Plan:
    return load_plan(Path(path))


def _by_zone(found: object) -> dict[str, pulumi.Input[str]]:
    """Subnets whose zones are known before anything is made. Raises BadInput."""
    if not isinstance(found, dict):
        message = (
            "must name its zones here, each with its subnet's id: what stands where is decided before a network is made"
        )
        hint = 'its values may be outputs, as in {"us-east-1a": network.privateSubnetIds["us-east-1a"]}'
        raise BadInput.one(_ARGUMENTS, message, path="subnetIds", hint=hint)
    return found
