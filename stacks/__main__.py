"""The Pulumi program: the plan of the agent stack that the configuration names, or the saved plan that it names, carried out."""

from pathlib import Path

import agentgpu_iac as agentgpu

try:
    import pulumi
except ModuleNotFoundError as error:
    raise SystemExit(str(agentgpu.MissingExtra("the Pulumi program", "pulumi", error))) from None

ROOT = Path(__file__).resolve().parent.parent
config = pulumi.Config("agentgpu")
spec, saved, rows = (ROOT / path if (path := config.get(name)) else None for name in ("spec", "plan", "catalog"))

try:
    if saved and (spec or rows):
        raise pulumi.RunError("agentgpu:plan names a plan that is made: unset agentgpu:spec and agentgpu:catalog")
    if saved:
        plan = agentgpu.load_plan(saved)
    elif spec:
        plan = agentgpu.make_plan(agentgpu.load_stack(spec), agentgpu.load_catalog(rows, base_directory=spec.parent))
    else:
        raise pulumi.RunError("set agentgpu:spec (an agent stack) or agentgpu:plan (a saved plan of one)")
    agentgpu.deploy(plan, agentgpu.render(plan), config)
except agentgpu.AgentGpuError as error:
    raise pulumi.RunError(str(error)) from None
