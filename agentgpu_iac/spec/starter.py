"""What ``agentgpu init`` writes: an agent stack that is small, complete, and has what one changes first; and what is beside it in
a repository that checks it.
"""

from __future__ import annotations

from typing import Final, Literal

from agentgpu_iac.spec.schema import schema_text

Setup = Literal["spec", "compose", "gitops", "pulumi-eks", "pulumi-kubernetes", "pulumi-spheron"]
"""What is set up: the agent stack alone, or a repository whose files one machine runs, or that a GitOps tool follows, or that
``pulumi up`` carries out on a target."""

STACK_FILE: Final = "agentstack.yaml"
SCHEMA_FILE: Final = "agentstack.schema.json"
REGION: Final = "us-east-1"
"""Of a first stack on AWS: the region with the most offers in the catalog."""
RENDERED: Final[dict[Setup, str]] = {"compose": "machine", "gitops": "deploy"}
"""Folder of what is rendered."""

_STARTER: Final = """\
# yaml-language-server: $schema=agentstack.schema.json
{note}apiVersion: agentgpu.dev/v1alpha1
kind: AgentStack
metadata:
  name: {name}
spec:
{where}  agents:
    - name: support
      model: {model}
      latencyClass: chat # voice: TTFT 200 ms; chat: 500 ms; background: none
      sessions:
        concurrent: 5 # conversations held at normal load
      traffic:
        conversationsPerDay: 10000
        burstFactor: 10 # peak load / normal load
"""
_NOTE: Final = "# Write that schema once with: agentgpu schema > agentstack.schema.json\n"
_WHERE: Final[dict[Setup, str]] = {
    "spec": "  target: eks\n",
    "compose": """\
  target: compose # one machine of yours or a rented one, with Docker
  security:
    apiKeySecret: callers # callers send this key; the machine reads it from its secrets file
  hosts:
    callerRanges: [10.0.0.0/8] # who may call
    adminRanges: [192.0.2.7/32] # who may log in: your own address
""",
    "gitops": """\
  target: eks
  gitops:
    tool: argocd # or flux
    repository: https://git.example.com/acme/agents.git # this repository
    path: deploy # the rendered folder in it
""",
    "pulumi-eks": f"""\
  target: eks
  providers: [aws]
  regions: [{REGION}] # the same as aws:region
""",
    "pulumi-kubernetes": f"""\
  target: kubernetes # a cluster of yours
  providers: [aws] # whose machines your nodes are
  regions: [{REGION}]
""",
    "pulumi-spheron": """\
  target: spheron
  security:
    apiKeySecret: callers # callers send this key
  hosts:
    callerRanges: [10.0.0.0/8] # who may call
    adminRanges: [192.0.2.7/32] # who may log in: your own address
""",
}
_WORKFLOW: Final = """\
name: agentgpu
on: [pull_request]
permissions: {{contents: read}}
jobs:
  check:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@v4
      - uses: actions/setup-python@v5
        with: {{python-version: "3.12"}}
      - run: pip install {requirement}
      - run: agentgpu validate
      - run: agentgpu plan -f markdown >> "$GITHUB_STEP_SUMMARY"
      - run: agentgpu render --check {folder}
"""


def starter(name: str, model: str, setup: Setup = "spec") -> str:
    """The text of a first agent stack."""
    note = _NOTE if setup == "spec" else ""
    return _STARTER.format(name=name, model=model, note=note, where=_WHERE[setup])


def beside(setup: Setup, requirement: str) -> dict[str, str]:
    """What a repository has beside its agent stack, by path. ``requirement``: what installs us."""
    if setup not in RENDERED:
        return {}
    return {
        SCHEMA_FILE: schema_text(),
        ".github/workflows/agentgpu.yaml": _WORKFLOW.format(requirement=requirement, folder=RENDERED[setup]),
    }
