"""The engines: one Deployment per workload, or one LeaderWorkerSet where a replica stands on several nodes."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import ClassVar

from agentgpu_iac.errors import BadInput, Fault
from agentgpu_iac.plan import CachedRepository, NodePool, Plan, Workload
from agentgpu_iac.plan.mounts import ENGINE_CACHE_MOUNT, MODELS_MOUNT, SETTINGS_MOUNT
from agentgpu_iac.plan.nodes import (
    ACCELERATOR_RESOURCE,
    AGENT_LABEL,
    ENGINE_UID,
    FABRIC_RESOURCE,
    POOL_LABEL,
    STREAMING_SERVICE_ACCOUNT,
    TIER_LABEL,
)
from agentgpu_iac.rendering.context import Context, Draft, Pairs, Part
from agentgpu_iac.rendering.names import (
    BASE,
    COMPONENT_LABEL,
    ENGINE_COMPONENT,
    ENGINE_WORKER_COMPONENT,
    GROUPS,
    SCRIPT,
    SCRIPT_FOLDER,
    SCRIPTS_NAME,
    SERVICE_ACCOUNT,
    labels,
    model_cache,
    priority_of,
    topology_keys,
    workload_labels,
)
from agentgpu_iac.units import cpu_quantity, mib_quantity

HOME_FOLDER = "/home/engine"
_SCRATCH_LIMIT_MIB = 8192
"""Most that an engine may put into /tmp, and most into its home, on the node's disk."""
_COMPILED = (
    ("TRITON_CACHE_DIR", "triton"),
    ("DG_JIT_CACHE_DIR", "deep_gemm"),
    ("CUDA_CACHE_PATH", "cuda"),
    ("XDG_CACHE_HOME", "cache"),
)
"""Where what is compiled at start is kept, so that the next start finds it: Triton's kernels, DeepGEMM's, the driver's, and
whatever else keeps to the XDG convention (SGLang 0.5.23, torch's extensions). What an engine keeps elsewhere is in its port."""
_GROUP_KEY_LABEL = "leaderworkerset.sigs.k8s.io/group-key"
"""What the LeaderWorkerSet controller gives all pods of one group, and no other pod."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeploymentContext(Context):
    """One agent in one tier."""

    template: ClassVar[str] = "deployment.yaml.j2"
    name: str
    namespace: str
    labels: Pairs
    annotations: Pairs
    replicas: tuple[int, ...]
    """Nothing where something scales the workload: whoever applies it again must not undo that."""
    max_surge: int
    max_unavailable: int
    progress_deadline_s: int
    selector: Pairs
    is_of_group: bool
    """Whether the pod is one of a group that must stand in one zone."""
    group: Pairs
    """Labels that the pods of all groups of the workload have in common."""
    group_key: str
    service_account: str
    uid: int
    grace_period_s: int
    has_priority: bool
    priority_class: str | None
    spread_keys: tuple[str, ...]
    """Node labels over which replicas are spread where that is possible."""
    must_spread: bool
    """Whether replicas must be spread evenly over ``zones`` zones."""
    zones: int
    spreads: bool
    node_selector: Pairs
    taint_key: str
    image: str
    wait_command: tuple[str, ...]
    command: tuple[str, ...]
    args: tuple[str, ...]
    environment: Pairs
    answers: bool
    """Whether the container serves requests, and so has a port and probes."""
    secret_environment: tuple[tuple[str, str, str], ...]
    """Variables, and the Secret and key that each is read from."""
    port: int
    health_path: str
    ready_path: str
    cpu: str
    memory: str
    devices: Pairs
    startup_period_s: int
    startup_failure_threshold: int
    readiness_period_s: int
    liveness_period_s: int
    liveness_failure_threshold: int
    pre_stop_s: tuple[int, ...]
    """Empty, or the one duration to wait before SIGTERM."""
    home_folder: str
    models_folder: str
    engine_cache_folder: str
    engine_cache_sub_path: str
    script_folder: str
    scripts: str
    settings: tuple[str, ...]
    """Empty, or the one ConfigMap of the files that the engine reads."""
    settings_folder: str
    model_cache: str
    shm_size: str
    scratch_size: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineSettingsContext(Context):
    """Files that an engine reads at start. Immutable: another content has another name, so that pods are replaced."""

    template: ClassVar[str] = "engine-settings.yaml.j2"
    name: str
    namespace: str
    labels: Pairs
    files: Pairs


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaderWorkerSetContext(Context):
    """One agent in one tier, each replica a group of pods on as many nodes. Its pods are the Deployment's."""

    template: ClassVar[str] = "leader-worker-set.yaml.j2"
    name: str
    namespace: str
    labels: Pairs
    annotations: Pairs
    replicas: tuple[int, ...]
    """As a Deployment's."""
    size: int
    max_surge: int
    max_unavailable: int


def engine_drafts(plan: Plan) -> tuple[Draft, ...]:
    """What carries all agents. Raises BadInput for workloads that nothing here can carry."""
    pools = {pool.name: pool for pool in plan.node_pools}
    faults = [fault for workload in plan.workloads for fault in _faults(pools[workload.node_pool], workload)]
    if faults:
        raise BadInput(faults)
    return (
        *(_engine(plan, workload, pools[workload.node_pool]) for workload in plan.workloads),
        *(
            Draft(folder=BASE, context=_engine_settings(plan, workload))
            for workload in plan.workloads
            if workload.engine.files
        ),
    )


def _engine(plan: Plan, workload: Workload, pool: NodePool) -> Draft:
    leader = _deployment(plan, workload, pool)
    if workload.kind == "Deployment":
        return Draft(folder=BASE, context=leader)
    pods = (("leaderTemplate", leader), ("workerTemplate", _worker(leader, workload)))
    return Draft(
        folder=GROUPS,
        context=_leader_worker_set(plan, workload),
        parts=tuple(
            Part(place=("spec", "leaderWorkerTemplate", name), context=pod, taken_from=("spec", "template"))
            for name, pod in pods
        ),
    )


def _faults(pool: NodePool, workload: Workload) -> tuple[Fault, ...]:
    found: list[Fault] = []
    on_a_node = pool.accelerators_per_node * pool.slots_per_accelerator
    if workload.pod.accelerators > on_a_node:
        message = f"a pod of {workload.pod.accelerators} does not fit a node of {on_a_node}"
        hint = "a replica over several nodes has a pod on each: nodesPerReplica"
        found.append(_fault(workload, "pod.accelerators", message, hint))
    return tuple(found)


def _fault(workload: Workload, path: str, message: str, hint: str) -> Fault:
    return Fault(source="plan", path=f"workloads.{workload.name}.{path}", message=message, hint=hint)


def _deployment(plan: Plan, workload: Workload, pool: NodePool) -> DeploymentContext:
    return DeploymentContext(
        name=workload.name,
        namespace=plan.stack,
        labels=_labels(plan, workload, ENGINE_COMPONENT),
        annotations=_annotations(workload),
        replicas=_replicas(workload),
        max_surge=workload.rollout.max_surge,
        max_unavailable=workload.rollout.max_unavailable,
        progress_deadline_s=workload.rollout.progress_deadline_s,
        selector=((COMPONENT_LABEL, ENGINE_COMPONENT), *_whose(workload)),
        is_of_group=workload.kind == "LeaderWorkerSet",
        group=_whose(workload),
        group_key=_GROUP_KEY_LABEL,
        service_account=SERVICE_ACCOUNT if workload.model_cache.streamed_from is None else STREAMING_SERVICE_ACCOUNT,
        uid=ENGINE_UID,
        grace_period_s=workload.drain.grace_period_s,
        has_priority=bool(plan.priority_classes),
        priority_class=priority_of(plan, workload.pod.priority),
        spread_keys=topology_keys(workload.pod.spread),
        must_spread=workload.pod.zones > 1,
        zones=workload.pod.zones,
        spreads=bool(workload.pod.spread) or workload.pod.zones > 1,
        node_selector=((POOL_LABEL, workload.node_pool),),
        taint_key=ACCELERATOR_RESOURCE,
        image=workload.engine.image,
        wait_command=wait_command(workload),
        command=engine_command(workload),
        args=workload.engine.args,
        environment=engine_environment(workload),
        secret_environment=tuple(
            (secret.variable, secret.secret, secret.key) for secret in workload.engine.secret_environment
        ),
        answers=True,
        port=workload.port,
        health_path=workload.engine.health_path,
        ready_path=workload.engine.ready_path,
        cpu=cpu_quantity(workload.pod.cpu_milli),
        memory=mib_quantity(workload.pod.memory_mib),
        devices=_devices(workload),
        startup_period_s=workload.probes.startup_period_s,
        startup_failure_threshold=workload.probes.startup_failure_threshold,
        readiness_period_s=workload.probes.readiness_period_s,
        liveness_period_s=workload.probes.liveness_period_s,
        liveness_failure_threshold=workload.probes.liveness_failure_threshold,
        pre_stop_s=(workload.drain.pre_stop_s,) if workload.drain.pre_stop_s else (),
        home_folder=HOME_FOLDER,
        models_folder=MODELS_MOUNT,
        engine_cache_folder=ENGINE_CACHE_MOUNT,
        engine_cache_sub_path=_engine_cache(workload),
        script_folder=SCRIPT_FOLDER,
        scripts=SCRIPTS_NAME,
        settings=(_settings(workload),) if workload.engine.files else (),
        settings_folder=SETTINGS_MOUNT,
        model_cache=model_cache(pool),
        shm_size=mib_quantity(workload.pod.shm_mib),
        scratch_size=mib_quantity(_SCRATCH_LIMIT_MIB),
    )


def _engine_settings(plan: Plan, workload: Workload) -> EngineSettingsContext:
    return EngineSettingsContext(
        name=_settings(workload),
        namespace=plan.stack,
        labels=_labels(plan, workload, ENGINE_COMPONENT),
        files=tuple((file.name, file.content) for file in workload.engine.files),
    )


def _settings(workload: Workload) -> str:
    """Name of the workload's settings, with a digest of their content."""
    text = "\0".join(part for file in workload.engine.files for part in (file.name, file.content))
    return f"{workload.name}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def _worker(leader: DeploymentContext, workload: Workload) -> DeploymentContext:
    """A pod on another node of the replica: the same engine, told to work for the one that leads.

    It ends at SIGTERM and would take the answers that the leader still generates with it, so it is sent that signal
    only when the leader has drained.
    """
    labelled = tuple(
        (key, ENGINE_WORKER_COMPONENT if key == COMPONENT_LABEL else value) for key, value in leader.labels
    )
    return replace(
        leader,
        labels=labelled,
        args=workload.engine.worker_args,
        answers=False,
        pre_stop_s=(workload.drain.pre_stop_s + workload.drain.shutdown_timeout_s,),
    )


def _leader_worker_set(plan: Plan, workload: Workload) -> LeaderWorkerSetContext:
    return LeaderWorkerSetContext(
        name=workload.name,
        namespace=plan.stack,
        labels=_labels(plan, workload, ENGINE_COMPONENT),
        annotations=_annotations(workload),
        replicas=_replicas(workload),
        size=workload.nodes_per_replica,
        max_surge=workload.rollout.max_surge,
        max_unavailable=workload.rollout.max_unavailable,
    )


def _replicas(workload: Workload) -> tuple[int, ...]:
    return () if workload.scaling or workload.open_hours else (workload.replicas.min,)


def _labels(plan: Plan, workload: Workload, component: str) -> Pairs:
    return labels(plan.stack, component, name=workload.engine.name, more=workload_labels(workload))


def _whose(workload: Workload) -> Pairs:
    return ((AGENT_LABEL, workload.agent), (TIER_LABEL, workload.tier_label))


def _devices(workload: Workload) -> Pairs:
    """What a device plugin hands out."""
    interfaces = workload.pod.efa_interfaces
    return (
        (ACCELERATOR_RESOURCE, str(workload.pod.accelerators)),
        *(((FABRIC_RESOURCE, str(interfaces)),) if interfaces else ()),
    )


def _annotations(workload: Workload) -> Pairs:
    """What a reader of the cluster wants to know and a label cannot hold. They restart nothing when they change."""
    return (
        ("agentgpu.dev/model", workload.model),
        ("agentgpu.dev/model-revision", workload.model_cache.revision),
        ("agentgpu.dev/accelerator", workload.accelerator),
        ("agentgpu.dev/latency-class", workload.latency_class),
    )


def wait_command(workload: Workload) -> tuple[str, ...]:
    """The command that returns once everything the workload loads is in the cache."""
    return (
        "python3",
        f"{SCRIPT_FOLDER}/{SCRIPT}",
        "wait",
        *_models(workload),
        f"--engine-cache={_engine_cache(workload)}",
    )


def engine_command(workload: Workload) -> tuple[str, ...]:
    """What starts the engine: the script holds its models, so that no filler removes them, and becomes the engine."""
    return ("python3", f"{SCRIPT_FOLDER}/{SCRIPT}", "hold", *_models(workload), "--", *workload.engine.command)


def _models(workload: Workload) -> tuple[str, ...]:
    """The cache, and everything in it that the workload loads."""
    cache = workload.model_cache
    own = (CachedRepository(path=cache.path, revision=cache.revision),) if cache.streamed_from is None else ()
    return (
        f"--root={MODELS_MOUNT}",
        *(
            part
            for repository in (*own, *_beside_the_model(workload))
            for part in ("--model", repository.path, repository.revision)
        ),
    )


def _beside_the_model(workload: Workload) -> tuple[CachedRepository, ...]:
    """What else the engine loads at start: adapters, and the draft of speculative decoding."""
    draft = workload.model_cache.draft
    return (*workload.model_cache.adapters, *(() if draft is None else (draft,)))


def _engine_cache(workload: Workload) -> str:
    """Folder of the workload's compiled code, below the root of the model cache volume. What one version of an engine has
    compiled is of no use to another.
    """
    return f".engine-cache/{workload.name}/{workload.engine.name}-{workload.engine.version}"


def engine_environment(workload: Workload) -> Pairs:
    """Writable places for a user that the image does not know, and nothing that calls home.

    USER and LOGNAME are there because libraries ask for the user's name, which the uid alone does not give. EFA's own
    buffers do without huge pages: Karpenter knows no node that offers them, so no pod can ask for them.
    """
    fabric = (("FI_PROVIDER", "efa"), ("FI_EFA_USE_HUGE_PAGE", "0")) if workload.pod.efa_interfaces else ()
    return (
        ("HOME", HOME_FOLDER),
        ("USER", "engine"),
        ("LOGNAME", "engine"),
        ("HF_HUB_OFFLINE", "1"),
        *((variable.name, variable.value) for variable in workload.engine.environment),
        *((name, f"{ENGINE_CACHE_MOUNT}/{folder}") for name, folder in _COMPILED),
        *fabric,
    )
