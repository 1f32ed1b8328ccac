"""What simulating a plan has shown, and what was changed until it held."""

from __future__ import annotations

from decimal import Decimal
from typing import Literal

from agentgpu_iac.spec.document import Document, Money


class ProofWaits(Document):
    """How long an agent's callers waited for the first token in the simulations, waits before further tries included."""

    p50_ms: float
    """Median; of this and the others the seeds' mean."""
    p95_ms: float
    """95 in 100 waited no longer."""
    p99_ms: float
    """99 in 100."""


class ProofCourse(Document):
    """A deployment over the time of one simulation, in 60 parts at most: every list has one figure for each of them."""

    seed: int
    """The simulation that it is of: the one that went worst."""
    minutes: tuple[float, ...]
    """End of each part, from the start of what was measured."""
    sessions: tuple[float, ...]
    """Sessions that were held; the mean of the part, as the two below."""
    running: tuple[float, ...]
    """Requests that had a seat."""
    waiting: tuple[float, ...]
    """Requests in the engines' queues, or held by the picker."""
    warm_replicas: tuple[int, ...]
    """Ready replicas of the baseline at the end of the part, as the two below."""
    burst_replicas: tuple[int, ...]
    """Ready burst replicas."""
    starting_replicas: tuple[int, ...]
    """Those on their way."""


class ProofPlan(Document):
    """One agent under traffic, request by request (``agentgpu plan --prove``); see docs/simulation.md."""

    agent: str
    """Agent of the plan."""
    traffic: str
    """Scenario that was simulated."""
    hours: float
    """Time of each simulation."""
    shortened_from_hours: float | None = None
    """The traffic's own time, where each simulation was made shorter so that it has no more requests than are worth waiting for;
    null: it was not."""
    seeds: tuple[int, ...]
    """Seeds: a simulation for each."""
    requests: int
    """Requests of all of them."""
    wanted_ratio: float
    """Share of the requests that must be within the budgets."""
    inside_ttft_ratio: float | None
    """Share within the TTFT budget, over all seeds; null: no budget."""
    inside_tpot_ratio: float | None
    """The same for TPOT."""
    low_ratio: float | None
    """Lower end of the 95 % confidence interval of the smaller of both shares (Student's t over the seeds)."""
    high_ratio: float | None
    """Upper end."""
    refused: int
    """Requests that were turned away for good."""
    lost: int
    """Requests that were lost."""
    holds: bool
    """Whether the lower end is what is wanted at least, and nothing was lost."""
    warm_replicas: int
    """Replicas of the baseline with which it was simulated."""
    warm_replicas_before: int
    """What was planned without simulating."""
    usd_per_month_before: Money
    """What the stack's baseline cost before anything was changed."""
    burst_replicas: int = 0
    """Most burst replicas with which it was simulated."""
    burst_replicas_before: int = 0
    """What was planned without simulating."""
    utilization_ratio: float | None = None
    """Part of the seats in use at which another replica was asked for; null: nothing scales."""
    utilization_ratio_before: float | None = None
    """What was planned."""
    waiting_requests: int | None = None
    """Requests that could wait at a replica; null: nothing was refused."""
    waiting_requests_before: int | None = None
    """What was planned."""
    usd_per_hour: Money = Decimal(0)
    """What all replicas of the stack cost in an hour of this traffic, burst ones and empty nodes included; the seeds' mean."""
    usd_per_hour_before: Money = Decimal(0)
    """The same of what was planned."""
    plans: int = 1
    """Plans that were simulated to find this one."""
    is_cut_short: bool = False
    """Whether the search ended with the requests that it may simulate, and not because nothing better was left to try."""
    written: str = ""
    """What to write into the spec for it; empty: nothing was changed."""
    waits: ProofWaits | None = None
    """How long callers waited; null: nothing was answered, or the plan is of before."""
    course: ProofCourse | None = None
    """How its deployment went; null: an agent before it shares the deployment and has it, or the plan is of before."""
    constraint: Literal["inside-ttft", "inside-tpot", "lost"] | None = None
    """What breaks, where it does not hold."""
    need: float | None = None
    """Share of the requests that was wanted, or requests that may be lost."""
    limit: float | None = None
    """What the best of the plans reached."""


class NinePlan(Document):
    """What one more nine costs: the cheapest plan that was found to hold for that share of the requests."""

    wanted_ratio: float
    """Share of the requests within their budgets, at the lower end of the confidence interval."""
    holds: bool
    """Whether a plan was found that holds, with requests enough to tell."""
    has_enough_requests: bool = True
    """Whether each agent with a budget had so many requests that this share can be told from all of them: 3 / (1 - wantedRatio),
    the rule of three. With fewer, none outside its budget shows nothing."""
    low_ratio: float
    """The lowest end that its agents reached, of the best plan that was tried."""
    warm_replicas: int
    """Of all deployments."""
    usd_per_month: Money
    """What the warm part costs."""
    usd_per_hour: Money
    """What an hour of this traffic costs, the burst included."""
    more_usd_per_month: Money
    """The warm part beyond that of the nine before."""
