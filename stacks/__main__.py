"""The Pulumi program: the stack spec that the configuration names, planned and carried out."""

from pathlib import Path

from agentgpu_iac.catalog.store import load_catalog
from agentgpu_iac.errors import AgentGpuError, MissingExtra
from agentgpu_iac.planning.planner import make_plan
from agentgpu_iac.rendering.render import render
from agentgpu_iac.spec.loader import load

try:
    import pulumi

    from agentgpu_iac.provisioning.program import deploy
except ModuleNotFoundError as error:
    raise SystemExit(str(MissingExtra("the Pulumi program", "pulumi", error))) from None

PROJECT_ROOT = Path(__file__).resolve().parent.parent

config = pulumi.Config("agentgpu")
spec = PROJECT_ROOT / config.require("spec")
own_rows = PROJECT_ROOT / config.require("catalog") if config.get("catalog") else None

try:
    loaded = load(spec)
    plan = make_plan(loaded, load_catalog(own_rows, base_directory=spec.parent))
    deploy(plan, render(plan), config)
except AgentGpuError as error:
    raise pulumi.RunError(str(error)) from None
