"""The plan and the answers about it as JSON Schemas, for whoever reads them with other tools."""

from __future__ import annotations

from typing import Any, Final

from agentgpu_iac.plan.document import Plan
from agentgpu_iac.plan.lever import Frontier, Levers
from agentgpu_iac.spec.document import Document
from agentgpu_iac.spec.pages import schema_name
from agentgpu_iac.spec.schema import file_schema

PLAN_SCHEMA_ID: Final = schema_name("plan")
PLAN_TITLE: Final = "agentgpu plan, v1alpha1"


def plan_schema() -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of a plan as ``agentgpu plan --format json`` prints it."""
    return file_schema(Plan, PLAN_SCHEMA_ID, PLAN_TITLE)


ANSWERS: Final[dict[str, type[Document]]] = {"levers": Levers, "frontier": Frontier}
"""Documents that a command of the same name answers with."""


def answer_schema(name: str) -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of what that command prints with ``--format json``."""
    return file_schema(ANSWERS[name], schema_name(name), f"agentgpu {name}, v1alpha1")
