"""Three tiny models, planned and rendered as a stack, and a real engine for each of its pods."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from agentgpu_iac.catalog.store import load_catalog
from agentgpu_iac.planning.plan import Plan
from agentgpu_iac.planning.planner import make_plan
from agentgpu_iac.spec.loader import load
from tests.e2e.engine.pods import EnginePod, engine_pods
from tests.e2e.engine.serving import Engine
from tests.e2e.processes import PATIENCE_S
from tools.install import path as tool

SHAPES = {"gqa": (4, 2), "mha": (4, 4), "mqa": (4, 1)}
"""Attention heads and KV heads of the agents' models."""

STACK = """\
apiVersion: agentgpu.dev/v1alpha1
kind: AgentStack
metadata: {name: tiny}
spec:
  capacity: {shareAccelerators: never}
  agents:
    - name: gqa  # answers may be so long that none ends while a test looks
      model: FOLDER/gqa/config.json
      sessions: {concurrent: 4}
      conversation: {maxContextTokens: 65536}
    - name: mha  # long answers: a drain has time
      model: FOLDER/mha/config.json
      sessions: {concurrent: 4}
      conversation: {maxContextTokens: 8192, outputTokensPerTurn: 1000}
    - name: mqa  # short answers: a drain has little; 200 ms: no edge of the engine's own
      model: FOLDER/mqa/config.json
      latencyClass: voice
      sessions: {concurrent: 4}
      conversation: {maxContextTokens: 65536, outputTokensPerTurn: 50}
"""

ENGINES = pytest.StashKey[list[Engine]]()


@dataclass(frozen=True, slots=True, kw_only=True)
class TinyStack:
    """A stack whose models are here."""

    folder: Path
    plan: Plan
    pods: dict[str, EnginePod]
    models: Path
    """What the pods see as their models' folder."""


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> TinyStack:
    folder = tmp_path_factory.mktemp("stack")
    words = [word for name, heads in SHAPES.items() for word in (str(folder / name), *map(str, heads))]
    command = [tool("vllm-python"), Path(__file__).with_name("make_model.py"), *words]
    made = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    assert made.returncode == 0, made.stderr
    spec = folder / "stack.yaml"
    spec.write_text(STACK.replace("FOLDER", str(folder)), encoding="utf-8")
    plan = make_plan(load(spec), load_catalog())
    models = folder / "models"
    models.mkdir()
    for one in plan.workloads:
        (folder / one.agent).rename(models / one.model_cache.path)
        (folder / one.agent).symlink_to(models / one.model_cache.path)
    return TinyStack(folder=folder, plan=plan, pods={pod.owner: pod for pod in engine_pods(plan)}, models=models)


@pytest.fixture(scope="session")
def engines(stack: TinyStack, request: pytest.FixtureRequest) -> Iterator[dict[str, Engine]]:
    """All three, ready. They start together: one waits for files while another computes."""
    programs = tool("vllm").parent
    running = request.config.stash.setdefault(ENGINES, [])
    try:
        for name, pod in stack.pods.items():
            running.append(Engine(pod, stack.models, stack.folder / f"pod-{name}", programs))
        starting = running
        while starting := [engine for engine in starting if not engine.is_ready()]:
            time.sleep(0.2)
        for engine in running:
            engine.put_server_first()
        yield dict(zip(stack.pods, running, strict=True))
    finally:
        for engine in running:
            engine.terminate()
        for engine in running:
            engine.stop()


@pytest.fixture
def gqa(engines: dict[str, Engine]) -> Engine:
    return engines["gqa"]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Any:
    report = yield
    if report.failed:
        for engine in item.config.stash.get(ENGINES, []):
            report.sections.append((f"log of engine {engine.pod.owner}", engine.log_tail()))
    return report
