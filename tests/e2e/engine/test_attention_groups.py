"""A real engine with attention groups behind one port is what plans, series and the stop of a pod take it for.

No release exchanges tokens of experts between groups on a CPU, so the groups here are of a dense model, told by the words
that the plan of a mixture of experts has. Scheduler, balancer, series and stop are the same.
"""

from __future__ import annotations

import copy
import dataclasses
import http.client
import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.engine.conftest import TinyStack
from tests.e2e.engine.pods import EnginePod, engine_pods, flags
from tests.e2e.engine.serving import Engine, Stream, until_ready
from tests.e2e.ports import HOST
from tests.e2e.processes import PATIENCE_S
from tests.planning import test_attention_groups as planning
from tools.install import path as tool

GROUPS = 2
SEATS = 3
ANSWER_TOKENS = 60
STOP_S = 240
"""A busy machine makes two tokens in a second."""


@pytest.fixture(scope="module")
def of_groups() -> dict[str, tuple[str, ...]]:
    """What a plan with groups tells the engine, by flag."""
    (pod,) = engine_pods(planning.planned())
    return flags(pod.args)


@pytest.fixture(scope="module")
def engine(
    stack: TinyStack, of_groups: dict[str, tuple[str, ...]], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Engine]:
    pod = with_groups(stack.pods["gqa"], of_groups)
    running = Engine(pod, stack.models, Path(tmp_path_factory.mktemp("groups")), tool("vllm").parent)
    try:
        until_ready([running])
        yield running
    finally:
        running.kill()


def with_groups(pod: EnginePod, of_groups: dict[str, tuple[str, ...]]) -> EnginePod:
    """The pod with as many groups as a CPU has room for, few seats in each, and time to stop."""
    words = list(pod.args)
    words[words.index("--max-num-seqs") + 1] = str(SEATS)
    words[words.index("--shutdown-timeout") + 1] = str(STOP_S)
    assert of_groups["--data-parallel-size"] != ("1",)
    words += ["--data-parallel-size", str(GROUPS), "--api-server-count", *of_groups["--api-server-count"]]
    container = copy.deepcopy(pod.container)
    container["args"] = words
    return dataclasses.replace(pod, container=container)


def by_group(engine: Engine, name: str) -> dict[str, float]:
    return {labels["engine"]: value for labels, value in engine.samples()[name]}


def test_seats_are_of_each_group_and_series_too(engine: Engine) -> None:
    streams = [Stream(engine, 60_000) for _ in range(GROUPS * SEATS + 2)]
    told = time.monotonic()
    while sum(by_group(engine, "vllm:num_requests_waiting").values()) < 2:
        assert time.monotonic() < told + PATIENCE_S
        time.sleep(0.2)
    assert by_group(engine, "vllm:num_requests_running") == {"0": SEATS, "1": SEATS}
    assert set(by_group(engine, "vllm:kv_cache_usage_perc")) == {"0", "1"}
    for stream in streams:
        stream.hang_up()
        stream.join(PATIENCE_S)


def test_a_request_names_its_group(engine: Engine) -> None:
    before = by_group(engine, "vllm:generation_tokens_total")
    for _ in range(3):
        connection = http.client.HTTPConnection(HOST, engine.port, timeout=PATIENCE_S)
        headers = {"Content-Type": "application/json", planning.HEADER: "1"}
        connection.request("POST", "/v1/completions", json.dumps(engine.request(5)), headers)
        assert connection.getresponse().status == 200
        connection.close()
    after = by_group(engine, "vllm:generation_tokens_total")
    assert {group: after[group] - before[group] for group in after} == {"0": 0, "1": 15}


def test_answers_that_were_begun_are_finished(engine: Engine) -> None:
    """With as many API servers as groups, which is the engine's default, none would be."""
    streams = [Stream(engine, ANSWER_TOKENS) for _ in range(4)]
    assert all(stream.begun.wait(PATIENCE_S) for stream in streams)
    engine.terminate()
    for stream in streams:
        stream.join(PATIENCE_S)
    assert {(stream.status, stream.tokens, stream.is_whole) for stream in streams} == {(200, ANSWER_TOKENS, True)}
