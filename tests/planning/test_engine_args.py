"""Every argument that the plan gives the engine exists in that engine's own option list, with a legal value."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings

from agentgpu_iac.catalog.store import load_catalog
from agentgpu_iac.plan import Workload
from agentgpu_iac.planning.engines import needs_other_checkpoint, quantises_at_load
from agentgpu_iac.planning.planner import NoPlan
from tests.planning.flags import FlagList, split
from tests.planning.scenes import DENSE, make_agent, make_catalog, make_model, offerings, plan, workload
from tests.planning.stacks import rules, stacks
from tests.thoroughness import examples

REAL = load_catalog()
FLAGS = FlagList.read("vllm_0_33_0_flags.json")
KV_CACHE_DTYPES = {"auto", "bfloat16", "fp8"}
"""What we spell; vLLM's own list is made at run time and is not in the dump."""


def check(one: Workload) -> dict[str, list[str]]:
    assert FLAGS.faults(one.engine.args) == []
    words, flags = split(one.engine.args)
    assert words == (f"/models/{one.model_cache.path}",)
    assert flags["--served-model-name"] == list(one.served)
    assert flags["--tensor-parallel-size"] == [str(one.tensor_parallel_size)]
    assert flags["--pipeline-parallel-size"] == [str(one.pipeline_parallel_size)]
    assert flags["--max-model-len"] == [str(one.max_model_len)]
    assert flags["--max-num-seqs"] == [str(one.seats_per_group)]
    assert flags["--max-num-batched-tokens"] == [str(one.max_num_batched_tokens)]
    assert one.max_num_batched_tokens >= one.seats_per_group >= one.most_generating
    assert set(flags["--kv-cache-dtype"]) <= KV_CACHE_DTYPES
    assert int(flags["--shutdown-timeout"][0]) == one.drain.shutdown_timeout_s
    if one.kv_cache_memory_bytes is None:
        assert flags["--gpu-memory-utilization"] == [f"{one.gpu_memory_utilization:g}"]
    return flags


def test_the_list_is_that_of_the_newest_release():
    assert FLAGS.version == REAL.release("vllm").version
    assert len(FLAGS.known) > 300
    assert FLAGS.faults(("/models/m", "--max-lora-rank", "24")) != []
    assert FLAGS.faults(("/models/m", "--dtype")) != []
    assert FLAGS.faults(("/models/m", "--no-such-thing")) != []


@settings(derandomize=True, deadline=None, database=None, max_examples=examples(60))
@given(stacks(), rules)
def test_over_random_stacks(stack, spec):
    try:
        found = plan(*stack, **spec)
    except NoPlan:
        return
    for one in found.workloads:
        check(one)


VARIETY: dict[str, dict[str, Any]] = {
    "plain": {},
    "fp8": {"precision": "fp8"},
    "fp16": {"precision": "fp16"},
    "int8": {"precision": "int8"},
    "int4": {"precision": "int4"},
    "kv-fp8": {"kvCacheDtype": "fp8"},
    "kv-bf16": {"kvCacheDtype": "bf16"},
    "kv-fp16": {"kvCacheDtype": "fp16"},
    "tools": {"conversation": {"toolCalls": {"perTurn": 2.0}}},
    "trusted": {"trustRemoteCode": True},
    "lora": {
        "loraAdapters": [
            {"name": "legal", "source": "org/legal", "rank": 24},
            {"name": "sales", "source": "org/sales"},
        ]
    },
    "voice": {"latencyClass": "voice"},
    "background": {"latencyClass": "background"},
    "large": {"model": "test/big", "latencyClass": "background"},
    "parsers": {"toolCallParser": "pythonic", "reasoningParser": "qwen3"},
    "ngram": {"speculative": {"method": "ngram"}},
    "draft": {"speculative": {"method": "draft-model", "model": "test/tiny", "tokens": 4}},
    "eagle3": {"speculative": {"method": "eagle3", "model": "org/eagle", "weightsGib": 0.5}},
    "offload": {"kvOffloadGib": 20.5},
    "long": {"conversation": {"maxContextTokens": 100_000}, "ttftMs": 60_000.0, "latencyClass": "background"},
}


@pytest.mark.parametrize("name", VARIETY)
def test_over_a_variety_of_agents(name):
    for one in plan(make_agent(**VARIETY[name])).workloads:
        check(one)


def flags_of(**changes: Any) -> dict[str, list[str]]:
    return check(workload(plan(make_agent(**changes))))


class TestSpelling:
    def test_adapters(self):
        flags = flags_of(**VARIETY["lora"])
        assert flags["--max-lora-rank"] == ["32"]  # the next rank that the engine takes
        assert flags["--max-loras"] == ["2"]
        assert [one.split("=")[0] for one in flags["--lora-modules"]] == ["legal", "sales"]
        assert all(one.split("=")[1].startswith("/models/") for one in flags["--lora-modules"])

    def test_tools_and_reasoning(self):
        flags = flags_of(**VARIETY["tools"])
        assert flags["--enable-auto-tool-choice"] == []
        assert flags["--tool-call-parser"] == ["hermes"]
        assert flags_of()["--tool-call-parser"] == ["hermes"]
        thinker = make_model("test/thinker", 8, reasoning_parser="qwen3", tool_call_parser=None)
        catalog = make_catalog(models=(thinker,))
        one = workload(plan(make_agent(model="test/thinker", **VARIETY["tools"]), catalog=catalog))
        flags = check(one)
        assert flags["--reasoning-parser"] == ["qwen3"]
        assert "--enable-auto-tool-choice" not in flags

    def test_code_from_the_repository_only_when_asked_for(self):
        assert "--trust-remote-code" not in flags_of()
        assert flags_of(trustRemoteCode=True)["--trust-remote-code"] == []

    def test_precision(self):
        assert flags_of()["--dtype"] == ["bfloat16"]
        assert flags_of(precision="fp16")["--dtype"] == ["float16"]
        flags = flags_of(precision="fp8")
        assert (flags["--dtype"], flags["--quantization"]) == (["auto"], ["fp8"])
        assert "--quantization" not in flags_of(precision="int4")

    def test_older_versions_do_not_know_the_newer_flags(self):
        newest = split(workload(plan(make_agent(engineVersion="0.33.0"))).engine.args)[1]
        older = split(workload(plan(make_agent(engineVersion="0.19.0"))).engine.args)[1]
        oldest = split(workload(plan(make_agent(engineVersion="0.11.0"))).engine.args)[1]
        assert set(newest) - set(older) == {
            "--max-num-queued-reqs",
            "--max-num-queued-tokens",
            "--custom-histogram-buckets",
        }
        assert set(older) - set(oldest) == {"--shutdown-timeout"}
        assert newest["--gpu-memory-utilization"] == ["0.92"]
        assert older["--gpu-memory-utilization"] == oldest["--gpu-memory-utilization"] == ["0.9"]

    def test_parsers_named_by_hand_stand_whether_or_not_tools_are_called(self):
        flags = flags_of(**VARIETY["parsers"])
        assert flags["--enable-auto-tool-choice"] == []
        assert (flags["--tool-call-parser"], flags["--reasoning-parser"]) == (["pythonic"], ["qwen3"])

    def test_text_alone(self):
        eyes = make_model("test/eyes", 8, architecture="gemma3")
        catalog = make_catalog(models=(eyes, make_model("test/tiny", 1)))

        def asked(**changes: Any) -> dict[str, list[str]]:
            return check(workload(plan(make_agent(textOnly=True, **changes), catalog=catalog)))

        assert asked(model="test/eyes")["--language-model-only"] == []
        assert "--language-model-only" not in asked(model="test/tiny")
        stack = plan(make_agent(model="test/eyes", textOnly=True, engineVersion="0.11.0"), catalog=catalog)
        _, older = split(workload(stack).engine.args)
        assert json.loads(older["--limit-mm-per-prompt"][0]) == {"image": 0, "video": 0, "audio": 0}

    def test_text_alone_is_refused_where_an_engine_cannot_be_told(self):
        catalog = make_catalog(models=(make_model("test/eyes", 8, architecture="gemma3"),))
        with pytest.raises(NoPlan, match="leave out what reads pictures"):
            plan(make_agent(model="test/eyes", engine="sglang", textOnly=True), catalog=catalog)

    def test_speculative_decoding(self):
        def config(name: str) -> dict[str, Any]:
            return json.loads(flags_of(**VARIETY[name])["--speculative-config"][0])

        assert config("ngram") == {"method": "ngram", "num_speculative_tokens": 3}
        draft = {"method": "draft_model", "num_speculative_tokens": 4, "model": "/models/test--tiny--main"}
        assert config("draft") == draft
        assert config("eagle3")["model"] == "/models/org--eagle--main"
        head = make_catalog(models=(make_model("test/head", 8, architecture="deepseek_v3"),))
        one = workload(plan(make_agent(model="test/head", speculative={"method": "mtp"}), catalog=head))
        assert json.loads(check(one)["--speculative-config"][0]) == {"method": "mtp", "num_speculative_tokens": 3}

    def test_host_memory_for_kv_cache_is_that_of_all_ranks(self):
        assert flags_of(kvOffloadGib=20.5)["--kv-offloading-size"] == ["20.5"]

    @pytest.mark.parametrize(
        ("loader", "expected"),
        [
            ("auto", None),
            ("safetensors", "safetensors"),
            ("fastsafetensors", "fastsafetensors"),
            ("runai-streamer", "runai_streamer"),
        ],
    )
    def test_loaders(self, loader: str, expected: str | None):
        flags = check(workload(plan(modelCache={"loader": loader})))
        assert flags.get("--load-format") == (None if expected is None else [expected])

    def test_checkpoints(self):
        assert quantises_at_load(DENSE, "fp8")
        assert not needs_other_checkpoint(DENSE, "fp8")
        assert not needs_other_checkpoint(DENSE, "fp16")
        assert needs_other_checkpoint(DENSE, "int4")
        quantised = make_model("test/quantised", 8, native_precision="fp8")
        assert not quantises_at_load(quantised, "fp8")
        assert needs_other_checkpoint(quantised, "bf16")


@pytest.mark.parametrize(
    "model",
    [
        "Qwen/Qwen3-8B",
        "meta-llama/Llama-3.1-8B-Instruct",
        "openai/gpt-oss-20b",
        "google/gemma-3-4b-it",
        "deepseek-ai/DeepSeek-V2-Lite-Chat",
    ],
)
def test_over_real_models(model):
    tools = {"toolCalls": {"perTurn": 1.0}}
    agent = make_agent(model=model, latencyClass="background", conversation=tools)
    for one in plan(agent, catalog=REAL, modelCache={"tokenSecret": "hf-token"}).workloads:
        check(one)


def test_engines_that_share_a_card():
    card = make_catalog(offerings("l1", "large-80", on_demand="3.00"))
    relaxed = {"ttftMs": 3000.0, "tpotMs": 300.0}
    found = plan(*(make_agent(name, "test/tiny", **relaxed) for name in ("one", "two")), catalog=card)
    for one in found.workloads:
        flags = check(one)
        assert flags["--kv-cache-memory-bytes"] == [str(one.kv_cache_memory_bytes)]
