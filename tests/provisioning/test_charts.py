"""Operators and plugins from charts: what is installed with which values, in which order, and what is refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from agentgpu_iac.catalog.store import load_catalog
from agentgpu_iac.errors import BadInput
from agentgpu_iac.plan import Plan, RenderedFile
from agentgpu_iac.plan.charts import CHARTS, CLUSTER_AUTOSCALER_REQUESTS, OPERATORS, charts_of, values_path
from agentgpu_iac.plan.nodes import CARD_LABEL
from agentgpu_iac.provisioning.aws.program import check, deploy
from agentgpu_iac.provisioning.aws.settings import Settings
from agentgpu_iac.provisioning.charts import chart_faults
from agentgpu_iac.provisioning.kubernetes import program as any_cluster
from agentgpu_iac.provisioning.manifests import read_manifests
from agentgpu_iac.rendering.helm_values import helm_values
from tests.plans import make_grouped_plan, make_plan, make_tiered_plan, make_watched_plan
from tests.provisioning.policies import is_known, statements
from tests.provisioning.recording import Recording, record
from tests.provisioning.scenes import SETTINGS, mixed_plan, scene
from tests.rendered import rendered_once

RELEASE = "kubernetes:helm.sh/v3:Release"
POLICY = "aws:iam/rolePolicy:RolePolicy"
ASSOCIATION = "aws:eks/podIdentityAssociation:PodIdentityAssociation"
REGISTRY = "oci://charts.example.org:5000/mirror"
CHARTED = {
    "cluster-autoscaler": f"{REGISTRY}/cluster-autoscaler:9.50.0",
    "dcgm-exporter": f"{REGISTRY}/dcgm-exporter:4.8.1",
    "keda": f"{REGISTRY}/keda:2.18.0",
    "kube-prometheus-stack": f"{REGISTRY}/kube-prometheus-stack:79.0.0",
    "nvidia-device-plugin": f"{REGISTRY}/nvidia-device-plugin:0.18.2",
}


def tree(plan: Plan) -> tuple[RenderedFile, ...]:
    return (*rendered_once(plan), *helm_values(plan))


def deployed(plan: Plan, charts: dict[str, str], **settings: Any) -> Recording:
    return record(lambda: deploy(plan, tree(plan), replace(SETTINGS, charts=charts, **settings)))


def releases(recording: Recording) -> dict[str, dict[str, Any]]:
    return {one.inputs["name"]: one.inputs for one in recording.of(RELEASE)}


def test_each_is_installed_with_the_rendered_values_and_the_version_of_its_address() -> None:
    plan = make_watched_plan()
    recording = deployed(plan, CHARTED)
    made = releases(recording)
    assert made.keys() == CHARTED.keys()
    files = {file.path: file.content for file in tree(plan)}
    for name, release in made.items():
        address, _, version = CHARTED[name].rpartition(":")
        assert (release["chart"], release["version"]) == (address, version)
        assert release["namespace"] == CHARTS[name].namespace  # type: ignore[index]
        told = files.get(values_path(name))  # type: ignore[arg-type]
        assert release.get("values", {}) == ({} if told is None else yaml.load(told, yaml.CSafeLoader))
    assert recording.outputs["notApplied"] == []


def test_objects_come_after_what_serves_them_and_go_before_it() -> None:
    recording = deployed(make_watched_plan(), CHARTED)
    served = [one for one in recording.resources if one.inputs.get("kind") in {"ScaledObject", "PodMonitor"}]
    assert {one.inputs["kind"] for one in served} == {"ScaledObject", "PodMonitor"}
    last = max(recording.position(one.token, one.name) for one in recording.of(RELEASE))
    assert all(recording.position(one.token, one.name) > last for one in served)


def test_what_checks_objects_is_awaited_and_what_waits_for_nodes_is_not() -> None:
    made = releases(deployed(make_watched_plan(), CHARTED))
    assert {name for name, release in made.items() if not release["skipAwait"]} == {"keda", "kube-prometheus-stack"}


def test_what_a_chart_brings_is_no_prerequisite_any_more() -> None:
    plan = make_watched_plan()
    before = "\n".join(deployed(plan, {}).outputs["prerequisites"])
    after = "\n".join(deployed(plan, CHARTED).outputs["prerequisites"])
    for told in ("NVIDIA device plugin", "Cluster Autoscaler", "serves keda.sh", "serves monitoring.coreos.com"):
        assert told in before
        assert told not in after


def test_the_autoscaler_may_change_the_groups_of_this_cluster_alone() -> None:
    recording = deployed(make_watched_plan(), {"cluster-autoscaler": CHARTED["cluster-autoscaler"]})
    (association,) = (one for one in recording.of(ASSOCIATION) if one.inputs["namespace"] == "kube-system")
    (release,) = releases(recording).values()
    assert association.inputs["serviceAccount"] == release["values"]["rbac"]["serviceAccount"]["name"]
    documents = [
        one.inputs["policy"] for one in recording.of(POLICY) if one.name.startswith("demo-cluster-autoscaler-")
    ]
    allowed = [statement for document in documents for statement in statements(document)]
    assert all(is_known(action) for statement in allowed for action in statement["Action"])
    changed = [one for one in allowed if not all(":Describe" in action or ":Get" in action for action in one["Action"])]
    (only,) = changed
    assert only["Condition"] == {"StringEquals": {"aws:ResourceTag/k8s.io/cluster-autoscaler/demo": "owned"}}
    position = recording.position
    assert position(association.token, association.name) < min(
        position(one.token, one.name) for one in recording.of(RELEASE)
    )


def test_a_new_node_counts_as_one_that_will_offer_accelerators() -> None:
    """Else the Cluster Autoscaler starts another node for the same pod while the device plugin starts on the first."""
    for group in scene("tiered").of("aws:eks/nodeGroup:NodeGroup"):
        if "system" not in group.name:
            assert group.inputs["labels"][CARD_LABEL]


def test_the_autoscaler_fits_where_karpenter_would() -> None:
    karpenter = next(row for row in load_catalog().cluster_pods if row.name == "karpenter")
    assert CLUSTER_AUTOSCALER_REQUESTS[0] <= karpenter.replicas * karpenter.cpu_milli
    assert CLUSTER_AUTOSCALER_REQUESTS[1] <= karpenter.memory_mib


def test_the_fabric_plugin_is_told_of_the_planned_machines() -> None:
    plan = make_grouped_plan()
    values = {file.path: yaml.load(file.content, yaml.CSafeLoader) for file in helm_values(plan)}
    told = values[values_path("aws-efa-k8s-device-plugin")]
    wanted = {kind for pool in plan.node_pools if pool.nodes_per_replica > 1 for kind in pool.instance_types}
    assert set(told["supportedInstanceLabels"]["values"]) == wanted
    assert told["tolerations"][0]["key"] == "nvidia.com/gpu"


def test_prometheus_takes_what_carries_no_label_of_its_release() -> None:
    plan = make_watched_plan(cluster="east")
    values = {file.path: yaml.load(file.content, yaml.CSafeLoader) for file in helm_values(plan)}
    told = values[values_path("kube-prometheus-stack")]["prometheus"]["prometheusSpec"]
    kinds = {one.kind for one in read_manifests(rendered_once(plan), frozenset({"monitoring.coreos.com"})).applied}
    for kind, key in (("PodMonitor", "podMonitor"), ("PrometheusRule", "rule")):
        assert kind in kinds
        assert told[f"{key}SelectorNilUsesHelmValues"] is False
    (scraped,) = told["scrapeClasses"]
    assert scraped["relabelings"] == [{"targetLabel": "cluster", "replacement": "east"}]


def test_a_cluster_of_yours_gets_them_too(tmp_path: Path) -> None:
    plan = make_watched_plan().model_copy(update={"target": "kubernetes"})
    chart = tmp_path / "keda-2.18.0.tgz"
    chart.touch()
    settings = any_cluster.Settings(charts={"keda": str(chart)}, context="prod")
    recording = record(lambda: any_cluster.deploy(plan, tree(plan), settings))
    (release,) = releases(recording).values()
    assert (release["chart"], release.get("version")) == (str(chart), None)
    assert not any("keda.sh" in one for one in recording.outputs["notApplied"])


def test_the_configurations_of_shared_accelerators_come_once_their_namespace_does() -> None:
    plan = mixed_plan()
    recording = deployed(plan, {"nvidia-device-plugin": CHARTED["nvidia-device-plugin"]})
    (configured,) = recording.of("kubernetes:core/v1:ConfigMap")
    (release,) = recording.of(RELEASE)
    assert configured.inputs["metadata"]["namespace"] == release.inputs["namespace"]
    assert release.inputs["values"]["config"]["name"] == configured.inputs["metadata"]["name"]
    assert recording.position(release.token, release.name) < recording.position(configured.token, configured.name)
    assert not any("share-" in one for one in recording.outputs["prerequisites"])


@pytest.mark.parametrize(
    ("charts", "nodes", "told"),
    [
        ({"keda": f"{REGISTRY}/keda"}, "node-groups", "names no version"),
        ({"keda": "oci://charts.example.org:5000/keda"}, "node-groups", "names no version"),
        ({"keda": f"{REGISTRY}/keda@sha256:{'0' * 64}"}, "node-groups", "names no version"),
        ({"keda": "https://charts.example.org/keda"}, "node-groups", "is the address of no chart's version"),
        ({"keda": "http://charts.example.org/keda-1.tgz"}, "node-groups", "http:// is no way to a chart"),
        ({"keda": "file:///etc/passwd"}, "node-groups", "file:// is no way to a chart"),
        ({"keda": "charts/none"}, "node-groups", "there is no charts/none"),
        ({"keda": ""}, "node-groups", "is no address"),
        ({"keda": {"chart": "x"}}, "node-groups", "is no address"),
        ({"kedda": f"{REGISTRY}/keda:1"}, "node-groups", "kedda is no chart that is known here"),
        ({"lws": f"{REGISTRY}/lws:0.8.0"}, "node-groups", "lws is nothing that this plan has a use for"),
        ({"karpenter": f"{REGISTRY}/karpenter:1.14.1"}, "node-groups", "has a setting of its own"),
        ({"cluster-autoscaler": CHARTED["cluster-autoscaler"]}, "karpenter", "two autoscalers"),
        (
            {"gpu-operator": f"{REGISTRY}/gpu-operator:v26.3.0", "dcgm-exporter": CHARTED["dcgm-exporter"]},
            "node-groups",
            "gpu-operator brings dcgm-exporter itself",
        ),
    ],
)
def test_what_cannot_be_installed_is_told_before_anything_is_made(charts: Any, nodes: str, told: str) -> None:
    settings = replace(SETTINGS, charts=charts, nodes=nodes, karpenter_chart=f"{REGISTRY}/karpenter")
    with pytest.raises(BadInput) as refusal:
        check(make_watched_plan(), settings)
    (fault,) = refusal.value.faults
    assert fault.path.startswith("agentgpu:charts.")
    assert told in fault.message
    assert fault.hint


def test_without_rendered_values_nothing_is_installed() -> None:
    plan = make_watched_plan()
    silent = plan.model_copy(update={"cluster_objects": plan.cluster_objects.model_copy(update={"helm_values": False})})
    (fault,) = chart_faults(silent, {"keda": CHARTED["keda"]})
    assert "helmValues: false" in fault.message


@pytest.mark.parametrize("make", [make_plan, make_tiered_plan, make_watched_plan, make_grouped_plan, mixed_plan])
def test_charts_serve_all_that_a_plan_needs_of_them(make: Any) -> None:
    """Every API group of the rendered objects is the cluster's own, an operator's that is named, or a chart's."""
    plan = make()
    waiting = {one.needs for one in read_manifests(rendered_once(plan), frozenset()).waiting}
    brought = {group for name in charts_of(plan) for group in CHARTS[name].groups}
    assert {group for group in waiting if group not in OPERATORS} <= brought
    of_charts = {group for chart in CHARTS.values() for group in chart.groups}
    assert waiting & of_charts <= brought


@pytest.mark.parametrize("target", ["spheron", "compose", "skyserve"])
def test_values_and_charts_go_together(target: str) -> None:
    assert helm_values(make_plan(target=target)) == ()
    for plan in (make_watched_plan(), make_grouped_plan()):
        made = {Path(file.path).stem for file in helm_values(plan)}
        assert made <= set(charts_of(plan))


def test_addresses_are_settings_and_no_registry_is_built_in() -> None:
    assert Settings().charts == {}
    assert "oci://" not in json.dumps({name: chart.namespace for name, chart in CHARTS.items()})
