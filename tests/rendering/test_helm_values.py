from __future__ import annotations

from typing import Any

import pytest
import yaml

from agentgpu_iac import plan as p
from agentgpu_iac.rendering.helm_values import helm_values
from agentgpu_iac.rendering.render import render
from tests.plans import make_plan
from tests.rendering.trees import make_shared_plan, tree

TOLERATION = {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}


def values(plan: p.Plan) -> dict[str, Any]:
    return {file.path: yaml.load(file.content, yaml.CSafeLoader) for file in helm_values(plan)}


def test_the_driver_is_left_to_images_that_bring_it() -> None:
    on_eks = values(make_plan())["helm-values/gpu-operator.yaml"]
    assert (on_eks["driver"], on_eks["toolkit"]) == ({"enabled": False}, {"enabled": False})
    assert not {"driver", "toolkit"} & set(values(make_plan(target="kubernetes"))["helm-values/gpu-operator.yaml"])


def test_both_charts_reach_tainted_nodes() -> None:
    made = values(make_plan())
    assert made["helm-values/gpu-operator.yaml"]["daemonsets"]["tolerations"] == [TOLERATION]
    plugin = made["helm-values/nvidia-device-plugin.yaml"]
    assert plugin["tolerations"] == [TOLERATION]
    (term,) = plugin["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"]
    assert term["matchExpressions"] == [{"key": "agentgpu.dev/node-pool", "operator": "Exists"}]


def test_shared_accelerators_are_configured_by_the_rendered_map() -> None:
    plan = make_shared_plan()
    body = tree(plan)["device-plugin/configmap-demo-device-plugin.yaml"]
    made = values(plan)
    for config in (
        made["helm-values/gpu-operator.yaml"]["devicePlugin"]["config"],
        made["helm-values/nvidia-device-plugin.yaml"]["config"],
    ):
        assert config["name"] == body["metadata"]["name"]
        assert config["default"] in body["data"]
    assert "config" not in values(make_plan())["helm-values/nvidia-device-plugin.yaml"]


@pytest.mark.parametrize("target", ["spheron", "compose", "skyserve"])
def test_other_targets_have_no_charts(target: str) -> None:
    assert helm_values(make_plan(target=target)) == ()


def test_values_are_no_manifests() -> None:
    assert not any(file.path.startswith("helm-values/") for file in render(make_plan()))


def test_what_counts_errors_and_what_replaces_ill_nodes_follow_the_spec() -> None:
    plan = make_plan()
    watching = plan.watching.model_copy(update={"node_health": "eks-agent", "monitors": "prometheus-operator"})
    watched = {file.path: file.content.decode() for file in helm_values(plan.model_copy(update={"watching": watching}))}
    karpenter = yaml.safe_load(watched["helm-values/karpenter.yaml"])
    assert karpenter == {"settings": {"featureGates": {"nodeRepair": True}}}
    exporter = yaml.safe_load(watched["helm-values/dcgm-exporter.yaml"])
    assert exporter["serviceMonitor"] == {"enabled": True, "interval": "15s"}
    assert exporter["tolerations"][0]["key"] == "nvidia.com/gpu"
    operator = yaml.safe_load(watched["helm-values/gpu-operator.yaml"])
    assert operator["dcgmExporter"] == {"serviceMonitor": exporter["serviceMonitor"]}, "its own exporter is scraped too"
    labelled = watching.model_copy(update={"labels": {"release": "prom"}})
    made = values(plan.model_copy(update={"watching": labelled}))
    monitor = made["helm-values/gpu-operator.yaml"]["dcgmExporter"]["serviceMonitor"]
    assert monitor == made["helm-values/dcgm-exporter.yaml"]["serviceMonitor"]
    assert monitor["additionalLabels"] == {"release": "prom"}
    none = plan.watching.model_copy(update={"accelerators": "none"})
    paths = {file.path for file in helm_values(plan.model_copy(update={"watching": none}))}
    assert not {"helm-values/dcgm-exporter.yaml", "helm-values/karpenter.yaml"} & paths
    assert "dcgmExporter" not in values(plan.model_copy(update={"watching": none}))["helm-values/gpu-operator.yaml"]
