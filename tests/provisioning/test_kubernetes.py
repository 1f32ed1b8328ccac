"""The program for a cluster that is there: what it applies, where, and what it tells."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pulumi
import pytest

from agentgpu_iac.errors import BadInput, OutsideFailure
from agentgpu_iac.plan import NamedSecret
from agentgpu_iac.provisioning.kubernetes import program
from agentgpu_iac.provisioning.kubernetes.program import Settings, deploy
from tests.plans import make_plan, make_security, make_tiered_plan
from tests.provisioning.recording import Recording, record
from tests.provisioning.scenes import FILES, handed_over_plan, shared_plan
from tests.rendered import rendered_once

GROUP = "kubernetes:yaml/v2:ConfigGroup"
PROVIDER = "pulumi:providers:kubernetes"
PLAN = make_tiered_plan().model_copy(update={"target": "kubernetes"})


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Recording:
    """What the tiered plan asks for, with a kubeconfig and a context of one's own."""
    kubeconfig = tmp_path_factory.mktemp("home") / "kubeconfig"
    kubeconfig.write_text("contexts: [{name: prod}]\nusers: [{user: {token: sesame}}]")
    return record(lambda: deploy(PLAN, FILES, Settings(kubeconfig=kubeconfig, context="prod")))


def test_nothing_is_made_but_the_objects(recording: Recording) -> None:
    assert {one.token for one in recording.resources} == {"agentgpu:kubernetes:Serving", PROVIDER, GROUP}
    (group,) = recording.of(GROUP)
    assert [one["kind"] for one in group.inputs["objs"]] == ["Namespace", "Deployment", "Service"]


def test_they_are_applied_server_side_to_the_cluster_that_was_named(recording: Recording) -> None:
    (provider,) = recording.of(PROVIDER)
    assert provider.inputs["kubeconfig"].endswith("/kubeconfig")
    assert provider.inputs["context"] == "prod"
    assert provider.inputs["enableServerSideApply"] == "true"
    assert not any("sesame" in text for _, text in recording.strings())


def test_without_settings_the_cluster_is_the_one_that_kubectl_would_use() -> None:
    (provider,) = record(lambda: deploy(PLAN, FILES)).of(PROVIDER)
    assert provider.inputs.get("kubeconfig") == os.environ.get("KUBECONFIG"), "which the provider reads by itself"
    assert "context" not in provider.inputs


def test_outputs(recording: Recording) -> None:
    assert set(recording.outputs) == {"agentUrls", "cost", "prerequisites", "notApplied"}
    assert recording.outputs["agentUrls"] == {"support": "http://support.demo.svc.cluster.local:8000/v1"}
    assert recording.outputs["cost"]["baselineUsdPerMonth"] == "1339.92"
    assert "Nothing is bought here" in recording.outputs["cost"]["excludes"]
    assert recording.outputs["notApplied"] == ["ScaledObject support (keda.sh/v1alpha1)"]


def test_prerequisites_begin_with_the_nodes(recording: Recording) -> None:
    baseline, burst, plugin, operator = recording.outputs["prerequisites"]
    assert baseline.startswith(
        "1 x g6e.xlarge (1 x l40s) with the label agentgpu.dev/node-pool=demo-baseline-g6e-xlarge"
    )
    assert "/mnt/k8s-disks/0/models that belongs to 2000:2000; without them" in baseline
    assert burst.startswith("0 to 3 x g6e.xlarge")
    assert "autoscaler" in burst
    assert plugin.startswith("NVIDIA device plugin")
    assert "keda.sh (ScaledObject)" in operator


def test_prerequisites_name_secrets_namespaces_and_sharing() -> None:
    secrets = tuple(
        NamedSecret(name=name, key="key", purpose="is what callers send", store_key=store)
        for name, store in (("mine", None), ("stored", "agents/stored"))
    )
    plan = shared_plan().model_copy(update={"target": "kubernetes", "security": make_security(secrets=secrets)})
    elsewhere = FILES[3].content.replace(b"namespace: demo", b"namespace: gateways")
    files = tuple(replace(file, content=elsewhere) if file is FILES[3] else file for file in FILES)
    told = "\n".join(record(lambda: deploy(plan, files)).outputs["prerequisites"])
    assert "the Secret mine with the key key in the namespace demo (is what callers send)" in told
    assert "stored" not in told
    assert "the namespace gateways, in which other tools look for their objects" in told
    assert "configuration share-2" in told


def test_the_rendered_tree_of_the_target_is_applied_whole() -> None:
    files = rendered_once(PLAN)
    (group,) = record(lambda: deploy(PLAN, files)).of(GROUP)
    assert len(group.inputs["objs"]) == len([file for file in files if file.path.startswith("base/")]) - 1


def test_a_gitops_tool_applies_all_but_what_tells_it_so() -> None:
    plan = handed_over_plan().model_copy(update={"target": "kubernetes"})
    settings = Settings(installed_api_groups=frozenset({"argoproj.io"}))
    recording = record(lambda: deploy(plan, rendered_once(plan), settings))
    (group,) = recording.of(GROUP)
    assert group.inputs["objs"] == []
    assert [one.inputs["kind"] for one in recording.of("kubernetes:argoproj.io/v1alpha1:Application")] == [
        "Application"
    ]
    told = "\n".join(recording.outputs["prerequisites"])
    assert "the namespace argocd, in which other tools look for their objects" in told


def refused(settings: Settings) -> list[str]:
    """What a plan of another target is told besides, with nothing made."""
    told: list[str] = []

    def program() -> None:
        with pytest.raises(BadInput) as refusal:
            deploy(make_plan(), FILES, settings)
        told.extend(map(str, refusal.value.faults))

    assert record(program).resources == []
    assert told.pop().startswith("plan: target: the Pulumi program for clusters carries out plans for 'kubernetes'")
    return told


def test_all_faults_are_told_at_once_and_nothing_is_made(tmp_path: Path) -> None:
    (fault,) = refused(Settings(kubeconfig=tmp_path / "none"))
    assert f"agentgpu:kubeconfig: there is no file {tmp_path / 'none'}" in fault


@pytest.mark.parametrize(
    ("content", "hint"),
    [
        ("contexts: [{name: production}]", "did you mean 'production'?"),
        ("contexts: [{name: a}, {name: b}]", "it has a, b"),
        ("{", "it has none"),
    ],
)
def test_a_context_that_the_kubeconfig_does_not_have(tmp_path: Path, content: str, hint: str) -> None:
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(content)
    (fault,) = refused(Settings(kubeconfig=kubeconfig, context="productoin"))
    assert f"agentgpu:context: there is no context 'productoin' in {kubeconfig} ({hint})" in fault


def test_settings_come_from_the_pulumi_stack(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pulumi, "get_root_directory", lambda: ".")
    pulumi.runtime.set_all_config(
        {
            "agentgpu:kubeconfig": "~/.kube/prod",
            "agentgpu:context": "prod",
            "agentgpu:installedApiGroups": '["keda.sh"]',
            "agentgpu:charts": '{"keda": "charts/keda"}',
        }
    )
    assert Settings.from_config(pulumi.Config("agentgpu")) == Settings(
        kubeconfig=Path.home() / ".kube" / "prod",
        context="prod",
        installed_api_groups=frozenset({"keda.sh"}),
        charts={"keda": "charts/keda"},
    )
    pulumi.runtime.set_all_config({})
    assert Settings.from_config(pulumi.Config("agentgpu")) == Settings()


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        ("is there and is not ours", "the namespace demo is there and is not ours. What to do: rename the stack; "),
        (None, None),
        (
            OutsideFailure("it does not answer"),
            "whether the namespace demo belongs to somebody else could not be asked: ",
        ),
    ],
)
def test_a_namespace_that_would_be_taken_over_is_told_in_a_preview(
    monkeypatch: pytest.MonkeyPatch, answer: Exception | str | None, told: str | None
) -> None:
    said: list[str] = []

    def standing(_cluster: object, stack: str) -> str | None:
        assert stack == "demo"
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(program, "connect", lambda *_, **__: None)
    monkeypatch.setattr(program, "standing", standing)
    monkeypatch.setattr(pulumi.log, "warn", said.append)
    record(lambda: deploy(PLAN, FILES))
    if told is None:
        assert said == []
    else:
        assert said[0].startswith(told)


def test_a_cluster_that_cannot_be_asked_is_told_and_not_taken_for_empty(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setattr(pulumi.log, "warn", said.append)
    record(lambda: deploy(PLAN, FILES))
    assert said[0].startswith("whether the namespace demo belongs to somebody else could not be asked: ")
