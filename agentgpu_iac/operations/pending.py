"""Why a pod is not there or not placed: quota, capacity, taint, selector, volume; in words, and in the cluster's own."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from agentgpu_iac.clusters.port import Body, at
from agentgpu_iac.operations.findings import FindingKind
from agentgpu_iac.operations.snapshot import Snapshot, condition, is_true, items, label, name_of
from agentgpu_iac.plan import NodePool, Plan
from agentgpu_iac.plan.nodes import ACCELERATOR_RESOURCE, KARPENTER_POOL_LABEL, POOL_LABEL
from agentgpu_iac.units import counted, quantity

_CORDONED = "node.kubernetes.io/unschedulable"
_NODE_TAINTS = "node.kubernetes.io/"
"""Taints of this prefix are set by Kubernetes itself for what is wrong with a node."""

_UNKEPT = frozenset({"NoSchedule", "NoExecute"})
"""Effects that keep a pod off; PreferNoSchedule does not."""

_INSUFFICIENT = re.compile(r"Insufficient ([\w./-]+\w)")
_PROVIDER_QUOTA = re.compile(r"LimitExceeded|quota|MaxSpotInstanceCount", re.I)
_NO_CAPACITY = re.compile(r"insufficient.?capacity|InsufficientInstanceCapacity|UnfulfillableCapacity", re.I)

_CLUSTER_AUTOSCALER = "cluster-autoscaler"
_SCALED_IN_VAIN = "in backoff after failed scale-up"
"""What the Cluster Autoscaler says of a node group whose nodes did not come: EC2 had none, or gives no more."""
_MOST_NAMED = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What is wrong with a pod, and what to do."""

    kind: FindingKind
    reason: str
    message: str
    hint: str
    detail: str | None = None


def unplaced(pod: Body, plan: Plan, snapshot: Snapshot) -> Verdict | None:
    """Why the scheduler found no node for a pod; None where it has one."""
    scheduled = condition(pod, "PodScheduled")
    if at(pod, "spec", "nodeName") or is_true(scheduled):
        return None
    words = str(scheduled.get("message") or "") or None
    gates = [str(gate.get("name")) for gate in items(pod, "spec", "schedulingGates")]
    if gates:
        message = f"held back by the scheduling gate {', '.join(gates)}"
        return _pending("gate", message, "whoever set the gate removes it", words)
    if words is None:
        return _pending("scheduler", "the scheduler has not looked at it yet", "see whether the scheduler runs", None)
    pool = _pool(pod, plan)
    if pool is None:
        return _by_the_scheduler(
            words, "it needs no accelerator: add an ordinary node, without the accelerators' taint"
        )
    nodes = tuple(node for node in snapshot.nodes if label(node, POOL_LABEL) == pool.name)
    if not nodes and "nodes" not in snapshot.unread:
        return _no_node(pod, pool, plan, snapshot, words)
    return (
        _volume(words)
        or _taints(pod, pool, nodes, words)
        or _capacity(pod, pool, nodes, words)
        or _by_the_scheduler(words, "compare the nodes with the plan's pools")
    )


def not_created(words: str) -> Verdict:
    """Why a controller could not create a pod, from what the API server told it."""
    if "exceeded quota" in words:
        match = re.search(r"exceeded quota: ([\w.-]+), requested: (.+?), used: (.+?), limited: (.+)", words)
        told = (
            f"ResourceQuota {match[1]} has {match[4]} and {match[3]} is used; a pod asks for {match[2]}"
            if match
            else words
        )
        return _pending("quota", told, "raise the quota, or plan fewer replicas", words)
    if "violates PodSecurity" in words:
        hint = "the pod was changed, or a webhook adds what the restricted standard forbids"
        return _pending("pod-security", "Pod Security of the namespace refuses the pod", hint, words)
    if "admission webhook" in words:
        return _pending("admission", "an admission webhook refuses the pod", "ask who runs the webhook", words)
    return _pending("not-created", "the API server refuses the pod", "read the message of the API server", words)


def _pending(reason: str, message: str, hint: str, words: str | None) -> Verdict:
    return Verdict(kind="pending", reason=reason, message=message, hint=hint, detail=words)


def _pool(pod: Body, plan: Plan) -> NodePool | None:
    wanted = at(pod, "spec", "nodeSelector", POOL_LABEL)
    return next((pool for pool in plan.node_pools if pool.name == wanted), None)


def _no_node(pod: Body, pool: NodePool, plan: Plan, snapshot: Snapshot, words: str) -> Verdict:
    """The pool has no node: who should make one, and what keeps it from doing so."""
    missing = f"pool {pool.name} has no node"
    claims = [claim for claim in snapshot.node_claims if label(claim, KARPENTER_POOL_LABEL) == pool.name]
    for claim in claims:
        launched = condition(claim, "Launched")
        if launched.get("status") in ("False", "Unknown") and launched.get("message"):
            told = f"{launched.get('reason', '')}: {launched['message']}"
            return _from_provider(missing, pool, plan, told)
    told = "; ".join(_events(pod, snapshot, "karpenter"))
    node_pool = next(
        (body for ref, body in snapshot.objects.items() if ref.kind.name == "NodePool" and ref.name == pool.name), None
    )
    if node_pool is not None:
        full = _full(node_pool)
        if full or "exceed limits" in told:
            message = f"{missing}, and NodePool {pool.name} is at its limit{f' ({full})' if full else ''}"
            return _pending("capacity", message, "raise spec.limits, or find out what holds its nodes", told or words)
        if _NO_CAPACITY.search(told) or _PROVIDER_QUOTA.search(told):
            return _from_provider(missing, pool, plan, told)
        hint = "Karpenter should make one; its log, and kubectl describe nodepool, say why it does not"
        made = f"; Karpenter is making {', '.join(name_of(claim) for claim in claims)}" if claims else ""
        return _pending("capacity", missing + made, "wait for it" if claims else hint, told or words)
    scaler = "; ".join(_events(pod, snapshot, _CLUSTER_AUTOSCALER))
    if _SCALED_IN_VAIN in scaler or _NO_CAPACITY.search(scaler) or _PROVIDER_QUOTA.search(scaler):
        return _from_provider(missing, pool, plan, scaler)
    hint = f"add {pool.instance_types[0]} nodes with the label {POOL_LABEL}={pool.name} (the plan has {_nodes(pool)})"
    return _pending("capacity", missing, hint, words)


def _nodes(pool: NodePool) -> str:
    return str(pool.min) if pool.min == pool.max else f"{pool.min} to {pool.max}"


def _from_provider(missing: str, pool: NodePool, plan: Plan, told: str) -> Verdict:
    if _PROVIDER_QUOTA.search(told) and not _NO_CAPACITY.search(told):
        hint = f"ask {pool.provider} for a higher quota in {pool.region}"
        return _pending("quota", f"{missing}: the provider's quota is used up", hint, told)
    if _NO_CAPACITY.search(told):
        hint = "wait, or allow more instance types, zones or capacity types in the spec" + _instead(pool, plan)
        return _pending("capacity", f"{missing}: the provider has none to give", hint, told)
    hint = f"read what whoever starts nodes says (Karpenter, or the node group's health){_instead(pool, plan)}"
    return _pending("capacity", f"{missing}: the provider did not start one", hint, told)


def _instead(pool: NodePool, plan: Plan) -> str:
    """What the plan would take in the pool's place, the cheapest first; nothing where it knows none."""
    agents = {workload.agent for workload in plan.workloads if workload.node_pool == pool.name}
    others = sorted(
        (
            other
            for other in plan.cost.alternatives
            if other.agent in agents
            and other.instance_type not in pool.instance_types
            and other.accelerator not in (None, pool.accelerator)
        ),
        key=lambda other: other.delta_usd_per_month,
    )
    if not others:
        return ""
    named = "; ".join(
        f"{other.agent}: {other.description}, {other.delta_usd_per_month:+,.0f} USD a month"
        for other in others[:_MOST_NAMED]
    )
    return f"; planned anew with accelerators.deny: [{pool.accelerator}] it would be ({named})"


def _full(node_pool: Body) -> str:
    """The limits of a NodePool that leave no room, as ``nvidia.com/gpu 4 of 4``."""
    limits, used = at(node_pool, "spec", "limits") or {}, at(node_pool, "status", "resources") or {}
    reached = []
    for resource, limit in limits.items():
        most, now = quantity(str(limit)), quantity(str(used.get(resource, "0")))
        if most is not None and now is not None and now >= most:
            reached.append(f"{resource} {used.get(resource, 0)} of {limit}")
    return ", ".join(reached)


def _taints(pod: Body, pool: NodePool, nodes: tuple[Body, ...], words: str) -> Verdict | None:
    """Every node of the pool has a taint that the pod does not tolerate."""
    kept = {name_of(node): tuple(_untolerated(pod, node)) for node in nodes}
    if not kept or not all(kept.values()):
        return None
    taints = sorted({taint for each in kept.values() for taint in each})
    spelled = ", ".join(taints)
    where = (
        f"{len(kept)} of {counted(len(kept), 'node')} of pool {pool.name}"
        if len(kept) > 1
        else f"node {next(iter(kept))}"
    )
    if all(taint.startswith(_CORDONED) for taint in taints):
        return _pending("cordoned", f"{where}: cordoned", "kubectl uncordon, once the node may take pods again", words)
    if all(taint.startswith(_NODE_TAINTS) for taint in taints):
        return _pending("node-not-ready", f"{where}: {spelled}", "kubectl describe node says what is wrong", words)
    hint = "remove the taint if it was not meant for this pool"
    return _pending("taint", f"{where}: taint {spelled}, which the pod does not tolerate", hint, words)


def _untolerated(pod: Body, node: Body) -> Iterator[str]:
    for taint in items(node, "spec", "taints"):
        if taint.get("effect") in _UNKEPT and not any(
            _tolerates(each, taint) for each in items(pod, "spec", "tolerations")
        ):
            value = f"={taint['value']}" if taint.get("value") else ""
            yield f"{taint.get('key')}{value}:{taint.get('effect')}"


def _tolerates(toleration: Body, taint: Body) -> bool:
    if toleration.get("effect") and toleration["effect"] != taint.get("effect"):
        return False
    if toleration.get("operator") == "Exists":
        return not toleration.get("key") or toleration["key"] == taint.get("key")
    return toleration.get("key") == taint.get("key") and toleration.get("value", "") == taint.get("value", "")


def _capacity(pod: Body, pool: NodePool, nodes: tuple[Body, ...], words: str) -> Verdict | None:
    """The pool's nodes have too little left."""
    short = sorted(set(_INSUFFICIENT.findall(words)))
    if not short and "Too many pods" not in words:
        return None
    asked = " and ".join(f"{resource} ({_asked(pod, resource)} asked for)" for resource in short) or "place for a pod"
    if ACCELERATOR_RESOURCE in short and nodes and not any(_offers(node) for node in nodes):
        hint = "see whether the NVIDIA device plugin runs on the nodes"
        return _pending("capacity", f"no node of pool {pool.name} offers {ACCELERATOR_RESOURCE}", hint, words)
    has = f"the {counted(len(nodes), 'node')} of pool {pool.name}" if nodes else f"pool {pool.name}"
    hint = f"the plan has {_nodes(pool)} of them; add one, or find out what takes their room"
    return _pending("capacity", f"{has}: no {asked} left", hint, words)


def _asked(pod: Body, resource: str) -> str:
    amounts = [at(each, "resources", "requests", resource) for each in items(pod, "spec", "containers")]
    return " + ".join(str(amount) for amount in amounts if amount is not None) or "enough"


def _offers(node: Body) -> bool:
    return bool(quantity(str(at(node, "status", "allocatable", ACCELERATOR_RESOURCE) or 0)))


def _volume(words: str) -> Verdict | None:
    lowered = words.lower()
    if "persistentvolumeclaim" in lowered or "persistent volume" in lowered or "volume node affinity" in lowered:
        hint = "see the claim and the volume of the model cache: kubectl describe pvc"
        return _pending("volume", "the model cache volume is not bound", hint, words)
    return None


def _by_the_scheduler(words: str, hint: str) -> Verdict:
    """What the scheduler says, where no node of ours explains it."""
    known: Iterable[tuple[str, str, str]] = (
        ("Insufficient", "capacity", "no node has enough left"),
        ("Too many pods", "capacity", "no node has room for another pod"),
        ("untolerated taint", "taint", "the nodes have a taint that the pod does not tolerate"),
        ("node affinity/selector", "selector", "no node has the labels that the pod selects"),
        ("topology spread", "selector", "no node meets the pod's topology spread"),
        ("anti-affinity", "selector", "no node meets the pod's anti-affinity"),
        ("no nodes available", "capacity", "the cluster has no node"),
        ("resourceclaim", "capacity", "no node has a device for the pod's claim"),
    )
    for part, reason, message in known:
        if part in words:
            return _pending(reason, message, hint, words)
    return _pending("unschedulable", "the scheduler finds no node", "read what the scheduler says", words)


def _events(body: Body, snapshot: Snapshot, component: str) -> Iterator[str]:
    for event in snapshot.events:
        by = at(event, "source", "component") or event.get("reportingComponent")
        if by == component and at(event, "involvedObject", "name") == name_of(body):
            yield str(event.get("message", ""))
