"""Whether the account may run what the plan needs, before anything is made.

A new account may run no machine with accelerators at all, and EC2 says so only once everything else stands: a quarter of an
hour later, as a node group that failed. So Service Quotas is asked first, with the credentials that the provider uses.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

import pulumi
from botocore.exceptions import BotoCoreError, ClientError

from agentgpu_iac.catalog.live import AMAZON
from agentgpu_iac.plan import Plan, VcpuNeed
from agentgpu_iac.provisioning.aws.identity import PATIENCE, Unanswered, session

_SERVICE: Final = "ec2"

Ask = Callable[[VcpuNeed], Decimal | None]
"""The vCPUs that the account may run; None where Service Quotas knows no such quota."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shortage:
    """A quota that does not carry the plan."""

    need: VcpuNeed
    has: Decimal
    stops: bool
    """Whether nodes that ``up`` itself starts cannot run."""

    def __str__(self) -> str:
        need = self.need
        return (
            f"{need.name} ({need.code}, {need.region}) is {self.has:,f} vCPUs, and {', '.join(need.node_pools)} "
            f"{'need' if len(need.node_pools) > 1 else 'needs'} {need.vcpus:,} at the peak, {need.rollout_vcpus:,} in a "
            f"rollout; other machines of the account count too. Ask for more: aws service-quotas "
            f"request-service-quota-increase --service-code {_SERVICE} --quota-code {need.code} --region {need.region} "
            f"--desired-value {max(need.vcpus, need.rollout_vcpus)}"
        )


def check_quotas(plan: Plan, held: Collection[str]) -> None:
    """Warn of quotas that do not carry the plan, and stop an ``up`` that could start nothing.

    ``held`` are pools whose nodes are launched into a reservation: a Capacity Block counts towards no quota.
    Raises ``pulumi.RunError`` in an ``up`` where a quota is 0 and nodes are to be there from the start.
    """
    try:
        found = tuple(shortages(plan, held, asking()))
    except Unanswered as error:
        pulumi.log.info(f"nobody looked whether the account's quotas carry the plan: {error}")
        return
    for shortage in found:
        pulumi.log.warn(str(shortage))
    stopping = [shortage.need.name for shortage in found if shortage.stops]
    if stopping and not pulumi.runtime.is_dry_run():
        raise pulumi.RunError(f"the account may run no machine of {', '.join(stopping)}; nothing was made")


def shortages(plan: Plan, held: Collection[str], ask: Ask) -> Iterator[Shortage]:
    """The quotas that are smaller than what the plan needs of them."""
    for need in plan.vcpu_quotas:
        pools = [plan.pool(name) for name in need.node_pools if name not in held]
        if need.provider != AMAZON or need.code is None or need.vcpus == 0 or not pools:
            continue
        has = ask(need)
        if has is not None and has < max(need.vcpus, need.rollout_vcpus):
            yield Shortage(need=need, has=has, stops=has == 0 and any(pool.min > 0 for pool in pools))


def asking() -> Ask:
    """How to ask Service Quotas, as whom the provider of this Pulumi stack acts.

    Raises:
        Unanswered: there are no credentials, or a role may not be assumed.
    """
    try:
        acting = session()
    except (BotoCoreError, ClientError) as error:
        raise Unanswered(str(error)) from error

    def ask(need: VcpuNeed) -> Decimal | None:
        try:
            quotas = acting.create_client("service-quotas", region_name=need.region, config=PATIENCE)
            answer = quotas.get_service_quota(ServiceCode=_SERVICE, QuotaCode=need.code)
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") == "NoSuchResourceException":
                return None
            raise Unanswered(str(error)) from error
        except BotoCoreError as error:
            raise Unanswered(str(error)) from error
        return Decimal(str(answer["Quota"]["Value"]))

    return ask
