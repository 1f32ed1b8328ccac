"""The namespace's quota against the pods that are rendered: it holds all of them at the peak, and no more."""

from __future__ import annotations

from collections import Counter
from decimal import Decimal
from functools import cache
from typing import Any

import pytest

from agentgpu_iac.plan import Plan
from tests.planning.scenes import make_agent, only, plan
from tests.rendering.trees import of_kind, tree

UNITS = {"m": Decimal("0.001"), "Mi": Decimal(2**20), "Gi": Decimal(2**30)}


def amount(quantity: str) -> Decimal:
    for unit, factor in UNITS.items():
        if quantity.endswith(unit):
            return Decimal(quantity.removesuffix(unit)) * factor
    return Decimal(quantity)


def pods_at_most(found: Plan, body: dict[str, Any]) -> int:
    """Pods of one object at the peak, in the middle of a rollout, with one draining."""
    if body["kind"] == "DaemonSet":
        pool = body["spec"]["template"]["spec"]["nodeSelector"]["agentgpu.dev/node-pool"]
        return found.pool(pool).max + 1
    peaks = {
        workload.name: workload.replicas.max for workload in found.workloads
    }  # a scaler's to set, not the manifest's
    replicas = peaks.get(body["metadata"]["name"], body["spec"].get("replicas", 1))
    rolling = body["spec"].get("rolloutStrategy", {}).get("rollingUpdateConfiguration")
    surge = (rolling or body["spec"]["strategy"].get("rollingUpdate", {})).get("maxSurge", 0)
    size = body["spec"].get("leaderWorkerTemplate", {}).get("size", 1)
    return (int(replicas) + int(surge) + 1) * int(size)


def asked(found: Plan) -> dict[str, Decimal]:
    """What all pods together ask for, by the key of the quota."""
    sums: Counter[str] = Counter()
    total: dict[str, Decimal] = {}
    for body in tree(found).values():
        if body["kind"] not in ("Deployment", "DaemonSet", "StatefulSet", "LeaderWorkerSet", "Job"):
            continue
        count = pods_at_most(found, body)
        sums["pods"] += count
        template = body["spec"].get("leaderWorkerTemplate", {}).get("workerTemplate") or body["spec"]["template"]
        for container in template["spec"]["containers"]:
            for kind, resources in container["resources"].items():
                for resource, quantity in resources.items():
                    key = f"{kind}.{resource}"
                    total[key] = total.get(key, Decimal(0)) + count * amount(quantity)
    return {"pods": Decimal(sums["pods"]), **total}


STACKS: dict[str, tuple[list[dict[str, Any]], dict[str, Any]]] = {
    "one": ([make_agent()], {}),
    "burst": (
        [make_agent(traffic={"burstFactor": 20.0, "rampS": 3000.0}, conversation={"thinkTimeS": 0})],
        {"accelerators": only("small-40")},
    ),
    "several": (
        [
            make_agent("a"),
            make_agent("b", "test/tiny", latencyClass="background"),
            make_agent(
                "c", "test/big", sessions={"concurrent": 30}, overrides={"tensorParallelSize": 8}
            ),  # fills a machine
        ],
        {},
    ),
    "shared": ([make_agent("a", "test/tiny"), make_agent("b", "test/tiny")], {"accelerators": only("small-40")}),
}
"""Agents, and what else the spec says."""


@cache
def planned(stack: str) -> Plan:
    agents, spec = STACKS[stack]
    return plan(*agents, **spec)


@pytest.mark.parametrize("stack", STACKS)
def test_the_quota_is_the_sum_of_all_pods_at_the_peak(stack: str) -> None:
    found = planned(stack)
    (quota,) = of_kind(found, "ResourceQuota").values()
    hard = {key: amount(value) for key, value in quota["spec"]["hard"].items()}
    wanted = asked(found)
    assert hard == {key: wanted[key] for key in hard}
    assert set(hard) == {"pods", "requests.cpu", "requests.memory", "limits.memory", "requests.nvidia.com/gpu"}


def test_the_stacks_differ_in_what_counts() -> None:
    assert any(workload.tier == "burst" for workload in planned("burst").workloads)
    assert any(workload.share_group for workload in planned("shared").workloads)
    assert len(planned("several").node_pools) > 1


@pytest.mark.parametrize("stack", STACKS)
def test_every_container_asks_for_what_the_quota_limits(stack: str) -> None:
    """Else the API server refuses its pod."""
    for body in tree(planned(stack)).values():
        if body["kind"] in ("Deployment", "DaemonSet"):
            pod = body["spec"]["template"]["spec"]
            for container in (*pod["containers"], *pod.get("initContainers", [])):
                assert {"cpu", "memory"} <= set(container["resources"]["requests"])
                assert "memory" in container["resources"]["limits"]
