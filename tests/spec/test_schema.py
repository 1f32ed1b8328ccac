"""The exported schema is current, valid, and agrees with the loader."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from agentgpu_iac.spec.model import AgentStack
from agentgpu_iac.spec.model.fields import MOST_AGENTS, MOST_LISTED
from agentgpu_iac.spec.reference import reference_text
from agentgpu_iac.spec.schema import json_schema, schema_text
from tests.spec.files import LARGE, SMALLEST, faults_of, with_agent, with_spec

PAGE = Path(__file__).parents[2] / "docs" / "spec-fields.md"
EXPORTED = Path(__file__).parents[2] / "docs" / "schema" / "agentstack.v1alpha1.json"


def errors_of(text: str) -> list[str]:
    """What a JSON Schema validator says about a file."""
    validator = Draft202012Validator(json_schema())
    return [error.message for error in validator.iter_errors(yaml.safe_load(text))]


def test_the_export_is_current() -> None:
    current = EXPORTED.read_text(encoding="utf-8") == schema_text()
    assert current, "the schema changed: refresh it with `agentgpu schema > docs/schema/agentstack.v1alpha1.json`"


def test_the_page_of_fields_is_current() -> None:
    current = PAGE.read_text(encoding="utf-8") == reference_text()
    assert current, "the fields changed: refresh the page with `make schema`"


def test_every_list_of_a_stack_has_a_limit() -> None:
    """A list without one is planned and rendered in whatever time it takes."""
    schema = json_schema()
    lists = [
        (path, value.get("maxItems", value.get("maxProperties")))
        for path, value in _values(schema, "")
        if value.get("type") == "array"
        or ("additionalProperties" in value and value["additionalProperties"] is not False)
    ]
    assert len(lists) > 20
    assert [path for path, most in lists if most is None] == []
    assert max(most for _, most in lists) <= MOST_LISTED


def _values(value: object, path: str) -> Iterator[tuple[str, dict[str, Any]]]:
    if isinstance(value, dict):
        yield path, value
        for key, below in value.items():
            yield from _values(below, f"{path}/{key}")
    elif isinstance(value, list):
        for position, below in enumerate(value):
            yield from _values(below, f"{path}/{position}")


def test_a_stack_of_more_agents_than_are_planned_says_the_limit_and_what_to_do() -> None:
    agents = "".join(f"    - {{name: a{index}, model: Qwen/Qwen3-8B}}\n" for index in range(MOST_AGENTS))
    assert faults_of(SMALLEST.replace("    - name: support\n      model: Qwen/Qwen3-14B\n", agents)) == []
    (fault,) = faults_of(SMALLEST + agents)
    assert "spec.agents: the list has 1,001 items; at most 1,000 fit (split the stack: " in fault


def test_the_page_says_the_limits() -> None:
    told = f"- At most {MOST_AGENTS:,} agents, and {MOST_LISTED:,} items in any other list.\n"
    assert told in (PAGE.parent / "spec.md").read_text(encoding="utf-8")


def test_lists_and_labels_that_are_too_long_say_how_long_they_are() -> None:
    callers = ", ".join(f"c{index}" for index in range(MOST_LISTED + 1))
    labels = ", ".join(f"l{index}: v" for index in range(MOST_LISTED + 1))
    text = with_spec(f"security: {{callers: [{callers}]}}", f"observability: {{labels: {{{labels}}}}}")
    said = "\n".join(faults_of(text))
    assert "spec.security.callers: the list has 1,001 items; at most 1,000 fit" in said
    assert "labels: has 1,001 keys; at most 1,000 fit" in said


def test_the_page_holds_every_field_of_the_schema() -> None:
    schema = json_schema()
    page = reference_text()
    for name, definition in {**schema["$defs"], "AgentStack": schema}.items():
        assert f"## {name}\n" in page
        for key in definition["properties"]:
            assert f"\n| `{key}` | " in page


def test_the_schema_is_a_draft_2020_12_schema() -> None:
    schema = json_schema()
    Draft202012Validator.check_schema(schema)
    assert schema["$schema"] == Draft202012Validator.META_SCHEMA["$id"]
    assert schema["$id"] == "urn:agentgpu:schema:agentstack.v1alpha1"
    assert schema["title"] == "agentgpu agent stack, v1alpha1"


def test_every_key_is_described() -> None:
    schema = json_schema()
    for definition in (schema, *schema["$defs"].values()):
        assert definition["description"]
        assert not definition["additionalProperties"]
        for key, field in definition["properties"].items():
            assert field.get("description") or "$ref" in field, key  # a part is described where it is defined


def test_keys_are_spelt_as_in_files() -> None:
    agent = json_schema()["$defs"]["Agent"]["properties"]
    assert {"latencyClass", "kvCacheDtype", "e2eMs"} <= set(agent)
    assert not {"latency_class", "e2EMs"} & set(agent)


def test_money_is_a_number() -> None:
    budget = json_schema()["$defs"]["Capacity"]["properties"]["budgetUsdPerMonth"]
    assert budget["anyOf"] == [{"exclusiveMinimum": 0.0, "type": "number"}, {"type": "null"}]


def test_the_text_is_the_same_every_time() -> None:
    assert schema_text() == schema_text()
    assert schema_text().endswith("}\n")


@pytest.mark.parametrize("text", [SMALLEST, LARGE, with_agent("sessions: {peak: null}")])
def test_good_stacks_pass(text: str) -> None:
    assert errors_of(text) == []
    assert faults_of(text) == []


def test_what_the_models_write_passes() -> None:
    stack = AgentStack.model_validate_json(AgentStack.model_validate(_data_of(LARGE)).model_dump_json(by_alias=True))
    assert errors_of(stack.model_dump_json(by_alias=True)) == []


def _data_of(text: str) -> dict[str, object]:
    data: dict[str, object] = _tuples(yaml.safe_load(text))  # type: ignore[assignment]
    return data


def _tuples(value: object) -> object:
    if isinstance(value, dict):
        return {key: _tuples(item) for key, item in value.items()}
    return tuple(_tuples(item) for item in value) if isinstance(value, list) else value


@pytest.mark.broad(every=5)
@pytest.mark.parametrize(
    "text",
    [
        SMALLEST.replace("v1alpha1", "v2"),
        SMALLEST.replace("AgentStack", "Stack"),
        SMALLEST.replace("support", "Support"),
        SMALLEST.replace("      model: Qwen/Qwen3-14B\n", ""),
        SMALLEST.replace("metadata: {name: customer-service}\n", ""),
        with_agent("latencyclass: chat"),
        with_agent("latency_class: chat"),
        with_agent("latencyClass: slow"),
        with_agent("sessions: {concurrent: 0}"),
        with_agent("sessions: {concurrent: '5'}"),
        with_agent("sessions: {concurrent: 1000000001}"),
        with_agent("traffic: {rampS: '5'}"),
        with_agent("interruptible: 1"),
        with_agent("ttftMs: 0"),
        with_spec("regions: us-east-1"),
        with_spec("capacity: {budgetUsdPerMonth: '5000'}"),
        with_spec("capacity: {budgetUsdPerMonth: 0}"),
        with_spec("pins: {kubernetesVersion: 1.34}"),
        SMALLEST[: SMALLEST.index("  agents")] + "  agents: []\n",
    ],
)
def test_bad_stacks_fail(text: str) -> None:
    assert errors_of(text)
    assert faults_of(text)
