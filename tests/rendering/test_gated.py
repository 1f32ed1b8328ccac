"""Whatever downloads a gated model has its token, by reference, on every target."""

from __future__ import annotations

import pytest

from agentgpu_iac.planning.planner import make_plan
from agentgpu_iac.rendering.render import render
from agentgpu_iac.spec.loader import load_text
from tests.outcomes.scenes import PUBLIC, catalog

STACK = """\
apiVersion: agentgpu.dev/v1alpha1
kind: AgentStack
metadata: {{name: gated}}
spec:
  target: {target}
  modelCache: {{tokenSecret: our-hub-token}}
{public}  agents:
    - {{name: chat, model: meta-llama/Llama-3.1-8B-Instruct, ttftMs: 3000, tpotMs: 200, sessions: {{concurrent: 4}}}}
"""
REFERENCE = {
    "eks": ("model-cache", "valueFrom:\n", "secretKeyRef:", "name: our-hub-token", "key: token"),
    "kubernetes": ("model-cache", "valueFrom:\n", "secretKeyRef:", "name: our-hub-token", "key: token"),
    "spheron": ("docker-compose.yaml", "MODEL_TOKEN_1: ${MODEL_TOKEN_1:?"),
    "compose": ("docker-compose.yaml", "MODEL_TOKEN_1: ${MODEL_TOKEN_1:?"),
    "skyserve": ("skyserve/chat.yaml", "HF_TOKEN"),
}


@pytest.mark.parametrize("target", REFERENCE)
def test_the_filler_is_given_the_token_by_reference(target: str) -> None:
    text = STACK.format(target=target, public=PUBLIC if target in ("spheron", "compose") else "")
    plan = make_plan(load_text(text, "gated.yaml"), catalog())
    files = {file.path: file.content.decode() for file in render(plan)}
    where, *words = REFERENCE[target]
    assert any(where in path and all(word in content for word in words) for path, content in files.items())
    if target in ("spheron", "compose"):
        assert any("MODEL_TOKEN_1" in content for path, content in files.items() if path.endswith("models.json"))
