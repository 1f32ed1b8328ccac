"""An e-mail when the stack costs more than planned."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal

import pulumi
import pulumi_aws as aws

from agentgpu_iac.errors import Fault
from agentgpu_iac.plan.nodes import STACK_LABEL
from agentgpu_iac.provisioning.aws.naming import fitted, stack_tags
from agentgpu_iac.units import money_text

_KEY = "agentgpu:budgetEmails"

_NAME_LIMIT = 100
_MOST_EMAILS = 10
"""As many as AWS takes for one notification."""

_EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")

_WORTH_A_LETTER_PERCENT = 120
"""Of the planned baseline. A month of 31 days is 3 % longer than the plan's 720 hours, and what the plan does not
price (the output ``cost.excludes``) and the bursts are in the bill too: a letter at 100 % would come every month."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetAlarmArgs:
    """What the alarm needs to know."""

    stack: str
    baseline_usd_per_month: Decimal
    budget_usd_per_month: Decimal | None
    """The spec's own limit, where it sets one."""
    emails: tuple[str, ...]


class BudgetAlarm(pulumi.ComponentResource):
    """An AWS budget of the planned baseline, over everything that carries the stack's tag.

    E-mails go out when the month is forecast to end, or has got, a fifth above the plan, and above the spec's own
    budget. AWS knows costs by tag only once the tag is activated for cost allocation in the billing console (the
    management account's, in an organisation); until then the budget sees nothing.
    """

    def __init__(self, name: str, args: BudgetAlarmArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("agentgpu:aws:BudgetAlarm", name, None, opts)
        limits = [(float(_WORTH_A_LETTER_PERCENT), "PERCENTAGE")]
        if args.budget_usd_per_month is not None:
            limits.append((float(args.budget_usd_per_month), "ABSOLUTE_VALUE"))
        aws.budgets.Budget(
            fitted(name, _NAME_LIMIT),
            budget_type="COST",
            time_unit="MONTHLY",
            limit_amount=money_text(args.baseline_usd_per_month),
            limit_unit="USD",
            cost_filters=[
                aws.budgets.BudgetCostFilterArgs(name="TagKeyValue", values=[f"user:{STACK_LABEL}${args.stack}"])
            ],
            notifications=[
                aws.budgets.BudgetNotificationArgs(
                    comparison_operator="GREATER_THAN",
                    notification_type=seen,
                    threshold=threshold,
                    threshold_type=kind,
                    subscriber_email_addresses=list(args.emails),
                )
                for threshold, kind in limits
                for seen in ("FORECASTED", "ACTUAL")
            ],
            tags=stack_tags(args.stack),
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.register_outputs({})


def email_faults(emails: tuple[str, ...], source: str) -> Iterator[Fault]:
    """Addresses that AWS would refuse."""
    for email in emails:
        if not _EMAIL.fullmatch(email):
            yield Fault(source=source, path=_KEY, message=f"{email!r} is no e-mail address")
    if len(emails) > _MOST_EMAILS:
        yield Fault(
            source=source,
            path=_KEY,
            message=f"AWS writes to {_MOST_EMAILS} addresses at most, and there are {len(emails)}",
            hint="name a mailing list",
        )
