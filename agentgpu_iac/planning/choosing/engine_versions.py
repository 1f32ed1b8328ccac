"""An engine's version held against the model, the card and the parsers that an agent needs of it."""

from __future__ import annotations

from collections.abc import Iterator

from agentgpu_iac.catalog.checkpoint import lack_of_method
from agentgpu_iac.catalog.engine_cards import lack_on_card
from agentgpu_iac.catalog.engine_versions import Lack, lack_of, lack_of_class, lack_of_code
from agentgpu_iac.catalog.model import Accelerator, EngineRelease
from agentgpu_iac.catalog.store import Catalog
from agentgpu_iac.catalog.versions import before
from agentgpu_iac.plan import Rejection
from agentgpu_iac.planning.choosing.rejections import demand_rejection
from agentgpu_iac.planning.demand import Demand
from agentgpu_iac.planning.engines import PORTS, known_parsers


def missing(demand: Demand, release: EngineRelease, catalog: Catalog) -> Iterator[Rejection]:
    """What the agent needs and this version of its engine lacks, on whatever it runs."""
    port, version = PORTS[release.engine], release.version
    if before(version, port.planned_since):
        message = f"{port.title} {version} {port.why_not_older}: {port.planned_since} and newer"
        yield _refused(demand, Lack(message=message, version=version, since=port.planned_since))
        return
    for lack in _lacks(demand, release, catalog):
        if lack is not None:
            yield _refused(demand, lack)


def _lacks(demand: Demand, release: EngineRelease, catalog: Catalog) -> Iterator[Lack | None]:
    """What must be in the engine for this agent, each where it is not."""
    agent, model = demand.agent, demand.model
    rows, engine, version = catalog.engine_versions, release.engine, release.version
    parsers = known_parsers(catalog.engine_parsers(engine, version))
    yield lack_of_class(rows, engine, version, model)
    yield lack_of_method(catalog.quantisation_methods, engine, version, model, demand.precision)
    if name := parsers.tool_calls.named(agent.tool_call_parser, model.tool_call_parser):
        words = f"tool-call parser {name} (toolCallParser: none goes without)"
        yield lack_of(rows, engine, version, "tool-parser", name, words)
    if name := parsers.reasoning.named(agent.reasoning_parser, model.reasoning_parser):
        words = f"reasoning parser {name} (reasoningParser: none goes without)"
        yield lack_of(rows, engine, version, "reasoning-parser", name, words)


def barred(demand: Demand, accelerator: Accelerator, release: EngineRelease, catalog: Catalog) -> Rejection | None:
    """Why this version does not run the agent on a card: its binaries are known to hold no code for it, or no kernels for the
    model's attention and its cache.
    """
    engine, version = release.engine, release.version
    if lack := lack_of_code(catalog.engine_versions, engine, version, accelerator):
        return _refused(demand, lack).model_copy(update={"accelerator": accelerator.id})
    kv_dtype = demand.agent.kv_cache_dtype
    message = lack_on_card(catalog.card_limits(engine), engine, version, demand.model, kv_dtype, accelerator)
    if message is None:
        return None
    found = demand_rejection(demand, None, "engine-feature", message)
    return found.model_copy(update={"accelerator": accelerator.id})


def _refused(demand: Demand, lack: Lack) -> Rejection:
    found = demand_rejection(demand, None, "engine-version", lack.message)
    return found.model_copy(update={"need_version": lack.since, "limit_version": lack.version})
