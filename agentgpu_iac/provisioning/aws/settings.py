"""The settings of a deployment on AWS, and what is wrong with them by themselves or beside a plan."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import pulumi

from agentgpu_iac.errors import Fault
from agentgpu_iac.plan import Plan
from agentgpu_iac.provisioning.aws.administrators import administrator_faults
from agentgpu_iac.provisioning.aws.api_endpoint import ApiEndpoint
from agentgpu_iac.provisioning.aws.budget_alarm import email_faults
from agentgpu_iac.provisioning.aws.cluster_autoscaler import unused_charts
from agentgpu_iac.provisioning.aws.cluster_settings import ClusterSettings
from agentgpu_iac.provisioning.aws.existing_network import existing_network_faults
from agentgpu_iac.provisioning.aws.existing_settings import ExistingSettings
from agentgpu_iac.provisioning.aws.held_capacity import held_capacity_faults
from agentgpu_iac.provisioning.aws.model_bucket import EXISTING, model_bucket_faults
from agentgpu_iac.provisioning.aws.node_makers import (
    NODE_GROUPS,
    grouped_pools,
    karpenter_reservation_faults,
    node_maker_faults,
)
from agentgpu_iac.provisioning.aws.reserved_capacity import reserve_faults
from agentgpu_iac.provisioning.charts import chart_faults
from agentgpu_iac.provisioning.faults import CONFIGURATION
from agentgpu_iac.provisioning.project_paths import chart_place, chart_places
from agentgpu_iac.provisioning.spheron.program import Settings as MachineSettings


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
    existing: ExistingSettings = field(default_factory=ExistingSettings)
    """What there is already."""
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
            charts=chart_places(config.get_object("charts") or {}),
            nodes=config.get("nodes") or default.nodes,
            karpenter_chart=chart_place(config.get("karpenterChart") or default.karpenter_chart),
            model_bucket=config.get("modelBucket") or default.model_bucket,
            delete_model_bucket=config.get_bool("deleteModelBucket") or default.delete_model_bucket,
            cluster=ClusterSettings.from_config(config),
            existing=ExistingSettings.from_config(config),
            way_out=config.get("wayOut") or None,
            burst_apart=config.get_bool("burstApart") or False,
            machines=MachineSettings.from_config(config),
        )


def setting_faults(plan: Plan, settings: Settings) -> Iterator[Fault]:
    """What is wrong with the settings, by themselves or beside this plan."""
    yield from settings.existing.faults(
        plan,
        nodes=settings.nodes,
        chart=settings.karpenter_chart,
        subnets=settings.private_subnet_ids,
        of_new=_of_new_cluster(settings),
        source=CONFIGURATION,
    )
    if plan.existing_cluster is None:
        yield from settings.api_endpoint.faults(CONFIGURATION)
        yield from administrator_faults(settings.admin_role_arns, CONFIGURATION)
        yield from existing_network_faults(
            vpc_id=settings.vpc_id,
            subnet_ids=settings.private_subnet_ids,
            tagged=settings.tag_subnets,
            endpoints=settings.interface_endpoints,
            source=CONFIGURATION,
        )
    chart = settings.karpenter_chart or settings.existing.karpenter_version or ""
    yield from node_maker_faults(plan, settings.nodes, chart, CONFIGURATION)
    yield from model_bucket_faults(
        plan, settings.model_bucket, goes_with_stack=settings.delete_model_bucket, source=CONFIGURATION
    )
    yield from chart_faults(plan, settings.charts, unused=unused_charts(settings.nodes))
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


def _of_new_cluster(settings: Settings) -> dict[str, bool]:
    """By key, whether something is said of a cluster that is made, or of its network."""
    default, cluster = Settings(), settings.cluster
    return {
        "agentgpu:apiEndpoint": settings.api_endpoint.kind != default.api_endpoint.kind,
        "agentgpu:apiAllowedCidrs": bool(settings.api_endpoint.allowed_cidrs),
        "agentgpu:adminRoleArns": bool(settings.admin_role_arns),
        "agentgpu:tagSubnets": settings.tag_subnets,
        "agentgpu:interfaceEndpoints": settings.interface_endpoints,
        "agentgpu:kubernetesSupport": cluster.kubernetes_support != default.cluster.kubernetes_support,
        "agentgpu:vpcCidr": cluster.vpc_cidr != default.cluster.vpc_cidr,
        "agentgpu:deletionProtection": cluster.deletion_protection,
        "agentgpu:protect": cluster.protect,
    }
