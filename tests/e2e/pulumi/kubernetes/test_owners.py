"""Each field belongs to who set it: what others set survives ``up``, and what is ours is not fought over silently."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.e2e.cluster.control_plane import ControlPlane, Object
from tests.e2e.pulumi.cli import Project
from tests.e2e.pulumi.kubernetes.scenes import stack

Made = Callable[[str], Project]


@pytest.mark.parametrize(("method", "at_first"), [("none", 0), ("keda", 1)])
def test_replicas_that_someone_else_sets_survive_up(
    equipped_cluster: ControlPlane, project: Made, method: str, at_first: int
) -> None:
    name = f"scaled-{method}"
    burst = f"/apis/apps/v1/namespaces/{name}/deployments/support-burst"
    pulumi = project(stack(name, method=method))
    pulumi.up()
    created = equipped_cluster.get(burst)
    assert created["spec"]["replicas"] == at_first

    equipped_cluster.merge(f"{burst}/scale", {"spec": {"replicas": 3}})
    pulumi.refresh()
    pulumi.write_spec(stack(name, method=method, concurrent=200))
    pulumi.up()
    changed = equipped_cluster.get(burst)
    assert arguments(changed) != arguments(created)
    assert changed["spec"]["replicas"] == 3
    pulumi.up("--expect-no-changes")
    assert equipped_cluster.get(burst)["spec"]["replicas"] == 3


def test_a_field_of_ours_that_someone_else_changed_is_not_overwritten_in_silence(
    equipped_cluster: ControlPlane, project: Made
) -> None:
    pulumi = project(stack("taken"))
    pulumi.up()
    support = "/apis/apps/v1/namespaces/taken/deployments/support"
    equipped_cluster.merge(support, {"spec": {"template": {"spec": {"priorityClassName": "system-node-critical"}}}})
    said = pulumi.refresh("--diff").text
    assert 'priorityClassName: "taken-user-facing" => "system-node-critical"' in said
    said = pulumi.run("preview", expect=1).text
    assert 'conflict with "Python-urllib" using apps/v1: .spec.template.spec.priorityClassName' in said


def arguments(deployment: Object) -> list[str]:
    """What the engine is started with."""
    found: list[str] = deployment["spec"]["template"]["spec"]["containers"][0]["args"]
    return found
