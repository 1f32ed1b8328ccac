"""The model cache of a node: which models it holds, where, and how long a replica takes to start from it."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import fields
from functools import lru_cache

from agentgpu_iac.catalog.model import EngineRelease, InstanceType
from agentgpu_iac.catalog.store import Catalog
from agentgpu_iac.plan import (
    CachedModel,
    CachedRepository,
    ColdStartPlan,
    ColdStartUpper,
    FillerPlan,
    PriorityLevel,
    StorageChoice,
    WeightLoader,
)
from agentgpu_iac.plan.machine_paths import MODELS_FOLDER
from agentgpu_iac.planning import speculation
from agentgpu_iac.planning.choosing import host_memory, streaming
from agentgpu_iac.planning.choosing.candidates import Candidate
from agentgpu_iac.planning.choosing.known import Itself
from agentgpu_iac.planning.choosing.pricing import Machine
from agentgpu_iac.planning.engines import PORTS
from agentgpu_iac.sizing import loading, memory, starting
from agentgpu_iac.sizing.engines import SIZING_PORTS
from agentgpu_iac.spec.model import Agent, LoraAdapter, StackSpec
from agentgpu_iac.spec.repository import repository_of
from agentgpu_iac.spec.vocabulary import Storage
from agentgpu_iac.targets import target_of
from agentgpu_iac.units import GB, GIB, round_up, rounded

_DEFAULT_REVISION = "main"

NVME_CACHE_SHARE = 0.8
"""Part of the instance store for models; the rest is for images, logs and emptyDirs."""
ROOT_VOLUME_MIB_PER_S = loading.USUAL_VOLUME_MIB_PER_S
"""gp3 throughput of the root volume: with 3,000 IOPS the starting point that Karpenter's blueprints give."""
ROOT_VOLUME_IOPS = 3000

_COMPILED_GIB = 20
"""Beside the models on a volume: code that engines compile, and the hub library's notes (a judgement)."""

_PATHS: dict[Storage, str] = {
    "nvme": "/mnt/k8s-disks/0/agentgpu-models",  # AL2023 mounts the RAID0 of instance-store disks at /mnt/k8s-disks/0
    "ebs-gp3": "/var/lib/agentgpu-models",
}


def path(storage: Storage, spec: StackSpec, *, beside_cluster: bool = False) -> str:
    """Directory of the cache on the node, or on a virtual machine."""
    return MODELS_FOLDER if target_of(spec).can.runs_machines or beside_cluster else _PATHS[storage]


def nvme_room_gib(machine: Machine) -> int:
    """What the instance store holds for models, in GiB."""
    return int(machine.instance.nvme_total_gb * GB / GIB * NVME_CACHE_SHARE)


def room_gib(models_gib: float) -> int:
    """What a cache of these models needs, in whole GiB."""
    return math.ceil(loading.cache_room_gib(models_gib))


def volume_gib(models_gib: float, *, step: int) -> int:
    """The part of a disk for these models and for what engines compile, in whole steps."""
    return round_up(room_gib(models_gib) + _COMPILED_GIB, step)


def storage(machine: Machine, models_gib: float, spec: StackSpec) -> Storage:
    """The instance store, unless the spec says otherwise or there is none with room for the models, twice."""
    wants_nvme = spec.model_cache.storage == "nvme"
    return "nvme" if wants_nvme and nvme_room_gib(machine) >= max(1, room_gib(models_gib)) else "ebs-gp3"


def revision(agent: Agent) -> str:
    """Revision of the agent's model: the one stated, else that of the page that names it, else main."""
    return agent.model_revision or repository_of(agent.model).revision or _DEFAULT_REVISION


def adapter(adapter: LoraAdapter) -> CachedRepository:
    """A LoRA adapter of the agent at its revision: the one stated, else main."""
    return _cached(adapter.source, adapter.revision).model_copy(update={"served_as": adapter.name})


def directory(repository: str, at_revision: str) -> str:
    """A directory name for a repository at a revision, safe in paths, flags and YAML."""
    parts = [*repository.split("/"), at_revision]
    return "--".join(re.sub(r"[^a-z0-9.]+", "-", part.lower()).strip("-.") for part in parts if part.strip("./"))


def checkpoint_gib(candidate: Candidate) -> float:
    """What is downloaded and read: the published checkpoint where the engine quantises it at load."""
    model, precision = candidate.demand.model, candidate.demand.precision
    if model.checkpoint_bytes is not None:
        return model.checkpoint_bytes / GIB
    published = model.native_precision if precision == "fp8" else precision
    return memory.weight_bytes(model, published) / GIB


def draft(candidate: Candidate) -> CachedRepository | None:
    """The draft model that must be in the cache before the engine starts."""
    speculative = candidate.demand.agent.speculative
    if speculative is None or speculative.model is None:
        return None
    return _cached(speculative.model, speculative.model_revision)


def _cached(repository: str, stated_revision: str | None) -> CachedRepository:
    at_revision = stated_revision or _DEFAULT_REVISION
    return CachedRepository(path=directory(repository, at_revision), revision=at_revision)


def draft_gib(candidate: Candidate) -> float:
    """What is downloaded and read of the draft model; 0 without one."""
    speculative = candidate.demand.agent.speculative
    if speculative is None or speculative.model is None:
        return 0.0
    return speculation.checkpoint_gib(speculative, candidate.demand.draft)


def loaded_gib(candidate: Candidate) -> float:
    """What a replica reads at start."""
    return checkpoint_gib(candidate) + draft_gib(candidate)


def wanted_loader(spec: StackSpec) -> WeightLoader | None:
    """The loader that the stack names; nothing where the planner may choose."""
    return None if spec.model_cache.loader == "auto" else spec.model_cache.loader


def streams(candidate: Candidate, machine: Machine, release: EngineRelease, spec: StackSpec, engines: int = 1) -> bool:
    """Whether the replica streams its weights from the bucket on this machine, so that no cache holds them."""
    if spec.model_cache.stream == "never":
        return False
    own_gib = models_gib(cached_models([candidate], spec))
    return streaming.streams(
        candidate,
        machine,
        release,
        spec,
        loaded_gib=loaded_gib(candidate),
        cached_on=storage(machine, own_gib, spec),
        volume_mib_per_s=ROOT_VOLUME_MIB_PER_S,
        engines=engines,
    )


def loader(
    candidate: Candidate, machine: Machine, release: EngineRelease, on: Storage, spec: StackSpec, engines: int = 1
) -> WeightLoader:
    """How the engine reads its weights: as the stack says, else a streamer where measured runs show it to be faster.

    They do for a network volume, where the default loader waits for each page. On a local disk nobody measured one. Its
    buffers must have room beside everything else in the pod's memory, of which ``engines`` take a part each.
    """
    wanted = wanted_loader(spec)
    if wanted is not None:
        return wanted
    if streams(candidate, machine, release, spec, engines):
        return "runai-streamer"
    if on != "ebs-gp3" or not PORTS[release.engine].streams_unasked(release.version):
        return "default"
    has_room = host_memory.streamer_mib(candidate, machine, loaded_gib(candidate), engines) is not None
    return "runai-streamer" if has_room else "default"


def cached_models(candidates: Iterable[Candidate], spec: StackSpec) -> tuple[CachedModel, ...]:
    """The models and adapters that the nodes of these candidates keep, each once.

    A model that is known by its config.json alone has no repository, but may well lie in a bucket.
    """
    cached: dict[str, CachedModel] = {}
    secret, has_bucket = spec.model_cache.token_secret, spec.model_cache.source == "s3"
    fillers = spec.cluster_objects.cache_fillers
    for candidate in candidates:
        agent, model = candidate.demand.agent, candidate.demand.model
        base = CachedRepository(path=directory(model.id, revision(agent)), revision=revision(agent))
        found = [(model.id, base, checkpoint_gib(candidate), has_bucket or not model.is_local, False)]
        found += [
            (each.source, adapter(each), memory.lora_slot_gib(model, each.rank), True, True)
            for each in agent.lora_adapters
        ]
        beside = draft(candidate)
        if beside is not None and agent.speculative is not None and agent.speculative.model is not None:
            found.append((agent.speculative.model, beside, draft_gib(candidate), True, False))
        for repository, place, size_gib, fill, is_adapter in found:
            known = cached.get(place.path)
            cached[place.path] = CachedModel(
                model=repository,
                path=place.path,
                revision=place.revision,
                gib=max(rounded(size_gib, 3), 0.0 if known is None else known.gib),
                fill=fill and fillers,
                token_secret=secret,
                kind="adapter" if is_adapter else "model",
                runs_code=agent.trust_remote_code or (known is not None and known.runs_code),
            )
    return tuple(cached[where] for where in sorted(cached))


_FILLER_CPU_MILLI = 100
_FILLER_MEMORY_MIB = 512
_FILLER_MEMORY_LIMIT_MIB = 4096
"""What a filler asks for, and the memory that it may use while it downloads; afterwards it idles."""
_DELAY_S_PER_NODE = 2
_LONGEST_DELAY_S = 60
"""Fillers begin spread over two seconds a node, and over a minute at most: a new node is wanted soon (a judgement)."""
_CONNECTIONS_IN_ALL = 128
_LEAST_CONNECTIONS, _MOST_CONNECTIONS = 4, 16
"""Downloads at once of all nodes of a pool, and the least and most of one: sixteen carry what one node's network does
(s3_bucket.py), and a hub counts the requests of one address."""
LEAST_FILL_TIMEOUT_S = 1800
"""A line that is slower than any plan is no reason to start over within half an hour."""


def filler(
    cached: Sequence[CachedModel], priority: PriorityLevel, spec: StackSpec, machine: Machine, nodes: int
) -> FillerPlan | None:
    """The pod that fills a node's cache with these models, as many nodes at once; None where there is none to fill."""
    filled_gib = models_gib(model for model in cached if model.fill)
    if not filled_gib:
        return None
    delay_s = min(_LONGEST_DELAY_S, _DELAY_S_PER_NODE * (nodes - 1))
    rate = loading.slowest_fill_gib_per_s(
        machine.instance,
        storage(machine, models_gib(cached), spec),
        ROOT_VOLUME_MIB_PER_S,
        nodes_at_once=nodes,
        share_gateway=spec.model_cache.source == "huggingface"
        and target_of(spec).can.has_cluster
        and machine.instance.provider not in target_of(spec).joined(spec),
    )
    fill_s = delay_s + filled_gib / rate
    with_error_s = math.ceil(fill_s * (1 + starting.FILL_ERROR_RATIO))
    return FillerPlan(
        cpu_milli=_FILLER_CPU_MILLI,
        memory_mib=_FILLER_MEMORY_MIB,
        memory_limit_mib=_FILLER_MEMORY_LIMIT_MIB,
        priority=priority,
        bucket=spec.model_cache.bucket if spec.model_cache.source == "s3" else None,
        nodes_at_once=nodes,
        start_delay_s=delay_s,
        connections=max(_LEAST_CONNECTIONS, min(_MOST_CONNECTIONS, _CONNECTIONS_IN_ALL // nodes)),
        gib_per_s=rounded(rate, 6),
        fill_s=rounded(fill_s, 1),
        timeout_s=max(LEAST_FILL_TIMEOUT_S, round_up(with_error_s, 60)),
    )


UNKNOWN_IMAGE_GB = 9.35
"""Stands in for an image whose size was not found: vLLM's, which also holds CUDA and PyTorch."""
RECOMMENDED_LOAD_S = 60.0
"""Weights should be off the storage within a minute: a rollout then costs little more than the engine's own start."""


def storage_choices(candidate: Candidate, machine: Machine, catalog: Catalog) -> tuple[StorageChoice, ...]:
    """Where the replica's weights could be loaded from on this machine, fastest first, one of them recommended.

    None where the prices of the provider's volumes are not known.
    """
    volumes = catalog.volume_types(machine.instance.provider)
    if not volumes:
        return ()
    size_gib = loaded_gib(candidate)
    options = loading.storage_options(machine.instance, size_gib, volumes, ranks=candidate.accelerators_per_pod)
    best = loading.recommended(options, RECOMMENDED_LOAD_S)
    return tuple(
        StorageChoice(
            path=option.path,
            loader=option.loader,
            seconds=rounded(option.seconds, 1),
            usd_per_month=option.usd_per_month,
            recommended=option is best,
            why=option.why,
        )
        for option in options
    )


def models_gib(cached: Iterable[CachedModel]) -> float:
    """What a cache must hold for these models, as the plan says it."""
    return sum(model.gib for model in cached)


def cold_start_s(candidate: Candidate, start: starting.Bounded) -> float:
    """The likely cold start, which the plan prints: as set by hand, else as predicted."""
    return rounded(candidate.demand.agent.overrides.cold_start_s or start.likely.total, 1)


def latest_start_s(candidate: Candidate, start: starting.Bounded) -> float:
    """The cold start at worst, by which replicas are made warm; one that was measured and set by hand counts as it is."""
    return rounded(candidate.demand.agent.overrides.cold_start_s or start.upper_total, 1)


PARALLEL_PULL_FAMILY = "al2023"
"""Nodes of Amazon Linux 2023 are set up by nodeadm, whose gate FastImagePull makes SOCI pull in parallel."""
PARALLEL_PULL_SINCE = "20251217"
"""First images whose nodeadm knows the gate (from 20250813 on) and has SOCI keep its layers on the instance store."""


def image_pull(machine: Machine, spec: StackSpec) -> starting.ImagePull:
    """How images come to the node: in parallel where the node's user data is ours and its disk takes it."""
    ours = target_of(spec).makes_nodes_of(machine.instance.provider) and _pulls_in_parallel(spec.pins.ami_alias)
    wanted = ours and spec.capacity.image_pull == "parallel"
    return "parallel" if wanted and starting.parallel_pull_pays(machine.instance, ROOT_VOLUME_MIB_PER_S) else "default"


def _pulls_in_parallel(ami_alias: str | None) -> bool:
    """Whether nodes of that image know the gate; an unpinned one is the newest."""
    if ami_alias is None:
        return True
    family, _, version = ami_alias.partition("@v")
    return family == PARALLEL_PULL_FAMILY and version >= PARALLEL_PULL_SINCE


def cold_start(
    candidate: Candidate,
    machine: Machine,
    release: EngineRelease,
    spec: StackSpec,
    *,
    node_models_gib: float,
    engines: int = 1,
) -> starting.Bounded:
    """How long a replica of the candidate takes from nothing on this machine.

    Nodes of one replica start side by side; each is counted as reading the whole checkpoint, which is the safe side.

    ``node_models_gib`` is everything that the node's cache is filled with.
    """
    kept_on = storage(machine, node_models_gib, spec)
    from_bucket = streams(candidate, machine, release, spec, engines)
    # The loader that is named is asked first, as ``loader`` does.
    streamed = from_bucket and wanted_loader(spec) is None
    if not streamed:
        streamed = loader(candidate, machine, release, kept_on, spec, engines) == "runai-streamer"
    return _cold_start(
        Itself(machine.instance),
        started_engine(candidate, release),
        loaded_gib(candidate),
        node_models_gib,
        kept_on,
        loading.Reader(
            ranks=candidate.accelerators_per_pod,
            loader="streamer" if streamed else "default",
            from_bucket=from_bucket,
        ),
        starting.NewNode(
            image_gb=release.image_gb or UNKNOWN_IMAGE_GB,
            image_pull=image_pull(machine, spec),
            error_ratio=target_of(spec).node_error_ratio,
        ),
    )


@lru_cache(maxsize=8192)
def _cold_start(
    instance: Itself[InstanceType],
    engine: starting.Starting,
    model_gib: float,
    node_models_gib: float,
    kept_on: Storage,
    reader: loading.Reader,
    node: starting.NewNode,
) -> starting.Bounded:
    """The same for every agent whose engine starts alike."""
    return starting.cold_start(
        instance.thing,
        engine,
        model_gib=model_gib,
        node_models_gib=node_models_gib,
        storage=kept_on,
        root_volume_mib_per_s=ROOT_VOLUME_MIB_PER_S,
        reader=reader,
        node=node,
    )


def started_engine(candidate: Candidate, release: EngineRelease) -> starting.Starting:
    """What the start of the candidate's engine depends on."""
    return starting.starting(
        candidate.demand.model,
        candidate.accelerator,
        precision=candidate.demand.precision,
        ranks=candidate.accelerators_per_replica,
        version=release.version,
        is_measured=SIZING_PORTS[candidate.demand.agent.engine].starts_measured,
    )


def cold_start_plan(
    candidate: Candidate, machine: Machine, release: EngineRelease, models_gib: float, spec: StackSpec, engines: int = 1
) -> ColdStartPlan:
    """How a replica starts on a new node, whose cache is filled with that many GiB of models."""
    start = cold_start(candidate, machine, release, spec, node_models_gib=models_gib, engines=engines)
    likely_s, latest_s = cold_start_s(candidate, start), latest_start_s(candidate, start)
    return ColdStartPlan(
        **_phases(start.likely),
        total=likely_s,
        warm_node_total=rounded(start.likely.warm_node_total, 1),
        restart_total=rounded(start.restart, 1),
        error_ratio=rounded(latest_s / likely_s - 1, 2),
        image_pull=image_pull(machine, spec),
        upper=ColdStartUpper(
            **_phases(start.upper),
            total=latest_s,
            warm_node_total=rounded(start.upper_warm_node_total, 1),
            alone_total=latest_s,
            restart_total=rounded(start.upper_restart, 1),
        ),
    )


def among_others(candidate: Candidate, start: ColdStartPlan, filler: FillerPlan | None) -> ColdStartPlan:
    """The start with the fill at worst as long as it takes while all nodes of the pool fill their caches.

    What waits for a start, or ends it, must bear that; how many replicas are warm was decided by a node that fills alone,
    since how many others there are follows from it. A start that was set by hand stays as it is.
    """
    late = start.upper
    if filler is None or filler.fill_s <= late.cache_fill:
        return start
    late_s = late.total
    if candidate.demand.agent.overrides.cold_start_s is None:
        others = (late.total - start.total) ** 2 - (late.cache_fill - start.cache_fill) ** 2
        late_s = rounded(start.total + math.hypot(math.sqrt(max(0.0, others)), filler.fill_s - start.cache_fill), 1)
    return start.model_copy(
        update={
            "error_ratio": rounded(late_s / start.total - 1, 2),
            "upper": late.model_copy(update={"cache_fill": filler.fill_s, "total": late_s}),
        }
    )


def _phases(start: starting.ColdStart) -> dict[str, float]:
    return {phase.name: rounded(getattr(start, phase.name), 1) for phase in fields(start)}
