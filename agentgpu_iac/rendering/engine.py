"""The engines: one Deployment per workload, one Service and one disruption budget per agent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from agentgpu_iac.errors import BadInput, Fault
from agentgpu_iac.planning.engines import MODELS_MOUNT
from agentgpu_iac.planning.nodes import ACCELERATOR_RESOURCE, AGENT_LABEL, ENGINE_UID, POOL_LABEL, TIER_LABEL
from agentgpu_iac.planning.plan import NodePool, Plan, Topology, Workload
from agentgpu_iac.rendering.context import Context, Draft, Pairs
from agentgpu_iac.rendering.names import (
    BASE,
    COMPONENT_LABEL,
    ENGINE,
    SCRIPT,
    SCRIPT_FOLDER,
    SERVICE_ACCOUNT,
    labels,
    model_cache,
    priority_class,
    workload_labels,
)
from agentgpu_iac.rendering.stack import agents
from agentgpu_iac.units import cpu_quantity, mib_quantity

_COMMANDS = {"vllm": ("vllm", "serve")}
"""How each engine is started. Without a shell in between, so that SIGTERM reaches it and it can drain."""

_HOME_FOLDER = "/home/engine"
_ENGINE_CACHE_FOLDER = "/var/cache/engine"
"""Where an engine keeps what it compiles. It lies on the node's model cache volume, a folder per workload, so that a
restarted replica need not compile again; the models beside it are mounted read-only."""

_SCRATCH_LIMIT_MIB = 8192
"""Most that an engine may put into /tmp, and most into its home, on the node's disk."""

_TOPOLOGY_KEYS: dict[Topology, str] = {"zone": "topology.kubernetes.io/zone", "host": "kubernetes.io/hostname"}

_EVICTABLE_REPLICAS = 1
"""How many of an agent's replicas a drain may take at once. Not 0: a lone replica would then hold up every drain of its
node for ever. It moves with an outage of one warm start, or with none where another replica serves."""


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
    service_account: str
    uid: int
    grace_period_s: int
    priority_class: str
    spread_keys: tuple[str, ...]
    """Node labels over which replicas are spread where that is possible."""
    spreads: bool
    node_selector: Pairs
    taint_key: str
    image: str
    wait_command: tuple[str, ...]
    command: tuple[str, ...]
    args: tuple[str, ...]
    environment: Pairs
    secret_environment: tuple[tuple[str, str, str], ...]
    """Variables, and the Secret and key that each is read from."""
    port: int
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
    model_cache: str
    shm_size: str
    scratch_size: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceContext(Context):
    """One agent: all its tiers behind one address."""

    template: ClassVar[str] = "service.yaml.j2"
    name: str
    namespace: str
    labels: Pairs
    selector: Pairs
    port: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DisruptionBudgetContext(Context):
    """How many replicas of an agent a drain may take at once, over all its tiers."""

    template: ClassVar[str] = "pod-disruption-budget.yaml.j2"
    name: str
    namespace: str
    labels: Pairs
    max_unavailable: int
    selector: Pairs


def engine_drafts(plan: Plan) -> tuple[Draft, ...]:
    """What carries and fronts all agents. Raises BadInput for workloads that no Deployment can carry."""
    faults = [fault for workload in plan.workloads for fault in _faults(plan.pool(workload.node_pool), workload)]
    if faults:
        raise BadInput(faults)
    contexts = (
        *(_deployment(plan, workload) for workload in plan.workloads),
        *(_service(plan, agent) for agent in agents(plan)),
        *(_disruption_budget(plan, agent) for agent in agents(plan)),
    )
    return tuple(Draft(folder=BASE, context=context) for context in contexts)


def _faults(pool: NodePool, workload: Workload) -> tuple[Fault, ...]:
    found: list[Fault] = []
    if workload.engine.name not in _COMMANDS:
        known = ", ".join(_COMMANDS)
        found.append(_fault(workload, "engine.name", f"{workload.engine.name} cannot be rendered", f"known: {known}"))
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
        labels=labels(plan.stack, ENGINE, name=workload.engine.name, more=workload_labels(workload)),
        annotations=_annotations(workload),
        replicas=() if workload.scaling else (workload.replicas.min,),
        max_surge=workload.rollout.max_surge,
        max_unavailable=workload.rollout.max_unavailable,
        progress_deadline_s=workload.rollout.progress_deadline_s,
        selector=(
            (COMPONENT_LABEL, ENGINE),
            (AGENT_LABEL, workload.agent),
            (TIER_LABEL, workload.tier),
        ),
        service_account=SERVICE_ACCOUNT,
        uid=ENGINE_UID,
        grace_period_s=workload.drain.grace_period_s,
        priority_class=priority_class(plan.stack, workload.pod.priority),
        spread_keys=tuple(_TOPOLOGY_KEYS[topology] for topology in workload.pod.spread),
        spreads=bool(workload.pod.spread),
        node_selector=((POOL_LABEL, workload.node_pool),),
        taint_key=ACCELERATOR_RESOURCE,
        image=workload.engine.image,
        wait_command=_wait_command(workload),
        command=_COMMANDS[workload.engine.name],
        args=workload.engine.args,
        environment=_environment(),
        secret_environment=tuple((one.variable, one.secret, one.key) for one in workload.engine.secret_environment),
        port=workload.port,
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
        engine_cache_folder=_ENGINE_CACHE_FOLDER,
        engine_cache_sub_path=_engine_cache(workload),
        script_folder=SCRIPT_FOLDER,
        model_cache=model_cache(plan.pool(workload.node_pool)),
        shm_size=mib_quantity(workload.pod.shm_mib),
        scratch_size=mib_quantity(_SCRATCH_LIMIT_MIB),
    )


def _annotations(workload: Workload) -> Pairs:
    """What a reader of the cluster wants to know and a label cannot hold. They restart nothing when they change."""
    return (
        ("agentgpu.dev/model", workload.model),
        ("agentgpu.dev/model-revision", workload.model_cache.revision),
        ("agentgpu.dev/accelerator", workload.accelerator),
        ("agentgpu.dev/latency-class", workload.latency_class),
    )


def _wait_command(workload: Workload) -> tuple[str, ...]:
    return (
        "python3",
        f"{SCRIPT_FOLDER}/{SCRIPT}",
        "wait",
        f"--root={MODELS_MOUNT}",
        *("--model", workload.model_cache.path, workload.model_cache.revision),
        *(part for adapter in workload.model_cache.adapters for part in ("--model", adapter.path, adapter.revision)),
        f"--engine-cache={_engine_cache(workload)}",
    )


def _engine_cache(workload: Workload) -> str:
    """Folder of the workload's compiled code, below the root of the model cache volume."""
    return f".engine-cache/{workload.name}"


def _environment() -> Pairs:
    """Writable places for a user that the image does not know, and nothing that calls home.

    USER and LOGNAME are there because libraries ask for the user's name, which the uid alone does not give.
    """
    return (
        ("HOME", _HOME_FOLDER),
        ("USER", "engine"),
        ("LOGNAME", "engine"),
        ("HF_HUB_OFFLINE", "1"),
        ("VLLM_NO_USAGE_STATS", "1"),
        ("VLLM_CACHE_ROOT", f"{_ENGINE_CACHE_FOLDER}/vllm"),
        ("TRITON_CACHE_DIR", f"{_ENGINE_CACHE_FOLDER}/triton"),
    )


def _service(plan: Plan, agent: Workload) -> ServiceContext:
    return ServiceContext(
        name=agent.agent,
        namespace=plan.stack,
        labels=labels(plan.stack, ENGINE, name=agent.engine.name, more=((AGENT_LABEL, agent.agent),)),
        selector=((COMPONENT_LABEL, ENGINE), (AGENT_LABEL, agent.agent)),
        port=agent.port,
    )


def _disruption_budget(plan: Plan, agent: Workload) -> DisruptionBudgetContext:
    return DisruptionBudgetContext(
        name=agent.agent,
        namespace=plan.stack,
        labels=labels(plan.stack, ENGINE, name=agent.engine.name, more=((AGENT_LABEL, agent.agent),)),
        max_unavailable=_EVICTABLE_REPLICAS,
        selector=((COMPONENT_LABEL, ENGINE), (AGENT_LABEL, agent.agent)),
    )
