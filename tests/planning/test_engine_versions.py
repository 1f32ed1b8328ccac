"""An engine's version is held against the model, the card, the parsers and the flags that it is given."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from agentgpu_iac.calculators.calculator import SIZE
from agentgpu_iac.catalog.engine_versions import first_on, first_with
from agentgpu_iac.catalog.store import Catalog, load_catalog
from agentgpu_iac.catalog.versions import at_least
from agentgpu_iac.plan import Rejection
from agentgpu_iac.planning.planner import NoPlan
from tests.planning.flags import split
from tests.planning.scenes import make_accelerator, make_agent, make_catalog, make_model, offerings, plan

REAL = load_catalog()
ROWS = REAL.engine_versions
VLLM = tuple(row for row in ROWS if row.engine == "vllm")


def known(**changes: Any) -> Catalog:
    """The catalog made by hand, with what is known of real releases."""
    return dataclasses.replace(make_catalog(**changes), engine_versions=ROWS)


def refusals(catalog: Catalog, **agent: Any) -> list[Rejection]:
    with pytest.raises(NoPlan) as refused:
        plan(make_agent(**agent), catalog=catalog)
    return [one for one in refused.value.rejections if one.constraint == "engine-version"]


QWEN3 = make_model("test/qwen3", 8, architecture="qwen3", reasoning_parser="qwen3")


def test_a_version_without_the_models_class_is_refused_with_both_versions() -> None:
    found = refusals(known(models=(QWEN3,)), model="test/qwen3", engineVersion="0.8.0")
    assert [(one.need_version, one.limit_version) for one in found] == [("0.8.4", "0.8.0"), ("0.9.0", "0.8.0")]
    assert "0.8.4 and newer" in found[0].message
    assert "reasoning parser qwen3" in found[1].message


def test_an_engine_that_is_gone_is_refused() -> None:
    (found,) = refusals(known(), engineVersion="0.6.0")
    assert "V0" in found.message
    assert (found.need_version, found.limit_version) == ("0.8", "0.6.0")


def test_a_parser_that_came_later_is_refused_where_tools_are_called() -> None:
    catalog = known(models=(make_model("test/coder", 8, tool_call_parser="qwen3_coder"),))
    calls = {"model": "test/coder", "conversation": {"toolCalls": {"perTurn": 1.0}}}
    (found,) = refusals(catalog, engineVersion="0.9.0", **calls)
    assert found.need_version == "0.10.0"
    assert plan(make_agent(engineVersion="0.10.0", **calls), catalog=catalog)


def test_a_card_that_the_binaries_hold_no_code_for_is_refused() -> None:
    card = make_accelerator("black-32", 32.0, 1800.0, 400.0, compute_capability="12.0")
    catalog = known(rows=offerings("one", "black-32", 1, on_demand="1.0"), accelerators=(card,))
    (found,) = refusals(catalog, engineVersion="0.9.0")
    assert (found.accelerator, found.need_version, found.limit_version) == ("black-32", "0.9.2", "0.9.0")


def test_what_lies_between_two_releases_that_were_read_is_not_refused() -> None:
    assert first_with(ROWS, "vllm", "0.10.0", "architecture", "gpt_oss") == "0.10.2"
    assert first_with(ROWS, "vllm", "0.10.1", "architecture", "gpt_oss") is None
    assert first_with(ROWS, "vllm", "0.2.0", "architecture", "llama") is None
    assert first_with(ROWS, "vllm", "nightly", "architecture", "qwen3") is None


@pytest.mark.parametrize(
    ("capability", "version", "since"),
    [
        ("12.0", "0.9.0", "0.9.2"),
        ("10.0", "0.8.5", "0.9.0"),
        ("10.3", "0.8.5", "0.9.0"),
        ("9.0", "0.8.0", None),
        ("8.6", "0.9.0", None),
        ("gfx942", "0.8.0", None),
    ],
)
def test_cards_by_release(capability: str, version: str, since: str | None) -> None:
    assert first_on(ROWS, "vllm", version, capability) == since


VARIETY: tuple[dict[str, Any], ...] = (
    {},
    {"kvCacheDtype": "bf16"},
    {"kvOffloadGib": 20.0, "trustRemoteCode": True},
    {"loraAdapters": [{"name": "legal", "source": "org/legal"}], "conversation": {"toolCalls": {"perTurn": 2.0}}},
    {"speculative": {"method": "ngram"}},
    {"model": "test/big", "latencyClass": "background"},
)


@pytest.mark.broad(every=5)
@pytest.mark.parametrize("row", [row for row in VLLM if at_least(row.version, "0.8")], ids=lambda row: row.version)
def test_no_flag_is_written_that_the_version_lacks(row: Any) -> None:
    """The rendered arguments of every release that was read."""
    has = {flag for older in VLLM if at_least(row.version, older.version) for flag in older.flags}
    planned = 0
    for changes in VARIETY:
        try:
            found = plan(make_agent(engineVersion=row.version, **changes), catalog=known())
        except NoPlan:
            continue
        planned += 1
        for one in found.workloads:
            assert set(split(one.engine.args)[1]) <= has, row.version
    assert planned


def test_every_flag_that_is_written_is_in_some_row() -> None:
    named = {flag for row in ROWS for flag in row.flags}
    assert {"--shutdown-timeout", "--max-num-queued-reqs", "--kv-cache-memory-bytes", "--tool-call-parser"} <= named


@pytest.mark.parametrize(
    ("question", "version"),
    [
        ({"model": "Qwen/Qwen3-8B", "accelerator": "h100-sxm"}, "0.6.0"),
        ({"model": "Qwen/Qwen2.5-7B-Instruct", "accelerator": "rtx-5090"}, "0.8.5"),
    ],
    ids=["the model", "the card"],
)
def test_calculators_refuse_by_the_same_rows(question: dict[str, Any], version: str) -> None:
    answer = SIZE.answer({**question, "max-model-len": 8192, "engine-version": version}, REAL)
    assert answer["rejection"]["constraint"] == "engine-version"
    assert answer["rejection"]["limitVersion"] == version
    assert at_least(answer["rejection"]["needVersion"], version)


def test_calculators_say_that_an_old_engine_is_gone() -> None:
    question = {"model": "Qwen/Qwen2.5-7B-Instruct", "accelerator": "h100-sxm", "max-model-len": 8192}
    answer = SIZE.answer({**question, "engine-version": "0.6.6"}, REAL)
    assert answer["rejection"]["constraint"] == "engine-version"
    assert "V0, which is gone" in answer["rejection"]["message"]
    assert (answer["rejection"]["needVersion"], answer["rejection"]["limitVersion"]) == ("0.8", "0.6.6")
    assert "rejection" not in SIZE.answer({**question, "engine-version": "0.8.0"}, REAL)
