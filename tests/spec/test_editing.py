"""Values are put into a spec's text at their places, and nothing else of it changes."""

from __future__ import annotations

import pytest

from agentgpu_iac.errors import BadInput
from agentgpu_iac.spec.editing import with_values
from agentgpu_iac.spec.loader import load_text
from agentgpu_iac.spec.yaml_tree import Steps

COMMIT = "0123456789abcdef0123456789abcdef01234567"
IMAGE = f"vllm/vllm-openai:v0.33.0@sha256:{'1' * 64}"
ENGINE: Steps = ("spec", "pins", "engineImage")
ROUTER: Steps = ("spec", "pins", "routerImage")
FIRST: Steps = ("spec", "agents", 0, "modelRevision")
SECOND: Steps = ("spec", "agents", 1, "modelRevision")
VALUES = {ENGINE: IMAGE, ROUTER: IMAGE, FIRST: COMMIT, SECOND: COMMIT}

HEAD = "# ours\napiVersion: agentgpu.dev/v1alpha1\nkind: AgentStack\nmetadata: {name: demo} # a name\nspec:\n"
BLOCK = HEAD + (
    "  target: compose   # the lab\n"
    "  pins:\n    # by hand\n    kubernetesVersion: '1.35'\n"
    "  agents:\n"
    "  # first\n"
    '  - name: a\n    model: Qwen/Qwen3-8B\n    modelRevision: "main"  # branch\n'
    "  -   name: b # second\n      model: Qwen/Qwen3-14B\n"
)
FLOW = HEAD.replace("spec:\n", "") + (
    "spec: {target: compose, agents: [{name: a, model: Qwen/Qwen3-8B}, {model: Qwen/Qwen3-14B, name: b, modelRevision: v1}]}\n"
)
BARE = HEAD + "  agents:\n    - {name: a, model: Qwen/Qwen3-8B}\n    - model: Qwen/Qwen3-14B\n      name: 'b'\n"
EMPTY = BARE.replace("  agents:", "  pins: {}\n  agents:")


@pytest.mark.parametrize("text", [BLOCK, FLOW, BARE, EMPTY, BLOCK.replace("\n", "\r\n"), BLOCK.rstrip("\n")])
def test_the_text_gains_the_values_and_keeps_everything_else(text: str) -> None:
    loaded = load_text(text, "stack.yaml")
    made = with_values(text, loaded, VALUES)
    stack = load_text(made, "stack.yaml").stack
    assert (stack.spec.pins.engine_image, stack.spec.pins.router_image) == (IMAGE, IMAGE)
    assert [agent.model_revision for agent in stack.spec.agents] == [COMMIT, COMMIT]
    assert all(part.split("\n")[0] in made for part in text.split("#")[1:])
    assert ("\r\n" in made) is ("\r\n" in text)
    if "\r\n" in text:
        assert made.count("\n") == made.count("\r\n")


def test_what_only_a_person_can_tell_is_left_to_him() -> None:
    text = HEAD + "  agents:\n  - &a\n    name: a\n    model: Qwen/Qwen3-8B\n    conversation: &talk {turns: 3}\n"
    loaded = load_text(text, "stack.yaml")
    assert COMMIT in with_values(text, loaded, {FIRST: COMMIT})
    shared = HEAD + (
        "  agents:\n  - name: a\n    model: Qwen/Qwen3-8B\n    modelRevision: &r main\n"
        "  - name: b\n    model: Qwen/Qwen3-8B\n    modelRevision: *r\n"
    )
    with pytest.raises(BadInput, match="write it by hand"):
        with_values(shared, load_text(shared, "stack.yaml"), {FIRST: COMMIT, SECOND: COMMIT})
