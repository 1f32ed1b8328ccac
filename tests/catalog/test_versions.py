"""Versions are compared as packaging does, suffixes cut; what is no version is neither new nor old."""

from __future__ import annotations

import pytest

from agentgpu_iac.catalog.versions import at_least, before, order, version_of


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0.33.0", "0.33.0"),
        ("0.33", "0.33.0"),
        ("v0.33.0", "0.33.0"),
        (" 0.33.0 ", "0.33.0"),
        ("0.33.0rc1", "0.33.0"),  # a release candidate has the code of the release
        ("v0.8.5.post1", "0.8.5"),
        ("1.0.dev3", "1.0"),
        ("0.33.0+cu129", "0.33.0"),
        ("0.5.9-cu126", "0.5.9"),
        ("0.21.x", "0.21"),
        ("9.0", "9.0"),
    ],
)
def test_what_a_text_names(text: str, expected: str) -> None:
    assert version_of(text) == version_of(expected)
    assert at_least(text, expected)
    assert not before(text, expected)


@pytest.mark.parametrize("text", ["", " ", "latest", "nightly", "gfx942", "v", "-1"])
def test_what_is_no_version_is_neither_new_nor_old(text: str) -> None:
    assert version_of(text) is None
    assert not at_least(text, "0")
    assert not before(text, "9999")
    assert order(text) < order("0.0.1")


def test_parts_are_numbers() -> None:
    assert before("0.9.2", "0.11.0")
    assert at_least("0.11", "0.9.2")
    assert sorted(["0.22.0", "0.9", "0.33.0"], key=order) == ["0.9", "0.22.0", "0.33.0"]
