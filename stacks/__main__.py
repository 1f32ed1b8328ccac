"""The Pulumi program: the stack, or the saved plan of it, that the configuration names, carried out."""

from pathlib import Path

import pulumi

import agentgpu_iac as agentgpu

ROOT = Path(__file__).resolve().parent.parent

config = pulumi.Config("agentgpu")
spec, saved, rows = (ROOT / path if (path := config.get(name)) else None for name in ("spec", "plan", "catalog"))

try:
    if saved and (spec or rows):
        raise pulumi.RunError(
            "agentgpu:plan names a plan that is made: unset agentgpu:spec and agentgpu:catalog beside it"
        )
    if saved:
        plan = agentgpu.load_plan(saved)
    elif spec:
        plan = agentgpu.make_plan(agentgpu.load_stack(spec), agentgpu.load_catalog(rows, base_directory=spec.parent))
    else:
        raise pulumi.RunError("set agentgpu:spec (an agent stack) or agentgpu:plan (a saved plan of one)")
    agentgpu.deploy(plan, agentgpu.render(plan), config)
except agentgpu.AgentGpuError as error:
    raise pulumi.RunError(str(error)) from None
