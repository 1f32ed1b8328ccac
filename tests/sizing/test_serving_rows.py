"""How the measured rows are read: as deployments that exist."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from agentgpu_iac.catalog.store import load_catalog

BENCH = str(Path(__file__).parents[2] / "bench")


@pytest.fixture(scope="module")
def cases():
    sys.path.insert(0, BENCH)
    try:
        from serving_rows import read_cases
    finally:
        sys.path.remove(BENCH)
    return tuple(read_cases(load_catalog()))


def test_no_row_is_spread_over_more_cards_than_its_machine_has(cases):
    """TP x DP x EP was written in more than one way; a box of eight cards has eight."""
    machines = {"gb200": 72}
    wide = [case for case in cases if case.spread.accelerators > machines.get(case.accelerator.id, 8)]
    assert [(case.line, case.spread.accelerators) for case in wide] == []


def test_a_run_without_a_version_has_that_of_its_date(cases):
    """Llama-3.1-70B in vLLM, 2025-10: 0.10.2, not the newest."""
    of_2025 = {case.version for case in cases if case.engine == "vllm" and case.group[0] == "meta-llama/Llama-3.1-70B"}
    assert of_2025 == {"0.10.2"}


def test_a_service_of_several_machines_is_no_replica(cases):
    """Its source says so: 38 rows of Dynamo's router, 20 of prompts and answers on separate machines."""
    services = [case for case in cases if case.service]
    assert len(services) == 58
    assert {case.engine for case in services} == {"tensorrt-llm", "sglang"}
    assert all(case.service for case in cases if case.accelerator.id == "gb200")


def test_each_run_has_the_settings_of_its_script(cases):
    """Steps of two prompts since April, seats as many as slots, and how often SGLang looks for requests."""
    by_line = {case.line: case for case in cases}
    assert (by_line[69].step_tokens, by_line[176].step_tokens) == (2048, 8192)
    assert by_line[69].recipe.captured_tokens == 2048
    assert (by_line[1193].recipe.expert_kernel, by_line[1606].recipe.expert_kernel) == ("marlin", "")
    looked = {case.recipe.receive_every for case in cases if case.engine == "sglang" and not case.service}
    assert looked == {1, 10, 30, None}
    told = [case for case in cases if case.engine == "sglang" and not case.ttft_holds and not case.service]
    assert len(told) == 417


def test_what_a_script_always_switches_on_is_on_whatever_the_row_says(cases):
    """MiniMax-M2.5 on H200 since 2026-03-27: the script asks whether EP is one or more."""
    of_h200 = [case for case in cases if case.group[:2] == ("MiniMaxAI/MiniMax-M2.5", "h200-sxm")]
    assert {(case.version, case.expert_parallel > 1) for case in of_h200} == {("0.16.0", False), ("0.18.0", True)}
