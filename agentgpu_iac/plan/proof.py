"""What simulating a plan has shown, and what was changed until it held."""

from __future__ import annotations

from agentgpu_iac.spec.document import Document, Money


class ProofPlan(Document):
    """One agent under traffic, request by request (``agentgpu plan --prove``); see docs/simulation.md."""

    agent: str
    """Agent of the plan."""
    traffic: str
    """Scenario that was simulated."""
    hours: float
    """Time of each simulation."""
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
