"""The names of a spec as the catalog has them: decided once, before anything is planned."""

from __future__ import annotations

from dataclasses import replace

from agentgpu_iac.catalog.store import Catalog
from agentgpu_iac.errors import BadInput
from agentgpu_iac.spec.loader import LoadedStack


def with_ids(loaded: LoadedStack, catalog: Catalog) -> LoadedStack:
    """The stack with ids where it writes display names. What is unknown or may mean several stays, and is told as a fault."""
    spec = loaded.stack.spec
    chosen = spec.accelerators
    named = chosen.model_copy(
        update={
            "allow": tuple(_accelerator(name, catalog) for name in chosen.allow),
            "deny": tuple(_accelerator(name, catalog) for name in chosen.deny),
        }
    )
    agents = tuple(
        agent if (model := _model(agent.model, catalog)) == agent.model else agent.model_copy(update={"model": model})
        for agent in spec.agents
    )
    if named == chosen and agents == spec.agents:
        return loaded
    stack = loaded.stack.model_copy(
        update={"spec": spec.model_copy(update={"accelerators": named, "agents": agents})},
    )
    return replace(loaded, stack=stack)


def _accelerator(name: str, catalog: Catalog) -> str:
    try:
        return catalog.accelerator(name).id
    except BadInput:
        return name


def _model(name: str, catalog: Catalog) -> str:
    """The id of a model that is named without its publisher; other references are looked up as they are."""
    meant = catalog.models_meant(name)
    return meant[0] if len(meant) == 1 else name
