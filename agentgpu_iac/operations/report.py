"""A cluster beside the plan, in one document."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime

from agentgpu_iac.clusters.namespaces import before_taking, taken_over
from agentgpu_iac.clusters.port import Body, at
from agentgpu_iac.operations.comparison import differences
from agentgpu_iac.operations.findings import KIND_ORDER, PERMANENT, Finding, finding
from agentgpu_iac.operations.health import health
from agentgpu_iac.operations.progress import WorkloadProgress, progress
from agentgpu_iac.operations.snapshot import Ref, Snapshot, items, label
from agentgpu_iac.plan import Plan
from agentgpu_iac.plan.charts import OPERATORS
from agentgpu_iac.plan.nodes import STACK_LABEL
from agentgpu_iac.spec.document import Document
from agentgpu_iac.units import counted

_INSTEAD = {
    "karpenter.k8s.aws": ", or use --overlay node-groups",
    "karpenter.sh": ", or use --overlay node-groups",
    "keda.sh": ", or set scaling.method in the spec",
    "monitoring.coreos.com": ", or set observability.monitors: none in the spec",
}

_REPLICAS = "spec.replicas"


class Report(Document):
    """What a cluster holds of a stack, held against its plan."""

    stack: str
    in_line: bool
    """Everything planned is there, as planned, and well; nothing is left over; and all of it could be read."""
    objects: int
    """Planned objects."""
    findings: tuple[Finding, ...]
    workloads: tuple[WorkloadProgress, ...]
    notes: tuple[str, ...]
    """What could not be read and only explains."""

    @property
    def is_complete(self) -> bool:
        """Whether everything planned could be read."""
        return not any(each.kind == "forbidden" for each in self.findings)

    @property
    def is_settled(self) -> bool:
        """Whether nothing is left that may still resolve by waiting."""
        return all(each.kind in PERMANENT for each in self.findings)


def report(plan: Plan, planned: Mapping[Ref, Body], snapshot: Snapshot, now: datetime) -> Report:
    """Hold a snapshot of a cluster against a plan and the objects rendered from it. Machines beside it are no part of that."""
    plan = plan.in_cluster
    found = (
        *_unreadable(planned, snapshot),
        *_objects(plan, planned, snapshot),
        *_orphans(plan, planned, snapshot),
        *health(plan, planned, snapshot),
    )
    return Report(
        stack=plan.stack,
        in_line=not found,
        objects=len(planned),
        findings=tuple(sorted(found, key=lambda each: KIND_ORDER.index(each.kind))),
        workloads=progress(plan, planned, snapshot, now),
        notes=tuple(f"{what} may not be read, so reasons may lack detail" for what in snapshot.unread),
    )


def _unreadable(planned: Mapping[Ref, Body], snapshot: Snapshot) -> Iterator[Finding]:
    for kind, told in sorted(snapshot.forbidden.items()):
        message = f"{_objects_of(planned, kind)} may not be read"
        yield finding("forbidden", kind, message, "ask for get and list on this kind", reason="rbac", detail=told)
    for kind in sorted(snapshot.not_served):
        operator = OPERATORS.get(kind.group, f"whatever serves {kind.group or 'this version of the core'}")
        message = f"the cluster does not know this kind; {_objects_of(planned, kind)} cannot exist"
        yield finding("not-installed", kind, message, f"install {operator}{_INSTEAD.get(kind.group, '')}")


def _objects_of(planned: Mapping[Ref, Body], kind: object) -> str:
    number = sum(1 for ref in planned if ref.kind == kind)
    return counted(number, "planned object")


def _objects(plan: Plan, planned: Mapping[Ref, Body], snapshot: Snapshot) -> Iterator[Finding]:
    ranges = {workload.name: workload.replicas for workload in plan.workloads}
    scaled = frozenset(_scaled(planned, snapshot))
    for ref, body in planned.items():
        if ref.kind in snapshot.forbidden or ref.kind in snapshot.not_served:
            continue
        live = snapshot.objects.get(ref)
        if live is None:
            yield finding("missing", ref, "is not in the cluster", "apply the rendered tree")
            continue
        if at(live, "metadata", "deletionTimestamp"):
            held = ", ".join(at(live, "metadata", "finalizers") or ()) or "its own grace period"
            yield finding(
                "changed", ref, f"is being deleted, held by {held}", "apply the rendered tree once it is gone"
            )
            continue
        replicas, allowed = at(live, "spec", "replicas"), ranges.get(ref.name)
        by_hand = allowed is not None and isinstance(replicas, int) and allowed.min <= replicas <= allowed.max
        free = (ref.kind.name, ref.name) in scaled or by_hand
        if (theirs := taken_over(ref.kind.name, live, plan.stack, snapshot.neighbours)) is not None:
            yield finding("foreign", ref, theirs, before_taking(plan.stack), reason="namespace")
            continue
        for each in differences(body, live, frozenset({_REPLICAS}) if free else frozenset()):
            yield finding(
                "changed",
                ref,
                f"{each.path} is {_words(each.live)}, planned {_words(each.planned)}",
                "apply the rendered tree, or put the change into the spec",
                path=each.path,
                planned=each.planned,
                live=each.live,
            )


def _words(value: str | None) -> str:
    return "not set" if value is None else value or '""'


def _scaled(planned: Mapping[Ref, Body], snapshot: Snapshot) -> Iterator[tuple[str, str]]:
    """Workloads whose replicas an autoscaler sets: the planned ones and those of the cluster."""
    for body in (*planned.values(), *snapshot.scalers):
        target = at(body, "spec", "scaleTargetRef")
        if target:
            yield str(target.get("kind") or "Deployment"), str(target.get("name"))


def _orphans(plan: Plan, planned: Mapping[Ref, Body], snapshot: Snapshot) -> Iterator[Finding]:
    """Objects that carry the stack's label, were made by nothing else in the cluster, and are not planned."""
    for ref in sorted(snapshot.objects):
        body = snapshot.objects[ref]
        made_by_another = any(owner.get("controller") for owner in items(body, "metadata", "ownerReferences"))
        if ref not in planned and label(body, STACK_LABEL) == plan.stack and not made_by_another:
            message = "carries this stack's label and is not planned (any more)"
            within = f" --namespace {ref.namespace}" if ref.namespace else ""
            hint = f"kubectl delete {ref.kind.name.lower()} {ref.name}{within}, if nothing needs it"
            yield finding("orphan", ref, message, hint)
