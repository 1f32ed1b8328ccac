"""An ``up`` that was killed half-way is finished by the next one, and what it left goes with the stack."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tests.e2e.cluster.control_plane import ControlPlane
from tests.e2e.pulumi.cli import Project
from tests.e2e.pulumi.kubernetes.scenes import drift, expected, left, stack


def test_a_killed_up_is_finished_by_the_next(
    equipped_cluster: ControlPlane, project: Callable[[str], Project], tmp_path: Path
) -> None:
    spec = stack("killed")
    objects = expected(spec)
    pulumi = project(spec)
    process = pulumi.start("up", "--yes", "--skip-preview", log=tmp_path / "killed.log")
    namespace = "/api/v1/namespaces/killed"
    equipped_cluster.until("the first object is there", lambda: equipped_cluster.exists(namespace), pause_s=0.01)
    pulumi.kill(process)
    pulumi.cancel()
    pulumi.refresh("--clear-pending-creates")
    said = pulumi.up()
    assert "pending operations" not in said.text
    assert drift(equipped_cluster, objects) == []
    pulumi.up("--expect-no-changes")
    pulumi.destroy()
    assert pulumi.resources() == []
    equipped_cluster.until("nothing of ours is left", lambda: not left(equipped_cluster, objects))
