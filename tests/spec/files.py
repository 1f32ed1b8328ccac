"""Agent stacks as people write them, to load and to break."""

from __future__ import annotations

from agentgpu_iac.errors import BadInput
from agentgpu_iac.spec.loader import load_text

SMALLEST = """\
apiVersion: agentgpu.dev/v1alpha1
kind: AgentStack
metadata: {name: customer-service}
spec:
  agents:
    - name: support
      model: Qwen/Qwen3-14B
"""

LARGE = """\
# yaml-language-server: $schema=../docs/schema/agentstack.v1alpha1.json
apiVersion: agentgpu.dev/v1alpha1
kind: AgentStack
metadata:
  name: travel-desk
spec:
  target: eks
  providers: [aws]
  regions: [us-east-1, us-west-2]
  accelerators:
    allow: [l40s, h100-sxm]
    deny: [a10g]
  capacity: {spot: auto, onDemandFloorRatio: 0.25, budgetUsdPerMonth: 12000.5, burstHoursPerMonth: 40}
  observed: {days: 45, baselineRatio: 0.8, baselineSessions: 12}
  network: {roundTripMs: 15, routing: session-affine}
  pins: {kubernetesVersion: "1.35", amiAlias: al2023@v20261105}
  agents:
    - name: front
      role: router
      model: Qwen/Qwen3-14B
      engineVersion: "0.11.2"
      precision: fp8
      latencyClass: voice
      e2eMs: 2000
      sessions: {concurrent: 10, peak: 80}
      conversation: &talk
        turns: 8
        maxContextTokens: 16384
        thinkTimeS: 4.5
        toolCalls: {perTurn: 1.5, seconds: 2, resultTokens: 300}
      traffic: {conversationsPerDay: 10000, burstFactor: 8, rampS: 60}
      fallback: back
      loraAdapters:
        - {name: polite, source: acme/polite, rank: 32}
    - name: back
      model: Qwen/Qwen3-32B
      latencyClass: background
      ttftMs: 5000
      conversation: *talk
      interruptible: yes
      overrides: {tensorParallelSize: 2, baselineReplicas: 1}
"""


def faults_of(text: str) -> list[str]:
    """Every fault of a text, as it is printed; none if the text loads."""
    try:
        load_text(text, "stack.yaml")
    except BadInput as error:
        return [str(fault) for fault in error.faults]
    return []


def with_agent(*lines: str) -> str:
    """The smallest stack with more lines about its agent; the first of them is line 8, and starts in column 7."""
    return SMALLEST + "".join(f"      {line}\n" for line in lines)


def with_spec(*lines: str) -> str:
    """The smallest stack with more lines under ``spec``; the first of them is line 5, and starts in column 3."""
    return SMALLEST.replace("spec:\n", "spec:\n" + "".join(f"  {line}\n" for line in lines))


def with_name(name: str) -> str:
    """The smallest stack with the agent's name spelt as given; it stands at 6:13."""
    return SMALLEST.replace("support", name)
