"""Agents behind a Gateway of yours: a route each, and for each deployment an InferencePool and the endpoint picker that it names.

The Gateway asks the picker, for every request, which pod should have it. The picker reads the engines' own metrics and
remembers which prompts went where: sessions return to the replica that holds their context because their prompts begin
alike, and no header is needed. Several agents share the Gateway's addresses, so each has a path of its own.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from agentgpu_iac.plan import GatewayPlan, Plan, RoutePlan, RouterPlan, Workload
from agentgpu_iac.plan.addresses import gateway_path
from agentgpu_iac.plan.names import endpoint_picker
from agentgpu_iac.plan.nodes import AGENT_LABEL
from agentgpu_iac.rendering.context import ConfigMapContext, Context, Draft, Pairs
from agentgpu_iac.rendering.names import (
    COMPONENT_LABEL,
    ENDPOINT_PICKER_COMPONENT,
    GATEWAY,
    labels,
    priority_of,
)
from agentgpu_iac.rendering.service import ServiceContext, engine_selector
from agentgpu_iac.rendering.stack import ServiceAccountContext, agents
from agentgpu_iac.rendering.templates import document
from agentgpu_iac.rendering.yaml_text import dump
from agentgpu_iac.units import cpu_quantity, mib_quantity

_CONFIG = "config.yaml"
_CONFIG_FOLDER = "/config"

PICKER_PORT, _HEALTH_PORT, PICKER_METRICS_PORT = 9002, 9003, 9090
PICKER_METRICS_PORT_NAME, PICKER_METRICS_PATH = "metrics", "/metrics"
_PORT_NAME = "grpc-ext-proc"
_UID = 65532
"""The user of the picker's image."""

_SCORERS = (("queue-scorer", 2), ("kv-cache-utilization-scorer", 2))
_PREFIX_SCORER = ("prefix-cache-scorer", 3)
"""With the weights of the picker's own default; without the last one, requests go where there is most room."""

_READABLE = tuple(
    (group, resource, ("get", "list", "watch"))
    for group, resource in (
        ("", "pods"),
        ("inference.networking.k8s.io", "inferencepools"),
        ("llm-d.ai", "inferenceobjectives"),
        ("llm-d.ai", "inferencemodelrewrites"),
        ("inference.networking.x-k8s.io", "inferenceobjectives"),
        ("inference.networking.x-k8s.io", "inferencemodelrewrites"),
    )
)
"""What a picker watches in its namespace. The last four it watches only where the cluster has such kinds, and then waits
for them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpRouteContext(Context):
    """The way from the Gateway to one agent."""

    template: ClassVar[str] = "http-route.yaml.j2"
    name: str
    namespace: str
    labels: Pairs
    gateway: str
    gateway_namespace: str
    has_hostnames: bool
    hostnames: tuple[str, ...]
    path: str
    pool: str
    timeout: str


@dataclass(frozen=True, slots=True, kw_only=True)
class InferencePoolContext(Context):
    """The engines of one deployment, and who picks among them."""

    template: ClassVar[str] = "inference-pool.yaml.j2"
    name: str
    namespace: str
    labels: Pairs
    selector: Pairs
    port: int
    picker: str
    picker_port: int


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointPickerConfigContext(Context):
    """What a picker weighs."""

    template: ClassVar[str] = "endpoint-picker-config.yaml.j2"
    scorers: tuple[tuple[str, int], ...]
    flows: tuple[tuple[int, float, str, str], ...]
    """Nothing, or the one flow control: requests waiting in an engine, KV cache in use, longest wait, most bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointPickerContext(Context):
    """The picker of one deployment."""

    template: ClassVar[str] = "endpoint-picker.yaml.j2"
    name: str
    namespace: str
    labels: Pairs
    selector: Pairs
    replicas: int
    version: str
    content_sha256: str
    """Of the configuration."""
    service_account: str
    uid: int
    has_priority: bool
    priority_class: str | None
    grace_period_s: int
    image: str
    args: tuple[str, ...]
    port_name: str
    port: int
    health_port: int
    metrics_port: int
    cpu: str
    memory: str
    config: str
    config_folder: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RoleContext(Context):
    """What may be done in one namespace."""

    template: ClassVar[str] = "role.yaml.j2"
    name: str
    namespace: str
    labels: Pairs
    rules: tuple[tuple[str, str, tuple[str, ...]], ...] = ()
    """API group, resource, and what may be done with all of them."""
    named_rules: tuple[tuple[str, str, tuple[str, ...], tuple[str, ...]], ...] = ()
    """API group, resource, the names that are meant, and what may be done with those."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RoleBindingContext(Context):
    """Who may."""

    template: ClassVar[str] = "role-binding.yaml.j2"
    name: str
    namespace: str
    labels: Pairs
    role: str
    service_account: str


def gateway_drafts(plan: Plan) -> tuple[Draft, ...]:
    """Everything that stands between the Gateway and the engines; nothing where there is no Gateway."""
    if plan.router is None or plan.router.gateway is None:
        return ()
    routes: dict[str, list[RoutePlan]] = {}
    for route in plan.router.routes:
        routes.setdefault(route.leads_to, []).append(route)
    contexts = (
        context
        for deployment in agents(plan)
        if (its := routes.get(deployment.agent)) is not None
        for context in _contexts(plan, plan.router, plan.router.gateway, its, deployment)
    )
    return tuple(Draft(folder=GATEWAY, context=context) for context in contexts)


def _contexts(
    plan: Plan, router: RouterPlan, gateway: GatewayPlan, routes: Sequence[RoutePlan], agent: Workload
) -> tuple[Context, ...]:
    picker = endpoint_picker(agent.agent)
    own_labels = labels(
        plan.stack, ENDPOINT_PICKER_COMPONENT, name=ENDPOINT_PICKER_COMPONENT, more=((AGENT_LABEL, agent.agent),)
    )
    selector = ((COMPONENT_LABEL, ENDPOINT_PICKER_COMPONENT), (AGENT_LABEL, agent.agent))
    config = ConfigMapContext(
        name=picker, namespace=plan.stack, labels=own_labels, data=((_CONFIG, _config(routes[0])),)
    )  # fmt: skip
    return (
        *(
            HttpRouteContext(
                name=route.agent,
                namespace=plan.stack,
                labels=own_labels,
                gateway=gateway.name,
                gateway_namespace=gateway.namespace,
                has_hostnames=gateway.hostname is not None,
                hostnames=() if gateway.hostname is None else (gateway.hostname,),
                path=gateway_path(plan.stack, route.agent),
                pool=agent.agent,
                timeout=f"{route.answer_timeout_s}s",
            )
            for route in routes
        ),
        InferencePoolContext(
            name=agent.agent,
            namespace=plan.stack,
            labels=own_labels,
            selector=engine_selector(agent.agent),
            port=agent.port,
            picker=picker,
            picker_port=PICKER_PORT,
        ),
        config,
        ServiceAccountContext(name=picker, namespace=plan.stack, labels=own_labels),
        RoleContext(name=picker, namespace=plan.stack, labels=own_labels, rules=_READABLE),
        RoleBindingContext(
            name=picker, namespace=plan.stack, labels=own_labels, role=picker, service_account=picker
        ),
        ServiceContext(
            name=picker,
            namespace=plan.stack,
            labels=own_labels,
            selector=selector,
            headless=False,
            port_name=_PORT_NAME,
            app_protocol="kubernetes.io/h2c",
            port=PICKER_PORT,
            target_port=_PORT_NAME,
        ),
        EndpointPickerContext(
            name=picker,
            namespace=plan.stack,
            labels=own_labels,
            selector=selector,
            replicas=router.replicas,
            version=router.version,
            content_sha256=hashlib.sha256(config.data[0][1].encode()).hexdigest(),
            service_account=picker,
            uid=_UID,
            has_priority=bool(plan.priority_classes),
            priority_class=priority_of(plan, router.priority),
            grace_period_s=router.drain.grace_period_s,
            image=router.image,
            args=_args(plan, router, agent),
            port_name=_PORT_NAME,
            port=PICKER_PORT,
            health_port=_HEALTH_PORT,
            metrics_port=PICKER_METRICS_PORT,
            cpu=cpu_quantity(router.cpu_milli),
            memory=mib_quantity(router.memory_mib),
            config=picker,
            config_folder=_CONFIG_FOLDER,
        ),
    )  # fmt: skip


def _config(route: RoutePlan) -> str:
    prefix = (_PREFIX_SCORER,) if route.policy == "session-affine" else ()
    flow = route.flow_control
    flows = () if flow is None else ((flow.queue_depth, flow.kv_cache_ratio, f"{flow.queue_s}s", f"{flow.max_mib}Mi"),)
    return dump(document(EndpointPickerConfigContext(scorers=(*_SCORERS, *prefix), flows=flows))).decode()


def _args(plan: Plan, router: RouterPlan, agent: Workload) -> tuple[str, ...]:
    """As the picker's release spells them. Metrics are read without a token, so that it needs no right in the whole cluster."""
    return (
        f"--pool-name={agent.agent}",
        f"--pool-namespace={plan.stack}",
        "--pool-group=inference.networking.k8s.io",
        f"--config-file={_CONFIG_FOLDER}/{_CONFIG}",
        f"--grpc-port={PICKER_PORT}",
        f"--grpc-health-port={_HEALTH_PORT}",
        f"--metrics-port={PICKER_METRICS_PORT}",
        "--metrics-endpoint-auth=false",
        "--enable-pprof=false",
        "--tracing=false",
        "--zap-encoder=json",
        f"--drain-timeout={router.drain.pre_stop_s}s",
    )
