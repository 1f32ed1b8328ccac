"""In which order Argo CD applies the objects: a pass over the manifests, where Argo CD is the one to apply them.

Argo CD goes on to the next wave once all objects of a wave are healthy, and gives up where one is degraded. So whatever
may wait for something that is not in the stack comes in the last wave, where nothing waits for it: an engine for which
there is no node, a filler whose download hangs, a NodePool whose role is missing, a route whose Gateway has no controller,
a Secret whose store does not answer. Before it comes what is healthy by itself: a stack that lacks a node has its router,
its monitors and its alerts all the same.

Scalers are in the last wave too, beside the Deployments that they scale. Argo CD takes a ScaledObject that KEDA cannot
resolve for degraded (its script for keda.sh/ScaledObject), so one that came before its Deployment would stop the sync.

A NodePool that left the stack is deleted last, once what took its place is healthy: until then the old nodes serve.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from agentgpu_iac.plan import Plan
from agentgpu_iac.rendering.manifest import Manifest
from agentgpu_iac.rendering.names import (
    ENDPOINT_PICKER_COMPONENT,
    GITOPS,
    MONITORING,
    PROXY_COMPONENT,
    ROUTER_COMPONENT,
)

ANNOTATION = "argocd.argoproj.io/sync-wave"

_WAVES: Final = (
    ("Namespace", "PriorityClass"),
    ("PersistentVolume", "ServiceAccount", "Role", "ClusterRole", "ResourceQuota", "NetworkPolicy"),
    ("PersistentVolumeClaim", "ConfigMap", "RoleBinding", "ClusterRoleBinding"),
    ("Service", "InferencePool", "PodDisruptionBudget"),
    ("PodMonitor", "ServiceMonitor", "PrometheusRule"),
    (),
    (
        "CronJob",
        "DaemonSet",
        "Deployment",
        "EC2NodeClass",
        "ExternalSecret",
        "HTTPRoute",
        "HorizontalPodAutoscaler",
        "LeaderWorkerSet",
        "NodePool",
        "ScaledObject",
        "TriggerAuthentication",
        "ValidatingAdmissionPolicy",
        "ValidatingAdmissionPolicyBinding",
    ),
)
"""Kinds in the order in which they are applied. The wave before the last holds what stands in front of the engines: it asks for
no accelerator, and is ready without them."""

WAVE_OF_KIND: Final = {kind: wave for wave, kinds in enumerate(_WAVES) for kind in kinds}
LAST_WAVE: Final = len(_WAVES) - 1
_ROUTER_WAVE: Final = LAST_WAVE - 1
_MONITORING_WAVE: Final = WAVE_OF_KIND["PodMonitor"]
_PRUNED_LAST: Final = frozenset(("NodePool", "EC2NodeClass"))
_OPTIONS: Final = "argocd.argoproj.io/sync-options"
_FLUX_PRUNE: Final = "kustomize.toolkit.fluxcd.io/prune"
_FRONT: Final = frozenset((ROUTER_COMPONENT, ENDPOINT_PICKER_COMPONENT, PROXY_COMPONENT))
_PODS: Final = frozenset(("Deployment", "LeaderWorkerSet"))


def in_waves(plan: Plan, manifests: Sequence[Manifest]) -> tuple[Manifest, ...]:
    """The same manifests, each with its wave where Argo CD applies them; and with what keeps old nodes until others serve.

    Flux has no waves, and deletes what left the stack before it looks at what came. So it leaves NodePools alone, whose
    nodes go by themselves once they are empty.
    """
    if plan.gitops is None:
        return tuple(manifests)
    if plan.gitops.tool == "flux":
        return tuple(
            _with(each, {_FLUX_PRUNE: "disabled"}) if each.kind in _PRUNED_LAST else each for each in manifests
        )
    return tuple(_with(each, _for_argo(each)) for each in manifests)


def _for_argo(made: Manifest) -> dict[str, str]:
    last = {_OPTIONS: "PruneLast=true"} if made.kind in _PRUNED_LAST else {}
    return {ANNOTATION: str(wave(made)), **last}


def wave(made: Manifest) -> int:
    """The wave of one object."""
    if made.folder == MONITORING:
        return _MONITORING_WAVE
    if made.kind in _PODS and made.component in _FRONT:
        return _ROUTER_WAVE
    return WAVE_OF_KIND.get(made.kind, LAST_WAVE)


def _with(made: Manifest, more: Mapping[str, str]) -> Manifest:
    metadata = made.body.get("metadata")
    if made.folder == GITOPS or not isinstance(metadata, dict):
        return made
    annotations = metadata.get("annotations")
    others = annotations if isinstance(annotations, dict) else {}
    return replace(made, body={**made.body, "metadata": {**metadata, "annotations": {**others, **more}}})
