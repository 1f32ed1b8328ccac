"""What tells a GitOps tool to apply the stack. It stands beside the overlays: whoever runs the tool applies it once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from agentgpu_iac.plan import GitOpsPlan, Plan
from agentgpu_iac.plan.names import ROUTER_NAME
from agentgpu_iac.rendering.context import Context, Draft, Pairs
from agentgpu_iac.rendering.names import GITOPS, labels

_COMPONENT = "gitops"

_THIS_CLUSTER = "https://kubernetes.default.svc"
_FETCH_INTERVAL = "5m"
_APPLY_INTERVAL = "10m"
_RETRY_INTERVAL = "2m"
"""How often Flux looks at the repository, corrects drift, and tries again what failed."""
_APPLY_TIMEOUT = "5m"
"""How long Flux waits for what it waits for. It applies no newer commit meanwhile, so engines are not among that: one that
lacks a node would hold back every router, alert and scaler for as long as a cold start may take."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ApplicationContext(Context):
    """Argo CD's object."""

    template: ClassVar[str] = "argocd-application.yaml.j2"
    name: str
    namespace: str
    labels: Pairs
    repository: str
    revision: str
    path: str
    server: str
    stack: str
    ignores: bool
    others_scale: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class GitRepositoryContext(Context):
    """Flux's source."""

    template: ClassVar[str] = "flux-git-repository.yaml.j2"
    name: str
    namespace: str
    labels: Pairs
    repository: str
    interval: str
    reference: Pairs
    """The branch or the tag."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FluxKustomizationContext(Context):
    """What Flux applies from that source."""

    template: ClassVar[str] = "flux-kustomization.yaml.j2"
    name: str
    namespace: str
    labels: Pairs
    path: str
    interval: str
    retry_interval: str
    timeout: str
    stack: str
    waited_for: tuple[str, ...]
    """Deployments by whose health the Kustomization is ready."""
    has_waited_for: bool
    ignores: bool
    others_scale: tuple[str, ...]


def gitops_drafts(plan: Plan) -> tuple[Draft, ...]:
    """The objects of the tool that the plan names; nothing where you apply the manifests yourself."""
    if plan.gitops is None:
        return ()
    contexts: tuple[Context, ...]
    match plan.gitops.tool:
        case "argocd":
            contexts = (_application(plan, plan.gitops),)
        case "flux":
            contexts = (_git_repository(plan, plan.gitops), _kustomization(plan, plan.gitops))
    return tuple(Draft(folder=GITOPS, context=context) for context in contexts)


def _labels(plan: Plan) -> Pairs:
    return labels(plan.stack, _COMPONENT, name=_COMPONENT)


def _application(plan: Plan, gitops: GitOpsPlan) -> ApplicationContext:
    return ApplicationContext(
        name=plan.stack,
        namespace=gitops.namespace,
        labels=_labels(plan),
        repository=gitops.repository,
        revision=gitops.revision,
        path=gitops.path,
        server=_THIS_CLUSTER,
        stack=plan.stack,
        ignores=bool(gitops.others_scale),
        others_scale=gitops.others_scale,
    )


def _git_repository(plan: Plan, gitops: GitOpsPlan) -> GitRepositoryContext:
    return GitRepositoryContext(
        name=plan.stack,
        namespace=gitops.namespace,
        labels=_labels(plan),
        repository=gitops.repository,
        interval=_FETCH_INTERVAL,
        reference=((gitops.revision_kind, gitops.revision),),
    )


def _routers(plan: Plan) -> tuple[str, ...]:
    return (ROUTER_NAME,) if plan.router is not None and plan.router.kind == "nginx" else ()


def _kustomization(plan: Plan, gitops: GitOpsPlan) -> FluxKustomizationContext:
    return FluxKustomizationContext(
        name=plan.stack,
        namespace=gitops.namespace,
        labels=_labels(plan),
        path=f"./{gitops.path}",
        interval=_APPLY_INTERVAL,
        retry_interval=_RETRY_INTERVAL,
        timeout=_APPLY_TIMEOUT,
        stack=plan.stack,
        waited_for=_routers(plan),
        has_waited_for=bool(_routers(plan)),
        ignores=bool(gitops.others_scale),
        others_scale=gitops.others_scale,
    )
