from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agentgpu_iac.operations.comparison import Difference, differences
from agentgpu_iac.units import quantity
from tests.operations.scenes import live, planned
from tests.thoroughness import examples


def found(before: Any, after: Any, **more: Any) -> list[tuple[str, str | None, str | None]]:
    told = differences({"spec": before}, {"spec": after}, **more)
    return [(each.path, each.planned, each.live) for each in told]


def test_an_object_as_the_server_keeps_it_is_no_different() -> None:
    assert {ref: differences(body, live(body)) for ref, body in planned().items()} == dict.fromkeys(planned(), ())


def test_fields_that_are_not_planned_say_nothing() -> None:
    assert found({"type": "ClusterIP"}, {"type": "ClusterIP", "clusterIP": "10.0.0.7"}) == []


def test_a_changed_field_has_its_path_and_both_values() -> None:
    assert found({"a": {"b": 1}}, {"a": {"b": 2}}) == [("spec.a.b", "1", "2")]
    assert found({"a": "x"}, {}) == [("spec.a", "x", None)]


@pytest.mark.parametrize("empty", ({}, [], "", 0, False))
def test_what_is_empty_is_the_same_as_absent(empty: Any) -> None:
    assert found({"a": empty}, {}) == []


def test_true_is_not_one_and_a_number_is_not_its_text() -> None:
    assert found({"a": True}, {"a": 1}) == [("spec.a", "true", "1")]
    assert found({"a": "8000"}, {"a": 8000}) == [("spec.a", "8000", "8000")]


def test_quantities_are_compared_by_value_and_only_where_quantities_stand() -> None:
    assert found({"limits": {"cpu": "1000m", "memory": "1Gi"}}, {"limits": {"cpu": "1", "memory": "1024Mi"}}) == []
    assert found({"emptyDir": {"sizeLimit": "1024Mi"}}, {"emptyDir": {"sizeLimit": "1Gi"}}) == []
    assert found({"target": {"averageValue": "9600m"}}, {"target": {"averageValue": "9.6"}}) == []
    assert found({"limits": {"cpu": "1"}}, {"limits": {"cpu": "2"}}) == [("spec.limits.cpu", "1", "2")]
    assert found({"env": [{"name": "A", "value": "1000m"}]}, {"env": [{"name": "A", "value": "1"}]}) != []


def test_a_word_of_the_arguments_is_named_by_its_flag() -> None:
    before, after = ["/models/x", "--max-num-seqs", "12"], ["/models/x", "--max-num-seqs", "64"]
    assert found({"args": before}, {"args": after}) == [("spec.args[--max-num-seqs]", "12", "64")]


def test_arguments_that_were_added_or_taken_away_stand_alone() -> None:
    before = ["/models/x", "--max-num-seqs", "12", "--enforce-eager"]
    assert found({"args": before}, {"args": before[:3]}) == [("spec.args[3]", "--enforce-eager", None)]
    assert found({"args": before[:1]}, {"args": before[:3]}) == [("spec.args[1]", None, "--max-num-seqs 12")]


def test_list_elements_are_matched_by_their_key_and_not_by_their_place() -> None:
    one, two = {"name": "A", "value": "1"}, {"name": "B", "value": "2"}
    assert found({"env": [one, two]}, {"env": [two, one]}) == []
    assert found({"env": [one, two]}, {"env": [one]})[0][0] == "spec.env[B]"


def test_a_variable_that_somebody_added_is_named_without_its_value() -> None:
    one, added = {"name": "A", "value": "1"}, {"name": "TOKEN", "value": "hf_secret"}
    assert found({"env": [one]}, {"env": [one, added]}) == [("spec.env[TOKEN]", None, "(set; its value is not shown)")]


def test_mounts_of_one_volume_are_told_apart_by_their_path() -> None:
    mounts = [{"name": "cache", "mountPath": "/a"}, {"name": "cache", "mountPath": "/b", "subPath": "x"}]
    other = [mounts[0], {**mounts[1], "subPath": "y"}]
    assert found({"volumeMounts": mounts}, {"volumeMounts": other}) == [("spec.volumeMounts[/b].subPath", "x", "y")]


def test_a_key_too_many_counts_where_only_a_hand_adds_it() -> None:
    assert found({"nodeSelector": {"a": "1"}}, {"nodeSelector": {"a": "1", "b": "2"}}) == [
        ("spec.nodeSelector.b", None, "2")
    ]
    assert found({"annotations": {"a": "1"}}, {"annotations": {"a": "1", "b": "2"}}) == []


def test_a_text_of_many_lines_is_told_by_its_first_line_that_differs() -> None:
    assert found({"data": {"x.json": "a\nb\nc\n"}}, {"data": {"x.json": "a\nB\nc\n"}}) == [
        ("spec.data[x.json] line 2", "b", "B")
    ]
    assert found({"data": {"x": "a\n"}}, {"data": {"x": "a"}}) == [("spec.data.x line 2", "", None)]


def test_what_something_else_owns_is_left_out() -> None:
    assert found({"replicas": 1, "a": 1}, {"replicas": 3, "a": 2}, ignored=frozenset({"spec.replicas"})) == [
        ("spec.a", "1", "2")
    ]


LAWS = settings(
    derandomize=True,
    deadline=None,
    database=None,
    max_examples=examples(80),
    suppress_health_check=[HealthCheck.too_slow],
)
_NAMES = st.sampled_from(("name", "key", "args", "limits", "a.b", "x"))
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_NAMES, inner, max_size=3),
)
_BODIES = st.dictionaries(_NAMES, _JSON, max_size=4)


@LAWS
@given(_BODIES)
def test_nothing_differs_from_itself(body: dict[str, Any]) -> None:
    assert differences(body, body) == ()


@LAWS
@given(_BODIES, _BODIES)
def test_any_two_objects_can_be_compared(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert all(isinstance(each, Difference) for each in differences(one, other))


@LAWS
@given(st.integers(0, 10**9), st.sampled_from(["", "k", "M", "Ki", "Mi", "Gi"]))
def test_a_quantity_in_thousandths_is_the_same_quantity(number: int, suffix: str) -> None:
    value = quantity(f"{number}{suffix}")
    assert value is not None
    assert quantity(f"{value * 1000}m") == value


@LAWS
@given(st.decimals(0, 10**6, places=3))
def test_a_plain_decimal_is_its_own_value(number: Decimal) -> None:
    assert quantity(f"{number:f}") == number
    assert quantity(f"{number:f}e3") == number * 1000


@pytest.mark.parametrize("text", ("", "one", "1 Gi", "1gi", "Gi", "--1", "1Gim"))
def test_what_is_no_quantity_is_none(text: str) -> None:
    assert quantity(text) is None
