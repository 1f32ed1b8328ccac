"""The plan beside the files that were made from it, so that what was reviewed can be held against what is applied."""

from __future__ import annotations

from typing import Final

from agentgpu_iac.plan import Plan, RenderedFile
from agentgpu_iac.plan.writing import plan_text

PLAN_FILE: Final = "plan.json"
"""No kustomization names it, and no machine is sent it."""


def plan_file(plan: Plan) -> RenderedFile:
    """The plan's own JSON."""
    return RenderedFile(path=PLAN_FILE, content=plan_text(plan).encode())
