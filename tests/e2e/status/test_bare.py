"""``agentgpu status`` beside a cluster without operators, and beside one that is gone."""

from __future__ import annotations

from pathlib import Path

from tests.e2e.cluster.control_plane import ControlPlane
from tests.e2e.status.scenes import Scene


def test_kinds_without_their_operator_are_told_as_such(cluster: ControlPlane, tmp_path: Path) -> None:
    scene = Scene(cluster, tmp_path, "plain")
    answer = scene.status("--overlay", "karpenter", "--format", "json")
    assert answer.code == 1
    found = {each["object"]: each["hint"] for each in answer.data["findings"] if each["kind"] == "not-installed"}
    assert "install Karpenter, or use --overlay node-groups" in found["NodePool (karpenter.sh/v1)"]


def test_a_namespace_of_somebody_else_is_told_before_the_first_apply(cluster: ControlPlane, tmp_path: Path) -> None:
    cluster.add_namespace("theirs")
    body = {
        "metadata": {"name": "api", "labels": {"app": "api"}},
        "spec": {"containers": [{"name": "api", "image": "example.com/api:1"}]},
    }
    cluster.create("/api/v1/namespaces/theirs/pods", body)
    scene = Scene(cluster, tmp_path, "theirs")
    answer = scene.status("--overlay", "node-groups", "--format", "json")
    assert answer.code == 1
    found = answer.data["findings"][0]
    assert (found["kind"], found["object"]) == ("foreign", "Namespace theirs")
    assert "(1 of others: api)" in found["message"]
    cluster.kubectl("label", "namespace", "theirs", "agentgpu.dev/stack=theirs")
    again = scene.status("--overlay", "node-groups", "--format", "json")
    assert not [each for each in again.data["findings"] if each["kind"] == "foreign"]


def test_a_control_plane_that_is_gone_is_told_in_one_line(cluster: ControlPlane, tmp_path: Path) -> None:
    """The last of this file, since it ends the control plane."""
    scene = Scene(cluster, tmp_path, "gone")
    assert scene.status().code == 1
    cluster.stop()
    answer = scene.status()
    assert (answer.code, answer.out) == (3, "")
    assert answer.err.count("\n") == 1
    assert f"{cluster.server} does not answer" in answer.err
