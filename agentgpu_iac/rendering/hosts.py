"""Virtual machines: the files of one machine of each node pool, and the cloud-init that puts them on a bare one.

Everything stands in ``hosts/<pool>/``. What a machine needs beside these files is the NVIDIA driver and, where the plan names
secrets, their values in ``/etc/agentgpu/secrets.env``, which nothing here writes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from agentgpu_iac.errors import BadInput
from agentgpu_iac.plan import (
    FrontPlan,
    HostEngine,
    HostPlan,
    NodePool,
    OtherMachine,
    Plan,
    RenderedFile,
    RoutePlan,
    RouterPlan,
    Workload,
    token_variables,
)
from agentgpu_iac.plan.machine_paths import (
    CLOUD_CONFIG_HEADER,
    FIREWALL,
    FIREWALL_FILE,
    FIREWALL_RULES_FOLDER,
    MACHINE_FOLDER,
    MACHINES_FOLDER,
    SECRETS_FILE,
    SETUP,
    SETUP_FILE,
    TLS_FOLDER,
    cloud_init_path,
    pool_folder,
)
from agentgpu_iac.plan.mounts import ENGINE_CACHE_MOUNT, MODELS_MOUNT, SETTINGS_MOUNT
from agentgpu_iac.plan.nodes import AGENT_LABEL, ENGINE_UID, TIER_LABEL
from agentgpu_iac.rendering.context import Context, Pairs
from agentgpu_iac.rendering.engine import HOME_FOLDER, engine_environment, wait_command
from agentgpu_iac.rendering.model_cache import (
    MODELS_FILE,
    READY_FILE,
    fill_command,
    filler_environment,
    filler_image,
    models_document,
)
from agentgpu_iac.rendering.names import SCRIPT, SCRIPT_FOLDER
from agentgpu_iac.rendering.router import (
    COMMAND,
    CONFIG,
    CONFIG_FOLDER,
    ELSEWHERE,
    ROUTER_UID,
    nginx,
    nginx_route,
    route_port,
)
from agentgpu_iac.rendering.templates import document, filled, verbatim
from agentgpu_iac.rendering.yaml_text import dump
from agentgpu_iac.spec.model import AddressRange

COMPOSE = "docker-compose.yaml"
PROMETHEUS = "prometheus.yml"

_SYSCTL = "sysctl.conf"
_ENVIRONMENT = "machine.env"
_UNITS = (
    "agentgpu.service",
    "agentgpu-disks.service",
    "agentgpu-firewall.service",
    "agentgpu-health.service",
    "agentgpu-health.timer",
)
_CERTIFICATES_INSIDE = "/etc/nginx/tls"
_MACHINES_INSIDE = "/etc/nginx/machines"
_STREAM = "stream.conf"
_MACHINES_LIST = "machines.list"
_FRONT_RULE = "front.nft"
_NOBODY = "127.0.0.1:9 down"
"""NGINX wants one server at least, also for an agent whose engines are all on other machines."""
_BRIDGE = "agentgpu0"
_LOOPBACK = "127.0.0.1"
_SSH = 22
_LOG_SIZE = "50m"
_LOG_FILES = "3"
_HOME_MIB = 1024
_FILLER_SCRATCH_MIB = 1024
_EXECUTABLE = frozenset((SETUP, FIREWALL))
_PACKAGES = ("ca-certificates", "curl", "mdadm", "nftables", "openssl")

_COMPOSE_HEADER = """\
# What each machine of pool {pool} runs. Made by agentgpu; change the agent stack, not this file.
# Start it:  docker compose --env-file {secrets} up --detach
# The machine needs the NVIDIA driver, Docker and the NVIDIA container toolkit; setup.sh sees to the latter two.
"""
_CLOUD_INIT_HEADER = """\
# A bare Debian or Ubuntu machine with the NVIDIA driver becomes one of pool {pool}. Made by agentgpu.
# Secrets are not in here: put them into {secrets} on the machine (mode 0600).
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
    dcgm_exporter: Pairs
    ollama: tuple[tuple[str, str, tuple[str, ...]], ...]
    bridge: str
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


@dataclass(frozen=True, slots=True, kw_only=True)
class PrometheusContext(Context):
    """What Prometheus asks on the machine."""

    template: ClassVar[str] = "prometheus.yaml.j2"
    interval: str
    stack: str
    node_pool: str
    engines: tuple[tuple[str, str, str, Pairs], ...]
    accelerators: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class FirewallContext(Context):
    """Who may reach the machine."""

    template: ClassVar[str] = "firewall.nft.j2"
    path: str
    bridge: str
    rules: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class FrontRuleContext(Context):
    """The rule by which the machine in front comes in."""

    template: ClassVar[str] = "front.nft.j2"
    ports: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamContext(Context):
    """The way from the front machine's NGINX to the other machines."""

    template: ClassVar[str] = "stream.conf.j2"
    folder: str
    listen: str
    connect_timeout_ms: int
    idle_timeout_s: int
    server_name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MachinesListContext(Context):
    """What each other machine adds to the configuration of the front machine's NGINX."""

    template: ClassVar[str] = "machines.list.j2"
    lines: tuple[tuple[str, str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SysctlContext(Context):
    """Kernel settings, each with its reason."""

    template: ClassVar[str] = "sysctl.conf.j2"
    settings: tuple[tuple[str, str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineContext(Context):
    """What the setup script needs to know."""

    template: ClassVar[str] = "machine.env.j2"
    cache_folder: str
    engine_uid: int
    router_uid: int
    tls: str
    disks: str
    secrets: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CloudInitContext(Context):
    """All files of a machine, and the command that starts them."""

    template: ClassVar[str] = "cloud-init.yaml.j2"
    packages: tuple[str, ...]
    files: tuple[tuple[str, str, str], ...]
    setup: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Machine:
    """One pool, as far as its files are about it."""

    plan: Plan
    host: HostPlan
    pool: NodePool
    router: RouterPlan
    workloads: dict[str, Workload]

    @property
    def front(self) -> FrontPlan | None:
        """Set where the pool's first machine is in front of all others."""
        front = self.plan.front
        return front if front is not None and front.node_pool == self.host.node_pool else None

    @property
    def other(self) -> OtherMachine | None:
        """One of the pool's machines that another one is in front of; in that they are alike."""
        front = self.plan.front
        others = () if front is None else front.others
        return next((other for other in others if other.node_pool == self.host.node_pool), None)

    @property
    def routes(self) -> tuple[RoutePlan, ...]:
        """The agents that callers reach here."""
        return self.host.routes if self.front is None else self.front.routes


def hosts_tree(plan: Plan) -> tuple[RenderedFile, ...]:
    """The files of every pool's machines, in the order of their paths."""
    files = [file for host in plan.hosts for file in _host_files(_machine(plan, host))]
    return tuple(sorted(files, key=lambda file: file.path))


def _machine(plan: Plan, host: HostPlan) -> _Machine:
    if plan.router is None:
        raise BadInput.one("plan", "machines have no router", path=f"hosts.{host.node_pool}")
    used = {engine.workload for engine in host.engines}
    return _Machine(
        plan=plan,
        host=host,
        pool=plan.pool(host.node_pool),
        router=plan.router,
        workloads={workload.name: workload for workload in plan.workloads if workload.name in used},
    )


def _host_files(machine: _Machine) -> Iterator[RenderedFile]:
    texts = _texts(machine)
    for name, text in texts.items():
        yield RenderedFile(path=f"{pool_folder(machine.host.node_pool)}/{name}", content=text.encode())
    header = _CLOUD_INIT_HEADER.format(pool=machine.host.node_pool, secrets=SECRETS_FILE)
    body = _yaml_text(_cloud_init(texts))
    yield RenderedFile(
        path=cloud_init_path(machine.host.node_pool), content=f"{CLOUD_CONFIG_HEADER}\n{header}{body}".encode()
    )


def _texts(machine: _Machine) -> dict[str, str]:
    """Every file that lies on the machine, by its name below the folder of the machine's files."""
    host = machine.host
    nginx_text = filled(_nginx(machine))
    prometheus_text = _yaml_text(_prometheus(machine))
    header = _COMPOSE_HEADER.format(pool=host.node_pool, secrets=SECRETS_FILE)
    texts = {
        COMPOSE: header + _compose_text(machine, nginx_text, prometheus_text),
        CONFIG: nginx_text,
        FIREWALL: filled(_firewall(machine)),
        _SYSCTL: filled(_sysctl(host)),
        _ENVIRONMENT: filled(_environment(machine)),
        SETUP: verbatim(SETUP),
        SCRIPT: verbatim(SCRIPT),
        MODELS_FILE: models_document(machine.pool),
        **{unit: verbatim(unit) for unit in _UNITS},
    }
    if host.prometheus is not None:
        texts[PROMETHEUS] = prometheus_text
    if machine.front is not None:
        texts[_STREAM] = filled(_stream(machine.front))
        texts[_MACHINES_LIST] = filled(_machines_list(machine.front))
    if machine.other is not None:
        texts[_FRONT_RULE] = filled(FrontRuleContext(ports=_ports(host.routes)))
    for workload in machine.workloads.values():
        for file in workload.engine.files:
            texts[_settings_path(workload, file.name)] = file.content
    return texts


def _compose_text(machine: _Machine, nginx_text: str, prometheus_text: str) -> str:
    compose = document(_compose(machine, nginx_text, prometheus_text))
    services = compose["services"]
    if not isinstance(services, dict):
        raise BadInput.one(ComposeContext.template, "does not make services")
    engines = {f"engine-{engine.name}": document(_engine(machine, engine)) for engine in machine.host.engines}
    return dump({**compose, "services": {**engines, **services}}).decode()


def _yaml_text(context: Context) -> str:
    return dump(document(context)).decode()


def _settings_path(workload: Workload, name: str) -> str:
    return f"engine/{workload.name}/{name}"


def _compose(machine: _Machine, nginx_text: str, prometheus_text: str) -> ComposeContext:
    plan, host, pool, router = machine.plan, machine.host, machine.pool, machine.router
    caches = tuple(
        (_cache_volume(workload), f"{ENGINE_CACHE_MOUNT}/{workload.name}") for workload in machine.workloads.values()
    )
    others = [*(["prometheus"] if host.prometheus else ()), *(["ollama"] if host.ollama else ())]
    return ComposeContext(
        project=plan.stack,
        user=f"{ENGINE_UID}:{ENGINE_UID}",
        filler_image=filler_image(plan, pool),
        folders_command=(f"{ENGINE_UID}:{ENGINE_UID}", MODELS_MOUNT, *(place for _, place in caches)),
        cache_folder=pool.cache_path,
        models_folder=MODELS_MOUNT,
        engine_caches=caches,
        filler=() if pool.filler is None else ((_sha256(models_document(pool)), fill_command(pool.filler)),),
        filler_environment=(
            *filler_environment(),
            *((name, _reference(name)) for name, _ in token_variables(pool.cached_models)),
        ),
        filler_memory=_mib(0 if pool.filler is None else pool.filler.memory_limit_mib),
        filler_scratch=_scratch("/tmp", ENGINE_UID, _FILLER_SCRATCH_MIB),  # noqa: S108 - the container's own
        ready_file=READY_FILE,
        scripts=tuple((f"./{name}", f"{SCRIPT_FOLDER}/{name}") for name in (SCRIPT, MODELS_FILE)),
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
            *(((TLS_FOLDER, _CERTIFICATES_INSIDE),) if host.tls else ()),
            *(((MACHINES_FOLDER, _MACHINES_INSIDE),) if machine.front is not None else ()),
        ),
        prometheus=()
        if host.prometheus is None
        else (
            (
                host.prometheus.image,
                (
                    "--config.file=/etc/prometheus/prometheus.yml",
                    "--storage.tsdb.path=/prometheus",
                    f"--storage.tsdb.retention.time={host.metrics_retention_days}d",
                    f"--web.listen-address={_LOOPBACK}:{host.prometheus.port}",
                ),
                _sha256(prometheus_text),
            ),
        ),
        dcgm_exporter=()
        if host.dcgm_exporter is None
        else ((host.dcgm_exporter.image, _published(host.dcgm_exporter.port, host.dcgm_exporter.port)),),
        ollama=()
        if host.ollama is None
        else ((host.ollama.image, _published(host.ollama.port, host.ollama.port), ("/bin/sh", "-c", _LOCAL_MODELS)),),
        bridge=_BRIDGE,
        volumes=(*(volume for volume, _ in caches), *others),
        log_size=_LOG_SIZE,
        log_files=_LOG_FILES,
    )


def _engine(machine: _Machine, engine: HostEngine) -> ComposeEngineContext:
    workload = machine.workloads[engine.workload]
    probes = workload.probes
    variables = {secret.variable for secret in workload.engine.secret_environment}
    content = _sha256("\0".join(part for file in workload.engine.files for part in (file.name, file.content)))
    return ComposeEngineContext(
        image=workload.engine.image,
        command=_literal(workload.engine.command),
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
            (f"./{_settings_path(workload, file.name)}", f"{SETTINGS_MOUNT}/{file.name}")
            for file in workload.engine.files
        ),
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
    url = f"http://{_LOOPBACK}:{workload.port}{workload.engine.health_path}"
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


def _wait(workload: Workload) -> str:
    return f"wait-{workload.name}"


def _cache_volume(workload: Workload) -> str:
    return f"engine-cache-{workload.name}"


def _published(port: int, inside: int) -> str:
    return f"{_LOOPBACK}:{port}:{inside}"


def _mib(mib: int) -> str:
    return f"{mib}m"


def _scratch(path: str, uid: int, mib: int) -> str:
    return f"{path}:uid={uid},gid={uid},mode=0700,size={mib}m"


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _nginx(machine: _Machine) -> Context:
    host = machine.host
    certificate = (
        f"ssl_certificate {_CERTIFICATES_INSIDE}/tls.crt;",
        f"ssl_certificate_key {_CERTIFICATES_INSIDE}/tls.key;",
        "ssl_protocols TLSv1.2 TLSv1.3;",
        "ssl_session_cache shared:callers:10m;",
        "ssl_session_timeout 1h;",
    )
    how = " ssl" if host.tls else ""
    front = machine.front
    return nginx(
        machine.router,
        worker_connections=None if front is None else front.worker_connections,
        parts=() if front is None else (f"{_MACHINES_INSIDE}/{_STREAM}*",),
        elsewhere=ELSEWHERE if front is None else (*ELSEWHERE, "http_502"),
        directives=certificate if host.tls else (),
        health_listen=f"{_LOOPBACK}:{host.health_port}",
        status_port=host.status_port,
        routes=tuple(
            nginx_route(
                route,
                listen=tuple(
                    f"{address}:{route_port(route)}{how} backlog={host.listen_queue}" for address in host.listen
                ),
                engines=_engines_of(machine, route) or (_NOBODY,),
                more_engines=() if front is None else (f"{_MACHINES_INSIDE}/{_upstream_file(route.agent)}*",),
            )
            for route in machine.routes
        ),
    )


def _engines_of(machine: _Machine, route: RoutePlan) -> tuple[str, ...]:
    return tuple(
        f"{_LOOPBACK}:{engine.port}"
        for engine in machine.host.engines
        if machine.workloads[engine.workload].agent == route.agent
    )


def _stream(front: FrontPlan) -> StreamContext:
    ports = [route.port for other in front.others for route in other.routes]
    return StreamContext(
        folder=_MACHINES_INSIDE,
        listen=f"{_LOOPBACK}:{min(ports)}-{max(ports)}",
        connect_timeout_ms=front.connect_timeout_ms,
        idle_timeout_s=front.idle_timeout_s,
        server_name=front.server_name,
    )


def _machines_list(front: FrontPlan) -> MachinesListContext:
    ways = [(other.name, route) for other in front.others for route in other.routes]
    return MachinesListContext(
        lines=tuple(
            line
            for name, way in ways
            for line in (
                (name, _upstream_file(way.agent), f"server {_LOOPBACK}:{way.port} weight={way.engines} max_fails=0;"),
                (name, "addresses.map", f"{way.port} ADDRESS:{way.target_port};"),
            )
        )
    )


def _upstream_file(agent: str) -> str:
    return f"upstream-{agent}.conf"


def _prometheus(machine: _Machine) -> PrometheusContext:
    plan, host = machine.plan, machine.host
    watched = [
        (engine, machine.workloads[engine.workload], metrics.path)
        for engine in host.engines
        if (metrics := machine.workloads[engine.workload].metrics) is not None
    ]
    return PrometheusContext(
        interval=f"{plan.watching.scrape_interval_s}s",
        stack=plan.stack,
        node_pool=host.node_pool,
        engines=tuple(
            (
                engine.name,
                path,
                f"{_LOOPBACK}:{engine.port}",
                (
                    ("agentgpu_dev_stack", plan.stack),
                    ("agentgpu_dev_agent", workload.agent),
                    ("agentgpu_dev_tier", workload.tier),
                ),
            )
            for engine, workload, path in watched
        ),
        accelerators=() if host.dcgm_exporter is None else (f"{_LOOPBACK}:{host.dcgm_exporter.port}",),
    )


def _firewall(machine: _Machine) -> FirewallContext:
    host = machine.host
    ports = _ports(machine.routes)
    return FirewallContext(
        path=FIREWALL_FILE,
        bridge=_BRIDGE,
        rules=(
            *(f"{_source(source)} tcp dport {_SSH} accept" for source in host.admin_ranges),
            *(f"{_source(source)} tcp dport {ports} accept" for source in host.caller_ranges),
            *((f'include "{FIREWALL_RULES_FOLDER}/*.nft"',) if machine.other is not None else ()),
        ),
    )


def _ports(routes: tuple[RoutePlan, ...]) -> str:
    return f"{{ {', '.join(str(route_port(route)) for route in routes)} }}"


def _source(address_range: AddressRange) -> str:
    return f"ip6 saddr {address_range}" if ":" in address_range else f"ip saddr {address_range}"


def _sysctl(host: HostPlan) -> SysctlContext:
    return SysctlContext(
        settings=tuple((setting.name, setting.value, setting.reason) for setting in host.kernel_settings)
    )


def _environment(machine: _Machine) -> MachineContext:
    host = machine.host
    return MachineContext(
        cache_folder=machine.pool.cache_path,
        engine_uid=ENGINE_UID,
        router_uid=ROUTER_UID,
        tls="yes" if host.tls else "no",
        disks="yes" if host.disks_are_joined else "no",
        secrets=" ".join(secret.variable for secret in host.secrets),
    )


def _cloud_init(texts: dict[str, str]) -> CloudInitContext:
    return CloudInitContext(
        packages=_PACKAGES,
        files=tuple(
            (f"{MACHINE_FOLDER}/{name}", "0755" if name in _EXECUTABLE else "0644", text)
            for name, text in sorted(texts.items())
        ),
        setup=SETUP_FILE,
    )
