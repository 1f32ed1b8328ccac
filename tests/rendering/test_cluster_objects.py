"""What the spec's ``clusterObjects`` leaves out of the tree, and nothing else."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest
import yaml

from agentgpu_iac.catalog.store import load_catalog
from agentgpu_iac.plan import Plan
from agentgpu_iac.planning.planner import make_plan
from agentgpu_iac.rendering.helm_values import helm_values
from agentgpu_iac.rendering.render import render
from agentgpu_iac.spec.loader import load_text

STACK = """\
apiVersion: agentgpu.dev/v1alpha1
kind: AgentStack
metadata: {name: demo}
spec:
  capacity: {fastBurst: turn-away}
  agents:
    - name: support
      model: Qwen/Qwen3-14B
      sessions: {concurrent: 60}
      traffic: {burstFactor: 20}
"""
SWITCHES = ("disruptionBudgets", "priorityClasses", "topologySpread", "cacheFillers", "helmValues")


def plan(*off: str) -> Plan:
    switched = ", ".join(f"{name}: false" for name in off)
    return make_plan(load_text(STACK + f"  clusterObjects: {{{switched}}}\n", "stack.yaml"), load_catalog())


def found(made: Plan) -> dict[str, set[str]]:
    """Paths of the tree by what a reader would look for in them."""
    files = {file.path: yaml.load(file.content, yaml.CSafeLoader) for file in (*render(made), *helm_values(made))}
    texts = {path: str(content) for path, content in files.items()}
    return {
        "disruptionBudgets": {path for path, content in files.items() if content.get("kind") == "PodDisruptionBudget"},
        "priorityClasses": {path for path, text in texts.items() if "PriorityClass" in text or "priorityClass" in text},
        "topologySpread": {path for path, text in texts.items() if "topologySpreadConstraints" in text},
        "cacheFillers": {path for path, content in files.items() if content.get("kind") == "DaemonSet"},
        "helmValues": {path for path in files if path.startswith("helm-values/")},
    }


@cache
def everything() -> dict[str, set[str]]:
    """What is found where nothing is off."""
    return found(plan())


@pytest.mark.parametrize("off", SWITCHES)
def test_a_switch_leaves_out_what_it_names_and_nothing_else(off: str) -> None:
    assert all(everything().values())
    without = found(plan(off))
    assert {name for name, paths in without.items() if not paths} == {off}


def test_all_may_be_off(tmp_path: Path) -> None:
    assert not any(found(plan(*SWITCHES)).values())
