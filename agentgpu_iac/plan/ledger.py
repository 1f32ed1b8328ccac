"""What a plan was asked, the sums behind its numbers and what it assumed.

Recorded when they were made, printed by whoever explains them.
"""

from __future__ import annotations

from agentgpu_iac.spec.document import Document


class LedgerEntry(Document):
    """One number of the plan with its sum."""

    workload: str
    """Name of the workload that the number belongs to."""
    section: str
    """Part of the plan that it belongs to."""
    name: str
    """What the number is, as the plan calls it."""
    formula: str
    """How it is made, in words; ``set by hand`` where the spec overrides it."""
    inputs: str
    """The formula with its figures."""
    result: str
    """What comes out, as people read it."""
    value: float
    """The same as a number."""
    unit: str
    """Its unit; empty for a ratio or a count."""
    source: str
    """Where the formula or its constant is from."""


class Assumption(Document):
    """A field that the spec leaves unset, and the default that stands in for it."""

    agent: str | None
    """Whose field it is; null: the stack's."""
    part: str
    """The part of the agent or the stack that it stands in, as the spec spells it; empty: at its top."""
    field: str
    """The field."""
    value: str
    """The default."""


class Written(Document):
    """A value of the spec, as somebody wrote it."""

    path: str
    """Where it stands; items that have names are called by them: ``spec.agents[support].model``."""
    value: str
    """The value."""
