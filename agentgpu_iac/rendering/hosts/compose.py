"""The containers of one machine, as Docker Compose reads them."""

from __future__ import annotations

import hashlib
import posixpath
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from agentgpu_iac.errors import BadInput
from agentgpu_iac.plan import HostEngine, ProxyPlan, Workload, token_variables
from agentgpu_iac.plan.machine_paths import MACHINES_FOLDER, SECRETS_FILE, TLS_FOLDER
from agentgpu_iac.plan.mounts import ENGINE_CACHE_MOUNT, MODELS_MOUNT, SETTINGS_MOUNT
from agentgpu_iac.plan.nodes import AGENT_LABEL, ENGINE_UID, TIER_LABEL
from agentgpu_iac.rendering import proxy
from agentgpu_iac.rendering.context import Context, Pairs
from agentgpu_iac.rendering.engine import HOME_FOLDER, engine_command, engine_environment, wait_command
from agentgpu_iac.rendering.hosts import grafana
from agentgpu_iac.rendering.hosts.machine import BRIDGE, NOBODY_UID, OUTWARD_BRIDGE, Machine
from agentgpu_iac.rendering.hosts.nginx import CERTIFICATES_INSIDE, MACHINES_INSIDE
from agentgpu_iac.rendering.hosts.prometheus import FOLDER_INSIDE, PROMETHEUS, RULES
from agentgpu_iac.rendering.model_cache import (
    MODELS_FILE,
    READY_FILE,
    fill_command,
    filler_environment,
    filler_image,
    models_document,
)
from agentgpu_iac.rendering.names import SCRIPT_FOLDER, SCRIPTS
from agentgpu_iac.rendering.reasons import commented_compose
from agentgpu_iac.rendering.router import COMMAND, CONFIG, CONFIG_FOLDER, ROUTER_UID, exporter_arguments
from agentgpu_iac.rendering.templates import document
from agentgpu_iac.rendering.ways import LOOPBACK
from agentgpu_iac.rendering.yaml_text import dump

COMPOSE = "docker-compose.yaml"

_LOG_SIZE = "50m"

_LOG_FILES = "3"

_HOME_MIB = 1024

_GRAFANA_MIB = 512

_FILLER_SCRATCH_MIB = 1024

_PROXY_PERIOD, _PROXY_TRIES = "10s", 6
"""As the liveness probe of its pod in a cluster."""

_COMPOSE_HEADER = """\
# What each machine of pool {pool} runs.
# Start it:  docker compose --env-file {secrets} up --detach
# The machine needs the NVIDIA driver, Docker and the NVIDIA container toolkit; setup.sh sees to the latter two.
"""

_LOCAL_MODELS = """\
ollama serve &
until ollama list >/dev/null 2>&1; do sleep 1; done
for pair in $$AGENTGPU_LOCAL_MODELS; do
  ollama pull "$${pair#*=}" && ollama cp "$${pair#*=}" "$${pair%%=*}" || exit 1
done
wait"""
"""``agent=tag`` pairs: each tag is pulled and given the agent's name, so that requests ask for it as they ask the engine."""

_Filler = tuple[str, tuple[str, ...]]

_Wait = tuple[str, str, tuple[str, ...]]

_Proxy = tuple[str, tuple[str, ...], str, str, float, str, str, tuple[str, ...], str, str, int]
"""Image, command, digest of its files, grace, CPUs, memory, scratch, and its health check: words, start, period and tries."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ComposeContext(Context):
    """The containers of one machine."""

    template: ClassVar[str] = "docker-compose.yaml.j2"
    project: str
    user: str
    filler_image: str
    folders_command: tuple[str, ...]
    cache_folder: str
    models_folder: str
    engine_caches: Pairs
    """Volumes of compiled code, and where each is mounted to be handed over."""
    filler: tuple[_Filler, ...]
    """Nothing where the owner of the models puts them there."""
    filler_environment: Pairs
    filler_memory: str
    filler_scratch: str
    ready_file: str
    scripts: Pairs
    waits: tuple[_Wait, ...]
    open_files: int
    router_image: str
    router_sha256: str
    """Of the configuration: a change starts NGINX anew."""
    router_command: tuple[str, ...]
    router_user: str
    router_grace: str
    router_memory: str
    router_scratch: str
    router_config: str
    router_folders: Pairs
    prometheus: tuple[tuple[str, tuple[str, ...], str], ...]
    prometheus_files: Pairs
    router_exporter: tuple[tuple[str, tuple[str, ...], str], ...]
    grafana: tuple[tuple[str, str, str], ...]
    grafana_memory: str
    grafana_environment: Pairs
    grafana_files: Pairs
    dcgm_exporter: Pairs
    ollama: tuple[tuple[str, str, tuple[str, ...]], ...]
    proxy: tuple[_Proxy, ...]
    proxy_environment: Pairs
    proxy_files: Pairs
    nobody: str
    bridge: str
    outward_bridge: str
    volumes: tuple[str, ...]
    log_size: str
    log_files: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ComposeEngineContext(Context):
    """One engine's container."""

    template: ClassVar[str] = "compose-engine.yaml.j2"
    image: str
    command: tuple[str, ...]
    args: tuple[str, ...]
    labels: Pairs
    user: str
    grace: str
    cpus: float
    memory: str
    shm: str
    open_files: int
    environment: Pairs
    published: str
    home: str
    wait: str
    """The service that ends once the models are there."""
    cache_folder: str
    models_folder: str
    cache: str
    """Volume of compiled code."""
    engine_cache_folder: str
    files: Pairs
    test: tuple[str, ...]
    period: str
    tries: int
    start: str
    devices: tuple[str, ...]
    log_size: str
    log_files: str


def compose_text(machine: Machine, nginx_text: str, watching: Mapping[str, str], proxy_files: Mapping[str, str]) -> str:
    """The Compose file of the machine; a change of what it mounts changes a digest in it, so that containers start anew.

    ``watching`` holds the texts of what Prometheus and Grafana read, ``proxy_files`` of what LiteLLM reads, by the names of the
    files.
    """
    compose = document(_compose(machine, nginx_text, watching, proxy_files))
    services = compose["services"]
    if not isinstance(services, dict):
        raise BadInput.one(ComposeContext.template, "does not make services")
    engines = {f"engine-{engine.name}": document(_engine(machine, engine)) for engine in machine.host.engines}
    header = _COMPOSE_HEADER.format(pool=machine.host.node_pool, secrets=SECRETS_FILE)
    return header + commented_compose(dump({**compose, "services": {**engines, **services}}).decode())


def settings_path(workload: Workload, name: str) -> str:
    """Where a file of an engine's settings lies, below the folder of the machine's files."""
    return f"engine/{workload.name}/{name}"


def _compose(
    machine: Machine, nginx_text: str, watching: Mapping[str, str], proxy_files: Mapping[str, str]
) -> ComposeContext:
    plan, host, pool, router = machine.plan, machine.host, machine.pool, machine.router
    caches = tuple(
        (_cache_volume(workload), f"{ENGINE_CACHE_MOUNT}/{workload.name}") for workload in machine.workloads.values()
    )
    kept = (("prometheus", host.prometheus), ("grafana", host.grafana), ("ollama", host.ollama))
    others = [name for name, service in kept if service is not None]
    shown = grafana.mounts(host, grafana.DASHBOARD in watching)
    asked = {PROMETHEUS: f"{FOLDER_INSIDE}/{PROMETHEUS}", RULES: f"{FOLDER_INSIDE}/{RULES}"}
    return ComposeContext(
        project=plan.stack,
        user=f"{ENGINE_UID}:{ENGINE_UID}",
        filler_image=filler_image(plan, pool),
        folders_command=(f"{ENGINE_UID}:{ENGINE_UID}", MODELS_MOUNT, *(place for _, place in caches)),
        cache_folder=pool.cache_path,
        models_folder=MODELS_MOUNT,
        engine_caches=caches,
        filler=() if pool.filler is None else ((_sha256(models_document(plan, pool)), fill_command(pool.filler)),),
        filler_environment=(
            *filler_environment(),
            *((name, _reference(name)) for name, _ in token_variables(pool.cached_models)),
        ),
        filler_memory=_mib(0 if pool.filler is None else pool.filler.memory_limit_mib),
        filler_scratch=_scratch("/tmp", ENGINE_UID, _FILLER_SCRATCH_MIB),  # noqa: S108 - the container's own
        ready_file=READY_FILE,
        scripts=_scripts(*SCRIPTS, MODELS_FILE),
        waits=tuple(
            (_wait(workload), workload.engine.image, _literal(wait_command(workload)))
            for workload in machine.workloads.values()
        ),
        open_files=host.open_files,
        router_image=router.image,
        router_sha256=_sha256(nginx_text),
        router_command=COMMAND,
        router_user=f"{ROUTER_UID}:{ROUTER_UID}",
        router_grace=f"{router.drain.grace_period_s}s",
        router_memory=_mib(router.memory_mib + router.scratch_mib),
        router_scratch=_scratch("/tmp", ROUTER_UID, router.scratch_mib),  # noqa: S108 - the container's own
        router_config=f"{CONFIG_FOLDER}/{CONFIG}",
        router_folders=(
            *(((TLS_FOLDER, CERTIFICATES_INSIDE),) if host.tls else ()),
            *(((MACHINES_FOLDER, MACHINES_INSIDE),) if machine.front is not None else ()),
        ),
        prometheus=()
        if host.prometheus is None
        else (
            (
                host.prometheus.image,
                (
                    f"--config.file={FOLDER_INSIDE}/{PROMETHEUS}",
                    "--storage.tsdb.path=/prometheus",
                    f"--storage.tsdb.retention.time={host.metrics_retention_days}d",
                    f"--web.listen-address={LOOPBACK}:{host.prometheus.port}",
                ),
                _sha256("\0".join(watching[name] for name in asked if name in watching)),
            ),
        ),
        prometheus_files=tuple((f"./{name}", place) for name, place in asked.items() if name in watching),
        router_exporter=()
        if router.exporter is None
        else (
            (
                router.exporter.image,
                exporter_arguments(host.status_port, f"{LOOPBACK}:{router.exporter.port}"),
                _mib(router.exporter.memory_mib),
            ),
        ),
        grafana=()
        if host.grafana is None
        else (
            (
                host.grafana.image,
                _sha256("\0".join(watching[source.removeprefix("./")] for source, _ in shown)),
                f"{grafana.GRAFANA_UID}:0",
            ),
        ),
        grafana_memory=_mib(_GRAFANA_MIB),
        grafana_environment=() if host.grafana is None else grafana.environment(host.grafana.port),
        grafana_files=shown,
        dcgm_exporter=()
        if host.dcgm_exporter is None
        else ((host.dcgm_exporter.image, _published(host.dcgm_exporter.port, host.dcgm_exporter.port)),),
        ollama=()
        if host.ollama is None
        else ((host.ollama.image, _published(host.ollama.port, host.ollama.port), ("/bin/sh", "-c", _LOCAL_MODELS)),),
        proxy=() if machine.proxy is None else (_proxy(machine.proxy, proxy_files),),
        proxy_environment=() if machine.proxy is None else _proxy_environment(machine, machine.proxy),
        proxy_files=tuple((f"./{name}", f"{proxy.CONFIG_FOLDER}/{posixpath.basename(name)}") for name in proxy_files),
        nobody=f"{NOBODY_UID}:{NOBODY_UID}",
        bridge=BRIDGE,
        outward_bridge=OUTWARD_BRIDGE,
        volumes=(*(volume for volume, _ in caches), *others),
        log_size=_LOG_SIZE,
        log_files=_LOG_FILES,
    )


def _proxy(planned: ProxyPlan, files: Mapping[str, str]) -> _Proxy:
    """LiteLLM in the machine's own network, on its loopback: NGINX stands in front of it and behind it."""
    alive = f"http://{LOOPBACK}:{planned.port}/health/liveliness"
    return (
        planned.image,
        _literal(proxy.command(planned, proxy.CONFIG_FOLDER, LOOPBACK)),
        _sha256("\0".join(files.values())),
        f"{planned.drain.grace_period_s}s",
        max(planned.cpu_milli, proxy.CORE_MILLI) / 1000,
        _mib(planned.memory_mib + proxy.SCRATCH_MIB),
        _scratch("/tmp", NOBODY_UID, proxy.SCRATCH_MIB),  # noqa: S108 - the container's own
        ("CMD", "python3", "-c", f"import urllib.request; urllib.request.urlopen('{alive}', timeout=8)"),
        f"{planned.start_s}s",
        _PROXY_PERIOD,
        _PROXY_TRIES,
    )


def _proxy_environment(machine: Machine, planned: ProxyPlan) -> Pairs:
    """What engines read of the machine's secrets too has their variable there."""
    there = {(secret.secret, secret.key): secret.variable for secret in reversed(machine.host.secrets)}
    secrets = proxy.secret_environment(machine.plan, planned)
    return (*proxy.environment(), *((name, _reference(there[secret, key])) for name, secret, key in secrets))


def _engine(machine: Machine, engine: HostEngine) -> ComposeEngineContext:
    workload = machine.workloads[engine.workload]
    probes = workload.probes
    variables = {secret.variable for secret in workload.engine.secret_environment}
    content = _sha256("\0".join(part for file in workload.engine.files for part in (file.name, file.content)))
    return ComposeEngineContext(
        image=workload.engine.image,
        command=_literal(engine_command(workload)),
        args=tuple(_argument(word, variables) for word in workload.engine.args),
        labels=(
            (AGENT_LABEL, workload.agent),
            (TIER_LABEL, workload.tier),
            *((("agentgpu.dev/content-sha256", content),) if workload.engine.files else ()),
        ),
        user=f"{ENGINE_UID}:{ENGINE_UID}",
        grace=f"{workload.drain.grace_period_s}s",
        cpus=workload.pod.cpu_milli / 1000,
        memory=_mib(workload.pod.memory_mib),
        shm=_mib(workload.pod.shm_mib),
        open_files=machine.host.open_files,
        environment=(
            *((name, _escaped(value)) for name, value in engine_environment(workload)),
            *((name, _reference(name)) for name in sorted(variables)),
        ),
        published=_published(engine.port, workload.port),
        home=_scratch(HOME_FOLDER, ENGINE_UID, _HOME_MIB),
        wait=_wait(workload),
        cache_folder=machine.pool.cache_path,
        models_folder=MODELS_MOUNT,
        cache=_cache_volume(workload),
        engine_cache_folder=ENGINE_CACHE_MOUNT,
        files=tuple(
            (f"./{settings_path(workload, file.name)}", f"{SETTINGS_MOUNT}/{file.name}")
            for file in workload.engine.files
        )
        + _scripts(*SCRIPTS),
        test=_health_check(workload),
        period=f"{probes.liveness_period_s}s",
        tries=probes.liveness_failure_threshold,
        start=f"{probes.startup_period_s * probes.startup_failure_threshold}s",
        devices=tuple(str(index) for index in engine.accelerators),
        log_size=_LOG_SIZE,
        log_files=_LOG_FILES,
    )


def _health_check(workload: Workload) -> tuple[str, ...]:
    """Python is in every engine's image; curl need not be."""
    url = f"http://{LOOPBACK}:{workload.port}{workload.engine.health_path}"
    return ("CMD", "python3", "-c", f"import urllib.request; urllib.request.urlopen('{url}', timeout=8)")


def _argument(word: str, variables: set[str]) -> str:
    """An argument as Compose reads it: ``$(NAME)`` stands for a secret's value, any other dollar for itself."""
    for name in variables:
        if word == f"$({name})":
            return _reference(name)
    return _escaped(word)


def _reference(variable: str) -> str:
    """A variable of the machine's file of secrets; without it nothing starts."""
    return f"${{{variable}:?put it into {SECRETS_FILE}}}"


def _escaped(text: str) -> str:
    return text.replace("$", "$$")


def _literal(words: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(_escaped(word) for word in words)


def _scripts(*names: str) -> Pairs:
    return tuple((f"./{name}", f"{SCRIPT_FOLDER}/{name}") for name in names)


def _wait(workload: Workload) -> str:
    return f"wait-{workload.name}"


def _cache_volume(workload: Workload) -> str:
    return f"engine-cache-{workload.name}-{workload.engine.name}-{workload.engine.version}"


def _published(port: int, inside: int) -> str:
    return f"{LOOPBACK}:{port}:{inside}"


def _mib(mib: int) -> str:
    return f"{mib}m"


def _scratch(path: str, uid: int, mib: int) -> str:
    return f"{path}:uid={uid},gid={uid},mode=0700,size={mib}m"


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
