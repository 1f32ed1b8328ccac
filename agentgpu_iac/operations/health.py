"""Workloads, fillers, claims, nodes and operators' objects: which are unhealthy, and why."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from agentgpu_iac.clusters.port import Body, at
from agentgpu_iac.operations.findings import Finding, finding
from agentgpu_iac.operations.pending import Verdict, not_created, unplaced
from agentgpu_iac.operations.snapshot import (
    Ref,
    Snapshot,
    condition,
    count,
    is_true,
    items,
    label,
    living,
    name_of,
    selects,
)
from agentgpu_iac.plan import NodePool, Plan
from agentgpu_iac.plan.nodes import ACCELERATOR_RESOURCE, POOL_LABEL
from agentgpu_iac.rendering.names import COMPONENT_LABEL
from agentgpu_iac.units import counted, quantity

WAIT_CONTAINER = "wait-for-model"

_SERVERS = frozenset({"Deployment", "LeaderWorkerSet", "StatefulSet"})
_TELLING = ("Ready", "Accepted", "Programmed", "ResolvedRefs", "Reconciled", "ScalingActive")
"""Conditions by which operators say whether they could act on an object."""
_SCALED_TO_ZERO = "ScalingDisabled"
_QUIET = frozenset(
    {"Deployment", "DaemonSet", "LeaderWorkerSet", "StatefulSet", "PodDisruptionBudget", "Namespace", "Service"}
)
"""Kinds whose conditions are told elsewhere, or mean something else."""

_IMAGE = frozenset({"ImagePullBackOff", "ErrImagePull", "InvalidImageName", "ErrImageNeverPull"})
_CONFIG = frozenset({"CreateContainerConfigError", "CreateContainerError", "RunContainerError"})
_STARTING = frozenset({"ContainerCreating", "PodInitializing", ""})
_LEADER_SET_LABEL = "leaderworkerset.sigs.k8s.io/name"


def pods_of(workload: Body, snapshot: Snapshot) -> tuple[Body, ...]:
    """The pods that a workload's controller made."""
    if workload.get("kind") == "LeaderWorkerSet":
        return tuple(pod for pod in snapshot.pods if label(pod, _LEADER_SET_LABEL) == name_of(workload))
    selector = at(workload, "spec", "selector", "matchLabels")
    return tuple(pod for pod in snapshot.pods if selects(selector, pod))


def wanted(workload: Body) -> int:
    """Replicas that the cluster is asked for; the API server's own default is one."""
    replicas = at(workload, "spec", "replicas")
    return replicas if isinstance(replicas, int) else 1


def is_ready(pod: Body) -> bool:
    """Whether a pod serves."""
    return is_true(condition(pod, "Ready"))


def is_observed(workload: Body) -> bool:
    """Whether the controller has observed the workload's current generation; some controllers do not report it."""
    if "observedGeneration" not in (at(workload, "status") or {}):
        return bool(at(workload, "status", "conditions"))
    return count(workload, "status", "observedGeneration") >= count(workload, "metadata", "generation")


def health(plan: Plan, planned: Mapping[Ref, Body], snapshot: Snapshot) -> Iterator[Finding]:
    """Everything that exists and is unhealthy."""
    for ref in planned:
        body = snapshot.objects.get(ref)
        if body is None:
            continue
        if ref.kind.name in _SERVERS:
            yield from _workload(ref, {"kind": ref.kind.name, **body}, plan, snapshot)
        elif ref.kind.name == "DaemonSet":
            yield from _daemon_set(ref, body, plan, snapshot)
        elif ref.kind.name == "PersistentVolumeClaim":
            yield from _claim(ref, body)
        if ref.kind.name not in _QUIET:
            yield from _conditions(ref, body)
    for pool in plan.node_pools:
        yield from _nodes(pool, planned, snapshot)


def _workload(ref: Ref, body: Body, plan: Plan, snapshot: Snapshot) -> Iterator[Finding]:
    replicas, ready = wanted(body), count(body, "status", "readyReplicas")
    if not is_observed(body):
        message = "its controller has not acted on its present version"
        yield finding("unhealthy", ref, message, "see whether the controller runs", reason="not-observed")
    elif ready < replicas:
        yield from _not_ready(ref, body, f"{ready} of {counted(replicas, 'replica')} ready", plan, snapshot)
    else:
        present = count(body, "status", "updatedReplicas")
        if present < replicas:
            message = f"{present} of {counted(replicas, 'replica')} run the present version"
            hint = "wait for the rollout: kubectl rollout status"
            yield finding("unhealthy", ref, message, hint, reason="rollout", detail=_stuck(body))


def _stuck(body: Body) -> str | None:
    progressing = condition(body, "Progressing")
    return str(progressing.get("message")) if progressing.get("status") == "False" else None


def _daemon_set(ref: Ref, body: Body, plan: Plan, snapshot: Snapshot) -> Iterator[Finding]:
    nodes, ready = count(body, "status", "desiredNumberScheduled"), count(body, "status", "numberReady")
    if ready < nodes:
        yield from _not_ready(ref, body, f"{ready} of {counted(nodes, 'node')} ready", plan, snapshot)


def _not_ready(ref: Ref, body: Body, summary: str, plan: Plan, snapshot: Snapshot) -> Iterator[Finding]:
    """One finding for each reason that keeps pods from being ready, with the pods that it keeps."""
    pods = pods_of(body, snapshot)
    verdicts: dict[Verdict, list[str]] = {}
    for pod in living(pods):
        if not is_ready(pod):
            verdicts.setdefault(verdict(pod, plan, snapshot), []).append(name_of(pod))
    refused = creation_failure(ref, body, snapshot)
    if refused:
        verdicts[not_created(refused)] = []
    if not verdicts:
        verdicts.update(_failed(pods))
    if not verdicts:
        unseen = "pods" in snapshot.unread
        message = "its pods cannot be read" if unseen else "its pods are not there yet"
        hint = "ask for the right to list pods" if unseen else "see whether the controller manager runs"
        verdicts[Verdict(kind="unhealthy", reason="no-pods", message=message, hint=hint)] = []
    for each, names in verdicts.items():
        yield finding(
            each.kind,
            ref,
            f"{summary}: {each.message}",
            each.hint,
            reason=each.reason,
            pods=tuple(sorted(names)),
            detail=each.detail,
        )


def _failed(pods: tuple[Body, ...]) -> dict[Verdict, list[str]]:
    """Pods that ended and were not replaced, such as those that a node refused."""
    found: dict[Verdict, list[str]] = {}
    for pod in pods:
        if at(pod, "status", "phase") == "Failed":
            reason = str(at(pod, "status", "reason") or "failed")
            told = Verdict(
                kind="unhealthy",
                reason="failed",
                message=f"pods end with {reason}",
                hint="kubectl describe pod",
                detail=at(pod, "status", "message"),
            )
            found.setdefault(told, []).append(name_of(pod))
    return found


def creation_failure(ref: Ref, body: Body, snapshot: Snapshot) -> str:
    """What the API server said when the workload's controller asked for a pod; empty where it took them all."""
    failure = condition(body, "ReplicaFailure")
    if is_true(failure):
        return str(failure.get("message", ""))
    if ref.kind.name == "Deployment":
        return ""
    if count(body, "status", "currentNumberScheduled") >= count(body, "status", "desiredNumberScheduled") > 0:
        return ""
    told, made_for = "", re.compile(rf"{re.escape(ref.name)}(-[0-9]+)*")
    for event in snapshot.events:
        of = str(at(event, "involvedObject", "name") or "")
        if event.get("reason") == "FailedCreate" and made_for.fullmatch(of):
            told = str(event.get("message", ""))
    return told


def verdict(pod: Body, plan: Plan, snapshot: Snapshot) -> Verdict:
    """Why a pod is not ready."""
    return (
        unplaced(pod, plan, snapshot)
        or _containers(pod, "initContainerStatuses")
        or _filling(pod)
        or _containers(pod, "containerStatuses")
        or _starting(pod, snapshot)
    )


def _containers(pod: Body, place: str) -> Verdict | None:
    for status in items(pod, "status", place):
        found = _container(status)
        if found is not None:
            return found
    return None


def _container(status: Body) -> Verdict | None:
    """A container that cannot start, or does not stay up."""
    name, waiting = status.get("name"), at(status, "state", "waiting") or {}
    reason, told = str(waiting.get("reason") or ""), waiting.get("message")
    ended = at(status, "state", "terminated") or at(status, "lastState", "terminated")
    if reason in _IMAGE:
        message = f"image {status.get('image')} cannot be pulled"
        return Verdict(
            kind="pending", reason="image", message=message, hint="see that it exists and may be pulled", detail=told
        )
    if reason in _CONFIG:
        message = f"container {name} cannot be made"
        return Verdict(
            kind="pending",
            reason="config",
            message=message,
            hint="make what it names: a Secret or ConfigMap",
            detail=told,
        )
    crashed = ended is not None and ended.get("exitCode") not in (0, None)
    if crashed and (reason == "CrashLoopBackOff" or at(status, "state", "terminated") or not status.get("ready")):
        return _crash(status, ended)
    return None


def _crash(status: Body, ended: Body) -> Verdict:
    """A container that ended with a failure, and how."""
    name, code, why = status.get("name"), ended.get("exitCode"), str(ended.get("reason") or "Error")
    times = count(status, "restartCount")
    message = f"container {name} ended with exit code {code} ({why}), {counted(times, 'restart')}"
    if why == "OOMKilled":
        return Verdict(
            kind="unhealthy",
            reason="out-of-memory",
            message=message,
            hint="raise the memory of the pod (overrides in the spec)",
            detail=ended.get("message"),
        )
    hint = f"kubectl logs --previous --container {name} has its last words"
    detail = str(ended["message"]).strip() if ended.get("message") else None
    return Verdict(kind="unhealthy", reason="crash-loop", message=message, hint=hint, detail=detail)


def _filling(pod: Body) -> Verdict | None:
    """The engine waits until its model is in the node's cache."""
    for status in items(pod, "status", "initContainerStatuses"):
        if status.get("name") == WAIT_CONTAINER and at(status, "state", "running") is not None:
            node = at(pod, "spec", "nodeName")
            message = f"the model is not in the cache of node {node}"
            hint = "its model-cache pod downloads it and logs how far it is; fill it yourself where there is none"
            return Verdict(kind="pending", reason="weights", message=message, hint=hint)
    return None


def _starting(pod: Body, snapshot: Snapshot) -> Verdict:
    """Nothing failed for good: it pulls, mounts, loads, or does not pass its readiness probe."""
    told = {str(event.get("reason")): str(event.get("message", "")) for event in _events(pod, snapshot)}
    for status in (*items(pod, "status", "initContainerStatuses"), *items(pod, "status", "containerStatuses")):
        if (
            at(status, "state", "waiting") is not None
            and str(at(status, "state", "waiting", "reason") or "") in _STARTING
        ):
            mount = told.get("FailedMount") or told.get("FailedAttachVolume")
            if mount:
                return Verdict(
                    kind="pending",
                    reason="volume",
                    message="a volume cannot be mounted",
                    hint="read the detail",
                    detail=mount,
                )
            message = f"on node {at(pod, 'spec', 'nodeName')}, images are pulled"
            return Verdict(kind="pending", reason="image-pull", message=message, hint="wait; --wait shows the progress")
    engines = items(pod, "status", "containerStatuses")
    if not engines:
        message = f"node {at(pod, 'spec', 'nodeName')} has not started it yet"
        return Verdict(kind="pending", reason="not-started", message=message, hint="see whether the node is well")
    if label(pod, COMPONENT_LABEL) == "model-cache":
        message = f"models are being downloaded on node {at(pod, 'spec', 'nodeName')}"
        return Verdict(kind="pending", reason="weights", message=message, hint="wait; its log says how far it is")
    if all(status.get("started") for status in engines):
        hint = "the engine runs and does not answer /health: kubectl logs"
        message = "the readiness probe fails"
        return Verdict(kind="unhealthy", reason="probe", message=message, hint=hint, detail=told.get("Unhealthy"))
    hint = "wait; --wait shows the progress"
    return Verdict(
        kind="pending", reason="loading", message="the engine loads", hint=hint, detail=told.get("Unhealthy")
    )


def _events(pod: Body, snapshot: Snapshot) -> Iterator[Body]:
    for event in snapshot.events:
        if at(event, "involvedObject", "name") == name_of(pod):
            yield event


def _claim(ref: Ref, body: Body) -> Iterator[Finding]:
    phase = at(body, "status", "phase")
    if phase and phase != "Bound":
        volume = at(body, "spec", "volumeName") or "any volume"
        message = f"is {phase}: not bound to {volume}"
        hint = f"kubectl describe pv {volume}: its phase, size and claimRef"
        yield finding("unhealthy", ref, message, hint, reason="volume")


def _conditions(ref: Ref, body: Body) -> Iterator[Finding]:
    """What an operator says that it could not do; one finding for an object."""
    parents = (parent for key in ("parents", "parent") for parent in items(body, "status", key))
    told_by: tuple[Body, ...] = (body, *({"status": parent} for parent in parents))
    for status in told_by:
        for kind in _TELLING:
            told = condition(status, kind)
            if told.get("status") == "False" and told.get("reason") != _SCALED_TO_ZERO:
                message = f"{kind} is false: {told.get('reason') or 'no reason given'}"
                hint = "the operator of this kind says why; see its log"
                yield finding("unhealthy", ref, message, hint, reason="not-ready", detail=told.get("message"))
                return


def _nodes(pool: NodePool, planned: Mapping[Ref, Body], snapshot: Snapshot) -> Iterator[Finding]:
    if "nodes" in snapshot.unread:
        return
    nodes = tuple(node for node in snapshot.nodes if label(node, POOL_LABEL) == pool.name)
    made_on_demand = any(ref.kind.name == "NodePool" and ref.name == pool.name for ref in planned)
    if len(nodes) < pool.min and not made_on_demand:
        message = f"{len(nodes)} of {counted(pool.min, 'node')}"
        hint = f"add {' or '.join(pool.instance_types)} nodes with the label {POOL_LABEL}={pool.name}"
        yield finding("missing", f"Node pool {pool.name}", message, hint, reason="node")
    slots = pool.accelerators_per_node * pool.slots_per_accelerator
    for node in nodes:
        subject = f"Node {name_of(node)}"
        ready = condition(node, "Ready")
        if not is_true(ready):
            hint = "kubectl describe node says what is wrong"
            yield finding("unhealthy", subject, "is not ready", hint, reason="node", detail=ready.get("message"))
            continue
        offered = quantity(str(at(node, "status", "allocatable", ACCELERATOR_RESOURCE) or 0)) or 0
        if offered < slots:
            message = f"offers {offered} {ACCELERATOR_RESOURCE}, the plan counts on {slots}"
            hint = "see whether the NVIDIA device plugin runs there, and with which configuration"
            yield finding("unhealthy", subject, message, hint, reason="accelerators")
