"""The model cache of a pool's nodes: a volume that every node has its own copy of, and a filler on each.

The volume is one ``local`` PersistentVolume for the whole pool. Its node affinity names the pool's label, so that on
every node of the pool it means that node's own directory; pods mount it through one claim, without hostPath, which
the restricted Pod Security standard forbids. The directory itself is made by the nodes' user data.

A model counts as there when its marker names the planned revision. The scripts, which ship as they are and are read from
one ConfigMap of the stack, write markers in the filler, wait for them in the engines' init containers, and start each
engine so that its models are held while it lives.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from agentgpu_iac.errors import BadInput
from agentgpu_iac.plan import CachedModel, FillerPlan, NodePool, Plan, token_variables
from agentgpu_iac.plan.mounts import MODELS_MOUNT
from agentgpu_iac.plan.nodes import ACCELERATOR_RESOURCE, ENGINE_UID, FILLER_SERVICE_ACCOUNT, POOL_LABEL, STARTUP_TAINT
from agentgpu_iac.rendering import startup_taint
from agentgpu_iac.rendering.context import ConfigMapContext, Context, Draft, Pairs
from agentgpu_iac.rendering.names import (
    BASE,
    COMPONENT_LABEL,
    MODEL_CACHE_COMPONENT,
    SCRIPT,
    SCRIPT_FOLDER,
    SCRIPTS,
    SCRIPTS_NAME,
    labels,
    model_cache,
    pool_labels,
    priority_of,
)
from agentgpu_iac.rendering.templates import verbatim
from agentgpu_iac.units import GIB, cpu_quantity, mib_quantity

MODELS_FILE = "models.json"
_S3_SCRIPT = "s3_bucket.py"
"""What the script downloads by where models come from a bucket; it must stand beside it."""
READY_FILE = "/tmp/filled"  # noqa: S108 - /tmp is the container's own

_SCRATCH_LIMIT_MIB = 1024
"""Most that a filler may put into /tmp; downloads go to the volume."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PersistentVolumeContext(Context):
    """The cache directory of every node of one pool."""

    template: ClassVar[str] = "persistent-volume.yaml.j2"
    name: str
    labels: Pairs
    capacity: str
    claim: str
    claim_namespace: str
    path: str
    node_label: str
    node_pool: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PersistentVolumeClaimContext(Context):
    """The stack's hold on that volume."""

    template: ClassVar[str] = "persistent-volume-claim.yaml.j2"
    name: str
    namespace: str
    labels: Pairs
    capacity: str
    volume: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DaemonSetContext(Context):
    """The filler on each node of one pool."""

    template: ClassVar[str] = "daemon-set.yaml.j2"
    name: str
    namespace: str
    labels: Pairs
    selector: Pairs
    content_sha256: str
    """Of the script and the list of models: a change of either starts the fillers anew."""
    service_account: str
    has_priority: bool
    priority_class: str | None
    uid: int
    node_selector: Pairs
    taint_key: str
    image: str
    command: tuple[str, ...]
    ready_file: str
    environment: Pairs
    tokens: Pairs
    """Environment variables, and the Secret that each is read from."""
    cpu: str
    memory: str
    memory_limit: str
    models_folder: str
    script_folder: str
    scripts: str
    model_cache: str
    scratch_size: str
    lifters: tuple[tuple[str, str, tuple[str, ...], str, str], ...]
    """Nothing, or the one container that takes the startup taint off: key, image, command, CPU and memory."""


def model_cache_drafts(plan: Plan) -> tuple[Draft, ...]:
    """The model caches of all pools."""
    contexts = [context for pool in plan.node_pools for context in _pool_contexts(plan, pool)]
    scripts = (_scripts(plan),) if contexts else ()
    return tuple(Draft(folder=BASE, context=context) for context in (*scripts, *contexts))


def _pool_contexts(plan: Plan, pool: NodePool) -> tuple[Context, ...]:
    fillers: tuple[Context, ...] = ()
    if pool.filler is not None:
        models = _models(plan, pool)
        fillers = (models, _filler(plan, pool, pool.filler, models))
    return (_volume(plan, pool), _claim(plan, pool), *fillers)


def _labels(plan: Plan, pool: NodePool) -> Pairs:
    return labels(plan.stack, MODEL_CACHE_COMPONENT, name=MODEL_CACHE_COMPONENT, more=pool_labels(pool))


def _volume(plan: Plan, pool: NodePool) -> PersistentVolumeContext:
    return PersistentVolumeContext(
        name=model_cache(pool),
        labels=_labels(plan, pool),
        capacity=f"{pool.cache_capacity_gib}Gi",
        claim=model_cache(pool),
        claim_namespace=plan.stack,
        path=pool.cache_path,
        node_label=POOL_LABEL,
        node_pool=pool.name,
    )


def _claim(plan: Plan, pool: NodePool) -> PersistentVolumeClaimContext:
    return PersistentVolumeClaimContext(
        name=model_cache(pool),
        namespace=plan.stack,
        labels=_labels(plan, pool),
        capacity=f"{pool.cache_capacity_gib}Gi",
        volume=model_cache(pool),
    )


def _scripts(plan: Plan) -> ConfigMapContext:
    """The scripts stand once, for every pool's fillers and engines."""
    from_s3 = any(_bucket(pool) for pool in plan.node_pools)
    return ConfigMapContext(
        name=SCRIPTS_NAME,
        namespace=plan.stack,
        labels=labels(plan.stack, MODEL_CACHE_COMPONENT, name=MODEL_CACHE_COMPONENT),
        data=tuple((name, verbatim(name)) for name in (*SCRIPTS, *((_S3_SCRIPT,) if from_s3 else ()))),
    )


def _models(plan: Plan, pool: NodePool) -> ConfigMapContext:
    """What the pool's fillers are to fill."""
    return ConfigMapContext(
        name=model_cache(pool),
        namespace=plan.stack,
        labels=_labels(plan, pool),
        data=((MODELS_FILE, models_document(plan, pool)),),
    )


def _bucket(pool: NodePool) -> str | None:
    return pool.filler.bucket if pool.filler is not None else None


def models_document(plan: Plan, pool: NodePool) -> str:
    """What the filler of a pool is to download, as it reads it; and what others put there, which it leaves alone."""
    variables = {secret: variable for variable, secret in token_variables(pool.cached_models)}
    return work_document(plan.stack, pool.cached_models, variables)


def work_document(stack: str, cached: Sequence[CachedModel], variables: Mapping[str, str]) -> str:
    """The same for any models; ``variables`` hold the tokens of each Secret."""
    models = [
        {
            "name": model.model,
            "path": model.path,
            "revision": model.revision,
            "tokenVariable": variables[model.token_secret] if model.token_secret else "",
            "kind": model.kind,
            "runsCode": model.runs_code,
            "countedBytes": round(model.gib * GIB),
        }
        for model in cached
        if model.fill
    ]
    kept = [model.path for model in cached if not model.fill]
    return json.dumps({"owner": stack, "models": models, "kept": kept}, indent=2, ensure_ascii=False) + "\n"


def _filler(plan: Plan, pool: NodePool, filler: FillerPlan, models: ConfigMapContext) -> DaemonSetContext:
    return DaemonSetContext(
        name=model_cache(pool),
        namespace=plan.stack,
        labels=_labels(plan, pool),
        selector=((COMPONENT_LABEL, MODEL_CACHE_COMPONENT), (POOL_LABEL, pool.name)),
        content_sha256=hashlib.sha256(json.dumps((_scripts(plan).data, models.data)).encode()).hexdigest(),
        service_account=FILLER_SERVICE_ACCOUNT,
        has_priority=bool(plan.priority_classes),
        priority_class=priority_of(plan, filler.priority),
        uid=ENGINE_UID,
        node_selector=((POOL_LABEL, pool.name),),
        taint_key=ACCELERATOR_RESOURCE,
        image=filler_image(plan, pool),
        command=fill_command(filler),
        ready_file=READY_FILE,
        environment=filler_environment(),
        tokens=token_variables(pool.cached_models),
        cpu=cpu_quantity(filler.cpu_milli),
        memory=mib_quantity(filler.memory_mib),
        memory_limit=mib_quantity(filler.memory_limit_mib),
        models_folder=MODELS_MOUNT,
        script_folder=SCRIPT_FOLDER,
        scripts=SCRIPTS_NAME,
        model_cache=model_cache(pool),
        scratch_size=mib_quantity(_SCRATCH_LIMIT_MIB),
        lifters=_lifters(plan, pool),
    )


def _lifters(plan: Plan, pool: NodePool) -> tuple[tuple[str, str, tuple[str, ...], str, str], ...]:
    if pool.startup_taint is None:
        return ()
    command = (
        "python3",
        f"/opt/startup-taint/{startup_taint.SCRIPT}",
        f"--ready={READY_FILE}",
        f"--key={STARTUP_TAINT}",
    )
    size = pool.startup_taint
    return (
        (STARTUP_TAINT, filler_image(plan, pool), command, cpu_quantity(size.cpu_milli), mib_quantity(size.memory_mib)),
    )


def filler_image(plan: Plan, pool: NodePool) -> str:
    """The image of the pool's first engine: the node pulls it anyway, and the hub's library is in it."""
    for workload in plan.workloads:
        if workload.node_pool == pool.name:
            return workload.engine.image
    raise BadInput.one("plan", "caches models, but no workload runs there", path=f"nodePools.{pool.name}")


def fill_command(filler: FillerPlan) -> tuple[str, ...]:
    """What fills a node's cache, and then idles."""
    return (
        "python3",
        f"{SCRIPT_FOLDER}/{SCRIPT}",
        "fill",
        f"--root={MODELS_MOUNT}",
        f"--models={SCRIPT_FOLDER}/{MODELS_FILE}",
        *((f"--bucket={filler.bucket}",) if filler.bucket is not None else ()),
        f"--ready={READY_FILE}",
        f"--start-delay-s={filler.start_delay_s}",
        f"--timeout-s={filler.timeout_s}",
        f"--connections={filler.connections}",
    )


def filler_environment() -> Pairs:
    """The hub's own cache on the volume, and no accelerator: engine images ask for all of them by default."""
    return (
        ("HOME", "/tmp"),  # noqa: S108 - the container's own
        ("USER", "engine"),
        ("LOGNAME", "engine"),
        ("HF_HOME", f"{MODELS_MOUNT}/.huggingface"),
        ("HF_HUB_DISABLE_TELEMETRY", "1"),
        ("HF_HUB_DISABLE_PROGRESS_BARS", "1"),
        ("NVIDIA_VISIBLE_DEVICES", "void"),
    )
