"""A saved plan is read back as it was written, and what is no plan is refused with its faults."""

from __future__ import annotations

import contextlib
import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agentgpu_iac import __version__
from agentgpu_iac.cli.output import yaml_text
from agentgpu_iac.errors import BadInput
from agentgpu_iac.plan import Plan
from agentgpu_iac.plan.reading import load_plan, plan_in
from agentgpu_iac.plan.writing import plan_text
from agentgpu_iac.rendering.stack import stack_drafts
from agentgpu_iac.review.blocks import plain_text
from agentgpu_iac.review.plan_view import plan_view
from agentgpu_iac.spec.yaml_tree import spelled
from tests.examples import EXAMPLES
from tests.plans import make_plan
from tests.review.stacks import example


def document(plan: Plan | None = None) -> dict[str, Any]:
    made: dict[str, Any] = json.loads(plan_text(plan or make_plan()))
    return made


def refusal(text: str, source: str = "plan.json") -> str:
    with pytest.raises(BadInput) as caught:
        plan_in(text.encode(), source)
    return str(caught.value)


@pytest.mark.broad(every=5)
@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_a_plan_is_read_back_as_it_was_written(path: Path) -> None:
    plan = example(path).plan
    assert plan_in(plan_text(plan).encode(), "plan.json") == plan
    assert plan_in(yaml_text(document(plan)).encode(), "plan.yaml") == plan


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_a_stack_is_no_plan_even_where_a_comment_mentions_one(path: Path) -> None:
    assert plan_in(b"# unlike an agentgpu.dev/plan/v1alpha1\n" + path.read_bytes(), "stack.yaml") is None


def test_a_plan_is_known_by_its_version_wherever_that_stands() -> None:
    made = document()
    last = {**{key: value for key, value in made.items() if key != "apiVersion"}, "apiVersion": made["apiVersion"]}
    assert plan_in(json.dumps(last).encode(), "plan.json") == make_plan()
    assert plan_in(yaml_text(last).encode(), "plan.yaml") == make_plan()


@pytest.mark.parametrize(
    "text",
    [
        '{"metadata": {"apiVersion": "agentgpu.dev/plan/v1alpha1"}}',
        "a:\n  apiVersion: agentgpu.dev/plan/v1alpha1\n",
        "[]",
    ],
)
def test_a_version_further_down_makes_no_plan(text: str) -> None:
    assert plan_in(text.encode(), "stack.yaml") is None


DEEP = "[" * 200_000


@pytest.mark.parametrize(
    "text",
    [
        f"apiVersion: agentgpu.dev/plan/v1alpha1\nx: {DEEP}",
        f'{{"apiVersion": "agentgpu.dev/plan/v1alpha1", "x": {DEEP}',
    ],
)
def test_a_plan_that_is_nested_deeply_is_refused_in_one_sentence(text: str) -> None:
    said = refusal(text, "plan")
    assert "\n" not in said
    assert "nested" in said


@pytest.mark.parametrize("text", [DEEP, '{"a":' * 40_000, "- " * 100_000, "", "\0", "{", "a: b: c", "&a [*a]"])
def test_what_says_nothing_of_a_plan_is_left_to_others(text: str) -> None:
    assert plan_in(text.encode(), "file.json") is None


def test_json_is_read_as_json() -> None:
    text = plan_text(make_plan())
    assert refusal(text.replace('"stack": "demo"', '"stack": "demo", "stack": "other"')).endswith(
        "holds the key 'stack' twice in one object"
    )
    assert refusal(text.replace('"maxNumSeqs": 12', '"maxNumSeqs": NaN')).endswith("holds NaN, which is no JSON")
    assert refusal(text[:-3]).startswith("plan.json:")
    assert "is not JSON" in refusal(text[:-3])


def test_yaml_with_faults_lists_them_with_their_lines() -> None:
    text = yaml_text(document()) + "stack: other\n"
    assert "plan.yaml:" in refusal(text, "plan.yaml")


def test_an_engine_that_serves_nobody_is_no_engine_of_a_plan() -> None:
    made = document()
    made["workloads"][0]["engine"]["name"] = "ollama"
    assert refusal(json.dumps(made)).startswith("plan.json: workloads[0].engine.name:")


def test_a_plan_of_an_older_version_says_so_in_one_sentence() -> None:
    made = document()
    made["provenance"]["toolVersion"] = "0.0.9"
    del made["workloads"][0]["drain"], made["watching"]
    assert refusal(json.dumps(made)) == (
        "plan.json: was made by agentgpu 0.0.9 and lacks workloads[0].drain and 1 more; "
        f"this is agentgpu {__version__} (plan again)"
    )


def test_a_plan_of_a_newer_version_says_so_and_a_misspelt_field_is_a_fault() -> None:
    made = {**document(), "carbon": {}}
    assert refusal(json.dumps(made)).startswith("plan.json: carbon:")
    made["provenance"]["toolVersion"] = "9.0.0"
    assert "was made by agentgpu 9.0.0 and holds what this version does not know, carbon;" in refusal(json.dumps(made))


def test_another_version_of_the_format_is_named() -> None:
    text = plan_text(make_plan()).replace("plan/v1alpha1", "plan/v2")
    assert "is a plan of version agentgpu.dev/plan/v2; this agentgpu reads agentgpu.dev/plan/v1alpha1" in refusal(text)


def test_a_file_that_is_no_plan_is_refused_where_a_plan_is_wanted(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="is no plan"):
        load_plan(EXAMPLES[0])
    with pytest.raises(BadInput, match="cannot be read"):
        load_plan(tmp_path / "none.json")


@pytest.mark.parametrize("hidden", ["\x1b[31m", "\x1b]0;title\x07", "\r", "\x9b", "\u202e", "\u2028"])
def test_what_a_terminal_would_obey_is_no_part_of_a_plan(hidden: str) -> None:
    made = document()
    made["headline"] += hidden
    for text, source in ((json.dumps(made), "plan.json"), (yaml_text(made), "plan.yaml")):
        told = refusal(text, source)
        assert "headline: holds the hidden character U+" in told
        assert hidden not in told


def test_a_hidden_character_in_a_key_is_found_too() -> None:
    assert "holds the hidden character U+001B" in refusal(json.dumps({**document(), "\x1bstack": 1}))


@pytest.mark.parametrize(
    "address", ["https://deploy:s3cret@git.example.org/a", "https://tok@h/a", "https://h/a?token=x1"]
)
def test_an_address_that_signs_in_is_refused_and_not_repeated(address: str) -> None:
    made = document()
    made["headline"] = f"see {address}"
    told = refusal(json.dumps(made))
    assert told.startswith("plan.json: headline: is an address with a password or token in it")
    assert address not in told


def test_a_name_that_leads_nowhere_is_a_fault() -> None:
    made = document()
    made["workloads"][0]["nodePool"] = "none"
    assert refusal(json.dumps(made)) == (
        "plan.json: workloads[0].nodePool: names 'none', which the plan does not have (plan again)"
    )


def _places(part: Any, steps: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Every place of a plan that names an agent, a deployment, a workload or a node pool."""
    items = part.items() if isinstance(part, dict) else enumerate(part) if isinstance(part, list) else ()
    for key, value in items:
        if key in ("agent", "deployment", "nodePool", "workload") and isinstance(value, str):
            yield (*steps, key)
        yield from _places(value, (*steps, key))


def test_no_name_of_a_plan_may_lead_nowhere() -> None:
    made = document(example(EXAMPLES[0]).plan)
    places = {tuple(step for step in steps if isinstance(step, str)): steps for steps in _places(made)}
    del places["workloads", "agent"]  # where a deployment has its name from
    assert {steps[-1] for steps in places} == {"agent", "deployment", "nodePool", "workload"}
    for steps in places.values():
        broken = copy.deepcopy(made)
        at: Any = broken
        for step in steps[:-1]:
            at = at[step]
        at[steps[-1]] = "nowhere"
        told = refusal(json.dumps(broken))
        assert f"{spelled(steps)}: names 'nowhere', which the plan does not have" in told


def test_a_deployment_serves_whom_the_plan_says_that_it_serves() -> None:
    made = document(example(EXAMPLES[0]).plan)
    made["agents"][0]["name"] = "another"
    lacking = f"workloads[0].agents: lacks 'another', whose deployment is '{made['agents'][0]['deployment']}'"
    assert lacking in refusal(json.dumps(made))


def _lists(part: Any, steps: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Every list of a plan that holds something."""
    items = part.items() if isinstance(part, dict) else enumerate(part) if isinstance(part, list) else ()
    for key, value in items:
        if isinstance(value, list) and value:
            yield (*steps, key)
        yield from _lists(value, (*steps, key))


@pytest.mark.parametrize("path", [EXAMPLES[0], EXAMPLES[-1]], ids=lambda path: path.stem)
def test_a_list_that_is_empty_is_refused_or_does_no_harm(path: Path) -> None:
    made = document(example(path).plan)
    places = {tuple(step for step in steps if isinstance(step, str)): steps for steps in _lists(made)}
    for steps in places.values():
        emptied = copy.deepcopy(made)
        at: Any = emptied
        for step in steps[:-1]:
            at = at[step]
        at[steps[-1]] = []
        with contextlib.suppress(BadInput):
            plan = plan_in(json.dumps(emptied).encode(), "plan.json")
            assert plan is not None
            assert plain_text(plan_view(plan, "plan.json"))
            assert stack_drafts(plan)


def test_a_pool_of_no_machines_is_refused() -> None:
    made = document()
    made["nodePools"][0]["instanceTypes"] = []
    assert "nodePools[0].instanceTypes" in refusal(json.dumps(made))
