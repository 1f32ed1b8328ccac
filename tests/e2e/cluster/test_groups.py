"""The real LeaderWorkerSet controller makes the groups: its pods find one another, stand in one zone, and are counted right.

The controller runs as a plain process beside the control plane; its webhooks are reached at 127.0.0.1. Nodes are KWOK's.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agentgpu_iac.plan import Workload
from tests.e2e.cluster.control_plane import ControlPlane, Object, Refused
from tests.e2e.cluster.drift import ALLOWED, differences
from tests.e2e.cluster.nodes import pool_node
from tests.e2e.cluster.trees import Tree, tree
from tests.e2e.ports import free_ports
from tools.install import path as tool

NAME = "high-concurrency"
ZONE = "topology.kubernetes.io/zone"


@pytest.fixture(scope="module")
def made() -> Tree:
    return tree(NAME)


@pytest.fixture(scope="module")
def workload(made: Tree) -> Workload:
    (found,) = (one for one in made.plan.workloads if one.kind == "LeaderWorkerSet")
    return found


@pytest.fixture(scope="module")
def groups(equipped_cluster: ControlPlane, made: Tree, workload: Workload) -> Iterator[ControlPlane]:
    """The example, when its leader has a node in zone a and there is one more, in zone b."""
    cluster = equipped_cluster
    start_controller(cluster)
    add_node(cluster, made, workload, 0, "a")
    for namespace in made.foreign_namespaces:
        cluster.add_namespace(namespace)
    for body in made.objects:
        cluster.until(f"{body['kind']} is taken", lambda each=body: accepted(cluster, each))
    cluster.until("the leader runs", lambda: set(running(cluster, made, workload)) == {"0"})
    add_node(cluster, made, workload, 1, "b")
    yield cluster


def add_node(cluster: ControlPlane, made: Tree, workload: Workload, number: int, zone: str) -> None:
    pool = made.plan.pool(workload.node_pool)
    cluster.create("/api/v1/nodes", pool_node(made.plan, pool, number, zone="abc".index(zone)))


def start_controller(cluster: ControlPlane) -> None:
    webhook, metrics, health = free_ports(3)
    certificates = cluster.folder / "lws"
    certificates.mkdir()
    for name, source in (("tls.crt", "server.crt"), ("tls.key", "server.key")):
        (certificates / name).write_bytes((cluster.folder / source).read_bytes())
    config = {
        "apiVersion": "config.lws.x-k8s.io/v1alpha1",
        "kind": "Configuration",
        "leaderElection": {"leaderElect": False},
        "internalCertManagement": {"enable": False},
        "webhook": {"host": "127.0.0.1", "port": webhook, "certDir": str(certificates)},
        "metrics": {"bindAddress": f"127.0.0.1:{metrics}"},
        "health": {"healthProbeBindAddress": f"127.0.0.1:{health}"},
    }
    (cluster.folder / "lws.json").write_text(json.dumps(config), encoding="utf-8")
    cluster.start("lws", (tool("lws"), f"--config={cluster.folder / 'lws.json'}"), KUBECONFIG=str(cluster.kubeconfig))
    for kind, verb in (("MutatingWebhookConfiguration", "mutate"), ("ValidatingWebhookConfiguration", "validate")):
        cluster.put(hook(kind, verb, webhook, cluster.folder / "ca.crt"))


def accepted(cluster: ControlPlane, body: Object) -> bool:
    """Apply an object; not yet where the controller's webhook does not answer yet."""
    try:
        cluster.put(body)
    except Refused as refused:
        if "failed calling webhook" not in str(refused):
            raise
        return False
    return True


def hook(kind: str, verb: str, port: int, authority: Path) -> Object:
    """What the controller's own installation registers, reached without a Service."""
    ours = (("leaderworkerset.x-k8s.io", "leaderworkersets", ("CREATE", "UPDATE")), ("", "pods", ("CREATE",)))
    return {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": kind,
        "metadata": {"name": f"lws-{verb}"},
        "webhooks": [
            {
                "name": f"{resource}.{verb}.lws.test",
                "admissionReviewVersions": ["v1"],
                "sideEffects": "None",
                "failurePolicy": "Fail" if group else "Ignore",
                "clientConfig": {
                    "url": f"https://127.0.0.1:{port}/{verb}-{group.replace('.', '-')}-v1-{resource.rstrip('s')}",
                    "caBundle": base64.b64encode(authority.read_bytes()).decode(),
                },
                "rules": [
                    {
                        "apiGroups": [group],
                        "apiVersions": ["v1"],
                        "resources": [resource],
                        "operations": list(operations),
                    }
                ],
            }
            for group, resource, operations in ours
        ],
    }


def pods(cluster: ControlPlane, made: Tree, workload: Workload) -> dict[str, Object]:
    """The pods of the first group, by their index."""
    found = cluster.items(
        f"/api/v1/namespaces/{made.plan.stack}/pods?labelSelector=leaderworkerset.sigs.k8s.io/name={workload.name}"
    )
    return {pod["metadata"]["labels"]["leaderworkerset.sigs.k8s.io/worker-index"]: pod for pod in found}


def running(cluster: ControlPlane, made: Tree, workload: Workload) -> dict[str, Object]:
    return {
        index: pod
        for index, pod in pods(cluster, made, workload).items()
        if pod["status"].get("phase") == "Running" and pod["spec"].get("nodeName")
    }


def set_path(made: Tree, workload: Workload) -> str:
    return f"/apis/leaderworkerset.x-k8s.io/v1/namespaces/{made.plan.stack}/leaderworkersets/{workload.name}"


def variables(pod: Object) -> dict[str, Any]:
    (container,) = pod["spec"]["containers"]
    return {one["name"]: one.get("value") for one in container["env"]}


def test_a_worker_waits_for_a_node_in_the_zone_of_its_leader(
    groups: ControlPlane, made: Tree, workload: Workload
) -> None:
    def refusal() -> str:
        worker = pods(groups, made, workload).get("1", {"status": {}})
        conditions = worker["status"].get("conditions", ())
        return next((one.get("message", "") for one in conditions if one.get("reason") == "Unschedulable"), "")

    groups.until("the worker is looked at with both nodes", lambda: "pod affinity" in refusal())
    add_node(groups, made, workload, 2, "a")
    groups.until("the group runs", lambda: len(running(groups, made, workload)) == workload.nodes_per_replica)
    nodes = {pod["spec"]["nodeName"] for pod in running(groups, made, workload).values()}
    assert len(nodes) == workload.nodes_per_replica
    assert {groups.get(f"/api/v1/nodes/{name}")["metadata"]["labels"][ZONE][-1] for name in nodes} == {"a"}


def test_what_arguments_refer_to_comes_before_everything_else(
    groups: ControlPlane, made: Tree, workload: Workload
) -> None:
    """The kubelet expands only variables that stand before; ours follow the controller's."""
    for index, pod in pods(groups, made, workload).items():
        known = variables(pod)
        assert next(iter(known)) == "LWS_LEADER_ADDRESS"
        assert known["LWS_WORKER_INDEX"] == index
        assert known["LWS_GROUP_SIZE"] == str(workload.nodes_per_replica)
        leader = f"{workload.name}-0"
        assert known["LWS_LEADER_ADDRESS"] == f"{leader}.{leader}.{made.plan.stack}"


def test_the_leaders_name_leads_to_it_before_it_is_ready(groups: ControlPlane, made: Tree, workload: Workload) -> None:
    service = groups.get(f"/api/v1/namespaces/{made.plan.stack}/services/{workload.name}-0")
    assert service["spec"]["clusterIP"] == "None"
    assert service["spec"]["publishNotReadyAddresses"] is True
    ours = groups.get(f"/api/v1/namespaces/{made.plan.stack}/services/{workload.agent}")
    assert ours["spec"]["clusterIP"] != "None"


def test_requests_reach_the_leader_only(groups: ControlPlane, made: Tree, workload: Workload) -> None:
    def ready() -> list[str]:
        slices = groups.items(
            f"/apis/discovery.k8s.io/v1/namespaces/{made.plan.stack}/endpointslices"
            f"?labelSelector=kubernetes.io/service-name={workload.agent}"
        )
        return [one["targetRef"]["name"] for each in slices for one in each.get("endpoints") or ()]

    assert groups.until("the Service has an endpoint", ready) == [f"{workload.name}-0"]


def test_the_controller_changes_nothing_of_ours(groups: ControlPlane, made: Tree, workload: Workload) -> None:
    ours = made.named("LeaderWorkerSet", workload.name)
    live = groups.get(set_path(made, workload))
    assert [
        path for path in differences(ours, live) if not any(one.covers(ours["kind"], path) for one in ALLOWED)
    ] == []


def test_a_lost_pod_takes_its_group_along(groups: ControlPlane, made: Tree, workload: Workload) -> None:
    before = {pod["metadata"]["uid"] for pod in pods(groups, made, workload).values()}
    groups.delete(f"/api/v1/namespaces/{made.plan.stack}/pods/{workload.name}-0-1")
    groups.until(
        "the whole group is new",
        lambda: (
            len(new := running(groups, made, workload)) == workload.nodes_per_replica
            and not before & {pod["metadata"]["uid"] for pod in new.values()}
        ),
    )


def test_a_new_version_replaces_the_group_on_its_own_nodes(
    groups: ControlPlane, made: Tree, workload: Workload
) -> None:
    """There is no spare group of nodes: the old one goes first."""
    newer = {"metadata": {"annotations": {"test/version": "2"}}}
    change = {"leaderWorkerTemplate": {"leaderTemplate": newer, "workerTemplate": newer}}
    groups.merge(set_path(made, workload), {"spec": change})
    groups.until(
        "the group has the new version",
        lambda: (
            len(new := running(groups, made, workload)) == workload.nodes_per_replica
            and all(pod["metadata"]["annotations"].get("test/version") == "2" for pod in new.values())
        ),
    )
