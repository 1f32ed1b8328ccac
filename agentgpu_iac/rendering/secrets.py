"""The Secrets that a stack reads, made from an External Secrets store; nothing where you make them yourself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from agentgpu_iac.plan import NamedSecret, Plan, SecretStorePlan
from agentgpu_iac.rendering.context import Context, Draft, Pairs
from agentgpu_iac.rendering.names import SECRETS, labels

_REFRESH_INTERVAL = "1h0m0s"
"""The operator's own default: a key that was rotated is in the cluster within the hour."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExternalSecretContext(Context):
    """One Secret, and where its value comes from."""

    template: ClassVar[str] = "external-secret.yaml.j2"
    name: str
    namespace: str
    labels: Pairs
    refresh_interval: str
    store: str
    store_kind: str
    secret_key: str
    store_key: str


def secret_drafts(plan: Plan) -> tuple[Draft, ...]:
    """An ExternalSecret for every Secret that the plan names, where it names a store."""
    store = plan.security.secret_store
    if store is None:
        return ()
    return tuple(
        Draft(folder=SECRETS, context=_external_secret(plan, store, secret, secret.store_key))
        for secret in plan.security.secrets
        if secret.store_key is not None
    )


def _external_secret(plan: Plan, store: SecretStorePlan, secret: NamedSecret, store_key: str) -> ExternalSecretContext:
    return ExternalSecretContext(
        name=secret.name,
        namespace=plan.stack,
        labels=labels(plan.stack, "secret", name=secret.name),
        refresh_interval=_REFRESH_INTERVAL,
        store=store.name,
        store_kind=store.kind,
        secret_key=secret.key,
        store_key=store_key,
    )
