"""Warnings about what is committed: more than is used, on a forecast, or no longer."""

from __future__ import annotations

from collections.abc import Iterator

from agentgpu_iac.catalog.days import days_between
from agentgpu_iac.plan import CommitmentCost, Warning
from agentgpu_iac.planning.advice.context import Context
from agentgpu_iac.planning.advice.wording import warning
from agentgpu_iac.planning.choosing.tiers import RESERVE_AFTER_DAYS
from agentgpu_iac.units import HOURS_PER_MONTH, counted


def commitment_warnings(context: Context) -> Iterator[Warning]:
    """The warnings about ``capacity.commitments``."""
    day = context.catalog.day
    for position, stated in enumerate(context.spec.capacity.commitments):
        if day and stated.ends is not None and days_between(day, stated.ends) <= 0:
            yield warning(
                "commitment-ended",
                f"capacity.commitments[{position}] ended on {stated.ends}, and the plan's day is {day}: it is not counted",
            )
    for each in context.cost.commitments:
        yield from _beyond(each)
        if each.committed and not each.signed and context.spec.observed.days < RESERVE_AFTER_DAYS:
            yield warning(
                "commitment-on-a-forecast",
                f"the plan signs {_amount(each, each.committed)}, which binds for {_term(each)}, and "
                f"{counted(context.spec.observed.days, 'day')} of production "
                f"{'is' if context.spec.observed.days == 1 else 'are'} observed: {RESERVE_AFTER_DAYS} would show that the load "
                "is there (observed)",
            )


def _beyond(each: CommitmentCost) -> Iterator[Warning]:
    """What is committed, or may be, and the baseline does not use."""
    if each.signed and each.unused_ratio:
        unused = float(each.usd_per_month) * each.unused_ratio
        yield warning(
            "commitment-beyond-baseline",
            f"{_amount(each, each.most)} are signed (capacity.commitments[{each.position}]), and the baseline uses "
            f"{_amount(each, each.most * (1 - each.unused_ratio))}: USD {unused:,.2f} a month are paid for what it leaves",
        )
    elif not each.signed and each.committed < each.most:
        why = "the baseline of the cheapest plan has no use for more"
        if each.break_even and all(pair.hours_per_month >= HOURS_PER_MONTH for pair in each.break_even):
            why = f"on demand is no dearer in the {HOURS_PER_MONTH} h of a month"
        yield warning(
            "commitment-beyond-baseline",
            f"of {_amount(each, each.most)} that may be signed (capacity.commitments[{each.position}]) the plan signs "
            f"{_amount(each, each.committed)}: {why}",
        )


def _amount(each: CommitmentCost, amount: float) -> str:
    if each.kind == "savings-plan":
        return f"USD {amount:,.2f} an hour"
    return f"{amount:g} x {', '.join(each.machines)}"


def _term(each: CommitmentCost) -> str:
    if each.term_months is not None:
        return counted(each.term_months, "month")
    return "its term" if each.ends is None else f"the time until {each.ends}"
