"""Chats with a real engine: tools are taken where we render a parser for them, and thinking is off where we say so.

The arguments are those of a model of the catalog; the weights behind them are tiny and random, which changes nothing of how
a request is read, put into the template and taken apart again.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e.engine.pods import EnginePod, engine_pods, flags
from tests.e2e.engine.serving import Engine, until_ready
from tests.e2e.engine.tiny import tiny_plan
from tools.install import path as tool

STACK = """\
apiVersion: agentgpu.dev/v1alpha1
kind: AgentStack
metadata: {name: chat}
spec:
  capacity: {shareAccelerators: never}
  agents:
    - name: talk
      model: Qwen/Qwen3-0.6B
      sessions: {concurrent: 2}
"""
ANSWER_TOKENS = 8
TOOL = {"type": "function", "function": {"name": "look_up", "parameters": {"type": "object", "properties": {}}}}


@pytest.fixture(scope="module")
def pod_and_models(tmp_path_factory: pytest.TempPathFactory) -> tuple[EnginePod, Any]:
    plan, models = tiny_plan(tmp_path_factory.mktemp("chat"), STACK, {"talk": (4, 2)})
    (pod,) = engine_pods(plan)
    return pod, models


@pytest.fixture(scope="module")
def talk(pod_and_models: tuple[EnginePod, Any], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    pod, models = pod_and_models
    engine = Engine(pod, models, tmp_path_factory.mktemp("talk"), tool("vllm").parent)
    try:
        until_ready([engine])
        yield engine
    finally:
        engine.terminate()
        engine.stop()


def chat(engine: Engine, **more: Any) -> tuple[int, dict[str, Any]]:
    """Ask for a few tokens of an answer; the status, and what came."""
    body = {"model": engine.model, "messages": [{"role": "user", "content": "hello"}], "max_tokens": ANSWER_TOKENS}
    status, text = engine.ask("/v1/chat/completions", {**body, "ignore_eos": True, "temperature": 0.0, **more})
    return status, json.loads(text)


def prompt(engine: Engine, **more: Any) -> str:
    """What the engine makes of a chat before the model reads it."""
    body = {"model": engine.model, "messages": [{"role": "user", "content": "hello"}], "return_token_strs": True}
    status, text = engine.ask("/tokenize", {**body, **more})
    assert status == 200, text
    return "".join(json.loads(text)["token_strs"])


def test_the_pod_says_what_the_catalog_knows(pod_and_models: tuple[EnginePod, Any]) -> None:
    given = flags(pod_and_models[0].args)
    assert given["--tool-call-parser"] == ("hermes",)
    assert given["--reasoning-parser"] == ("qwen3",)
    assert json.loads(given["--default-chat-template-kwargs"][0]) == {"enable_thinking": False}


def test_a_request_with_tools_is_answered(talk: Engine) -> None:
    status, answer = chat(talk, tools=[TOOL])
    assert (status, answer["usage"]["completion_tokens"]) == (200, ANSWER_TOKENS)


def test_without_the_flags_it_is_refused(gqa: Engine) -> None:
    """Nothing is known of the model, so that it has no parser, of which the plan warns."""
    assert "--enable-auto-tool-choice" not in flags(gqa.pod.args)
    status, answer = chat(gqa, tools=[TOOL])
    assert status == 400
    assert "--tool-call-parser" in json.dumps(answer)
    assert chat(gqa)[0] == 200


def test_the_model_is_told_not_to_think_where_a_request_does_not_say(talk: Engine) -> None:
    assert "<think></think>" in prompt(talk)
    assert "<think>" not in prompt(talk, chat_template_kwargs={"enable_thinking": True})


def test_an_answer_without_thinking_is_content(talk: Engine) -> None:
    """The parser of reasoning goes by what the engine was told: nothing of the answer is taken for reasoning."""
    status, answer = chat(talk)
    message = answer["choices"][0]["message"]
    assert (status, bool(message["content"]), message.get("reasoning")) == (200, True, None)


def test_a_caller_can_still_have_it_think(talk: Engine) -> None:
    status, answer = chat(talk, chat_template_kwargs={"enable_thinking": True})
    message = answer["choices"][0]["message"]
    assert (status, message["content"], bool(message.get("reasoning"))) == (200, None, True)
