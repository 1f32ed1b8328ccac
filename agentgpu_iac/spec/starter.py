"""The agent stack that ``agentgpu init`` writes: small, complete, and with what one changes first."""

from __future__ import annotations

_STARTER = """\
# yaml-language-server: $schema=agentstack.schema.json
# Write that schema once with: agentgpu schema > agentstack.schema.json
apiVersion: agentgpu.dev/v1alpha1
kind: AgentStack
metadata:
  name: {name}
spec:
  target: eks
  agents:
    - name: support
      model: {model}
      latencyClass: chat # voice: TTFT 200 ms; chat: 500 ms; background: none
      sessions:
        concurrent: 5 # conversations held at normal load
      traffic:
        conversationsPerDay: 10000
        burstFactor: 10 # peak load / normal load
"""


def starter(name: str, model: str) -> str:
    """The text of a first agent stack."""
    return _STARTER.format(name=name, model=model)
