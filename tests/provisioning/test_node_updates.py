"""Node updates: what EKS adds beside the old nodes, and which image release a group is told."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from agentgpu_iac.errors import BadInput
from agentgpu_iac.plan import NodePool
from agentgpu_iac.provisioning.aws.cluster_settings import ClusterSettings
from agentgpu_iac.provisioning.aws.node_updates import extra_nodes, moved_on, release_to_send, what_updates_cost
from agentgpu_iac.provisioning.aws.program import deploy
from tests.plans import make_plan, make_pool
from tests.provisioning.recording import Recording, record
from tests.provisioning.scenes import FILES, SETTINGS

NODE_GROUP = "aws:eks/nodeGroup:NodeGroup"
POOL = "demo-baseline-g6e-xlarge"
PINNED, LATER = "1.34.2-20260101", "1.34.4-20260301"


def deployed(pool: NodePool, *, last: dict[str, str] | None = None, generation: int = 1) -> Recording:
    settings = replace(SETTINGS, cluster=ClusterSettings(node_group_generations={pool.name: generation}))
    outputs = {} if last is None else {"nodeReleases": last}
    return record(lambda: deploy(make_plan(node_pools=(pool,)), FILES, settings), last_outputs=outputs)


def test_old_nodes_go_first_unless_the_plan_says_otherwise() -> None:
    for updates, strategy in (("minimal", "MINIMAL"), ("surge", "DEFAULT")):
        group = deployed(make_pool(node_updates=updates)).one(NODE_GROUP, POOL).inputs
        assert group["updateConfig"] == {"maxUnavailable": 1, "updateStrategy": strategy}


@pytest.mark.parametrize(
    ("pool", "zones", "more"),
    [
        ({"node_updates": "minimal"}, 3, 0),
        ({"node_updates": "surge"}, 3, 6),
        ({"node_updates": "surge", "nodes_per_replica": 4}, 1, 4),
        ({"node_updates": "surge", "nodes_per_replica": 2}, 5, 10),
    ],
)
def test_a_surge_is_twice_the_zones_or_the_nodes_of_a_replica(pool: dict[str, Any], zones: int, more: int) -> None:
    assert extra_nodes(make_pool(**pool), zones) == more


def test_a_surge_is_told_with_its_price() -> None:
    told = what_updates_cost(make_pool(node_updates="surge"), 2)
    assert told is not None
    assert "up to 4 more of them, two in each of 2 zones, for USD 7.44 an hour" in told
    assert what_updates_cost(make_pool(), 2) is None


@pytest.mark.parametrize(
    ("last", "sent"),
    [
        (None, PINNED),
        (PINNED, PINNED),
        (LATER, LATER),
        ("1.34.1-20251201", PINNED),
        ("1.33.9-20260301", PINNED),
        ("", PINNED),
    ],
    ids=["first", "same", "moved on", "older", "another version", "unknown"],
)
def test_what_a_group_runs_is_sent_where_it_is_newer_than_the_pin(last: str | None, sent: str) -> None:
    assert release_to_send(PINNED, last) == sent
    assert (moved_on("g", PINNED, last) is None) == (sent == PINNED)


def test_a_group_that_moved_on_is_not_told_to_go_back() -> None:
    pool = make_pool(ami_alias="al2023@v20260101")
    assert deployed(pool).one(NODE_GROUP, POOL).inputs["releaseVersion"] == PINNED
    moved = deployed(pool, last={POOL: LATER}).one(NODE_GROUP, POOL)
    assert moved.inputs["releaseVersion"] == LATER


def test_a_new_generation_is_a_new_group_at_the_pinned_release() -> None:
    pool = make_pool(ami_alias="al2023@v20260101")
    group = deployed(pool, last={POOL: LATER}, generation=2).one(NODE_GROUP, f"{POOL}-g2")
    assert group.inputs["releaseVersion"] == PINNED


def test_the_sentence_says_how_to_go_on() -> None:
    told = moved_on("pool", PINNED, LATER)
    assert told is not None
    assert "Pin al2023@v20260301" in told
    assert "pulumi config set --path 'agentgpu:nodeGroupGenerations.POOL' 2" in told


@pytest.mark.parametrize(("name", "generation"), [("other", 2), (POOL, 0), (POOL, "two"), (POOL, True)])
def test_generations_of_no_pool_or_no_number_are_refused(name: str, generation: Any) -> None:
    settings = replace(SETTINGS, cluster=ClusterSettings(node_group_generations={name: generation}))
    with pytest.raises(BadInput, match=f"agentgpu:nodeGroupGenerations.{name}"):
        record(lambda: deploy(make_plan(), FILES, settings))
