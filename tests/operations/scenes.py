"""A cluster made in Python: the small plan, its rendered objects, and what a cluster may hold of them."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

from agentgpu_iac.clusters.port import Forbidden, Resource
from agentgpu_iac.operations.planned import planned_objects
from agentgpu_iac.operations.report import Report, report
from agentgpu_iac.operations.snapshot import Kind, Ref, Snapshot
from agentgpu_iac.plan import Plan
from tests.plans import make_plan, make_tiered_plan
from tests.rendered import rendered_once

NOW = datetime(2026, 11, 24, 12, 0, 0, tzinfo=UTC)
POOL = "demo-baseline-g6e-xlarge"
POD = "support-7d9f-x2x4l"


def ago(seconds: float) -> str:
    return (NOW - timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")


@cache
def plan() -> Plan:
    return make_plan()


@cache
def tiered() -> Plan:
    return make_tiered_plan()


def planned(made: Plan | None = None, overlay: str = "node-groups") -> Mapping[Ref, Any]:
    return _planned(tiered_is_meant=made is not None and made is not plan(), overlay=overlay)


@cache
def _planned(*, tiered_is_meant: bool, overlay: str) -> Mapping[Ref, Any]:
    return planned_objects(rendered_once(tiered() if tiered_is_meant else plan()), overlay)


def ref(kind: str, name: str, made: Plan | None = None, overlay: str = "node-groups") -> Ref:
    """The planned object of that kind and name."""
    return next(each for each in planned(made, overlay) if (each.kind.name, each.name) == (kind, name))


DEPLOYMENT = ref("Deployment", "support")
FILLER = ref("DaemonSet", f"model-cache-{POOL}")


def node(name: str = "node-1", **changes: Any) -> dict[str, Any]:
    """A node of the pool that is well."""
    made: dict[str, Any] = {
        "metadata": {"name": name, "labels": {"agentgpu.dev/node-pool": POOL}},
        "spec": {"taints": [{"key": "nvidia.com/gpu", "value": "present", "effect": "NoSchedule"}]},
        "status": {
            "conditions": [{"type": "Ready", "status": "True"}],
            "allocatable": {"nvidia.com/gpu": "1"},
        },
    }
    return merged(made, changes)


def pod(**changes: Any) -> dict[str, Any]:
    """The pod of the support agent, ready on node-1."""
    template = planned()[DEPLOYMENT]["spec"]["template"]
    made = {
        "metadata": {"name": POD, "labels": template["metadata"]["labels"], "creationTimestamp": ago(300)},
        "spec": {**copy.deepcopy(template["spec"]), "nodeName": "node-1"},
        "status": {
            "phase": "Running",
            "conditions": [
                {"type": "PodScheduled", "status": "True", "lastTransitionTime": ago(200)},
                {"type": "Ready", "status": "True", "lastTransitionTime": ago(10)},
            ],
            "initContainerStatuses": [
                {"name": "wait-for-model", "state": {"terminated": {"exitCode": 0, "finishedAt": ago(60)}}}
            ],
            "containerStatuses": [
                {
                    "name": "engine",
                    "image": "vllm",
                    "ready": True,
                    "started": True,
                    "restartCount": 0,
                    "state": {"running": {"startedAt": ago(55)}},
                }
            ],
        },
    }
    return merged(made, changes)


def unready(**changes: Any) -> dict[str, Any]:
    """The same, placed and not ready."""
    return pod(status=merged(pod()["status"], {"conditions": pod()["status"]["conditions"][:1], **changes}))


def waiting(reason: str, message: str = "", **more: Any) -> dict[str, Any]:
    """The same; its engine's container waits for a reason."""
    engine = {**pod()["status"]["containerStatuses"][0], "ready": False, "started": False, **more}
    return unready(containerStatuses=[{**engine, "state": {"waiting": {"reason": reason, "message": message}}}])


def unplaced(message: str, **spec: Any) -> dict[str, Any]:
    """The same; the scheduler found no place for it."""
    made = pod(status={"phase": "Pending"}, spec=spec)
    del made["spec"]["nodeName"]
    made["status"] = {
        "phase": "Pending",
        "conditions": [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}],
    }
    return made


def merged(base: dict[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """A copy with changes; mappings are merged, all else is replaced."""
    made = copy.deepcopy(base)
    for key, value in changes.items():
        both = isinstance(made.get(key), dict) and isinstance(value, Mapping)
        made[key] = merged(made[key], value) if both else value
    return made


def live(body: Mapping[str, Any], **changes: Any) -> dict[str, Any]:
    """A planned object as a cluster holds it when all is well: what the server adds is there too."""
    made = merged(dict(body), {"metadata": {"uid": "1", "resourceVersion": "7", "generation": 2}})
    if made["kind"] == "Deployment":
        replicas = made["spec"]["replicas"]
        made["status"] = {"observedGeneration": 2, "readyReplicas": replicas, "updatedReplicas": replicas}
    if made["kind"] == "DaemonSet":
        made["status"] = {"desiredNumberScheduled": 1, "currentNumberScheduled": 1, "numberReady": 1}
    if made["kind"] == "PersistentVolumeClaim":
        made["status"] = {"phase": "Bound"}
    return merged(made, changes)


def healthy(made: Plan | None = None, overlay: str = "node-groups") -> Snapshot:
    """A cluster that is in line with the plan."""
    objects = {each: live(body) for each, body in planned(made, overlay).items()}
    return Snapshot(objects=objects, pods=(pod(),), nodes=(node(),))


def with_object(snapshot: Snapshot, which: Ref, **changes: Any) -> Snapshot:
    """The snapshot with one of its objects changed."""
    return replace(snapshot, objects={**snapshot.objects, which: merged(dict(snapshot.objects[which]), changes)})


def down(*pods: Mapping[str, Any], **more: Any) -> Snapshot:
    """A cluster whose support Deployment is not ready, with these pods."""
    snapshot = with_object(healthy(), DEPLOYMENT, status={"readyReplicas": 0})
    return replace(snapshot, pods=tuple(pods), **more)


def judged(snapshot: Snapshot, made: Plan | None = None, overlay: str = "node-groups") -> Report:
    return report(made or plan(), planned(made, overlay), snapshot, NOW)


class FakeCluster:
    """A cluster of objects in memory."""

    def __init__(self, snapshot: Snapshot, *, forbidden: frozenset[str] = frozenset()) -> None:
        self.objects: dict[Ref, Mapping[str, Any]] = dict(snapshot.objects)
        self.forbidden = forbidden
        self.not_served: frozenset[str] = frozenset()
        for kind, bodies in (("Pod", snapshot.pods), ("Event", snapshot.events), ("Node", snapshot.nodes)):
            for number, body in enumerate(bodies):
                space = "" if kind == "Node" else "demo"
                name = str(body["metadata"].get("name", number))
                self.objects[Ref(kind=Kind(api_version="v1", name=kind), namespace=space, name=name)] = body
        self.asked: list[str] = []
        self.kinds = {each.kind: bool(each.namespace) for each in self.objects}

    def resources(self, api_version: str) -> Mapping[str, Resource]:
        return {
            kind.name: Resource(path=api_version, plural=kind.name, namespaced=namespaced)
            for kind, namespaced in self.kinds.items()
            if kind.api_version == api_version and kind.name not in self.not_served
        }

    def items(self, resource: Resource, namespace: str, labels: str = "", fields: str = "") -> tuple[Any, ...]:
        self._ask(resource)
        return tuple(
            {key: value for key, value in body.items() if key not in ("apiVersion", "kind")}
            for each, body in self.objects.items()
            if each.kind == Kind(api_version=resource.path, name=resource.plural)
            and namespace in ("", each.namespace)
            and _matches(body, labels)
        )

    def item(self, resource: Resource, namespace: str, name: str) -> Any:
        self._ask(resource)
        kind = Kind(api_version=resource.path, name=resource.plural)
        return self.objects.get(Ref(kind=kind, namespace=namespace, name=name))

    def _ask(self, resource: Resource) -> None:
        self.asked.append(resource.plural)
        if resource.plural in self.forbidden:
            raise Forbidden(f'User "reader" cannot list resource "{resource.plural}"')


def _matches(body: Mapping[str, Any], labels: str) -> bool:
    have = body["metadata"].get("labels", {})
    if " in (" in labels:
        key, _, values = labels.removesuffix(")").partition(" in (")
        return have.get(key) in values.split(",")
    key, _, value = labels.partition("=")
    return not labels or have.get(key) == value
