"""The plan as text: the bytes that are printed, saved and read back."""

from __future__ import annotations

import json

from agentgpu_iac.plan.document import Plan


def plan_text(plan: Plan) -> str:
    """A plan as JSON, one stable layout: the same plan gives the same bytes."""
    return json.dumps(plan.model_dump(mode="json", by_alias=True), indent=2, ensure_ascii=False) + "\n"
