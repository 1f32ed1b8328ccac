"""``agentgpu init --pulumi`` in an empty folder, from the wheel: the real engine applies the spec, and then the saved plan."""

from __future__ import annotations

import json

from agentgpu_iac import __version__
from tests.e2e.cluster.control_plane import ControlPlane
from tests.e2e.pulumi.cli import Repository
from tests.e2e.pulumi.kubernetes.scenes import drift, expected, left
from tests.e2e.pulumi.project.conftest import NAME
from tests.e2e.pulumi.project.running import agentgpu, refused


def test_a_repository_from_its_spec_to_a_reviewed_plan_and_to_nothing(
    repository: Repository, equipped_cluster: ControlPlane
) -> None:
    spec = (repository.folder / "agentstack.yaml").read_text(encoding="utf-8")
    objects = expected(spec)
    repository.up()
    assert drift(equipped_cluster, objects) == []
    outputs = repository.outputs()
    assert set(outputs) == {"agentUrls", "cost", "prerequisites", "notApplied", "agentStack"}
    assert outputs["agentStack"] | {"specSha256": "", "catalogVersion": ""} == {
        "name": NAME, "target": "kubernetes", "toolVersion": __version__, "specSha256": "", "catalogVersion": "",
    }  # fmt: skip
    (component,) = (each for each in repository.resources() if each["type"] == "agentgpu:index:AgentStack")
    assert component["outputs"]["agentUrls"] == outputs["agentUrls"]

    agentgpu(repository, "plan", "agentstack.yaml", "-o", "plan.json")
    repository.run("config", "set", "agentgpu:plan", "plan.json")
    repository.run("config", "rm", "agentgpu:spec")
    plan = json.loads((repository.folder / "plan.json").read_text(encoding="utf-8"))
    older = plan | {"provenance": {**plan["provenance"], "toolVersion": "0.0.9"}}
    (repository.folder / "plan.json").write_text(json.dumps(older), encoding="utf-8")
    refused(repository, "was made by agentgpu 0.0.9, and this is")
    (repository.folder / "plan.json").write_text(json.dumps(plan), encoding="utf-8")
    repository.up("--expect-no-changes")

    repository.destroy()
    assert repository.resources() == []
    equipped_cluster.until("all is gone", lambda: not left(equipped_cluster, objects))
