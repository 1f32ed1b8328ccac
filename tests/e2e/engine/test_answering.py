"""A tiny embedding model and a tiny reranker, planned, rendered and served by vLLM: what they answer, and what they export."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agentgpu_iac.catalog.store import load_catalog
from agentgpu_iac.plan import Plan
from agentgpu_iac.plan.endpoints import endpoints
from agentgpu_iac.planning.planner import make_plan
from agentgpu_iac.spec.loader import load
from tests.e2e.engine.pods import engine_pods
from tests.e2e.engine.serving import Engine, until_ready
from tests.e2e.processes import PATIENCE_S
from tools.install import path as tool

STACK = """\
apiVersion: agentgpu.dev/v1alpha1
kind: AgentStack
metadata: {name: tiny}
spec:
  capacity: {shareAccelerators: never}
  agents:
    - name: embedder
      model: FOLDER/embedder
      requests: {perS: 1, inputTokens: 10}
    - name: ranker
      model: FOLDER/ranker
      requests: {perS: 1, inputTokens: 10, inputsPerRequest: 3}
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Plan]:
    folder = tmp_path_factory.mktemp("pooling")
    command = [tool("vllm-python"), Path(__file__).with_name("make_pooling_models.py")]
    done = subprocess.run(
        [*command, folder / "embedder", folder / "ranker"],
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    spec = folder / "stack.yaml"
    spec.write_text(STACK.replace("FOLDER", str(folder)), encoding="utf-8")
    plan = make_plan(load(spec), load_catalog())
    models = folder / "models"
    models.mkdir()
    for each in plan.workloads:
        (folder / each.agent).rename(models / each.model_cache.path)
    return folder, plan


@pytest.fixture(scope="module")
def engines(made: tuple[Path, Plan]) -> Iterator[dict[str, Engine]]:
    folder, plan = made
    running: list[Engine] = []
    try:
        for pod in engine_pods(plan):
            running.append(Engine(pod, folder / "models", folder / f"pod-{pod.owner}", tool("vllm").parent))
        until_ready(running)
        yield {engine.pod.owner: engine for engine in running}
    finally:
        for engine in running:
            engine.terminate()
        for engine in running:
            engine.stop()


def ask(engine: Engine, route: str, **body: Any) -> tuple[int, dict[str, Any]]:
    status, text = engine.ask(f"/v1{route}", {"model": engine.model, **body})
    return status, json.loads(text)


def test_each_answers_where_callers_are_told(made: tuple[Path, Plan], engines: dict[str, Engine]) -> None:
    routes = {each.agent: each.routes for each in endpoints(made[1])}
    (embeddings,), (rerank, score) = routes["embedder"], routes["ranker"]
    status, vectors = ask(engines["embedder"], embeddings, input=["hello world", "this is a text"])
    assert (status, [len(each["embedding"]) for each in vectors["data"]]) == (200, [128, 128])
    status, ranked = ask(engines["ranker"], rerank, query="hello", documents=["world", "a text"])
    assert (status, sorted(each["index"] for each in ranked["results"])) == (200, [0, 1])
    status, scored = ask(engines["ranker"], score, text_1="hello", text_2=["world", "a text"])
    assert (status, len(scored["data"])) == (200, 2)


def test_a_longer_input_is_refused_and_cut_where_it_is_asked_for(engines: dict[str, Engine]) -> None:
    text = "hello world " * 400
    assert ask(engines["embedder"], "/embeddings", input=text)[0] == 400
    assert ask(engines["embedder"], "/embeddings", input=text, truncate_prompt_tokens=-1)[0] == 200


def test_nobody_chats(engines: dict[str, Engine]) -> None:
    assert ask(engines["embedder"], "/chat/completions", messages=[{"role": "user", "content": "hi"}])[0] == 404


def test_each_input_is_a_request_and_its_first_token_the_answer(
    made: tuple[Path, Plan], engines: dict[str, Engine]
) -> None:
    engine, metrics = engines["embedder"], made[1].workloads[0].metrics
    assert metrics is not None
    assert metrics.ttft is not None
    before = _sum(engine, f"{metrics.ttft}_count")
    assert ask(engine, "/embeddings", input=["one", "two", "three"])[0] == 200
    assert _sum(engine, f"{metrics.ttft}_count") - before == 3
    assert _sum(engine, f"{metrics.ttft}_sum") == pytest.approx(_sum(engine, "vllm:e2e_request_latency_seconds_sum"))
    for series in (metrics.running, metrics.waiting, metrics.prompt_tokens, metrics.success):
        assert series is not None
        assert _series(engine, series)


def test_what_is_left_out_says_nothing(engines: dict[str, Engine]) -> None:
    engine = engines["embedder"]
    assert ask(engine, "/embeddings", input=["one"])[0] == 200
    assert _sum(engine, "vllm:generation_tokens_total") == 0
    assert _sum(engine, "vllm:kv_cache_usage_perc") == 0


def _series(engine: Engine, name: str) -> list[tuple[dict[str, str], float]]:
    return engine.samples().get(name, [])


def _sum(engine: Engine, name: str) -> float:
    return sum(value for _, value in _series(engine, name))
