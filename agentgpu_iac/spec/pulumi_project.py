"""What a repository of a user's has around an agent stack that ``pulumi up`` carries out there."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import resources
from typing import Final

from agentgpu_iac.errors import DISTRIBUTION
from agentgpu_iac.spec.pages import page
from agentgpu_iac.spec.schema import schema_text
from agentgpu_iac.spec.starter import SCHEMA_FILE, Setup
from agentgpu_iac.spec.vocabulary import Target

PULUMI_SETUPS: Final[dict[Target, Setup]] = {
    "eks": "pulumi-eks",
    "kubernetes": "pulumi-kubernetes",
    "spheron": "pulumi-spheron",
}
"""What is set up for each target that Pulumi provisions."""

PROGRAM: Final = '''\
"""The Pulumi program: the plan of the agent stack that the configuration names, or the saved plan that it names, carried out."""

import pulumi

from agentgpu_iac.pulumi import AgentStack

for name, value in AgentStack("agents").outputs.items():
    pulumi.export(name, value)
'''

_PROJECT: Final = """\
name: {project}
description: The GPUs behind {name}, from an agent stack.
runtime:
  name: python
  options:
    virtualenv: .venv
"""
_SETTINGS: Final = """\
# Every key is told in {page} of agentgpu's checkout.
config:
  {source}
  agentgpu:target: {target} # a plan for another one is refused
{more}"""
_MORE: Final[dict[Target, str]] = {
    "eks": """\
  aws:region: {region}
  # Who may reach the cluster's API; without it the stack is refused:
  #   pulumi config set --path 'agentgpu:apiAllowedCidrs[0]' YOUR_RANGE
""",
    "kubernetes": """\
  # Which cluster; unset, what kubectl would use. Name the context: the current one changes when you turn to another cluster.
  #   pulumi config set agentgpu:kubeconfig ~/.kube/config
  #   pulumi config set agentgpu:context YOUR_CONTEXT
""",
    "spheron": """\
  # What the machines need to know; each is asked for with --secret, so that it is stored encrypted:
  #   pulumi config set --secret agentgpu:spheronApiKey
  #   pulumi config set --secret --path agentgpu:secrets.callers
  #   pulumi config set agentgpu:sshPublicKey "$(cat ~/.ssh/id_ed25519.pub)"
""",
}
_REQUIREMENTS_NOTE: Final = """\
# All that {requirement} needs, by version and hash, as its own suites run it. Itself it cannot be here: no package knows
# its own hash. After this file: pip install --no-deps {requirement}
"""
_WORKFLOW: Final = """\
name: agentgpu
on:
  pull_request:
  push:
    branches: [main]
permissions: {{contents: read}}
concurrency: agentgpu-${{{{ github.ref }}}}
jobs:
  agents:
    runs-on: ubuntu-latest
    env:
      # Where Pulumi keeps its state, and what opens its secrets; see https://www.pulumi.com/docs/iac/concepts/state-and-backends/
      PULUMI_ACCESS_TOKEN: ${{{{ secrets.PULUMI_ACCESS_TOKEN }}}}
    steps:
      - uses: actions/checkout@v4
      - uses: actions/setup-python@v5
        with: {{python-version: "3.12"}}
      - run: |
          python -m venv .venv
          .venv/bin/pip install --require-hashes -r requirements.txt
          .venv/bin/pip install --no-deps {requirement}
      {check}
      - uses: pulumi/actions@v6
        with:
          command: ${{{{ github.event_name == 'push' && 'up' || 'preview' }}}}
          stack-name: {stack}
"""
_CHECK_SPEC: Final = """\
- run: .venv/bin/agentgpu validate {file}
      - run: .venv/bin/agentgpu plan {file} -f markdown >> "$GITHUB_STEP_SUMMARY\""""
_CHECK_PLAN: Final = '- run: .venv/bin/agentgpu explain {file} >> "$GITHUB_STEP_SUMMARY"'
_README: Final = """\
# {name}

The GPUs behind these agents, from `{file}`, on the target `{target}`.

```sh
python3 -m venv .venv
.venv/bin/pip install --require-hashes -r requirements.txt
.venv/bin/pip install --no-deps {requirement}
pulumi login
pulumi stack select --create {stack}
pulumi preview
pulumi up
```
"""
_REVIEWED: Final = """
What was reviewed can be what is applied: save the plan, and name it in place of the spec.

```sh
.venv/bin/agentgpu plan {file} -o plan.json
pulumi config rm agentgpu:spec
pulumi config set agentgpu:plan plan.json
```
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class PulumiProject:
    """What a project is about."""

    name: str
    """Name of the agent stack."""
    target: Target
    """Its target; one that Pulumi provisions."""
    file: str
    """Path of the spec or plan, from the project's folder."""
    is_plan: bool = False
    """Whether that is a saved plan."""
    project: str
    """Name of the Pulumi project."""
    stack: str
    """Name of the Pulumi stack."""
    version: str
    """Version of ours that the project is locked to."""
    region: str = ""
    """AWS region of the plan, where there is one."""
    settings: str | None = None
    """Text of the Pulumi stack's configuration, where there is one already."""

    def files(self) -> dict[str, str]:
        """Its files by path, without the agent stack or plan itself."""
        requirement = f"{DISTRIBUTION}=={self.version}"
        check = (_CHECK_PLAN if self.is_plan else _CHECK_SPEC).format(file=self.file)
        lock = resources.files(__package__).joinpath("pulumi_requirements.txt").read_text(encoding="utf-8")
        return {
            "Pulumi.yaml": _PROJECT.format(project=self.project, name=self.name),
            "__main__.py": PROGRAM,
            f"Pulumi.{self.stack}.yaml": self.settings or self._settings(),
            "requirements.txt": _REQUIREMENTS_NOTE.format(requirement=requirement) + lock,
            ".github/workflows/agentgpu.yaml": _WORKFLOW.format(requirement=requirement, check=check, stack=self.stack),
            ".gitignore": ".venv/\n__pycache__/\n",
            "README.md": self._readme(requirement),
            **({} if self.is_plan else {SCHEMA_FILE: schema_text()}),
        }

    def _settings(self) -> str:
        return _SETTINGS.format(
            page=page("pulumi-project"),
            source=f"agentgpu:{'plan' if self.is_plan else 'spec'}: {self.file}",
            target=self.target,
            more=_MORE[self.target].format(region=self.region),
        )

    def _readme(self, requirement: str) -> str:
        text = _README if self.is_plan else _README + _REVIEWED
        return text.format(
            name=self.name, file=self.file, target=self.target, requirement=requirement, stack=self.stack
        )
