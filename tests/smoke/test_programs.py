"""The Pulumi programs beside these versions of the SDK, against mocks; and what is said where there is no SDK."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

from agentgpu_iac.catalog.store import load_catalog
from agentgpu_iac.planning.planner import make_plan
from agentgpu_iac.rendering.render import render
from agentgpu_iac.spec.loader import load
from tests.smoke.shell import EXTRAS, ROOT

STACKS = {
    "stacks/customer-service.yaml": ("aws:eks/cluster:Cluster", {"apiAllowedCidrs": '["203.0.113.0/24"]'}),
    "stacks/examples/orchestrator.yaml": ("kubernetes:yaml/v2:ConfigGroup", {}),
    "stacks/examples/qa.yaml": (
        "pulumi-python:dynamic/agentgpu:SpheronMachine",
        {"sshPublicKey": "ssh-ed25519 AAAA", "secrets": json.dumps({"agents-api-key": "a-key-of-the-callers"})},
    ),
}
"""A stack of each target that Pulumi provisions: a resource that it must ask for, and the settings that it needs."""


@pytest.mark.parametrize("path", STACKS)
def test_the_program_asks_for_its_resources(path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if "pulumi" not in EXTRAS:
        main = [sys.executable, ROOT / "stacks" / "__main__.py"]
        done = subprocess.run(main, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout) == (1, "")
        told = "the Pulumi program: needs pulumi, which is not installed (pip install 'agentgpu-iac[pulumi]')\n"
        assert done.stderr == told
        return
    token, settings = STACKS[path]
    pulumi = importlib.import_module("pulumi")
    recording = importlib.import_module("tests.provisioning.recording")
    program = importlib.import_module("agentgpu_iac.provisioning.program")
    plan = make_plan(load(ROOT / path), load_catalog())
    system = () if plan.system_nodes is None else plan.system_nodes.instance_types
    types = (*system, *(kind for pool in plan.node_pools for kind in pool.instance_types))
    monkeypatch.setattr(recording, "SOLD", dict.fromkeys(recording.SOLD, types))

    def deploy() -> None:
        given = {f"agentgpu:{key}": value for key, value in settings.items()}
        pulumi.runtime.set_all_config({"aws:region": "us-east-1", **given}, ["agentgpu:secrets"])
        program.deploy(plan, render(plan), pulumi.Config("agentgpu"))

    assert recording.record(deploy).of(token)
