"""Who may reach what, and which Secrets a stack reads. Secrets are named here; their values are never known."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from agentgpu_iac.plan import NamedSecret, SecretStorePlan, SecretVariable, SecurityPlan
from agentgpu_iac.planning.engines import EnginePort
from agentgpu_iac.planning.running.proxying import has_proxy
from agentgpu_iac.spec.model import StackSpec

API_KEY: Final = "key"
"""Key of the API key in its Secret."""
TOKEN: Final = "token"  # noqa: S105 - the name of a key
"""Key of a model token in its Secret."""

API_KEY_PURPOSE: Final = "is what engines ask callers for"
REDIS_URL: Final = "url"
"""Key of the address of a Redis in its Secret."""

TOKEN_PURPOSE: Final = "opens gated models for the cache fillers"  # noqa: S105 - a sentence


def plan(spec: StackSpec) -> SecurityPlan:
    """What of the spec's security the manifests need."""
    wanted, store = spec.security, spec.security.external_secrets
    return SecurityPlan(
        network_policies=wanted.network_policies,
        callers=_callers(spec),
        monitoring_namespace=wanted.monitoring_namespace,
        secrets=tuple(_secrets(spec)),
        secret_store=None if store is None else SecretStorePlan(name=store.store, kind=store.kind),
        api_key_secret=wanted.api_key_secret,
        callers_need_label=wanted.callers_need_label,
    )


def engine_variables(port: EnginePort, spec: StackSpec) -> tuple[SecretVariable, ...]:
    """What an engine reads from Secrets."""
    secret, variable = spec.security.api_key_secret, port.api_key_variable
    if secret is None or variable is None:
        return ()
    return (SecretVariable(variable=variable, secret=secret, key=API_KEY),)


def _callers(spec: StackSpec) -> tuple[str, ...]:
    """The namespaces that the spec names, and the Gateway's where requests come through one."""
    named = set(spec.security.callers)
    if named and spec.network.router == "gateway" and spec.network.gateway is not None:
        named.add(spec.network.gateway.namespace)
    return tuple(sorted(named))


def _secrets(spec: StackSpec) -> Iterator[NamedSecret]:
    token, api_key = spec.model_cache.token_secret, spec.security.api_key_secret
    if token is not None:
        yield _secret(spec, token, TOKEN, TOKEN_PURPOSE)
    if api_key is not None:
        yield _secret(spec, api_key, API_KEY, API_KEY_PURPOSE)
    if not has_proxy(spec):
        return
    for team in spec.teams:
        yield _secret(spec, team.key_secret, API_KEY, f"is what team {team.name} sends")
    for agent in spec.agents:
        if agent.paid_fallback is not None:
            yield _secret(spec, agent.paid_fallback.key_secret, API_KEY, f"opens the paid fallback of {agent.name}")
    if spec.proxy.redis_secret is not None:
        yield _secret(spec, spec.proxy.redis_secret, REDIS_URL, "is where the proxies count together")


def _secret(spec: StackSpec, name: str, key: str, purpose: str) -> NamedSecret:
    store = spec.security.external_secrets
    store_key = None if store is None else f"{store.path_prefix}{name}"
    return NamedSecret(name=name, key=key, purpose=purpose, store_key=store_key)
