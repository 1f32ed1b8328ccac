from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from agentgpu_iac import plan as p
from agentgpu_iac.operations.findings import Finding
from agentgpu_iac.operations.report import report
from agentgpu_iac.operations.snapshot import Snapshot
from tests.operations.scenes import (
    DEPLOYMENT,
    FILLER,
    NOW,
    POD,
    POOL,
    down,
    healthy,
    judged,
    merged,
    node,
    planned,
    pod,
    ref,
    tiered,
    unplaced,
    unready,
    waiting,
    with_object,
)
from tests.plans import make_plan

GPU_SHORT = (
    "0/2 nodes are available: 1 Insufficient nvidia.com/gpu, 1 node(s) didn't match Pod's node affinity/selector."
)
NO_MATCH = "0/3 nodes are available: 3 node(s) didn't match Pod's node affinity/selector. preemption: not helpful."


INSTEAD = (
    "; planned anew with accelerators.deny: [l40s] it would be (support: 1 x 1 H100 on p5.4xlarge, +1,200 USD a month)"
)


def with_alternatives() -> p.Plan:
    """A plan that knows a dearer machine for its agent, and one for another agent."""

    def other(agent: str, accelerator: str, machine: str) -> p.Alternative:
        return p.Alternative(
            agent=agent,
            description=f"1 x 1 {accelerator.upper()} on {machine}",
            accelerator=accelerator,
            instance_type=machine,
            replicas=1,
            usd_per_month=Decimal(3000),
            delta_usd_per_month=Decimal(1200),
            note="dearer",
        )

    plan = make_plan()
    others = (other("support", "l40s", "g6e.2xlarge"), other("support", "h100", "p5.4xlarge"), other("x", "l4", "g6"))
    return plan.model_copy(update={"cost": plan.cost.model_copy(update={"alternatives": others})})


def only(snapshot: Snapshot, overlay: str = "node-groups", plan: p.Plan | None = None) -> Finding:
    """The one finding about the Deployment. A plan of the test's own renders what the scenes' plan does."""
    findings = report(plan or make_plan(), planned(overlay=overlay), snapshot, NOW).findings
    [found] = [each for each in findings if each.object == "Deployment demo/support"]
    return found


def claim(reason: str, message: str) -> dict[str, Any]:
    told = {"type": "Launched", "status": "Unknown", "reason": reason, "message": message}
    return {
        "metadata": {"name": "claim-1", "labels": {"karpenter.sh/nodepool": POOL}},
        "status": {"conditions": [told]},
    }


def event(reason: str, message: str, name: str = POD, component: str = "kubelet") -> dict[str, Any]:
    return {
        "metadata": {"name": f"{name}.{reason}"},
        "reason": reason,
        "message": message,
        "involvedObject": {"name": name},
        "source": {"component": component},
    }


def test_no_node_in_the_pool_is_capacity_and_says_which_node_to_add() -> None:
    found = only(down(unplaced(NO_MATCH), nodes=()))
    assert (found.kind, found.reason, found.pods) == ("pending", "capacity", (POD,))
    assert f"pool {POOL} has no node" in found.message
    assert "add g6e.xlarge nodes with the label agentgpu.dev/node-pool" in found.hint
    assert found.detail == NO_MATCH


def test_nodes_whose_accelerators_are_taken_are_capacity() -> None:
    found = only(down(unplaced(GPU_SHORT), nodes=(node(),)))
    assert found.reason == "capacity"
    assert f"the 1 node of pool {POOL}: no nvidia.com/gpu (1 asked for) left" in found.message


def test_nodes_that_offer_no_accelerator_point_to_the_device_plugin() -> None:
    bare = node(status={"allocatable": {"nvidia.com/gpu": "0"}})
    found = only(down(unplaced(GPU_SHORT), nodes=(bare,)))
    assert "offers nvidia.com/gpu" in found.message
    assert "device plugin" in found.hint


def test_with_karpenter_a_missing_node_is_being_made_or_says_why_not() -> None:
    base = replace(healthy(overlay="karpenter"), nodes=())
    base = with_object(base, DEPLOYMENT, status={"readyReplicas": 0})
    pending = replace(base, pods=(unplaced(NO_MATCH),))
    assert "Karpenter should make one" in only(pending, "karpenter").hint
    making = {"metadata": {"name": "claim-1", "labels": {"karpenter.sh/nodepool": POOL}}}
    assert "Karpenter is making claim-1" in only(replace(pending, node_claims=(making,)), "karpenter").message
    none_left = claim("LaunchFailed", "InsufficientInstanceCapacity: all requested instance types were unavailable")
    found = only(replace(pending, node_claims=(none_left,)), "karpenter")
    assert (found.reason, "none to give" in found.message) == ("capacity", True)


def test_a_quota_of_the_provider_is_quota_and_not_capacity() -> None:
    base = with_object(replace(healthy(overlay="karpenter"), nodes=()), DEPLOYMENT, status={"readyReplicas": 0})
    limited = claim("LaunchFailed", "VcpuLimitExceeded: You have requested more vCPU capacity than your limit of 8")
    found = only(replace(base, pods=(unplaced(NO_MATCH),), node_claims=(limited,)), "karpenter")
    assert found.reason == "quota"
    assert "higher quota in us-east-1" in found.hint


def test_what_the_provider_has_none_of_is_told_with_the_plan_s_alternatives() -> None:
    """Of the Cluster Autoscaler as of Karpenter: both leave a pod without a node."""
    vain = "pod didn't trigger scale-up: 1 in backoff after failed scale-up"
    told = event("NotTriggerScaleUp", vain, component="cluster-autoscaler")
    snapshot = replace(down(unplaced(NO_MATCH), nodes=()), events=(told,))
    plan = with_alternatives()
    found = only(snapshot, plan=plan)
    assert (found.reason, found.detail) == ("capacity", vain)
    assert "the provider did not start one" in found.message
    base = with_object(replace(healthy(overlay="karpenter"), nodes=()), DEPLOYMENT, status={"readyReplicas": 0})
    none_left = claim("LaunchFailed", "InsufficientInstanceCapacity: all requested instance types were unavailable")
    karpenter = replace(base, pods=(unplaced(NO_MATCH),), node_claims=(none_left,))
    for hint in (found.hint, only(karpenter, "karpenter", plan).hint):
        assert hint.endswith(INSTEAD)


def test_a_node_pool_at_its_limit_is_told() -> None:
    base = with_object(replace(healthy(overlay="karpenter"), nodes=()), DEPLOYMENT, status={"readyReplicas": 0})
    node_pool = ref("NodePool", POOL, overlay="karpenter")
    full = with_object(base, node_pool, status={"resources": {"nvidia.com/gpu": "1"}})
    found = only(replace(full, pods=(unplaced(NO_MATCH),)), "karpenter")
    assert "is at its limit (nvidia.com/gpu 1 of 1)" in found.message


def test_what_karpenter_says_of_a_pod_counts() -> None:
    base = with_object(replace(healthy(overlay="karpenter"), nodes=()), DEPLOYMENT, status={"readyReplicas": 0})
    told = event("FailedScheduling", "all available instance types exceed limits for nodepool", component="karpenter")
    found = only(replace(base, pods=(unplaced(NO_MATCH),), events=(told,)), "karpenter")
    assert "at its limit" in found.message


def test_a_taint_that_the_pod_does_not_tolerate_is_named() -> None:
    taints = [*node()["spec"]["taints"], {"key": "team", "value": "x", "effect": "NoSchedule"}]
    words = "0/1 nodes are available: 1 node(s) had untolerated taint(s)."
    found = only(down(unplaced(words), nodes=(node(spec={"taints": taints}),)))
    assert found.reason == "taint"
    assert "node node-1: taint team=x:NoSchedule, which the pod does not tolerate" in found.message


def test_a_preference_keeps_no_pod_off() -> None:
    taints = [{"key": "team", "value": "x", "effect": "PreferNoSchedule"}]
    assert only(down(unplaced(GPU_SHORT), nodes=(node(spec={"taints": taints}),))).reason == "capacity"


@pytest.mark.parametrize(
    ("key", "reason"),
    [("node.kubernetes.io/unschedulable", "cordoned"), ("node.kubernetes.io/not-ready", "node-not-ready")],
)
def test_taints_of_kubernetes_itself_are_told_by_what_they_mean(key: str, reason: str) -> None:
    tainted = node(spec={"taints": [{"key": key, "effect": "NoSchedule"}]})
    words = f"0/1 nodes are available: 1 node(s) had untolerated taint {{{key}: }}."
    assert only(down(unplaced(words), nodes=(tainted,))).reason == reason


def test_one_tainted_node_of_two_is_not_the_reason() -> None:
    tainted = node("node-2", spec={"taints": [{"key": "team", "effect": "NoSchedule"}]})
    assert only(down(unplaced(GPU_SHORT), nodes=(node(), tainted))).reason == "capacity"


@pytest.mark.parametrize(
    "words",
    [
        "0/1 nodes are available: pod has unbound immediate PersistentVolumeClaims.",
        '0/1 nodes are available: persistentvolumeclaim "model-cache" not found.',
        "0/1 nodes are available: 1 node(s) had volume node affinity conflict.",
        "0/1 nodes are available: 1 node(s) didn't find available persistent volumes to bind.",
    ],
)
def test_a_volume_that_is_not_bound_is_told(words: str) -> None:
    assert only(down(unplaced(words), nodes=(node(),))).reason == "volume"


def test_a_pod_with_another_selector_is_told_as_selector() -> None:
    elsewhere = unplaced(NO_MATCH)
    elsewhere["spec"]["nodeSelector"] = {"zone": "moon"}
    assert only(down(elsewhere, nodes=(node(),))).reason == "selector"


def test_a_pod_of_no_pool_needs_an_ordinary_node() -> None:
    router = unplaced("0/3 nodes are available: 3 node(s) had untolerated taint(s).")
    router["spec"]["nodeSelector"] = {}
    found = only(down(router, nodes=(node(),)))
    assert (found.reason, "ordinary node" in found.hint) == ("taint", True)


def test_a_quota_of_the_namespace_is_told_with_its_numbers() -> None:
    words = (
        'pods "support-1" is forbidden: exceeded quota: demo, requested: requests.nvidia.com/gpu=1, '
        "used: requests.nvidia.com/gpu=4, limited: requests.nvidia.com/gpu=4"
    )
    failure = {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": words}
    found = only(with_object(down(), DEPLOYMENT, status={"conditions": [failure]}))
    assert (found.kind, found.reason) == ("pending", "quota")
    assert "ResourceQuota demo has requests.nvidia.com/gpu=4 and requests.nvidia.com/gpu=4 is used" in found.message


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ('violates PodSecurity "restricted:latest": runAsNonRoot', "pod-security"),
        ('admission webhook "policy.example" denied the request', "admission"),
        ("something else", "not-created"),
    ],
)
def test_other_refusals_of_a_pod_are_told_by_what_refused_it(words: str, reason: str) -> None:
    failure = {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": words}
    assert only(with_object(down(), DEPLOYMENT, status={"conditions": [failure]})).reason == reason


def test_a_filler_that_could_not_be_made_is_told_from_its_event() -> None:
    words = "exceeded quota: demo, requested: pods=1, used: pods=4, limited: pods=4"
    status = {"currentNumberScheduled": 0, "numberReady": 0}
    snapshot = with_object(healthy(), FILLER, status=status)
    snapshot = replace(snapshot, events=(event("FailedCreate", words, FILLER.name, "daemonset-controller"),))
    [found] = judged(snapshot).findings
    assert (found.object, found.reason) == (str(FILLER), "quota")


def test_nodes_that_may_not_be_read_leave_the_schedulers_words() -> None:
    found = only(replace(down(unplaced(NO_MATCH)), nodes=(), unread=("nodes",)))
    assert found.reason == "selector"
    assert found.detail == NO_MATCH


@pytest.mark.parametrize("why", ("ImagePullBackOff", "ErrImagePull"))
def test_an_image_that_cannot_be_pulled_is_named(why: str) -> None:
    found = only(down(waiting(why, "manifest unknown", image="vllm/vllm-openai:v9"), nodes=(node(),)))
    assert (found.kind, found.reason, found.detail) == ("pending", "image", "manifest unknown")
    assert "vllm/vllm-openai:v9" in found.message


def test_a_missing_secret_is_told_in_the_kubelets_words() -> None:
    found = only(down(waiting("CreateContainerConfigError", 'secret "token" not found'), nodes=(node(),)))
    assert (found.reason, found.detail) == ("config", 'secret "token" not found')


def test_a_crash_loop_has_its_exit_code_restarts_and_last_words() -> None:
    ended = {"terminated": {"exitCode": 139, "reason": "Error", "message": "Segmentation fault\n"}}
    found = only(down(waiting("CrashLoopBackOff", restartCount=7, lastState=ended), nodes=(node(),)))
    assert (found.kind, found.reason, found.detail) == ("unhealthy", "crash-loop", "Segmentation fault")
    assert "exit code 139 (Error), 7 restarts" in found.message
    assert "logs --previous --container engine" in found.hint


def test_a_pod_that_was_out_of_memory_is_told_as_that() -> None:
    ended = {"terminated": {"exitCode": 137, "reason": "OOMKilled"}}
    found = only(down(waiting("CrashLoopBackOff", restartCount=1, lastState=ended), nodes=(node(),)))
    assert found.reason == "out-of-memory"
    assert "1 restart" in found.message


def test_a_restart_long_ago_of_an_engine_that_serves_is_no_news() -> None:
    engine = pod()["status"]["containerStatuses"][0]
    ended = {"terminated": {"exitCode": 1, "reason": "Error"}}
    restarted = pod(status={"containerStatuses": [{**engine, "restartCount": 1, "lastState": ended}]})
    assert judged(replace(healthy(), pods=(restarted,))).in_line


def test_an_engine_that_waits_for_its_model_is_told_as_weights() -> None:
    filling = unready(initContainerStatuses=[{"name": "wait-for-model", "state": {"running": {}}}])
    found = only(down(filling, nodes=(node(),)))
    assert (found.kind, found.reason) == ("pending", "weights")
    assert "the model is not in the cache of node node-1" in found.message


def test_an_engine_that_loads_is_pending_and_one_that_fails_its_probe_is_unhealthy() -> None:
    engine = {**pod()["status"]["containerStatuses"][0], "ready": False}
    loading = unready(containerStatuses=[{**engine, "started": False}])
    assert (only(down(loading, nodes=(node(),))).kind, only(down(loading, nodes=(node(),))).reason) == (
        "pending",
        "loading",
    )
    failing = unready(containerStatuses=[engine])
    told = event("Unhealthy", "Readiness probe failed: HTTP probe failed with statuscode: 503")
    found = only(down(failing, nodes=(node(),), events=(told,)))
    assert (found.kind, found.reason) == ("unhealthy", "probe")
    assert found.detail == told["message"]


def test_a_volume_that_cannot_be_mounted_is_told_and_not_called_an_image() -> None:
    creating = waiting("ContainerCreating")
    assert only(down(creating, nodes=(node(),))).reason == "image-pull"
    told = event("FailedMount", 'MountVolume.SetUp failed: path "/mnt/k8s-disks/0" does not exist')
    assert only(down(creating, nodes=(node(),), events=(told,))).reason == "volume"


def test_pods_with_one_reason_are_one_finding() -> None:
    other = merged(unplaced(NO_MATCH), {"metadata": {"name": "support-2"}})
    found = only(down(unplaced(NO_MATCH), other))
    assert found.pods == tuple(sorted((POD, "support-2")))


def test_pods_that_are_on_their_way_out_are_not_blamed() -> None:
    leaving = merged(unplaced(NO_MATCH), {"metadata": {"name": "old", "deletionTimestamp": "2026-11-24T11:00:00Z"}})
    assert "old" not in only(down(leaving, unplaced(NO_MATCH))).pods


def test_pods_that_a_node_refused_are_told() -> None:
    refused = pod(status={"phase": "Failed", "reason": "UnexpectedAdmissionError", "message": "no devices"})
    found = only(down(refused, nodes=(node(),)))
    assert (found.kind, found.reason, found.detail) == ("unhealthy", "failed", "no devices")


def test_no_pod_and_no_reason_points_to_the_controller() -> None:
    assert only(down()).reason == "no-pods"


def test_a_version_that_its_controller_has_not_seen_is_not_called_ready() -> None:
    assert only(with_object(healthy(), DEPLOYMENT, metadata={"generation": 3})).reason == "not-observed"


def test_a_rollout_that_hangs_says_how_far_it_is() -> None:
    stuck = {"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded", "message": "timed out"}
    found = only(with_object(healthy(), DEPLOYMENT, status={"updatedReplicas": 0, "conditions": [stuck]}))
    assert (found.reason, found.detail) == ("rollout", "timed out")


def test_a_claim_that_is_not_bound_is_told() -> None:
    claim_ref = ref("PersistentVolumeClaim", f"model-cache-{POOL}")
    [found] = judged(with_object(healthy(), claim_ref, status={"phase": "Pending"})).findings
    assert (found.object, found.reason) == (str(claim_ref), "volume")


def test_what_an_operator_could_not_do_is_told_in_its_words() -> None:
    node_class = ref("EC2NodeClass", POOL, overlay="karpenter")
    told = {"type": "Ready", "status": "False", "reason": "SubnetsNotReady", "message": "no subnets match"}
    snapshot = with_object(healthy(overlay="karpenter"), node_class, status={"conditions": [told]})
    [found] = judged(snapshot, overlay="karpenter").findings
    assert (found.object, found.kind, found.detail) == (str(node_class), "unhealthy", "no subnets match")


def test_a_pool_with_too_few_nodes_is_missing_nodes_unless_karpenter_makes_them() -> None:
    snapshot = replace(healthy(), nodes=())
    [found] = judged(snapshot).findings
    assert (found.kind, found.object, found.message) == ("missing", f"Node pool {POOL}", "0 of 1 node")
    assert judged(replace(healthy(overlay="karpenter"), nodes=()), overlay="karpenter").in_line


def test_a_node_that_is_not_ready_or_offers_too_little_is_told() -> None:
    sick = node(status={"conditions": [{"type": "Ready", "status": "Unknown", "message": "Kubelet stopped posting"}]})
    [found] = judged(replace(healthy(), nodes=(sick,))).findings
    assert (found.object, found.detail) == ("Node node-1", "Kubelet stopped posting")
    bare = node(status={"allocatable": {"nvidia.com/gpu": "0"}})
    [found] = judged(replace(healthy(), nodes=(bare,))).findings
    assert found.message == "offers 0 nvidia.com/gpu, the plan counts on 1"


def test_a_burst_tier_at_rest_is_well() -> None:
    report = judged(healthy(tiered()), tiered())
    assert report.in_line, report.findings
    assert {each.name: (each.stage, each.wanted) for each in report.workloads}["support-burst"] == ("ready", 0)
