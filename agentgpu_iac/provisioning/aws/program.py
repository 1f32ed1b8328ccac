"""The whole deployment, in order: network, cluster, node pools, serving."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pulumi
import pulumi_aws as aws

from agentgpu_iac.errors import BadInput
from agentgpu_iac.plan import Plan, RenderedFile
from agentgpu_iac.plan.addresses import base_url
from agentgpu_iac.plan.nodes import karpenter_node_role
from agentgpu_iac.provisioning.aws import cluster_autoscaler
from agentgpu_iac.provisioning.aws.budget_alarm import BudgetAlarm, BudgetAlarmArgs
from agentgpu_iac.provisioning.aws.cluster import ADDONS, Cluster, ClusterArgs
from agentgpu_iac.provisioning.aws.existing_cluster import (
    ExistingCluster,
    ExistingClusterArgs,
    KnownCluster,
    find_cluster,
)
from agentgpu_iac.provisioning.aws.existing_network import (
    ExistingNetwork,
    ExistingNetworkArgs,
)
from agentgpu_iac.provisioning.aws.existing_settings import WHOSE, moved_faults, whose
from agentgpu_iac.provisioning.aws.foreign import foreign_faults
from agentgpu_iac.provisioning.aws.health import check_health
from agentgpu_iac.provisioning.aws.identity import credential_faults
from agentgpu_iac.provisioning.aws.interface_endpoints import (
    IMAGE_SERVICES,
    JOIN_SERVICES,
    InterfaceEndpoints,
    InterfaceEndpointsArgs,
    zones_of_services,
)
from agentgpu_iac.provisioning.aws.karpenter import (
    ExistingKarpenter,
    ExistingKarpenterArgs,
    Karpenter,
    KarpenterArgs,
    for_cluster,
)
from agentgpu_iac.provisioning.aws.kubernetes_upgrade import OUTPUT as KUBERNETES
from agentgpu_iac.provisioning.aws.kubernetes_upgrade import addon_versions, told_of, upgrade_faults
from agentgpu_iac.provisioning.aws.model_bucket import (
    CREATE,
    ModelBucket,
    ModelBucketArgs,
    bucket_readers,
    planned_bucket,
)
from agentgpu_iac.provisioning.aws.naming import stack_tags
from agentgpu_iac.provisioning.aws.network import Network, NetworkArgs
from agentgpu_iac.provisioning.aws.node_makers import (
    KARPENTER,
    grouped_pools,
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
)
from agentgpu_iac.provisioning.aws.settings import Settings, setting_faults
from agentgpu_iac.provisioning.aws.site import Site, find_site
from agentgpu_iac.provisioning.aws.system_nodes import karpenter_requests, system_faults
from agentgpu_iac.provisioning.charts import chart_groups, installed
from agentgpu_iac.provisioning.cost_report import OUTPUT, report_cost
from agentgpu_iac.provisioning.deployed import known_outputs
from agentgpu_iac.provisioning.policy import policy_faults
from agentgpu_iac.provisioning.serving import Serving, ServingArgs, scaled_by_others
from agentgpu_iac.provisioning.spheron.beside import (
    MachinesBeside,
    MachinesBesideArgs,
    beside_faults,
    pools_beside,
)
from agentgpu_iac.provisioning.spheron.program import cloud_inits as beside_inits
from agentgpu_iac.provisioning.within import within


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
    known = (
        None
        if plan.existing_cluster is None
        else find_cluster(plan, settings.existing, nodes=settings.nodes, vpc_id=settings.vpc_id)
    )
    site = find_site(
        plan,
        grouped,
        vpc_id=settings.vpc_id if known is None else known.vpc_id,
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
    network = _network(plan, settings, region, site, known, parent)
    last = known_outputs()
    told = {} if known else told_of(last)
    versions = addon_versions(ADDONS, plan.node_pools[0].kubernetes_version, told)
    cluster = _cluster(plan, settings, site, network, known, versions, parent)
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
            _karpenter(plan, settings, site, known, cluster, objects, within(parent, [cluster, *reserved]))
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
    outputs[KUBERNETES] = {
        "version": plan.node_pools[0].kubernetes_version,
        "addons": versions,
        WHOSE: whose(plan),
    }
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


def _cluster(
    plan: Plan,
    settings: Settings,
    site: Site,
    network: Network | ExistingNetwork,
    known: KnownCluster | None,
    versions: Mapping[str, str],
    parent: pulumi.Resource | None,
) -> Cluster | ExistingCluster:
    """The existing cluster, or a new one."""
    region = plan.node_pools[0].region
    has_fabric = any(pool.nodes_per_replica > 1 for pool in plan.node_pools)
    if known is not None:
        return ExistingCluster(
            plan.stack,
            ExistingClusterArgs(
                stack=plan.stack,
                known=known,
                node_role_arn=settings.existing.node_role_arn,
                has_node_groups=bool(grouped_pools(plan, settings.nodes)),
                has_fabric=has_fabric,
                session_manager=settings.cluster.session_manager,
            ),
            within(parent, [network]),
        )
    if site.system is None:
        raise ValueError("a new cluster has system nodes")
    return Cluster(
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
            has_fabric=has_fabric,
            watches_nodes=plan.watching.node_health == "eks-agent",
            support=settings.cluster.kubernetes_support,
            deletion_protection=settings.cluster.deletion_protection,
            session_manager=settings.cluster.session_manager,
            addon_versions=versions,
        ),
        within(parent, [network], protect=settings.cluster.protect),
    )


def _network(
    plan: Plan,
    settings: Settings,
    region: str,
    site: Site,
    known: KnownCluster | None,
    parent: pulumi.Resource | None,
) -> Network | ExistingNetwork:
    """The existing network, or a new one with the requested endpoints."""
    vpc_id = settings.vpc_id if known is None else known.vpc_id
    if vpc_id:
        return ExistingNetwork(
            plan.stack,
            ExistingNetworkArgs(
                stack=plan.stack,
                vpc_id=vpc_id,
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
    plan: Plan,
    settings: Settings,
    files: tuple[RenderedFile, ...],
    cluster: Cluster | ExistingCluster,
    parent: pulumi.Resource | None,
) -> tuple[pulumi.Resource, ...]:
    """The charts that the settings name, on the system nodes; the Cluster Autoscaler learns of its role when it starts."""
    before: list[pulumi.Resource] = [cluster]
    if cluster_autoscaler.CHART in settings.charts:
        role = cluster_autoscaler.cluster_autoscaler_role(plan, cluster.name, within(parent, [cluster]))
        before.append(role)
    return installed(plan.stack, settings.charts, files, kubeconfig=cluster.kubeconfig, opts=within(parent, before))


def _karpenter(
    plan: Plan,
    settings: Settings,
    site: Site,
    known: KnownCluster | None,
    cluster: Cluster | ExistingCluster,
    objects: Objects,
    opts: pulumi.ResourceOptions,
) -> Karpenter | ExistingKarpenter:
    """The Karpenter that runs there, or one that is installed, with the objects that tell it of the stack."""
    runs = settings.existing.karpenter_version is not None
    manifests = objects.karpenter
    if known is not None:
        role = settings.existing.karpenter_node_role if runs else None
        manifests = for_cluster(
            manifests,
            role=role or karpenter_node_role(plan.stack),
            subnet_ids=tuple(site.subnets.values()),
            security_group_id=known.security_group_id,
        )
    if runs:
        return ExistingKarpenter(
            plan.stack, ExistingKarpenterArgs(kubeconfig=cluster.kubeconfig, manifests=manifests), opts
        )
    return Karpenter(
        plan.stack,
        KarpenterArgs(
            stack=plan.stack,
            region=plan.node_pools[0].region,
            cluster_name=cluster.name,
            kubeconfig=cluster.kubeconfig,
            chart=settings.karpenter_chart,
            requests=karpenter_requests(plan),
            manifests=manifests,
            session_manager=settings.cluster.session_manager,
            networking=known is not None,
            repairs_nodes=plan.watching.node_health == "eks-agent",
        ),
        opts,
    )


def _model_bucket(
    plan: Plan, settings: Settings, url: str, cluster: Cluster | ExistingCluster, parent: pulumi.Resource | None
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
        *setting_faults(cluster, settings),
        *moved_faults(cluster, settings.existing.cluster, known_outputs()),
        *beside_faults(
            plan,
            settings.machines,
            has_network=bool(settings.vpc_id) or cluster.existing_cluster is not None,
            way_out=settings.way_out,
        ),
        *policy_faults(plan),
    ] or [*credential_faults()]
    if faults:
        raise BadInput(faults)


def _excludes(plan: Plan, settings: Settings) -> str:
    """What the plan's cost leaves out of what this program makes."""
    is_there = plan.existing_cluster is not None
    things = ["your cluster with its own nodes"] if is_there else ["the EKS control plane", "the system nodes"]
    if settings.vpc_id is None and not is_there:
        things.append("the NAT gateway with its address and traffic")
    if settings.interface_endpoints:
        things.append("interface endpoints")
    if planned_bucket(plan) is not None:
        things.append("the bucket of models")
    return f"{', '.join(things)}, traffic between zones, EBS volumes, CloudWatch logs and KMS"


def _outputs(
    plan: Plan,
    settings: Settings,
    site: Site,
    cluster: Cluster | ExistingCluster,
    objects: Objects,
    cost: dict[str, Any],
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
                has_own_subnets=settings.vpc_id is not None
                and not settings.tag_subnets
                and plan.existing_cluster is None,
                has_budget_alarm=bool(settings.budget_emails),
                charts=settings.charts,
            )
        ),
        "notApplied": [str(manifest) for manifest in objects.serving.waiting],
    }
