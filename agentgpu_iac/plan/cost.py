"""What the plan costs, and what else would work."""

from __future__ import annotations

from agentgpu_iac.spec.document import Document, Money
from agentgpu_iac.spec.vocabulary import CapacityType, Tier


class LineItem(Document):
    """One part of the cost."""

    node_pool: str
    tier: Tier
    capacity_type: CapacityType
    instance_type: str
    nodes: int
    usd_per_hour: Money
    """One node."""
    usd_per_month: Money
    """All nodes of the line over 720 h for the baseline; over the expected burst hours for the burst tier."""
    price_known: bool = True
    """False: usdPerHour stands for a price that nobody knows; priceSource says whose it is."""
    price_date: str
    price_source: str


class Alternative(Document):
    """Something else that would work, and what it would cost."""

    agent: str | None
    """None where the alternative concerns the whole stack."""
    description: str
    accelerator: str | None
    instance_type: str | None
    replicas: int | None
    usd_per_month: Money
    delta_usd_per_month: Money
    """Compared with what the same agent causes of this plan's cost: its part of the nodes that it is on."""
    note: str


class Cost(Document):
    """What the plan costs, and how sure we are that nothing on offer is cheaper."""

    baseline_usd_per_month: Money
    """The baseline tier over 720 h, at the preferred capacity type."""
    peak_usd_per_hour: Money
    """Baseline and burst tier together, at the peak."""
    expected_usd_per_month: Money
    """Baseline + burst tier over the spec's burst hours: what the planner minimised."""
    line_items: tuple[LineItem, ...]
    alternatives: tuple[Alternative, ...]
    optimality_gap_ratio: float
    """Of the solver, over the candidates considered."""
