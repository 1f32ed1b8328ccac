"""What is asked of a cluster about a stack, and what is made of the answers: one Snapshot."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from agentgpu_iac.clusters.namespaces import is_stacks, pods_of_others
from agentgpu_iac.clusters.port import Body, Cluster, Forbidden, Resource
from agentgpu_iac.operations.planned import ref
from agentgpu_iac.operations.snapshot import Kind, Ref, Snapshot
from agentgpu_iac.plan.nodes import KARPENTER_POOL_LABEL, POOL_LABEL, STACK_LABEL

_POD = Kind(api_version="v1", name="Pod")
_NAMESPACE = Kind(api_version="v1", name="Namespace")
_EVENT = Kind(api_version="v1", name="Event")
_NODE = Kind(api_version="v1", name="Node")
_NODE_CLAIM = Kind(api_version="karpenter.sh/v1", name="NodeClaim")
_SCALER = Kind(api_version="autoscaling/v2", name="HorizontalPodAutoscaler")

OURS = tuple(
    Kind(api_version=api_version, name=name)
    for api_version, names in (
        ("v1", "Namespace ServiceAccount ConfigMap Service PersistentVolume PersistentVolumeClaim ResourceQuota"),
        ("apps/v1", "Deployment DaemonSet StatefulSet"),
        ("batch/v1", "CronJob"),
        ("autoscaling/v2", "HorizontalPodAutoscaler"),
        ("networking.k8s.io/v1", "NetworkPolicy Ingress"),
        ("policy/v1", "PodDisruptionBudget"),
        ("rbac.authorization.k8s.io/v1", "Role RoleBinding ClusterRole ClusterRoleBinding"),
        ("admissionregistration.k8s.io/v1", "ValidatingAdmissionPolicy ValidatingAdmissionPolicyBinding"),
        ("scheduling.k8s.io/v1", "PriorityClass"),
        ("resource.k8s.io/v1", "DeviceClass ResourceClaim ResourceClaimTemplate"),
        ("leaderworkerset.x-k8s.io/v1", "LeaderWorkerSet"),
        ("karpenter.sh/v1", "NodePool"),
        ("karpenter.k8s.aws/v1", "EC2NodeClass"),
        ("keda.sh/v1alpha1", "ScaledObject TriggerAuthentication"),
        ("monitoring.coreos.com/v1", "ServiceMonitor PodMonitor PrometheusRule"),
        ("gateway.networking.k8s.io/v1", "HTTPRoute"),
        ("inference.networking.k8s.io/v1", "InferencePool"),
        ("external-secrets.io/v1", "ExternalSecret"),
    )
    for name in names.split()
)
"""Kinds in which objects of a stack may be left over from an earlier plan, beside those of the present one."""


@dataclass(slots=True)
class _Read:
    """What was read so far."""

    cluster: Cluster
    served: dict[str, Mapping[str, Resource]] = field(default_factory=dict)
    objects: dict[Ref, Body] = field(default_factory=dict)
    not_served: set[Kind] = field(default_factory=set)
    forbidden: dict[Kind, str] = field(default_factory=dict)
    unread: list[str] = field(default_factory=list)

    def resource(self, kind: Kind) -> Resource | None:
        if kind.api_version not in self.served:
            self.served[kind.api_version] = self.cluster.resources(kind.api_version)
        return self.served[kind.api_version].get(kind.name)

    def planned(self, kind: Kind, refs: Iterable[Ref], stack: str) -> None:
        """The planned objects of a kind, and those of the stack that are there beside them."""
        resource = self.resource(kind)
        wanted = tuple(refs)
        if resource is None:
            if wanted:
                self.not_served.add(kind)
            return
        namespaces = sorted({stack, *(each.namespace for each in wanted)}) if resource.namespaced else [""]
        for namespace in namespaces:
            try:
                found = self.cluster.items(resource, namespace, labels=f"{STACK_LABEL}={stack}")
            except Forbidden:
                continue
            self.objects.update({ref({**_typed(kind), **body}): body for body in found})
        try:
            for each in wanted:
                if each not in self.objects:
                    body = self.cluster.item(resource, each.namespace, each.name)
                    if body is not None:
                        self.objects[each] = body
        except Forbidden as error:
            self.forbidden[kind] = str(error)

    def explaining(self, kind: Kind, what: str, namespace: str, labels: str = "", fields: str = "") -> tuple[Body, ...]:
        """Objects that only help to explain a finding; reading them may be forbidden."""
        resource = self.resource(kind)
        if resource is None:
            return ()
        try:
            return self.cluster.items(resource, namespace, labels=labels, fields=fields)
        except Forbidden:
            self.unread.append(what)
            return ()


def read_snapshot(cluster: Cluster, stack: str, pools: Iterable[str], planned: Mapping[Ref, Body]) -> Snapshot:
    """Read what a cluster holds of a stack. Raises OutsideFailure where it does not answer."""
    read = _Read(cluster)
    for kind in sorted({*OURS, *(each.kind for each in planned)}):
        read.planned(kind, (each for each in planned if each.kind == kind), stack)
    names = ",".join(sorted(pools))
    return Snapshot(
        objects=read.objects,
        pods=read.explaining(_POD, "pods", stack, labels=f"{STACK_LABEL}={stack}"),
        neighbours=_neighbours(read, stack),
        events=read.explaining(_EVENT, "events", stack, fields="type=Warning"),
        nodes=read.explaining(_NODE, "nodes", "", labels=f"{POOL_LABEL} in ({names})"),
        node_claims=read.explaining(_NODE_CLAIM, "node claims", "", labels=f"{KARPENTER_POOL_LABEL} in ({names})"),
        scalers=read.explaining(_SCALER, "autoscalers", stack),
        not_served=frozenset(read.not_served),
        forbidden=read.forbidden,
        unread=tuple(read.unread),
    )


def _neighbours(read: _Read, stack: str) -> tuple[str, ...]:
    """Pods of others in the stack's namespace, where that is not the stack's."""
    namespace = read.objects.get(Ref(kind=_NAMESPACE, namespace="", name=stack))
    if namespace is None or is_stacks(namespace, stack):
        return ()
    return pods_of_others(read.explaining(_POD, "pods", stack), stack)


def _typed(kind: Kind) -> dict[str, str]:
    """Fill in the kind of listed items: the API server omits it for built-in kinds."""
    return {"apiVersion": kind.api_version, "kind": kind.name}
