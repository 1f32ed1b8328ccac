"""LiteLLM in front of the agents: what it is told, what tells teams apart, and the pods and the name that callers reach.

Callers -> ``model-proxy`` -> each agent's own address, with its router and its replicas, or a seller's.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from decimal import Decimal
from typing import ClassVar, Final

from agentgpu_iac.plan import PaidRoute, Plan, ProxyPlan, ProxyRoute
from agentgpu_iac.plan.names import PROXY_NAME
from agentgpu_iac.plan.proxy import STACK_KEY, secret_variables
from agentgpu_iac.rendering.context import ConfigMapContext, Context, Draft, Pairs
from agentgpu_iac.rendering.names import (
    BASE,
    COMPONENT_LABEL,
    PROXY_COMPONENT,
    SERVICE_ACCOUNT,
    labels,
    priority_of,
    topology_keys,
)
from agentgpu_iac.rendering.service import HTTP_PORT, ServiceContext, disruption_budgets
from agentgpu_iac.rendering.templates import filled, verbatim
from agentgpu_iac.units import ceil_div, cpu_quantity, mib_quantity

CONFIG: Final = "config.yaml"
TEAMS: Final = "teams.json"
SCRIPT: Final = "team_keys.py"
CONFIG_FOLDER: Final = "/etc/model-proxy"
PROXY_UID: Final = 65_534
"""Nobody: the image without root runs as any user."""

_MODULE = SCRIPT.removesuffix(".py")
_MILLION = Decimal(1_000_000)
_WINDOWS = {"day": "1d", "month": "30d"}
_NO_KEY = "none"
"""Engines that ask for no key take any."""
_PROBE_PERIOD_S = 5
SCRATCH_MIB: Final = 256
CORE_MILLI: Final = 1_000
"""A process has one thread: it may use a core while it starts, and whenever one is free."""

_START = (
    "import os, secrets, sys; "
    "os.environ['LITELLM_MASTER_KEY'] = 'sk-' + secrets.token_hex(24); "
    "os.execvp('litellm', ['litellm', *sys.argv[1:]])"
)
"""LiteLLM refuses to start without a key of its administration. Nobody is to have one."""

_ENVIRONMENT: Final = (
    ("HOME", "/tmp"),  # noqa: S108 - the container's own
    ("LITELLM_LOCAL_MODEL_COST_MAP", "True"),
    ("LITELLM_MODE", "PRODUCTION"),
    ("LITELLM_NON_ROOT", "true"),
    ("NO_DOCS", "True"),
    ("NO_REDOC", "True"),
    ("NO_OPENAPI", "True"),
)
"""It asks nobody for prices, shows no pages, and writes to its scratch volume alone."""

_Cap = tuple[int, float, str]
"""Longest answer, USD, and LiteLLM's word for the window."""
_Model = tuple[str, str, tuple[str, ...], str, tuple[int, ...], int, int, int, float, float, tuple[_Cap, ...]]
"""Model name, LiteLLM's name of what serves it, the one address where it is ours to say, its key, the one limit of what is under
way, seconds of silence, seconds of an answer, longest prompt, USD a token in and out, and the one cap of what is paid."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LiteLlmContext(Context):
    """What LiteLLM is told."""

    template: ClassVar[str] = "litellm.yaml.j2"
    models: tuple[_Model, ...]
    max_fallbacks: int
    checks_length: bool
    has_fallbacks: bool
    fallbacks: tuple[tuple[str, tuple[str, ...]], ...]
    callback: str
    check: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxyDeploymentContext(Context):
    """LiteLLM itself."""

    template: ClassVar[str] = "proxy-deployment.yaml.j2"
    name: str
    namespace: str
    labels: Pairs
    selector: Pairs
    replicas: int
    version: str
    progress_deadline_s: int
    rolls: bool
    replaces: bool
    content_sha256: str
    service_account: str
    uid: int
    has_priority: bool
    priority_class: str | None
    grace_period_s: int
    pre_stop_s: int
    spreads: bool
    spread_keys: tuple[str, ...]
    image: str
    command: tuple[str, ...]
    environment: Pairs
    secret_environment: tuple[tuple[str, str, str], ...]
    port_name: str
    port: int
    cpu: str
    cpu_limit: str
    memory: str
    start_tries: int
    config_folder: str
    scratch_size: str


def proxy_drafts(plan: Plan) -> tuple[Draft, ...]:
    """The proxy, its configuration and its name; nothing where callers come by themselves."""
    proxy = plan.proxy
    if proxy is None:
        return ()
    config = ConfigMapContext(
        name=PROXY_NAME, namespace=plan.stack, labels=_labels(plan), data=tuple(proxy_files(plan, proxy).items())
    )
    contexts = (
        config,
        _deployment(plan, proxy, config),
        *disruption_budgets(plan, PROXY_NAME, _labels(plan), _selector()),
        ServiceContext(
            name=PROXY_NAME,
            namespace=plan.stack,
            labels=_labels(plan),
            selector=_selector(),
            headless=False,
            port_name=HTTP_PORT,
            app_protocol="http",
            port=proxy.port,
            target_port=HTTP_PORT,
        ),
    )
    return tuple(Draft(folder=BASE, context=context) for context in contexts)


def proxy_files(plan: Plan, proxy: ProxyPlan) -> dict[str, str]:
    """What LiteLLM reads: its configuration, and who may ask."""
    return {CONFIG: filled(litellm(plan, proxy)), TEAMS: _teams(plan, proxy), SCRIPT: verbatim(SCRIPT)}


def litellm(plan: Plan, proxy: ProxyPlan) -> LiteLlmContext:
    """The configuration of LiteLLM."""
    key = f"os.environ/{STACK_KEY}" if plan.security.api_key_secret is not None else _NO_KEY
    fallbacks = tuple((route.model, route.fallbacks) for route in proxy.routes if route.fallbacks)
    return LiteLlmContext(
        models=(*(_route(route, key) for route in proxy.routes), *(_paid(paid) for paid in proxy.paid)),
        max_fallbacks=max((len(found) for _, found in fallbacks), default=0),
        checks_length=bool(proxy.paid),
        has_fallbacks=bool(fallbacks),
        fallbacks=fallbacks,
        callback=f"{_MODULE}.spending",
        check=f"{_MODULE}.check_key",
    )


def _route(route: ProxyRoute, key: str) -> _Model:
    usd = float((route.usd_per_million_tokens or Decimal(0)) / _MILLION)
    return (
        route.model,
        f"openai/{route.served_model_name}",
        (route.base_url,),
        key,
        () if route.max_parallel_requests is None else (route.max_parallel_requests,),
        route.first_token_timeout_s,
        route.answer_timeout_s,
        route.max_tokens,
        usd,
        usd,
        (),
    )


def _paid(paid: PaidRoute) -> _Model:
    return (
        paid.model,
        paid.api_model,
        () if paid.base_url is None else (paid.base_url,),
        f"os.environ/{paid.key_variable}",
        (paid.max_parallel_requests,),
        paid.first_token_timeout_s,
        paid.answer_timeout_s,
        paid.max_tokens,
        float(paid.usd_per_million_input / _MILLION),
        float(paid.usd_per_million_output / _MILLION),
        ((paid.max_tokens, float(paid.budget_usd), _WINDOWS[paid.window]),),
    )


def _teams(plan: Plan, proxy: ProxyPlan) -> str:
    """The teams; without any, everybody who has the stack's key, or everybody."""
    teams = [
        {
            "name": team.name,
            "variable": team.key_variable,
            "models": list(team.models),
            "rpm": team.requests_per_minute,
            "tpm": team.tokens_per_minute,
            "usd": None if team.budget_usd is None else float(team.budget_usd),
            "window": team.window,
        }
        for team in proxy.teams
    ] or [
        {
            "name": plan.stack,
            "variable": None if plan.security.api_key_secret is None else STACK_KEY,
            "models": [route.model for route in proxy.routes],
            "rpm": None,
            "tpm": None,
            "usd": None,
            "window": None,
        }
    ]
    most = {route.model: route.max_tokens for route in proxy.routes}
    return json.dumps({"teams": teams, "maxTokens": most}, indent=2) + "\n"


def secret_environment(plan: Plan, proxy: ProxyPlan) -> tuple[tuple[str, str, str], ...]:
    """Variables that the proxy reads from Secrets: the variable, the Secret and its key."""
    return secret_variables(proxy.teams, proxy.paid, proxy.redis_secret, plan.security.api_key_secret)


def command(proxy: ProxyPlan, folder: str, host: str) -> tuple[str, ...]:
    """How LiteLLM is started: one process, since each counts for itself."""
    words = ("--config", f"{folder}/{CONFIG}", "--host", host, "--port", str(proxy.port), "--num_workers", "1")
    return ("python3", "-c", _START, *words)


def environment() -> Pairs:
    """Variables of LiteLLM that hold no secret."""
    return _ENVIRONMENT


def _labels(plan: Plan) -> Pairs:
    return labels(plan.stack, PROXY_COMPONENT, name="litellm")


def _selector() -> Pairs:
    return ((COMPONENT_LABEL, PROXY_COMPONENT),)


def _deployment(plan: Plan, proxy: ProxyPlan, config: ConfigMapContext) -> ProxyDeploymentContext:
    content = "\0".join(text for _, text in config.data)
    return ProxyDeploymentContext(
        name=PROXY_NAME,
        namespace=plan.stack,
        labels=_labels(plan),
        selector=_selector(),
        replicas=proxy.replicas,
        version=proxy.version,
        progress_deadline_s=2 * proxy.start_s + proxy.drain.grace_period_s,
        rolls=not proxy.counts_alone,
        replaces=proxy.counts_alone,
        content_sha256=hashlib.sha256(content.encode()).hexdigest(),
        service_account=SERVICE_ACCOUNT,
        uid=PROXY_UID,
        has_priority=bool(plan.priority_classes),
        priority_class=priority_of(plan, proxy.priority),
        grace_period_s=proxy.drain.grace_period_s,
        pre_stop_s=proxy.drain.pre_stop_s,
        spreads=bool(proxy.spread),
        spread_keys=topology_keys(proxy.spread),
        image=proxy.image,
        command=command(proxy, CONFIG_FOLDER, "0.0.0.0"),  # noqa: S104 - inside the pod
        environment=environment(),
        secret_environment=secret_environment(plan, proxy),
        port_name=HTTP_PORT,
        port=proxy.port,
        cpu=cpu_quantity(proxy.cpu_milli),
        cpu_limit=cpu_quantity(max(proxy.cpu_milli, CORE_MILLI)),
        memory=mib_quantity(proxy.memory_mib),
        start_tries=ceil_div(proxy.start_s, _PROBE_PERIOD_S),
        config_folder=CONFIG_FOLDER,
        scratch_size=mib_quantity(SCRATCH_MIB),
    )
