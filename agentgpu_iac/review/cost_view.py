"""What a plan says of its cost beside the sums: by agent, called by the token instead, and what is in no sum."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from decimal import Decimal

from agentgpu_iac.plan import CallCost, EndpointCost, Plan
from agentgpu_iac.review.blocks import Block, Heading, Listing, Table


def cost_blocks(plan: Plan) -> Iterator[Block]:
    """Those parts of the plan on one screen, as far as there is something to say."""
    yield from _by_agent(plan)
    yield from _calls(plan)
    yield from _endpoints(plan)
    yield from _beside(plan)


def _by_agent(plan: Plan) -> Iterator[Block]:
    """What each agent causes, where there are several, or how many ask it is known."""
    costs = plan.cost.by_agent
    if len(costs) < 2 and all(each.usd_per_1000 is None for each in costs):
        return
    yield Heading(text="Cost by agent")
    yield agents_table(plan)


def agents_table(plan: Plan) -> Table:
    """What each agent causes, and a thousand of what is asked of it."""
    costs = plan.cost.by_agent
    return Table(
        columns=("agent", "USD a month", "asked a month", thousand(each.asked for each in costs)),
        rows=tuple(
            (
                each.agent,
                f"{each.usd_per_month:,.2f}",
                "not said" if each.asked_per_month is None else f"{each.asked_per_month:,.0f} {each.asked}",
                "" if each.usd_per_1000 is None else f"{each.usd_per_1000:,.4f}",
            )
            for each in costs
        ),
        right=frozenset({1, 2, 3}),
    )


def thousand(asked: Iterable[str]) -> str:
    """What a column of prices is of: a thousand conversations, requests, or the one of some agents and the other of others."""
    return f"USD per 1,000 {' or '.join(sorted({*asked}))}"


def _beside(plan: Plan) -> Iterator[Block]:
    """What is in no sum above, and what is known of it."""
    cost = plan.cost
    if not cost.beside:
        return
    yield Heading(text="Not in the cost")
    rows = [
        (
            item.what,
            "not known" if item.usd_per_month is None else f"{item.usd_per_month:,.2f}",
            f"{item.formula} ({item.price_date})" if item.price_date else item.formula,
        )
        for item in cost.beside
    ]
    if cost.beside_usd_per_month is not None:
        rows.append(("as far as it is known", f"{cost.beside_usd_per_month:,.2f}", ""))
    yield Table(columns=("billed beside the nodes", "USD a month", "how"), rows=tuple(rows), right=frozenset({1}))


def _calls(plan: Plan) -> Iterator[Block]:
    """What calling each model by the token costs in place of running it: the cheapest seller of each agent."""
    cheapest = {call.agent: call for call in reversed(plan.cost.calls)}
    if not cheapest:
        return
    yield Heading(text="Rent or call")
    calls = [cheapest[each.agent] for each in plan.cost.by_agent if each.agent in cheapest]
    yield Table(
        columns=(
            "agent",
            "seller",
            thousand(call.asked for call in calls),
            "called, USD a month",
            "self-hosted",
            "hybrid",
            "break-even a day",
            "carried a day",
        ),
        rows=tuple(
            (
                call.agent,
                f"{call.seller} ({call.price_date})",
                f"{call.usd_per_1000:,.4f}",
                "" if call.usd_per_month is None else f"{call.usd_per_month:,.2f}",
                f"{call.self_hosted_usd_per_month:,.2f}",
                "" if call.hybrid_usd_per_month is None else f"{call.hybrid_usd_per_month:,.2f}",
                "none" if call.break_even_per_day is None else f"{call.break_even_per_day:,.0f} {call.asked}",
                "" if call.carried_per_day is None else f"{call.carried_per_day:,.0f}",
            )
            for call in calls
        ),
        right=frozenset({2, 3, 4, 5, 6, 7}),
        drop=(5, 7),
    )
    burst = {each.agent: each.burst_usd_per_month for each in plan.cost.by_agent}
    yield Listing(
        items=tuple(line for call in calls for line in (_call_words(call), *_hybrid_words(call, burst[call.agent])))
    )


def _endpoints(plan: Plan) -> Iterator[Block]:
    """What dedicated endpoints would cost in place of each deployment's nodes."""
    if not plan.cost.endpoints:
        return
    yield Heading(text="Dedicated endpoints")
    yield Table(
        columns=("deployment", "seller", "accelerators", "USD an hour each", "USD a month", "self-hosted"),
        rows=tuple(
            (
                each.deployment,
                f"{each.seller} ({each.price_date})",
                _counted(each),
                f"{each.usd_per_accelerator_hour:,.4f}",
                f"{each.usd_per_month:,.2f}",
                f"{each.self_hosted_usd_per_month:,.2f}",
            )
            for each in plan.cost.endpoints
        ),
        right=frozenset({3, 4, 5}),
    )


def _counted(each: EndpointCost) -> str:
    peak = f" + {each.burst_accelerators} at the peak" if each.burst_accelerators else ""
    return f"{each.accelerators}{peak} x {each.accelerator}"


def _hybrid_words(call: CallCost, burst_usd_per_month: Decimal) -> Iterator[str]:
    """What calling the excess of a peak alone comes to, beside the burst nodes that it replaces."""
    if call.hybrid_usd_per_month is None or call.hybrid_asked_per_month is None:
        return
    calls = call.hybrid_usd_per_month - (call.self_hosted_usd_per_month - burst_usd_per_month)
    yield (
        f"{call.agent}, hybrid: {call.hybrid_asked_per_month:,.0f} {call.asked} a month beyond normal load called at "
        f"{call.seller} cost USD {calls:,.2f}, and the burst nodes for them {burst_usd_per_month:,.2f}"
    )


def _call_words(call: CallCost) -> str:
    """What the row comes to, in a sentence made from its numbers."""
    if call.break_even_per_day is None:
        beyond = f"{call.agent}: the warm replicas carry no volume at which they are cheaper than {call.seller}"
    else:
        beyond = (
            f"{call.agent}: from {call.break_even_per_day:,.0f} {call.asked} a day on the planned nodes are cheaper than "
            f"{call.seller}"
        )
    if call.times_as_dear is None:
        return f"{beyond}; how many there are the spec does not say"
    if call.times_as_dear >= 1:
        return f"{beyond}; at the volume of the spec they cost {call.times_as_dear:,.1f} times as much"
    return f"{beyond}; at the volume of the spec calling costs {1 / call.times_as_dear:,.1f} times as much"
