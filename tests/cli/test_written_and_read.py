"""What is written is read back as it was: numbers at their ends, texts that look like numbers."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from agentgpu_iac.characters import hidden_character, printable
from agentgpu_iac.cli.output import yaml_text
from agentgpu_iac.inputs import json_of
from agentgpu_iac.rendering.yaml_text import dump, load, scalar
from agentgpu_iac.spec.scalars import MAX_NUMBER_CHARACTERS
from agentgpu_iac.spec.yaml_tree import compose, data_of
from tests.thoroughness import examples

QUIET = settings(derandomize=True, deadline=None, database=None, max_examples=examples(400))
MOST = 10 ** (MAX_NUMBER_CHARACTERS - 1) - 1
FLOATS = st.floats(allow_nan=False, allow_infinity=False)
NUMBERS = st.one_of(FLOATS, st.integers(-MOST, MOST), st.booleans(), st.none())
LIKE_NUMBERS = st.from_regex(r"[-+]?[0-9_.:]{0,6}(e[-+]?[0-9]{1,3}|x[0-9a-f]{1,4}|\.inf|)", fullmatch=True)
TEXTS = st.one_of(st.text(max_size=12).filter(lambda text: not hidden_character(text)), LIKE_NUMBERS)
VALUES = st.one_of(NUMBERS, TEXTS)


def read(text: str) -> Any:
    tree = compose(text, "f.yaml")
    assert tree.faults == ()
    return data_of(tree.root)


@QUIET
@given(value=VALUES, key=TEXTS)
@example(value=5e-05, key="a")
@example(value=5e-324, key="a")
@example(value=1.7976931348623157e308, key="a")
@example(value="1e3", key="12e5")
@example(value="010", key="1:30")
def test_an_answer_in_yaml_is_read_back(value: Any, key: str) -> None:
    assert read(yaml_text({key: value, "all": [value]})) == {key: value, "all": (value,)}


@QUIET
@given(value=VALUES)
@example(value=5e-05)
@example(value="5e-05")
def test_a_rendered_document_is_read_back_by_both_readers(value: Any) -> None:
    text = dump({"value": value}).decode()
    assert load(text) == {"value": value}
    if isinstance(value, float):
        assert read(text) == {"value": value}
        assert read(f"value: {scalar(value)}") == {"value": value}


@QUIET
@given(value=VALUES, key=TEXTS)
def test_an_answer_in_json_is_read_back(value: Any, key: str) -> None:
    assert json_of(json.dumps({key: value}, ensure_ascii=False), "f.json") == {key: value}


@pytest.mark.parametrize("text", ["5e-05", "-5e-05", "1e22", "2.5E+3", "+.5"])
def test_numbers_as_programs_print_them(text: str) -> None:
    assert read(f"value: {text}") == {"value": float(text)}


@QUIET
@given(text=st.text())
def test_nothing_printed_is_hidden(text: str) -> None:
    assert not hidden_character(printable(text))
