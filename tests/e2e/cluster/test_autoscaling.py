"""Bursts under the real controller of HorizontalPodAutoscalers: what the plan's queries answer becomes replicas."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from agentgpu_iac.catalog.store import load_catalog
from agentgpu_iac.planning.planner import make_plan
from agentgpu_iac.rendering.render import render
from agentgpu_iac.spec.loader import load_text
from tests.e2e.cluster.control_plane import ControlPlane
from tests.e2e.cluster.metrics_front import metrics_front
from tests.e2e.ports import free_ports
from tools.install import path as tool

CONTROLLER = "horizontal-pod-autoscaler-controller"
STACK = """
apiVersion: agentgpu.dev/v1alpha1
kind: AgentStack
metadata: {name: peaks}
spec:
  target: eks
  scaling: {method: hpa}
  capacity: {fastBurst: turn-away}
  agents:
    - name: support
      model: Qwen/Qwen3-14B
      sessions: {concurrent: 100}
      traffic: {burstFactor: 6, rampS: 3600}
"""


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """A control plane whose autoscaling controller is started by the test, before the metrics."""
    with ControlPlane(tmp_path_factory.mktemp("control-plane"), without=CONTROLLER) as running:
        yield running


def test_a_sixfold_burst_is_asked_for_at_once_and_stays_for_a_conversation(
    cluster: ControlPlane, tmp_path: Path
) -> None:
    """The whole tier at the first evaluation, not the step after the last cold start; and none goes when load drops."""
    plan = make_plan(load_text(STACK, "peaks.yaml"), load_catalog())
    (burst,) = [each for each in plan.workloads if each.scaling is not None]
    scaling = burst.scaling
    assert scaling is not None
    assert burst.replicas.max > 3
    bodies = [yaml.safe_load(file.content) for file in render(plan)]
    (autoscaler,) = [body for body in bodies if body["kind"] == "HorizontalPodAutoscaler"]
    cluster.add_namespace("peaks")
    labels = {"app": burst.name}
    pod = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "engine", "image": "none/none:1"}]}}
    deployment = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": burst.name, "namespace": "peaks"},
        "spec": {"replicas": 1, "selector": {"matchLabels": labels}, "template": pod},
    }
    cluster.put(deployment)
    values = {metric["external"]["metric"]["name"]: 0.0 for metric in autoscaler["spec"]["metrics"]}

    def replicas() -> int:
        return int(cluster.get(cluster.place(deployment))["spec"]["replicas"])

    with metrics_front(cluster.server, cluster.folder / "ca.crt", values) as address:
        config = json.loads(cluster.kubeconfig.read_text(encoding="utf-8"))
        config["clusters"][0]["cluster"] = {"server": address}
        kubeconfig = tmp_path / "kubeconfig"
        kubeconfig.write_text(json.dumps(config), encoding="utf-8")
        cluster.start(
            "autoscaling",
            (
                *(tool("kube-controller-manager"), f"--kubeconfig={kubeconfig}", "--leader-elect=false"),
                *("--bind-address=127.0.0.1", f"--secure-port={free_ports(1)[0]}"),
                f"--controllers={CONTROLLER}",
                "--horizontal-pod-autoscaler-sync-period=2s",
            ),
        )
        seats = scaling.seats_per_replica * scaling.utilization_ratio
        needed = burst.sessions_peak - scaling.baseline_replicas * seats
        values["agentgpu_burst_requests"] = needed
        cluster.put(autoscaler)
        found = cluster.until("the controller asks for more", lambda: count if (count := replicas()) > 1 else 0)
        assert found == burst.replicas.max
        values["agentgpu_burst_requests"] = 0.0
        time.sleep(7)
        assert replicas() == burst.replicas.max
