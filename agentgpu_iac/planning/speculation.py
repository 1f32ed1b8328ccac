"""Speculative decoding as an agent asks for it: what sizing counts, what a step yields, and what cannot be served."""

from __future__ import annotations

from agentgpu_iac.catalog.model import Model
from agentgpu_iac.sizing.draft import Draft
from agentgpu_iac.sizing.weights import ships_draft_layer, weight_bytes
from agentgpu_iac.spec.model import Agent, Speculative
from agentgpu_iac.units import GIB


def rows_per_step(agent: Agent) -> int:
    """Tokens that one step computes for each session: those proposed, and the one that follows them."""
    return 1 if agent.speculative is None else agent.speculative.tokens + 1


def accepted_tokens(agent: Agent) -> float:
    """Tokens that one step yields: as measured and stated, else 1, which counts no speed-up."""
    return 1.0 if agent.speculative is None else agent.speculative.accepted_tokens or 1.0


def fault(model: Model, agent: Agent) -> str | None:
    """Why the model cannot be served with the method, if so."""
    if agent.speculative is None or agent.speculative.method != "mtp" or ships_draft_layer(model):
        return None
    return f"no multi-token head of {model.id} is known: its checkpoint is not one of those that ship one"


def draft_of(agent: Agent, model: Model | None) -> Draft | None:
    """What proposes tokens: n-grams of the text, a whole model, or one layer that attends like the agent's model.

    ``model`` is the draft as the catalog knows it, if it does.
    """
    speculative = agent.speculative
    if speculative is None:
        return None
    if speculative.method == "ngram":
        return Draft(tokens=speculative.tokens)
    return Draft(
        tokens=speculative.tokens,
        layers=0 if speculative.method == "draft-model" and model is not None else 1,
        model=model,
        stated_weights_gib=speculative.weights_gib,
        name=speculative.model or "",
    )


def checkpoint_gib(speculative: Speculative, draft: Model | None) -> float:
    """What is downloaded and read of a draft of its own."""
    if draft is not None and draft.checkpoint_bytes is not None:
        return draft.checkpoint_bytes / GIB
    if speculative.weights_gib is not None:
        return speculative.weights_gib
    return 0.0 if draft is None else weight_bytes(draft, draft.native_precision) / GIB
