"""The LangGraph example calls two agents, one of them with a tool, on real engines, by the module that ``endpoints`` prints."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from agentgpu_iac.plan.endpoints import endpoints
from agentgpu_iac.rendering.langgraph import module
from tests.e2e.engine.pods import engine_pods
from tests.e2e.engine.serving import Engine, until_ready
from tests.e2e.engine.tiny import tiny_plan
from tests.e2e.processes import PATIENCE_S
from tools.install import path as tool

EXAMPLE = Path(__file__).parents[3] / "examples" / "langgraph"

STACK = """\
apiVersion: agentgpu.dev/v1alpha1
kind: AgentStack
metadata: {name: travel-desk}
spec:
  target: kubernetes
  capacity: {shareAccelerators: never}
  agents:
    - name: desk
      model: Qwen/Qwen3-0.6B
      sessions: {concurrent: 2}
      conversation: {maxContextTokens: 8192}
    - name: writer
      model: Qwen/Qwen3-4B
      sessions: {concurrent: 2}
      conversation: {maxContextTokens: 8192}
"""

# Random weights at temperature 0 fill the white space that JSON allows until no token is left.
RUN = """\
import json
from app import graph
from langchain_core.messages import HumanMessage
done = graph("talk-1", max_tokens=1500, temperature=1, seed=1).invoke({"messages": [HumanMessage("Is it warm in Lisbon?")]})
print(json.dumps([[each.type, str(each.content), getattr(each, "tool_calls", [])] for each in done["messages"]]))
"""


@pytest.fixture(scope="module")
def urls(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, dict[str, str]]]:
    """The module for LangGraph, and where the two engines are here."""
    folder = tmp_path_factory.mktemp("langgraph")
    plan, models = tiny_plan(folder, STACK, {"desk": (4, 2), "writer": (4, 2)})
    running: list[Engine] = []
    try:
        for pod in engine_pods(plan):
            running.append(Engine(pod, models, folder / f"pod-{pod.owner}", tool("vllm").parent))
        until_ready(running)
        here = {f"{each.pod.owner.upper()}_BASE_URL": f"http://127.0.0.1:{each.port}/v1" for each in running}
        yield module(plan.stack, endpoints(plan)), here
    finally:
        for engine in running:
            engine.terminate()
        for engine in running:
            engine.stop()


def test_the_example_calls_two_agents_and_a_tool(urls: tuple[str, dict[str, str]], tmp_path: Path) -> None:
    text, addresses = urls
    (tmp_path / "models.py").write_text(text)
    done = subprocess.run(
        [tool("langgraph-python"), "-c", RUN], cwd=tmp_path, capture_output=True, text=True, timeout=PATIENCE_S, check=False,
        env={"PATH": os.defpath, "PYTHONPATH": f"{tmp_path}:{EXAMPLE}", "LANGSMITH_TRACING": "false", **addresses},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    messages = json.loads(done.stdout)
    asked = messages[1][2]
    assert [call["name"] for call in asked] == ["weather"]
    assert (messages[2][0], messages[2][1]) == ("tool", f"{asked[0]['args']['city']}: 24 degrees, sunny")
    assert [kind for kind, *_ in messages] == ["human", "ai", "tool", "ai"]
