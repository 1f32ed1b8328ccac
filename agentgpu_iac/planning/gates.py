"""Gated repositories: what a stack downloads that the hub gives only to accounts which accepted a licence."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from agentgpu_iac.catalog.model import Model
from agentgpu_iac.catalog.store import Catalog
from agentgpu_iac.errors import Fault
from agentgpu_iac.spec.loader import LoadedStack
from agentgpu_iac.spec.model import Agent, StackSpec

TOKEN_FIELD = "modelCache.tokenSecret"  # noqa: S105 - the name of a field


def downloads_without_token(spec: StackSpec) -> bool:
    """Whether nodes download from the hub, and no Secret is named whose token they could show."""
    cache = spec.model_cache
    return cache.source == "huggingface" and cache.token_secret is None and spec.cluster_objects.cache_fillers


def downloaded(agent: Agent, model: Model | None) -> Iterator[tuple[str, str]]:
    """What of an agent is downloaded: the field that names it, below the agent, and the repository."""
    if model is not None and not model.is_local:
        yield "model", model.id
    for index, adapter in enumerate(agent.lora_adapters):
        yield f"loraAdapters[{index}].source", adapter.source
    if agent.speculative is not None and agent.speculative.model is not None:
        yield "speculative.model", agent.speculative.model


def gate_faults(loaded: LoadedStack, models: Sequence[Model | None], catalog: Catalog) -> Iterator[Fault]:
    """Gated repositories of a stack that names no token; ``models`` are its agents', None where one is unknown."""
    spec = loaded.stack.spec
    if not downloads_without_token(spec):
        return
    for position, (agent, model) in enumerate(zip(spec.agents, models, strict=True)):
        for field, repository in downloaded(agent, model):
            if catalog.gated(repository):
                yield loaded.fault(
                    f"spec.agents[{position}].{field}",
                    f"{repository} is gated: the hub gives it only to an account that accepted its licence, and no token "
                    "is named",
                    f"accept the licence at huggingface.co/{repository}, make a Secret whose key 'token' is a token of that "
                    "account, and write modelCache: {tokenSecret: <its name>}; or write source: s3",
                )


def unknown_gates(agent: Agent, model: Model, spec: StackSpec, catalog: Catalog) -> tuple[str, ...]:
    """Repositories that are downloaded without a token, and of which nobody is known to say whether they need one."""
    if not downloads_without_token(spec):
        return ()
    found = (repository for _, repository in downloaded(agent, model) if catalog.gated(repository) is None)
    return tuple(dict.fromkeys(found))
