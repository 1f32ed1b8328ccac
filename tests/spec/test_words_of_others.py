"""What other tools call otherwise: where a spec says it."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from agentgpu_iac.errors import BadInput
from agentgpu_iac.spec.loader import load_text
from agentgpu_iac.spec.model import Agent, AgentStack, StackSpec
from agentgpu_iac.spec.shape import fields_of, parts_of
from agentgpu_iac.spec.words_of_others import _BY_WORD, _MEANT

TEXT = """apiVersion: agentgpu.dev/v1alpha1
kind: AgentStack
metadata: {{name: demo}}
spec:
  agents:
    - name: support
      model: Qwen/Qwen3-8B
      {}: 1
"""


@pytest.mark.parametrize(
    ("key", "says"),
    [
        ("replicas", "overrides.baselineReplicas"),
        ("region", "spec.regions"),
        ("latency", "ttftMs"),
        ("rps", "requests.perS"),
        ("tensor_parallel", "overrides.tensorParallelSize"),
        ("gpu", "spec.accelerators.allow"),
    ],
)
def test_what_another_tool_calls_so_is_found(key: str, says: str) -> None:
    with pytest.raises(BadInput) as caught:
        load_text(TEXT.format(key), "stack.yaml")
    assert says in str(caught.value)
    assert "did you mean" not in str(caught.value)


def _names() -> Iterator[str]:
    for meant in _MEANT:
        yield from re.findall(r"\b(?:\w+\.)+\w+|\b[a-z][a-z0-9]*[A-Z]\w*", meant)


def test_every_place_that_is_named_is_there() -> None:
    for name in _names():
        steps = name.split(".")
        document = {"spec": StackSpec, "metadata": parts_of(AgentStack)["metadata"]}.get(steps[0], Agent)
        for step in steps[1:] if document is not Agent else steps:
            assert step in fields_of(document), name
            document = parts_of(document).get(step, document)


def test_no_key_of_a_spec_is_taken_for_another_tools() -> None:
    ours = {key.casefold() for document in (StackSpec, Agent) for key in fields_of(document)}
    assert not ours & {*_BY_WORD} - {"latency"}  # the stack has one, an agent none
