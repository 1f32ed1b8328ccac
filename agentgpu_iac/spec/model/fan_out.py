"""Sub-agents: agents of the stack that another one starts in its turns."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from agentgpu_iac.spec.document import Document
from agentgpu_iac.spec.model.fields import Name, Positive


class FanOut(Document):
    """Sub-agents that an agent starts, several at once. What they ask follows from its own sessions and turns."""

    agent: Name
    """Agent of this stack that is started. Its ``sessions`` are those that come beside these; unset: none."""
    count: Annotated[int, Field(ge=1, le=1000)] = 1
    """How many are started at once."""
    per_turn: Positive = 1.0
    """How often in one turn of the agent's conversations, on average."""
    fresh_context: bool = True
    """true: each begins a conversation of its own, of as many turns as the sub-agent's ``conversation`` has, which then ends.
    false: they stay as long as the agent's own conversation, and each time have one turn more."""
