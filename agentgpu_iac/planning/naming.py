"""The names of a spec as the catalog has them: decided once, before anything is planned."""

from __future__ import annotations

from collections.abc import Set
from dataclasses import replace
from typing import TypeVar

from agentgpu_iac.catalog.naming import provider_meant
from agentgpu_iac.catalog.store import Catalog
from agentgpu_iac.errors import BadInput
from agentgpu_iac.spec.loader import LoadedStack
from agentgpu_iac.spec.model.agent import Agent
from agentgpu_iac.spec.model.capacity import Capacity, OwnMachine
from agentgpu_iac.spec.model.commitments import Commitment, SavingsRate


def with_ids(loaded: LoadedStack, catalog: Catalog) -> LoadedStack:
    """The stack with ids where it writes display names, or an id in another case. What is unknown or may mean several stays,
    and is told as a fault.
    """
    spec = loaded.stack.spec
    named = spec.model_copy(
        update={
            "accelerators": spec.accelerators.model_copy(
                update={
                    "allow": tuple(_accelerator(name, catalog) for name in spec.accelerators.allow),
                    "deny": tuple(_accelerator(name, catalog) for name in spec.accelerators.deny),
                }
            ),
            "providers": _providers(spec.providers, catalog),
            "regions": _regions(spec.regions, catalog),
            "capacity": _capacity(spec.capacity, catalog),
            "agents": tuple(_agent(agent, catalog) for agent in spec.agents),
        }
    )
    return loaded if named == spec else replace(loaded, stack=loaded.stack.model_copy(update={"spec": named}))


def _capacity(capacity: Capacity, catalog: Catalog) -> Capacity:
    """Providers by their ids, and the machines of the inventory and of commitments as they are sold."""
    joined = _providers(capacity.machines_from, catalog)
    capacity = capacity if joined == capacity.machines_from else capacity.model_copy(update={"machines_from": joined})
    if not capacity.inventory and not capacity.commitments:
        return capacity
    known = frozenset(offering.instance_type.name for offering in catalog.offerings)

    def spelt(each: _WithMachine) -> _WithMachine:
        return each if each.machine is None else each.model_copy(update={"machine": _spelt(each.machine, known)})

    commitments = (
        spelt(each).model_copy(update={"rates": tuple(map(spelt, each.rates))}) for each in capacity.commitments
    )
    return capacity.model_copy(
        update={"inventory": tuple(map(spelt, capacity.inventory)), "commitments": tuple(commitments)}
    )


_WithMachine = TypeVar("_WithMachine", OwnMachine, Commitment, SavingsRate)


def _providers(names: tuple[str, ...], catalog: Catalog) -> tuple[str, ...]:
    return tuple(provider_meant(name, catalog.providers) or name for name in names)


def _regions(regions: tuple[str, ...], catalog: Catalog) -> tuple[str, ...]:
    if not regions:
        return regions
    sold = {offering.region for offering in catalog.offerings} | {region for _, region in catalog.places}
    return tuple(_spelt(name, sold) for name in regions)


def _spelt(name: str, known: Set[str]) -> str:
    """The known name that is this one in another case; itself, where it is known or none is."""
    return name if name in known else min((each for each in known if each.casefold() == name.casefold()), default=name)


def _accelerator(name: str, catalog: Catalog) -> str:
    try:
        return catalog.accelerator(name).id
    except BadInput:
        return name


def _agent(agent: Agent, catalog: Catalog) -> Agent:
    """An agent whose models have their ids: its own, and the draft, which is fetched by that name."""
    draft = agent.speculative
    if draft is not None and draft.model is not None:
        draft = draft.model_copy(update={"model": _draft(draft.model, catalog)})
    return agent.model_copy(update={"model": model_id(agent.model, catalog), "speculative": draft})


def model_id(name: str, catalog: Catalog) -> str:
    """The id of a model that is named without its publisher; other references are looked up as they are."""
    meant = catalog.models_meant(name)
    return meant[0] if len(meant) == 1 else name


def _draft(name: str, catalog: Catalog) -> str:
    """The same, and an id in another case as the catalog spells it: a draft need not be in the catalog, and is fetched."""
    folded = name.casefold()
    return next((row.id for row in catalog.models if row.id.casefold() == folded), model_id(name, catalog))
