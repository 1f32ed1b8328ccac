"""In which order Argo CD applies the objects: a pass over the manifests, where Argo CD is the one to apply them.

Argo CD goes on to the next wave once all objects of a wave are healthy. So a new version of an engine starts only after
the fillers have its model on every node that is up; until then the old one serves.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from agentgpu_iac.plan import Plan
from agentgpu_iac.plan.nodes import TIER_LABEL
from agentgpu_iac.rendering.manifest import Manifest
from agentgpu_iac.rendering.names import ENDPOINT_PICKER_COMPONENT, GITOPS, MONITORING, ROUTER_COMPONENT

ANNOTATION = "argocd.argoproj.io/sync-wave"

_WAVES: Final = (
    ("Namespace", "PriorityClass"),
    ("EC2NodeClass", "PersistentVolume", "ServiceAccount", "Role", "ResourceQuota", "NetworkPolicy", "ExternalSecret"),
    ("NodePool", "PersistentVolumeClaim", "ConfigMap", "RoleBinding"),
    ("DaemonSet",),
    ("Service", "InferencePool", "PodDisruptionBudget", "Deployment", "LeaderWorkerSet"),
    ("HTTPRoute",),
    ("PodMonitor", "ServiceMonitor", "PrometheusRule"),
    ("ScaledObject", "HorizontalPodAutoscaler", "TriggerAuthentication"),
)
"""Kinds in the order in which they are applied. What stands in front of the engines comes with the routes: an endpoint picker
is ready only once its pool is there. A scaler needs the series that monitors bring in; and burst tiers come with it, since
without it their first replica would buy a node."""

WAVE_OF_KIND: Final = {kind: wave for wave, kinds in enumerate(_WAVES) for kind in kinds}
_ROUTER_WAVE: Final = WAVE_OF_KIND["HTTPRoute"]
_MONITORING_WAVE: Final = WAVE_OF_KIND["PodMonitor"]
_SCALING_WAVE: Final = WAVE_OF_KIND["ScaledObject"]
_FRONT: Final = frozenset((ROUTER_COMPONENT, ENDPOINT_PICKER_COMPONENT))
_PODS: Final = frozenset(("Deployment", "LeaderWorkerSet"))


def in_waves(plan: Plan, manifests: Sequence[Manifest]) -> tuple[Manifest, ...]:
    """The same manifests, each with its wave; unchanged where Argo CD does not apply them."""
    if plan.gitops is None or plan.gitops.tool != "argocd":
        return tuple(manifests)
    return tuple(_annotated(each) for each in manifests)


def wave(made: Manifest) -> int:
    """The wave of one object."""
    if made.folder == MONITORING:
        return _MONITORING_WAVE
    if made.kind in _PODS and made.label(TIER_LABEL) == "burst":
        return _SCALING_WAVE
    if made.kind in _PODS and made.component in _FRONT:
        return _ROUTER_WAVE
    return WAVE_OF_KIND.get(made.kind, _ROUTER_WAVE)


def _annotated(made: Manifest) -> Manifest:
    metadata = made.body.get("metadata")
    if made.folder == GITOPS or not isinstance(metadata, dict):
        return made
    annotations = metadata.get("annotations")
    others = annotations if isinstance(annotations, dict) else {}
    body = {**made.body, "metadata": {**metadata, "annotations": {**others, ANNOTATION: str(wave(made))}}}
    return replace(made, body=body)
