"""Where a program's plan comes from: it is made from a spec, or was saved and must then be what this version made."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pulumi

from agentgpu_iac import __version__
from agentgpu_iac.catalog.store import load_catalog
from agentgpu_iac.errors import DISTRIBUTION, BadInput, Fault
from agentgpu_iac.inputs import source_of
from agentgpu_iac.plan import Plan
from agentgpu_iac.plan.reading import load_plan
from agentgpu_iac.planning.planner import make_plan
from agentgpu_iac.provisioning.faults import CONFIGURATION
from agentgpu_iac.spec.loader import load
from agentgpu_iac.targets import TARGETS

_AGAIN = "agentgpu plan SPEC -o PLAN, and review it again"


def plan_of(config: pulumi.Config, root: Path) -> Plan:
    """The plan that the settings name, by paths from a folder.

    Raises:
        BadInput: nothing or too much is named, or a saved plan is not for here.
        Infeasible: nothing on offer serves the spec.
    """
    spec, saved, rows, target = (config.get(key) for key in ("spec", "plan", "catalog", "target"))
    overlay = root / rows if rows else None
    if bool(spec) == bool(saved):
        message = "names a plan that is made" if saved else "is missing, and so is agentgpu:spec"
        hint = "unset agentgpu:spec" if saved else "set agentgpu:spec (an agent stack) or agentgpu:plan (a saved plan)"
        raise BadInput.one(CONFIGURATION, message, path="agentgpu:plan", hint=hint)
    if saved:
        path = root / saved
        plan = load_plan(path)
        faults = list(reviewed_faults(plan, source_of(path), overlay))
    else:
        path = root / str(spec)
        plan = make_plan(load(path), load_catalog(overlay, base_directory=path.parent))
        faults = []
    if target and not any(name == target and port.is_target_of(plan) for name, port in TARGETS.items()):
        message = f"says {target!r}, but the plan is for {plan.target!r}"
        hint = (
            f"select the Pulumi stack that {plan.target} belongs to, or pulumi config set agentgpu:target {plan.target}"
        )
        faults.append(Fault(source=CONFIGURATION, path="agentgpu:target", message=message, hint=hint))
    if faults:
        raise BadInput(faults)
    return plan


def reviewed_faults(plan: Plan, source: str, overlay: Path | None) -> Iterator[Fault]:
    """A saved plan that would not become what was reviewed: of another version, or of other facts than those named.

    Without an overlay, facts that are not those of the package are no fault, since the overlay that made the plan is then
    not at hand: a warning says so.
    """
    made = plan.provenance
    if made.tool_version != __version__:
        yield Fault(
            source=source,
            path="provenance.toolVersion",
            message=f"was made by agentgpu {made.tool_version}, and this is {__version__}, which may write other objects",
            hint=f"{_AGAIN}; or pip install '{DISTRIBUTION}[pulumi]=={made.tool_version}'",
        )
        return
    facts = load_catalog(overlay, base_directory=Path(source).parent).version
    if facts == made.catalog_version:
        return
    if overlay is not None:
        yield Fault(
            source=source,
            path="provenance.catalogVersion",
            message=f"was made with the catalog {made.catalog_version}, and with {overlay.name} it is {facts} now",
            hint=_AGAIN,
        )
        return
    pulumi.log.warn(
        f"{source} was made with the catalog {made.catalog_version}, and the one of this agentgpu is {facts}: "
        "prices may have moved; agentgpu:catalog names the rows of yours that it was made with"
    )
