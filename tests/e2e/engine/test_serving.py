"""A real engine, started with the pod's own command, is what our manifests, rules and sums say that it is."""

from __future__ import annotations

import json
import re
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from agentgpu_iac.calculators.calculator import SIZE
from agentgpu_iac.catalog.store import load_catalog
from agentgpu_iac.rendering.render import render
from agentgpu_iac.units import GIB
from tests.e2e.engine.conftest import SHAPES, TinyStack
from tests.e2e.engine.pods import flags, objects
from tests.e2e.engine.serving import KV_CACHE_GIB, Engine, Stream
from tests.e2e.engine.test_arguments import PLANS
from tests.e2e.processes import PATIENCE_S
from tools.install import path as tool

CHANGED = {
    "": "the folder of the models is another",
    "--host": "loopback only",
    "--port": "a free one",
    "--enforce-eager": "added: nothing is compiled",
}
"""Every flag that differs from the pod's. None is dropped: the engine takes all that we render."""

WATCHED = {
    "vllm:num_requests_running",
    "vllm:num_requests_waiting",
    "vllm:kv_cache_usage_perc",
    "vllm:num_preemptions_total",
    "vllm:time_to_first_token_seconds_bucket",
    "vllm:request_time_per_output_token_seconds_bucket",
}
"""What scaling, rules and dashboards cannot do without."""

ON_DEMAND: dict[str, str] = {}
"""Metrics that an engine shows only when it does what they count, and what that is."""


@pytest.mark.parametrize("name", SHAPES)
def test_the_pods_command_is_what_runs(engines: dict[str, Engine], name: str) -> None:
    engine = engines[name]
    assert engine.process.poll() is None
    assert engine.process.args == [*engine.pod.command, *engine.args]
    assert engine.environment.keys() == engine.pod.environment.keys()
    rendered, served = flags(engine.pod.args), flags(engine.args)
    assert {flag for flag in rendered | served if rendered.get(flag) != served.get(flag)} == CHANGED.keys()


@pytest.mark.parametrize("name", SHAPES)
def test_probes_are_content_once_the_engine_answers_and_not_before(engines: dict[str, Engine], name: str) -> None:
    engine = engines[name]
    *before, ready = engine.polls
    assert len(before) > 5
    assert all(status != 200 for answers in before for status in answers.values())
    assert set(ready) == set(engine.pod.probe_paths.values())
    assert engine.complete(2) == (200, 2)
    assert json.loads(engine.ask("/v1/models")[1])["data"][0]["id"] == name


@pytest.mark.parametrize("name", SHAPES)
def test_the_kv_cache_holds_the_tokens_that_our_sum_gives(
    engines: dict[str, Engine], stack: TinyStack, name: str
) -> None:
    config = {"model": str(stack.folder / name / "config.json"), "accelerator": "l4", "max-model-len": 8192}
    per_token = SIZE.answer(config, load_catalog())["kvBytesPerToken"]
    planned = next(one for one in stack.plan.workloads if one.agent == name)
    assert per_token == planned.memory.kv_bytes_per_token
    ((labels, _),) = engines[name].samples()["vllm:cache_config_info"]
    assert int(labels["kv_cache_size_tokens"]) * per_token == KV_CACHE_GIB * GIB


def test_shapes_differ_in_their_kv_cache(stack: TinyStack) -> None:
    sizes = {one.agent: one.memory.kv_bytes_per_token for one in stack.plan.workloads}
    assert sizes == {"mqa": 2048, "gqa": 4096, "mha": 8192}


def rendered_metrics(stack: TinyStack) -> dict[str, set[str]]:
    """Every name of an engine's metric in any manifest of any plan, by the kind of object."""
    found: dict[str, set[str]] = defaultdict(set)
    for plan in (stack.plan, *PLANS.values()):
        for each in objects(render(plan)):
            found[each["kind"]].update(re.findall(r"vllm:\w+", json.dumps(each)))
    return {kind: names for kind, names in found.items() if names}


def used_metrics(stack: TinyStack) -> set[str]:
    return WATCHED.union(*rendered_metrics(stack).values())


def test_rules_dashboards_and_scalers_name_metrics(stack: TinyStack) -> None:
    assert rendered_metrics(stack).keys() == {"PrometheusRule", "ConfigMap", "ScaledObject"}


def test_metrics_that_we_use_are_there(gqa: Engine, stack: TinyStack) -> None:
    assert gqa.complete(4) == (200, 4)
    assert used_metrics(stack) - set(gqa.samples()) == ON_DEMAND.keys()


def test_metrics_that_we_use_are_in_the_release_that_plans_name(stack: TinyStack) -> None:
    sources = "\n".join(path.read_text(encoding="utf-8") for path in (tool("vllm-parser") / "vllm/v1").rglob("*.py"))
    defined = set(re.findall(r'"(vllm:\w+)"', sources))
    assert len(defined) > 50
    used = {re.sub(r"_(total|bucket|sum|count|created)$", "", name) for name in used_metrics(stack)}
    assert used - defined == set()


@pytest.mark.parametrize("name", SHAPES)
def test_histograms_have_an_edge_at_each_budget(engines: dict[str, Engine], stack: TinyStack, name: str) -> None:
    assert engines[name].complete(4) == (200, 4)
    samples = engines[name].samples()
    planned = next(one for one in stack.plan.workloads if one.agent == name)
    assert planned.metrics is not None
    for metric, edge_s, budget_ms in (
        (planned.metrics.ttft, planned.metrics.ttft_edge_s, planned.latency.budget_ttft_ms),
        (planned.metrics.tpot, planned.metrics.tpot_edge_s, planned.latency.budget_tpot_ms),
    ):
        assert budget_ms is not None
        assert {edge_s, budget_ms / 1000} <= edges(samples, f"{metric}_bucket")


def test_a_budget_between_the_engines_own_edges_has_one_that_others_have_not(
    engines: dict[str, Engine], stack: TinyStack
) -> None:
    """The voice class: 200 ms, less the network, which the engine does not see."""
    voice = next(one for one in stack.plan.workloads if one.latency_class == "voice")
    assert voice.metrics is not None
    assert voice.metrics.ttft_edge_s == pytest.approx((200 - voice.latency.network_ms) / 1000)
    name = f"{voice.metrics.ttft}_bucket"
    assert voice.metrics.ttft_edge_s in edges(engines[voice.agent].samples(), name)
    assert voice.metrics.ttft_edge_s not in edges(engines["gqa"].samples(), name)


def hang_up(streams: list[Stream]) -> None:
    """End requests that take too long, none of which had ended by itself."""
    assert all(stream.is_alive() for stream in streams)
    for stream in streams:
        stream.hang_up()
        stream.join(PATIENCE_S)


def edges(samples: dict[str, list[tuple[dict[str, str], float]]], name: str) -> set[float]:
    """Upper edges of a histogram's buckets."""
    return {float(labels["le"]) for labels, _ in samples[name]}


class TestLimits:
    """Requests beyond what the plan gives an engine wait, and beyond what may wait they are turned away."""

    @staticmethod
    def limit(engine: Engine, flag: str) -> int:
        return int(flags(engine.pod.args)[flag][0])

    @staticmethod
    def counts(engine: Engine) -> tuple[float, float]:
        """How many requests run, and how many wait."""
        samples = engine.samples()
        return samples["vllm:num_requests_running"][0][1], samples["vllm:num_requests_waiting"][0][1]

    def until(
        self, engine: Engine, running: int, waiting: int, meanwhile: Callable[[], object] = lambda: time.sleep(0.05)
    ) -> None:
        """Wait for these counts."""
        deadline = time.monotonic() + PATIENCE_S
        while (now := self.counts(engine)) != (running, waiting):
            assert now[0] <= self.limit(engine, "--max-num-seqs")
            assert time.monotonic() < deadline, now
            meanwhile()

    @pytest.fixture
    def seated(self, gqa: Engine) -> Iterator[list[Stream]]:
        """Requests on all seats of the engine, which take long and go away when they are told to."""
        streams = [Stream(gqa, 60_000, at_once=True) for _ in range(self.limit(gqa, "--max-num-seqs"))]
        self.until(gqa, len(streams), 0)
        yield streams
        self.until(gqa, 0, 0, meanwhile=lambda: gqa.complete(1))  # it counts anew only when it computes

    def test_no_more_run_at_once_than_the_plan_says(
        self, gqa: Engine, seated: list[Stream], clients: ThreadPoolExecutor
    ) -> None:
        answers = [clients.submit(gqa.complete, 200) for _ in seated]
        self.until(gqa, len(seated), len(answers))
        hang_up(seated)
        while not all(answer.done() for answer in answers):
            assert self.counts(gqa)[0] <= len(seated)
            time.sleep(0.05)
        assert all(answer.result() == (200, 200) for answer in answers)

    def test_what_cannot_wait_in_time_is_turned_away(
        self, gqa: Engine, seated: list[Stream], clients: ThreadPoolExecutor
    ) -> None:
        most = self.limit(gqa, "--max-num-queued-reqs")
        answers = [clients.submit(gqa.complete, 50) for _ in range(most - len(seated))]
        self.until(gqa, len(seated), len(answers))
        assert [gqa.complete(1) for _ in range(3)] == [(503, 0)] * 3
        hang_up(seated)
        assert all(answer.result() == (200, 50) for answer in answers)
        assert sum(count for _, count in gqa.samples()["vllm:admission_rejections_total"]) == 3
        assert gqa.complete(1) == (200, 1)

    @pytest.fixture
    def clients(self) -> Iterator[ThreadPoolExecutor]:
        with ThreadPoolExecutor(max_workers=64) as pool:
            yield pool
