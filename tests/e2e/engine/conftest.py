"""Three tiny models, planned and rendered as a stack, and a real engine for each of its pods."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from agentgpu_iac.plan import Plan
from tests.e2e.engine.pods import EnginePod, engine_pods
from tests.e2e.engine.serving import Engine, until_ready
from tests.e2e.engine.tiny import tiny_plan
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
    plan, models = tiny_plan(folder, STACK, SHAPES)
    return TinyStack(folder=folder, plan=plan, pods={pod.owner: pod for pod in engine_pods(plan)}, models=models)


@pytest.fixture(scope="session")
def engines(stack: TinyStack, request: pytest.FixtureRequest) -> Iterator[dict[str, Engine]]:
    """All three, ready. They start together: one waits for files while another computes."""
    programs = tool("vllm").parent
    running = request.config.stash.setdefault(ENGINES, [])
    try:
        for name, pod in stack.pods.items():
            running.append(Engine(pod, stack.models, stack.folder / f"pod-{name}", programs))
        until_ready(running)
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
