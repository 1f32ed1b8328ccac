"""Rent or call: what each agent would cost at somebody who runs its model and sells it by the token.

A call sends the whole prompt: what is new in it, and the history of the session, which the seller may find in its cache. So
history counts at the cached price where the seller has one, all of it, and at the price of a prompt elsewhere: the best
case of calling. Precision, limits and speed of what is sold are not compared.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from agentgpu_iac.catalog.model import TokenPrice
from agentgpu_iac.plan import AgentCost, CallCost, Workload
from agentgpu_iac.planning.demand import Demand
from agentgpu_iac.planning.opening import open_days, seconds_of_a_day
from agentgpu_iac.planning.pools import Placed
from agentgpu_iac.planning.running.served import load_ratios
from agentgpu_iac.sizing.conversation import uncached_tokens_per_request
from agentgpu_iac.units import HOURS_PER_MONTH, rounded, usd

_SELLERS_PER_AGENT = 3
_DAYS_PER_MONTH = HOURS_PER_MONTH // 24
_MILLION = Decimal(1_000_000)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tokens:
    """Tokens of one conversation, or of one request of a model that generates nothing."""

    new: float
    """Of prompts, that no earlier request of the session had."""
    history: float
    """Of prompts, that an earlier one had, or that all sessions share."""
    generated: float
    requests: float
    """Calls of the engine."""

    def usd(self, price: TokenPrice) -> Decimal:
        """What they cost at a seller."""
        cached = price.usd_per_million_cached
        cached = price.usd_per_million_input if cached is None else min(cached, price.usd_per_million_input)
        output = price.usd_per_million_output or Decimal(0)
        return (
            usd(self.new) * price.usd_per_million_input + usd(self.history) * cached + usd(self.generated) * output
        ) / _MILLION


def tokens_of(demand: Demand) -> Tokens:
    """The tokens of one conversation of an agent, or of one request."""
    shape, turns = demand.shape, 1 if demand.load is not None else demand.agent.conversation.turns
    requests = turns * shape.requests_per_turn
    return Tokens(
        new=requests * shape.new_tokens_per_request,
        history=requests * (shape.history_tokens + shape.shared_tokens),
        generated=turns * shape.output_tokens_per_turn,
        requests=requests,
    )


def call_costs(
    placed: Sequence[Placed],
    tiers: Mapping[str, Sequence[Workload]],
    costs: Iterable[AgentCost],
    prices: Sequence[TokenPrice],
) -> tuple[CallCost, ...]:
    """For each agent the cheapest sellers of its model, cheapest first."""
    own = {cost.agent: cost for cost in costs}
    return tuple(
        found
        for member in placed
        for served, ratio in zip(member.candidate.demand.served, load_ratios(member.candidate.demand), strict=True)
        for found in _of_agent(member, served, ratio, tiers[member.candidate.demand.name][0], own[served.name], prices)
    )


def _of_agent(
    member: Placed, demand: Demand, ratio: float, warm: Workload, cost: AgentCost, prices: Sequence[TokenPrice]
) -> Iterator[CallCost]:
    if demand.agent.lora_adapters:
        return
    folded, tokens = demand.model.id.casefold(), tokens_of(demand)
    sold = [price for price in prices if price.model.casefold() == folded]
    if tokens.generated:
        sold = [price for price in sold if price.usd_per_million_output is not None]
    days = usd(_DAYS_PER_MONTH * open_days(demand.agent) / 7)
    carried = _carried_per_day(member, demand, ratio, warm, tokens)
    for price in sorted(sold, key=lambda price: (tokens.usd(price), price.seller, price.via))[:_SELLERS_PER_AGENT]:
        each = tokens.usd(price)
        month = None if cost.asked_per_month is None else each * usd(cost.asked_per_month)
        even = float(cost.usd_per_month / days / each)
        yield CallCost(
            agent=cost.agent,
            seller=price.seller + (f" by {price.via}" if price.via else ""),
            usd_per_million_input=price.usd_per_million_input,
            usd_per_million_cached=price.usd_per_million_cached,
            usd_per_million_output=price.usd_per_million_output,
            asked=cost.asked,
            input_tokens=rounded(tokens.new, 1),
            cached_tokens=rounded(tokens.history, 1),
            output_tokens=rounded(tokens.generated, 1),
            usd_per_1000=(each * 1000).quantize(Decimal("0.000001")),
            usd_per_month=None if month is None else month.quantize(Decimal("0.01")),
            self_hosted_usd_per_month=cost.usd_per_month,
            times_as_dear=None if not month else rounded(float(cost.usd_per_month / month), 4),
            break_even_per_day=None if carried is not None and even > carried else rounded(even, 1),
            carried_per_day=None if carried is None else rounded(carried, 1),
            price_date=price.date,
            price_source=price.source,
        )


def _carried_per_day(member: Placed, demand: Demand, ratio: float, warm: Workload, tokens: Tokens) -> float | None:
    """What the agent's part of the warm replicas generates and reads in a day on which it runs, by what one conversation takes
    of each.
    """
    throughput, shape = warm.throughput, demand.shape
    read = tokens.requests * uncached_tokens_per_request(shape, member.candidate.prefix_hit_ratio)
    limits = [
        rate * ratio * seconds_of_a_day(demand.agent) / needed
        for rate, needed in (
            (throughput.output_tokens_per_s, tokens.generated),
            (throughput.prefill_tokens_per_s, read),
        )
        if rate and needed
    ]
    return min(limits, default=None)
