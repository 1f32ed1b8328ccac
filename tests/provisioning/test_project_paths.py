"""Paths in a Pulumi stack's configuration count from the folder of Pulumi.yaml, wherever the program runs."""

from __future__ import annotations

from pathlib import Path

import pulumi
import pytest

from agentgpu_iac.provisioning.aws.settings import Settings as AwsSettings
from agentgpu_iac.provisioning.kubernetes.program import Settings
from agentgpu_iac.provisioning.project_paths import from_project, project_folder


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project whose program lies in a folder of its own."""
    (tmp_path / "stacks").mkdir()
    (tmp_path / "charts" / "keda").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "stacks")
    monkeypatch.setattr(pulumi, "get_root_directory", lambda: str(tmp_path))
    return tmp_path


@pytest.mark.parametrize("settings", [Settings, AwsSettings])
def test_a_chart_lies_where_the_project_file_says(settings: type[Settings] | type[AwsSettings], project: Path) -> None:
    address = "oci://charts.example.org/lws:0.8.0"
    pulumi.runtime.set_all_config({"agentgpu:charts": f'{{"keda": "charts/keda", "lws": "{address}"}}'})
    found = settings.from_config(pulumi.Config("agentgpu")).charts
    assert found == {"keda": "../charts/keda", "lws": address}
    assert Path(found["keda"]).resolve() == project / "charts" / "keda"


def test_so_does_karpenters_and_a_kubeconfig(project: Path) -> None:
    pulumi.runtime.set_all_config(
        {"agentgpu:karpenterChart": "charts/karpenter", "agentgpu:kubeconfig": "access/config"}
    )
    assert AwsSettings.from_config(pulumi.Config("agentgpu")).karpenter_chart == "../charts/karpenter"
    assert Settings.from_config(pulumi.Config("agentgpu")).kubeconfig == Path("../access/config")


def test_where_the_host_does_not_say_the_nearest_project_file_above_counts(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pulumi, "get_root_directory", lambda: None)
    assert from_project("charts/keda") == "charts/keda"
    (project / "Pulumi.yaml").touch()
    assert from_project("charts/keda") == "../charts/keda"
    assert project_folder() == project


def test_what_is_absolute_or_at_home_stays(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/ops")
    assert from_project("/srv/charts/keda") == "/srv/charts/keda"
    assert from_project("~/charts/keda") == "/home/ops/charts/keda"


def test_a_program_beside_its_project_file_names_them_as_they_are_written(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project)
    assert from_project("charts/keda") == "charts/keda"
