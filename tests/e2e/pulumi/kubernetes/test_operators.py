"""Objects of operators are applied once their API groups are named, and told as waiting before."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from tests.e2e.cluster.control_plane import ControlPlane
from tests.e2e.cluster.trees import identity, tree_of_text
from tests.e2e.pulumi.cli import Project
from tests.e2e.pulumi.kubernetes.scenes import drift, is_built_in, left, planned, stack
from tools.install import path as tool

SECURITY = "security: {apiKeySecret: engine-key, externalSecrets: {store: vault, kind: ClusterSecretStore}}"


GITOPS = "gitops: {tool: argocd, repository: 'https://git.example.org/platform/agents.git', path: stacks/handed}"


def test_a_gitops_tool_is_told_of_the_stack_and_applies_the_rest(
    equipped_cluster: ControlPlane, project: Callable[[str], Project]
) -> None:
    spec = stack("handed", extra=GITOPS)
    objects = {identity(each): each for each in tree_of_text(spec).objects}
    told = {key: each for key, each in objects.items() if key == ("Application", "argocd", "handed")}
    pulumi = project(spec)
    pulumi.run("config", "set", "--path", "agentgpu:installedApiGroups[0]", "argoproj.io")
    equipped_cluster.add_namespace("argocd")
    pulumi.up()
    assert left(equipped_cluster, objects) == list(told)
    assert drift(equipped_cluster, told) == []
    prerequisites = "\n".join(pulumi.outputs()["prerequisites"])
    assert "the namespace argocd, in which other tools look for their objects" in prerequisites
    assert "monitoring.coreos.com (PodMonitor, PrometheusRule); without it the GitOps tool cannot" in prerequisites
    pulumi.destroy()
    assert not left(equipped_cluster, objects)


def test_objects_of_operators_come_with_their_groups_and_go_with_the_stack(
    equipped_cluster: ControlPlane, project: Callable[[str], Project]
) -> None:
    spec = stack("operators", method="keda", extra=SECURITY)
    every = {identity(each): each for each in tree_of_text(spec).objects}
    waiting = {key: each for key, each in every.items() if not is_built_in(each)}
    groups = sorted({each["apiVersion"].partition("/")[0] for each in waiting.values()})
    assert groups == ["external-secrets.io", "keda.sh", "monitoring.coreos.com"]

    pulumi = project(spec)
    pulumi.up()
    outputs = pulumi.outputs()
    assert sorted(outputs["notApplied"]) == sorted(
        f"{each['kind']} {each['metadata']['name']} ({each['apiVersion']})" for each in waiting.values()
    )
    told = "\n".join(outputs["prerequisites"])
    assert all(f"the operator that serves {group}" in told for group in groups)
    assert not left(equipped_cluster, waiting)

    for place, group in enumerate(groups):
        pulumi.run("config", "set", "--path", f"agentgpu:installedApiGroups[{place}]", group)
    assert planned(pulumi) == {"create": set(waiting)}
    pulumi.up()
    assert drift(equipped_cluster, every) == []
    assert pulumi.outputs()["notApplied"] == []
    pulumi.up("--expect-no-changes")

    pulumi.destroy()
    equipped_cluster.until("nothing of ours is left", lambda: not left(equipped_cluster, every))


@pytest.fixture
def without_keda(equipped_cluster: ControlPlane) -> Iterator[None]:
    """The cluster knows nothing of KEDA for a while."""
    definitions = [f"crd/{kind}.keda.sh" for kind in ("scaledobjects", "triggerauthentications")]
    equipped_cluster.kubectl("delete", "--ignore-not-found", *definitions)
    yield
    equipped_cluster.install_crds()


def chart_of_keda(folder: Path) -> Path:
    """A chart that brings KEDA's own definitions, and says what it was told."""
    (folder / "crds").mkdir(parents=True)
    (folder / "templates").mkdir()
    (folder / "Chart.yaml").write_text("apiVersion: v2\nname: keda\nversion: 2.18.0\n", "utf-8")
    for file in tool("crds").glob("*.yaml"):
        if kept := [one for one in yaml.safe_load_all(file.read_text("utf-8")) if is_of_keda(one)]:
            (folder / "crds" / file.name).write_text(yaml.safe_dump_all(kept), "utf-8")
    told = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: told}\ndata: {values: {{ .Values | toJson | quote }}}\n"
    (folder / "templates" / "told.yaml").write_text(told, "utf-8")
    return folder


def is_of_keda(body: object) -> bool:
    return isinstance(body, dict) and body.get("spec", {}).get("group") == "keda.sh"


def test_a_chart_and_the_objects_that_it_serves_come_in_one_up(
    equipped_cluster: ControlPlane, project: Callable[[str], Project], without_keda: None
) -> None:
    spec = stack("charted", method="keda")
    scaled = {identity(each): each for each in tree_of_text(spec).objects if "keda.sh" in each["apiVersion"]}
    assert scaled
    pulumi = project(spec)
    chart_of_keda(pulumi.folder / "charts" / "keda")
    pulumi.run("config", "set", "--path", "agentgpu:charts.keda", "charts/keda")
    assert set(scaled) <= planned(pulumi)["create"], "a preview shows what no cluster knows yet"
    pulumi.up()
    assert drift(equipped_cluster, scaled) == []
    told = equipped_cluster.get("/api/v1/namespaces/keda/configmaps/told")
    assert told["data"]["values"] == "{}"
    assert not any("keda.sh" in one for one in pulumi.outputs()["notApplied"])
    pulumi.up("--expect-no-changes")

    pulumi.destroy()
    equipped_cluster.until("nothing of ours is left", lambda: not left(equipped_cluster, scaled))
