"""Argo CD's own engine applies a stack none of whose engines ever gets a node.

Its order of waves and its health checks are those of the released module, and custom resources are judged by the scripts
that Argo CD ships (tools/argocd). No operator runs here, so no ScaledObject and no NodePool ever becomes ready: that is
the worst case. One node without accelerators carries the router.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest
import yaml

from agentgpu_iac.rendering.sync_waves import ANNOTATION
from tests.e2e.cluster.control_plane import ControlPlane, Object
from tests.e2e.cluster.nodes import strangers
from tests.e2e.cluster.trees import Tree, tree_of_text
from tools.install import path as tool

SPEC = """\
apiVersion: agentgpu.dev/v1alpha1
kind: AgentStack
metadata: {{name: {name}}}
spec:
  gitops: {{tool: argocd, repository: "https://git.example.org/agents.git", path: stacks/waves}}
  agents:
    - name: chat
      model: Qwen/Qwen3-14B
      sessions: {{concurrent: 30, peak: 120}}
      traffic: {{burstFactor: 4, rampS: 900}}
"""
BEHIND = ("ScaledObject", "PrometheusRule", "PodMonitor", "NetworkPolicy", "Service")


@pytest.fixture(scope="module")
def running(equipped_cluster: ControlPlane) -> ControlPlane:
    equipped_cluster.create("/api/v1/nodes", strangers()[0])
    return equipped_cluster


def sync(cluster: ControlPlane, made: Tree, objects: Sequence[Object], folder: Path, limit: str) -> dict[str, str]:
    """One sync of these objects; answers the status of each, by kind and name."""
    for namespace in (made.plan.stack, *made.foreign_namespaces):
        cluster.add_namespace(namespace)
    file = folder / "objects.yaml"
    file.write_text(yaml.safe_dump_all(objects), encoding="utf-8")
    done = subprocess.run(
        [tool("argocd-sync"), file, made.plan.stack, limit],
        env={"KUBECONFIG": str(cluster.kubeconfig), "HOME": str(folder), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    (folder / "sync.log").write_text(done.stderr, encoding="utf-8")
    assert done.returncode == 0, done.stderr[-2000:]
    results = [json.loads(line) for line in done.stdout.splitlines()]
    return {f"{each['kind']}/{each['name']}": each["status"] for each in results}


def applied(made: Tree) -> list[Object]:
    """What the Application points at: everything but itself."""
    return [each for each in made.objects if each["kind"] != "Application"]


def there(cluster: ControlPlane, objects: Sequence[Object]) -> list[str]:
    """Those of the objects that the API server has."""
    return [f"{each['kind']}/{each['metadata']['name']}" for each in objects if cluster.exists(cluster.place(each))]


def test_an_agent_without_capacity_holds_back_nothing(running: ControlPlane, tmp_path: Path) -> None:
    made = tree_of_text(SPEC.format(name="waves"))
    objects = applied(made)
    assert {each["kind"] for each in objects} >= {*BEHIND, "NodePool", "Deployment", "DaemonSet"}
    sync(running, made, objects, tmp_path, "120s")
    found = there(running, objects)
    assert sorted(found) == sorted(f"{each['kind']}/{each['metadata']['name']}" for each in objects)
    router = running.get(f"/apis/apps/v1/namespaces/{made.plan.stack}/deployments/traffic-router")
    assert router["status"]["availableReplicas"] == router["spec"]["replicas"]
    engine = running.get(f"/apis/apps/v1/namespaces/{made.plan.stack}/deployments/chat")
    assert not engine["status"].get("availableReplicas")


def test_an_engine_in_an_early_wave_would_hold_back_everything_behind_it(running: ControlPlane, tmp_path: Path) -> None:
    made = tree_of_text(SPEC.format(name="waves-early"))
    objects = json.loads(json.dumps(applied(made)))
    for each in objects:
        if (each["kind"], each["metadata"]["name"]) == ("Deployment", "chat"):
            each["metadata"]["annotations"][ANNOTATION] = "2"
    sync(running, made, objects, tmp_path, "15s")
    found = there(running, objects)
    assert "Deployment/chat" in found
    assert not [each for each in found if each.startswith(("ScaledObject/", "PrometheusRule/", "Deployment/traffic"))]
