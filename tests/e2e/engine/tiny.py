"""Stacks whose models are so small that a CPU serves them."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path

from agentgpu_iac.catalog.store import load_catalog
from agentgpu_iac.plan import Plan
from agentgpu_iac.planning.planner import make_plan
from agentgpu_iac.spec.loader import load
from tests.e2e.processes import PATIENCE_S
from tools.install import path as tool


def tiny_plan(folder: Path, text: str, shapes: Mapping[str, tuple[int, int]]) -> tuple[Plan, Path]:
    """Plan a stack with a model of random weights for each agent, and make what its machines see as their models' folder.

    ``shapes`` has the attention heads and KV heads of each agent's model; FOLDER in the text is where the models are.
    """
    words = [word for name, heads in shapes.items() for word in (str(folder / name), *map(str, heads))]
    command = [tool("vllm-python"), Path(__file__).with_name("make_model.py"), *words]
    made = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    assert made.returncode == 0, made.stderr
    spec = folder / "stack.yaml"
    spec.write_text(text.replace("FOLDER", str(folder)), encoding="utf-8")
    plan = make_plan(load(spec), load_catalog())
    models = folder / "models"
    models.mkdir()
    for one in plan.workloads:
        (folder / one.agent).rename(models / one.model_cache.path)
        (folder / one.agent).symlink_to(models / one.model_cache.path)
    return plan, models
