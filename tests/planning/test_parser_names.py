"""Parsers in the words of each engine: what is translated is a name that vLLM has, into one that the engine has."""

from __future__ import annotations

import pytest

from agentgpu_iac.catalog.store import load_catalog
from agentgpu_iac.planning.engines import known_parsers
from agentgpu_iac.planning.engines.parsers import KnownParsers, Parsers
from agentgpu_iac.spec.vocabulary import Engine

CATALOG = load_catalog()


def newest(engine: Engine) -> KnownParsers:
    return known_parsers(CATALOG.engine_parsers(engine, CATALOG.release(engine).version))


VLLM, SGLANG, TENSORRT_LLM = newest("vllm"), newest("sglang"), newest("tensorrt-llm")
TABLES = [
    (SGLANG.tool_calls, VLLM.tool_calls),
    (SGLANG.reasoning, VLLM.reasoning),
    (TENSORRT_LLM.tool_calls, VLLM.tool_calls),
    (TENSORRT_LLM.reasoning, VLLM.reasoning),
]
OLDER_NAMES = {"deepseek_r1"}
"""Names of vLLM that its newest version still takes."""


@pytest.mark.parametrize(("own", "vllms"), TABLES)
def test_names_on_both_sides_exist(own: Parsers, vllms: Parsers) -> None:
    assert own.of_vllm is not None
    assert set(own.of_vllm) - vllms.names - OLDER_NAMES == set()
    assert set(own.of_vllm.values()) - own.names == set()


def test_vllm_knows_every_parser_of_the_catalog() -> None:
    models = CATALOG.models
    assert {one.tool_call_parser for one in models} - VLLM.tool_calls.names == {None}
    assert {one.reasoning_parser for one in models} - VLLM.reasoning.names == {None}


@pytest.mark.parametrize(
    ("of_vllm", "of_sglang"),
    [
        ("hermes", "qwen25"),
        ("llama3_json", "llama3"),
        ("llama4_pythonic", "pythonic"),
        ("pythonic", "pythonic"),
        ("mistral", "mistral"),
        ("openai", "gpt-oss"),
        ("qwen3_xml", "qwen3_coder"),
        ("deepseek_v31", "deepseekv31"),
    ],
)
def test_formats_that_two_engines_call_otherwise(of_vllm: str, of_sglang: str) -> None:
    assert SGLANG.tool_calls.named(None, of_vllm) == of_sglang


def test_a_format_without_a_counterpart_has_no_parser() -> None:
    assert SGLANG.tool_calls.named(None, "xlam") is None
    assert SGLANG.tool_calls.named("hermes", "xlam") == "hermes"
