"""Prefixes of hybrid models are kept by whole pages of their recurrent states, and steps hold one."""

from __future__ import annotations

import pytest

from agentgpu_iac.catalog.store import load_catalog
from agentgpu_iac.plan import Plan
from agentgpu_iac.planning.planner import NoPlan, make_plan
from agentgpu_iac.spec.loader import load_text

CATALOG = load_catalog()
HEAD = "apiVersion: agentgpu.dev/v1alpha1\nkind: AgentStack\nmetadata: {name: pages}\nspec:\n"


def planned(model: str, more: str = "", card: str = "h100-sxm") -> Plan:
    agent = f"{{name: chat, model: {model}, sessions: {{concurrent: 4}}, ttftMs: 20000, tpotMs: 300{more}}}"
    text = f"{HEAD}  accelerators: {{allow: [{card}]}}\n  agents:\n    - {agent}\n"
    return make_plan(load_text(text, "pages.yaml"), CATALOG)


def argument(plan: Plan, flag: str) -> int:
    args = plan.workloads[0].engine.args
    return int(args[args.index(flag) + 1])


def found(plan: Plan) -> float:
    return plan.workloads[0].routing.prefix_hit_ratio


def test_a_history_below_one_page_finds_nothing() -> None:
    """vllm-project/vllm issue 48401: no hit of 10,608 queries, with pages of 8,320 tokens and contexts of 4,096."""
    plan = planned("nvidia/NVIDIA-Nemotron-3-Super-120B-A12B-BF16", ", kvCacheDtype: fp8")
    assert found(plan) == 0.0
    assert "hybrid-not-cached" in {warning.code for warning in plan.warnings}


def test_a_long_history_finds_all_but_a_page_of_it() -> None:
    long = ", conversation: {turns: 10, inputTokensPerTurn: 2000, outputTokensPerTurn: 300}"
    plan = planned("Qwen/Qwen3.6-27B", long)
    assert 0.9 < found(plan) < 1.0
    assert "hybrid-not-cached" not in {warning.code for warning in plan.warnings}


def test_what_was_measured_stands() -> None:
    stated = planned("Qwen/Qwen3.6-27B", ", conversation: {prefixHitRatio: 0.8}")
    assert found(stated) == 0.8


@pytest.mark.parametrize(
    ("model", "version", "page"),
    [("Qwen/Qwen3.5-35B-A3B", "0.19.0", 2096), ("nvidia/NVIDIA-Nemotron-3-Nano-30B-A3B-BF16", "0.18.0", 4176)],
)
def test_a_step_holds_a_page(model: str, version: str, page: int) -> None:
    """vllm-project/vllm pull request 36734: block_size (2096) must be <= max_num_batched_tokens (2048)."""
    plan = planned(model, f", kvCacheDtype: fp8, engineVersion: {version}, overrides: {{tensorParallelSize: 2}}")
    assert argument(plan, "--max-num-batched-tokens") == page


def test_shorter_steps_by_hand_are_refused_where_the_release_does_not_start_with_them() -> None:
    by_hand = ", kvCacheDtype: fp8, engineVersion: {}, overrides: {{tensorParallelSize: 2, maxNumBatchedTokens: 2048}}"
    with pytest.raises(NoPlan) as refused:
        planned("Qwen/Qwen3.5-35B-A3B", by_hand.format("0.19.0"))
    assert {(one.constraint, one.need) for one in refused.value.rejections} == {("batched-tokens", 2096.0)}
    assert argument(planned("Qwen/Qwen3.5-35B-A3B", by_hand.format("0.33.0")), "--max-num-batched-tokens") == 2048


def test_experts_of_a_dense_model_are_not_dealt_out_over_several_nodes() -> None:
    with pytest.raises(NoPlan) as refused:
        planned("Qwen/Qwen3-32B", ", overrides: {expertParallelSize: 2, tensorParallelSize: 2}")
    assert {one.constraint for one in refused.value.rejections} == {"parallelism"}
