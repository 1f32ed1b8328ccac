"""An agent whose model answers with a vector or a score."""

from __future__ import annotations

from collections.abc import Iterable

from agentgpu_iac.spec.document import Document
from agentgpu_iac.spec.vocabulary import PoolingKind

_FEW = 10


def per_second(rate: float) -> str:
    """A rate as people read it: one decimal below ten, where it says something."""
    return f"{rate:,.0f}" if rate >= _FEW or float(rate).is_integer() else f"{rate:,.1f}"


def first_answer_words(are_pooled: Iterable[bool]) -> str:
    """What a column of first answers is headed: those of models that generate, of models that don't, or of both."""
    kinds = set(are_pooled)
    return "TTFT" if kinds <= {False} else "answer" if kinds == {True} else "TTFT or answer"


def seats_words(are_pooled: Iterable[bool]) -> str:
    """The same of what a replica has at once."""
    kinds = set(are_pooled)
    return "sessions" if kinds <= {False} else "inputs" if kinds == {True} else "sessions or inputs"


class PoolingPlan(Document):
    """What it is asked, in place of sessions, and where."""

    kind: PoolingKind
    """What it answers with."""
    routes: tuple[str, ...]
    """Paths below the base URL that answer, the usual one first."""
    requests_per_s: float
    """Requests in a second at normal load, those of other agents of the stack among them."""
    requests_per_s_peak: float
    """The same at the peak."""
    inputs_per_request: int
    """Texts in one request, on average. The engine's series count each of them as a request."""
    input_tokens: int
    """Tokens of one input, on average."""
    longest_input_tokens: int
    """Tokens of the longest input: longer ones are refused, or cut where the request asks for it."""
    inputs_per_s: float | None
    """What one replica answers at its percentile; null where the accelerator has no data."""
    inputs_in_flight: float | None
    """Inputs that a replica holds at that rate, running and waiting (Little)."""
