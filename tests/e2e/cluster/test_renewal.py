"""Nodes come, go and are renewed as the plan says: real Karpenter, a real scheduler, a real API server.

What AWS does when it takes a spot machine back stands outside: its part of Karpenter deletes the NodeClaim then, and so do
these tests. The nodes are played by KWOK, so no cache fills: the container that lifts the startup taint is run here, with
a token of the filler's pod.
"""

from __future__ import annotations

import datetime
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from agentgpu_iac.plan.nodes import FILLER_SERVICE_ACCOUNT, POOL_LABEL, STARTUP_TAINT
from agentgpu_iac.rendering.templates import template_folder
from tests.e2e.cluster.control_plane import ControlPlane, Object, Refused
from tests.e2e.cluster.test_karpenter import instance_types, kwok_class, swapped
from tests.e2e.cluster.trees import Tree, tree_of_text
from tests.e2e.cluster.workloads import at_rest, baseline, burst, condition, deployment, is_ready, pods_of, scale
from tests.e2e.ports import free_ports
from tools.install import path as tool

SPEC = """\
apiVersion: agentgpu.dev/v1alpha1
kind: AgentStack
metadata: {{name: renewal}}
spec:
  capacity: {{maintenanceWindow: {{start: "0 {hour} * * *", hours: 4}}}}
  agents:
    - name: chat
      model: Qwen/Qwen3-14B
      sessions: {{concurrent: 30, peak: 120}}
      conversation: {{thinkTimeS: 0}}
      traffic: {{burstFactor: 4, rampS: 1800}}
"""
ANNOTATION = "karpenter.sh/do-not-disrupt"
CLAIMS = "/apis/karpenter.sh/v1/nodeclaims"
QUIET_S = 25
"""Karpenter looks for drifted nodes every ten seconds."""


def window_from(hours: int) -> Tree:
    """The stack with a window of four hours that opens so many hours from now, in UTC."""
    at = datetime.datetime.now(datetime.UTC) + datetime.timedelta(hours=hours)
    return tree_of_text(SPEC.format(hour=at.hour))


@pytest.fixture(scope="module")
def made() -> Tree:
    """The stack while its window is closed."""
    return window_from(8)


@pytest.fixture(scope="module")
def running(equipped_cluster: ControlPlane, made: Tree) -> ControlPlane:
    cluster = equipped_cluster
    for namespace in made.foreign_namespaces:
        cluster.add_namespace(namespace)
    for body in made.objects:
        if body["kind"] == "NodePool":
            cluster.put(kwok_class(body))
            cluster.put(swapped(body))
        else:
            cluster.put(at_rest(made, body))
    machines = cluster.folder / "instance-types.json"
    machines.write_text(json.dumps(instance_types()), encoding="utf-8")
    metrics, health = free_ports(2)
    cluster.start(
        "karpenter",
        [tool("karpenter-kwok")],
        KUBECONFIG=str(cluster.kubeconfig),
        DISABLE_LEADER_ELECTION="true",
        METRICS_PORT=str(metrics),
        HEALTH_PROBE_PORT=str(health),
        INSTANCE_TYPES_FILE_PATH=str(machines),
        BATCH_IDLE_DURATION="1s",
        BATCH_MAX_DURATION="5s",
        SYSTEM_NAMESPACE="kube-system",
    )
    return cluster


def claims_of(cluster: ControlPlane, pool: str) -> list[Object]:
    return [each for each in cluster.items(CLAIMS) if each["metadata"]["labels"]["karpenter.sh/nodepool"] == pool]


def claim_of(cluster: ControlPlane, node: str) -> str:
    """The claim of a node. A pod may serve there before Karpenter has written which node came of its claim."""

    def found() -> str:
        for each in cluster.items(CLAIMS):
            if each.get("status", {}).get("nodeName") == node:
                return str(each["metadata"]["name"])
        return ""

    return str(cluster.until(f"{node} is the node of a claim", found))


def node_named(cluster: ControlPlane, name: str) -> Object:
    return cluster.get(f"/api/v1/nodes/{name}")


def taints(cluster: ControlPlane, name: str) -> list[str]:
    return [each["key"] for each in node_named(cluster, name)["spec"].get("taints", [])]


def filler_token(cluster: ControlPlane, made: Tree, node: str) -> str:
    """A token that is bound to the filler's pod on a node, as the kubelet asks for one."""
    namespace = made.plan.stack

    def filler() -> str:
        for pod in cluster.items(f"/api/v1/namespaces/{namespace}/pods?fieldSelector=spec.nodeName={node}"):
            if pod["spec"]["serviceAccountName"] == FILLER_SERVICE_ACCOUNT:
                return str(pod["metadata"]["name"])
        return ""

    pod = cluster.until(f"a filler is on {node}", filler)
    return cluster.kubectl(
        "create",
        "token",
        FILLER_SERVICE_ACCOUNT,
        f"--namespace={namespace}",
        "--bound-object-kind=Pod",
        f"--bound-object-name={pod}",
    ).strip()


def lift(cluster: ControlPlane, made: Tree, node: str, folder: Path) -> None:
    """Run what stands beside the filler, with its pod's token."""
    folder.mkdir(exist_ok=True)
    (folder / "token").write_text(filler_token(cluster, made, node), encoding="utf-8")
    (folder / "ca.crt").write_bytes((cluster.folder / "ca.crt").read_bytes())
    ready = folder / "filled"
    ready.touch()
    host, port = cluster.server.removeprefix("https://").split(":")
    script = template_folder() / "startup_taint.py"
    done = subprocess.run(
        [sys.executable, script, f"--ready={ready}", f"--key={STARTUP_TAINT}", f"--account={folder}", "--once"],
        env={**os.environ, "KUBERNETES_SERVICE_HOST": host, "KUBERNETES_SERVICE_PORT": port, "NODE_NAME": node},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def settled(running: ControlPlane, made: Tree, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """The baseline's one pod and its node, which counts once its taint is gone. Answers node and claim."""
    (workload,) = baseline(made)
    (pod,) = running.until(
        "the baseline is ready", lambda: [p for p in pods_of(running, made, workload) if is_ready(p)]
    )
    (claim,) = claims_of(running, workload.node_pool)
    node = pod["spec"]["nodeName"]
    name = claim["metadata"]["name"]

    def waits() -> bool:
        found = running.get(f"{CLAIMS}/{name}").get("status", {}).get("conditions", ())
        return any(each["type"] == "Initialized" and each.get("reason") == "StartupTaintsExist" for each in found)

    running.until("Karpenter waits for the startup taint", waits)
    assert STARTUP_TAINT in taints(running, node)
    lift(running, made, node, tmp_path_factory.mktemp("account"))
    assert STARTUP_TAINT not in taints(running, node)
    running.until("the node counts", lambda: condition(running.get(f"{CLAIMS}/{name}"), "Initialized") == "True")
    return node, name


def test_a_node_counts_once_the_filler_has_taken_its_taint_off(settled: tuple[str, str]) -> None:
    assert all(settled)


def as_filler(running: ControlPlane, token: str, *arguments: str) -> str:
    return running.kubectl(
        *arguments,
        f"--token={token}",
        f"--server={running.server}",
        f"--certificate-authority={running.folder / 'ca.crt'}",
        "--kubeconfig=/dev/null",
        check=False,
    )


REFUSED: tuple[tuple[str, Callable[[str, str], tuple[str, ...]]], ...] = (
    ("label", lambda node, _: ("label", "node", node, "a=b")),
    ("another node", lambda _, other: ("taint", "node", other, f"{STARTUP_TAINT}-")),
    ("another taint", lambda node, _: ("taint", "node", node, "nvidia.com/gpu-")),
    ("cordon", lambda node, _: ("cordon", node)),
    ("delete", lambda node, _: ("delete", "node", node)),
    ("pods", lambda *_: ("get", "pods", "-A")),
)


def test_the_fillers_account_can_do_nothing_else(running: ControlPlane, made: Tree, settled: tuple[str, str]) -> None:
    node, _ = settled
    token = filler_token(running, made, node)
    other = "somebody-elses"
    running.create(
        "/api/v1/nodes",
        {
            "metadata": {"name": other},
            "spec": {"taints": [{"key": STARTUP_TAINT, "value": "filling", "effect": "NoSchedule"}]},
        },
    )
    assert node in as_filler(running, token, "get", "node", node)
    for what, command in REFUSED:
        said = as_filler(running, token, *command(node, other))
        assert "forbidden" in said.lower(), (what, said)
    assert STARTUP_TAINT in taints(running, other)
    running.delete(f"/api/v1/nodes/{other}")


def going(running: ControlPlane, made: Tree, name: str) -> bool:
    """Whether a pod has been told to go, or is gone."""
    try:
        found = running.get(f"/api/v1/namespaces/{made.plan.stack}/pods/{name}")
    except Refused as refused:
        return refused.code == 404
    return "deletionTimestamp" in found["metadata"]


@pytest.fixture
def young(running: ControlPlane, made: Tree, settled: tuple[str, str]) -> Iterator[Callable[..., Object]]:
    """Makes a burst pod on spot that has only just started, with further annotations."""
    (workload,) = burst(made)
    path = deployment(made, workload)

    def make(annotations: dict[str, str] | None = None) -> Object:
        running.merge(
            path, {"spec": {"template": {"metadata": {"annotations": {ANNOTATION: None, **(annotations or {})}}}}}
        )
        scale(running, made, workload, 1)
        (pod,) = running.until("a burst pod runs", lambda: [p for p in pods_of(running, made, workload) if is_ready(p)])
        labels = node_named(running, pod["spec"]["nodeName"])["metadata"]["labels"]
        assert labels["karpenter.sh/capacity-type"] == "spot"
        assert labels["node.kubernetes.io/instance-type"] in made.plan.pool(workload.node_pool).instance_types
        return pod

    yield make
    end(running, made)


def end(running: ControlPlane, made: Tree) -> None:
    """Let the burst go, whether its nodes are still there or not."""
    (workload,) = burst(made)
    scale(running, made, workload, 0)
    running.until("the burst is over", lambda: not pods_of(running, made, workload))


def stands(running: ControlPlane, node: str) -> bool:
    """Whether a machine is there: its node is, and says that it is ready. Karpenter drains no node that does not say so."""
    try:
        return condition(node_named(running, node), "Ready") == "True"
    except Refused as refused:
        if refused.code == 404:
            return False
        raise


def interrupt(running: ControlPlane, pod: Object) -> None:
    """What Karpenter's part for AWS does with a spot interruption notice."""
    node = pod["spec"]["nodeName"]
    claim = claim_of(running, node)
    running.until(f"{node} is ready", lambda: stands(running, node))
    running.delete(f"{CLAIMS}/{claim}")


def test_a_young_pod_on_spot_drains_when_it_is_interrupted(
    running: ControlPlane, made: Tree, young: Callable[..., Object]
) -> None:
    pod = young()
    assert ANNOTATION not in pod["metadata"].get("annotations", {})
    interrupt(running, pod)
    running.until("the pod is told to go", lambda: going(running, made, pod["metadata"]["name"]))


def stays(running: ControlPlane, made: Tree, pod: Object) -> bool:
    """Whether a pod is left alone for as long as Karpenter drains its node. No, if the machine went meanwhile."""
    until_s = time.monotonic() + QUIET_S
    while time.monotonic() < until_s:
        told_to_go = going(running, made, pod["metadata"]["name"])
        if not stands(running, pod["spec"]["nodeName"]):
            return False
        assert not told_to_go, running.unrest()
        time.sleep(0.5)
    return True


def test_with_the_annotation_it_would_stay_until_the_machine_is_gone(
    running: ControlPlane, made: Tree, young: Callable[..., Object]
) -> None:
    """A node that misses its heartbeat, as on a busy machine, is taken for gone with its machine: then another one is tried."""
    for _ in range(3):
        pod = young({ANNOTATION: "10m"})
        assert ANNOTATION in pod["metadata"]["annotations"]
        interrupt(running, pod)
        if stays(running, made, pod):
            running.request("DELETE", f"/api/v1/namespaces/{made.plan.stack}/pods/{pod['metadata']['name']}")
            return
        end(running, made)
    raise AssertionError(f"no machine stood for {QUIET_S} s\n{running.unrest()}")


def test_a_rollout_of_the_only_replica_gets_a_node_and_leaves_no_gap(
    running: ControlPlane, made: Tree, settled: tuple[str, str]
) -> None:
    (workload,) = baseline(made)
    (old,) = pods_of(running, made, workload)
    change = {"spec": {"template": {"metadata": {"annotations": {"rolled": "out"}}}}}
    running.merge(deployment(made, workload), change)
    served: list[int] = []

    def over() -> list[Object]:
        pods = pods_of(running, made, workload)
        served.append(sum(is_ready(pod) for pod in pods))
        return (
            [pod for pod in pods if is_ready(pod)]
            if all(p["metadata"]["name"] != old["metadata"]["name"] for p in pods)
            else []
        )

    (new,) = running.until("the new replica serves alone", over)
    assert min(served) >= 1
    assert new["spec"]["nodeName"] != old["spec"]["nodeName"]


def test_nodes_are_renewed_inside_the_window_alone(
    running: ControlPlane, made: Tree, settled: tuple[str, str], tmp_path: Path
) -> None:
    (workload,) = baseline(made)
    pool = workload.node_pool

    def put(stack: Tree) -> None:
        body: dict[str, Any] = swapped(stack.named("NodePool", pool))
        body["spec"]["template"]["metadata"]["labels"]["drifted"] = "by-hand"
        running.put(body)

    put(made)  # closed
    (pod,) = [each for each in pods_of(running, made, workload) if is_ready(each)]  # young: the rollout made it
    assert ANNOTATION not in pod["metadata"].get("annotations", {})
    node = pod["spec"]["nodeName"]
    name = claim_of(running, node)
    if STARTUP_TAINT in taints(running, node):
        lift(running, made, node, tmp_path / "first")
    running.until("the node has drifted", lambda: condition(running.get(f"{CLAIMS}/{name}"), "Drifted") == "True")
    before = {each["metadata"]["name"] for each in claims_of(running, pool)}
    time.sleep(QUIET_S)
    assert {each["metadata"]["name"] for each in claims_of(running, pool)} <= before
    assert not going(running, made, pod["metadata"]["name"])

    put(window_from(-1))  # open for three hours more

    def replacement() -> str:
        for each in claims_of(running, pool):
            if each["metadata"]["name"] not in before and each.get("status", {}).get("nodeName"):
                return str(each["status"]["nodeName"])
        return ""

    fresh = running.until("a node comes in its place", replacement)
    time.sleep(QUIET_S / 5)
    assert not going(running, made, pod["metadata"]["name"]), "the old node drains before the new one counts"
    lift(running, made, fresh, tmp_path / "second")
    running.until("the old node drains", lambda: going(running, made, pod["metadata"]["name"]))
    assert node_named(running, fresh)["metadata"]["labels"][POOL_LABEL] == pool
