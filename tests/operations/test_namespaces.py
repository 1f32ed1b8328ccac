"""A namespace that is there before the stack: whose it is, and what lives in it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from agentgpu_iac.clusters.namespaces import standing
from agentgpu_iac.operations.cluster import read_snapshot
from agentgpu_iac.plan.nodes import STACK_LABEL
from tests.operations.scenes import POOL, FakeCluster, healthy, planned, pod, ref

NAMESPACE = ref("Namespace", "demo")
THEIRS = {"metadata": {"name": "api", "namespace": "demo", "labels": {"app": "api"}}, "status": {"phase": "Running"}}
ENDED = {"metadata": {"name": "job", "namespace": "demo", "labels": {}}, "status": {"phase": "Succeeded"}}


def cluster(labels: dict[str, str], *pods: Any, forbidden: frozenset[str] = frozenset()) -> FakeCluster:
    snapshot = healthy()
    body = {**snapshot.objects[NAMESPACE], "metadata": {"name": "demo", "labels": labels}}
    return FakeCluster(
        replace(snapshot, objects={**snapshot.objects, NAMESPACE: body}, pods=(pod(), *pods)), forbidden=forbidden
    )


def test_the_stacks_own_namespace_is_nothing_to_tell() -> None:
    assert standing(cluster({STACK_LABEL: "demo"}, THEIRS), "demo") is None


def test_a_namespace_that_is_not_there_is_nothing_to_tell() -> None:
    assert standing(cluster({}), "elsewhere") is None


@pytest.mark.parametrize("labels", [{}, {"team": "payments"}, {STACK_LABEL: "other"}])
def test_any_other_namespace_is_told_with_what_runs_in_it(labels: dict[str, str]) -> None:
    told = standing(cluster(labels, THEIRS, ENDED), "demo")
    assert told is not None
    assert "(1 of others: api)" in told
    assert "restricted Pod Security, denied traffic and quota" in told


def test_pods_that_may_not_be_read_do_not_hide_whose_the_namespace_is() -> None:
    told = standing(cluster({}, THEIRS, forbidden=frozenset({"Pod"})), "demo")
    assert told is not None
    assert "none of others was seen" in told


def test_a_snapshot_names_the_neighbours_only_where_the_namespace_is_not_the_stacks() -> None:
    def neighbours(labels: dict[str, str]) -> tuple[str, ...]:
        return read_snapshot(cluster(labels, THEIRS, ENDED), "demo", (POOL,), planned()).neighbours

    assert neighbours({}) == ("api",)
    assert neighbours({STACK_LABEL: "demo"}) == ()
