"""Names in a plan that lead to another part of it: of agents, deployments, workloads and node pools.

A field is known by how it is called, wherever it stands: ``nodePool`` names a pool in every document that has it. So a new
document is checked without being listed here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Set
from typing import Final

from agentgpu_iac.plan.document import Plan
from agentgpu_iac.spec.document import Document, camel

_AGENT, _DEPLOYMENT, _WORKLOAD, _POOL = "agent", "deployment", "workload", "node pool"
_KINDS: Final[Mapping[str, tuple[str, ...]]] = {
    "agent": (_AGENT, _DEPLOYMENT),
    "agents": (_AGENT,),
    "deployment": (_DEPLOYMENT,),
    "deployments": (_DEPLOYMENT,),
    "node_pool": (_POOL,),
    "workload": (_WORKLOAD,),
}
"""Field -> what it names. The ``agent`` of a workload is its deployment."""


def dangling(plan: Plan) -> Iterator[tuple[str, str]]:
    """Each name that leads nowhere, as (path, what is wrong)."""
    deployments = {workload.agent for workload in plan.workloads}
    known: Mapping[str, Set[str]] = {
        _AGENT: {agent.name for agent in plan.served_agents},
        _DEPLOYMENT: deployments,
        _WORKLOAD: {workload.name for workload in plan.workloads},
        _POOL: {pool.name for pool in plan.node_pools},
    }
    for path, field, name in _named(plan, ""):
        if not any(name in known[kind] for kind in _KINDS[field]):
            yield path, f"names {name!r}, which the plan does not have"
    yield from _unserved(plan)


def _unserved(plan: Plan) -> Iterator[tuple[str, str]]:
    """Agents that a tier of their deployment does not say it serves."""
    for at, workload in enumerate(plan.workloads):
        for agent in plan.agents:
            if agent.deployment == workload.agent and agent.name not in workload.served:
                yield f"workloads[{at}].agents", f"lacks {agent.name!r}, whose deployment is {agent.deployment!r}"


def _named(part: object, path: str) -> Iterator[tuple[str, str, str]]:
    """Every name that should lead somewhere: (path, field, name)."""
    if isinstance(part, Document):
        for field in type(part).model_fields:
            value, below = getattr(part, field), f"{path}.{camel(field)}" if path else camel(field)
            if field in _KINDS and isinstance(value, str):
                yield below, field, value
            elif field in _KINDS and isinstance(value, tuple) and all(isinstance(each, str) for each in value):
                yield from ((f"{below}[{at}]", field, each) for at, each in enumerate(value))
            else:
                yield from _named(value, below)
    elif isinstance(part, tuple):
        for at, each in enumerate(part):
            yield from _named(each, f"{path}[{at}]")
