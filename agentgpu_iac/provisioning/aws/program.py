"""The whole deployment, in order: network, cluster, node pools, serving."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_aws as aws

from agentgpu_iac.errors import BadInput, Fault
from agentgpu_iac.planning.plan import NodePool, Plan, RenderedFile
from agentgpu_iac.planning.routing import base_url
from agentgpu_iac.provisioning.aws.cluster import Cluster, ClusterArgs
from agentgpu_iac.provisioning.aws.karpenter import Karpenter, KarpenterArgs
from agentgpu_iac.provisioning.aws.model_bucket import (
    CREATE,
    EXISTING,
    ModelBucket,
    ModelBucketArgs,
    model_bucket_faults,
    planned_bucket,
)
from agentgpu_iac.provisioning.aws.network import Network, NetworkArgs
from agentgpu_iac.provisioning.aws.node_makers import KARPENTER, NODE_GROUPS, grouped_pools, node_maker_faults
from agentgpu_iac.provisioning.aws.node_pool import AcceleratorNodePool, NodePoolArgs
from agentgpu_iac.provisioning.aws.objects import Objects, sort_objects
from agentgpu_iac.provisioning.aws.prerequisites import prerequisites
from agentgpu_iac.provisioning.aws.zones import find_zones, zones_for
from agentgpu_iac.provisioning.serving import Serving, ServingArgs

_PLAN = "plan"

_UNPRICED = (
    "the EKS control plane, the system nodes, the NAT gateway and its traffic, EBS volumes, CloudWatch logs, KMS, SQS "
    "and S3"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What belongs to one deployment and not to the agents: it comes from the Pulumi stack's configuration."""

    api_allowed_cidrs: tuple[str, ...] = ("0.0.0.0/0",)
    """``agentgpu:apiAllowedCidrs``: who may reach the cluster's API. It authenticates everybody either way."""
    installed_api_groups: frozenset[str] = frozenset()
    """``agentgpu:installedApiGroups``: API groups of operators that you have installed, such as keda.sh."""
    nodes: str = NODE_GROUPS
    """``agentgpu:nodes``: what makes the nodes of pools whose size may change; node-groups or karpenter."""
    karpenter_chart: str = ""
    """``agentgpu:karpenterChart``: where Helm finds Karpenter's chart."""
    model_bucket: str = EXISTING
    """``agentgpu:modelBucket``: whether the plan's bucket of models is there or to be made; existing or create."""
    delete_model_bucket: bool = False
    """``agentgpu:deleteModelBucket``: whether ``pulumi destroy`` deletes the bucket that was made, and all models in it."""

    @classmethod
    def from_config(cls, config: pulumi.Config) -> Settings:
        """Read the settings of the selected Pulumi stack."""
        default = cls()
        return cls(
            api_allowed_cidrs=tuple(config.get_object("apiAllowedCidrs") or default.api_allowed_cidrs),
            installed_api_groups=frozenset(config.get_object("installedApiGroups") or ()),
            nodes=config.get("nodes") or default.nodes,
            karpenter_chart=config.get("karpenterChart") or default.karpenter_chart,
            model_bucket=config.get("modelBucket") or default.model_bucket,
            delete_model_bucket=config.get_bool("deleteModelBucket") or default.delete_model_bucket,
        )


def deploy(plan: Plan, files: tuple[RenderedFile, ...], settings: Settings | None = None) -> None:
    """Put the plan on AWS and export what its users need.

    Call it from inside a Pulumi program. ``files`` are the rendered manifests of the same plan. Raises BadInput,
    before anything is made, for a plan that EKS cannot carry out.
    """
    settings = settings or Settings()
    region = _check(plan, settings)
    objects = sort_objects(plan, files, nodes=settings.nodes, installed_groups=settings.installed_api_groups)
    zones = find_zones(plan.node_pools)
    zones_of_pool = {pool.name: zones_for(pool, zones) for pool in plan.node_pools}

    network = Network(
        plan.stack, NetworkArgs(stack=plan.stack, region=region, zones=tuple(zone.name for zone in zones))
    )
    cluster = Cluster(
        plan.stack,
        ClusterArgs(
            name=plan.stack,
            region=region,
            kubernetes_version=plan.node_pools[0].kubernetes_version,
            subnet_ids=tuple(network.private_subnet_ids.values()),
            api_allowed_cidrs=settings.api_allowed_cidrs,
            has_fabric=any(pool.nodes_per_replica > 1 for pool in plan.node_pools),
        ),
        pulumi.ResourceOptions(depends_on=[network]),
    )
    grouped = grouped_pools(plan, settings.nodes)
    before_serving: list[pulumi.Resource] = [
        AcceleratorNodePool(
            pool.name,
            NodePoolArgs(
                stack=plan.stack,
                pool=pool,
                cluster_name=cluster.name,
                node_role_arn=cluster.node_role_arn,
                subnet_ids=tuple(network.private_subnet_ids[zone] for zone in zones_of_pool[pool.name]),
                cluster_security_group_id=cluster.security_group_id,
            ),
            pulumi.ResourceOptions(depends_on=[cluster]),
        )
        for pool in grouped
    ]
    if settings.nodes == KARPENTER:
        before_serving.append(
            Karpenter(
                plan.stack,
                KarpenterArgs(
                    stack=plan.stack,
                    region=region,
                    cluster_name=cluster.name,
                    kubeconfig=cluster.kubeconfig,
                    chart=settings.karpenter_chart,
                    manifests=objects.karpenter,
                ),
                pulumi.ResourceOptions(depends_on=[cluster]),
            )
        )
    if (bucket := planned_bucket(plan)) is not None:
        before_serving.append(
            ModelBucket(
                plan.stack,
                ModelBucketArgs(
                    stack=plan.stack,
                    url=bucket,
                    cluster_name=cluster.name,
                    is_made=settings.model_bucket == CREATE,
                    goes_with_stack=settings.delete_model_bucket,
                ),
            )
        )
    Serving(
        plan.stack,
        ServingArgs(kubeconfig=cluster.kubeconfig, manifests=objects.serving),
        pulumi.ResourceOptions(depends_on=before_serving),
    )
    for name, value in _outputs(plan, cluster, objects, grouped).items():
        pulumi.export(name, value)


def _check(plan: Plan, settings: Settings) -> str:
    """Find everything about the plan that one EKS cluster cannot carry out; return its region otherwise."""
    faults = [
        *_foreign(plan, grouped_pools(plan, settings.nodes)),
        *_scattered(plan),
        *_misplaced(plan),
        *node_maker_faults(plan, settings.nodes, settings.karpenter_chart),
        *model_bucket_faults(plan, settings.model_bucket, goes_with_stack=settings.delete_model_bucket),
    ]
    if faults:
        raise BadInput(faults)
    return plan.node_pools[0].region


def _foreign(plan: Plan, grouped: tuple[NodePool, ...]) -> Iterator[Fault]:
    """What belongs to another target or provider."""
    if plan.target != "eks":
        yield Fault(
            source=_PLAN,
            path="target",
            message=f"the Pulumi program for AWS carries out plans for 'eks', not for {plan.target!r}",
            hint="set spec.target to eks, or use the rendered files of that target",
        )
    for pool in plan.node_pools:
        if pool.provider != "aws":
            yield Fault(
                source=_PLAN,
                path=f"nodePools.{pool.name}.provider",
                message=f"the Pulumi program for AWS cannot make nodes of {pool.provider!r}",
                hint="set spec.providers to [aws]",
            )
        if pool.reservation == "capacity-block" and pool in grouped:
            yield Fault(
                source=_PLAN,
                path=f"nodePools.{pool.name}.reservation",
                message="the Pulumi program for AWS makes no node groups from Capacity Blocks",
                hint="let Karpenter make the nodes (agentgpu:nodes karpenter), or set spec.capacity.reservation to on-demand",
            )


def _scattered(plan: Plan) -> Iterator[Fault]:
    """What one cluster cannot hold together."""
    regions = sorted({pool.region for pool in plan.node_pools})
    versions = sorted({pool.kubernetes_version for pool in plan.node_pools})
    if not plan.node_pools:
        yield Fault(source=_PLAN, path="nodePools", message="the plan has no node pool")
    if len(regions) > 1:
        yield Fault(
            source=_PLAN,
            path="nodePools.region",
            message=f"one cluster cannot span {' and '.join(regions)}",
            hint="name one of them in spec.regions",
        )
    if len(versions) > 1:
        yield Fault(
            source=_PLAN,
            path="nodePools.kubernetesVersion",
            message=f"one cluster cannot run Kubernetes {' and '.join(versions)}",
        )


def _misplaced(plan: Plan) -> Iterator[Fault]:
    """Where the Pulumi stack deploys to another region than the one that was priced."""
    for region in sorted({pool.region for pool in plan.node_pools} - {aws.config.region}):
        yield Fault(
            source=_PLAN,
            path="nodePools.region",
            message=f"the plan was made for {region}, but the Pulumi stack deploys to {aws.config.region}",
            hint=f"pulumi config set aws:region {region}",
        )


def _outputs(plan: Plan, cluster: Cluster, objects: Objects, grouped: tuple[NodePool, ...]) -> dict[str, Any]:
    """What ``pulumi stack output`` shows."""
    return {
        "clusterName": cluster.name,
        "kubeconfig": cluster.kubeconfig,
        "agentUrls": {workload.agent: base_url(plan, workload) for workload in plan.workloads},
        "baselineUsdPerMonth": str(plan.cost.baseline_usd_per_month),
        "peakUsdPerHour": str(plan.cost.peak_usd_per_hour),
        "priceDate": min(pool.price_date for pool in plan.node_pools),
        "costExcludes": _UNPRICED,
        "prerequisites": list(prerequisites(plan, objects.serving, grouped=grouped, handed_over=objects.handed_over)),
        "notApplied": [str(manifest) for manifest in objects.serving.waiting],
    }
