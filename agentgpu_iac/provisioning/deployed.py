"""What a Pulumi stack holds already, as its own last outputs say, and what may not take its place.

The engine is asked by a call, not by a StackReference: that would be a resource of its own, and would keep a second copy of
all outputs, the kubeconfig among them, in the state.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any, Final

import pulumi

from agentgpu_iac.errors import Fault
from agentgpu_iac.plan import Plan
from agentgpu_iac.provisioning.faults import PLAN

OUTPUT: Final = "agentStack"
"""Name of the stack output that says which plan was carried out."""

LAST_OUTPUTS: Final = "pulumi:pulumi:readStackOutputs"
"""The engine's own call behind StackReference."""
_ELSEWHERE: Final = "select another Pulumi stack for it, or take the first one down with pulumi destroy"


class Unread(Exception):
    """The engine did not say what the last deployment's outputs are; the message is its own."""


def last_outputs() -> Mapping[str, Any]:
    """The outputs of this Pulumi stack's last deployment; empty where there is none. A program asks the engine once.

    Raises:
        Unread: they cannot be read. The program may go on: a look-up that the engine refused ends none.
    """
    name = f"{pulumi.get_organization()}/{pulumi.get_project()}/{pulumi.get_stack()}"
    found = _asked(pulumi.runtime.settings.get_monitor(), name)
    if isinstance(found, Unread):
        raise found
    return found


@lru_cache(maxsize=1)
def _asked(_engine: object, name: str) -> Mapping[str, Any] | Unread:
    """What this engine says: another preview or ``up`` has another, also in the process of a component provider."""
    try:
        answer = pulumi.runtime.invoke(LAST_OUTPUTS, {"name": name}).value or {}
    except Exception as error:  # the SDK raises nothing narrower
        return Unread(str(error))
    return answer.get("outputs") or {}


def known_outputs() -> Mapping[str, Any]:
    """The same where they only help to decide; empty too where they cannot be read."""
    try:
        return last_outputs()
    except Unread:
        return {}


def identity(plan: Plan) -> dict[str, str]:
    """The output: which agents, for which target, and what the plan was made from and by."""
    made = plan.provenance
    return {
        "name": plan.stack,
        "target": plan.target,
        "specSha256": made.spec_sha256,
        "catalogVersion": made.catalog_version,
        "toolVersion": made.tool_version,
    }


def deployed_faults(plan: Plan) -> Iterator[Fault]:
    """Agents or a target that are not those which the Pulumi stack holds: all of those would be deleted.

    A stack that cannot say what it holds, or was deployed before it could, holds up nothing.
    """
    held = known_outputs().get(OUTPUT)
    if not isinstance(held, Mapping):
        return
    for key, path, wanted in (("name", "stack", plan.stack), ("target", "target", plan.target)):
        there = held.get(key)
        if isinstance(there, str) and there != wanted:
            what = "the agents of" if key == "name" else "a deployment for"
            message = f"is for {wanted!r}, but this Pulumi stack holds {what} {there!r}, which would be deleted"
            yield Fault(source=PLAN, path=path, message=message, hint=_ELSEWHERE)
