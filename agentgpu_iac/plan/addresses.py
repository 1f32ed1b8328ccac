"""Addresses that follow from a plan: of agents for their callers, and of machines among themselves."""

from __future__ import annotations

from agentgpu_iac.plan.document import Plan
from agentgpu_iac.plan.router import RouterPlan
from agentgpu_iac.spec.reserved import PROXY_NAME


def gateway_path(stack: str, agent: str) -> str:
    """Where the Gateway leads to an agent: several agents, and stacks, share its addresses."""
    return f"/{stack}/{agent}/v1"


def base_url(plan: Plan, agent: str) -> str:
    """OpenAI base URL at which callers ask an agent: that of the proxy where one stands before it, else the agent's own."""
    if plan.proxy is not None and agent in plan.proxy.agents:
        return f"http://{PROXY_NAME}.{plan.stack}.svc.cluster.local:{plan.proxy.port}/v1"
    port = next(workload.port for workload in plan.workloads if agent in workload.served)
    return agent_url(plan.stack, agent, port, plan.router)


def agent_url(stack: str, agent: str, port: int, router: RouterPlan | None) -> str:
    """The agent's own: through the Gateway where that has a name, else inside the cluster. Both tiers answer."""
    gateway = router.gateway if router is not None else None
    if gateway is not None and gateway.hostname is not None:
        return f"{gateway.scheme}://{gateway.hostname}{gateway_path(stack, agent)}"
    return f"http://{agent}.{stack}.svc.cluster.local:{port}/v1"


def loopback_url(router: RouterPlan | None, agent: str) -> str:
    """On a virtual machine: what the machine itself asks. Empty where NGINX has no port for the agent."""
    route = None if router is None else next((each for each in router.routes if each.agent == agent), None)
    return "" if route is None or route.port is None else f"http://127.0.0.1:{route.port}/v1"


def server_name(stack: str) -> str:
    """The name in the certificate that the stack's machines share: their addresses are not known before they are made."""
    return f"machines.{stack}.internal"
