"""Objects of operators are applied once their API groups are named, and told as waiting before."""

from __future__ import annotations

from collections.abc import Callable

from tests.e2e.cluster.control_plane import ControlPlane
from tests.e2e.cluster.trees import identity, tree_of_text
from tests.e2e.pulumi.cli import Project
from tests.e2e.pulumi.kubernetes.scenes import drift, is_built_in, left, planned, stack

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
