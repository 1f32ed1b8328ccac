"""What the plan costs, and what else would work."""

from __future__ import annotations

from agentgpu_iac.spec.document import Document, Money
from agentgpu_iac.spec.vocabulary import CapacityType, Tier


class LineItem(Document):
    """One part of the cost."""

    node_pool: str
    """Pool."""
    tier: Tier
    """Tier."""
    capacity_type: CapacityType
    """How these nodes are bought."""
    instance_type: str
    """Machine."""
    nodes: int
    """How many."""
    usd_per_hour: Money
    """One node."""
    usd_per_month: Money
    """All nodes of the line over 720 h for the baseline; over the expected burst hours for the burst tier."""
    price_known: bool = True
    """False: usdPerHour stands for a price that nobody knows; priceSource says whose it is."""
    price_date: str
    """When the price was read."""
    price_source: str
    """Where it is from."""


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


class Cost(Document):
    """What the plan costs, and how sure we are that nothing on offer is cheaper."""

    baseline_usd_per_month: Money
    """The baseline tier over 720 h, at the preferred capacity type."""
    peak_usd_per_hour: Money
    """Baseline and burst tier together, at the peak."""
    expected_usd_per_month: Money
    """Baseline + burst tier over the spec's burst hours: what the planner minimised."""
    line_items: tuple[LineItem, ...]
    """The parts."""
    alternatives: tuple[Alternative, ...]
    """What else would work."""
    dearest_baseline_usd_per_month: Money | None = None
    """The baseline if every node were the dearest type that may stand in, bought the dearest way; null: none may."""
    dearest_peak_usd_per_hour: Money | None = None
    """The same at the peak."""
    optimality_gap_ratio: float
    """Of the solver, over the candidates considered."""
