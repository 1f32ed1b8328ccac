"""What a simulation answers: what users would see, what became of each request, and what it cost, beside what the plan says."""

from __future__ import annotations

from agentgpu_iac.spec.document import Document, Money


class Percentiles(Document):
    """One figure over the requests of a kind, in ms; null where there were none."""

    mean: float | None
    """Mean."""
    p50: float | None
    """Median."""
    p90: float | None
    """90 in 100 are no longer."""
    p95: float | None
    """95 in 100."""
    p99: float | None
    """99 in 100."""


class TurnOutcome(Document):
    """Requests of one kind."""

    turn: str
    """``all``; ``first`` of a session, ``later`` ones of its user, or those that bring a ``tool``'s result."""
    requests: int
    """Answered."""
    ttft_ms: Percentiles
    """From the first sending, waits before further tries included, to the first token at the caller."""
    tpot_ms: Percentiles
    """Mean time per output token after the first."""
    e2e_ms: Percentiles
    """From the first sending to the last token."""


class AgentOutcome(Document):
    """What became of one agent's requests."""

    agent: str
    """Agent of the plan."""
    deployment: str
    """What serves it."""
    requests: int
    """Sent, each counted once however often its client tried."""
    answered: int
    """Answered whole."""
    refused: int
    """Given up after every try was turned away (503, or 429 of a picker), or one in a stream that had begun."""
    refused_in_stream: int = 0
    """Tries that an engine refused when its answer had begun with 200. No router sends them elsewhere, and SDKs raise an error:
    each is one of the refused; a client that reads the event may try again."""
    lost: int
    """Given up after a replica went away under them."""
    retried: int
    """Tries beyond the first, over all requests."""
    budget_ttft_ms: float | None
    """TTFT budget of the plan; null: none."""
    budget_tpot_ms: float | None
    """TPOT budget."""
    percentile: float
    """Part of the requests, in percent, for which the plan says that they hold."""
    inside_ttft_ratio: float | None
    """Share of all requests that were answered within the TTFT budget; what was refused or lost was not. null: no budget."""
    inside_tpot_ratio: float | None
    """Share of the answered ones within the TPOT budget."""
    planned_ttft_ms: float | None
    """What the plan says of the longest prompt's TTFT at the percentile."""
    planned_tpot_ms: float | None
    """The same for TPOT."""
    ttft_at_percentile_ms: float | None
    """Simulated TTFT at that percentile, of all requests."""
    tpot_at_percentile_ms: float | None
    """Simulated TPOT at that percentile."""
    turns: tuple[TurnOutcome, ...]
    """All, and by kind of request."""


class Moment(Document):
    """A deployment over one part of the time; means, but for replicas, which are as at its end."""

    at_s: float
    """End of the part, from the start of what is measured."""
    sessions: float
    """Sessions that are held."""
    running: float
    """Requests that have a seat."""
    waiting: float
    """Requests in the engines' queues, or held by the picker."""
    kv_ratio: float
    """KV cache that running requests hold, of all ready replicas."""
    warm_replicas: int
    """Ready replicas of the baseline."""
    burst_replicas: int
    """Ready burst replicas."""
    starting_replicas: int
    """Those on their way."""


class DeploymentOutcome(Document):
    """One deployment."""

    deployment: str
    """Name in the plan."""
    preempted: int
    """How often a request had to give its blocks back and start again."""
    peak_kv_ratio: float
    """The most of a replica's KV cache that running requests held at once."""
    peak_waiting: int
    """The most requests that waited in queues at one look."""
    cached_ratio: float | None
    """Part of the prompt tokens that were found in a cache."""
    most_burst_replicas: int
    """Most burst replicas that were ready at once."""
    burst_starts: int
    """Burst replicas that were started."""
    reclaimed: int
    """Replicas whose spot machine was taken back."""
    failed: int = 0
    """Replicas whose machine failed."""
    refused_machines: int = 0
    """Machines that the provider had not when they were asked for."""
    rolled: int = 0
    """Replicas that a rollout replaced."""
    gpu_hours: float
    """Accelerators x hours that were paid for, nodes that wait empty included."""
    usd: Money
    """What they cost, at the plan's prices."""
    static_peak_usd: Money
    """What the replicas of the peak would have cost, had they all run all the time."""
    moments: tuple[Moment, ...]
    """Over time."""


class SimulationAnswer(Document):
    """The planned fleet under traffic."""

    stack: str
    """Name of the stack."""
    traffic: str
    """Scenario, or the trace."""
    hours: float
    """Time that is measured."""
    warm_up_s: float
    """What went before and is not measured: sessions begin one after another until as many are there as at the start."""
    seed: int
    """Seed of all chance."""
    holds: bool
    """Whether every agent with a budget has its TTFT and TPOT within it at its percentile, and nothing was lost."""
    agents: tuple[AgentOutcome, ...]
    """In the order of the plan."""
    deployments: tuple[DeploymentOutcome, ...]
    """In the order of the plan."""
    warnings: tuple[str, ...]
    """What was not simulated."""
