"""The plan as a JSON Schema, for whoever reads plans with other tools."""

from __future__ import annotations

from typing import Any, Final

from agentgpu_iac.plan.document import Plan
from agentgpu_iac.spec.schema import file_schema

PLAN_SCHEMA_ID: Final = "https://agentgpu.dev/schema/plan.v1alpha1.json"
PLAN_TITLE: Final = "agentgpu plan, v1alpha1"


def plan_schema() -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of a plan as ``agentgpu plan --format json`` prints it."""
    return file_schema(Plan, PLAN_SCHEMA_ID, PLAN_TITLE)
