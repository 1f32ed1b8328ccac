"""Quantised weights are sliced between their scales, or not at all."""

from __future__ import annotations

import pytest

from agentgpu_iac.calculators.calculator import SIZE
from agentgpu_iac.catalog.store import load_catalog
from agentgpu_iac.planning.planner import NoPlan, make_plan
from agentgpu_iac.sizing.parallelism import blocks_fault
from agentgpu_iac.spec.loader import load_text

CATALOG = load_catalog()
STACK = """\
apiVersion: agentgpu.dev/v1alpha1
kind: AgentStack
metadata: {{name: slices}}
spec:
  accelerators: {{allow: [h100-sxm]}}
  agents:
    - name: chat
      model: MiniMaxAI/MiniMax-M2
      {more}
      sessions: {{concurrent: 4}}
      ttftMs: 20000
      tpotMs: 300
"""


def fault(model: str, tensor: int, *, version: str = "0.11.2", experts: int = 1) -> str | None:
    found = CATALOG.model(model)
    fault = blocks_fault("vllm", version, found, found.native_precision, tensor, experts)
    return None if fault is None else fault[0]


@pytest.mark.parametrize(
    ("model", "tensor", "is_sliced"),
    [
        ("MiniMaxAI/MiniMax-M2", 4, True),  # 1,536 / 4 = 3 x 128
        ("MiniMaxAI/MiniMax-M2", 8, False),  # 192
        ("deepseek-ai/DeepSeek-V3", 8, True),  # 2,048 / 8 = 2 x 128
        ("Qwen/Qwen3-30B-A3B-Instruct-2507", 4, True),  # published in bf16
        ("mistralai/Ministral-3-8B-Instruct-2512", 8, True),  # scales of whole tensors
    ],
)
def test_experts_are_sliced_between_blocks(model: str, tensor: int, is_sliced: bool) -> None:
    assert (fault(model, tensor) is None) is is_sliced


def test_a_newer_release_makes_the_blocks_finer_and_experts_that_are_dealt_out_are_not_sliced() -> None:
    assert fault("MiniMaxAI/MiniMax-M2", 8, version="0.33.0") is None
    assert fault("MiniMaxAI/MiniMax-M2", 8, version="") is None
    assert fault("MiniMaxAI/MiniMax-M2", 8, experts=8) is None


def test_a_plan_says_which_size_would_do_and_takes_it_by_itself() -> None:
    by_hand = STACK.format(
        more="{engineVersion: 0.11.2, overrides: {tensorParallelSize: 8}}"[1:-1].replace(", ", "\n      ", 1)
    )
    with pytest.raises(NoPlan) as refused:
        make_plan(load_text(by_hand, "slices.yaml"), CATALOG)
    (found,) = {(one.constraint, one.message) for one in refused.value.rejections}
    assert found[0] == "parallelism"
    assert "4 at most does" in found[1]
    by_itself = make_plan(load_text(STACK.format(more="engineVersion: 0.11.2"), "slices.yaml"), CATALOG)
    assert (
        by_itself.workloads[0].engine.args[by_itself.workloads[0].engine.args.index("--tensor-parallel-size") + 1]
        == "4"
    )


def test_the_calculator_refuses_it_too() -> None:
    question = {"model": "MiniMaxAI/MiniMax-M2", "accelerator": "h100-sxm", "tp": 8, "engine-version": "0.11.2"}
    assert SIZE.answer(question, CATALOG)["rejection"]["constraint"] == "parallelism"
