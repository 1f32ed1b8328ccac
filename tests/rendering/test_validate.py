from __future__ import annotations

import functools
import importlib
from collections.abc import Iterator
from typing import Any

import pytest

from agentgpu_iac.errors import BadInput, MissingExtra
from agentgpu_iac.plan import RenderedFile
from agentgpu_iac.rendering.render import render
from agentgpu_iac.rendering.validate import validate, validation
from tests.plans import make_machines_plan, make_plan
from tests.rendering.trees import PLANS


@pytest.fixture(scope="module", autouse=True)
def _schemas_are_read_once() -> Iterator[None]:
    """The library reads a schema of megabytes anew for each object."""
    library = importlib.import_module("kubernetes_validate.utils")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(library, "schema_contents", functools.cache(library.schema_contents))
        yield


@pytest.mark.broad(every=5)
@pytest.mark.parametrize("version", ["1.34", "1.35", "1.36"])
@pytest.mark.parametrize("plan", PLANS)
def test_manifests_are_valid(plan: str, version: str) -> None:
    files = render(PLANS[plan]())
    assert validate(files, version) == ()


def test_what_has_no_schema_is_named() -> None:
    report = validation(render(make_plan()), "1.36")
    kinds = {entry.split(": ")[1].split()[0] for entry in report.not_checked}
    assert kinds == {"Kustomization", "NodePool", "EC2NodeClass"}
    assert "karpenter/nodepool-demo-baseline-g6e-xlarge.yaml: NodePool demo-baseline-g6e-xlarge" in report.not_checked


@pytest.mark.parametrize(
    ("content", "place"),
    [
        ("apiVersion: v1\nkind: Service\nmetadata: {name: a}\nspec: {ports: [{port: http}]}", "spec.ports.0.port"),
        ("apiVersion: v1\nkind: Service\nmetadata: {name: a}\nspce: {}", ""),
        ("a: [", ""),
        ("just text", ""),
    ],
)
def test_faults_have_a_place(content: str, place: str) -> None:
    (fault,) = validate([RenderedFile(path="a.yaml", content=content.encode())], "1.34")
    assert (fault.source, fault.path) == ("a.yaml", place)


def test_other_files_are_left_alone() -> None:
    assert validation([RenderedFile(path="a.json", content=b"{")], "1.34").not_checked == ()


@pytest.mark.parametrize("version", ["1.99", "2", "latest", "1.4"])
def test_an_unknown_version_is_bad_input(version: str) -> None:
    with pytest.raises(BadInput, match="known: 1"):
        validate([], version)


def test_patch_versions_are_fine() -> None:
    assert validate([], "v1.34.2") == ()


def test_without_the_library_the_error_is_clear(monkeypatch: pytest.MonkeyPatch) -> None:
    real = importlib.import_module

    def missing(name: str, *rest: Any) -> Any:
        if name.startswith("kubernetes_validate"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return real(name, *rest)

    monkeypatch.setattr(importlib, "import_module", missing)
    with pytest.raises(MissingExtra, match=r"pip install 'agentgpu-iac\[validate\]'"):
        validate([], "1.34")


def machine_files(name: str, *changes: tuple[str, str]) -> list[RenderedFile]:
    files = []
    for file in render(make_machines_plan()):
        text = file.content.decode()
        for old, new in changes if file.path == f"hosts/demo-baseline/{name}" else ():
            assert old in text
            text = text.replace(old, new, 1)
        files.append(RenderedFile(path=file.path, content=text.encode()))
    return files


def test_machines_files_are_checked_without_a_version_of_kubernetes() -> None:
    assert validate(render(make_machines_plan()), "none") == ()


@pytest.mark.broad(every=3)
@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("docker-compose.yaml", ("127.0.0.1:20000:8000", "0.0.0.0:20000:8000"), "is published beyond the machine"),
        ("docker-compose.yaml", ("      wait-support:\n", "      wait-nobody:\n"), "there is no service 'wait-nobody'"),
        ("docker-compose.yaml", ("source: ./models.json", "source: ./gone.json"), "there is no file './gone.json'"),
        ("docker-compose.yaml", ("source: prometheus\n", "source: gone\n"), "there is no volume 'gone'"),
        ("docker-compose.yaml", ("services:\n", "services: {a: {}}\nother:\n"), "is missing"),
        ("cloud-init.yaml", ("#cloud-config\n", "# cloud-config\n"), "does not begin with #cloud-config"),
        ("cloud-init.yaml", ("/opt/agentgpu/sysctl.conf", "/opt/agentgpu/other"), "there is no file"),
        ("cloud-init.yaml", ("content: H4sI", "content: H4sJ"), "is not gz+b64"),
        (
            "cloud-init.yaml",
            ("OnBootSec=60", "OnBootSec=61"),
            "is not what 'hosts/demo-baseline/agentgpu-health.timer' holds",
        ),
        ("prometheus.yml", ("global:", "global: ["), "is not YAML"),
    ],
)
def test_a_fault_in_a_machine_s_files_is_found(name: str, change: tuple[str, str], message: str) -> None:
    faults = validate(machine_files(name, change), "none")
    assert message in "\n".join(map(str, faults))
    carried = f"is not what 'hosts/demo-baseline/{name}' holds"
    assert {fault.source for fault in faults if fault.message != carried} == {f"hosts/demo-baseline/{name}"}


def test_a_file_that_is_not_the_one_which_cloud_init_carries_is_found() -> None:
    faults = validate(machine_files("setup.sh", ("set -", "set +")), "none")
    (said,) = map(str, faults)
    assert "hosts/demo-baseline/cloud-init.yaml" in said
    assert "is not what 'hosts/demo-baseline/setup.sh' holds" in said
