"""The real scheduler puts every pod where the plan says, on nodes like the plan's, and moves it when it must.

Nodes are KWOK's, so a pod is ready once it has a node; admission, volume binding, scheduling, disruption budgets and
rollouts are the real ones. All stacks stand side by side, beside nodes of another team, and each must keep to its own.

The LeaderWorkerSet controller does not run here (it does in ``test_groups``). For each LeaderWorkerSet the tests make the
pods of its groups themselves, from its own leader and worker templates.
"""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from agentgpu_iac.plan import NodePool
from agentgpu_iac.plan.nodes import POOL_LABEL
from tests.e2e.cluster.control_plane import ControlPlane, Object, Refused
from tests.e2e.cluster.nodes import pool_node, strangers
from tests.e2e.cluster.trees import STACK_NAMES, Tree, tree
from tests.e2e.cluster.workloads import (
    add_group_pods,
    at_rest,
    baseline,
    burst,
    condition,
    deployment,
    deployments,
    pods_of,
    pods_per_replica,
    ready,
    scale,
    unschedulable,
)

STACKS = pytest.mark.parametrize("name", STACK_NAMES)
VERSION = "agentgpu.dev/test-version"
"""Annotation that makes a new version of a pod template."""

ROLLED = ("customer-service", "high-concurrency", "multi-agent", "operators")
WITH_BURST = tuple(name for name in STACK_NAMES if burst(tree(name)))

LOSES_A_NODE = "plan-single"
"""The stack of which a node is gone at once, without a drain. The controllers take a minute to find out, so it goes first
and is looked at last."""


@pytest.fixture(scope="module")
def running(equipped_cluster: ControlPlane) -> ControlPlane:
    """All stacks applied, with the nodes of their baselines and those of others."""
    cluster = equipped_cluster
    for node in strangers(tree(name).plan for name in (LOSES_A_NODE, *STACK_NAMES)):
        add_node(cluster, node)
    for made in map(tree, (LOSES_A_NODE, *STACK_NAMES)):
        bring_up(cluster, made)
        if made is tree(LOSES_A_NODE):
            lose_a_node(cluster, made)
    return cluster


def test_a_pod_that_is_not_restricted_is_refused(running: ControlPlane) -> None:
    pod = {"metadata": {"name": "careless"}, "spec": {"containers": [{"name": "any", "image": "any"}]}}
    with pytest.raises(Refused, match=r"violates PodSecurity .restricted:latest"):
        running.create("/api/v1/namespaces/customer-service/pods", pod)


@STACKS
def test_baseline_pods_land_on_the_nodes_of_their_pool_and_nowhere_else(running: ControlPlane, name: str) -> None:
    made = tree(name)
    pools = node_pools(running)
    for workload in baseline(made):
        landed = running.until(f"{workload.name} is ready", lambda each=workload: ready(running, made, each))
        assert {pools[pod["spec"]["nodeName"]] for pod in landed} == {workload.node_pool}
        assert len(landed) == workload.replicas.min * pods_per_replica(made, workload)
    for each in burst(made):
        assert len(pods_of(running, made, each)) == each.replicas.min


@STACKS
def test_caches_are_bound_and_filled_on_every_node_of_a_pool(running: ControlPlane, name: str) -> None:
    made = tree(name)
    namespace = f"/api/v1/namespaces/{made.plan.stack}"
    for pool in made.plan.node_pools:
        claim = running.get(f"{namespace}/persistentvolumeclaims/model-cache-{pool.name}")
        assert (claim["status"]["phase"], claim["spec"]["volumeName"]) == ("Bound", f"model-cache-{pool.name}")
        if not any(model.fill for model in pool.cached_models):
            continue
        fillers = (
            running.until(
                f"fillers of {pool.name} run",
                lambda each=pool: len(found := ready_fillers(running, made, each)) >= each.min and found,
            )
            if pool.min
            else []
        )
        assert {pod["spec"]["nodeName"] for pod in fillers} == {f"{pool.name}-{number}" for number in range(pool.min)}


@STACKS
def test_engines_that_share_an_accelerator_are_on_the_same_node(running: ControlPlane, name: str) -> None:
    made = tree(name)
    groups = {each.share_group for each in baseline(made) if each.share_group}
    for group in groups:
        members = [each for each in baseline(made) if each.share_group == group]
        nodes = {
            pod["spec"]["nodeName"]
            for each in members
            for pod in running.until(f"{each.name} is ready", lambda one=each: ready(running, made, one))
        }
        assert len(nodes) == made.plan.pool(members[0].node_pool).min


@pytest.mark.parametrize("name", WITH_BURST)
def test_burst_pods_wait_until_their_pool_has_nodes(running: ControlPlane, name: str) -> None:
    made = tree(name)
    for workload in burst(made):
        pool, most = made.plan.pool(workload.node_pool), workload.replicas.max
        added = (most - workload.replicas.min) * pods_per_replica(made, workload)
        scale(running, made, workload, most)
        running.until(
            f"{added} pods of {workload.name} have no node",
            lambda each=workload, wanted=added: len(unschedulable(running, made, each)) == wanted,
        )
        for number in range(pool.min, pool.max):
            add_node(running, pool_node(made.plan, pool, number))
        landed = running.until(
            f"{workload.name} is ready",
            lambda each=workload: ready(running, made, each, each.replicas.max),
        )
        pools = node_pools(running)
        assert {pools[pod["spec"]["nodeName"]] for pod in landed} == {pool.name}


@pytest.mark.parametrize("name", ROLLED)
def test_a_new_version_replaces_the_old_one_with_the_accelerators_that_are_there(
    running: ControlPlane, name: str
) -> None:
    made = tree(name)
    for workload in deployments(made):
        running.until(f"{workload.name} is ready", lambda each=workload: ready(running, made, each))
        path = deployment(made, workload)
        pool = made.plan.pool(workload.node_pool)
        for number in range(pool.max, pool.max + pool.surge_nodes):  # what Karpenter would make
            if not running.exists(f"/api/v1/nodes/{pool.name}-{number}"):
                add_node(running, pool_node(made.plan, pool, number))
        wanted, surge = workload.replicas.min, workload.rollout.max_surge
        history = running.history(f"/apis/apps/v1/namespaces/{made.plan.stack}/replicasets")
        next(history)
        uid = running.merge(path, {"spec": {"template": {"metadata": {"annotations": {VERSION: "2"}}}}})["metadata"][
            "uid"
        ]
        least, most = wanted, 0
        for sets in history:
            old, new = versions(sets.values(), uid)
            least = min(least, sum(each["status"].get("availableReplicas", 0) for each in (*old, *new)))
            most = max(most, sum(each["spec"]["replicas"] for each in (*old, *new)))
            if new and new[0]["status"].get("availableReplicas", 0) == wanted and not any(map(pods_left, old)):
                break
        running.until(f"{workload.name} is rolled out", lambda at=path: is_rolled_out(running.get(at)))
        assert least >= wanted - workload.rollout.max_unavailable
        assert most <= wanted + surge
        if surge:
            assert most > wanted, "there was a spare accelerator, and it was not used"


def test_a_rollout_that_wants_an_accelerator_that_is_not_there_is_stuck(running: ControlPlane) -> None:
    """What a rollout onto a node of its own would look like where nobody makes one. The plan's strategy in place frees it."""
    made = tree("support")
    (workload,) = baseline(made)
    running.until(f"{workload.name} is ready", lambda: ready(running, made, workload))
    path = deployment(made, workload)
    strategy = {"rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}
    template = {"metadata": {"annotations": {VERSION: "2"}}}
    running.merge(path, {"spec": {"strategy": strategy, "template": template}})
    running.until("the new pod is pending", lambda: unschedulable(running, made, workload))
    assert not is_rolled_out(running.get(path))
    running.put(made.named("Deployment", workload.name))
    running.until("the plan's own strategy frees it", lambda: is_rolled_out(running.get(path)))


def test_a_spot_node_that_is_drained_and_taken_away_moves_its_pods(running: ControlPlane) -> None:
    made = tree("operators")
    (workload,) = burst(made)
    pool = made.plan.pool(workload.node_pool)
    assert pool.capacity_types[0] == "spot"
    before = running.until(f"{workload.name} is ready", lambda: ready(running, made, workload, workload.replicas.max))
    lost = before[0]["spec"]["nodeName"]
    add_node(running, pool_node(made.plan, pool, pool.max, capacity_type="on-demand"))
    running.merge(f"/api/v1/nodes/{lost}", {"spec": {"unschedulable": True}})
    for pod in [each for each in before if each["spec"]["nodeName"] == lost]:
        running.until("the pod may go", lambda each=pod: evicted(running, each))
    running.delete(f"/api/v1/nodes/{lost}")
    after = running.until(
        "all pods are ready elsewhere",
        lambda: [
            pod
            for pod in ready(running, made, workload, workload.replicas.max)
            if lost not in {each["spec"]["nodeName"] for each in pods_of(running, made, workload)}
        ],
    )
    assert f"{pool.name}-{pool.max}" in {pod["spec"]["nodeName"] for pod in after}


@STACKS
def test_disruption_budgets_hold_against_eviction(running: ControlPlane, name: str) -> None:
    """Where a budget is rendered: evictions stop where it says, and go on once the pod is back."""
    made = tree(name)
    for workload in deployments(made):
        pods = running.until(f"{workload.name} is ready", lambda each=workload: ready(running, made, each))
        for budget in budgets_over(made, pods[0]):
            path = f"/apis/policy/v1/namespaces/{made.plan.stack}/poddisruptionbudgets/{budget['metadata']['name']}"
            allowed = running.until(
                f"the budget of {workload.name} is counted", lambda at=path: counted_budget(running, at)
            )["disruptionsAllowed"]
            assert 1 <= allowed <= max(1, len(pods) - 1), "a drain must get on, and some replica must stay"
            with running.paused("kwok"):  # no pod becomes ready in the place of one that goes
                outcomes = [evicted(running, pod) for pod in pods]
            assert outcomes.count(True) == allowed
            running.until(f"{workload.name} is ready again", lambda each=workload: ready(running, made, each))


def test_a_node_that_vanishes_loses_no_replica_for_good(running: ControlPlane) -> None:
    """Without notice: the controllers find out, and another node of the pool takes the replica."""
    made = tree(LOSES_A_NODE)
    (workload,) = baseline(made)
    pool = made.plan.pool(workload.node_pool)
    running.until(
        "the replica is back",
        lambda: [pod for pod in ready(running, made, workload) if pod["spec"]["nodeName"] == f"{pool.name}-{pool.max}"],
    )


def bring_up(cluster: ControlPlane, made: Tree) -> None:
    """Apply a stack, and make the nodes of its baseline: those of one replica in one zone, others in turn."""
    for namespace in made.foreign_namespaces:
        cluster.add_namespace(namespace)
    for body in made.objects:
        cluster.put(at_rest(made, body))
    add_group_pods(cluster, made)
    for pool in made.plan.node_pools:
        together = max(pods_per_replica(made, each) for each in made.plan.workloads if each.node_pool == pool.name)
        for number in range(pool.min):
            add_node(cluster, pool_node(made.plan, pool, number, zone=number // together))


def lose_a_node(cluster: ControlPlane, made: Tree) -> None:
    """Take a node with a ready replica away at once, where there is another node of its pool."""
    (workload,) = baseline(made)
    pool = made.plan.pool(workload.node_pool)
    (pod,) = cluster.until(f"{workload.name} is ready", lambda: ready(cluster, made, workload))
    add_node(cluster, pool_node(made.plan, pool, pool.max))
    cluster.delete(f"/api/v1/nodes/{pod['spec']['nodeName']}")


def add_node(cluster: ControlPlane, body: Object) -> None:
    """Create a node with what it offers."""
    cluster.create("/api/v1/nodes", body)


def node_pools(cluster: ControlPlane) -> dict[str, str]:
    """The pool of every node; empty for nodes of nobody's."""
    return {
        each["metadata"]["name"]: each["metadata"]["labels"].get(POOL_LABEL, "")
        for each in cluster.items("/api/v1/nodes")
    }


def ready_fillers(cluster: ControlPlane, made: Tree, pool: NodePool) -> list[Object]:
    """The cache fillers of a pool that are ready."""
    selector = f"app.kubernetes.io/component=model-cache,{POOL_LABEL}={pool.name}"
    pods = cluster.items(f"/api/v1/namespaces/{made.plan.stack}/pods?labelSelector={selector}")
    return [pod for pod in pods if condition(pod, "Ready") == "True"]


def versions(sets: Iterable[Object], deployment_uid: str) -> tuple[list[Object], list[Object]]:
    """The ReplicaSets of a Deployment: of the version before, and of the version of the tests."""
    own = [each for each in sets if deployment_uid in {one["uid"] for one in each["metadata"]["ownerReferences"]}]
    new = [each for each in own if VERSION in each["spec"]["template"]["metadata"].get("annotations", {})]
    return [each for each in own if each not in new], new


def pods_left(each: Object) -> int:
    """Pods that a ReplicaSet wants or still has."""
    return int(each["spec"]["replicas"] + each["status"]["replicas"])


def is_rolled_out(live: Object) -> bool:
    """Whether a Deployment has nothing but ready pods of its newest version."""
    status, wanted = live["status"], live["spec"]["replicas"]
    counts = [status.get(key, 0) for key in ("replicas", "updatedReplicas", "availableReplicas")]
    return status.get("observedGeneration") == live["metadata"]["generation"] and counts == [wanted] * 3


def evicted(cluster: ControlPlane, pod: Object) -> bool:
    """Ask for a pod to go, as a drain does; whether it may. A disruption budget can say no."""
    namespace, name = pod["metadata"]["namespace"], pod["metadata"]["name"]
    body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name, "namespace": namespace}}
    try:
        cluster.create(f"/api/v1/namespaces/{namespace}/pods/{name}/eviction", body)
    except Refused as refused:
        assert refused.code == 429, refused
        return False
    return True


def budgets_over(made: Tree, pod: Object) -> list[Object]:
    """The disruption budgets that select a pod."""
    labels = pod["metadata"]["labels"].items()
    return [
        each
        for each in made.of_kind("PodDisruptionBudget")
        if each["spec"]["selector"]["matchLabels"].items() <= labels
    ]


def counted_budget(cluster: ControlPlane, path: str) -> Object:
    """The status of a disruption budget, once it counts every pod as healthy and no eviction is under way."""
    status: Object = cluster.get(path).get("status", {})
    if not status.get("expectedPods") or status.get("disruptedPods"):
        return {}
    spare = status["expectedPods"] - status["desiredHealthy"]
    return status if (status["currentHealthy"], status["disruptionsAllowed"]) == (status["expectedPods"], spare) else {}
