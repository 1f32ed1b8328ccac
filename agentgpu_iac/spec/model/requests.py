"""Requests to a model that answers with a vector or a score: each stands for itself, and nothing is held between two."""

from __future__ import annotations

from typing import Annotated

from agentgpu_iac.spec.document import Document
from agentgpu_iac.spec.model.fields import LISTED, Name, Positive, PositiveCount
from agentgpu_iac.spec.vocabulary import PoolingKind


class Caller(Document):
    """An agent of the stack that asks, at the pace of its own sessions."""

    agent: Name
    """Agent of this stack that chats."""
    per_turn: Positive = 1.0
    """Requests in one turn of its conversations, on average."""


class Requests(Document):
    """What an embedding model, a reranker or a classifier is asked, in place of sessions and their conversation."""

    per_s: Positive | None = None
    """Requests in a second at normal load; ``traffic.burstFactor`` times as many at the peak. Those of ``callers`` come on top.
    """
    callers: Annotated[tuple[Caller, ...], LISTED] = ()
    """Agents of the stack that ask: at normal load and at the peak as many requests as their turns make."""
    inputs_per_request: PositiveCount = 1
    """Texts in one request, on average: passages that are embedded together, or the documents that one query is ranked
    against."""
    input_tokens: PositiveCount = 300
    """Tokens of one input, on average; for a reranker query and document together (an assumption: 300, a passage)."""
    longest_input_tokens: PositiveCount | None = None
    """Tokens of the longest input that is taken; longer ones are refused unless the caller lets the engine cut them. Unset:
    the model's own limit, up to 8,192."""
    kind: PoolingKind | None = None
    """What the model answers with, where neither the catalog nor its files tell: needed for a chat model whose last token is
    taken as a vector."""
