"""What would shorten the start of a replica: which phases it does away with, what stands in their place, and who says so."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from agentgpu_iac.catalog.model.scalars import Float, ReadOn, Sources
from agentgpu_iac.spec.document import Document

Phase = Literal["node", "driver", "image", "cache_fill", "imports", "weights", "compile", "warm_up", "first_answer"]
"""A part of a cold start, as the plan names it."""
ShortcutId = Literal[
    "node-image", "parallel-pull", "peer-weights", "pod-snapshot", "sleep-mode", "stream", "warm-nodes", "warm-pool"
]


class Shortcut(Document):
    """One way to start sooner."""

    id: ShortcutId
    """Its name in plans."""
    title: Annotated[str, Field(min_length=1)]
    """What it is, in a few words."""
    spares: tuple[Phase, ...] = ()
    """Phases that it does away with. Empty: what it does is computed with the machine, or nothing is spared."""
    takes_s: Float | None = None
    """Likely seconds in their place; null: nobody measured it, and 0 is counted, which is better than it can be."""
    at_worst_s: Float | None = None
    """The same at worst."""
    keeps_nodes: bool = False
    """The machine is paid for all the while, as for a warm replica."""
    setting: str = ""
    """What the spec says for it; empty: no plan of ours does it."""
    why_not: str = ""
    """Why no plan of ours does it; empty where one can."""
    sources: Sources
    """Where the figures are from, and what the platforms say of themselves."""
    read: ReadOn
    """When they were read."""
    note: str | None = None
    """What a reader should know about it."""
