"""An engine's version held against the model, the card and the parsers that an agent needs of it."""

from __future__ import annotations

from collections.abc import Iterator

from agentgpu_iac.catalog.engine_versions import Kind, first_on, first_with
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
    this = f"{port.title} {version}"
    if before(version, port.planned_since):
        message = f"{this} {port.why_not_older}: {port.planned_since} and newer"
        yield _refused(demand, message, port.planned_since, version)
        return
    for kind, name, words in _needed(demand, release, catalog):
        since = first_with(catalog.engine_versions, release.engine, version, kind, name)
        if since is not None:
            yield _refused(demand, f"{this} has no {words}; {since} and newer have", since, version)


def _needed(demand: Demand, release: EngineRelease, catalog: Catalog) -> Iterator[tuple[Kind, str, str]]:
    """What must be in the engine for this agent, and what to call it."""
    agent, model = demand.agent, demand.model
    parsers = known_parsers(catalog.engine_parsers(release.engine, release.version))
    yield "architecture", model.architecture, f"model class for {model.id} ({model.architecture})"
    if name := parsers.tool_calls.named(agent.tool_call_parser, model.tool_call_parser):
        yield "tool-parser", name, f"tool-call parser {name} (toolCallParser: none goes without)"
    if name := parsers.reasoning.named(agent.reasoning_parser, model.reasoning_parser):
        yield "reasoning-parser", name, f"reasoning parser {name} (reasoningParser: none goes without)"


def barred(demand: Demand, accelerator: Accelerator, release: EngineRelease, catalog: Catalog) -> Rejection | None:
    """Why this version does not run on a card, if its binaries are known to hold no code for it."""
    capability, version = accelerator.compute_capability, release.version
    since = first_on(catalog.engine_versions, release.engine, version, capability)
    if since is None:
        return None
    message = (
        f"{PORTS[release.engine].title} {version} is not built for {accelerator.name} (compute capability {capability}); "
        f"{since} and newer are"
    )
    return _refused(demand, message, since, version).model_copy(update={"accelerator": accelerator.id})


def _refused(demand: Demand, message: str, need: str, limit: str) -> Rejection:
    found = demand_rejection(demand, None, "engine-version", message)
    return found.model_copy(update={"need_version": need, "limit_version": limit})
