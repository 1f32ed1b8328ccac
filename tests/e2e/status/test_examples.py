"""Every stack of the cluster suite, applied and held against its plan: nothing that the server does is called a change."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.cluster.control_plane import ControlPlane
from tests.e2e.cluster.nodes import pool_node, strangers
from tests.e2e.cluster.trees import STACKS, tree
from tests.e2e.status.scenes import Scene

UNSERVED = ("HorizontalPodAutoscaler", "LeaderWorkerSet")
"""Nothing here serves metrics or makes the pods of these, and status says so."""


@pytest.fixture(scope="module", autouse=True)
def ordinary_nodes(equipped_cluster: ControlPlane) -> None:
    """Nodes for pods that need no accelerator."""
    for each in strangers(tree(name).plan for name in STACKS):
        equipped_cluster.create("/api/v1/nodes", each)


@pytest.mark.parametrize("name", STACKS)
def test_a_stack_that_was_just_applied_is_as_planned_and_comes_into_line(
    equipped_cluster: ControlPlane, tmp_path: Path, name: str
) -> None:
    scene = Scene(equipped_cluster, tmp_path, name, STACKS[name])
    for namespace in scene.other_namespaces():
        equipped_cluster.add_namespace(namespace)
    scene.apply()
    assert not [
        each for each in scene.data()["findings"] if each["kind"] in ("missing", "changed") and not each["reason"]
    ]
    assert not [each for each in scene.data()["findings"] if each["kind"] in ("orphan", "not-installed", "forbidden")]
    for pool in scene.plan.node_pools:
        for number in range(pool.max):
            equipped_cluster.create("/api/v1/nodes", pool_node(scene.plan, pool, number))
    scene.until_in_line(*UNSERVED)
