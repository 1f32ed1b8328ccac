"""What a change of the spec would cost or save: the answers of a planner that was asked again."""

from __future__ import annotations

from typing import Literal

from agentgpu_iac.plan.driver import Driver
from agentgpu_iac.spec.document import Document, Money

LeverName = Literal[
    "card",
    "cold-start",
    "fast-burst",
    "isolation",
    "kv-cache-dtype",
    "memory-reserve",
    "paused-cache",
    "peak",
    "percentile",
    "precision",
    "quantile",
    "region",
    "relaxed",
    "reserved",
    "share-accelerators",
    "several",
    "spot",
    "survive",
    "ttft",
]
"""What is changed; ``relaxed`` is a limit that the price stands at, made a little looser, and ``several`` are changes
together."""

Over = Literal["ttftMs", "peak", "percentile", "coldStartS"]
"""Fields that a frontier is made over."""


class Lever(Document):
    """One change, planned."""

    lever: LeverName
    """What is changed."""
    agent: str | None
    """Agent whose field it is, or deployment, whose agents all have it; null: the stack's."""
    change: str
    """The change in words."""
    write: str
    """What the spec says for it."""
    planned: bool
    """False: no plan can be made with it, ``refusal`` says why."""
    baseline_usd_per_month: Money | None
    """The baseline with it over 720 h; null: not planned."""
    usd_per_month: Money | None
    """Baseline and expected burst hours with it."""
    delta_usd_per_month: Money | None
    """Of that, compared with the plan as it is: below 0 it saves. null: one of the two cannot be planned."""
    nodes: str
    """The nodes with it."""
    within_budget: bool | None
    """Whether its baseline is within ``capacity.budgetUsdPerMonth``; null: there is none, or it is not planned."""
    caution: str
    """What it takes beside money, or what must be so for it; empty: nothing."""
    refusal: str
    """Why it cannot be planned; empty where it can."""


class Levers(Document):
    """What drives the price of a stack, and what each of a fixed set of changes would cost or save."""

    stack: str
    """Stack."""
    feasible: bool
    """Whether the stack has a plan as it is, within its budget."""
    message: str
    """Why not; empty where it has."""
    baseline_usd_per_month: Money | None
    """The baseline as it is, the budget left aside; null: nothing on offer serves it."""
    usd_per_month: Money | None
    """Baseline and expected burst hours as it is."""
    nodes: str
    """The nodes as it is."""
    budget_usd_per_month: Money | None
    """As in the spec."""
    drivers: tuple[Driver, ...]
    """What the price of each deployment stands at, the dearest first."""
    relaxed: tuple[Lever, ...]
    """Their shadow prices: what a looser limit would save, each limit by itself."""
    levers: tuple[Lever, ...]
    """The changes: those that save most first, those that cannot be planned last."""
    ways_out: tuple[Lever, ...]
    """Where the budget is broken, or nothing serves: the changes with which a plan can be made, cheapest first."""
    not_asked: tuple[str, ...]
    """Agents whose own fields were not changed, since they cause little of the cost: ``--agent`` asks about one."""
    plans: int
    """How many plans were made for this."""


class FrontierPoint(Document):
    """What one value of a field costs."""

    value: float
    """The value."""
    own: bool
    """Whether the spec has it so."""
    planned: bool
    """False: no plan can be made with it, ``refusal`` says why."""
    baseline_usd_per_month: Money | None
    """The baseline over 720 h; null: not planned."""
    usd_per_month: Money | None
    """Baseline and expected burst hours."""
    peak_usd_per_hour: Money | None
    """At the peak."""
    nodes: str
    """The nodes."""
    refusal: str
    """Why it cannot be planned; empty where it can."""


class Frontier(Document):
    """What a stack costs over the values of one field."""

    stack: str
    """Stack."""
    over: Over
    """Field."""
    agent: str | None
    """Agent whose field it is; null: the stack's."""
    unit: str
    """Unit of the values."""
    write: str
    """How the spec says it, with the spec's own value."""
    points: tuple[FrontierPoint, ...]
    """By value, the least first."""
