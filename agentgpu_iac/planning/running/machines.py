"""Virtual machines: what one machine of each node pool runs, for the targets that have no cluster.

All machines of a pool are alike, so that one set of files serves them and any of them may be replaced by another. Engines
listen on the loopback only. NGINX is what callers reach: every agent has a port of its own there, the same on all machines.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from ipaddress import ip_network

from agentgpu_iac.catalog.model import ServiceSoftware
from agentgpu_iac.catalog.store import Catalog
from agentgpu_iac.errors import Infeasible
from agentgpu_iac.plan import (
    AgentPlan,
    HostEngine,
    HostPlan,
    HostProxyPlan,
    HostSecret,
    HostService,
    KernelSetting,
    NodePool,
    ProxyPlan,
    RoutePlan,
    RouterPlan,
    Workload,
    token_variables,
)
from agentgpu_iac.plan.proxy import secret_variables
from agentgpu_iac.planning.running import proxying, security
from agentgpu_iac.planning.running.routing import MAX_TRIES, connections_of, countable
from agentgpu_iac.planning.running.tuning import TUNING
from agentgpu_iac.spec.model import StackSpec
from agentgpu_iac.targets import target_of
from agentgpu_iac.units import ceil_div, counted

FIRST_ENGINE_PORT = 20_000
"""Loopback port of a machine's first engine; the others follow. Below the kernel's ports for outgoing connections."""
HEALTH_PORT = 9_080
STATUS_PORT = 9_081
"""NGINX's own, on the loopback."""
PROMETHEUS_PORT = 9_090
DCGM_EXPORTER_PORT = 9_400
GRAFANA_PORT = 3_000
OLLAMA_PORT = 11_434
"""Each the software's own, on the loopback."""
METRICS_RETENTION_DAYS = 15
"""Prometheus' own default."""

LISTEN_QUEUE = 4_096
_OPEN_FILES = 65_536
_EVERYWHERE = ("0.0.0.0",)  # noqa: S104 - behind the machine's own firewall

_KERNEL_SETTINGS = (
    KernelSetting(
        name="net.core.somaxconn",
        value=str(LISTEN_QUEUE),
        reason="a burst of callers waits to be accepted instead of being refused; the kernel cuts every queue to this",
    ),
    KernelSetting(
        name="net.ipv4.tcp_max_syn_backlog",
        value=str(2 * LISTEN_QUEUE),
        reason="the same, for connections that are still being opened",
    ),
    KernelSetting(
        name="net.ipv4.tcp_keepalive_time", value="30", reason="a caller or engine that is lost is noticed in a minute"
    ),
    KernelSetting(name="net.ipv4.tcp_keepalive_intvl", value="10", reason="as above"),
    KernelSetting(name="net.ipv4.tcp_keepalive_probes", value="3", reason="as above"),
    KernelSetting(
        name="vm.max_map_count",
        value="1048576",
        reason="engines map weights and pinned buffers in many pieces; 65,530 is near for large models (a judgement)",
    ),
    KernelSetting(name="vm.swappiness", value="1", reason="an engine that is swapped out misses every latency budget"),
)


def host_plans(
    spec: StackSpec,
    catalog: Catalog,
    workloads: Sequence[Workload],
    node_pools: Sequence[NodePool],
    router: RouterPlan | None,
    agents: Sequence[AgentPlan],
    proxy: ProxyPlan | None = None,
) -> tuple[HostPlan, ...]:
    """What a machine of each pool runs; where there is a cluster, of those pools that stand beside it.

    ``proxy`` is the one in front of the agents; where there is a cluster it runs there.

    Raises Infeasible where machines of a pool cannot be alike.
    """
    if router is None:
        return ()
    by_name = {agent.name: agent for agent in agents}
    return tuple(
        _host_plan(
            spec,
            catalog,
            pool,
            _members(pool, workloads),
            router,
            by_name,
            proxy if target_of(spec).can.runs_machines else None,
        )
        for pool in node_pools
        if target_of(spec).can.runs_machines or pool.beside_cluster
    )


def _members(pool: NodePool, workloads: Sequence[Workload]) -> tuple[Workload, ...]:
    return tuple(workload for workload in workloads if workload.node_pool == pool.name)


def _host_plan(
    spec: StackSpec,
    catalog: Catalog,
    pool: NodePool,
    members: Sequence[Workload],
    router: RouterPlan,
    agents: Mapping[str, AgentPlan],
    proxy: ProxyPlan | None,
) -> HostPlan:
    engines = tuple(_engines(pool, members))
    routes = tuple(
        _route(
            route,
            agents[route.agent],
            [(workload, engines) for workload in members if workload.agent == route.leads_to],
        )
        for route in router.routes
        if any(workload.agent == route.leads_to for workload in members)
    )
    known = tuple(_secrets(pool, members))
    counted_engines = [(each, sum(engine.workload == each.name for engine in engines)) for each in members]
    proxied = proxying.on_machine(proxy, counted_engines, routes, agents)
    callers = spec.hosts.caller_ranges
    watched = spec.observability.monitors != "none"
    is_counted = watched and spec.observability.accelerators != "none"
    pins = spec.pins
    return HostPlan(
        node_pool=pool.name,
        engines=engines,
        routes=routes,
        listen=_EVERYWHERE if pool.beside_cluster and not callers else _listen(callers),
        listen_queue=LISTEN_QUEUE,
        tls=bool(callers) or pool.beside_cluster,
        caller_ranges=callers,
        admin_ranges=spec.hosts.admin_ranges,
        health_port=HEALTH_PORT,
        status_port=STATUS_PORT,
        prometheus=_service(catalog, "prometheus", pins.prometheus_image, PROMETHEUS_PORT) if watched else None,
        dcgm_exporter=_service(catalog, "dcgm-exporter", pins.dcgm_exporter_image, DCGM_EXPORTER_PORT)
        if is_counted
        else None,
        grafana=_service(catalog, "grafana", pins.grafana_image, GRAFANA_PORT)
        if watched and spec.observability.grafana
        else None,
        ollama=_service(catalog, "ollama", pins.ollama_image, OLLAMA_PORT)
        if target_of(spec).can.serves_one_developer
        else None,
        metrics_retention_days=METRICS_RETENTION_DAYS,
        disks_are_joined=any(workload.model_cache.storage == "nvme" for workload in members),
        secrets=(*known, *_proxy_secrets(spec, proxy, proxied, known)),
        kernel_settings=_KERNEL_SETTINGS,
        tuning=TUNING,
        open_files=max(_OPEN_FILES, 4 * router.worker_connections),
        proxy=proxied,
    )


def _engines(pool: NodePool, members: Sequence[Workload]) -> Iterator[HostEngine]:
    """Each replica with the accelerators that are its own, or that it shares with the others of its group."""
    each = {workload.name: ceil_div(workload.replicas.max, pool.max) for workload in members}
    shared = pool.sharing != "none"
    taken = sum(each[workload.name] * workload.accelerators_per_replica for workload in members)
    if not shared and taken > pool.accelerators_per_node:
        raise Infeasible(
            f"machines of pool {pool.name} cannot be alike: {counted(taken, 'accelerator')} for "
            f"{', '.join(f'{each[workload.name]} x {workload.name}' for workload in members)} on a machine of "
            f"{pool.accelerators_per_node}; give the agents stacks of their own"
        )
    first, port = 0, FIRST_ENGINE_PORT
    for workload in members:
        for number in range(1, each[workload.name] + 1):
            ids = range(first, first + workload.accelerators_per_replica)
            yield HostEngine(
                name=f"{workload.name}-{number}", workload=workload.name, port=port, accelerators=tuple(ids)
            )
            port += 1
            first += 0 if shared else workload.accelerators_per_replica


def _route(route: RoutePlan, agent: AgentPlan, tiers: Sequence[tuple[Workload, Sequence[HostEngine]]]) -> RoutePlan:
    """The agent's route as far as this machine's engines carry it."""
    here = [(workload, sum(engine.workload == workload.name for engine in engines)) for workload, engines in tiers]
    limits = [workload.admission.max_queued_requests for workload, _ in here]
    requests = sum(limit * count for limit, (_, count) in zip(limits, here, strict=True) if limit is not None)
    return route.model_copy(
        update={
            "max_connections": None if None in limits else countable(connections_of(agent, here[0][0], requests)),
            "max_tries": min(MAX_TRIES, sum(count for _, count in here)),
        }
    )


def _listen(callers: Sequence[str]) -> tuple[str, ...]:
    """The loopback alone where nobody else may call."""
    if not callers:
        return ("127.0.0.1",)
    versions = {ip_network(caller).version for caller in callers}
    return (*_EVERYWHERE, "[::]") if 6 in versions else _EVERYWHERE


def _service(catalog: Catalog, service: ServiceSoftware, pinned: str | None, port: int) -> HostService:
    release = catalog.service(service)
    return HostService(version=release.version, image=pinned or release.image, port=port)


def _secrets(pool: NodePool, members: Sequence[Workload]) -> Iterator[HostSecret]:
    """What the machine's own file of secrets must hold, a variable each."""
    seen: set[str] = set()
    for workload in members:
        for variable in workload.engine.secret_environment:
            if variable.variable not in seen:
                seen.add(variable.variable)
                yield HostSecret(
                    variable=variable.variable,
                    secret=variable.secret,
                    key=variable.key,
                    purpose=security.API_KEY_PURPOSE,
                )
    for name, secret in token_variables(pool.cached_models):
        yield HostSecret(variable=name, secret=secret, key=security.TOKEN, purpose=security.TOKEN_PURPOSE)


def _proxy_secrets(
    spec: StackSpec, proxy: ProxyPlan | None, here: HostProxyPlan | None, known: Sequence[HostSecret]
) -> Iterator[HostSecret]:
    """What LiteLLM reads on the machine, beside what engines read too."""
    if proxy is None or here is None:
        return
    purposes = {secret.name: secret.purpose for secret in security.plan(spec).secrets}
    for variable, secret, key in secret_variables(
        proxy.teams, here.paid, proxy.redis_secret, spec.security.api_key_secret
    ):
        if all((each.secret, each.key) != (secret, key) for each in known):
            yield HostSecret(variable=variable, secret=secret, key=key, purpose=purposes[secret])
