"""A saved plan is read back as it was written, and what is no plan is refused with its faults."""

from __future__ import annotations

import json

import pytest

from agentgpu_iac.errors import BadInput
from agentgpu_iac.plan.reading import read_plan
from tests.plans import make_plan


def test_a_plan_is_read_back_as_it_was_written() -> None:
    plan = make_plan()
    assert read_plan(plan.model_dump_json(by_alias=True), "plan.json") == plan


def test_an_engine_that_serves_nobody_is_no_engine_of_a_plan() -> None:
    document = json.loads(make_plan().model_dump_json(by_alias=True))
    document["workloads"][0]["engine"]["name"] = "ollama"
    with pytest.raises(BadInput, match=r"workloads\.0\.engine\.name"):
        read_plan(json.dumps(document), "plan.json")
