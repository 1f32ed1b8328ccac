"""Agents that are asked by requests and models that generate nothing: each needs the other, and a kind that both agree on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from agentgpu_iac.catalog.model import Model, Pooling
from agentgpu_iac.errors import Fault
from agentgpu_iac.spec.loader import LoadedStack
from agentgpu_iac.spec.model import Agent
from agentgpu_iac.spec.vocabulary import PoolingKind

TITLES: Mapping[PoolingKind, str] = {
    "embedding": "an embedding model",
    "reranker": "a reranker",
    "classifier": "a classifier",
}
"""What such a model is in sentences."""


def as_asked(agent: Agent, model: Model) -> Model:
    """The model as the agent uses it: a chat model whose last token is taken as a vector has no output matrix.

    Engines do that to any decoder (vLLM 0.33.0: ``as_embedding_model`` deletes the head and pools the last token).
    """
    if agent.requests is None or agent.requests.kind != "embedding" or model.pooling is not None:
        return model
    head = sum(part.parameters for part in model.modules if part.kind == "output_head")
    return model.model_copy(
        update={
            "pooling": Pooling(kind="embedding", converted=True),
            "modules": tuple(part for part in model.modules if part.kind != "output_head"),
            "params_active": model.params_active - head,
            "tied_embeddings": True,
            "checkpoint_bytes": None,
        }
    )


def pooling_faults(loaded: LoadedStack, agent: Agent, model: Model, at: str) -> Iterator[Fault]:
    """What the agent asks and its model do not fit: requests of a chat model, sessions of another, another kind."""
    pooled, requests = model.pooling, agent.requests
    if requests is None:
        if pooled is not None:
            message = f"{model.id} is {TITLES[pooled.kind]}: it generates nothing, and holds no sessions"
            hint = "write requests: {perS: ..., inputTokens: ...} beside it, or name a model that chats"
            yield loaded.fault(f"{at}.model", message, hint)
        return
    if pooled is None:
        message = f"{model.id} chats, and requests are asked of a model that answers with a vector or a score"
        hint = "write sessions and conversation, or requests.kind: embedding to take its last token as a vector"
        if requests.kind is not None:
            message = f"{model.id} has no head that scores, so it is no {requests.kind}"
            hint = f"name {TITLES[requests.kind]}"
        yield loaded.fault(f"{at}.model", message, hint)
        return
    if pooled.kind == "classifier":
        message = (
            f"{model.id} is a classifier, and engines answer those at /classify, which routers do not lead to and API keys do "
            "not guard: it is not planned"
        )
        yield loaded.fault(f"{at}.model", message, "serve it beside the stack, and leave it out here")
        return
    if pooled.kind == "reranker" and loaded.stack.spec.network.router == "gateway":
        message = (
            f"{model.id} is asked at /rerank and /score, whose bodies the Gateway's endpoint picker takes for completions "
            "without a prompt and answers with HTTP 400"
        )
        yield loaded.fault(
            f"{at}.model", message, "write network.router: nginx, or give the reranker a stack of its own"
        )
    if requests.kind is not None and requests.kind != pooled.kind:
        message = f"{model.id} is {TITLES[pooled.kind]}, not {TITLES[requests.kind]}"
        yield loaded.fault(f"{at}.requests.kind", message, "leave kind out")
    for place, caller in enumerate(requests.callers):
        asks = next(each for each in loaded.stack.spec.agents if each.name == caller.agent)
        if _has_no_pace(asks):
            message = f"how often {asks.name} asks is not known: it is in the background and has no daily volume"
            hint = "write traffic.conversationsPerDay there, or perS here"
            yield loaded.fault(f"{at}.requests.callers[{place}].agent", message, hint)
    if pooled.own_code and not agent.trust_remote_code:
        message = f"the engine loads {model.id} only with the code of its own repository"
        hint = "write trustRemoteCode: true and pin modelRevision to a commit that you have read, or name another model"
        yield loaded.fault(f"{at}.trustRemoteCode", message, hint)


def _has_no_pace(agent: Agent) -> bool:
    """Whether nothing says how many turns the agent has in a second."""
    timed = agent.latency_class != "background" or (agent.ttft_ms is not None and agent.tpot_ms is not None)
    return not timed and agent.traffic.conversations_per_day is None and agent.work is None
