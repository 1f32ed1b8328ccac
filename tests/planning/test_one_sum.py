"""``size``, asked with the flags of a plan, counts the plan's memory: one sum, whoever asks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentgpu_iac.calculators.calculator import PREDICT, SIZE
from agentgpu_iac.catalog.store import Catalog, load_catalog
from agentgpu_iac.plan import Plan, Workload
from agentgpu_iac.planning.planner import NoPlan, make_plan
from agentgpu_iac.spec.loader import load as load_stack
from agentgpu_iac.spec.model import Agent
from tests.planning.scenes import load, only, plan
from tests.thoroughness import examples

REAL = load_catalog()
STACKS_FOLDER = Path(__file__).parents[2] / "stacks"
STACKS = sorted((*STACKS_FOLDER.glob("[a-z]*.yaml"), *(STACKS_FOLDER / "examples").rglob("[a-z]*.yaml")))


def flag(args: tuple[str, ...], name: str) -> str | None:
    return args[args.index(name) + 1] if name in args else None


def question(one: Workload, agent: Agent) -> dict[str, Any]:
    """What the plan starts, as the options of ``size``; flags of the engine are read from its arguments."""
    asked: dict[str, Any] = {
        "model": one.model,
        "accelerator": one.accelerator,
        "tp": one.tensor_parallel_size,
        "pp": one.pipeline_parallel_size,
        "precision": one.precision,
        "kv-cache-dtype": one.kv_cache_dtype,
        "engine": one.engine.name,
        "engine-version": one.engine.version,
        "max-model-len": one.max_model_len,
        "max-num-seqs": one.seats_per_group,
        "max-num-batched-tokens": one.max_num_batched_tokens,
        "gpu-memory-utilization": 1.0,
    }
    slots = flag(one.engine.args, "--max-loras") or flag(one.engine.args, "--max-loras-per-batch")
    if slots is not None:
        asked |= {"lora-slots": int(slots), "lora-rank": int(flag(one.engine.args, "--max-lora-rank") or 0)}
    if agent.speculative is not None:
        asked["speculative-tokens"] = agent.speculative.tokens
        if agent.speculative.method in ("eagle3", "mtp"):
            asked["speculative-layers"] = 1
        if agent.speculative.model is not None:
            asked["draft"] = agent.speculative.model
    return asked


def admitted(one: Workload, catalog: Catalog) -> float:
    """Requests of the planned context that ``predict`` lets run at once, asked with the plan's flags for all its sessions."""
    asked = question(one, Agent(name="x", model=one.model))
    for name in ("lora-slots", "lora-rank"):
        asked.pop(name, None)
    answer = PREDICT.answer(
        {
            **asked,
            "gpu-memory-utilization": one.gpu_memory_utilization,
            "input-tokens": one.memory.context_tokens - 1,
            "output-tokens": 1,
            "concurrency": one.max_num_seqs,
        },
        catalog,
    )
    return float(answer["concurrency"])


def hold_against_size(found: Plan, agents: tuple[Agent, ...], catalog: Catalog) -> int:
    by_name = {agent.name: agent for agent in agents}
    for one in found.workloads:
        (flags,) = {tuple(question(one, by_name[name]).items()) for name in one.served}
        answer = SIZE.answer(dict(flags), catalog)
        assert "rejection" not in answer, answer
        planned = one.memory
        assert answer["weightsGib"] == pytest.approx(planned.weights_gib + planned.draft_weights_gib, abs=2e-4)
        assert answer["draftWeightsGib"] == pytest.approx(planned.draft_weights_gib, abs=1e-4)
        assert answer["samplerStageActivationGib"] == pytest.approx(planned.activation_gib, abs=1e-4)
        if one.pipeline_parallel_size == 1:
            assert answer["activationGib"] == answer["samplerStageActivationGib"]
        assert answer["nonTorchGib"] == pytest.approx(planned.non_torch_gib, abs=1e-4)
        assert answer["cudaGraphGib"] == pytest.approx(planned.cuda_graph_gib, abs=1e-4)
        assert answer["kvBytesPerToken"] == planned.kv_bytes_per_token
        assert answer["draftKvBytesPerToken"] == planned.draft_kv_bytes_per_token
        assert answer["capacityGib"] == planned.capacity_gib
        if one.kv_cache_memory_bytes is None and one.latency.tpot_ms is not None and agents[0].speculative is None:
            assert admitted(one, catalog) == pytest.approx(one.resident_sessions, abs=0.01)
    return len(found.workloads)


@pytest.mark.broad(every=5)
@pytest.mark.parametrize("path", STACKS, ids=lambda path: path.stem)
def test_of_every_example_stack(path: Path) -> None:
    catalog = load_catalog(base_directory=path.parent)
    loaded = load_stack(path)
    assert hold_against_size(make_plan(loaded, catalog), loaded.stack.spec.agents, catalog)


def adapters(*ranks: int) -> list[dict[str, Any]]:
    return [{"name": f"a{number}", "source": f"acme/a{number}", "rank": rank} for number, rank in enumerate(ranks)]


def test_lora_memory_is_that_of_the_flags() -> None:
    """Qwen3-14B with ranks 256, 8, 8, 8: vLLM makes room for four slots of 256, not for one of each."""
    agent = {"name": "writer", "model": "Qwen/Qwen3-14B", "latencyClass": "background"}
    few = plan({**agent, "loraAdapters": adapters(256)}, catalog=REAL, accelerators=only("h100-sxm"))
    many = plan({**agent, "loraAdapters": adapters(256, 8, 8, 8)}, catalog=REAL, accelerators=only("h100-sxm"))
    args = many.workloads[0].engine.args
    assert (flag(args, "--max-loras"), flag(args, "--max-lora-rank")) == ("4", "256")
    plain = plan(agent, catalog=REAL, accelerators=only("h100-sxm")).workloads[0].memory.weights_gib
    one_slot = few.workloads[0].memory.weights_gib - plain
    assert one_slot > 1.5
    assert many.workloads[0].memory.weights_gib - plain == pytest.approx(4 * one_slot, abs=1e-3)


def test_a_card_that_holds_the_adapters_only_one_by_one_is_refused() -> None:
    """On L40S the same agent was planned with 33.7 GiB, where its own flags need 39.7: over 80 % of 44.39."""
    agent = {
        "name": "writer",
        "model": "Qwen/Qwen3-14B",
        "latencyClass": "background",
        "loraAdapters": adapters(256, 8, 8, 8),
        "overrides": {"tensorParallelSize": 1, "pipelineParallelSize": 1},
    }
    with pytest.raises(NoPlan) as caught:
        plan(agent, catalog=REAL, accelerators=only("l40s"))
    (refused,) = caught.value.rejections
    assert refused.constraint == "memory"


def test_a_rank_between_those_of_the_flag_is_rounded_up() -> None:
    agent = {"name": "writer", "model": "Qwen/Qwen3-14B", "latencyClass": "background"}
    odd, even = (
        plan({**agent, "loraAdapters": adapters(rank)}, catalog=REAL, accelerators=only("h100-sxm")).workloads[0]
        for rank in (65, 128)
    )
    assert flag(odd.engine.args, "--max-lora-rank") == "128"
    assert odd.memory.weights_gib == even.memory.weights_gib


SPECULATION = st.sampled_from(
    [
        None,
        {"method": "ngram", "tokens": 4},
        {"method": "draft-model", "model": "Qwen/Qwen3-0.6B", "tokens": 2},
    ]
)


@settings(derandomize=True, deadline=None, database=None, max_examples=examples(40))
@given(
    engine=st.sampled_from(["vllm", "sglang"]),
    model=st.sampled_from(["Qwen/Qwen3-8B", "Qwen/Qwen3-32B", "meta-llama/Llama-3.1-70B-Instruct"]),
    card=st.sampled_from(["h100-sxm", "a100-80gb-sxm", "l40s", "b200-sxm"]),
    precision=st.sampled_from(["bf16", "fp8"]),
    kv_dtype=st.sampled_from(["auto", "fp8"]),
    parallel=st.sampled_from([(1, 1), (2, 1), (4, 1), (1, 2), (2, 2)]),
    ranks=st.lists(st.sampled_from([8, 16, 40, 64, 256]), max_size=3),
    speculative=SPECULATION,
    concurrent=st.integers(1, 40),
)
def test_of_random_agents(engine, model, card, precision, kv_dtype, parallel, ranks, speculative, concurrent) -> None:
    agent = {
        "name": "writer",
        "model": model,
        "engine": engine,
        "precision": precision,
        "kvCacheDtype": kv_dtype,
        "latencyClass": "background",
        "sessions": {"concurrent": concurrent},
        "overrides": {"tensorParallelSize": parallel[0], "pipelineParallelSize": parallel[1]},
    }
    if ranks:
        agent["loraAdapters"] = adapters(*ranks)
    elif speculative is not None:
        agent["speculative"] = speculative
    try:
        found = plan(agent, catalog=REAL, accelerators=only(card), modelCache={"tokenSecret": "hf-token"})
    except NoPlan:
        return
    hold_against_size(found, load(agent).stack.spec.agents, REAL)
