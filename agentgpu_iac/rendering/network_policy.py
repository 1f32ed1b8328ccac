"""Who may talk to whom: everything is denied, then what serving needs is opened.

Each kind of pod has one policy that lists all it may do::

    callers' namespaces -> router, else engines  monitoring namespace -> metrics of engines, routers, pickers
    router -> engines                            fillers -> the models' source, over HTTPS
    Gateway -> endpoint pickers, engines         endpoint pickers -> engines, the Kubernetes API
    the burst scaler -> monitoring namespace, machines beside the cluster, the Kubernetes API and others over HTTPS
    callers' namespaces -> the proxy, and no further where it tells teams apart; the proxy -> router or engines, sellers, Redis
    everyone -> the cluster's DNS                pods of one replica <-> one another
    engines that stream their weights -> S3, over HTTPS, and the agent of Pod Identity
    engines -> nothing else

The kubelet's probes come from the node and need no rule.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

from agentgpu_iac.plan import Plan, Workload
from agentgpu_iac.plan.endpoints import CALLER_LABEL
from agentgpu_iac.plan.nodes import AGENT_LABEL, TIER_LABEL
from agentgpu_iac.rendering.address_ranges import LINK_LOCAL, PRIVATE, of_family
from agentgpu_iac.rendering.context import Context, Draft, Pairs
from agentgpu_iac.rendering.gateway import PICKER_METRICS_PORT, PICKER_PORT
from agentgpu_iac.rendering.names import (
    BASE,
    BURST_SCALER_COMPONENT,
    COMPONENT_LABEL,
    ENDPOINT_PICKER_COMPONENT,
    ENGINE_COMPONENT,
    ENGINE_WORKER_COMPONENT,
    MODEL_CACHE_COMPONENT,
    PROXY_COMPONENT,
    ROUTER_COMPONENT,
    labels,
)
from agentgpu_iac.rendering.service import behind_nginx, engine_selector
from agentgpu_iac.rendering.stack import agents
from agentgpu_iac.rendering.startup_taint import has_startup_taint

_DNS_NAMESPACE = "kube-system"
_NODE_LOCAL_DNS = "169.254.20.10/32"
"""Where node-local DNS caches listen; they run on the node's network, which no namespace selects."""
_DNS_PORT = 53
_HTTP_PORT = 80
_HTTPS_PORT = 443
_REDIS_PORTS = (6379, 6380)
"""Redis' own, without and with TLS."""
_API_SERVER_PORTS = (443, 6443)
"""Of the Kubernetes API, whose address is no pod's and differs from cluster to cluster."""

_ANYWHERE = ("0.0.0.0/0", "::/0")
_POD_IDENTITY = ("169.254.170.23/32", "fd00:ec2::23/128")
_POD_IDENTITY_PORT = 80
"""The agent that gives pods on EKS the keys of their own role."""


class Port(NamedTuple):
    """One port of a rule, or a range of them."""

    protocol: str
    number: int
    last: tuple[int, ...] = ()
    """The one last port of a range that begins with the number, or nothing."""


_ANY_TCP = Port("TCP", 1, (65_535,))


class NamespacePeer(NamedTuple):
    """Pods of namespaces, by the label with its name that every namespace has."""

    operator: str
    names: tuple[tuple[str, ...], ...]
    """The one list of names, or nothing where the operator takes none."""
    caller_labels: tuple[Pairs, ...] = ()
    """The one list of labels that the pods must carry as well, or nothing where all of them are meant."""


class Block(NamedTuple):
    """Addresses outside the cluster."""

    cidr: str
    exceptions: tuple[tuple[str, ...], ...]
    """The one list of what is left out, or nothing."""


class Rule(NamedTuple):
    """Peers that are allowed, on these ports."""

    namespaces: tuple[NamespacePeer, ...]
    pods: tuple[Pairs, ...]
    """Labels of pods in the stack's own namespace."""
    blocks: tuple[Block, ...]
    ports: tuple[tuple[Port, ...], ...]
    """The one list of ports, or nothing: every port."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DenyAllContext(Context):
    """No pod of the namespace may receive or send anything."""

    template: ClassVar[str] = "network-policy-deny.yaml.j2"
    name: str
    namespace: str
    labels: Pairs


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkPolicyContext(Context):
    """What one kind of pod may receive and send beyond that."""

    template: ClassVar[str] = "network-policy.yaml.j2"
    name: str
    namespace: str
    labels: Pairs
    selects_all: bool
    selects_some: bool
    selector: Pairs
    directions: tuple[str, ...]
    receives: bool
    ingress: tuple[Rule, ...]
    sends: bool
    egress: tuple[Rule, ...]


def network_policy_drafts(plan: Plan) -> tuple[Draft, ...]:
    """The policies of a stack; none where the spec leaves the network to someone else."""
    if not plan.security.network_policies:
        return ()
    routed = behind_nginx(plan)
    contexts = (
        DenyAllContext(name="default-deny", namespace=plan.stack, labels=_labels(plan, "default-deny")),
        _policy(plan, "allow-dns", (), egress=(_dns(),)),
        *(_engine(plan, agent, agent.agent in routed) for agent in agents(plan)),
        *_router(plan),
        *_proxy(plan),
        *_burst_scaler(plan),
        *_groups(plan),
        *_fillers(plan),
        *_streaming(plan),
    )
    return tuple(Draft(folder=BASE, context=context) for context in contexts)


def _labels(plan: Plan, name: str) -> Pairs:
    return labels(plan.stack, "network-policy", name=name)


def _component(name: str) -> Pairs:
    return ((COMPONENT_LABEL, name),)


def _policy(
    plan: Plan, name: str, selector: Pairs, *, ingress: tuple[Rule, ...] = (), egress: tuple[Rule, ...] = ()
) -> NetworkPolicyContext:
    return NetworkPolicyContext(
        name=name,
        namespace=plan.stack,
        labels=_labels(plan, name),
        selects_all=not selector,
        selects_some=bool(selector),
        selector=selector,
        directions=(*(("Ingress",) if ingress else ()), *(("Egress",) if egress else ())),
        receives=bool(ingress),
        ingress=ingress,
        sends=bool(egress),
        egress=egress,
    )


def _dns() -> Rule:
    return Rule(
        namespaces=(NamespacePeer("In", ((_DNS_NAMESPACE,),)),),
        pods=(),
        blocks=(Block(_NODE_LOCAL_DNS, ()),),
        ports=((Port("UDP", _DNS_PORT), Port("TCP", _DNS_PORT)),),
    )


def _engine(plan: Plan, agent: Workload, is_behind_router: bool) -> NetworkPolicyContext:
    """An agent behind the router hears the router alone; metrics are on the port on which engines answer."""
    port = Port("TCP", agent.port)
    asking = (_from_pods(ROUTER_COMPONENT, port),) if is_behind_router else _asking(plan, agent.served, port)
    picking = (_from_pods(ENDPOINT_PICKER_COMPONENT, port),) if _has_gateway(plan) else ()
    return _policy(
        plan,
        f"engine-{agent.agent}",
        engine_selector(agent.agent),
        ingress=(*asking, *picking, _from_namespace(plan.security.monitoring_namespace, port)),
    )


def _router(plan: Plan) -> tuple[NetworkPolicyContext, ...]:
    """What stands before the engines may ask them, and is asked by those who may call."""
    if plan.router is None:
        return ()
    engines = _to_engines(plan)
    if plan.router.gateway is not None:
        asked = (
            _from_namespace(plan.router.gateway.namespace, Port("TCP", PICKER_PORT)),
            _from_namespace(plan.security.monitoring_namespace, Port("TCP", PICKER_METRICS_PORT)),
        )
        watched = _anywhere(LINK_LOCAL, *(Port("TCP", number) for number in _API_SERVER_PORTS))
        picker = _component(ENDPOINT_PICKER_COMPONENT)
        return (_policy(plan, ENDPOINT_PICKER_COMPONENT, picker, ingress=asked, egress=(engines, watched)),)
    on_ports = tuple((route.agent, Port("TCP", route.port)) for route in plan.router.routes if route.port is not None)
    apart = _kept_apart(plan)
    behind_proxy = frozenset() if plan.proxy is None else plan.proxy.agents
    to_callers = tuple(port for agent, port in on_ports if agent not in apart)
    to_proxy = tuple(port for agent, port in on_ports if agent in behind_proxy)
    return (
        _policy(
            plan,
            ROUTER_COMPONENT,
            _component(ROUTER_COMPONENT),
            ingress=(
                *((_from_callers(plan, *to_callers),) if to_callers else ()),
                *((_from_pods(PROXY_COMPONENT, *to_proxy),) if to_proxy else ()),
                *_asking_exporter(plan),
            ),
            egress=(engines, *_to_machines(plan)),
        ),
    )


def _to_machines(plan: Plan) -> tuple[Rule, ...]:
    """Machines beside the cluster, at whatever public addresses, and at the agents' ports alone."""
    joined = plan.joined
    if joined is None:
        return ()
    ports = sorted({route.target_port for machine in joined.machines for route in machine.routes})
    return (_anywhere((*LINK_LOCAL, *PRIVATE), *(Port("TCP", port) for port in ports)),)


def _asking_exporter(plan: Plan) -> tuple[Rule, ...]:
    exporter = None if plan.router is None else plan.router.exporter
    return (
        () if exporter is None else (_from_namespace(plan.security.monitoring_namespace, Port("TCP", exporter.port)),)
    )


def _has_gateway(plan: Plan) -> bool:
    return plan.router is not None and plan.router.kind == "gateway"


def _to_engines(plan: Plan) -> Rule:
    ports = tuple(Port("TCP", number) for number in sorted({workload.port for workload in plan.workloads}))
    return Rule(namespaces=(), pods=(_component(ENGINE_COMPONENT),), blocks=(), ports=(ports,))


def _kept_apart(plan: Plan) -> frozenset[str]:
    """Agents that callers reach through the proxy alone, since it tells teams apart."""
    return plan.proxy.agents if plan.proxy is not None and plan.proxy.teams else frozenset()


def _asking(plan: Plan, served: tuple[str, ...], port: Port) -> tuple[Rule, ...]:
    """Who asks engines that no router stands before: callers, the proxy, or both."""
    callers = () if set(served) <= _kept_apart(plan) else (_from_callers(plan, port),)
    proxied = plan.proxy is not None and not plan.proxy.agents.isdisjoint(served)
    return (*callers, *((_from_pods(PROXY_COMPONENT, port),) if proxied else ()))


def _proxy(plan: Plan) -> tuple[NetworkPolicyContext, ...]:
    """It is asked by those who may call, and asks routers, engines, a Gateway, sellers and its Redis."""
    proxy = plan.proxy
    if proxy is None:
        return ()
    inside = tuple(_component(component) for component in (ROUTER_COMPONENT, ENGINE_COMPONENT))
    outside = bool(proxy.paid) or (plan.router is not None and plan.router.gateway is not None)
    egress = (
        Rule(namespaces=(), pods=inside, blocks=(), ports=()),
        *((_anywhere(LINK_LOCAL, Port("TCP", _HTTP_PORT), Port("TCP", _HTTPS_PORT)),) if outside else ()),
        *(
            ()
            if proxy.redis_secret is None
            else (_anywhere(LINK_LOCAL, *(Port("TCP", port) for port in _REDIS_PORTS)),)
        ),
    )
    return (
        _policy(
            plan,
            PROXY_COMPONENT,
            _component(PROXY_COMPONENT),
            ingress=(_from_callers(plan, Port("TCP", proxy.port)),),
            egress=egress,
        ),
    )


def _burst_scaler(plan: Plan) -> tuple[NetworkPolicyContext, ...]:
    """It asks Prometheus, the machines, the Kubernetes API, and over HTTPS their seller and wherever Pulumi's state is."""
    if plan.joined is None or plan.joined.scaling is None or plan.joined.scaling.scaler is None:
        return ()
    prometheus = NamespacePeer("In", ((plan.security.monitoring_namespace,),))
    outside = _anywhere(LINK_LOCAL, *(Port("TCP", number) for number in _API_SERVER_PORTS))
    logins = (_logins(),) if plan.joined.scaling.scaler.logs_in else ()
    asked = (Rule(namespaces=(prometheus,), pods=(), blocks=(), ports=()), outside, *_to_machines(plan), *logins)
    return (_policy(plan, BURST_SCALER_COMPONENT, _component(BURST_SCALER_COMPONENT), egress=asked),)


def _logins() -> Rule:
    """By SSH the burst scaler brings machines their secrets.

    A machine's seller says at which address and port, once it runs: some forward a port of their own choice. A policy that
    were written then would need a right to write policies, by which the scaler could open everything to itself.
    """
    return _anywhere((*LINK_LOCAL, *PRIVATE), _ANY_TCP)


def _from_pods(component: str, *ports: Port) -> Rule:
    return Rule(namespaces=(), pods=(_component(component),), blocks=(), ports=(ports,))


def _from_callers(plan: Plan, *ports: Port) -> Rule:
    """Named namespaces, or every namespace of the cluster; never addresses outside it."""
    named = plan.security.callers
    labelled = (((CALLER_LABEL, plan.stack),),) if plan.security.callers_need_label else ()
    peer = NamespacePeer("In", (named,), labelled) if named else NamespacePeer("Exists", (), labelled)
    return Rule(namespaces=(peer,), pods=(), blocks=(), ports=(ports,))


def _from_namespace(name: str, port: Port) -> Rule:
    peer = NamespacePeer("In", ((name,),))
    return Rule(namespaces=(peer,), pods=(), blocks=(), ports=((port,),))


def _groups(plan: Plan) -> tuple[NetworkPolicyContext, ...]:
    """Pods that make up a replica over several nodes find one another on ports that their libraries pick."""
    agents = sorted({workload.agent for workload in plan.workloads if workload.nodes_per_replica > 1})
    return tuple(_group(plan, agent) for agent in agents)


def _group(plan: Plan, agent: str) -> NetworkPolicyContext:
    peers = tuple(
        ((COMPONENT_LABEL, component), (AGENT_LABEL, agent))
        for component in (ENGINE_COMPONENT, ENGINE_WORKER_COMPONENT)
    )
    within = Rule(namespaces=(), pods=peers, blocks=(), ports=())
    return _policy(plan, f"group-{agent}", ((AGENT_LABEL, agent),), ingress=(within,), egress=(within,))


def _fillers(plan: Plan) -> tuple[NetworkPolicyContext, ...]:
    if all(pool.filler is None for pool in plan.node_pools):
        return ()
    api = (
        (_anywhere(LINK_LOCAL, *(Port("TCP", number) for number in _API_SERVER_PORTS)),)
        if has_startup_taint(plan)
        else ()
    )
    return (_policy(plan, MODEL_CACHE_COMPONENT, _component(MODEL_CACHE_COMPONENT), egress=(*_source(plan), *api)),)


def _source(plan: Plan) -> tuple[Rule, ...]:
    """The public addresses of the hub, on HTTPS; or S3, where an endpoint of your own network may stand for it."""
    if all(pool.filler is None or pool.filler.bucket is None for pool in plan.node_pools):
        return (_https((*LINK_LOCAL, *PRIVATE)),)
    return _bucket()


def _bucket() -> tuple[Rule, ...]:
    """S3, where an endpoint of your own network may stand for it, and what gives a pod its keys."""
    agent = tuple(Block(address, ()) for address in _POD_IDENTITY)
    return _https(LINK_LOCAL), Rule(namespaces=(), pods=(), blocks=agent, ports=((Port("TCP", _POD_IDENTITY_PORT),),))


def _streaming(plan: Plan) -> tuple[NetworkPolicyContext, ...]:
    """Engines that read their weights from a bucket."""
    return tuple(
        _policy(
            plan,
            f"stream-{workload.name}",
            ((AGENT_LABEL, workload.agent), (TIER_LABEL, workload.tier_label)),
            egress=_bucket(),
        )
        for workload in plan.workloads
        if workload.model_cache.streamed_from is not None
    )


def _https(forbidden: tuple[str, ...]) -> Rule:
    return _anywhere(forbidden, Port("TCP", _HTTPS_PORT))


def _anywhere(forbidden: tuple[str, ...], *ports: Port) -> Rule:
    blocks = tuple(Block(anywhere, (of_family(forbidden, 6 if ":" in anywhere else 4),)) for anywhere in _ANYWHERE)
    return Rule(namespaces=(), pods=(), blocks=blocks, ports=(ports,))
