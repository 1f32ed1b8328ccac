"""Plans read back from a file, as ``plan --format json`` or ``yaml`` printed them."""

from __future__ import annotations

import json
from typing import Any

import yaml
from pydantic import ValidationError

from agentgpu_iac.errors import BadInput, Fault
from agentgpu_iac.plan.document import PLAN_VERSION, Plan


def read_plan(text: str, source: str) -> Plan | None:
    """The plan in a text; None where it holds something else, such as an agent stack.

    Raises:
        BadInput: the text says that it is a plan, and is none.
    """
    if PLAN_VERSION not in text[:1000]:
        return None
    try:
        data: Any = yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506 - a safe loader
        return Plan.model_validate_json(json.dumps(data), by_alias=True, by_name=False)
    except (yaml.YAMLError, TypeError, ValueError) as error:
        if isinstance(error, ValidationError):
            raise BadInput(
                Fault(source=source, path=".".join(map(str, one["loc"])), message=one["msg"]) for one in error.errors()
            ) from None
        raise BadInput.one(source, f"is no readable plan: {error}") from None
