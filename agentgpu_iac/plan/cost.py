"""What the plan costs, and what else would work."""

from __future__ import annotations

from decimal import Decimal
from typing import Literal

from agentgpu_iac.spec.document import Document, Money
from agentgpu_iac.spec.vocabulary import CapacityType, Tier


class LineItem(Document):
    """One part of the cost."""

    node_pool: str
    """Pool."""
    tier: Tier
    """Tier."""
    capacity_type: CapacityType | Literal["owned"]
    """How these nodes are bought; owned: they are yours already (``capacity.inventory``)."""
    instance_type: str
    """Machine."""
    nodes: int
    """How many."""
    usd_per_hour: Money
    """One node."""
    hours_per_month: Money = Decimal(720)
    """Hours of a month in which they are there: 720 for the baseline, those of its agents' schedule where it follows one, and
    the expected burst hours for the burst tier."""
    usd_per_month: Money
    """All nodes of the line over those hours."""
    price_known: bool = True
    """False: usdPerHour stands for a price that nobody knows; priceSource says whose it is."""
    price_date: str
    """When the price was read."""
    price_source: str
    """Where it is from."""


class CoveredNodes(Document):
    """Nodes that a commitment covers."""

    node_pool: str
    """Pool."""
    tier: Tier
    """Tier."""
    nodes: float
    """How many; a savings plan may cover one in part."""
    usd_per_month: Money
    """What they would cost without it."""


class BreakEven(Document):
    """From when on a commitment pays for one kind of machine."""

    machine: str
    """Instance type."""
    region: str
    """The region that its on-demand price is of: the cheapest that the commitment covers."""
    on_demand_usd_per_hour: Money
    """One, on demand."""
    committed_usd_per_hour: Money
    """One, by the commitment, with its part of what is paid upfront."""
    hours_per_month: float
    """Hours on demand that cost as much as the commitment does in a month of 720 h: whoever runs one for longer pays less with
    it. Above 720: never."""


class CommitmentCost(Document):
    """What a commitment of the spec costs, and what it is used for."""

    position: int
    """In ``capacity.commitments``."""
    kind: Literal["reserved", "savings-plan", "capacity-block"]
    """What it is."""
    machines: tuple[str, ...]
    """Instance types that it covers and the stack may use."""
    region: str | None
    """Where it holds; null: everywhere."""
    signed: bool
    """true: it is paid in any case. false: the plan signs as much as pays."""
    most: float
    """As much as the spec states: machines, or USD an hour."""
    committed: float
    """As much as is paid for: all that is signed, or what the plan signs."""
    usd_per_hour: Money
    """What one machine costs in an hour, its part of the upfront sum included; of a savings plan each USD."""
    upfront_usd: Money
    """What is paid at once for all that is committed."""
    term_months: int | None
    """How long it binds."""
    starts: str | None
    """First day of a capacity block."""
    ends: str | None
    """When it ends."""
    hours_per_month: float
    """Hours of a month in which it holds: fewer than 720 for a short capacity block."""
    usd_per_month: Money
    """What is paid for it in a month, used or not."""
    covers: tuple[CoveredNodes, ...]
    """What uses it."""
    covers_usd_per_month: Money
    """What that would cost without it."""
    unused_ratio: float
    """Share of what is committed that the baseline leaves unused."""
    break_even: tuple[BreakEven, ...]
    """From when on it pays, for each kind of machine."""


class Alternative(Document):
    """Something else that would work, and what it would cost."""

    agent: str | None
    """None where the alternative concerns the whole stack."""
    description: str
    """What it is."""
    accelerator: str | None
    """Accelerator id."""
    instance_type: str | None
    """Machine."""
    replicas: int | None
    """Replicas at the peak."""
    usd_per_month: Money
    """On nodes of its own."""
    delta_usd_per_month: Money
    """Compared with what the same agent causes of this plan's cost: its part of the nodes that it is on."""
    note: str
    """Why it was not taken."""
    ttft_at_percentile_ms: float | None = None
    """TTFT that would be planned for it, at the percentile of ``latency``; null: not predicted, or it generates nothing."""
    tpot_at_percentile_ms: float | None = None
    """TPOT, likewise."""
    e2e_at_percentile_ms: float | None = None
    """The whole answer of a model that generates nothing, likewise; null: it generates."""


class BesideItem(Document):
    """Something that is billed beside the nodes, and what is known of its price."""

    what: str
    """What it is."""
    usd_per_month: Money | None
    """Over 720 h; null: it depends on what no plan knows."""
    formula: str
    """How that comes about, or what is known of the price."""
    price_date: str = ""
    """When the price was read; empty: none is known."""
    price_source: str = ""
    """Where it is from."""


class AgentCost(Document):
    """What one agent causes of the cost of the nodes."""

    agent: str
    """Agent."""
    usd_per_month: Money
    """Its part of the baseline and of the expected burst hours: of nodes that several deployments are on, by the
    accelerators that are taken there; of a deployment that serves several agents by ``agents[].loadRatio``."""
    asked_per_month: float | None
    """Conversations in 30 days of ``traffic.conversationsPerDay``, or requests of a model that generates nothing in 720 h
    of ``requests.perS``; null: the spec does not say how many."""
    asked: Literal["conversations", "requests"] = "conversations"
    """What is counted."""
    usd_per_1000: Money | None
    """Of a thousand of those; null where their number is not known."""
    burst_usd_per_month: Money = Decimal(0)
    """Of ``usdPerMonth`` the burst tier, in the expected burst hours; 0 in plans of before."""


class CallCost(Document):
    """What it would cost to call an agent's model by the token, instead of running it."""

    agent: str
    """Agent."""
    seller: str
    """Who runs the model, and through whose router it is called where that is another."""
    usd_per_million_input: Money
    """Price of a prompt that nothing of is cached."""
    usd_per_million_cached: Money | None
    """Price of what is cached; null: the seller grants nothing for it."""
    usd_per_million_output: Money | None
    """Price of an answer; null for a model that generates nothing."""
    asked: Literal["conversations", "requests"]
    """What the figures below are about."""
    input_tokens: float
    """Prompt tokens of one of them that nothing was cached of."""
    cached_tokens: float
    """Those that the same session sent before: each request sends its history again, and all of it is counted as cached."""
    output_tokens: float
    """Tokens generated in one of them, thinking included."""
    usd_per_1000: Money
    """A thousand of them, called."""
    usd_per_month: Money | None
    """All of a month, called; null: the spec does not say how many there are."""
    self_hosted_usd_per_month: Money
    """The agent's part of this plan's nodes."""
    times_as_dear: float | None
    """Self-hosted over called, in a month; below 1 self-hosting is cheaper. null: how many are asked is not known."""
    break_even_per_day: float | None
    """How many a day cost as much when called as the planned nodes do; null: the warm replicas do not carry so many."""
    carried_per_day: float | None
    """How many a day the warm replicas carry if they come evenly; null: it is not predicted."""
    price_date: str
    """When the price was read."""
    price_source: str
    """Where it is from."""
    hybrid_asked_per_month: float | None = None
    """How many a month would be called in a hybrid, where the planned baseline answers normal load and a peak's excess is
    called, in the expected burst hours; null: the agent has no burst tier."""
    hybrid_usd_per_month: Money | None = None
    """The agent's part of the baseline, and those calls; null: likewise."""


class EndpointCost(Document):
    """What dedicated endpoints of a seller would cost in place of a deployment's nodes."""

    deployment: str
    """Deployment: all agents that it serves."""
    seller: str
    """Who runs the endpoints."""
    accelerator: str
    """Accelerator id."""
    accelerators: int
    """Those of the warm replicas, at the fewest that would serve it on this accelerator."""
    burst_accelerators: int
    """Those that a peak adds."""
    accelerator_hours: float
    """Of both in a month: the warm ones while the agents run, those of the peak in the expected burst hours."""
    usd_per_accelerator_hour: Money
    """The seller's price."""
    usd_per_month: Money
    """All of them in a month."""
    self_hosted_usd_per_month: Money
    """The deployment's part of this plan's nodes."""
    price_date: str
    """When the price was read."""
    price_source: str
    """Where it is from."""


class PriceAge(Document):
    """How old the prices are that were counted."""

    day: str
    """The day that ages count to: the one given with ``--today``, else the newest date of the catalog, so that the same
    catalog always gives the same plan."""
    oldest_date: str
    """When the oldest price was read; empty: none has a date."""
    days: int | None
    """Days from then to that day; a date without its day counts from the first of its month. null: none has a date."""
    undated: int
    """Line items whose price has no date in its source."""
    limit_days: int
    """``capacity.maxPriceAgeDays``: prices that are older are warned of."""

    @property
    def is_over(self) -> bool:
        """Whether the oldest price is older than it may be."""
        return self.days is not None and self.days > self.limit_days


class Cost(Document):
    """What the plan costs, and how sure we are that nothing on offer is cheaper."""

    baseline_usd_per_month: Money
    """The baseline tier over 720 h, at the preferred capacity type, with ``commitments``: less what they cover, and more by
    what they cost."""
    peak_usd_per_hour: Money
    """Baseline and burst tier together, at the peak."""
    expected_usd_per_month: Money
    """Baseline + burst tier over the spec's burst hours: what the planner minimised."""
    line_items: tuple[LineItem, ...]
    """The parts."""
    alternatives: tuple[Alternative, ...]
    """What else would work."""
    commitments: tuple[CommitmentCost, ...] = ()
    """``capacity.commitments``: ``lineItems`` count every node as if there were none, and the sums above count both."""
    by_agent: tuple[AgentCost, ...] = ()
    """What each agent causes of it, in the order of the stack."""
    calls: tuple[CallCost, ...] = ()
    """For each agent the cheapest sellers of its model by the token; nothing where no price of it is known, or where the agent
    has adapters of its own."""
    endpoints: tuple[EndpointCost, ...] = ()
    """For each deployment the dedicated endpoints that an overlay has a price of (``endpointPrices``), cheapest first."""
    beside: tuple[BesideItem, ...] = ()
    """What is in none of these sums."""
    beside_usd_per_month: Money | None = None
    """Of that, what is known."""
    price_age: PriceAge | None = None
    """How old those prices are; null: no date is known to count to."""
    dearest_baseline_usd_per_month: Money | None = None
    """The baseline if every node were the dearest type that may stand in, bought the dearest way; null: none may."""
    dearest_peak_usd_per_hour: Money | None = None
    """The same at the peak."""
    optimality_gap_ratio: float
    """Of the solver, over the candidates considered."""
