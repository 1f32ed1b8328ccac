"""Starts that people reported in public: no probe of ours ends them."""

from __future__ import annotations

import pytest
import yaml

from agentgpu_iac.catalog.store import load_catalog
from agentgpu_iac.planning.planner import make_plan
from agentgpu_iac.rendering.render import render
from agentgpu_iac.spec.loader import load_text

SPEC = """
apiVersion: agentgpu.dev/v1alpha1
kind: AgentStack
metadata: {{name: field}}
spec:
  modelCache: {{tokenSecret: hf}}
  accelerators: {{allow: [{card}]}}
  agents:
    - name: chat
      model: {model}
      sessions: {{concurrent: 4}}
      ttftMs: 5000
      tpotMs: 200
      engineVersion: "0.19.0"
"""


@pytest.mark.parametrize(
    ("model", "card", "measured_s", "least_s"),
    [
        ("Qwen/Qwen3.5-9B", "l40s", 272, 600),  # killed at 120 s it never made progress
        ("meta-llama/Llama-4-Scout-17B-16E-Instruct", "h100-sxm", 600, 1800),
    ],
)
def test_a_slow_but_healthy_start_is_waited_for(model: str, card: str, measured_s: int, least_s: int) -> None:
    plan = make_plan(load_text(SPEC.format(model=model, card=card), "field.yaml"), load_catalog())
    made = [yaml.safe_load(file.content) for file in render(plan) if file.path.endswith(".yaml")]
    (deployment,) = [each for each in made if each["kind"] == "Deployment" and each["metadata"]["name"] == "chat"]
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    probe = container["startupProbe"]
    patience_s = probe["periodSeconds"] * probe["failureThreshold"]
    assert patience_s >= max(least_s, 1.5 * measured_s)
    assert deployment["spec"]["progressDeadlineSeconds"] > patience_s
    (start,) = [each.cold_start_s for each in plan.workloads]
    assert start.warm_node_total < measured_s < 2.5 * start.warm_node_total
    (pool,) = [each for each in made if each["kind"] == "NodePool"]
    drained_s = int(pool["spec"]["template"]["spec"]["terminationGracePeriod"].removesuffix("s"))
    assert drained_s > deployment["spec"]["progressDeadlineSeconds"]
