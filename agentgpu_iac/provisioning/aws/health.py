"""Whether EKS made what it was asked for.

Pulumi keeps what failed half-way and does not replace it: the next ``pulumi up`` finds nothing to change in it, and would
end well over a node group that never gets a node. So EKS is asked at the end of each, with the credentials that the
provider uses; of a cluster the provider itself tells, of an add-on it does not.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

import pulumi
import pulumi_aws as aws
from botocore.exceptions import BotoCoreError, ClientError

from agentgpu_iac.provisioning.aws.identity import PATIENCE, Unanswered, session

Kind = Literal["cluster", "node group", "add-on"]
Part = aws.eks.NodeGroup | aws.eks.Addon

_WELL: Final = frozenset({"ACTIVE", "CREATING", "UPDATING", "PENDING"})
_FAILED: Final = "FAILED"
"""A cluster's own word; it never comes back from there."""
_MENDS_ITSELF: Final = "DEGRADED"


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """Something that EKS made."""

    kind: Kind
    cluster: str
    name: str
    urn: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """What EKS says of it."""

    status: str
    issues: tuple[str, ...] = ()

    @property
    def is_well(self) -> bool:
        """Whether it is what was asked for, or on its way there."""
        return self.status in _WELL


Ask = Callable[[Made], Health | None]
"""What EKS says; None where it knows no such thing."""


def working_name(cluster: aws.eks.Cluster) -> pulumi.Output[str]:
    """The name of a cluster, for what stands in it: where the cluster itself failed, nothing of that is begun."""

    def look(known: list[str]) -> str:
        name, urn, status = known
        if status == _FAILED:
            made = Made(kind="cluster", cluster=name, name=name, urn=urn)
            raise pulumi.RunError(complaint((made,), lambda _: Health(status=status)) or "")
        return name

    return pulumi.Output.all(cluster.name, cluster.urn, cluster.status).apply(look)


def check_health(parts: Iterable[Part], region: str) -> None:
    """Fail at the end of an ``up`` over parts that are not well, and warn of them in a preview. Nothing waits for it."""

    def look(known: list[list[str]]) -> None:
        made = tuple(
            Made(kind=kind, cluster=cluster, name=name, urn=urn)
            for kind, (cluster, name, urn) in zip(kinds, known, strict=True)
        )
        try:
            message = complaint(made, asking(region))
        except Unanswered as error:
            pulumi.log.warn(f"nobody looked whether cluster, node groups and add-ons are well: {error}")
            return
        if message and pulumi.runtime.is_dry_run():
            pulumi.log.warn(message)
        elif message:
            raise pulumi.RunError(message)

    listed = tuple(parts)
    kinds = tuple(_kind(part) for part in listed)
    pulumi.Output.all(*(_known(part) for part in listed)).apply(look)


def _kind(part: Part) -> Kind:
    return "node group" if isinstance(part, aws.eks.NodeGroup) else "add-on"


def _known(part: Part) -> pulumi.Output[list[str]]:
    """Cluster, name and URN, once the thing was made: its name alone is known before."""
    name = part.node_group_name if isinstance(part, aws.eks.NodeGroup) else part.addon_name
    return pulumi.Output.all(part.cluster_name, name, part.urn, part.arn).apply(lambda known: known[:3])


def complaint(made: Iterable[Made], ask: Ask) -> str | None:
    """What is not well, with the command that mends it; None where everything is."""
    ill = [(part, health) for part in made if (health := ask(part)) is not None and not health.is_well]
    if not ill:
        return None
    lines = ["EKS did not make all that it was asked for:"]
    lines += [f"  {part.kind} {part.name}: {_said(health)}" for part, health in ill]
    if any(health.status == _MENDS_ITSELF for _, health in ill):
        lines.append("What is DEGRADED, EKS mends once the cause is gone: run pulumi up again then.")
    lost = [part for part, health in ill if health.status != _MENDS_ITSELF]
    if lost:
        again = " ".join(f"--replace {shlex.quote(part.urn)}" for part in lost)
        lines.append("What failed stays so, and a plain pulumi up passes over it. Remove the cause, then make it anew:")
        lines.append(f"  pulumi up {again}")
    return "\n".join(lines)


def _said(health: Health) -> str:
    return "; ".join((health.status, *health.issues))


def asking(region: str) -> Ask:
    """How to ask EKS, as whom the provider of this Pulumi stack acts.

    Raises:
        Unanswered: there are no credentials, or a role may not be assumed.
    """
    try:
        eks = session().create_client("eks", region_name=region, config=PATIENCE)
    except (BotoCoreError, ClientError) as error:
        raise Unanswered(str(error)) from error

    def ask(part: Made) -> Health | None:
        try:
            described = _describe(eks, part)
        except eks.exceptions.ResourceNotFoundException:
            return None
        except (BotoCoreError, ClientError) as error:
            raise Unanswered(str(error)) from error
        issues = described.get("health", {}).get("issues", ())
        return Health(
            status=described["status"],
            issues=tuple(f"{issue.get('code', '')}: {issue.get('message', '')}" for issue in issues),
        )

    return ask


def _describe(eks: Any, part: Made) -> Mapping[str, Any]:
    if part.kind == "node group":
        answer = eks.describe_nodegroup(clusterName=part.cluster, nodegroupName=part.name)["nodegroup"]
    else:
        answer = eks.describe_addon(clusterName=part.cluster, addonName=part.name)["addon"]
    found: Mapping[str, Any] = answer
    return found
