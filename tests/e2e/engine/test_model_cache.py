"""The init container of an engine's pod lets it start once the model is there, and not before."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

from agentgpu_iac.rendering.render import render
from tests.e2e import processes
from tests.e2e.engine.conftest import TinyStack
from tests.e2e.engine.pods import objects
from tests.e2e.processes import PATIENCE_S


def test_the_wait_ends_with_the_models_marker(stack: TinyStack, tmp_path: Path) -> None:
    pod = stack.pods["gqa"]
    (init,) = pod.template["initContainers"]
    scripts = next(each for each in pod.template["volumes"] if each["name"] == "scripts")["configMap"]["name"]
    config_map = next(
        each
        for each in objects(render(stack.plan))
        if (each["kind"], each["metadata"]["name"]) == ("ConfigMap", scripts)
    )
    python, script, *words = init["command"]
    assert python == "python3"
    here = tmp_path / Path(script).name
    for name, content in config_map["data"].items():
        here.with_name(name).write_text(content, encoding="utf-8")
    command = [
        sys.executable,
        here,
        *(f"--root={stack.models}" if word.startswith("--root=") else word for word in words),
    ]
    planned = next(one.model_cache for one in stack.plan.workloads if one.agent == "gqa")
    with processes.start(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as waiting:
        assert waiting.stdout is not None
        assert "waiting until" in waiting.stdout.readline()
        time.sleep(0.5)
        assert waiting.poll() is None
        marker = stack.models / f"{planned.path}.complete"
        marker.write_text(json.dumps({"revision": planned.revision}), encoding="utf-8")
        assert waiting.wait(timeout=PATIENCE_S) == 0
        processes.end(waiting)
    assert pod.args[0].endswith(f"/{planned.path}")
    assert (stack.models / planned.path / "model.safetensors").is_file()
