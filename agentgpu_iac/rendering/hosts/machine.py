"""One machine of a pool, as far as its files are about it."""

from __future__ import annotations

from dataclasses import dataclass

from agentgpu_iac.errors import BadInput
from agentgpu_iac.plan import (
    FrontPlan,
    HostPlan,
    NodePool,
    OtherMachine,
    Plan,
    ProxyPlan,
    RoutePlan,
    RouterPlan,
    Workload,
)

BRIDGE = "agentgpu0"
OUTWARD_BRIDGE = "agentgpu1"
"""Of containers that fetch models: the only ones that open connections to the network."""
NOBODY_UID = 65_534
"""The user of the images of Prometheus and of NGINX's exporter that has no rights anywhere."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
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
        """One of the pool's machines behind the front machine; for this purpose they are alike."""
        front, joined = self.plan.front, self.plan.joined
        others = (*(() if front is None else front.others), *(() if joined is None else joined.machines))
        return next((other for other in others if other.node_pool == self.host.node_pool), None)

    @property
    def routes(self) -> tuple[RoutePlan, ...]:
        """The agents that NGINX leads to here."""
        return self.host.routes if self.front is None else self.front.routes

    @property
    def behind_proxy(self) -> frozenset[str]:
        """The agents that LiteLLM alone asks here."""
        return frozenset() if self.host.proxy is None else frozenset(route.agent for route in self.host.proxy.routes)

    @property
    def caller_routes(self) -> tuple[RoutePlan, ...]:
        """What callers reach here: the proxy, and the agents that are not behind it."""
        proxy = () if self.host.proxy is None else (self.host.proxy.route,)
        return (*proxy, *(route for route in self.routes if route.agent not in self.behind_proxy))

    @property
    def proxy(self) -> ProxyPlan | None:
        """LiteLLM, and what it is told on this machine."""
        proxy, here = self.plan.proxy, self.host.proxy
        return (
            None
            if proxy is None or here is None
            else proxy.model_copy(update={"routes": here.routes, "paid": here.paid})
        )


def machine_of(plan: Plan, host: HostPlan) -> Machine:
    """The machine of one host of the plan."""
    if plan.router is None:
        raise BadInput.one("plan", "machines have no router", path=f"hosts.{host.node_pool}")
    used = {engine.workload for engine in host.engines}
    return Machine(
        plan=plan,
        host=host,
        pool=plan.pool(host.node_pool),
        router=plan.router,
        workloads={workload.name: workload for workload in plan.workloads if workload.name in used},
    )
