"""The engines: one Deployment per workload, one Service per agent."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from typing import ClassVar

from agentgpu_iac.errors import BadInput, Fault
from agentgpu_iac.planning.engines import ENGINE_CACHE_MOUNT, MODELS_MOUNT, PORTS, SETTINGS_MOUNT
from agentgpu_iac.planning.nodes import ACCELERATOR_RESOURCE, AGENT_LABEL, ENGINE_UID, POOL_LABEL, TIER_LABEL
from agentgpu_iac.planning.plan import CachedAdapter, NodePool, Plan, Workload
from agentgpu_iac.rendering.context import Context, Draft, Pairs
from agentgpu_iac.rendering.names import (
    BASE,
    COMPONENT_LABEL,
    SCRIPT,
    SCRIPT_FOLDER,
    SERVICE_ACCOUNT,
    labels,
    model_cache,
    workload_labels,
)
from agentgpu_iac.rendering.stack import agents
from agentgpu_iac.units import cpu_quantity, mib_quantity

_COMPONENT = "engine"

_HOME_FOLDER = "/home/engine"

_SCRATCH_LIMIT_MIB = 8192
"""Most that an engine may put into /tmp, and most into its home, on the node's disk."""

_LEAST_PROGRESS_DEADLINE_S = 600
"""Kubernetes' own default."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeploymentContext(Context):
    """One agent in one tier."""

    template: ClassVar[str] = "deployment.yaml.j2"
    name: str
    namespace: str
    labels: Pairs
    annotations: Pairs
    replicas: int
    max_surge: int
    max_unavailable: int
    progress_deadline_s: int
    selector: Pairs
    service_account: str
    uid: int
    grace_period_s: int
    node_selector: Pairs
    taint_key: str
    image: str
    wait_command: tuple[str, ...]
    command: tuple[str, ...]
    args: tuple[str, ...]
    environment: Pairs
    port: int
    health_path: str
    ready_path: str
    cpu: str
    memory: str
    accelerator_resource: str
    accelerators: str
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
class ServiceContext(Context):
    """One agent: all its tiers behind one address."""

    template: ClassVar[str] = "service.yaml.j2"
    name: str
    namespace: str
    labels: Pairs
    selector: Pairs
    port: int


def engine_drafts(plan: Plan) -> tuple[Draft, ...]:
    """The Deployments and Services of all agents. Raises BadInput for workloads that no Deployment can carry."""
    faults = [fault for workload in plan.workloads for fault in _faults(plan.pool(workload.node_pool), workload)]
    if faults:
        raise BadInput(faults)
    contexts = (
        *(_deployment(plan, workload) for workload in plan.workloads),
        *(_engine_settings(plan, workload) for workload in plan.workloads if workload.engine.files),
        *(_service(plan, agent) for agent in agents(plan)),
    )
    return tuple(Draft(folder=BASE, context=context) for context in contexts)


def _faults(pool: NodePool, workload: Workload) -> tuple[Fault, ...]:
    found: list[Fault] = []
    if workload.engine.name not in PORTS:
        message = f"{workload.engine.name} cannot be rendered for a cluster"
        found.append(_fault(workload, "engine.name", message, f"known: {', '.join(PORTS)}"))
    on_a_node = pool.accelerators_per_node * pool.slots_per_accelerator
    if workload.pod.accelerators > on_a_node:
        message = f"a replica of {workload.pod.accelerators} does not fit a node of {on_a_node}"
        hint = "replicas over several nodes cannot be rendered yet"
        found.append(_fault(workload, "pod.accelerators", message, hint))
    return tuple(found)


def _fault(workload: Workload, path: str, message: str, hint: str) -> Fault:
    return Fault(source="plan", path=f"workloads.{workload.name}.{path}", message=message, hint=hint)


def _deployment(plan: Plan, workload: Workload) -> DeploymentContext:
    return DeploymentContext(
        name=workload.name,
        namespace=plan.stack,
        labels=labels(plan.stack, _COMPONENT, name=workload.engine.name, more=workload_labels(workload)),
        annotations=_annotations(workload),
        replicas=workload.replicas.min,
        max_surge=workload.rollout.max_surge,
        max_unavailable=workload.rollout.max_unavailable,
        progress_deadline_s=_progress_deadline_s(workload),
        selector=(
            (COMPONENT_LABEL, _COMPONENT),
            (AGENT_LABEL, workload.agent),
            (TIER_LABEL, workload.tier),
        ),
        service_account=SERVICE_ACCOUNT,
        uid=ENGINE_UID,
        grace_period_s=workload.drain.grace_period_s,
        node_selector=((POOL_LABEL, workload.node_pool),),
        taint_key=ACCELERATOR_RESOURCE,
        image=workload.engine.image,
        wait_command=_wait_command(workload),
        command=workload.engine.command,
        args=workload.engine.args,
        environment=_environment(workload),
        port=workload.port,
        health_path=workload.engine.health_path,
        ready_path=workload.engine.ready_path,
        cpu=cpu_quantity(workload.pod.cpu_milli),
        memory=mib_quantity(workload.pod.memory_mib),
        accelerator_resource=ACCELERATOR_RESOURCE,
        accelerators=str(workload.pod.accelerators),
        startup_period_s=workload.probes.startup_period_s,
        startup_failure_threshold=workload.probes.startup_failure_threshold,
        readiness_period_s=workload.probes.readiness_period_s,
        liveness_period_s=workload.probes.liveness_period_s,
        liveness_failure_threshold=workload.probes.liveness_failure_threshold,
        pre_stop_s=(workload.drain.pre_stop_s,) if workload.drain.pre_stop_s else (),
        home_folder=_HOME_FOLDER,
        models_folder=MODELS_MOUNT,
        engine_cache_folder=ENGINE_CACHE_MOUNT,
        engine_cache_sub_path=_engine_cache(workload),
        script_folder=SCRIPT_FOLDER,
        settings=(_settings(workload),) if workload.engine.files else (),
        settings_folder=SETTINGS_MOUNT,
        model_cache=model_cache(plan.pool(workload.node_pool)),
        shm_size=mib_quantity(workload.pod.shm_mib),
        scratch_size=mib_quantity(_SCRATCH_LIMIT_MIB),
    )


def _engine_settings(plan: Plan, workload: Workload) -> EngineSettingsContext:
    return EngineSettingsContext(
        name=_settings(workload),
        namespace=plan.stack,
        labels=labels(plan.stack, _COMPONENT, name=workload.engine.name, more=workload_labels(workload)),
        files=tuple((file.name, file.content) for file in workload.engine.files),
    )


def _settings(workload: Workload) -> str:
    """Name of the workload's settings, with a digest of their content."""
    text = "\0".join(part for file in workload.engine.files for part in (file.name, file.content))
    return f"{workload.name}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def _annotations(workload: Workload) -> Pairs:
    """What a reader of the cluster wants to know and a label cannot hold. They restart nothing when they change."""
    return (
        ("agentgpu.dev/model", workload.model),
        ("agentgpu.dev/model-revision", workload.model_cache.revision),
        ("agentgpu.dev/accelerator", workload.accelerator),
        ("agentgpu.dev/latency-class", workload.latency_class),
    )


def _progress_deadline_s(workload: Workload) -> int:
    """Seconds until a rollout counts as stuck: a whole cold start, and all that the startup probe allows."""
    startup_s = workload.probes.startup_period_s * workload.probes.startup_failure_threshold
    return max(_LEAST_PROGRESS_DEADLINE_S, math.ceil(workload.cold_start_s.total) + startup_s)


def _wait_command(workload: Workload) -> tuple[str, ...]:
    return (
        "python3",
        f"{SCRIPT_FOLDER}/{SCRIPT}",
        "wait",
        f"--root={MODELS_MOUNT}",
        *("--model", workload.model_cache.path, workload.model_cache.revision),
        *(part for one in _beside_the_model(workload) for part in ("--model", one.path, one.revision)),
        f"--engine-cache={_engine_cache(workload)}",
    )


def _beside_the_model(workload: Workload) -> tuple[CachedAdapter, ...]:
    """What else the engine loads at start: adapters, and the draft of speculative decoding."""
    draft = workload.model_cache.draft
    return (*workload.model_cache.adapters, *(() if draft is None else (draft,)))


def _engine_cache(workload: Workload) -> str:
    """Folder of the workload's compiled code, below the root of the model cache volume."""
    return f".engine-cache/{workload.name}"


def _environment(workload: Workload) -> Pairs:
    """Writable places for a user that the image does not know, and nothing that calls home.

    USER and LOGNAME are there because libraries ask for the user's name, which the uid alone does not give.
    """
    return (
        ("HOME", _HOME_FOLDER),
        ("USER", "engine"),
        ("LOGNAME", "engine"),
        ("HF_HUB_OFFLINE", "1"),
        *((one.name, one.value) for one in workload.engine.environment),
        ("TRITON_CACHE_DIR", f"{ENGINE_CACHE_MOUNT}/triton"),
    )


def _service(plan: Plan, agent: Workload) -> ServiceContext:
    return ServiceContext(
        name=agent.agent,
        namespace=plan.stack,
        labels=labels(plan.stack, _COMPONENT, name=agent.engine.name, more=((AGENT_LABEL, agent.agent),)),
        selector=((COMPONENT_LABEL, _COMPONENT), (AGENT_LABEL, agent.agent)),
        port=agent.port,
    )
