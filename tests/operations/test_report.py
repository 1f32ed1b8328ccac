from __future__ import annotations

from dataclasses import replace

import pytest

from agentgpu_iac.errors import BadInput
from agentgpu_iac.operations.planned import overlays, planned_objects
from agentgpu_iac.operations.report import Report
from agentgpu_iac.operations.snapshot import Kind, Ref, Snapshot
from agentgpu_iac.operations.status_view import status_view
from agentgpu_iac.plan.nodes import STACK_LABEL
from agentgpu_iac.rendering.render import render
from agentgpu_iac.review.blocks import markdown, plain_text
from tests.operations.scenes import (
    DEPLOYMENT,
    POOL,
    ago,
    down,
    healthy,
    judged,
    live,
    merged,
    node,
    plan,
    planned,
    ref,
    tiered,
    unready,
    waiting,
    with_object,
)

SERVICE = ref("Service", "support")


def said(report: Report) -> list[tuple[str, str]]:
    return [(each.kind, each.object) for each in report.findings]


def without(snapshot: Snapshot, *refs: Ref) -> Snapshot:
    return replace(snapshot, objects={each: body for each, body in snapshot.objects.items() if each not in refs})


def test_a_cluster_as_planned_is_in_line() -> None:
    report = judged(healthy())
    assert report.in_line, report.findings
    assert report.is_complete
    assert report.is_settled
    assert report.objects == len(planned())
    assert "in line with the plan" in plain_text(status_view(report))


def test_a_missing_object_is_told() -> None:
    report = judged(without(healthy(), SERVICE))
    assert said(report) == [("missing", "Service demo/support")]
    assert not report.in_line
    assert not report.is_settled


def test_a_changed_field_is_told_with_both_values() -> None:
    report = judged(with_object(healthy(), SERVICE, spec={"type": "NodePort"}))
    [found] = report.findings
    assert (found.kind, found.path, found.planned, found.live) == ("changed", "spec.type", "ClusterIP", "NodePort")


def test_an_object_on_its_way_out_is_told_with_what_holds_it() -> None:
    gone = with_object(healthy(), SERVICE, metadata={"deletionTimestamp": ago(9), "finalizers": ["example.com/held"]})
    [found] = judged(gone).findings
    assert found.kind == "changed"
    assert "example.com/held" in found.message


def test_what_is_left_over_of_an_earlier_plan_is_told_and_what_controllers_made_is_not() -> None:
    old = replace(SERVICE, name="old")
    body = merged(dict(live(planned()[SERVICE])), {"metadata": {"name": "old"}})
    report = judged(replace(healthy(), objects={**healthy().objects, old: body}))
    assert said(report) == [("orphan", "Service demo/old")]
    assert "kubectl delete service old --namespace demo" in report.findings[0].hint
    assert report.is_settled, "waiting does not mend it"
    made = merged(body, {"metadata": {"ownerReferences": [{"controller": True, "kind": "ScaledObject", "name": "x"}]}})
    assert judged(replace(healthy(), objects={**healthy().objects, old: made})).in_line
    other = merged(body, {"metadata": {"labels": {"agentgpu.dev/stack": "other"}}})
    assert judged(replace(healthy(), objects={**healthy().objects, old: other})).in_line


def test_a_kind_that_the_cluster_does_not_know_is_told_once_and_names_its_operator() -> None:
    kind = ref("NodePool", POOL, overlay="karpenter").kind
    known = healthy(overlay="karpenter")
    snapshot = replace(known, not_served=frozenset({kind}))
    snapshot = without(snapshot, *(each for each in snapshot.objects if each.kind == kind))
    report = judged(snapshot, overlay="karpenter")
    assert said(report) == [("not-installed", "NodePool (karpenter.sh/v1)")]
    assert "install Karpenter, or use --overlay node-groups" in report.findings[0].hint
    assert report.is_settled


def test_a_kind_that_may_not_be_read_is_told_and_its_objects_are_not_called_missing() -> None:
    snapshot = replace(without(healthy(), SERVICE), forbidden={SERVICE.kind: "cannot list services"})
    report = judged(snapshot)
    assert said(report) == [("forbidden", "Service (v1)")]
    assert report.findings[0].detail == "cannot list services"
    assert not report.is_complete


def test_replicas_belong_to_the_autoscaler_where_there_is_one() -> None:
    more = with_object(healthy(), DEPLOYMENT, spec={"replicas": 5}, status={"readyReplicas": 5, "updatedReplicas": 5})
    assert [each.path for each in judged(more).findings] == ["spec.replicas"]
    scaler = {"spec": {"scaleTargetRef": {"kind": "Deployment", "name": "support"}}}
    assert judged(replace(more, scalers=(scaler,))).in_line


def test_replicas_within_the_plans_range_are_as_planned() -> None:
    burst = ref("Deployment", "support-burst", tiered())
    status = {"readyReplicas": 2, "updatedReplicas": 2}
    scaled = with_object(healthy(tiered()), burst, spec={"replicas": 2}, status=status)
    assert judged(scaled, tiered()).in_line
    status = {"readyReplicas": 4, "updatedReplicas": 4}
    beyond = with_object(healthy(tiered()), burst, spec={"replicas": 4}, status=status)
    assert [each.path for each in judged(beyond, tiered()).findings] == ["spec.replicas"]


def test_a_quantity_in_another_spelling_is_as_planned() -> None:
    containers = planned()[DEPLOYMENT]["spec"]["template"]["spec"]["containers"]
    [engine] = [merged(each, {"resources": {"limits": {"cpu": "3000m"}}}) for each in containers]
    snapshot = with_object(healthy(), DEPLOYMENT, spec={"template": {"spec": {"containers": [engine]}}})
    assert judged(snapshot).in_line


def test_findings_that_explain_others_come_first() -> None:
    kind = Kind(api_version="keda.sh/v1alpha1", name="ScaledObject")
    snapshot = replace(without(down(), SERVICE), not_served=frozenset({kind}))
    assert [each.kind for each in judged(snapshot).findings] == ["not-installed", "missing", "unhealthy"]


def test_a_view_says_what_to_do_and_is_markdown_too() -> None:
    report = judged(down(unready(), nodes=(node(),)))
    text = plain_text(status_view(report))
    assert "What to do: " in text
    assert "Deployment demo/support" in text
    assert "| workload |" in markdown(status_view(report))


def test_what_a_container_writes_cannot_steer_a_terminal_and_is_shortened_at_its_middle() -> None:
    words = "\x1b]0;title\x07started " + "x" * 4000 + " CUDA error"
    ended = {"terminated": {"exitCode": 1, "reason": "Error", "message": words}}
    report = judged(down(waiting("CrashLoopBackOff", lastState=ended), nodes=(node(),)))
    text = plain_text(status_view(report))
    assert "\x1b" not in text + report.model_dump_json()
    assert "CUDA error" in text
    assert max(map(len, text.splitlines())) < 900
    assert len(report.findings[0].detail or "") > 4000, "JSON has all of it"


def test_a_hint_that_all_share_is_said_once() -> None:
    text = plain_text(status_view(judged(replace(healthy(), objects={}))))
    assert text.count("apply the rendered tree") == 1


def test_a_report_reads_back_from_its_json() -> None:
    report = judged(down(unready()))
    assert Report.model_validate_json(report.model_dump_json(by_alias=True)) == report


def test_the_tree_of_an_overlay_is_what_kustomize_would_apply() -> None:
    files = render(plan())
    assert overlays(files) == ("karpenter", "node-groups")
    both = {name: planned_objects(files, name) for name in overlays(files)}
    assert {each.kind.name for each in both["karpenter"]} - {each.kind.name for each in both["node-groups"]} == {
        "NodePool",
        "EC2NodeClass",
    }
    assert planned_objects(files, None) == both["karpenter"]
    with pytest.raises(BadInput, match="this stack has karpenter, node-groups"):
        planned_objects(files, "gitops")


def test_no_finding_hides_behind_a_healthy_summary() -> None:
    """Whatever one object lacks, the report says something about it."""
    for each in planned():
        report = judged(without(healthy(), each))
        assert any(found.object == str(each) for found in report.findings), each


def test_a_workload_in_line_waits_for_nothing() -> None:
    assert [(each.stage, each.waiting_for) for each in judged(healthy()).workloads] == [("ready", None)]


NAMESPACE = ref("Namespace", "demo")


def test_a_namespace_of_somebody_else_is_told_before_anything_is_applied() -> None:
    """Before the first apply nothing is there but the namespace: that it is not the stack's is said first."""
    body = {**live(planned()[NAMESPACE]), "metadata": {"name": "demo", "labels": {"team": "payments"}}}
    alone = Snapshot(objects={NAMESPACE: body}, neighbours=("api-1", "api-2", "db-0", "queue-0"))
    report = judged(alone)
    found = report.findings[0]
    assert (found.kind, found.object, found.reason) == ("foreign", "Namespace demo", "namespace")
    assert "does not bear the label agentgpu.dev/stack=demo" in found.message
    assert "(4 of others: api-1, api-2, db-0 and 1 more)" in found.message
    assert "kubectl label namespace demo agentgpu.dev/stack=demo" in found.hint
    assert not report.in_line
    assert [kind for kind, named in said(report) if named == "Namespace demo"] == ["foreign"]
    assert "Of somebody else" in plain_text(status_view(report))


def test_a_namespace_of_another_stack_is_told_as_that_stacks() -> None:
    report = judged(with_object(healthy(), NAMESPACE, metadata={"labels": {STACK_LABEL: "desk"}}))
    assert said(report) == [("foreign", "Namespace demo")]
    assert "belongs to the stack desk" in report.findings[0].message
    assert report.is_settled, "waiting does not mend it"
