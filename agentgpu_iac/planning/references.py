"""The names that a spec uses, resolved against the catalog: every unknown one is reported at its line, at once."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import replace

from agentgpu_iac.catalog.join import ANY_REGION
from agentgpu_iac.catalog.model import Model
from agentgpu_iac.catalog.naming import accelerators_meant, model_hint
from agentgpu_iac.catalog.store import Catalog
from agentgpu_iac.credentials import credential_in
from agentgpu_iac.errors import BadInput, Fault, did_you_mean
from agentgpu_iac.planning.gates import gate_faults
from agentgpu_iac.planning.naming import with_ids
from agentgpu_iac.planning.pooling_models import as_asked, pooling_faults
from agentgpu_iac.sizing.contexts import as_read_by
from agentgpu_iac.sizing.encoders import text_only
from agentgpu_iac.sizing.engines import SIZING_PORTS
from agentgpu_iac.spec.loader import LoadedStack
from agentgpu_iac.spec.model import Agent, StackSpec
from agentgpu_iac.spec.vocabulary import Engine
from agentgpu_iac.spec.yaml_tree import Tree, data_of
from agentgpu_iac.targets import target_of


def resolve_models(loaded: LoadedStack, catalog: Catalog) -> tuple[Model, ...]:
    """The model of each agent, in order.

    Raises:
        BadInput: with one fault for every model, accelerator, provider or region that the catalog does not know.
    """
    loaded = with_ids(loaded, catalog)
    faults: list[Fault] = []
    found: dict[str, Model] = {}
    for position, agent in enumerate(loaded.stack.spec.agents):
        if agent.model in found:
            continue
        try:
            found[agent.model] = catalog.model(agent.model)
        except BadInput as unknown:
            path = f"spec.agents[{position}].model"
            faults.extend(loaded.fault(path, fault.message, fault.hint) for fault in unknown.faults)
    models = [
        None
        if (model := found.get(agent.model)) is None
        else as_asked(agent, as_read_by(model, agent.engine, agent.engine_version or ""))
        for agent in loaded.stack.spec.agents
    ]
    for position, (agent, model) in enumerate(zip(loaded.stack.spec.agents, models, strict=True)):
        if model is not None:
            faults.extend(pooling_faults(loaded, agent, model, f"spec.agents[{position}]"))
    faults += _draft_faults(loaded, catalog)
    faults += gate_faults(loaded, [found.get(agent.model) for agent in loaded.stack.spec.agents], catalog)
    spec = loaded.stack.spec
    faults += _accelerator_faults(loaded, catalog)
    faults += _unknown(loaded, "spec.providers", spec.providers, {row.id for row in catalog.providers}, "provider")
    faults += _inventory_faults(loaded, catalog)
    providers = target_of(spec).allowed_providers(spec)
    regions = {
        region
        for provider, region in _places(catalog)
        if (providers is None or provider in providers) and not _is_out_of_reach(loaded, region, catalog)
    }
    faults += _local_zone_faults(loaded, catalog)
    faults += _no_cluster_faults(loaded, catalog)
    faults += _unknown(
        loaded,
        "spec.regions",
        spec.regions,
        regions,
        "region with a price",
        listed="priced",
        told=frozenset(region for region in spec.regions if _is_out_of_reach(loaded, region, catalog)),
    )
    if faults:
        raise BadInput(faults)
    return tuple(
        _told(agent, model, catalog) for agent, model in zip(spec.agents, models, strict=True) if model is not None
    )


def _accelerator_faults(loaded: LoadedStack, catalog: Catalog) -> list[Fault]:
    """Accelerators that are none, or may be several."""
    known = {row.id for row in catalog.accelerators}
    faults = []
    chosen = loaded.stack.spec.accelerators
    for field, names in (("allow", chosen.allow), ("deny", chosen.deny)):
        path = f"spec.accelerators.{field}"
        found = {name: accelerators_meant(name, catalog.accelerators) for name in names if name not in known}
        near = {name: meant for name, meant in found.items() if meant}
        faults += [
            loaded.fault(
                f"{path}[{position}]",
                f"accelerator {name!r} may mean {len(near[name])}"
                if near[name][1:]
                else f"unknown accelerator {name!r}",
                f"write one of {', '.join(map(repr, near[name]))}, or several"
                if near[name][1:]
                else f"did you mean {near[name][0]!r}?",
            )
            for position, name in enumerate(names)
            if name in near
        ]
        faults += _unknown(loaded, path, names, known, "accelerator", told=frozenset(near))
    faults += [
        loaded.fault(
            f"spec.accelerators.deny[{position}]",
            f"is {name!r}, which is both allowed and denied",
            "write it in one of the two lists",
        )
        for position, name in enumerate(chosen.deny)
        if name in chosen.allow
    ]
    return faults


def unknown_models(tree: Tree, source: str, catalog: Catalog) -> list[Fault]:
    """Models that the catalog does not know, of a file that holds other faults too: all are told at once."""
    data = data_of(tree.root)
    spec = data.get("spec") if isinstance(data, dict) else None
    agents = spec.get("agents") if isinstance(spec, dict) else None
    faults: list[Fault] = []
    for position, agent in enumerate(agents if isinstance(agents, tuple) else ()):
        model = agent.get("model") if isinstance(agent, dict) else None
        if isinstance(model, str) and model and credential_in(model) is None:
            try:
                catalog.model(model)
            except BadInput as unknown:
                line, column = tree.node_at(("spec", "agents", position, "model")).place
                path = f"spec.agents[{position}].model"
                faults += [replace(each, source=source, line=line, column=column, path=path) for each in unknown.faults]
    return faults


def _inventory_faults(loaded: LoadedStack, catalog: Catalog) -> list[Fault]:
    """Machines of yours that nothing describes, so that nobody knows what they hold."""
    owned = loaded.stack.spec.capacity.inventory
    kinds = {(offering.instance_type.name, offering.provider) for offering in catalog.offerings} if owned else set()
    return [
        loaded.fault(
            f"spec.capacity.inventory[{position}].machine",
            f"unknown instance type {each.machine!r}" + (f" of {each.provider}" if each.provider else ""),
            did_you_mean(each.machine, sorted({name for name, _ in kinds}))
            or "describe it in an overlay (--catalog): accelerators, memory and CPU",
        )
        for position, each in enumerate(owned)
        if not any(name == each.machine and each.provider in (None, provider) for name, provider in kinds)
    ]


def _places(catalog: Catalog) -> set[tuple[str, str]]:
    """Each provider with each of its regions that has a price, be it only of machines that no plan can use."""
    offered = {(offering.provider, offering.region) for offering in catalog.offerings}
    return {place for place in offered | catalog.places if place[1] != ANY_REGION}


def cluster_regions(spec: StackSpec, catalog: Catalog) -> tuple[str, ...]:
    """Of the regions that a stack names those in which its cluster may stand: others hold machines beside it."""
    target = target_of(spec)
    if not spec.regions or not target.joined(spec) or not target.can.buys_from:
        return spec.regions
    sold = {region for provider, region in _places(catalog) if provider in target.can.buys_from}
    return tuple(region for region in spec.regions if region in sold)


def _no_cluster_faults(loaded: LoadedStack, catalog: Catalog) -> list[Fault]:
    """Regions in which machines may stand beside a cluster, and none for the cluster itself."""
    spec = loaded.stack.spec
    if not spec.regions or cluster_regions(spec, catalog):
        return []
    own = " and ".join(target_of(spec).can.buys_from)
    message = f"the cluster stands in a region of {own}, and none of these is one"
    return [loaded.fault("spec.regions", message, "name one beside them, for example us-east-1")]


def _is_out_of_reach(loaded: LoadedStack, region: str, catalog: Catalog) -> bool:
    """A local zone, for a target whose machines are in none."""
    return bool(target_of(loaded.stack.spec).why_no_local_zone) and catalog.local_zone(region) is not None


def _local_zone_faults(loaded: LoadedStack, catalog: Catalog) -> list[Fault]:
    """Local zones that are named for a target whose machines are in none."""
    why = target_of(loaded.stack.spec).why_no_local_zone
    named = [(position, catalog.local_zone(name)) for position, name in enumerate(loaded.stack.spec.regions)]
    return [
        loaded.fault(
            f"spec.regions[{position}]",
            f"{zone.name} is a local zone of {zone.region}, and {why}",
            f"name {zone.region} instead, or use target: kubernetes with nodes that you join",
        )
        for position, zone in named
        if zone is not None and why
    ]


def _told(agent: Agent, model: Model, catalog: Catalog) -> Model:
    """The model as the engine loads it; an engine that cannot be told to read text alone is refused later on."""
    leaves_out = SIZING_PORTS[agent.engine].leaves_towers_out
    if not agent.text_only or leaves_out is None:
        return model
    version = catalog.release(agent.engine, agent.engine_version).version
    return text_only(model, lambda each: leaves_out(each, version))


def accounting_version(engine: Engine, version: str, catalog: Catalog) -> str:
    """The vLLM version whose overhead is counted: its own; for other engines, whose logs were not compared, the newest."""
    return version if SIZING_PORTS[engine].logs_compared else catalog.release("vllm").version


def draft_model(agent: Agent, catalog: Catalog) -> Model | None:
    """The draft of the agent's speculative decoding as the catalog knows it; nothing where it need not."""
    if agent.speculative is None or agent.speculative.model is None:
        return None
    try:
        return catalog.model(agent.speculative.model)
    except BadInput:
        return None


def _draft_faults(loaded: LoadedStack, catalog: Catalog) -> list[Fault]:
    """Drafts whose memory nobody knows: a whole model needs its shape for its KV cache, a head only its weights."""
    faults: list[Fault] = []
    for position, agent in enumerate(loaded.stack.spec.agents):
        wanted = agent.speculative
        if wanted is None or wanted.model is None or draft_model(agent, catalog) is not None:
            continue
        path = f"spec.agents[{position}].speculative.model"
        near = model_hint(wanted.model, (row.id for row in catalog.models))
        if "/" not in wanted.model:
            meant = catalog.models_meant(wanted.model)
            message = (
                f"model {wanted.model!r} may mean {len(meant)}" if meant else f"there is no model {wanted.model!r}"
            )
            hint = f"write one of {', '.join(map(repr, meant))}" if meant else near
            faults.append(loaded.fault(path, message, hint))
        elif wanted.method == "draft-model":
            message = f"the draft {wanted.model!r} is not in the catalog, so its KV cache is not known"
            faults.append(loaded.fault(path, message, near))
        elif wanted.weights_gib is None:
            message = f"the draft {wanted.model!r} is not in the catalog, so its weights are not known"
            faults.append(loaded.fault(path, message, "write their size as weightsGib beside it"))
    return faults


_MOST_LISTED = 12


def _nearest_first(name: str, known: Iterable[str]) -> list[str]:
    """Known names, those spelt most like this one first."""
    alike = {each: difflib.SequenceMatcher(None, name.casefold(), each.casefold()).ratio() for each in known}
    return sorted(alike, key=lambda each: (-alike[each], each))


def _list_of(name: str, known: Iterable[str], listed: str) -> str:
    names = _nearest_first(name, known)
    more = f" and {len(names) - _MOST_LISTED} more" if len(names) > _MOST_LISTED else ""
    return f"{listed}: {', '.join(names[:_MOST_LISTED])}{more}" if names else f"none is {listed}"


def _unknown(
    loaded: LoadedStack,
    path: str,
    names: Iterable[str],
    known: Iterable[str],
    what: str,
    *,
    listed: str = "known",
    told: frozenset[str] = frozenset(),
) -> list[Fault]:
    """A fault for every name that is not known, with those that are, the nearest first; not for those told already."""
    known = sorted(known)
    return [
        loaded.fault(
            f"{path}[{position}]",
            f"unknown {what} {name!r}",
            " ".join(filter(None, (did_you_mean(name, known), _list_of(name, known, listed)))),
        )
        for position, name in enumerate(names)
        if name not in known and name not in told
    ]
