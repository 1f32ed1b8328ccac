"""How programs reach the agents: the one home of ``endpoints.json``, its variables, the README and ``agentgpu endpoints``.

A key is named, never given: by the Secret that holds it, and by the variable in which a program finds it.
"""

from __future__ import annotations

import json
from typing import Any, Final, Literal

from agentgpu_iac.plan.addresses import base_url
from agentgpu_iac.plan.agent import AgentPlan
from agentgpu_iac.plan.document import Plan
from agentgpu_iac.plan.thinking import ThinkingPlan
from agentgpu_iac.plan.workload import Workload, tiers_by_agent
from agentgpu_iac.spec.document import Document
from agentgpu_iac.spec.vocabulary import LatencyClass, PoolingKind

ADDRESS: Final = "ADDRESS"
"""Stands in a base URL for what is not known before the machines run."""
API_KEY_VARIABLE: Final = "AGENTGPU_API_KEY"
"""Where programs of yours find the key: put it there from the Secret."""
CALLER_LABEL: Final = "agentgpu.dev/calls"
"""Label of pods that call a stack; its value is the stack's name. Asked for where ``security.callersNeedLabel`` says so."""


class Endpoint(Document):
    """How one agent is called."""

    agent: str
    """Agent of the spec."""
    base_url: str
    """OpenAI base URL; ``ADDRESS`` in it stands for an address that only what runs can tell."""
    address_from: str = ""
    """What tells that address; empty where the base URL is whole."""
    model: str
    """Model name to ask for."""
    latency_class: LatencyClass
    """As in the spec."""
    context_tokens: int
    """The most tokens that a request and its answer may have together; of a model that generates nothing, those of one input."""
    kind: PoolingKind | None = None
    """What it answers with, where it generates nothing; null: it chats."""
    routes: tuple[str, ...] = ()
    """Paths below the base URL that answer with vectors or scores, the usual one first."""
    session_header: str | None
    """Send this header with one value for each conversation, so that it returns to the replica that holds its context; null:
    nothing looks at it."""
    adapters: tuple[str, ...] = ()
    """Model names under which requests ask for the agent's LoRA adapters."""
    thinking: Literal["off", "on"] | None = None
    """Whether the agent thinks where a request does not say; null for a model that never does."""
    request_to_think: dict[str, Any] | None = None
    """What a request has in its body to be thought about."""
    request_to_answer: dict[str, Any] | None = None
    """What a request has in its body to be answered without thinking."""
    send_with_each_request: dict[str, Any] | None = None
    """What all requests must have in their body, since the engine cannot be told."""
    write_into_system_prompt: str | None = None
    """What the system prompt must say, since neither the engine nor a request can."""
    fallback: str | None
    """Agent to ask where this one refuses; null too where the proxy asks it by itself."""
    api_key_secret: str | None
    """Secret that holds the key to send as a bearer token; null: no key is asked for."""
    team_key_secrets: dict[str, str] | None = None
    """Where callers are teams: the Secret of each that may call the agent; its key ``key`` is what that team sends as a bearer
    token. null: ``apiKeySecret`` holds for all."""
    api_key_variable: str | None
    """Variable in which programs find it."""
    caller_label: str | None
    """Label, and its value, that a calling pod must carry; null: none."""


def endpoints(plan: Plan) -> tuple[Endpoint, ...]:
    """One for each agent, in their order."""
    tiers = tiers_by_agent(plan.workloads)
    return tuple(_endpoint(plan, agent, tiers[agent.deployment]) for agent in plan.served_agents)


def as_json(endpoint: Endpoint) -> dict[str, Any]:
    """An endpoint as ``endpoints.json`` has it, by its agent: what does not apply is left out."""
    return endpoint.model_dump(mode="json", by_alias=True, exclude_none=True, exclude={"agent"}, exclude_defaults=True)


def variables(endpoint: Endpoint) -> tuple[tuple[str, str], ...]:
    """An endpoint as environment variables. No name ends like another's, so no agent's can be taken for another agent's."""
    prefix = endpoint.agent.upper().replace("-", "_")
    values = (
        ("BASE_URL", endpoint.base_url),
        ("MODEL", endpoint.model),
        ("LATENCY_CLASS", endpoint.latency_class),
        ("CONTEXT_TOKENS", str(endpoint.context_tokens)),
        ("ROUTE", endpoint.routes[0] if endpoint.routes else None),
        ("SESSION_HEADER", endpoint.session_header),
        ("API_KEY_SECRET", endpoint.api_key_secret),
        ("API_KEY_VARIABLE", endpoint.api_key_variable),
    )
    return tuple((f"{prefix}_{key}", value) for key, value in values if value is not None)


def _endpoint(plan: Plan, agent: AgentPlan, tiers: tuple[Workload, ...]) -> Endpoint:
    first = tiers[0]
    proxy = plan.proxy if plan.proxy is not None and agent.name in plan.proxy.agents else None
    teams = (
        {team.name: team.key_secret for team in proxy.teams if agent.name in team.agents} if proxy is not None else {}
    )
    key = None if proxy is not None and proxy.teams else plan.security.api_key_secret
    url, address_from = _address(plan, agent)
    router = plan.router
    route = None if router is None else next((each for each in router.routes if each.agent == agent.name), None)
    return Endpoint(
        agent=agent.name,
        base_url=url,
        address_from=address_from,
        model=agent.served_model_name if proxy is None else agent.name,
        latency_class=agent.latency_class,
        context_tokens=min(tier.max_model_len for tier in tiers),
        kind=None if first.pooling is None else first.pooling.kind,
        routes=() if first.pooling is None else first.pooling.routes,
        session_header=router.session_header
        if router is not None and route is not None and router.kind == "nginx" and route.policy == "session-affine"
        else None,
        adapters=agent.adapters,
        **_thinking(first.thinking),
        fallback=agent.fallback if proxy is None or not _asks_fallback(plan, agent) else None,
        api_key_secret=key,
        team_key_secrets=teams or None,
        api_key_variable=None if key is None and not teams else API_KEY_VARIABLE,
        caller_label=f"{CALLER_LABEL}={plan.stack}" if plan.security.callers_need_label else None,
    )


def _thinking(thinking: ThinkingPlan | None) -> dict[str, Any]:
    if thinking is None or thinking.model in ("never", "unknown"):
        return {}
    bodies = {
        "request_to_think": thinking.request_to_think,
        "request_to_answer": thinking.request_to_answer,
        "send_with_each_request": thinking.callers_send,
    }
    return {
        "thinking": thinking.mode,
        "write_into_system_prompt": thinking.callers_write,
        **{key: json.loads(body) for key, body in bodies.items() if body is not None},
    }


def _asks_fallback(plan: Plan, agent: AgentPlan) -> bool:
    """Whether every proxy before the agent knows its fallback: on a machine it knows the agents of the machine."""
    return all(
        agent.fallback in route.fallbacks
        for host in plan.hosts
        if host.proxy is not None
        for route in host.proxy.routes
        if route.agent == agent.name
    )


def _address(plan: Plan, agent: AgentPlan) -> tuple[str, str]:
    for service in plan.sky_services:
        if service.agent == agent.deployment:
            return f"http://{ADDRESS}/v1", f"`sky serve status --endpoint {service.name}`"
    for host in plan.in_cluster.hosts:
        for route in host.routes if plan.front is None else plan.front.routes:
            if route.agent == agent.name and route.port is not None:
                proxied = host.proxy is not None and any(each.agent == agent.name for each in host.proxy.routes)
                port = host.proxy.route.port if host.proxy is not None and proxied else route.port
                if not host.caller_ranges:
                    return f"http://127.0.0.1:{port}/v1", ""
                return f"https://{ADDRESS}:{port}/v1", "the address of the machine, or of the one in front"
    return base_url(plan, agent.name), ""
