"""The policy pack of ``agentgpu pulumi policies``, in an environment of its own, run by the real engine on a foreign program.

Pulumi's released Python host starts a pack with the interpreter of the ``virtualenv`` that PulumiPolicy.yaml names. The host of
this suite is older and cannot: it starts ``python "" ENGINE``. A launcher on the path does then what the released host does.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from agentgpu_iac import __version__
from agentgpu_iac.catalog.store import load_catalog
from tests.e2e.pulumi.aws.plugins import write_plugins
from tests.e2e.pulumi.aws.provider import ENDPOINT_VARIABLE, FOLDER_VARIABLE
from tests.e2e.pulumi.cli import Repository
from tests.e2e.pulumi.kubernetes.scenes import plugins
from tests.e2e.pulumi.project.conftest import environment

POLICIES = ("public-api", "unpriced", "spot-baseline", "unpinned-images", "secrets-in-clear", "budget")
SETTINGS = {"budget": {"usdPerMonth": 100_000}}
KIND = next(
    offer.instance_type.name
    for offer in load_catalog().offerings
    if (offer.provider, offer.region, offer.capacity_type) == ("aws", "us-east-1", "on-demand")
    and offer.usd_per_hour is not None
)

PROGRAM = """
import json
from pathlib import Path

import pulumi

PROVIDERS = {
    "aws": pulumi.ProviderResource("aws", "aws", {"region": "us-east-1"}),
    "kubernetes": pulumi.ProviderResource("kubernetes", "kubernetes", {"renderYamlToDirectory": "rendered"}),
}
for kind, name, inputs in json.loads(Path("resources.json").read_text()):
    provider = PROVIDERS[kind.partition(":")[0]]
    pulumi.CustomResource(kind, name, inputs, pulumi.ResourceOptions(provider=provider))
"""
LAUNCHER = """\
#!/bin/sh
if [ "$#" = 2 ] && [ -z "$1" ]; then
    cd {pack} && exec {interpreter} -u -m pulumi.policy "$2" {pack}
fi
exec {python} "$@"
"""


def resources(*, breaking: bool) -> list[tuple[str, str, dict[str, Any]]]:
    """A program's resources: each policy is broken by one of them, or kept by its twin."""
    credential = {"value": "word"} if breaking else {"valueFrom": {"secretKeyRef": {"name": "hf", "key": "token"}}}
    container = {
        "name": "engine",
        "image": "vllm:latest" if breaking else "vllm:v0.11.0",
        "env": [{"name": "HF_TOKEN"} | credential],
    }
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "engine"}, "spec": {"containers": [container]}}
    access = {"endpointPublicAccess": True, "publicAccessCidrs": ["0.0.0.0/0" if breaking else "203.0.113.0/24"]}

    def group(name: str, kind: str, fewest: int, capacity: str = "ON_DEMAND") -> tuple[str, str, dict[str, Any]]:
        sizes = {"minSize": fewest, "desiredSize": fewest, "maxSize": 500}
        inputs = {"instanceTypes": [kind], "scalingConfig": sizes, "capacityType": capacity}
        return "aws:eks/nodeGroup:NodeGroup", name, inputs | {"amiType": "AL2023_x86_64_NVIDIA"}

    return [
        ("aws:eks/cluster:Cluster", "main", {"vpcConfig": access}),
        group("dear", KIND, 500 if breaking else 1),
        group("spot", KIND, 1 if breaking else 0, "SPOT"),
        group("unknown", "g99.huge" if breaking else KIND, 0),
        ("kubernetes:core/v1:Pod", "engine", pod),
    ]


@pytest.fixture
def guarded(python: Path, wheel: Path, tmp_path: Path) -> Repository:
    """Somebody's program beside the pack, which is written and installed as the docs say."""
    pack = tmp_path / "policies"
    subprocess.run([python.with_name("agentgpu"), "pulumi", "policies", "-o", pack], check=True)
    options = yaml.safe_load((pack / "PulumiPolicy.yaml").read_text(encoding="utf-8"))["runtime"]["options"]
    interpreter = environment(pack / options["virtualenv"], pack / "requirements.txt", wheel)
    path = write_plugins(tmp_path / "path", "aws")
    (path / "pulumi-resource-kubernetes").symlink_to(plugins() / "pulumi-resource-kubernetes")
    for name in ("python", "python3"):
        (path / name).write_text(LAUNCHER.format(pack=pack, interpreter=interpreter, python=python), encoding="utf-8")
        (path / name).chmod(0o755)
    folder = tmp_path / "repository"
    folder.mkdir()
    (folder / "Pulumi.yaml").write_text("{name: foreign, runtime: python}", encoding="utf-8")
    (folder / "__main__.py").write_text(PROGRAM, encoding="utf-8")
    (folder / "settings.json").write_text(json.dumps(SETTINGS), encoding="utf-8")
    found = Repository(folder, tmp_path / "home", python=python, plugins=path)
    found.environment |= {FOLDER_VARIABLE: str(tmp_path), ENDPOINT_VARIABLE: "http://127.0.0.1:9"}
    found.run("stack", "init", "dev")
    return found


def test_a_program_is_refused_by_the_name_of_each_policy_and_its_twin_passes(guarded: Repository) -> None:
    pack = ("--policy-pack", "../policies", "--policy-pack-config", "settings.json")
    resources_of_program = guarded.folder / "resources.json"
    resources_of_program.write_text(json.dumps(resources(breaking=True)), encoding="utf-8")
    said = guarded.run("preview", *pack, expect=None)
    assert said.code != 0, said.text
    assert {name: said.text.count(f"[mandatory]  {name}  (") for name in POLICIES} == dict.fromkeys(POLICIES, 1)
    assert guarded.run("up", "--yes", *pack, expect=None).code != 0
    assert not [each for each in guarded.resources() if not each["type"].startswith("pulumi:")]

    resources_of_program.write_text(json.dumps(resources(breaking=False)), encoding="utf-8")
    said = guarded.run("preview", *pack)
    assert f"✅ agentgpu@v{__version__}" in said.text
    assert "[mandatory]" not in said.text
