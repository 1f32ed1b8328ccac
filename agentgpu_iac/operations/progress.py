"""How far each workload is on its way to serve: node, image, weights, loading, ready; beside the seconds of the plan."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Literal

from agentgpu_iac.clusters.port import Body, at
from agentgpu_iac.operations.findings import readable
from agentgpu_iac.operations.health import (
    WAIT_CONTAINER,
    creation_failure,
    is_observed,
    is_ready,
    pods_of,
    verdict,
    wanted,
)
from agentgpu_iac.operations.pending import not_created
from agentgpu_iac.operations.snapshot import Ref, Snapshot, condition, count, is_true, items, living, moment
from agentgpu_iac.plan import ColdStartPlan, Plan, Workload
from agentgpu_iac.spec.document import Document

Stage = Literal["objects", "node", "image", "weights", "loading", "ready"]
STAGES: tuple[Stage, ...] = ("objects", "node", "image", "weights", "loading", "ready")
"""From the first to the last; ``objects``: it is not in the cluster."""

_WORKLOADS = ("Deployment", "LeaderWorkerSet", "StatefulSet")


class WorkloadProgress(Document):
    """How far a workload is; the stage is that of its slowest replica."""

    name: str
    agent: str
    """Its deployment."""
    agents: tuple[str, ...]
    """Agents that it serves."""
    tier: str
    min: int
    """Replicas that the plan always has."""
    max: int
    wanted: int
    """Replicas that the cluster is asked for."""
    ready: int
    stage: Stage
    since_s: float | None
    """How long it has been in this stage."""
    planned_s: float | None
    """How long the plan expects this stage to last, on a new node."""
    waiting_for: str | None


def progress(
    plan: Plan, planned: Mapping[Ref, Body], snapshot: Snapshot, now: datetime
) -> tuple[WorkloadProgress, ...]:
    """How far each workload of the plan is."""
    return tuple(_progress(workload, plan, planned, snapshot, now) for workload in plan.workloads)


def planned_s(stage: Stage, cold: ColdStartPlan) -> float | None:
    """What the plan expects of a stage on a new node."""
    return {
        "node": cold.node + cold.driver,
        "image": cold.image,
        "weights": cold.cache_fill,
        "loading": cold.warm_node_total,
    }.get(stage)


def _progress(
    workload: Workload, plan: Plan, planned: Mapping[Ref, Body], snapshot: Snapshot, now: datetime
) -> WorkloadProgress:
    ref = next((each for each in planned if each.kind.name in _WORKLOADS and each.name == workload.name), None)
    body = snapshot.objects.get(ref) if ref else None
    if ref is None or body is None:
        forbidden = ref is not None and ref.kind in snapshot.forbidden
        reason = "it may not be read" if forbidden else "it is not in the cluster"
        return _told(workload, workload.replicas.min, 0, "objects", None, reason)
    body = {"kind": ref.kind.name, **body}
    replicas, ready = wanted(body), count(body, "status", "readyReplicas")
    rolled = count(body, "status", "updatedReplicas") >= replicas
    if is_observed(body) and rolled and ready >= replicas:
        return _told(workload, replicas, ready, "ready", None, None)
    slow = [pod for pod in living(pods_of(body, snapshot)) if not is_ready(pod)]
    refused = creation_failure(ref, body, snapshot)
    if refused or not slow:
        reason = not_created(refused).message if refused else "its pods are not there yet"
        began = moment(at(body, "metadata", "creationTimestamp"))
        return _told(workload, replicas, ready, "node", _seconds(began, now), reason)
    stage, began, pod = min((_stage(pod) for pod in slow), key=lambda each: STAGES.index(each[0]))
    return _told(workload, replicas, ready, stage, _seconds(began, now), verdict(pod, plan, snapshot).message)


def _told(
    workload: Workload, replicas: int, ready: int, stage: Stage, since_s: float | None, waiting_for: str | None
) -> WorkloadProgress:
    return WorkloadProgress(
        name=workload.name,
        agent=workload.agent,
        agents=workload.served,
        tier=workload.tier,
        min=workload.replicas.min,
        max=workload.replicas.max,
        wanted=replicas,
        ready=ready,
        stage=stage,
        since_s=since_s,
        planned_s=planned_s(stage, workload.cold_start_s),
        waiting_for=None if waiting_for is None else readable(waiting_for),
    )


def _seconds(began: datetime | None, now: datetime) -> float | None:
    return None if began is None else max(0.0, round((now - began).total_seconds(), 1))


def _stage(pod: Body) -> tuple[Stage, datetime | None, Body]:
    """The stage of a pod that is not ready, and since when."""
    scheduled = condition(pod, "PodScheduled")
    if not is_true(scheduled):
        return "node", moment(at(pod, "metadata", "creationTimestamp")), pod
    placed = moment(scheduled.get("lastTransitionTime"))
    for status in items(pod, "status", "initContainerStatuses"):
        running = at(status, "state", "running", "startedAt")
        if status.get("name") == WAIT_CONTAINER and running:
            return "weights", moment(running), pod
        if at(status, "state", "terminated", "exitCode") != 0:
            return "image", placed, pod
        placed = moment(at(status, "state", "terminated", "finishedAt")) or placed
    started = [moment(at(each, "state", "running", "startedAt")) for each in items(pod, "status", "containerStatuses")]
    if started and all(started):
        return "loading", max(each for each in started if each), pod
    return "image", placed, pod
