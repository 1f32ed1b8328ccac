"""Engines beside vLLM: arguments that their own parsers take, and a rejection for what they cannot do."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from agentgpu_iac.catalog.store import load_catalog
from agentgpu_iac.plan import Plan, Workload
from agentgpu_iac.plan.mounts import ENGINE_CACHE_MOUNT
from agentgpu_iac.planning.engines import PORTS
from agentgpu_iac.planning.engines.port import EnginePort
from agentgpu_iac.planning.planner import NoPlan
from agentgpu_iac.spec.vocabulary import ENGINES, Engine
from tests.planning.flags import FlagList, split
from tests.planning.scenes import (
    codes,
    make_accelerator,
    make_agent,
    make_catalog,
    make_model,
    offerings,
    plan,
    workload,
)
from tests.planning.stacks import features, rules, stacks
from tests.thoroughness import examples

LISTS = {
    "sglang": FlagList.read("sglang_0_5_23_flags.json"),
    "tensorrt-llm": FlagList.read("tensorrt_llm_1_2_flags.json"),
    "tgi": FlagList.read("tgi_3_3_7_flags.json"),
}
OTHERS: tuple[Engine, ...] = ("sglang", "tensorrt-llm", "tgi")
IMAGE = {"engineImage": "own/tgi@sha256:" + "0" * 64}
MEASURED = {"ttftMs": 100.0, "tpotMs": 20.0, "outputTokensPerS": 500.0, "prefillTokensPerS": 5000.0}


def planned(engine: str, catalog: Any = None, spec: dict[str, Any] | None = None, **changes: Any) -> Plan:
    """TGI with what it always needs: an image that any user can run, and figures of one's own."""
    spec = dict(spec or {})
    if engine == "tgi":
        spec.setdefault("pins", IMAGE)
        changes["overrides"] = {**MEASURED, **changes.get("overrides", {})}
    catalog = {} if catalog is None else {"catalog": catalog}
    return plan(make_agent(engine=engine, **changes), **catalog, **spec)


def flags_of(engine: str, **changes: Any) -> dict[str, list[str]]:
    return check(workload(planned(engine, **changes)))


def check(one: Workload) -> dict[str, list[str]]:
    faults = LISTS[one.engine.name].faults(one.engine.args)
    assert faults == []
    return split(one.engine.args)[1]


def refusals(engine: str, **changes: Any) -> list[str]:
    """The sentences with which the engine refuses the agent."""
    with pytest.raises(NoPlan) as caught:
        planned(engine, **changes)
    assert {one.constraint for one in caught.value.rejections} <= {"engine-feature", "engine-version"}
    assert {one.accelerator for one in caught.value.rejections} == {"any"}
    return [one.message for one in caught.value.rejections]


VARIETY: dict[str, dict[str, Any]] = {
    "plain": {},
    "fp16": {"precision": "fp16"},
    "kv-fp8": {"kvCacheDtype": "fp8"},
    "tools": {"conversation": {"toolCalls": {"perTurn": 2.0}}},
    "trusted": {"trustRemoteCode": True},
    "background": {"latencyClass": "background"},
    "large": {"model": "test/big", "latencyClass": "background", "sessions": {"concurrent": 40}},
}
LORA = {
    "loraAdapters": [{"name": "legal", "source": "org/legal", "rank": 24}, {"name": "sales", "source": "org/sales"}]
}
NGRAM = {"speculative": {"method": "ngram"}}
DRAFT = {"speculative": {"method": "draft-model", "model": "test/tiny"}}
EAGLE = {"speculative": {"method": "eagle3", "model": "org/eagle", "weightsGib": 0.5, "tokens": 5}}


@pytest.mark.broad(every=5)
@pytest.mark.parametrize("engine", OTHERS)
@pytest.mark.parametrize("name", VARIETY)
def test_their_own_parsers_take_the_arguments(engine, name):
    for one in planned(engine, **VARIETY[name]).workloads:
        check(one)


@pytest.mark.parametrize("engine", OTHERS)
def test_the_list_is_that_of_a_release_in_the_catalog(engine):
    newest = load_catalog().release(engine).version
    assert newest.startswith(LISTS[engine].version)
    assert LISTS[engine].faults(("--no-such-thing",)) != []


def test_every_engine_but_ollama_can_be_planned():
    assert set(PORTS) == set(ENGINES) - {"ollama"}
    assert all(port.name == name for name, port in PORTS.items())


@pytest.mark.parametrize("engine", OTHERS)
def test_the_plan_says_how_the_engine_is_started_and_asked(engine):
    port, one = PORTS[engine], workload(planned(engine)).engine
    assert (one.command, one.health_path, one.ready_path) == (port.command, port.health_path, port.ready_path)
    assert {variable.name for variable in one.environment}.isdisjoint({"HOME", "USER", "HF_HUB_OFFLINE"})


@pytest.mark.broad(every=0)
@settings(derandomize=True, deadline=None, database=None, max_examples=examples(60))
@given(stacks(), st.lists(features, min_size=3, max_size=3), rules)
def test_whatever_is_asked_for_fits_memory_batch_and_host(stack, wanted, spec):
    try:
        found = plan(*({**agent, **more} for agent, more in zip(stack, wanted, strict=False)), **spec)
    except NoPlan:
        return
    taken: dict[str, float] = {}
    for one in found.workloads:
        memory, agent = one.memory, wanted[int(one.served[0].removeprefix("agent-"))]  # who share ask alike
        rows = 1 + agent["speculative"].get("tokens", 3) if "speculative" in agent else 1
        assert one.max_num_batched_tokens >= rows * one.seats_per_group
        assert memory.total_gib <= 0.80 * memory.capacity_gib + 1e-3
        assert memory.headroom_gib > -memory.cuda_graph_gib - 1e-3
        assert one.pod.memory_mib >= one.pod.kv_offload_mib + 8 * 1024 * bool(one.pod.kv_offload_mib)
        key = one.share_group or one.name
        taken[key] = taken.get(key, 0.0) + memory.total_gib / memory.capacity_gib
        if one.engine.name != "vllm":
            check(one)
    assert all(ratio <= 0.8 + 1e-4 for ratio in taken.values())


class TestSglang:
    def test_seats_length_and_memory(self):
        one = workload(planned("sglang"))
        flags = check(one)
        assert flags["--max-running-requests"] == [str(one.max_num_seqs)]
        assert flags["--context-length"] == [str(one.max_model_len)]
        assert flags["--chunked-prefill-size"] == [str(one.max_num_batched_tokens)]
        assert flags["--mem-fraction-static"] == [f"{one.gpu_memory_utilization:g}"]
        static_gib = one.gpu_memory_utilization * one.memory.capacity_gib
        assert static_gib >= one.memory.weights_gib + one.memory.kv_gib

    def test_the_static_share_grows_until_it_holds_the_sessions(self):
        """A small card's own share keeps more free than a plan that uses 80 % of it."""
        card = make_accelerator("tiny-16", 16.0, 800.0, 300.0)
        catalog = make_catalog(offerings("t1", "tiny-16", on_demand="0.50"), accelerators=(card,))
        filled = {"model": "test/tiny", "overrides": {"weightsGib": 11.5, "overheadGib": 0.5}}
        one = workload(planned("sglang", catalog, sessions={"concurrent": 1}, **filled))
        assert one.gpu_memory_utilization * 16.0 >= one.memory.weights_gib + one.memory.kv_gib

    def test_features(self):
        flags = flags_of("sglang", **LORA)
        assert flags["--max-loras-per-batch"] == ["3"]
        assert flags["--max-lora-rank"] == ["24"]
        assert [one.split("=")[0] for one in flags["--lora-paths"]] == ["legal", "sales"]
        flags = flags_of("sglang", **NGRAM)
        assert flags["--speculative-algorithm"] == ["NGRAM"]
        assert "--speculative-num-steps" not in flags
        flags = flags_of("sglang", **EAGLE)
        assert flags["--speculative-algorithm"] == ["EAGLE3"]
        assert (flags["--speculative-num-steps"], flags["--speculative-num-draft-tokens"]) == (["5"], ["6"])
        assert flags["--speculative-draft-model-path"] == ["/models/org--eagle--main"]
        assert flags_of("sglang", **DRAFT)["--speculative-algorithm"] == ["STANDALONE"]
        assert flags_of("sglang", precision="fp8")["--quantization"] == ["fp8"]

    def test_host_memory_is_given_to_each_rank_in_whole_gb(self):
        flags = flags_of("sglang", kvOffloadGib=40, overrides={"tensorParallelSize": 2})
        assert flags["--hicache-size"] == ["21"]  # 40 GiB are 42.9 GB
        assert "16 or more" in refusals("sglang", kvOffloadGib=8)[0]

    def test_parsers_by_its_own_names(self):
        tools = {"toolCalls": {"perTurn": 1.0}}
        assert flags_of("sglang", conversation=tools)["--tool-call-parser"] == ["qwen25"]
        assert flags_of("sglang", toolCallParser="llama3")["--tool-call-parser"] == ["llama3"]
        assert "llama3_json" in refusals("sglang", toolCallParser="llama3_json")[0]
        odd = make_catalog(models=(make_model("test/odd", 8, tool_call_parser="olmo3", reasoning_parser="olmo3"),))
        found = planned("sglang", odd, model="test/odd", conversation=tools)
        assert {"no-tool-parser", "no-reasoning-parser"} <= codes(found)
        assert "--tool-call-parser" not in check(workload(found))

    @pytest.mark.parametrize(
        ("version", "changes"),
        [
            ("0.4.0", {}),
            ("0.5.1", NGRAM),
            ("0.5.6", {"spec": {"modelCache": {"loader": "fastsafetensors"}}}),
            ("0.5.9", {"spec": {"modelCache": {"loader": "runai-streamer"}}}),
        ],
    )
    def test_what_came_later(self, version, changes):
        assert version in refusals("sglang", engineVersion=version, **changes)[0]

    def test_engines_that_share_a_card_have_a_fixed_cache(self):
        card = make_catalog(offerings("l1", "large-80", on_demand="3.00"))
        relaxed = {"ttftMs": 5000.0, "tpotMs": 300.0, "engine": "sglang"}
        found = plan(*(make_agent(name, "test/tiny", **relaxed) for name in ("one", "two")), catalog=card)
        assert found.workloads[0].share_group is not None
        for one in found.workloads:
            (tokens,) = check(one)["--max-total-tokens"]
            held = int(tokens) * one.memory.kv_bytes_per_token
            assert 0 <= (one.kv_cache_memory_bytes or 0) - held < one.memory.kv_bytes_per_token
            assert one.gpu_memory_utilization == 0.95


class TestTensorRtLlm:
    def test_what_has_no_flag_is_in_a_file_that_the_plan_holds(self):
        one = workload(planned("tensorrt-llm", kvCacheDtype="fp8"))
        flags = check(one)
        (file,) = one.engine.files
        assert flags["--extra_llm_api_options"] == [f"/etc/engine/{file.name}"]
        options = yaml.safe_load(file.content)
        assert options["enable_chunked_prefill"] is True
        assert options["return_perf_metrics"] is True
        assert options["dtype"] == "bfloat16"
        assert options["kv_cache_config"]["dtype"] == "fp8"
        assert options["kv_cache_config"]["free_gpu_memory_fraction"] == one.gpu_memory_utilization == 0.9
        assert flags["--kv_cache_free_gpu_memory_fraction"] == ["0.9"]

    def test_requests_name_the_model_by_its_directory(self):
        one = workload(planned("tensorrt-llm"))
        assert one.served_model_name == one.model_cache.path

    @pytest.mark.parametrize(
        ("changes", "said"),
        [
            (LORA, "LoRA"),
            (NGRAM, "speculative"),
            ({"kvOffloadGib": 32}, "host cache"),
            ({"precision": "fp8"}, "FP8"),
            ({"spec": {"modelCache": {"loader": "runai-streamer"}}}, "loader"),
            ({"toolCallParser": "mistral"}, "mistral"),
            ({"reasoningParser": "mistral"}, "mistral"),
            ({"engineVersion": "1.0.0"}, "1.0.0"),
        ],
    )
    def test_what_it_cannot_do(self, changes, said):
        assert said in " ".join(refusals("tensorrt-llm", **changes))

    def test_its_queue_has_no_limit_and_the_plan_says_so(self):
        found = planned("tensorrt-llm")
        assert workload(found).admission.max_queued_requests is not None
        assert "queue-not-limited" in codes(found)


class TestTgi:
    def test_seats_length_and_queue(self):
        one = workload(planned("tgi"))
        flags = check(one)
        assert flags["--max-batch-size"] == [str(one.max_num_seqs)]
        assert flags["--max-total-tokens"] == [str(one.max_model_len)]
        assert int(flags["--max-input-tokens"][0]) < one.max_model_len
        assert flags["--max-concurrent-requests"] == [str(one.admission.max_queued_requests)]
        assert flags["--graceful-termination-timeout"] == [str(one.drain.shutdown_timeout_s)]
        assert one.served_model_name == "tgi"

    def test_features(self):
        assert flags_of("tgi", **NGRAM)["--speculate"] == ["3"]
        (adapters,) = flags_of("tgi", **LORA)["--lora-adapters"]
        assert adapters == "legal=/models/org--legal--main,sales=/models/org--sales--main"
        assert flags_of("tgi", precision="fp8")["--quantize"] == ["fp8"]

    def test_the_published_image_needs_root(self):
        (said,) = refusals("tgi", spec={"pins": {}})
        assert "pins.engineImage" in said

    def test_without_a_measured_run_it_has_no_latency(self):
        with pytest.raises(NoPlan) as caught:
            plan(make_agent(engine="tgi"), pins=IMAGE)
        assert {one.constraint for one in caught.value.rejections} == {"no-latency-data"}
        found = plan(make_agent(engine="tgi", latencyClass="background"), pins=IMAGE)
        assert workload(found).latency.ttft_ms is None

    def test_it_has_no_pipeline(self):
        big = {"model": "test/big", "sessions": {"concurrent": 4}}
        assert workload(planned("tgi", **big)).pipeline_parallel_size == 1
        with pytest.raises(NoPlan):
            planned("tgi", overrides={"pipelineParallelSize": 2})

    @pytest.mark.parametrize(
        ("changes", "said"),
        [
            (EAGLE, "eagle3"),
            ({"kvOffloadGib": 32}, "host memory"),
            ({"toolCallParser": "mistral"}, "grammar"),
            ({"reasoningParser": "qwen3"}, "reasoning"),
            ({"spec": {"pins": IMAGE, "modelCache": {"loader": "fastsafetensors"}}}, "loader"),
            ({"engineVersion": "3.2.0"}, "3.2.0"),
            ({"kvCacheDtype": "fp16"}, "fp16"),
        ],
    )
    def test_what_it_cannot_do(self, changes, said):
        assert said in " ".join(refusals("tgi", **changes))

    def test_old_accelerators_cannot_read_prompts_in_chunks(self):
        card = make_accelerator("old-16", 32.0, 800.0, 120.0, compute_capability="7.5")
        catalog = make_catalog(offerings("o1", "old-16", on_demand="0.50"), accelerators=(card,))
        with pytest.raises(NoPlan) as caught:
            planned("tgi", catalog, precision="fp16")
        assert caught.value.rejections[0].constraint == "engine"


class TestVllm:
    @pytest.mark.parametrize(
        ("version", "changes", "said"),
        [
            ("0.11.0", {"kvOffloadGib": 8}, "--kv-offloading-size"),
            ("0.11.0", DRAFT, "draft-model"),
            (None, {"toolCallParser": "hermse"}, "hermes"),
            (None, {"reasoningParser": "quen3"}, "qwen3"),
        ],
    )
    def test_what_it_cannot_do(self, version, changes, said):
        with_version = {} if version is None else {"engineVersion": version}
        assert said in refusals("vllm", **with_version, **changes)[0]

    def test_versions_that_do_not_drain_are_ended_after_the_answers(self):
        new, old = (workload(planned("vllm", engineVersion=version)).drain for version in ("0.33.0", "0.11.0"))
        assert old.shutdown_timeout_s == 0
        assert old.pre_stop_s == new.pre_stop_s + new.shutdown_timeout_s
        assert old.grace_period_s == new.grace_period_s


@pytest.mark.parametrize("port", PORTS.values(), ids=lambda port: port.name)
def test_what_flashinfer_compiles_and_fetches_is_kept_on_the_volume(port: EnginePort) -> None:
    """Its kernels and cubins lie in the home folder otherwise, which goes with the pod."""
    values = {variable.name: variable.value for variable in port.environment()}
    assert values["FLASHINFER_WORKSPACE_BASE"].startswith(ENGINE_CACHE_MOUNT)


@pytest.fixture(scope="module")
def waiting() -> dict[str, Workload]:
    """Engines whose replicas let somebody wait."""
    return {engine: workload(planned(engine, ttftMs=6_000)) for engine in ("sglang", "tgi", "vllm")}


class TestLimitsByMeaning:
    """Seats and waiting room are planned once; an engine is told the figure that its own limit counts."""

    def test_sglang_counts_who_waits_alone(self, waiting):
        one = waiting["sglang"]
        assert (one.admission.max_waiting_requests or 0) > 1
        assert check(one)["--max-queued-requests"] == [str(one.admission.max_waiting_requests)]
        assert check(one)["--max-running-requests"] == [str(one.max_num_seqs)]

    def test_vllm_and_tgi_count_seats_too(self, waiting):
        for engine, flag in (("vllm", "--max-num-queued-reqs"), ("tgi", "--max-concurrent-requests")):
            one = waiting[engine]
            words = split(one.engine.args)[1]
            assert words[flag] == [str(one.max_num_seqs + (one.admission.max_waiting_requests or 0))]

    def test_a_waiting_room_for_nobody_is_as_small_as_the_engine_takes(self):
        one = workload(planned("sglang", overrides={**MEASURED, "ttftMs": 499.0}))
        assert one.admission.max_waiting_requests == 0
        assert check(one)["--max-queued-requests"] == ["1"]

    def test_the_router_tries_another_replica_on_what_the_engine_answers(self, waiting):
        assert waiting["tgi"].admission.refusal_status == 429
        assert waiting["sglang"].admission.refusal_status == waiting["vllm"].admission.refusal_status == 503

    def test_every_limit_that_is_printed_is_in_the_table_and_says_what_it_counts(self):
        catalog = load_catalog()
        for engine in OTHERS:
            rows = {row.setting: row for row in catalog.engine_limits(engine, catalog.release(engine).version)}
            assert rows
            assert all(row.tried or row.note or row.status is None for row in rows.values())
