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
