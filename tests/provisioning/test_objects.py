"""What Pulumi applies is what ``kubectl apply -k`` of the same overlay would, or what tells a GitOps tool to do it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import yaml

from agentgpu_iac.plan import RenderedFile
from agentgpu_iac.provisioning.aws.program import deploy
from agentgpu_iac.provisioning.manifests import read_manifests
from tests.plans import make_watched_plan
from tests.provisioning.recording import Recording, record
from tests.provisioning.scenes import CHOICES, SETTINGS, handed_over_plan, mixed_plan, scene
from tests.rendered import rendered_once

GROUP = "kubernetes:yaml/v2:ConfigGroup"
GROUPS = frozenset({"keda.sh", "monitoring.coreos.com", "nvidia.com", "argoproj.io"})


def identity(content: dict[str, Any]) -> tuple[str, str, str]:
    return content["apiVersion"], content["kind"], content["metadata"]["name"]


def everything(files: tuple[RenderedFile, ...], *without: str) -> dict[tuple[str, str, str], dict[str, Any]]:
    """Every object of the tree but those of some folders."""
    found = (
        yaml.load(file.content, yaml.CSafeLoader)
        for file in files
        if file.path.endswith(".yaml") and file.path.partition("/")[0] not in without
    )
    return {identity(one): one for one in found if one["kind"] != "Kustomization" or "metadata" in one}


def applied(recording: Recording) -> dict[tuple[str, str, str], dict[str, Any]]:
    """Every object that Pulumi was asked to make in the cluster."""
    (group,) = recording.of(GROUP)
    single = [one.inputs for one in recording.resources if one.token.startswith("kubernetes:")]
    return {identity(one): one for one in (*group.inputs["objs"], *single) if "apiVersion" in one}


@pytest.mark.broad(every=2)
@pytest.mark.parametrize("nodes", ["node-groups", "karpenter"])
@pytest.mark.parametrize("make", [mixed_plan, make_watched_plan], ids=["shared", "watched"])
def test_all_of_the_overlay_is_applied_and_nothing_else(make: Any, nodes: str) -> None:
    plan = make()
    files = rendered_once(plan)
    settings = replace(
        SETTINGS, nodes=nodes, karpenter_chart="oci://charts.invalid/karpenter", installed_api_groups=GROUPS
    )
    recording = record(lambda: deploy(plan, files, settings))
    without = ("overlays",) if nodes == "karpenter" else ("overlays", "karpenter")
    assert applied(recording) == everything(files, *without)
    assert recording.outputs["notApplied"] == []


def test_an_object_in_the_namespace_of_an_operator_waits_for_it() -> None:
    files = rendered_once(mixed_plan())
    (waiting,) = (one for one in read_manifests(files, frozenset()).waiting if one.api_group == "")
    assert str(waiting) == "ConfigMap demo-device-plugin (v1)"
    recording = scene("karpenter and groups")
    assert str(waiting) in recording.outputs["notApplied"]
    told = [one for one in recording.outputs["prerequisites"] if "nvidia.com" in one and "share-2" in one]
    assert len(told) == 1
    assert "where agentgpu:installedApiGroups has nvidia.com" in told[0]


def test_a_gitops_tool_is_told_and_pulumi_applies_nothing_else() -> None:
    plan, _ = CHOICES["handed over"]
    files = rendered_once(plan())
    told = {path: one for path, one in everything(files).items() if path[1] == "Application"}
    assert len(told) == 1
    assert applied(scene("handed over")) == told


@pytest.mark.parametrize(
    ("tool", "group", "kinds"),
    [
        ("argocd", "argoproj.io", ["Application"]),
        ("flux", "kustomize.toolkit.fluxcd.io", ["GitRepository", "Kustomization"]),
    ],
)
def test_a_tool_that_is_not_there_yet_is_a_prerequisite(tool: Any, group: str, kinds: list[str]) -> None:
    plan = handed_over_plan(tool=tool)
    recording = record(lambda: deploy(plan, rendered_once(plan), SETTINGS))
    assert applied(recording) == {}
    assert [one.split()[0] for one in recording.outputs["notApplied"]] == kinds
    sentences = [one for one in recording.outputs["prerequisites"] if f"serves {group} " in one]
    assert len(sentences) == 1
    assert "add the group to agentgpu:installedApiGroups and run pulumi up again" in sentences[0]


def test_operators_that_the_tool_needs_are_prerequisites_as_well() -> None:
    plan = make_watched_plan().model_copy(update={"gitops": handed_over_plan().gitops})
    recording = record(lambda: deploy(plan, rendered_once(plan), SETTINGS))
    told = "\n".join(recording.outputs["prerequisites"])
    assert "serves keda.sh (ScaledObject); without it the GitOps tool cannot apply the stack" in told
    assert not any("ScaledObject" in one for one in recording.outputs["notApplied"])


def test_with_a_gitops_tool_pulumi_installs_karpenter_and_leaves_its_objects_to_the_tool() -> None:
    recording = scene("handed over with karpenter")
    assert len(recording.of("kubernetes:helm.sh/v3:Release")) == 1
    assert {one.token for one in recording.resources if one.token.startswith("kubernetes:karpenter")} == set()
    assert "karpenter" not in "".join(one for one in recording.outputs["prerequisites"] if "serves" in one)
