"""Where each agent fits: every parallelism of every accelerator, on every machine that the stack may use, and why not elsewhere.

Nothing here is bought: how many replicas are warm, and at which price, is asked of what is found (``options``).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from agentgpu_iac.catalog.model import Accelerator, EngineRelease
from agentgpu_iac.catalog.prefix_cache import prefix_cache
from agentgpu_iac.catalog.store import Catalog
from agentgpu_iac.plan import Constraint, Rejection
from agentgpu_iac.planning import speculation
from agentgpu_iac.planning.choosing import (
    caching,
    engine_versions,
    host_memory,
    joined,
    lacks,
    several_nodes,
    streaming,
)
from agentgpu_iac.planning.choosing.candidates import Candidate
from agentgpu_iac.planning.choosing.evaluation import Evaluator
from agentgpu_iac.planning.choosing.on_offer import Offers
from agentgpu_iac.planning.choosing.pricing import Machine
from agentgpu_iac.planning.choosing.rejections import (
    demand_rejection,
    left_out_rejection,
    shortfall,
    unpriced_rejection,
)
from agentgpu_iac.planning.choosing.remembering import Evaluators
from agentgpu_iac.planning.choosing.rules import Rules
from agentgpu_iac.planning.choosing.tiers import (
    Second,
)
from agentgpu_iac.planning.demand import Demand
from agentgpu_iac.planning.deployments import without_shared_prefix
from agentgpu_iac.planning.engines import PORTS, Wishes, parsers_in
from agentgpu_iac.planning.references import accounting_version
from agentgpu_iac.sizing.encoders import has_towers
from agentgpu_iac.spec.model import StackSpec
from agentgpu_iac.spec.vocabulary import GroupChoice
from agentgpu_iac.targets import target_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """A candidate on a machine that holds it, with the replicas of normal load alone."""

    candidate: Candidate
    machine: Machine


@dataclass(frozen=True, slots=True, kw_only=True)
class OnAccelerator:
    """What came of one accelerator for an agent, in the order in which it was tried."""

    results: tuple[Fit | Rejection, ...]
    not_tried: tuple[Rejection, ...]
    """Why replicas over several of the best of its machines were not tried."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentFits:
    """Where one deployment fits, whatever that costs, and why not elsewhere."""

    position: int
    """Of the deployment: those of one agent each come first, in the order of the stack."""
    demand: Demand
    release: EngineRelease | None
    """Set unless the engine was refused."""
    evaluator: Evaluator | None
    beside: Evaluator | None
    """The same over the way to machines beside the cluster, where there are any."""
    own_models_gib: float
    """What a node's cache holds for this agent alone, where it does not stream."""
    on: tuple[OnAccelerator, ...]
    rejections: tuple[Rejection, ...]
    """Of the agent as a whole."""
    second: Second | None = None
    """Two warm replicas at least, whatever the spec says."""

    def evaluator_on(self, machine: Machine, spec: StackSpec) -> Evaluator | None:
        """Who evaluates candidates on such a machine."""
        return self.evaluator if self.beside is None or not joined.is_joined(machine, spec) else self.beside


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A deployment before its machines: what is asked of them, by which rules."""

    demand: Demand
    rules: Rules
    evaluators: Evaluators
    """They remember what was evaluated before."""


def fits(
    position: int,
    demand: Demand,
    spec: StackSpec,
    catalog: Catalog,
    on_offer: Offers,
    evaluators: Evaluators | None = None,
) -> AgentFits:
    """Where the agent fits: every parallelism of every accelerator, on every machine that the stack may use.

    ``evaluators`` remember what was evaluated before.
    """
    found = prepared(position, demand, spec, catalog, evaluators)
    return found if isinstance(found, AgentFits) else fits_on(position, found, spec, catalog, on_offer)


def prepared(
    position: int, demand: Demand, spec: StackSpec, catalog: Catalog, evaluators: Evaluators | None = None
) -> Prepared | AgentFits:
    """What is asked of machines; that it fits nowhere, where its engine cannot serve it on any."""
    if demand.agent.engine not in PORTS:
        return _nowhere(position, demand, (_refused_engine(demand),))
    release = catalog.release(demand.agent.engine, demand.agent.engine_version)
    cannot = (
        *engine_versions.missing(demand, release, catalog),
        *_refused_features(demand, release, spec, catalog),
    )
    if cannot:
        return _nowhere(position, demand, cannot)
    caches = prefix_cache(release.engine, release.version, demand.model, catalog)
    if caches == "never":
        demand = without_shared_prefix(demand)
    rules = Rules(
        release=release,
        facts=catalog.facts(release.engine, release.version),
        accounted_as=accounting_version(release.engine, release.version, catalog),
        round_trip_ms=spec.network.round_trip_ms,
        session_affine=spec.network.routing == "session-affine",
        offload=catalog.engine_host_memory(release.engine, release.version),
        must_stream=caching.wanted_loader(spec) == "runai-streamer" or spec.model_cache.stream == "always",
        prefix_cache=caches,
        reserve_ratio=spec.capacity.memory_reserve_ratio,
        fills_machines=target_of(spec).can.replica_fills_machine,
        attention_groups=catalog.engine_can(release.engine, release.version, "attention-groups")
        and spec.network.router != "gateway",  # whose pickers read one series of each pod
        group_choice=_group_choice(spec, catalog, release),
        calibrations={
            row.id: measured
            for row in catalog.accelerators
            if (measured := catalog.calibration(row.id, demand.model.id, demand.agent.engine)) is not None
        }
        if catalog.calibrations
        else {},
    )
    return Prepared(demand=demand, rules=rules, evaluators=evaluators or Evaluators())


def fits_on(position: int, asked: Prepared, spec: StackSpec, catalog: Catalog, on_offer: Offers) -> AgentFits:
    """Where it fits of these machines."""
    demand, rules, known = asked.demand, asked.rules, asked.evaluators
    release, evaluator = rules.release, known.of(demand, rules)
    away = joined.first_joined(on_offer.machines, spec)
    beside = None if away is None else known.of(demand, replace(rules, round_trip_ms=joined.round_trip_ms(away, spec)))
    on: list[OnAccelerator] = []
    first: Candidate | None = None
    for accelerator, available in _by_accelerator(on_offer.machines, catalog):
        barred = engine_versions.barred(demand, accelerator, release, catalog)
        if barred is not None:
            on.append(OnAccelerator(results=(barred,), not_tried=()))
            continue
        nodes = (
            available if beside is None else [machine for machine in available if not joined.is_joined(machine, spec)]
        )
        results: list[Fit | Rejection] = []
        spanning: list[Fit | Rejection] = []
        not_tried: list[Rejection] = []
        if nodes:
            evaluated = evaluator.evaluate(accelerator, max(machine.accelerators for machine in nodes))
            spanning, not_tried = _over_nodes(evaluated, evaluator, spec, catalog, release, nodes)
            results = _placed(evaluated, nodes, spec)
        if beside is not None and len(nodes) < len(available):
            others = [machine for machine in available if joined.is_joined(machine, spec)]
            evaluated = beside.evaluate(accelerator, max(machine.accelerators for machine in others))
            results += _placed(evaluated, others, spec, beside=True)
        on.append(OnAccelerator(results=(*results, *spanning), not_tried=tuple(not_tried)))
        first = first or next((result.candidate for result in on[-1].results if isinstance(result, Fit)), None)
    return AgentFits(
        position=position,
        demand=demand,
        release=release,
        evaluator=evaluator,
        beside=beside,
        own_models_gib=0.0 if first is None else caching.models_gib(caching.cached_models([first], spec)),
        on=tuple(_with_stated_memory_kept(demand, on)),
        rejections=(
            *(unpriced_rejection(demand, sold) for sold in on_offer.unpriced),
            *(left_out_rejection(demand, left_out) for left_out in on_offer.left_out),
        ),
    )


def _with_stated_memory_kept(demand: Demand, found: Sequence[OnAccelerator]) -> Sequence[OnAccelerator]:
    """Nothing but kept caches where the spec states the memory of each session and one replica of some size keeps all of them.

    Unless it says otherwise (``pausedCache``).
    """
    agent = demand.agent
    served = [member.agent for member in demand.served]
    stated = any(each.conversation.max_context_tokens or each.overrides.context_tokens for each in served)
    kept = (each.candidate for on in found for each in on.results if isinstance(each, Fit) and not each.candidate.away)
    if agent.paused_cache != "auto" or not stated or not any(candidate.peak_replicas == 1 for candidate in kept):
        return found
    return [
        replace(on, results=tuple(each for each in on.results if not isinstance(each, Fit) or not each.candidate.away))
        for on in found
    ]


def _group_choice(spec: StackSpec, catalog: Catalog, release: EngineRelease) -> GroupChoice:
    """A router that brings sessions back to their replica does so to their attention group too, where requests can name it."""
    can = target_of(spec).can
    routed = can.keeps_sessions and (can.runs_machines or spec.network.router in ("auto", "nginx"))
    told = catalog.engine_can(release.engine, release.version, "group-by-request")
    return "by-session" if routed and told and spec.network.routing == "session-affine" else "balanced"


def _nowhere(position: int, demand: Demand, rejections: tuple[Rejection, ...]) -> AgentFits:
    return AgentFits(
        position=position,
        demand=demand,
        release=None,
        evaluator=None,
        beside=None,
        own_models_gib=0.0,
        on=(),
        rejections=rejections,
    )


def _placed(
    evaluated: Iterable[Candidate | Rejection], available: Sequence[Machine], spec: StackSpec, *, beside: bool = False
) -> list[Fit | Rejection]:
    """What was evaluated, on every machine that holds it; all of them nodes, or all ``beside`` the cluster."""
    return [
        found
        for result in evaluated
        for found in (
            [result] if isinstance(result, Rejection) else _on_machines(result, available, spec, beside=beside)
        )
    ]


def _on_machines(
    candidate: Candidate, available: Iterable[Machine], spec: StackSpec, *, beside: bool = False
) -> Iterator[Fit | Rejection]:
    """The candidate on every machine that is large enough, or why not there."""
    for machine in available:
        if machine.accelerators < candidate.accelerators_per_pod:
            continue
        bar = joined.bar(candidate, machine) if beside else lacks.bar(candidate, machine, target_of(spec))
        if bar is not None:
            yield bar
        elif not host_memory.fits(candidate, machine):
            yield host_memory.rejection(candidate, machine)
        else:
            yield Fit(candidate=candidate, machine=machine)


def _over_nodes(
    on_one: Sequence[Candidate | Rejection],
    evaluator: Evaluator,
    spec: StackSpec,
    catalog: Catalog,
    release: EngineRelease,
    available: Sequence[Machine],
) -> tuple[list[Fit | Rejection], list[Rejection]]:
    """Replicas over several machines of a kind, where one of them does not hold the model.

    What fits or does not serve; and why no candidate was tried on the best of the machines.
    """
    results: list[Fit | Rejection] = []
    barred: list[Rejection] = []
    seen: dict[tuple[int, float], list[Candidate | Rejection]] = {}
    for machine in available:
        if machine.accelerators < several_nodes.LEAST_ACCELERATORS or not several_nodes.are_needed(on_one, machine):
            continue
        bar = (
            lacks.bar_over_nodes(evaluator.demand, machine, target_of(spec))
            or several_nodes.bar(evaluator.demand, machine, release)
            or several_nodes.bar_in_zones(evaluator.demand, machine, spec.capacity)
        )
        if bar is not None:
            barred.append(bar)
            continue
        key = (machine.accelerators, several_nodes.gbps_between(machine))
        if key not in seen:
            seen[key] = evaluator.evaluate_over_nodes(catalog.accelerator(machine.accelerator), *key)
        for result in seen[key]:
            results.extend([result] if isinstance(result, Rejection) else _on_machines(result, [machine], spec))
    return results, [min(barred, key=shortfall)] if barred else []


def _by_accelerator(on_offer: Iterable[Machine], catalog: Catalog) -> list[tuple[Accelerator, list[Machine]]]:
    grouped: dict[str, list[Machine]] = {}
    for machine in on_offer:
        grouped.setdefault(machine.accelerator, []).append(machine)
    return [(catalog.accelerator(name), grouped[name]) for name in sorted(grouped)]


def _refused_engine(demand: Demand) -> Rejection:
    message = (
        "Ollama is for local development: it has no continuous batching that carries production sessions. Leave the engine "
        "out; for the target compose the rendered files serve the same agents by Ollama under the profile local"
    )
    return demand_rejection(demand, None, "engine", message)


def _refused_features(demand: Demand, release: EngineRelease, spec: StackSpec, catalog: Catalog) -> Iterable[Rejection]:
    """What the agent asks for and its engine, in this version, or its model cannot do."""
    wishes = Wishes(
        agent=demand.agent,
        model=demand.model,
        precision=demand.precision,
        version=release.version,
        parsers=parsers_in(catalog, release.engine, release.version),
        image_is_pinned=spec.pins.engine_image is not None,
        loader=caching.wanted_loader(spec),
    )
    found: list[tuple[Constraint, str]] = [
        ("engine-feature", message) for message in PORTS[release.engine].refusals(wishes)
    ]
    if spec.model_cache.stream == "always" and (barred := streaming.bar(demand.agent, release)):
        found.append(("engine-feature", barred))
    if spec.security.api_key_secret is not None and PORTS[release.engine].api_key_variable is None:
        found.append(("engine-feature", f"{PORTS[release.engine].title} cannot ask callers for an API key"))
    if demand.agent.text_only and has_towers(demand.model) and not demand.model.is_text_only:
        message = f"{PORTS[release.engine].title} is not known to leave out what reads pictures and sound (textOnly)"
        found.append(("engine-feature", message))
    if no_head := speculation.fault(demand.model, demand.agent):
        found.append(("speculative", no_head))
    if no_weights := target_of(spec).weights_fault(demand.model, spec):
        found.append(("weights", no_weights))
    return [demand_rejection(demand, None, constraint, message) for constraint, message in found]
