"""NGINX in front of the agents: one Deployment for the stack, and two Services for each agent behind it.

Callers keep the one address that they know: the agent's Service leads to NGINX, at a port of NGINX that belongs to the
agent. NGINX finds the engines by a headless Service, ``<deployment>-engines``; a deployment may serve several agents.

Agents are told apart by port and not by host name: a port-forward, an ingress or an alias changes the Host header, and
a request must never come to another agent's engines for that. Services name the port, and each pod says which number
has the name; so while a new configuration rolls out, pods of the old one are asked for what they serve.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import ClassVar

from agentgpu_iac.plan import Plan, RoutePlan, RouterPlan, Workload
from agentgpu_iac.plan.names import ROUTER_NAME, engines_service, weighted
from agentgpu_iac.plan.nodes import AGENT_LABEL
from agentgpu_iac.rendering import machines_behind
from agentgpu_iac.rendering.context import ConfigMapContext, Context, Draft, Pairs
from agentgpu_iac.rendering.names import (
    BASE,
    COMPONENT_LABEL,
    EXPORTER_PORT_NAME,
    ROUTER_COMPONENT,
    SERVICE_ACCOUNT,
    labels,
    priority_of,
    topology_keys,
)
from agentgpu_iac.rendering.service import (
    HTTP_PORT,
    ServiceContext,
    behind_nginx,
    disruption_budgets,
    engine_service,
    tier_service,
)
from agentgpu_iac.rendering.stack import agents
from agentgpu_iac.rendering.templates import filled
from agentgpu_iac.units import ceil_div, cpu_quantity, mib_quantity

CONFIG = "nginx.conf"
CONFIG_FOLDER = "/etc/nginx/router"
_RUN_FOLDER = "/run/router"
_RESOLVER_FILE = f"{_RUN_FOLDER}/resolver.conf"

_HEALTH_PORT = 8080
_STATUS_PORT = 8081
"""NGINX's own counts, for the exporter in the same pod."""
ROUTER_UID = 101
"""The user of the nginx-unprivileged image."""

_RESOLVER_SCRIPT = (
    'awk \'BEGIN { printf "resolver" } '
    '$1 == "nameserver" { printf(index($2, ":") ? " [%s]" : " %s", $2) } '
    f'END {{ print " valid=5s;" }}\' /etc/resolv.conf > {_RESOLVER_FILE}'
)
"""The cluster's name servers, as a directive of NGINX. Answers are used for 5 s, a third of the time that an engine which
ends still takes requests."""

COMMAND = ("nginx", "-e", "stderr", "-c", f"{CONFIG_FOLDER}/{CONFIG}", "-g", "daemon off;")
"""Without the image's entry point, which would write below a root file system that is read-only."""

_KERNEL_SETTINGS = (
    ("net.ipv4.tcp_keepalive_time", "30"),
    ("net.ipv4.tcp_keepalive_intvl", "10"),
    ("net.ipv4.tcp_keepalive_probes", "3"),
)

_PORT_NAME = re.compile(r"(?!.*--)[a-z][-a-z0-9]{0,14}")
"""What Kubernetes takes for the name of a port."""

Route = tuple[
    str, tuple[str, ...], tuple[str, ...], tuple[str, ...], tuple[str, ...], tuple[str, ...], int, int, int, int
]
"""Agent, where NGINX listens for it, its engines, files that name more of them, directives that choose an engine and that
limit, tries, and times."""

Exporter = tuple[str, tuple[str, ...], str, int, str, str]
"""Image, arguments, name and number of its port, CPU, memory. It is one static program, which any user can run."""

_SHORT_LIVED = "keepalive_time 4s;"
"""NGINX asks other machines through ports of its own. When it reads a new configuration, a worker of the old one may still take
such a connection; requests would then follow one another on it until that worker is ended, in the middle of one. So none is
used for longer than the 4 s after which an idle one is closed."""

REQUESTS_ZONE = "requests_in_flight"
"""Memory in which NGINX counts the requests of each agent. Agents have zones of their own name beside it, which no agent's
can be: it holds an underscore."""


def elsewhere(router: RouterPlan) -> tuple[str, ...]:
    """What sends a request to another replica: no answer, or one by which engines turn it away."""
    refusals = sorted({status for route in router.routes for status in route.refusal_statuses})
    return ("error", "timeout", *(f"http_{status}" for status in refusals), "non_idempotent")


@dataclass(frozen=True, slots=True, kw_only=True)
class NginxContext(Context):
    """NGINX's configuration."""

    template: ClassVar[str] = "nginx.conf.j2"
    workers: int
    worker_connections: int
    open_files: int
    """Each connection may hold a file for a large body."""
    shutdown_timeout_s: int
    directives: tuple[str, ...]
    """What holds for all servers: how names are resolved, or the certificate."""
    parts: tuple[str, ...]
    """Files that hold more of the configuration, beside what is for HTTP."""
    elsewhere: tuple[str, ...]
    max_request_mib: int
    body_buffer_kib: int
    header_buffer_kib: int
    session_variable: str
    """The session header as NGINX names it, without ``http_``."""
    requests_zone: str
    health_listen: str
    status_port: int
    routes: tuple[Route, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RouterDeploymentContext(Context):
    """NGINX itself."""

    template: ClassVar[str] = "router-deployment.yaml.j2"
    name: str
    namespace: str
    labels: Pairs
    selector: Pairs
    replicas: int
    version: str
    content_sha256: str
    """Of the configuration: a change starts the routers anew, one by one."""
    service_account: str
    uid: int
    has_priority: bool
    priority_class: str | None
    grace_period_s: int
    pre_stop_s: int
    spreads: bool
    spread_keys: tuple[str, ...]
    kernel_settings: Pairs
    image: str
    resolver_command: tuple[str, ...]
    command: tuple[str, ...]
    machines: tuple[tuple[str, str, str], ...]
    """Volume, ConfigMap and folder of the list of machines beside the cluster, where there are any."""
    ports: tuple[tuple[str, int], ...]
    health_port: str
    cpu: str
    memory: str
    config_folder: str
    run_folder: str
    run_is_fixed: bool
    """Whether nothing is written there while NGINX runs."""
    scratch_size: str
    exporters: tuple[Exporter, ...]


def router_drafts(plan: Plan) -> tuple[Draft, ...]:
    """NGINX with its configuration, and the Services of the agents behind it; nothing where no agent is."""
    if plan.router is None or plan.router.kind != "nginx":
        return ()
    config, routed = _config_map(plan, plan.router), behind_nginx(plan)
    contexts = (
        config,
        _deployment(plan, plan.router, config),
        *disruption_budgets(plan, ROUTER_NAME, _labels(plan), _selector()),
        *(
            service
            for agent in agents(plan)
            if agent.agent in routed
            for service in (
                *(_public_service(plan, agent, name) for name in agent.served),
                engine_service(plan, agent, engines_service(agent.agent), headless=True),
                *(
                    tier_service(plan, tier, engines_service(tier.agent, tier.tier_label))
                    for tier in weighted(plan, agent.agent)
                ),
            )
        ),
    )  # fmt: skip
    return tuple(Draft(folder=BASE, context=context) for context in contexts)


def port_name(agent: str) -> str:
    """Name of the router's port for an agent: the agent's own where Kubernetes takes it, else a digest of it."""
    if _PORT_NAME.fullmatch(agent) and agent not in (_HEALTH, _STATUS, EXPORTER_PORT_NAME):
        return agent
    return f"a{hashlib.sha256(agent.encode()).hexdigest()[:14]}"


_HEALTH, _STATUS = "router-health", "router-status"


def _labels(plan: Plan) -> Pairs:
    return labels(plan.stack, ROUTER_COMPONENT, name="nginx")


def _selector() -> Pairs:
    return ((COMPONENT_LABEL, ROUTER_COMPONENT),)


def _config_map(plan: Plan, router: RouterPlan) -> ConfigMapContext:
    return ConfigMapContext(
        name=ROUTER_NAME,
        namespace=plan.stack,
        labels=_labels(plan),
        data=((CONFIG, filled(_nginx(plan, router))), *machines_behind.joined_files(plan)),
    )


def _nginx(plan: Plan, router: RouterPlan) -> NginxContext:
    return nginx(
        router,
        directives=(f"include {_RESOLVER_FILE};", "resolver_timeout 5s;"),
        health_listen=str(_HEALTH_PORT),
        status_port=_STATUS_PORT,
        worker_connections=None if plan.joined is None else plan.joined.worker_connections,
        parts=machines_behind.parts(plan),
        more_elsewhere=() if plan.joined is None else ("http_502",),
        routes=tuple(
            nginx_route(
                route,
                listen=(str(route_port(route)),),
                engines=_engines(plan, router, route),
                more_engines=machines_behind.more_engines(plan, route.agent),
            )
            for route in router.routes
        ),
    )


def _engines(plan: Plan, router: RouterPlan, route: RoutePlan) -> tuple[str, ...]:
    """The pods of a route: of all its tiers together, or tier by tier where their replicas weigh differently."""
    found = f".{plan.stack}.svc.cluster.local service={HTTP_PORT} resolve"
    tiers = weighted(plan, route.leads_to)
    if not tiers:
        return (f"{engines_service(route.leads_to)}{found}",)
    return tuple(
        f"{engines_service(tier.agent, tier.tier_label)}{found} weight={router.weight_of[tier.name]}" for tier in tiers
    )


def nginx(
    router: RouterPlan,
    *,
    directives: tuple[str, ...],
    health_listen: str,
    status_port: int,
    routes: tuple[Route, ...],
    worker_connections: int | None = None,
    parts: tuple[str, ...] = (),
    more_elsewhere: tuple[str, ...] = (),
) -> NginxContext:
    """NGINX's configuration, wherever it runs."""
    connections = worker_connections or router.worker_connections
    return NginxContext(
        workers=ceil_div(router.cpu_milli, 1000),
        worker_connections=connections,
        open_files=2 * connections,
        shutdown_timeout_s=router.drain.shutdown_timeout_s,
        directives=(*directives, *_group_directives(router)),
        parts=parts,
        elsewhere=(*elsewhere(router), *more_elsewhere),
        max_request_mib=router.max_request_mib,
        body_buffer_kib=router.body_buffer_kib,
        header_buffer_kib=router.header_buffer_kib,
        session_variable=router.session_header.replace("-", "_"),
        requests_zone=REQUESTS_ZONE,
        health_listen=health_listen,
        status_port=status_port,
        routes=routes,
    )


def _group_directives(router: RouterPlan) -> tuple[str, ...]:
    """How engines are told the attention group of a session: a hash of the session deals the groups out evenly.

    What a caller says of the group himself never reaches the engine: a header without a value is not passed on.
    """
    routes = tuple(route for route in router.routes if route.group_header is not None)
    if not routes:
        return ()
    sizes = sorted({route.attention_groups for route in routes})
    headers = dict.fromkeys(route.group_header for route in routes)
    of_agents = " ".join(f"{route.agent} $group_of_{route.attention_groups};" for route in routes)
    return (
        *(f'split_clients "$session" $group_of_{size} {{ {_shares(size)} }}' for size in sizes),
        f'map $server_name $attention_group {{ default ""; {of_agents} }}',
        *(f"proxy_set_header {header} $attention_group;" for header in headers),
    )


def _shares(groups: int) -> str:
    """Equal parts in hundredths of a percent, as NGINX takes them; the last group has what is left."""
    part = f"{10_000 // groups / 100:.2f}%"
    return " ".join((*(f"{part} {group};" for group in range(groups - 1)), f"* {groups - 1};"))


def nginx_route(
    route: RoutePlan, *, listen: tuple[str, ...], engines: tuple[str, ...], more_engines: tuple[str, ...] = ()
) -> Route:
    """One agent's route: where NGINX listens for it, and how it names the engines, or the files that name more of them."""
    balance = ("hash $session consistent;",) if route.policy == "session-affine" else ()
    balance = (*balance, *((_SHORT_LIVED,) if more_engines else ()))
    limit = () if route.max_connections is None else (f"limit_conn {REQUESTS_ZONE} {route.max_connections};",)
    return (
        route.agent,
        listen,
        engines,
        more_engines,
        balance,
        limit,
        route.max_tries,
        route.retry_window_ms,
        route.connect_timeout_ms,
        route.answer_timeout_s,
    )


def route_port(route: RoutePlan) -> int:
    """Its port. Raises ValueError for the route of a Gateway, which has none."""
    if route.port is None:
        raise ValueError(f"the route of {route.agent} has no port")
    return route.port


def _deployment(plan: Plan, router: RouterPlan, config: ConfigMapContext) -> RouterDeploymentContext:
    ports = ((_HEALTH, _HEALTH_PORT), *((port_name(route.agent), route_port(route)) for route in router.routes))
    return RouterDeploymentContext(
        name=ROUTER_NAME,
        namespace=plan.stack,
        labels=_labels(plan),
        selector=_selector(),
        replicas=router.replicas,
        version=router.version,
        content_sha256=hashlib.sha256("".join(text for _, text in config.data).encode()).hexdigest(),
        service_account=SERVICE_ACCOUNT,
        uid=ROUTER_UID,
        has_priority=bool(plan.priority_classes),
        priority_class=priority_of(plan, router.priority),
        grace_period_s=router.drain.grace_period_s,
        pre_stop_s=router.drain.pre_stop_s,
        spreads=bool(router.spread),
        spread_keys=topology_keys(router.spread),
        kernel_settings=_KERNEL_SETTINGS,
        image=router.image,
        resolver_command=("sh", "-c", _RESOLVER_SCRIPT),
        command=COMMAND if plan.joined is None else ("sh", f"{CONFIG_FOLDER}/{machines_behind.SCRIPT}"),
        machines=() if plan.joined is None else (("machines", plan.joined.config_map, machines_behind.GIVEN_FOLDER),),
        ports=ports,
        health_port=_HEALTH,
        cpu=cpu_quantity(router.cpu_milli),
        memory=mib_quantity(router.memory_mib),
        config_folder=CONFIG_FOLDER,
        run_folder=_RUN_FOLDER,
        run_is_fixed=plan.joined is None,
        scratch_size=mib_quantity(router.scratch_mib),
        exporters=_exporters(router),
    )


def _exporters(router: RouterPlan) -> tuple[Exporter, ...]:
    exporter = router.exporter
    if exporter is None:
        return ()
    return (
        (
            exporter.image,
            exporter_arguments(_STATUS_PORT, f":{exporter.port}"),
            EXPORTER_PORT_NAME,
            exporter.port,
            cpu_quantity(exporter.cpu_milli),
            mib_quantity(exporter.memory_mib),
        ),
    )


def exporter_arguments(status_port: int, listen: str) -> tuple[str, ...]:
    """What nginx-prometheus-exporter is told: where NGINX's counts are, and where Prometheus asks for them."""
    return (f"--nginx.scrape-uri=http://127.0.0.1:{status_port}/status", f"--web.listen-address={listen}")


def _public_service(plan: Plan, deployment: Workload, agent: str) -> ServiceContext:
    return ServiceContext(
        name=agent,
        namespace=plan.stack,
        labels=labels(plan.stack, ROUTER_COMPONENT, name="nginx", more=((AGENT_LABEL, deployment.agent),)),
        selector=_selector(),
        headless=False,
        port_name=HTTP_PORT,
        app_protocol="http",
        port=deployment.port,
        target_port=port_name(agent),
    )
