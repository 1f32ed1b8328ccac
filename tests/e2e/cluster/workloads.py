"""What the workloads of a plan have become in a cluster: their Deployments and pods."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Iterator

from agentgpu_iac.plan import Workload
from agentgpu_iac.plan.nodes import AGENT_LABEL, POOL_LABEL, TIER_LABEL
from tests.e2e.cluster.control_plane import ControlPlane, Object
from tests.e2e.cluster.trees import Tree


def baseline(made: Tree) -> tuple[Workload, ...]:
    """The workloads that always run: those that a schedule takes to none outside its windows do not."""
    return tuple(each for each in made.plan.workloads if each.tier == "baseline" and each.replicas.min)


def deployments(made: Tree) -> tuple[Workload, ...]:
    """Those of them whose pods a controller that runs here makes again when they go."""
    return tuple(each for each in baseline(made) if pods_per_replica(made, each) == 1)


def burst(made: Tree) -> tuple[Workload, ...]:
    """The workloads that run when there is more to do."""
    return tuple(each for each in made.plan.workloads if each.tier == "burst")


def at_rest(made: Tree, body: Object) -> Object:
    """An object as it is while there is no load and no window is open: what scales a workload has set its fewest replicas, which
    the manifest leaves open.
    """
    scaled = {
        each.name: each for each in made.plan.workloads if each.scaling is not None or each.open_hours is not None
    }
    workload = scaled.get(body["metadata"]["name"])
    if body["kind"] != "Deployment" or workload is None:
        return body
    return {**body, "spec": {**body["spec"], "replicas": 0 if workload.scaling else workload.replicas.min}}


def pods_of(cluster: ControlPlane, made: Tree, workload: Workload) -> list[Object]:
    """The engine pods of a workload."""
    pairs = ((AGENT_LABEL, workload.agent), (TIER_LABEL, workload.tier_label), (POOL_LABEL, workload.node_pool))
    selector = ",".join(f"{key}={value}" for key, value in pairs)
    return cluster.items(f"/api/v1/namespaces/{made.plan.stack}/pods?labelSelector={selector}")


def pods_per_replica(made: Tree, workload: Workload) -> int:
    """One, or the size of its group where a replica stands on several nodes."""
    groups = [each for each in made.of_kind("LeaderWorkerSet") if each["metadata"]["name"] == workload.name]
    return int(groups[0]["spec"]["leaderWorkerTemplate"]["size"]) if groups else 1


def ready(cluster: ControlPlane, made: Tree, workload: Workload, replicas: int | None = None) -> list[Object]:
    """The pods of a workload, once there are as many as it should have, all of them ready, and none on its way out."""
    wanted = (workload.replicas.min if replicas is None else replicas) * pods_per_replica(made, workload)
    pods = pods_of(cluster, made, workload)
    return pods if len(pods) == wanted and all(is_ready(pod) for pod in pods) else []


def is_ready(pod: Object) -> bool:
    """Whether a pod serves, and nobody has asked it to go."""
    return condition(pod, "Ready") == "True" and "deletionTimestamp" not in pod["metadata"]


def unschedulable(cluster: ControlPlane, made: Tree, workload: Workload) -> list[Object]:
    """The pods of a workload for which the scheduler found no node."""
    return [pod for pod in pods_of(cluster, made, workload) if condition(pod, "PodScheduled") == "False"]


def condition(each: Object, name: str) -> str:
    """A condition of an object; empty where it is not reported yet."""
    return next((one["status"] for one in each.get("status", {}).get("conditions", ()) if one["type"] == name), "")


def deployment(made: Tree, workload: Workload) -> str:
    """Path of a workload's Deployment."""
    return f"/apis/apps/v1/namespaces/{made.plan.stack}/deployments/{workload.name}"


def scale(cluster: ControlPlane, made: Tree, workload: Workload, replicas: int) -> None:
    """What an autoscaler does."""
    cluster.merge(f"{deployment(made, workload)}/scale", {"spec": {"replicas": replicas}})


def add_group_pods(cluster: ControlPlane, made: Tree) -> None:
    """Make the pods of every LeaderWorkerSet of a stack, in place of its controller, which does not run here."""
    for body in made.of_kind("LeaderWorkerSet"):
        for pod in group_pods(body):
            cluster.create(f"/api/v1/namespaces/{made.plan.stack}/pods", pod)


def group_pods(body: Object) -> Iterator[Object]:
    """The pods that the LeaderWorkerSet controller would make of a LeaderWorkerSet: a leader and its workers, per replica."""
    name, spec = body["metadata"]["name"], body["spec"]
    template = spec["leaderWorkerTemplate"]
    worker = template["workerTemplate"]
    for replica, index in itertools.product(range(spec["replicas"]), range(template["size"])):
        pod = copy.deepcopy(worker if index else template.get("leaderTemplate", worker))
        labels = {
            **pod["metadata"].get("labels", {}),
            "leaderworkerset.sigs.k8s.io/name": name,
            "leaderworkerset.sigs.k8s.io/group-index": str(replica),
            "leaderworkerset.sigs.k8s.io/worker-index": str(index),
            "leaderworkerset.sigs.k8s.io/group-key": f"{name}-{replica}",
        }
        suffix = f"-{index}" if index else ""
        pod["metadata"] = {**pod["metadata"], "name": f"{name}-{replica}{suffix}", "labels": labels}
        yield pod
