"""What is rendered of rollouts, windows, startup taints and annotations; and that no guard disables another."""

from __future__ import annotations

import functools
from typing import Any

import pytest
import yaml

from agentgpu_iac import plan as p
from agentgpu_iac.catalog.store import load_catalog
from agentgpu_iac.plan.nodes import STARTUP_TAINT
from agentgpu_iac.planning.planner import make_plan
from agentgpu_iac.provisioning.manifests import KARPENTER_OVERLAY, NODE_GROUPS_OVERLAY, read_manifests
from agentgpu_iac.spec.loader import load_text
from tests.rendered import rendered_once
from tests.rendering.trees import PLANS, tree

DO_NOT_DISRUPT = "karpenter.sh/do-not-disrupt"
SPEC = """\
apiVersion: agentgpu.dev/v1alpha1
kind: AgentStack
metadata: {name: edge}
spec:
  capacity: {maintenanceWindow: {start: "0 2 * * 1-5", hours: 4}}
  agents:
    - name: vllm
      model: Qwen/Qwen3-14B
      sessions: {concurrent: 30, peak: 120}
      traffic: {burstFactor: 4, rampS: 900}
      ttftMs: 5000
      tpotMs: 200
      overrides: {maxNumSeqs: 100}
    - name: digest
      model: Qwen/Qwen3-8B
      latencyClass: background
      interruptible: true
      sessions: {concurrent: 20}
"""


@functools.cache
def edge() -> p.Plan:
    return make_plan(load_text(SPEC, "spec.yaml"), load_catalog())


@functools.cache
def made() -> dict[str, Any]:
    return tree(edge())


def of_kind(kind: str) -> dict[str, dict[str, Any]]:
    found = (body for path, body in made().items() if not path.startswith("overlays/") and body.get("kind") == kind)
    return {body["metadata"]["name"]: body for body in found}


def pod_templates(bodies: dict[str, Any]) -> list[dict[str, Any]]:
    found = []
    for body in bodies.values():
        if body.get("kind") == "Deployment":
            found.append(body["spec"]["template"])
        if body.get("kind") == "LeaderWorkerSet":
            found += [body["spec"]["leaderWorkerTemplate"][name] for name in ("leaderTemplate", "workerTemplate")]
    return found


@pytest.mark.broad(every=4)
@pytest.mark.parametrize("name", [*PLANS, "edge"])
def test_no_pod_keeps_karpenter_from_draining_it_or_replacing_its_node(name: str) -> None:
    """On spot it would be cut off, and on demand a drift makes no node for a pod that it may not evict yet."""
    bodies = tree(edge() if name == "edge" else PLANS[name]())
    templates = pod_templates(bodies)
    assert templates or not any(body.get("kind") == "NodePool" for body in bodies.values())
    for template in templates:
        assert DO_NOT_DISRUPT not in template["metadata"].get("annotations", {})
    for body in bodies.values():
        if body.get("kind") == "NodePool" and not body["metadata"].get("namespace"):
            assert body["spec"]["disruption"]["consolidationPolicy"] == "WhenEmpty", "a loading replica is moved"


def test_limits_leave_room_for_the_node_that_a_rollout_brings() -> None:
    for pool in edge().karpenter_pools:
        wanted = sum(
            (workload.replicas.max + workload.rollout.max_surge) * workload.accelerators_per_replica
            for workload in edge().workloads
            if workload.node_pool == pool.name
        )
        assert int(of_kind("NodePool")[pool.name]["spec"]["limits"]["nvidia.com/gpu"]) >= wanted


def test_the_window_blocks_renewal_outside_and_nothing_expires() -> None:
    for body in of_kind("NodePool").values():
        budgets = body["spec"]["disruption"]["budgets"]
        closed = [each for each in budgets if each["nodes"] == "0"]
        assert {(each["schedule"], each["duration"]) for each in closed} == {
            ("0 6 * * 1,2,3,4", "20h"),
            ("0 6 * * 5", "68h"),
        }
        assert all(set(each["reasons"]) == {"Drifted", "Underutilized"} for each in closed)
        assert body["spec"]["template"]["spec"]["expireAfter"] == "Never"


def test_baseline_nodes_start_with_a_taint_that_the_filler_takes_off() -> None:
    pools, fillers = of_kind("NodePool"), of_kind("DaemonSet")
    for pool in edge().karpenter_pools:
        taints = pools[pool.name]["spec"]["template"]["spec"].get("startupTaints", [])
        containers = fillers[f"model-cache-{pool.name}"]["spec"]["template"]["spec"]["containers"]
        assert bool(taints) == (pool.tier == "baseline") == (len(containers) == 2)
        assert [each["key"] for each in taints] == ([STARTUP_TAINT] if taints else [])
    assert len(of_kind("ValidatingAdmissionPolicy")) == len(of_kind("ValidatingAdmissionPolicyBinding")) == 1
    for filler in fillers.values():
        for container in filler["spec"]["template"]["spec"]["containers"]:
            mounts = {each["name"] for each in container["volumeMounts"]}
            assert ("api-access" in mounts) == (container["name"] == "startup-taint")


def strategy(folder: str, name: str) -> dict[str, Any]:
    read = read_manifests(rendered_once(edge()), frozenset(), folder)
    (found,) = (each for each in (*read.applied, *read.waiting) if (each.kind, each.name) == ("Deployment", name))
    steps: dict[str, Any] = found.content["spec"]["strategy"]["rollingUpdate"]
    return steps


def test_where_node_groups_make_the_nodes_no_rollout_waits_for_one() -> None:
    assert strategy(KARPENTER_OVERLAY, "vllm") == {"maxSurge": 1, "maxUnavailable": 0}
    assert strategy(NODE_GROUPS_OVERLAY, "vllm") == {"maxSurge": 0, "maxUnavailable": 1}
    patches = yaml.safe_load(
        next(file.content for file in rendered_once(edge()) if file.path == f"{NODE_GROUPS_OVERLAY}/kustomization.yaml")
    )["patches"]
    assert {each["target"]["name"] for each in patches} == {"vllm", "vllm-burst"}
