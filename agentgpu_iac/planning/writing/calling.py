"""Rent or call: what each agent would cost at somebody who runs its model, and sells it by the token or by the hour.

A call sends the whole prompt: what is new in it, and the history of the session, which the seller may find in its cache. So
history counts at the cached price where the seller has one, all of it, and at the price of a prompt elsewhere: the best
case of calling. Precision, limits and speed of what is sold are not compared.

A hybrid keeps the planned baseline and calls what a peak asks beyond normal load, for as long as bursts are expected.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from agentgpu_iac.catalog.model import EndpointPrice, TokenPrice
from agentgpu_iac.plan import AgentCost, CallCost, EndpointCost, Workload, baselines
from agentgpu_iac.planning.choosing.limits import Terms
from agentgpu_iac.planning.choosing.option import Option
from agentgpu_iac.planning.demand import Demand
from agentgpu_iac.planning.opening import open_days, seconds_of_a_day
from agentgpu_iac.planning.pools import Placed, Pool
from agentgpu_iac.planning.running.served import load_ratios
from agentgpu_iac.planning.writing.costs import part_of
from agentgpu_iac.sizing.conversation import uncached_tokens_per_request
from agentgpu_iac.spec.vocabulary import Tier
from agentgpu_iac.units import HOURS_PER_MONTH, rounded, usd

_SELLERS_PER_AGENT = 3
_DAYS_PER_MONTH = HOURS_PER_MONTH // 24
_MILLION = Decimal(1_000_000)
_CENT = Decimal("0.01")
_SECONDS_PER_HOUR = 3600


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
    shape, turns = demand.shape, demand.turns_per_asked
    requests = turns * shape.requests_per_turn
    return Tokens(
        new=requests * shape.new_tokens_per_request,
        history=requests * (shape.history_tokens + shape.shared_tokens),
        generated=turns * shape.output_tokens_per_turn,
        requests=requests,
    )


def usd_per_million_tokens(placed: Sequence[Placed], costs: Iterable[AgentCost]) -> dict[str, Decimal]:
    """What a million tokens of each agent cost here, prompts with their history and answers alike, where the spec says how many
    conversations there are.
    """
    own = {cost.agent: cost for cost in costs}
    found: dict[str, Decimal] = {}
    for served in (each for member in placed for each in member.candidate.demand.served):
        cost, tokens = own[served.name], tokens_of(served)
        in_a_month = usd(tokens.new + tokens.history + tokens.generated) * usd(cost.asked_per_month or 0)
        if in_a_month:
            found[served.name] = (cost.usd_per_month * _MILLION / in_a_month).quantize(Decimal("0.000001"))
    return found


def call_costs(
    placed: Sequence[Placed],
    tiers: Mapping[str, Sequence[Workload]],
    costs: Iterable[AgentCost],
    beyond: Mapping[str, Beyond],
    prices: Sequence[TokenPrice],
) -> tuple[CallCost, ...]:
    """For each agent the cheapest sellers of its model, cheapest first; ``beyond`` by agent."""
    own = {cost.agent: cost for cost in costs}
    return tuple(
        found
        for member in placed
        for served, ratio in zip(member.candidate.demand.served, load_ratios(member.candidate.demand), strict=True)
        for found in _of_agent(
            member,
            served,
            ratio,
            baselines(tiers[member.candidate.demand.name]),
            own[served.name],
            beyond.get(served.name),
            prices,
        )
    )


def _of_agent(
    member: Placed,
    demand: Demand,
    ratio: float,
    warm: Sequence[Workload],
    cost: AgentCost,
    beyond: Beyond | None,
    prices: Sequence[TokenPrice],
) -> Iterator[CallCost]:
    if demand.agent.lora_adapters:
        return
    folded, tokens = demand.model.id.casefold(), tokens_of(demand)
    sold = [price for price in prices if price.model.casefold() == folded]
    if tokens.generated:
        sold = [price for price in sold if price.usd_per_million_output is not None]
    days = usd(days_per_month(demand))
    enough = carried(member, demand, ratio, warm)
    per_day = None if enough is None else enough.per_day
    for price in sorted(sold, key=lambda price: (tokens.usd(price), price.seller, price.via))[:_SELLERS_PER_AGENT]:
        each = tokens.usd(price)
        month = None if cost.asked_per_month is None else each * usd(cost.asked_per_month)
        even = float(cost.usd_per_month / days / each)
        hybrid = (
            None if beyond is None else cost.usd_per_month - cost.burst_usd_per_month + each * usd(beyond.per_month)
        )
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
            usd_per_month=None if month is None else month.quantize(_CENT),
            self_hosted_usd_per_month=cost.usd_per_month,
            times_as_dear=None if not month else rounded(float(cost.usd_per_month / month), 4),
            break_even_per_day=None if per_day is not None and even > per_day else rounded(even, 1),
            carried_per_day=None if per_day is None else rounded(per_day, 1),
            hybrid_asked_per_month=None if beyond is None else rounded(beyond.per_month, 4),
            hybrid_usd_per_month=None if hybrid is None else hybrid.quantize(_CENT),
            price_date=price.date,
            price_source=price.source,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Beyond:
    """What a peak asks beyond normal load, in the hours of a month in which bursts are expected."""

    turns_per_s: float
    turns_per_s_peak: float
    turns: int
    """Of one conversation; 1: requests are counted."""
    hours: float

    @property
    def per_month(self) -> float:
        """Conversations or requests."""
        return (self.turns_per_s_peak - self.turns_per_s) / self.turns * self.hours * _SECONDS_PER_HOUR


def beyond_normal(placed: Sequence[Placed], pools: Mapping[int, Sequence[Pool]], terms: Terms) -> dict[str, Beyond]:
    """What the peak of each agent asks beyond normal load, as far as its deployment has a burst tier.

    ``pools`` are by the deployments' positions.
    """
    return {
        served.name: Beyond(
            turns_per_s=served.turns_per_s,
            turns_per_s_peak=served.turns_per_s_peak,
            turns=served.turns_per_asked,
            hours=float(pool.other_hours(terms.burst_hours)),
        )
        for member in placed
        for pool in pools[member.position]
        if pool.tier == "burst"
        for served in member.candidate.demand.served
    }


def endpoint_costs(
    placed: Sequence[Placed],
    options: Sequence[Sequence[Option]],
    pools: Mapping[int, Sequence[Pool]],
    terms: Terms,
    prices: Iterable[EndpointPrice],
) -> tuple[EndpointCost, ...]:
    """What dedicated endpoints would cost on each accelerator that they are sold with and that would serve the deployment.

    ``options`` are by the deployments' positions. Of several on one accelerator the one that takes fewest accelerator hours
    counts: as many replicas, as large, as would be planned on nodes.
    """
    return tuple(
        found
        for member in placed
        for found in sorted(
            _endpoints(member, options[member.position], part_of(member, pools[member.position], terms), terms, prices),
            key=lambda found: (found.usd_per_month, found.seller, found.accelerator),
        )[:_SELLERS_PER_AGENT]
    )


def _endpoints(
    member: Placed, options: Sequence[Option], here: Decimal, terms: Terms, prices: Iterable[EndpointPrice]
) -> Iterator[EndpointCost]:
    for price in prices:
        able = [
            option
            for option in options
            if not option.is_shared
            and option.elsewhere is None
            and option.rest is None
            and option.candidates[0].accelerator.id == price.accelerator
        ]
        if not able:
            continue
        option = min(able, key=lambda option: (_accelerator_hours(option, terms), option.rank(terms)))
        hours = _accelerator_hours(option, terms)
        yield EndpointCost(
            deployment=member.candidate.demand.name,
            seller=price.seller,
            accelerator=price.accelerator,
            accelerators=_accelerators(option, "baseline"),
            burst_accelerators=_accelerators(option, "burst"),
            accelerator_hours=rounded(float(hours), 2),
            usd_per_accelerator_hour=price.usd_per_accelerator_hour,
            usd_per_month=(hours * price.usd_per_accelerator_hour).quantize(_CENT),
            self_hosted_usd_per_month=here.quantize(_CENT),
            price_date=price.date,
            price_source=price.source,
        )


def _accelerators(option: Option, tier: Tier) -> int:
    """Those that its replicas use: whole endpoints are sold, no machines with slots that stay empty."""
    return option.replicas(tier) * option.at(tier).candidates[0].accelerators_per_replica


def _accelerator_hours(option: Option, terms: Terms) -> Decimal:
    """Of a month: the warm ones by the deployment's hours, those of a peak in the expected burst hours of these."""
    warm, month = _accelerators(option, "baseline"), Decimal(HOURS_PER_MONTH)
    if option.open is None:
        hours = month * warm
    else:
        month = option.open.hours
        hours = option.open.node_hours(warm, option.candidates[0].accelerators_per_replica)
    return hours + min(terms.burst_hours, month) * _accelerators(option, "burst")


@dataclass(frozen=True, slots=True, kw_only=True)
class Carried:
    """How many conversations or requests a day one rate of the warm replicas is enough for."""

    what: str
    """What the replicas do at that rate."""
    tokens_per_s: float
    ratio: float
    """The agent's part of its deployment's load."""
    needed: float
    """Tokens of that kind in one conversation or request."""
    seconds: float
    """Of a day on which the agent runs."""

    @property
    def per_day(self) -> float:
        """How many come of it on such a day, if they come evenly."""
        return self.tokens_per_s * self.ratio * self.seconds / self.needed


def days_per_month(demand: Demand) -> float:
    """Days of a month on which the agent runs."""
    return _DAYS_PER_MONTH * open_days(demand.agent) / 7


def _together(rates: Iterable[float | None]) -> float | None:
    """Of all that is warm; None where something of it has no rate."""
    each = tuple(rates)
    known = [rate for rate in each if rate is not None]
    return sum(known) if len(known) == len(each) else None


def carried(member: Placed, demand: Demand, ratio: float, warm: Sequence[Workload]) -> Carried | None:
    """The rate that the agent's part of the warm replicas runs out of first; None where none is predicted."""
    tokens = tokens_of(demand)
    read = tokens.requests * uncached_tokens_per_request(demand.shape, member.candidate.prefix_hit_ratio)
    limits = [
        Carried(what=what, tokens_per_s=rate, ratio=ratio, needed=needed, seconds=seconds_of_a_day(demand.agent))
        for what, rate, needed in (
            ("generated", _together(each.throughput.output_tokens_per_s for each in warm), tokens.generated),
            ("read", _together(each.throughput.prefill_tokens_per_s for each in warm), read),
        )
        if rate and needed
    ]
    return min(limits, key=lambda limit: limit.per_day, default=None)
