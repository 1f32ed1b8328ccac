"""What an engine is known to end with at start is no plan."""

from __future__ import annotations

import pytest

from agentgpu_iac.catalog.store import load_catalog
from agentgpu_iac.plan import Plan
from agentgpu_iac.planning.planner import NoPlan, make_plan
from agentgpu_iac.spec.loader import load_text

CATALOG = load_catalog()
HEAD = "apiVersion: agentgpu.dev/v1alpha1\nkind: AgentStack\nmetadata: {name: start}\nspec:\n"


def planned(model: str, card: str, more: str, image: str = "") -> Plan:
    agent = f"{{name: chat, model: {model}, sessions: {{concurrent: 2}}, ttftMs: 20000, tpotMs: 300, {more}}}"
    cache = "  modelCache: {tokenSecret: hub}\n" + (f"  pins: {{engineImage: '{image}'}}\n" if image else "")
    return make_plan(
        load_text(f"{HEAD}  accelerators: {{allow: [{card}]}}\n{cache}  agents:\n    - {agent}\n", "start.yaml"),
        CATALOG,
    )


def refusals(model: str, card: str, more: str) -> dict[str, str]:
    with pytest.raises(NoPlan) as refused:
        planned(model, card, more)
    return {one.constraint: one.message for one in refused.value.rejections}


def test_models_that_are_unstable_in_float16_are_not_started_in_it() -> None:
    assert "precision: bf16" in refusals("google/gemma-3-12b-it", "l40s", "precision: fp16")["engine-feature"]
    assert planned("Qwen/Qwen3-8B", "l40s", "precision: fp16")


def test_a_class_without_adapters_gets_none() -> None:
    adapters = "loraAdapters: [{name: a, source: org/a, rank: 16}]"
    assert "takes no LoRA" in refusals("XiaomiMiMo/MiMo-V2-Flash", "h200-sxm", adapters)["engine-feature"]
    assert planned("Qwen/Qwen3-8B", "l40s", adapters)


def test_weights_that_are_made_at_load_fit_in_16_bit_first() -> None:
    """Before pull request 31914 all of them were held: a model of 61 GiB ended on a card of 44."""
    alone = "precision: fp8, overrides: {tensorParallelSize: 1, pipelineParallelSize: 1}, engineVersion: "
    assert "16 bit" in refusals("Qwen/Qwen3-32B", "l40s", f"{alone}0.11.0")["memory"]
    assert planned("Qwen/Qwen3-32B", "l40s", f"{alone}0.33.0")


def test_an_old_release_has_no_8_bit_cache_before_ada() -> None:
    more = "kvCacheDtype: fp8, engineVersion: "
    assert "8-bit KV cache" in refusals("Qwen/Qwen3-8B", "a100-80gb-sxm", f"{more}0.11.0")["engine-feature"]
    assert planned("Qwen/Qwen3-8B", "a100-80gb-sxm", f"{more}0.33.0")


@pytest.mark.parametrize("model", [model for model in CATALOG.models if "Nemotron-3" in model.id], ids=lambda m: m.id)
def test_one_family_has_one_reasoning_parser(model) -> None:
    assert model.reasoning_parser == "nemotron_v3"


def chat_template(model: str, more: str = "toolCallParser: null", image: str = "") -> str | None:
    args = planned(model, "h200-sxm", more, image).workloads[0].engine.args
    return args[args.index("--chat-template") + 1] if "--chat-template" in args else None


@pytest.mark.parametrize(
    ("model", "template"),
    [
        ("deepseek-ai/DeepSeek-R1-0528", "deepseekr1"),
        ("deepseek-ai/DeepSeek-V3-0324", "deepseekv3"),
        ("deepseek-ai/DeepSeek-V3.1", "deepseekv31"),
        ("meta-llama/Llama-4-Scout-17B-16E-Instruct", "llama4_pythonic"),
        ("microsoft/Phi-4-mini-instruct", "phi4_mini"),
    ],
)
def test_a_template_that_says_nothing_of_tools_is_replaced_in_the_engine_s_own_image(model: str, template: str) -> None:
    where = f"/vllm-workspace/examples/tool_chat_template_{template}.jinja"
    assert chat_template(model) == where
    assert chat_template(model, "toolCallParser: none") is None
    digest = f"@sha256:{'a' * 64}"
    assert chat_template(model, image=f"mirror.example/vllm/vllm-openai{digest}") == where
    assert chat_template(model, image=f"mirror.example/our-engine{digest}") is None


def test_a_release_whose_image_lacks_the_template_is_told_none() -> None:
    """0.9.0 has the template of DeepSeek V3 and not yet R1's: the engine ends where the file is not there."""
    assert chat_template("deepseek-ai/DeepSeek-R1-0528", "engineVersion: 0.9.0") is None
    assert chat_template("deepseek-ai/DeepSeek-V3-0324", "engineVersion: 0.9.0") is not None


@pytest.mark.parametrize("version", ["0.15.0", "0.33.0"])
def test_a_model_without_a_chat_template_is_read_by_a_tokenizer_of_its_own(version: str) -> None:
    args = planned("deepseek-ai/DeepSeek-V3.2", "h200-sxm", f"engineVersion: {version}").workloads[0].engine.args
    assert args[args.index("--tokenizer-mode") + 1] == "deepseek_v32"
    assert (
        "--tokenizer-mode" not in planned("Qwen/Qwen3-8B", "l40s", f"engineVersion: {version}").workloads[0].engine.args
    )
