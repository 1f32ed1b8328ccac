"""Whether a model reasons before it answers, as the plan counted it, and who is to say so."""

from __future__ import annotations

from typing import Literal

from agentgpu_iac.spec.document import Document

ThinkingMode = Literal["on", "off", "unknown"]
ThinkingReason = Literal["stated", "latency-class", "model", "unknown"]


class ThinkingPlan(Document):
    """What the model does where a request does not say, and what requests may say."""

    model: Literal["always", "by-default", "when-asked", "never", "unknown"]
    """What the model does by itself: as in the catalog."""
    mode: ThinkingMode
    """What the plan counts, and what the engine is told where it can be."""
    reason: ThinkingReason
    """stated: in the spec. latency-class: off, since somebody waits. model: as the model does by itself. unknown: nothing is
    known of the model."""
    tokens_per_turn: int
    """Reasoning tokens of one turn that memory, throughput and the time of a whole answer hold."""
    tokens_error_factor: float | None
    """The tokens are the model's typical figure, and the agent's own may be so many times less or more; null: as stated, or
    none."""
    request_to_think: str | None
    """What a request adds to its body, as JSON, to have this answer thought about; null: requests cannot say so."""
    request_to_answer: str | None
    """The same to have it answered at once."""
    callers_send: str | None
    """What every request must add to its body, as JSON, since the engine cannot be told; null: nothing."""
    callers_write: str | None
    """What callers must write into the system prompt, since the model takes it from nowhere else; null: nothing."""
