"""Answers of the calculators, and rows of the catalog, as tables."""

from __future__ import annotations

import pytest

from agentgpu_iac.catalog.store import load_catalog
from agentgpu_iac.errors import BadInput
from agentgpu_iac.review.answer_view import answer_view
from agentgpu_iac.review.blocks import Listing, Paragraph, Table
from agentgpu_iac.review.catalog_view import entry, entry_view, listing

CATALOG = load_catalog()
SIZES = {
    "accelerators": len(CATALOG.accelerators),
    "models": len(CATALOG.models),
    "offerings": len(CATALOG.offerings),
    "engines": len(CATALOG.releases),
    "providers": len(CATALOG.providers),
    "excluded": len(CATALOG.exclusions),
}


def test_an_answer_is_a_table_of_figures() -> None:
    (table,) = answer_view({"ttftMs": 159630.739, "kvCacheTokens": 75144, "basis": "measured", "warnings": []})
    assert isinstance(table, Table)
    assert table.rows == (("ttftMs", "159,630.739"), ("kvCacheTokens", "75,144"), ("basis", "measured"))
    assert table.right == {1}


def test_warnings_follow_the_figures() -> None:
    _, warnings = answer_view({"ttftMs": 1.0, "warnings": ["a", "b"]})
    assert warnings == Listing(items=("a", "b"))


def test_a_rejection_is_a_sentence() -> None:
    rejection = {"constraint": "memory", "need": 35.6, "limit": 20.3, "unit": "GiB", "message": "35.6 > 20.3 GiB"}
    assert answer_view({"rejection": rejection}) == (Paragraph(text="Does not fit (memory): 35.6 > 20.3 GiB"),)


@pytest.mark.parametrize("kind", SIZES)
def test_a_listing_has_every_row_twice(kind: str) -> None:
    found = listing(CATALOG, kind)
    assert len(found.table.rows) == len(found.rows) == SIZES[kind] > 0
    assert all(len(row) == len(found.table.columns) for row in found.table.rows)
    if kind in ("accelerators", "models", "providers"):
        assert [row[0] for row in found.table.rows] == [row["id"] for row in found.rows]


@pytest.mark.parametrize(
    ("name", "kind", "key"),
    [
        ("l40s", "accelerator", "memoryGb"),
        ("H100-SXM", "accelerator", "sources"),
        ("aws", "provider", "interruptionNoticeS"),
        ("qwen/qwen3-14b", "model", "paramsTotal"),
        ("G6E.XLARGE", "instance type", "offerings"),
    ],
)
def test_an_entry_is_found_in_any_case(name: str, kind: str, key: str) -> None:
    found = entry(CATALOG, name)
    assert found["kind"] == kind
    assert found[key]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("l40", "catalog: nothing is called 'l40' (did you mean 'l40s'?)"),
        ("zzz", "catalog: nothing is called 'zzz'"),
        ("Qwen/Qwen3-14", "catalog: there is no model 'Qwen/Qwen3-14' (did you mean 'Qwen/Qwen3-14B'?)"),
    ],
)
def test_an_entry_that_is_not_there(name: str, message: str) -> None:
    with pytest.raises(BadInput) as caught:
        entry(CATALOG, name)
    assert str(caught.value) == message


def test_an_excluded_row_says_why() -> None:
    one = next(row for row in CATALOG.exclusions if row.kind != "model" and row.id not in _known())
    with pytest.raises(BadInput) as caught:
        entry(CATALOG, one.id)
    assert str(caught.value) == f"catalog: {one.kind} {one.id!r} is excluded: {one.reason}"


def _known() -> set[str]:
    names = {row.id for row in CATALOG.accelerators} | {row.id for row in CATALOG.providers}
    return names | {one.instance_type.name for one in CATALOG.offerings}


def test_an_entry_reads_as_text() -> None:
    (table,) = entry_view(entry(CATALOG, "g6e.xlarge"))
    assert isinstance(table, Table)
    rows = {row[0]: row[1] for row in table.rows}
    assert rows["gpuCount"] == "1"
    assert rows["gpuMemoryMib"] == "45,776"
    assert any(value.startswith("us-east-1, on-demand: USD ") for key, value in table.rows if key == "offering")
    assert not any(mark in value for _, value in table.rows for mark in ("[", "{", "None", "True", "False"))


@pytest.mark.parametrize("name", ["Qwen/Qwen3-14B", "h200-sxm", "aws", "p5.48xlarge"])
def test_no_entry_shows_how_python_spells_it(name: str) -> None:
    (table,) = entry_view(entry(CATALOG, name))
    assert isinstance(table, Table)
    assert not any(mark in value for _, value in table.rows for mark in ("['", "{'", "None", "True", "False"))
