"""What of a plan is not for one EKS cluster where the Pulumi stack deploys to, and as whom."""

from __future__ import annotations

from collections.abc import Iterator

import pulumi_aws as aws

from agentgpu_iac.errors import Fault
from agentgpu_iac.plan import Plan
from agentgpu_iac.provisioning.aws.identity import profile_faults
from agentgpu_iac.provisioning.faults import PLAN, node_pool_faults, target_faults


def foreign_faults(plan: Plan) -> Iterator[Fault]:
    """What belongs to another target or provider, to more than one cluster, to another region, or to an unknown profile."""
    yield from _of_others(plan)
    yield from node_pool_faults(plan)
    yield from _scattered(plan)
    yield from _misplaced(plan)
    yield from profile_faults()


def _of_others(plan: Plan) -> Iterator[Fault]:
    """What belongs to another target or provider."""
    yield from target_faults(plan, "eks", "AWS")
    for pool in plan.node_pools:
        if pool.provider != "aws":
            yield Fault(
                source=PLAN,
                path=f"nodePools.{pool.name}.provider",
                message=f"the Pulumi program for AWS cannot make nodes of {pool.provider!r}",
                hint="set spec.providers to [aws]",
            )


def _scattered(plan: Plan) -> Iterator[Fault]:
    """What one cluster cannot hold together."""
    regions = sorted({pool.region for pool in plan.node_pools})
    versions = sorted({pool.kubernetes_version for pool in plan.node_pools})
    if len(regions) > 1:
        yield Fault(
            source=PLAN,
            path="nodePools.region",
            message=f"one cluster cannot span {' and '.join(regions)}",
            hint="name one of them in spec.regions",
        )
    if len(versions) > 1:
        yield Fault(
            source=PLAN,
            path="nodePools.kubernetesVersion",
            message=f"one cluster cannot run Kubernetes {' and '.join(versions)}",
        )


def _misplaced(plan: Plan) -> Iterator[Fault]:
    """Where the Pulumi stack deploys to another region than the one that was priced."""
    there = aws.config.region
    where = f"deploys to {there}" if there else "names no region"
    for region in sorted({pool.region for pool in plan.node_pools} - {there}):
        yield Fault(
            source=PLAN,
            path="nodePools.region",
            message=f"the plan was made for {region}, but the Pulumi stack {where}",
            hint=f"pulumi config set aws:region {region}",
        )
