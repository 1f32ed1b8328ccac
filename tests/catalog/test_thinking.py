"""Whether models think: said of every model, in one row, and in accord with the parsers that their answers need."""

from __future__ import annotations

import dataclasses
from collections import Counter

import pytest

from agentgpu_iac.catalog.model import EngineOption, Thinking
from agentgpu_iac.catalog.packaged import packaged_rows
from agentgpu_iac.catalog.store import catalog_of, load_catalog, thinking_of
from agentgpu_iac.catalog.versions import before

ROWS = packaged_rows()
CATALOG = load_catalog()
WITHOUT_PARSER = {
    "HuggingFaceTB/SmolLM3-3B",
    "NousResearch/Hermes-4-70B",
    "nvidia/Llama-3_3-Nemotron-Super-49B-v1",
    "nvidia/NVIDIA-Nemotron-Nano-9B-v2",
}
"""Models that think and for which no parser of vLLM is known; the plan warns where they do."""


CHATS = [row for row in ROWS.models if row.pooling is None]
"""Models that generate, and may think first."""


def test_every_model_is_in_one_row() -> None:
    counts = Counter(model for row in ROWS.thinking for model in row.models)
    assert [model for model, count in counts.items() if count > 1] == []
    assert set(counts) == {row.id for row in CHATS}


def test_the_rows_reach_the_models() -> None:
    chats = [model for model in CATALOG.models if model.pooling is None]
    assert all(model.thinking is not None and model.id in model.thinking.models for model in chats)
    assert thinking_of("QWEN/qwen3-8b", ROWS.thinking) is thinking_of("Qwen/Qwen3-8B", ROWS.thinking) is not None


@pytest.mark.parametrize("row", CHATS, ids=lambda row: row.id)
def test_a_model_has_a_parser_of_reasoning_if_it_thinks(row) -> None:
    thinking = thinking_of(row.id, ROWS.thinking)
    assert thinking is not None
    thinks = thinking.thinks != "never"
    assert (row.reasoning_parser is not None) is (thinks and row.id not in WITHOUT_PARSER)


@pytest.mark.parametrize("row", ROWS.thinking, ids=lambda row: row.id)
def test_a_row_holds_together(row: Thinking) -> None:
    assert list(row.models) == sorted(row.models, key=str.casefold)
    thinks = row.thinks != "never"
    assert (row.typical_tokens is not None, row.tokens_error_factor is not None) == (thinks, thinks)
    hybrid = row.thinks in ("by-default", "when-asked")
    assert (row.switch is not None, row.on is not None, row.off is not None) == (hybrid, hybrid, hybrid)
    assert (row.variable is not None) is (row.switch == "chat-template") is (row.request(on=True) is not None)
    assert row.request_field is None or row.variable is not None
    assert not hybrid or row.on != row.off


@pytest.mark.parametrize(
    ("model", "thinks", "off"),
    [
        ("Qwen/Qwen3-8B", "by-default", {"chat_template_kwargs": {"enable_thinking": False}}),
        ("Qwen/Qwen3.6-27B", "by-default", {"chat_template_kwargs": {"enable_thinking": False}}),
        ("Qwen/Qwen3-30B-A3B-Instruct-2507", "never", None),
        ("zai-org/GLM-4.6", "by-default", {"chat_template_kwargs": {"enable_thinking": False}}),
        ("zai-org/GLM-5.3", "always", None),
        ("deepseek-ai/DeepSeek-V3.1", "when-asked", {"chat_template_kwargs": {"thinking": False}}),
        ("deepseek-ai/DeepSeek-R1", "always", None),
        ("moonshotai/Kimi-K2-Thinking", "always", None),
        ("moonshotai/Kimi-K2.6", "by-default", {"chat_template_kwargs": {"thinking": False}}),
        ("MiniMaxAI/MiniMax-M3", "by-default", {"chat_template_kwargs": {"thinking_mode": "disabled"}}),
        ("mistralai/Mistral-Medium-3.5-128B", "when-asked", {"reasoning_effort": "none"}),
        ("nvidia/NVIDIA-Nemotron-Nano-9B-v2", "by-default", None),
        ("openai/gpt-oss-20b", "always", None),
        ("meta-llama/Llama-3.3-70B-Instruct", "never", None),
    ],
)
def test_how_models_are_told_not_to(model: str, thinks: str, off: object) -> None:
    row = thinking_of(model, ROWS.thinking)
    assert row is not None
    assert (row.thinks, row.request(on=False)) == (thinks, off)


def test_a_users_row_wins() -> None:
    own = Thinking(id="own", models=("Qwen/Qwen3-8B",), thinks="never", sources=("a run",), read="2026-11-27")
    catalog = catalog_of(dataclasses.replace(ROWS, thinking=(*ROWS.thinking, own)))
    assert catalog.model("Qwen/Qwen3-8B").thinking == own
    assert catalog.model("Qwen/Qwen3-4B").thinking == CATALOG.model("Qwen/Qwen3-4B").thinking


@pytest.mark.parametrize("row", ROWS.engine_options, ids=lambda row: f"{row.engine} {row.option} {row.since}")
def test_what_an_engine_can_be_told_begins_after_what_it_could_not(row: EngineOption) -> None:
    assert row.before is None or before(row.before, row.since)


@pytest.mark.parametrize(
    ("engine", "version", "option", "architecture", "can"),
    [
        ("vllm", "0.33.0", "template-variables", "", True),
        ("vllm", "0.14.0", "template-variables", "", True),
        ("vllm", "0.13.0", "template-variables", "", False),
        ("sglang", "0.5.23", "template-variables", "", True),
        ("sglang", "0.5.15", "template-variables", "", False),
        ("tensorrt-llm", "1.2.1", "template-variables", "", False),
        ("vllm", "0.11.2", "hybrid-prefix-caching", "nemotron_h", False),
        ("vllm", "0.12.0", "hybrid-prefix-caching", "nemotron_h", True),
        ("vllm", "0.12.0", "hybrid-prefix-caching", "qwen3_next", False),
        ("vllm", "0.22.0", "hybrid-prefix-caching", "qwen3_5_text", True),
        ("vllm", "0.27.1", "hybrid-prefix-caching-by-default", "qwen3_5_text", False),
        ("vllm", "0.28.0", "hybrid-prefix-caching-by-default", "qwen3_5_text", True),
    ],
)
def test_what_engines_can_be_told(engine, version, option, architecture, can) -> None:
    assert CATALOG.engine_can(engine, version, option, architecture) is can
