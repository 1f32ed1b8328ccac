"""The whole deployment, in order: network, cluster, node pools, serving."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pulumi
import pulumi_aws as aws

from agentgpu_iac.errors import BadInput, Fault
from agentgpu_iac.plan import Plan, RenderedFile
from agentgpu_iac.plan.addresses import base_url
from agentgpu_iac.provisioning.aws import cluster_autoscaler
from agentgpu_iac.provisioning.aws.administrators import administrator_faults
from agentgpu_iac.provisioning.aws.api_endpoint import ApiEndpoint
from agentgpu_iac.provisioning.aws.budget_alarm import BudgetAlarm, BudgetAlarmArgs, email_faults
from agentgpu_iac.provisioning.aws.cluster import ADDONS, Cluster, ClusterArgs
from agentgpu_iac.provisioning.aws.cluster_settings import ClusterSettings
from agentgpu_iac.provisioning.aws.existing_network import (
    ExistingNetwork,
    ExistingNetworkArgs,
    existing_network_faults,
)
from agentgpu_iac.provisioning.aws.foreign import foreign_faults
from agentgpu_iac.provisioning.aws.health import check_health
from agentgpu_iac.provisioning.aws.held_capacity import held_capacity_faults
from agentgpu_iac.provisioning.aws.interface_endpoints import (
    IMAGE_SERVICES,
    JOIN_SERVICES,
    InterfaceEndpoints,
    InterfaceEndpointsArgs,
    zones_of_services,
)
from agentgpu_iac.provisioning.aws.karpenter import Karpenter, KarpenterArgs
from agentgpu_iac.provisioning.aws.kubernetes_upgrade import OUTPUT as KUBERNETES
from agentgpu_iac.provisioning.aws.kubernetes_upgrade import addon_versions, told_of, upgrade_faults
from agentgpu_iac.provisioning.aws.model_bucket import (
    CREATE,
    EXISTING,
    ModelBucket,
    ModelBucketArgs,
    bucket_readers,
    model_bucket_faults,
    planned_bucket,
)
from agentgpu_iac.provisioning.aws.naming import stack_tags
from agentgpu_iac.provisioning.aws.network import Network, NetworkArgs
from agentgpu_iac.provisioning.aws.node_makers import (
    KARPENTER,
    NODE_GROUPS,
    grouped_pools,
    karpenter_reservation_faults,
    node_maker_faults,
)
from agentgpu_iac.provisioning.aws.node_pool import AcceleratorNodePool, NodePoolArgs
from agentgpu_iac.provisioning.aws.node_updates import OUTPUT as RELEASES
from agentgpu_iac.provisioning.aws.node_updates import releases_of
from agentgpu_iac.provisioning.aws.objects import Objects, sort_objects
from agentgpu_iac.provisioning.aws.placement import ClusterPlacement
from agentgpu_iac.provisioning.aws.prerequisites import prerequisites
from agentgpu_iac.provisioning.aws.quotas import check_quotas
from agentgpu_iac.provisioning.aws.reserved_capacity import (
    ReservedCapacity,
    ReservedCapacityArgs,
    reserve_faults,
)
from agentgpu_iac.provisioning.aws.site import Site, find_site
from agentgpu_iac.provisioning.aws.system_nodes import karpenter_requests, system_faults
from agentgpu_iac.provisioning.charts import chart_faults, chart_groups, installed
from agentgpu_iac.provisioning.cost_report import OUTPUT, report_cost
from agentgpu_iac.provisioning.deployed import known_outputs
from agentgpu_iac.provisioning.faults import CONFIGURATION
from agentgpu_iac.provisioning.policy import policy_faults
from agentgpu_iac.provisioning.serving import Serving, ServingArgs, scaled_by_others
from agentgpu_iac.provisioning.spheron.beside import (
    MachinesBeside,
    MachinesBesideArgs,
    beside_faults,
    pools_beside,
)
from agentgpu_iac.provisioning.spheron.program import Settings as MachineSettings
from agentgpu_iac.provisioning.spheron.program import cloud_inits as beside_inits
from agentgpu_iac.provisioning.within import within


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What belongs to one deployment and not to the agents: it comes from the Pulumi stack's configuration."""

    api_endpoint: ApiEndpoint = field(default_factory=ApiEndpoint)
    """``agentgpu:apiEndpoint`` and ``agentgpu:apiAllowedCidrs``: who may reach the cluster's API. It authenticates
    everybody either way."""
    admin_role_arns: tuple[str, ...] = ()
    """``agentgpu:adminRoleArns``: roles that administer the cluster besides whoever runs the first ``pulumi up``."""
    vpc_id: str | None = None
    """``agentgpu:vpcId``: a network that you have; None makes one."""
    private_subnet_ids: tuple[str, ...] = ()
    """``agentgpu:privateSubnetIds``: its private subnets, one in each zone."""
    tag_subnets: bool = False
    """``agentgpu:tagSubnets``: whether they get the tag by which Karpenter finds them."""
    interface_endpoints: bool = False
    """``agentgpu:interfaceEndpoints``: private ways to ECR and STS in a new network, billed by the hour."""
    capacity_reservation_ids: Mapping[str, str] = field(default_factory=dict)
    """``agentgpu:capacityReservationIds``: the reservation or Capacity Block of a pool, by the pool's name."""
    capacity_reservation_zones: Mapping[str, str] = field(default_factory=dict)
    """``agentgpu:capacityReservationZones``: the zone of an on-demand reservation, by the pool's name."""
    reserve: bool = False
    """``agentgpu:reserve``: whether to reserve the baseline's nodes, billed from that moment on."""
    budget_emails: tuple[str, ...] = ()
    """``agentgpu:budgetEmails``: who gets a letter when the stack costs more than planned; nobody: no budget."""
    installed_api_groups: frozenset[str] = frozenset()
    """``agentgpu:installedApiGroups``: API groups of operators that you have installed, such as keda.sh."""
    charts: Mapping[str, str] = field(default_factory=dict)
    """``agentgpu:charts``: where Helm finds the charts to install, by their names, such as keda."""
    nodes: str = NODE_GROUPS
    """``agentgpu:nodes``: what makes the nodes of pools whose size may change; node-groups or karpenter."""
    karpenter_chart: str = ""
    """``agentgpu:karpenterChart``: where Helm finds Karpenter's chart."""
    model_bucket: str = EXISTING
    """``agentgpu:modelBucket``: whether the plan's bucket of models is there or to be made; existing or create."""
    delete_model_bucket: bool = False
    """``agentgpu:deleteModelBucket``: whether ``pulumi destroy`` deletes the bucket that was made, and all models in it."""
    cluster: ClusterSettings = field(default_factory=ClusterSettings)
    """How cluster and nodes are kept."""
    way_out: str | None = None
    """``agentgpu:wayOut``: the public address by which a network that you have asks machines beside the cluster."""
    burst_apart: bool = False
    """``agentgpu:burstApart``: machines beside the cluster are in a Pulumi stack of their own (``agentgpu:part: burst``)."""
    machines: MachineSettings = field(default_factory=MachineSettings)
    """How machines beside the cluster are rented: the settings of the program for Spheron."""

    @classmethod
    def from_config(cls, config: pulumi.Config) -> Settings:
        """Read the settings of the selected Pulumi stack."""
        default = cls()
        return cls(
            api_endpoint=ApiEndpoint(
                kind=config.get("apiEndpoint") or default.api_endpoint.kind,
                allowed_cidrs=tuple(config.get_object("apiAllowedCidrs") or ()),
            ),
            admin_role_arns=tuple(config.get_object("adminRoleArns") or ()),
            vpc_id=config.get("vpcId") or None,
            private_subnet_ids=tuple(config.get_object("privateSubnetIds") or ()),
            tag_subnets=config.get_bool("tagSubnets") or False,
            interface_endpoints=config.get_bool("interfaceEndpoints") or False,
            capacity_reservation_ids=config.get_object("capacityReservationIds") or {},
            capacity_reservation_zones=config.get_object("capacityReservationZones") or {},
            reserve=config.get_bool("reserve") or False,
            budget_emails=tuple(config.get_object("budgetEmails") or ()),
            installed_api_groups=frozenset(config.get_object("installedApiGroups") or ()),
            charts=config.get_object("charts") or {},
            nodes=config.get("nodes") or default.nodes,
            karpenter_chart=config.get("karpenterChart") or default.karpenter_chart,
            model_bucket=config.get("modelBucket") or default.model_bucket,
            delete_model_bucket=config.get_bool("deleteModelBucket") or default.delete_model_bucket,
            cluster=ClusterSettings.from_config(config),
            way_out=config.get("wayOut") or None,
            burst_apart=config.get_bool("burstApart") or False,
            machines=MachineSettings.from_config(config),
        )


def deploy(plan: Plan, files: tuple[RenderedFile, ...], settings: Settings) -> None:
    """Put the plan on AWS and export what its users need.

    Call it from inside a Pulumi program. ``files`` are the rendered manifests of the same plan. Raises BadInput,
    before anything is made, for a plan that EKS cannot carry out.
    """
    check(plan, settings)
    for name, value in make(plan, files, settings).items():
        pulumi.export(name, value)


def make(
    plan: Plan, files: tuple[RenderedFile, ...], settings: Settings, parent: pulumi.Resource | None = None
) -> dict[str, Any]:
    """Put a plan that was checked on AWS, and return what its users need."""
    whole, plan = plan, plan.in_cluster
    region = plan.node_pools[0].region
    cloud_inits = beside_inits(whole, files, pools_beside(whole))
    cost = report_cost(whole, excludes=_excludes(plan, settings))
    served = settings.installed_api_groups | chart_groups(settings.charts)
    objects = sort_objects(plan, files, nodes=settings.nodes, installed_groups=served)
    grouped = grouped_pools(plan, settings.nodes)
    site = find_site(
        plan,
        grouped,
        vpc_id=settings.vpc_id,
        private_subnet_ids=settings.private_subnet_ids,
        reservation_ids=settings.capacity_reservation_ids,
        reservation_zones=settings.capacity_reservation_zones,
        reserves=settings.reserve,
    )

    for sentence in site.told(plan, grouped):
        pulumi.log.warn(sentence)
    check_quotas(whole, frozenset(site.held))
    if settings.budget_emails:
        _budget_alarm(plan, settings, parent)
    network = _network(plan, settings, region, site, parent)
    last = known_outputs()
    versions = addon_versions(ADDONS, plan.node_pools[0].kubernetes_version, told_of(last))
    cluster = Cluster(
        plan.stack,
        ClusterArgs(
            name=plan.stack,
            region=region,
            kubernetes_version=plan.node_pools[0].kubernetes_version,
            subnet_ids=tuple(network.private_subnet_ids.values()),
            system=site.system,
            system_subnet_ids=tuple(network.private_subnet_ids[zone] for zone in site.system.zones),
            api_endpoint=settings.api_endpoint,
            admin_role_arns=settings.admin_role_arns,
            has_fabric=any(pool.nodes_per_replica > 1 for pool in plan.node_pools),
            watches_nodes=plan.watching.node_health == "eks-agent",
            support=settings.cluster.kubernetes_support,
            deletion_protection=settings.cluster.deletion_protection,
            session_manager=settings.cluster.session_manager,
            addon_versions=versions,
        ),
        within(parent, [network], protect=settings.cluster.protect),
    )
    placements = {
        pool.name: ClusterPlacement(pool.name, plan.stack, pool, within(parent)).group
        for pool in grouped
        if pool.nodes_per_replica > 1
    }
    reserved = _reserved(plan, site, placements, parent)
    node_pools = [
        AcceleratorNodePool(
            pool.name,
            NodePoolArgs(
                stack=plan.stack,
                pool=pool,
                cluster_name=cluster.name,
                node_role_arn=cluster.node_role_arn,
                subnet_ids={zone: network.private_subnet_ids[zone] for zone in site.zones_of_pool[pool.name]},
                cluster_security_group_id=cluster.security_group_id,
                instance_types=site.types_of_pool[pool.name],
                held=site.held.get(pool.name),
                placement_group=placements[pool.name].name if pool.name in placements else None,
                generation=settings.cluster.node_group_generations.get(pool.name, 1),
                last_releases=releases_of(last),
                repairs_nodes=plan.watching.node_health == "eks-agent",
            ),
            within(parent, [cluster, *reserved]),
        )
        for pool in grouped
    ]
    check_health((*cluster.parts, *(group for made in node_pools for group in made.node_groups)), region)
    operators = _operators(plan, settings, files, cluster, parent)
    before_serving: list[pulumi.Resource] = [*node_pools]
    if settings.nodes == KARPENTER:
        before_serving.append(
            _karpenter(plan, settings, region, cluster, objects, within(parent, [cluster, *reserved]))
        )
    if (bucket := planned_bucket(plan)) is not None:
        before_serving.append(_model_bucket(plan, settings, bucket, cluster, parent))
    serving = Serving(
        plan.stack,
        ServingArgs(
            kubeconfig=cluster.kubeconfig,
            manifests=objects.serving,
            scaled=scaled_by_others(plan),
            operators=operators,
        ),
        within(parent, before_serving),
    )
    outputs = _outputs(plan, settings, site, cluster, objects, cost)
    outputs[KUBERNETES] = {"version": plan.node_pools[0].kubernetes_version, "addons": versions}
    outputs[RELEASES] = {group: release for made in node_pools for group, release in made.releases.items()}
    if whole.joined is not None and not settings.burst_apart:
        beside = MachinesBeside(
            plan.stack,
            MachinesBesideArgs(
                plan=whole,
                joined=whole.joined,
                cloud_inits=cloud_inits,
                settings=settings.machines,
                cluster=serving.provider,
                after=(serving,),
                way_out=network.way_out,
            ),
            within(parent),
        )
        outputs["burstMachines"] = beside.seen
    return outputs


def _network(
    plan: Plan, settings: Settings, region: str, site: Site, parent: pulumi.Resource | None
) -> Network | ExistingNetwork:
    """The existing network, or a new one with the requested endpoints."""
    if settings.vpc_id:
        return ExistingNetwork(
            plan.stack,
            ExistingNetworkArgs(
                stack=plan.stack,
                vpc_id=settings.vpc_id,
                subnets=site.subnets,
                way_out=settings.way_out,
                tagged=settings.tag_subnets,
            ),
            within(parent),
        )
    network = Network(
        plan.stack,
        NetworkArgs(stack=plan.stack, region=region, cidr=settings.cluster.vpc_cidr, zones=site.zones),
        within(parent),
    )
    if settings.interface_endpoints:
        services = IMAGE_SERVICES if settings.api_endpoint.is_public else (*IMAGE_SERVICES, *JOIN_SERVICES)
        InterfaceEndpoints(
            plan.stack,
            InterfaceEndpointsArgs(
                region=region,
                vpc_id=network.vpc_id,
                vpc_cidr=settings.cluster.vpc_cidr,
                subnet_ids=network.private_subnet_ids,
                services=services,
                zones_of_service=zones_of_services(services, region),
                tags=stack_tags(plan.stack),
            ),
            within(parent),
        )
    return network


def _reserved(
    plan: Plan, site: Site, placements: Mapping[str, aws.ec2.PlacementGroup], parent: pulumi.Resource | None
) -> tuple[ReservedCapacity, ...]:
    return tuple(
        ReservedCapacity(
            pool.name,
            ReservedCapacityArgs(
                stack=plan.stack,
                pool=pool,
                nodes=site.reserve[pool.name],
                zone=site.zones_of_pool[pool.name][0],
                placement_group_arn=placements[pool.name].arn if pool.name in placements else None,
            ),
            within(parent),
        )
        for pool in plan.node_pools
        if pool.name in site.reserve
    )


def _operators(
    plan: Plan, settings: Settings, files: tuple[RenderedFile, ...], cluster: Cluster, parent: pulumi.Resource | None
) -> tuple[pulumi.Resource, ...]:
    """The charts that the settings name, on the system nodes; the Cluster Autoscaler learns of its role when it starts."""
    before: list[pulumi.Resource] = [cluster]
    if cluster_autoscaler.CHART in settings.charts:
        role = cluster_autoscaler.cluster_autoscaler_role(plan, cluster.name, within(parent, [cluster]))
        before.append(role)
    return installed(plan.stack, settings.charts, files, kubeconfig=cluster.kubeconfig, opts=within(parent, before))


def _karpenter(
    plan: Plan, settings: Settings, region: str, cluster: Cluster, objects: Objects, opts: pulumi.ResourceOptions
) -> Karpenter:
    return Karpenter(
        plan.stack,
        KarpenterArgs(
            stack=plan.stack,
            region=region,
            cluster_name=cluster.name,
            kubeconfig=cluster.kubeconfig,
            chart=settings.karpenter_chart,
            requests=karpenter_requests(plan),
            manifests=objects.karpenter,
            session_manager=settings.cluster.session_manager,
            repairs_nodes=plan.watching.node_health == "eks-agent",
        ),
        opts,
    )


def _model_bucket(
    plan: Plan, settings: Settings, url: str, cluster: Cluster, parent: pulumi.Resource | None
) -> ModelBucket:
    return ModelBucket(
        plan.stack,
        ModelBucketArgs(
            stack=plan.stack,
            url=url,
            readers=bucket_readers(plan),
            cluster_name=cluster.name,
            is_made=settings.model_bucket == CREATE,
            goes_with_stack=settings.delete_model_bucket,
        ),
        within(parent),
    )


def _budget_alarm(plan: Plan, settings: Settings, parent: pulumi.Resource | None) -> None:
    BudgetAlarm(
        plan.stack,
        BudgetAlarmArgs(
            stack=plan.stack,
            baseline_usd_per_month=plan.cost.baseline_usd_per_month,
            budget_usd_per_month=plan.policy.budget_usd_per_month,
            emails=settings.budget_emails,
        ),
        within(parent),
    )


def check(plan: Plan, settings: Settings) -> None:
    """Raise BadInput for everything that one EKS cluster cannot carry out, or that should not be."""
    cluster = plan.in_cluster
    faults = [
        *foreign_faults(cluster),
        *system_faults(cluster),
        *upgrade_faults(cluster, told_of(known_outputs())),
        *_misconfigured(cluster, settings),
        *beside_faults(plan, settings.machines, has_network=bool(settings.vpc_id), way_out=settings.way_out),
        *policy_faults(plan),
    ]
    if faults:
        raise BadInput(faults)


def _misconfigured(plan: Plan, settings: Settings) -> Iterator[Fault]:
    """What is wrong with the settings, by themselves or beside this plan."""
    yield from settings.api_endpoint.faults(CONFIGURATION)
    yield from administrator_faults(settings.admin_role_arns, CONFIGURATION)
    yield from existing_network_faults(
        vpc_id=settings.vpc_id,
        subnet_ids=settings.private_subnet_ids,
        tagged=settings.tag_subnets,
        endpoints=settings.interface_endpoints,
        source=CONFIGURATION,
    )
    yield from node_maker_faults(plan, settings.nodes, settings.karpenter_chart, CONFIGURATION)
    yield from model_bucket_faults(
        plan, settings.model_bucket, goes_with_stack=settings.delete_model_bucket, source=CONFIGURATION
    )
    yield from chart_faults(plan, settings.charts, unused=cluster_autoscaler.unused_charts(settings.nodes))
    grouped = grouped_pools(plan, settings.nodes)
    ids, zones = settings.capacity_reservation_ids, settings.capacity_reservation_zones
    tagged = {pool.name for pool in plan.node_pools if pool not in grouped}.intersection((*ids, *zones))
    yield from karpenter_reservation_faults(plan.stack, tagged, CONFIGURATION)
    yield from held_capacity_faults(
        grouped,
        {name: reservation for name, reservation in ids.items() if name not in tagged},
        {name: zone for name, zone in zones.items() if name not in tagged},
        CONFIGURATION,
    )
    if settings.reserve:
        yield from reserve_faults(plan, settings.capacity_reservation_ids, CONFIGURATION)
    yield from settings.cluster.faults(grouped, CONFIGURATION)
    yield from email_faults(settings.budget_emails, CONFIGURATION)


def _excludes(plan: Plan, settings: Settings) -> str:
    """What the plan's cost leaves out of what this program makes."""
    things = ["the EKS control plane", "the system nodes"]
    if settings.vpc_id is None:
        things.append("the NAT gateway with its address and traffic")
    if settings.interface_endpoints:
        things.append("interface endpoints")
    if planned_bucket(plan) is not None:
        things.append("the bucket of models")
    return f"{', '.join(things)}, traffic between zones, EBS volumes, CloudWatch logs and KMS"


def _outputs(
    plan: Plan, settings: Settings, site: Site, cluster: Cluster, objects: Objects, cost: dict[str, Any]
) -> dict[str, Any]:
    """What ``pulumi stack output`` shows."""
    return {
        "clusterName": cluster.name,
        "kubeconfig": cluster.kubeconfig,
        "agentUrls": {agent.name: base_url(plan, agent.name) for agent in plan.served_agents},
        OUTPUT: cost,
        "reservedCapacity": list(site.reservations(plan)),
        "prerequisites": list(
            prerequisites(
                plan,
                objects,
                grouped=grouped_pools(plan, settings.nodes),
                held=site.held,
                has_own_subnets=settings.vpc_id is not None and not settings.tag_subnets,
                has_budget_alarm=bool(settings.budget_emails),
                charts=settings.charts,
            )
        ),
        "notApplied": [str(manifest) for manifest in objects.serving.waiting],
    }
