"""The component provider on the real engine: the schema that ``pulumi package add`` reads."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

from agentgpu_iac import __version__
from agentgpu_iac.pulumi.provider import Components
from tests.e2e.pulumi.cli import Project
from tests.e2e.pulumi.kubernetes.scenes import stack

PROVIDER = Path(sys.executable).with_name("pulumi-resource-agentgpu")
NAME = "foreign"


def test_the_engine_reads_the_schema(project: Callable[[str], Project]) -> None:
    pulumi = project(stack(NAME))
    schema = json.loads(pulumi.run("package", "get-schema", str(PROVIDER)).stdout)
    ours = json.loads(Components().schema or "")
    assert (schema["name"], schema["version"]) == ("agentgpu", __version__)
    assert schema["resources"].keys() == ours["resources"].keys()
    for name, one in schema["resources"].items():
        assert one["inputProperties"].keys() == ours["resources"][name]["inputProperties"].keys()
