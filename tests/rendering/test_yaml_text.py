from __future__ import annotations

import math

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from agentgpu_iac.rendering.yaml_text import dump, load, scalar
from tests.rendering.kubectl import kustomized, needs_kubectl

SYNTAX = (
    "", " ", "on", "off", "Yes", "y", "n", "null", "Null", "~", "true", "1e3", "0x10", "0o10", "010", "1_000", "1:30",
    "12:30:45", "2026-11-23", "2026-11-23T01:02:03Z", ".5", "+1", "-", "- a", "a: b", "a #b", "#a", "&a", "*a", "!a",
    "|", ">", "%a", "@a", "`a", "{a}", "[a]", "'", '"', "\\", "=", "<<", "...", "---", "? a", ".inf", ".NaN", "nan",
    "a\nb", "a\n", "\n", "\ta", " a ", "é", "🚀", "\x85", "\u2028", "\ufeff", "\x00", "\x1b", "{{ a }}", "{% if %}",
    "1.", "1e+22", "0b1",
)  # fmt: skip
"""Strings that are something else, or nothing, when they stand unquoted in YAML 1.1 or 1.2, or in a template."""

hostile = st.text() | st.sampled_from(SYNTAX)


@given(hostile)
def test_a_printed_string_is_read_back(text: str) -> None:
    assert load(f"key: {scalar(text)}") == {"key": text}
    assert yaml.safe_load(scalar(text)) == text


@pytest.mark.parametrize("text", SYNTAX)
def test_yaml_syntax_survives(text: str) -> None:
    assert load(scalar(text)) == text
    assert load(f"{scalar(text)}: 1") == {text: 1}
    assert load(dump({"key": text, "list": [text]}).decode()) == {"key": text, "list": [text]}


@given(st.integers() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False))
@example(1e22)
@example(1e-7)
@example(5e-324)
@example(-0.0)
def test_a_printed_number_is_read_back_as_a_number(number: float) -> None:
    read = load(scalar(number))
    assert read == number
    assert type(read) is type(number)


@pytest.mark.parametrize("value", [None, [], {}, b"", object()])
def test_only_scalars_are_printed(value: object) -> None:
    with pytest.raises(TypeError):
        scalar(value)  # type: ignore[arg-type]


@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan, "\ud800"])
def test_what_yaml_cannot_carry_is_refused(value: float | str) -> None:
    with pytest.raises(ValueError, match="not"):
        scalar(value)


json_like = st.recursive(
    hostile | st.integers() | st.booleans(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(hostile, inner, max_size=4),
    max_leaves=12,
)


@given(json_like)
def test_a_dumped_document_is_read_back(document: object) -> None:
    assert load(dump(document).decode()) == document  # type: ignore[arg-type]


def test_the_dump_is_for_people() -> None:
    shared = ["a", "1Gi", "8000"]
    text = dump({"z": shared, "a": shared, "script": "one\n  two\n", "long": "word " * 100 + "end"}).decode()
    assert text.startswith("z:\n- a\n- 1Gi\n- '8000'\na:\n- a\n")
    assert "script: |\n  one\n    two\n" in text
    assert len(text.splitlines()) == 12


def test_a_key_that_stands_twice_is_refused() -> None:
    with pytest.raises(yaml.YAMLError, match="twice"):
        load("a: 1\nb: 2\na: 3\n")


@pytest.mark.optional
@needs_kubectl
def test_another_parser_reads_the_same_strings(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Kustomize reads YAML with a parser that follows version 1.2 where PyYAML follows 1.1."""
    folder = tmp_path_factory.mktemp("kustomize")
    unreadable_again = ("\x00", "\x1b", "\x85", "=", "<<")
    data = {f"key-{number}": text for number, text in enumerate(SYNTAX) if text not in unreadable_again}
    manifest = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": data}
    (folder / "a.yaml").write_bytes(dump(manifest))
    (folder / "kustomization.yaml").write_bytes(dump({"resources": ["a.yaml"]}))
    (read,) = kustomized(folder)
    assert read["data"] == data
