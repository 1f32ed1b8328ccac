"""Addresses that follow from a plan: of agents for their callers, and of machines among themselves."""

from __future__ import annotations

from agentgpu_iac.plan.document import Plan


def gateway_path(stack: str, agent: str) -> str:
    """Where the Gateway leads to an agent: several agents, and stacks, share its addresses."""
    return f"/{stack}/{agent}/v1"


def base_url(plan: Plan, agent: str) -> str:
    """OpenAI base URL of an agent: through the Gateway where that has a name, else inside the cluster. Both tiers answer."""
    gateway = plan.router.gateway if plan.router is not None else None
    if gateway is not None and gateway.hostname is not None:
        return f"{gateway.scheme}://{gateway.hostname}{gateway_path(plan.stack, agent)}"
    port = next(workload.port for workload in plan.workloads if agent in workload.served)
    return f"http://{agent}.{plan.stack}.svc.cluster.local:{port}/v1"


def server_name(stack: str) -> str:
    """The name in the certificate that the stack's machines share: their addresses are not known before they are made."""
    return f"machines.{stack}.internal"
